"""Objects by their fields: dataclasses and named tuples; members of enums by their names.

Such a class of the project has a format if its module holds it under its name, and if nothing but
fields makes its objects. Any other dataclass or named tuple has one if it is marked by `storable`.
Loading imports no module of the project: a class is found where its module is imported already.
"""

from __future__ import annotations

import dataclasses
import inspect
from enum import Enum, Flag
from functools import reduce
from importlib import import_module
from operator import or_
from types import MemberDescriptorType
from typing import Any, TypeVar

from pipeline.identity import encode, library_name, short_hash
from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.formats.registered import imported, path_of

Class = TypeVar("Class", bound=type)

_marked: dict[str, type] = {}  # the classes marked in this process, by module and qualified name
_MARK = "__pipeline_storable__"

_OWN_CODE = ("__del__", "__getstate__", "__reduce__", "__reduce_ex__", "__setstate__")
"""Methods that show that fields alone do not make an object."""

_RESULTS_OF = ("numpy", "scipy", "sklearn")
"""Libraries with functions that return named tuples; what they name is imported for loading."""

_ATTRIBUTES = "__dict__"


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

    Raises `UnstorableError` for other classes, and for those that hold more than their fields.
    """
    if not isinstance(kind, type) or not (_is_named_tuple(kind) or _is_plain_dataclass(kind)):
        raise UnstorableError(
            f"cannot mark {getattr(kind, '__qualname__', kind)!r} as storable",
            "it is no dataclass of plain fields and no NamedTuple; put @dataclass below "
            "@storable, or store a dict of its attributes",
        )
    setattr(kind, _MARK, True)
    _marked[path_of(kind)] = kind
    return kind


def is_storable(kind: type) -> bool:
    """Whether a class is marked, and no other was marked by its name since."""
    path = path_of(kind)
    if path.startswith("__main__:") and _MARK in vars(kind):
        _marked[path] = kind  # a class of the main script arrives in a worker by value, marked
    return _marked.get(path) is kind


def script_classes() -> tuple[type, ...]:
    """The marked classes of the main script, which other processes cannot import."""
    return tuple(kind for path, kind in _marked.items() if path.startswith("__main__:"))


def is_object(kind: type) -> bool:
    """Whether a class has a format by its fields or names, marked or not."""
    if is_storable(kind):
        return True
    if issubclass(kind, Enum) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return imported(path_of(kind)) is kind
    return _is_plain_dataclass(kind) and _is_of_project(kind) and imported(path_of(kind)) is kind


def _is_of_project(kind: type) -> bool:
    """Whether a class is the project's, and its objects are nothing but their fields."""
    own = (getattr(kind, name, None) for name in _OWN_CODE)
    plain = {getattr(object, name, None) for name in _OWN_CODE}
    # One with slots has methods of `dataclasses`.
    is_plain = all(code in plain or code.__module__ == "dataclasses" for code in own)
    return is_plain and library_name(kind) is None


def object_parts(value: Any) -> list[Any]:
    """The path of an object's class, the names of its fields, and their values."""
    kind = type(value)
    if issubclass(kind, Enum):
        return [path_of(kind), *_member_parts(value)]
    names = [*field_names(kind)]
    attributes = object.__getattribute__(value, _ATTRIBUTES) if kind.__dictoffset__ else {}
    if issubclass(kind, tuple):
        if len(value) != len(names):
            raise UnstorableError(noun(value), f"it has {len(value)} items for {len(names)} fields")
        beside = [dict(attributes)] if attributes else []
        return [path_of(kind), " ".join([*names, *[_ATTRIBUTES][: len(beside)]]), *value, *beside]
    kept = {}
    for name in sorted(attributes.keys() - {*names, "__orig_class__"}):
        if not hasattr(inspect.getattr_static(kind, name, None), "__set_name__"):
            why = f"its attribute {name} is no field; declare it as one, field(init=False)"
            raise UnstorableError(noun(value), why)
        kept[name] = attributes[name]  # a cached property: its fields may have changed since
    try:
        fields = [object.__getattribute__(value, name) for name in names]
    except AttributeError as error:
        why = f"its field {error.name} is not set; set it, to None say"
        raise UnstorableError(noun(value), why) from error
    beside = [kept] if kept else []
    return [path_of(kind), " ".join([*names, *[_ATTRIBUTES][: len(beside)]]), *fields, *beside]


def build_object(path: Any, fields: Any, *values: Any) -> Any:
    """The object with these field values; no code of its class runs."""
    if type(path) is not str:
        raise CodecError(f"an object whose class is {noun(path)}")
    kind = _kind_at(path)
    if issubclass(kind, Enum):
        return _build_member(kind, fields, values)
    names = list(field_names(kind))
    has_attributes = type(fields) is str and fields.endswith(_ATTRIBUTES) and kind.__dictoffset__
    expected = [*names, _ATTRIBUTES] if has_attributes else names
    if type(fields) is not str or fields != " ".join(expected) or len(values) != len(expected):
        raise CodecError(
            f"{path} has the fields {', '.join(names)} now, and had {fields!r}: compute it again"
        )
    if not issubclass(kind, tuple):
        made: Any = object.__new__(kind)
        for name, value in zip(names, values, strict=False):
            object.__setattr__(made, name, value)
    else:
        made = tuple.__new__(kind, values[: len(names)])
    for attributes in values[len(names) :]:
        object.__getattribute__(made, _ATTRIBUTES).update(attributes)
    return made


def _kind_at(path: str) -> Any:
    """The class at a path, if its objects have a format."""
    module = path.partition(":")[0]
    if (kind := _marked.get(path)) is not None:
        return kind
    if module.partition(".")[0] in _RESULTS_OF and "__" not in module:
        import_module(module)
    kind = imported(path)
    if isinstance(kind, type) and is_object(kind):
        return kind
    raise UnreadableError(
        f"{path!r} is not known here: import {module!r}, which holds it or marks it @storable"
    )


def _member_parts(member: Enum) -> list[str]:
    """The name of a member of an enum, and the hash of its value, which may change.

    Of flags that are several in one, their names.
    """
    name = "|".join(str(flag.name) for flag in member) if isinstance(member, Flag) else member.name
    if _member_of(type(member), name) is not member:
        raise UnstorableError(noun(member), f"{member} is no member by name; return its value")
    return [str(name), short_hash(encode(member.value))]


def _member_of(kind: type[Enum], name: Any) -> Enum | None:
    """The member of a name; of flags with several, or without any."""
    if type(name) is not str:
        return None
    if not issubclass(kind, Flag):
        return kind.__members__.get(name)
    flags = [kind.__members__.get(part) for part in name.split("|")] if name else []
    return None if None in flags else reduce(or_, filter(None, flags), kind(0))


def _build_member(kind: type[Enum], name: Any, values: tuple[Any, ...]) -> Enum:
    member = _member_of(kind, name)
    if member is None or [name, *values] != _member_parts(member):
        raise CodecError(f"{kind.__qualname__} has no such member now: compute it again")
    return member


def field_names(kind: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass or a named tuple; none for an enum."""
    if issubclass(kind, tuple):
        return tuple(kind._fields)
    return () if issubclass(kind, Enum) else tuple(own.name for own in dataclasses.fields(kind))


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
    names = set(field_names(kind))
    members = [member for base in kind.__mro__ for member in vars(base).items()]
    slots = {name for name, member in members if isinstance(member, MemberDescriptorType)}
    static = [inspect.getattr_static(kind, name, None) for name in names]
    setters = [member for member in static if hasattr(type(member), "__set__")]
    return slots <= names and all(isinstance(member, MemberDescriptorType) for member in setters)
