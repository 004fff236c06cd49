"""Attributes of values, read without running code of the project.

`getattr` may run any code: a property, a descriptor, `__getattr__` of an object, of a module or of
a metaclass. While a run is planned none of it runs, and no `__eq__`, `__hash__`, `__repr__`,
`__len__`, `__bool__`, `__iter__` or `__array__` of the project. What runs, for nothing else knows
the answer:

- `__reduce__`, `__reduce_ex__`, `__getstate__`, `__getnewargs__`, `copyreg`: what an object holds,
  where its class defines one of them. The state of all other objects is read.
- `__dask_tokenize__`, which an object reports itself by, and Dask's protocol of collections.
- `__fspath__` of a path, `__class__`, which `isinstance` reads, and what a metaclass says of
  classes as keys of dicts: `__hash__`, `__eq__`.
- Tables and arrays of classes derived from a library's, by that library.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, cast

import numpy as np

from pipeline.identity.code.modules import Library, is_library, is_library_module, namespace

HEAP_TYPE = 1 << 9
"""The flag of classes that a program made, as `class` does."""
MISSING = object()
"""In place of an attribute that is not there."""

_TYPE_PARTS = {
    name: cast("Any", vars(type)[name]).__get__
    for name in (
        "__name__", "__qualname__", "__module__", "__flags__", "__bases__", "__mro__", "__dict__",
        "__basicsize__", "__itemsize__", "__dictoffset__", "__weakrefoffset__",
    )
}  # fmt: skip


def type_part(kind: type, name: str) -> Any:
    """A part that every class has; its metaclass does not decide."""
    return _TYPE_PARTS[name](kind)


def is_library_class(kind: type) -> bool:
    """Whether a class is of a library or of C, so that none of the project's code is in it."""
    if not type_part(kind, "__flags__") & HEAP_TYPE:
        return True
    module = type_part(kind, "__module__")
    is_cython = type(module) in (GetSetDescriptorType, MemberDescriptorType)
    return is_cython or (isinstance(module, str) and is_library(module))


def member_of(kind: type, name: str) -> Any:
    """What a class or one of its bases holds under a name, or `MISSING`."""
    for base in type_part(kind, "__mro__"):
        members = type_part(base, "__dict__")
        if name in members:
            return members[name]
    return MISSING


def held(value: Any, name: str, default: Any = None) -> Any:
    """What an object holds under a name; what a function or an object of a library offers."""
    kind = type(value)
    if issubclass(kind, type):
        return default
    if not issubclass(kind, ModuleType) and is_library_class(kind):
        return getattr(value, name, default)
    members = namespace(value)
    if name in members:
        return members[name]
    member = member_of(kind, name)
    return library_attribute(value, name, default) if _is_slot(member) else default


def display_name(value: Any) -> str:
    """The name of a function, class or module; the name of its class for any other object."""
    kind = type(value)
    if issubclass(kind, type):
        return str(type_part(value, "__name__"))
    return str(held(value, "__name__", type_part(kind, "__name__")))


_ITEMS: dict[type, Callable[[Any], Iterable[Any]]] = {
    dict: dict.values,
    **{kind: vars(kind)["__iter__"] for kind in (list, tuple, set, frozenset)},
}


def items_of(value: Any) -> list[Any]:
    """The items of a list, tuple or set and the values of a dict, whatever a subclass makes of it.

    No items of any other value.
    """
    kinds = (base for base in _ITEMS if issubclass(type(value), base))
    return list(_ITEMS[kind](value)) if (kind := next(kinds, None)) else []


def is_data(value: Any) -> bool:
    """Whether a value is an array, or a dict of arrays by their names, that holds no objects.

    Other values may be data, too: this is fast.
    """
    if type(value) is dict:
        is_named = all(type(name) is str for name in value)
        return is_named and all(type(item) is not dict and is_data(item) for item in value.values())
    return type(value) is np.ndarray and not value.dtype.hasobject


def objects_in(values: Collection[Any], atoms: set[type], seen: dict[int, Any]) -> Iterator[Any]:
    """What values, and lists, tuples, sets and dicts among them, hold at any depth, each once.

    atoms: types of values that are left out
    seen: by id, the containers and objects that are left out; those that are met are added
    """
    containers: list[Any] = [values]
    # Data is mostly flat: its items are looked at in C, a level at a time.
    while not atoms.issuperset(map(type, chain.from_iterable(containers))):
        level = list(chain.from_iterable(containers))
        containers = []
        kinds = dict.fromkeys(map(type, level))
        for kind in kinds:
            if kind in atoms:
                continue
            alike = [value for value in level if type(value) is kind] if len(kinds) > 1 else level
            new = dict(zip(map(id, alike), alike, strict=True))
            for place in seen.keys() & new.keys():
                del new[place]
            seen.update(new)
            if kind in _ITEMS:
                containers += new.values()
                containers += [each.values() for each in new.values()] if kind is dict else []
            else:
                yield from new.values()


def _is_slot(member: Any) -> bool:
    return type(member) is MemberDescriptorType


def library_attribute(owner: Any, name: str, default: Any = MISSING) -> Any:
    """An attribute of a module, a class or an object of a library, which may raise anything."""
    try:
        return getattr(owner, name, default)
    except Exception:  # a library's `__getattr__` may raise what it likes
        return default


def attribute_of(owner: Any, name: str) -> Any:
    """An attribute of a module, a class or a function, or `MISSING`.

    Where a descriptor or `__getattr__` of the project would find it, the value is that method: its
    code decides. Attributes of other objects are not known.
    """
    kind = type(owner)
    if kind is Library:
        return Library(owner.module, f"{owner.attribute}.{name}" if owner.attribute else name)
    if kind is FunctionType:
        return vars(owner).get(name, MISSING)
    if issubclass(kind, ModuleType):
        if is_library_module(owner):
            return library_attribute(owner, name)
        members = namespace(owner)
        found = members[name] if name in members else _offered(owner, name)
        return members.get("__getattr__", MISSING) if found is MISSING else found
    return _class_attribute(owner, name) if issubclass(kind, type) else MISSING


def _class_attribute(kind: type, name: str) -> Any:
    for base in type_part(kind, "__mro__"):
        if name in type_part(base, "__dict__"):
            if is_library_class(base):
                return library_attribute(base, name)
            return _unbound(type_part(base, "__dict__")[name], kind)
    return _offered(kind, name)


def _offered(owner: Any, name: str) -> Any:
    """What the class of a module, or the metaclass of a class, offers under a name."""
    kind = type(owner)
    member = member_of(kind, name)
    member = member_of(kind, "__getattr__") if member is MISSING else member
    function = member.fget if isinstance(member, property) else member
    if isinstance(function, FunctionType):
        return MethodType(function, owner)
    is_builtin = is_library_class(type(member)) and hasattr(type(member), "__get__")
    return member.__get__(owner, kind) if is_builtin else _unbound(member, kind)


def _unbound(member: Any, kind: type) -> Any:
    """What a class offers for one of its members; of a descriptor its method, which is not run."""
    if isinstance(member, staticmethod):
        return member.__func__
    if isinstance(member, classmethod):
        return MethodType(member.__func__, kind)
    get = member_of(type(member), "__get__")
    return MethodType(get, member) if isinstance(get, FunctionType) else member


# Objects

_PICKLING = {"__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"}


def plain_state(value: Any) -> tuple[Any, ...] | None:
    """What `object.__reduce_ex__` finds in an object, if its class does not overrule that.

    None for an object that is more than its attributes, slots, and items of a list or a dict.
    """
    kind = type(value)
    slots: list[tuple[str, Any]] = []
    for part in type_part(kind, "__mro__")[:-1]:  # without `object`
        members = type_part(part, "__dict__")
        if not members.keys().isdisjoint(_PICKLING):
            return None  # the rest is known to the class alone
        if "__slots__" in members:
            slots += _slots(part, members)
    base = list if issubclass(kind, list) else dict if issubclass(kind, dict) else object
    offsets = type_part(kind, "__dictoffset__"), type_part(kind, "__weakrefoffset__")
    size = base.__basicsize__ + _POINTER * (len(slots) + (offsets[0] > 0) + (offsets[1] > 0))
    if type_part(kind, "__basicsize__") > size or type_part(kind, "__itemsize__"):
        return None  # the rest is known to C alone
    filled = {}
    for name, slot in slots:
        if not _is_slot(slot):
            return None
        with suppress(AttributeError):  # it was never set
            filled[name] = slot.__get__(value, kind)
    attributes = namespace(value) or None
    items = items_of(value) if base is list else None
    pairs = list(dict.items(value)) if base is dict else None
    return _NEW, (kind,), (attributes, filled) if filled else attributes, items, pairs


_NEW = vars(copyreg)["__newobj__"]  # not in typeshed
_POINTER = tuple.__itemsize__


def _slots(kind: type, members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The slots that a class adds to its bases, by the names of their descriptors."""
    names = members["__slots__"]
    prefix = type_part(kind, "__name__").lstrip("_")
    for name in (names,) if isinstance(names, str) else names:
        if name not in ("__dict__", "__weakref__"):
            is_private = name.startswith("__") and not name.endswith("__") and prefix
            mangled = f"_{prefix}{name}" if is_private else name
            yield mangled, members.get(mangled)
