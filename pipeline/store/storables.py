"""What can be stored, what cannot, and the classes of a program that are marked to be stored."""

from __future__ import annotations

import dataclasses
import inspect
from enum import Enum
from types import MemberDescriptorType
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)

_known: dict[str, type] = {}
"""The classes marked in this process, by module and qualified name."""


_MARK = "__pipeline_storable__"

_MAIN = ("__mp_main__", "<run_path>")
"""What the main script is called where another process, or `runpy`, has run it."""


_LONGEST = 1000
"""Characters of a text that tells of bytes."""


_MANY = 1 << 20
"""Numbers without bytes, at most, beside what has some."""


class CodecError(ValueError):
    """Bytes that are no value: torn, foreign or hostile.

    Its text may cite them. It is one line, and commands no terminal.

    >>> print(CodecError("no class \x1b[2J"))
    no class \\x1b[2J
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(map(_shown, text[:_LONGEST])))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


class UnreadableError(CodecError):
    """Bytes that may well be a value, but not here and now.

    What it takes is missing: a library, a marked class, memory, leave to unpickle.
    """


def check_range(index: Any, room: int) -> None:
    """Refuse an index that is a long range beside few bytes: pandas may make an array of it."""
    if type(index).__name__ == "RangeIndex" and len(index) > _MANY + room:
        raise CodecError(f"a range of {len(index)} beside {room} bytes")


class UnstorableError(TypeError):
    """A value that cannot be stored.

    `what` says in a few words what it is: "a lock".

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
    """Where a type is defined, and its name there.

    >>> type_name(int), type_name(Enum)
    ('int', 'enum.Enum')
    """
    return kind.__qualname__ if kind.__module__ == "builtins" else _path(kind, ".")


def storable(kind: Class) -> Class:
    """Mark a dataclass or a NamedTuple, so that a store can keep what it makes.

    Its fields are stored as values. An object is loaded with these fields, and none of the code of
    its class runs for that: no `__init__`, no `__post_init__`. The class must be marked in each
    process that loads, which it is where its module is imported.

    >>> @storable
    ... @dataclasses.dataclass(frozen=True)
    ... class Fit:
    ...     slope: float
    ...     error: float
    >>> Fit(2.0, 0.1)
    Fit(slope=2.0, error=0.1)

    Raises `TypeError` for other classes, and for those that hold more than their fields.
    """
    if not isinstance(kind, type) or not (_is_named_tuple(kind) or _is_plain(kind)):
        raise TypeError(
            f"cannot mark {getattr(kind, '__qualname__', kind)!r} as storable: it is no dataclass "
            "of plain fields and no NamedTuple; put @dataclass below @storable, or store a dict "
            "of its attributes"
        )
    setattr(kind, _MARK, True)
    _known[_path(kind)] = kind
    return kind


def is_storable(kind: type) -> bool:
    """Whether a class is marked, and no other was marked by its name since."""
    path = _path(kind)
    if path.startswith("__main__:") and _MARK in vars(kind):
        _known[path] = kind  # the main script's come to a worker by value, and it goes by these
    return _known.get(path) is kind


def of_the_script() -> tuple[type, ...]:
    """The marked classes that other processes cannot import, for they stand in the main script."""
    return tuple(kind for path, kind in _known.items() if path.startswith("__main__:"))


def object_apart(value: Any) -> list[Any]:
    """An object as the path of its class, the names of its fields, and their values."""
    kind = type(value)
    names = _fields(kind)
    if issubclass(kind, tuple):
        return [_path(kind), " ".join(names), *value]
    extra = getattr(value, "__dict__", {}).keys() - {*names, "__orig_class__"}
    if more := sorted(name for name in extra if not _is_cached(kind, name)):
        raise UnstorableError(
            noun(value),
            f"its attribute {more[0]} is no field; declare it as one, field(init=False)",
        )
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        raise UnstorableError(
            noun(value), f"its field {missing[0]} is not set; set it, to None say"
        )
    return [_path(kind), " ".join(names), *(getattr(value, name) for name in names)]


def object_together(path: Any, fields: Any, *values: Any) -> Any:
    """The object of these field values; no code of its class runs."""
    if type(path) is not str:
        raise CodecError(f"an object whose class is {noun(path)}")
    kind = _known.get(path)
    if kind is None:
        module = path.partition(":")[0]
        raise UnreadableError(
            f"{path!r} is not known here: import {module!r}, that marks it @storable"
        )
    names = _fields(kind)
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


def _path(kind: type, between: str = ":") -> str:
    module = "__main__" if kind.__module__ in _MAIN else kind.__module__
    return f"{module}{between}{kind.__qualname__}"


def _fields(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, tuple):
        return tuple(kind._fields)
    return tuple(field.name for field in dataclasses.fields(kind))


def _is_named_tuple(kind: type) -> bool:
    # A class derived from a NamedTuple may have attributes beside the fields.
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and not kind.__dictoffset__


def _is_plain(kind: type) -> bool:
    """Whether a class is a dataclass that holds its fields, and nothing that a base would hold."""
    if not dataclasses.is_dataclass(kind) or issubclass(kind, Enum | type):
        return False
    try:
        object.__new__(kind)
    except TypeError:  # it derives from a list, say, or is abstract
        return False
    names = _fields(kind)
    members = (each for base in kind.__mro__ for each in vars(base).items())
    slots = {name for name, member in members if isinstance(member, MemberDescriptorType)}
    return slots <= set(names) and not any(_runs_code(kind, name) for name in names)


def _runs_code(kind: type, name: str) -> bool:
    """Whether to set a field would call something of the class."""
    member = inspect.getattr_static(kind, name, None)
    return hasattr(type(member), "__set__") and not isinstance(member, MemberDescriptorType)


def _is_cached(kind: type, name: str) -> bool:
    """Whether an attribute has been computed from others, by a cached property."""
    return hasattr(inspect.getattr_static(kind, name, None), "__set_name__")
