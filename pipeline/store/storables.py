"""Errors of values and their bytes, and the classes that a program marks as storable."""

from __future__ import annotations

import dataclasses
import inspect
from enum import Enum
from types import MemberDescriptorType
from typing import Any, TypeVar

from pipeline import PipelineError

Class = TypeVar("Class", bound=type)

_marked: dict[str, type] = {}
"""The classes marked in this process, by module and qualified name."""

_MARK = "__pipeline_storable__"

_MAIN = ("__mp_main__", "<run_path>")
"""Names of the main script where another process, or `runpy`, has run it."""


class CodecError(PipelineError, ValueError):
    """Bytes that are not a value: corrupt or hostile.

    Its text may cite them: it is one line of printable characters, at most 1,000 of them.

    >>> print(CodecError("no class \x1b[2J"))
    no class \\x1b[2J
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:1000]))


class UnreadableError(CodecError):
    """Bytes that may be a value, but not here: a library, a class, memory or leave is missing."""


class UnstorableError(PipelineError, TypeError):
    """A value that cannot be stored.

    `what` names it in a few words: "a lock".

    >>> print(UnstorableError("a lock", "no format for _thread.lock; return numbers"))
    a lock: no format for _thread.lock; return numbers
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what

    def __str__(self) -> str:
        return ": ".join(self.args)


def noun(value: object) -> str:
    """A value in words, by its type.

    >>> noun(1.5), noun([])
    ('a float', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name[:1] in set('aeioAEIO') else 'a'} {name}"


def type_name(kind: type) -> str:
    """The module of a type, and its name there.

    >>> type_name(int), type_name(Enum)
    ('int', 'enum.Enum')
    """
    return kind.__qualname__ if kind.__module__ == "builtins" else _path(kind, ".")


def storable(kind: Class) -> Class:
    """Mark a dataclass or a NamedTuple as storable: a store can keep its objects.

    The fields of an object are stored as values. Loading sets these fields and runs no code of the
    class: no `__init__`, no `__post_init__`. The class must be marked in each process that loads,
    which it is where its module is imported.

    >>> @storable
    ... @dataclasses.dataclass(frozen=True)
    ... class Fit:
    ...     slope: float
    ...     error: float
    >>> Fit(2.0, 0.1)
    Fit(slope=2.0, error=0.1)

    Raises `TypeError` for other classes, and for those that hold more than their fields.
    """
    if not isinstance(kind, type) or not (_is_named_tuple(kind) or _is_plain_dataclass(kind)):
        raise TypeError(
            f"cannot mark {getattr(kind, '__qualname__', kind)!r} as storable: it is no dataclass "
            "of plain fields and no NamedTuple; put @dataclass below @storable, or store a dict "
            "of its attributes"
        )
    setattr(kind, _MARK, True)
    _marked[_path(kind)] = kind
    return kind


def is_storable(kind: type) -> bool:
    """Whether a class is marked, and no other was marked by its name since."""
    path = _path(kind)
    if path.startswith("__main__:") and _MARK in vars(kind):
        _marked[path] = kind  # a class of the main script arrives in a worker by value, marked
    return _marked.get(path) is kind


def of_the_script() -> tuple[type, ...]:
    """The marked classes of the main script, which other processes cannot import."""
    return tuple(kind for path, kind in _marked.items() if path.startswith("__main__:"))


def object_parts(value: Any) -> list[Any]:
    """The path of an object's class, the names of its fields, and their values."""
    kind = type(value)
    names = _field_names(kind)
    extra = getattr(value, "__dict__", {}).keys() - {*names, "__orig_class__"}
    for name in sorted(extra):
        # A cached property is computed from the fields again.
        if not hasattr(inspect.getattr_static(kind, name, None), "__set_name__"):
            why = f"its attribute {name} is no field; declare it as one, field(init=False)"
            raise UnstorableError(noun(value), why)
    for name in names:
        if not hasattr(value, name):
            raise UnstorableError(noun(value), f"its field {name} is not set; set it, to None say")
    values = value if issubclass(kind, tuple) else [getattr(value, name) for name in names]
    return [_path(kind), " ".join(names), *values]


def build_object(path: Any, fields: Any, *values: Any) -> Any:
    """The object with these field values; no code of its class runs."""
    if type(path) is not str:
        raise CodecError(f"an object whose class is {noun(path)}")
    kind = _marked.get(path)
    if kind is None:
        module = path.partition(":")[0]
        raise UnreadableError(
            f"{path!r} is not known here: import {module!r}, which marks it @storable"
        )
    names = _field_names(kind)
    if type(fields) is not str or fields != " ".join(names) or len(values) != len(names):
        raise CodecError(
            f"{path} has the fields {', '.join(names)} now, and had {fields!r}: compute it again"
        )
    if issubclass(kind, tuple):
        return tuple.__new__(kind, values)
    made = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(made, name, value)
    return made


def _path(kind: type, separator: str = ":") -> str:
    module = "__main__" if kind.__module__ in _MAIN else kind.__module__
    return f"{module}{separator}{kind.__qualname__}"


def _field_names(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, tuple):
        return tuple(kind._fields)
    return tuple(field.name for field in dataclasses.fields(kind))


def _is_named_tuple(kind: type) -> bool:
    # A class derived from a NamedTuple may have attributes beside the fields.
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and not kind.__dictoffset__


def _is_plain_dataclass(kind: type) -> bool:
    """Whether objects hold their fields alone, and setting a field runs no code of the class."""
    if not dataclasses.is_dataclass(kind) or issubclass(kind, Enum | type):
        return False
    try:
        object.__new__(kind)
    except TypeError:  # it derives from a list, say, or is abstract
        return False
    names = set(_field_names(kind))
    members = [member for base in kind.__mro__ for member in vars(base).items()]
    slots = {name for name, member in members if isinstance(member, MemberDescriptorType)}
    static = [inspect.getattr_static(kind, name, None) for name in names]
    setters = [member for member in static if hasattr(type(member), "__set__")]
    return slots <= names and all(isinstance(member, MemberDescriptorType) for member in setters)
