"""The names by which a definition reaches values, and whether they are bound to the same values.

Looking a name up takes a tenth of a microsecond, reading a function a hundred.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from operator import attrgetter, is_
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple

from pipeline.identity.attributes import MISSING, attribute_of, type_part
from pipeline.identity.code.bytecode import names_in_code
from pipeline.identity.code.modules import Library, is_library_module, namespace, settled
from pipeline.identity.code.uses import uses_in_code


class Lookup(NamedTuple):
    """A name in a namespace, and its value there; `MISSING` if it has none."""

    members: Mapping[str, Any]
    name: str
    value: Any


class Bindings(NamedTuple):
    """A function or a class, and the values of the names that it is read by.

    attributes: that are replaced, not changed: of a function its code, defaults and name
    kind: of a class its metaclass
    members: of a class, in their order
    """

    definition: Any
    attributes: tuple[Any, ...]
    kind: type
    lookups: tuple[Lookup, ...] = ()
    cells: tuple[tuple[CellType, Any], ...] = ()
    members: tuple[tuple[str, Any], ...] = ()

    def are_same(self) -> bool:
        """Whether all names are bound to the same values."""
        for members, name, value in self.lookups:
            if members.get(name, MISSING) is not value:
                return False
        definition = self.definition
        if type(definition) is not self.kind:
            return False
        if self.attributes and not all(map(is_, _attributes(definition), self.attributes)):
            return False
        for cell, value in self.cells:
            if _content(cell) is not value:
                return False
        return not self.members or self._has_members()

    def _has_members(self) -> bool:
        names, values = zip(*self.members, strict=True)
        now, held = zip(*_members(self.definition), strict=True)
        return names == now and all(map(is_, values, held))


_attributes = attrgetter("__code__", "__defaults__", "__kwdefaults__", "__qualname__")


def bindings_of(definition: Any) -> Bindings | None:
    """The bindings of a function or a class. None where names alone do not decide what it is."""
    if isinstance(definition, type):
        return Bindings(definition, (), type(definition), members=tuple(_members(definition)))
    if not isinstance(definition, FunctionType) or definition.__kwdefaults__:
        return None
    names = names_in_code(definition.__code__)
    bound = {target.name for target in names.imports}
    imports = list(map(_import_lookups, (target.module for target in names.imports)))
    chains = [
        _chain_lookups(definition, path, is_global)
        for path, is_global in names.chains
        if is_global or (path[0] in definition.__code__.co_freevars and path[0] not in bound)
    ]
    if uses_in_code(definition.__code__).caches or any(
        found is None for found in (*imports, *chains)
    ):
        return None
    if any(target.level or target.attribute == "*" for target in names.imports):
        return None
    lookups = {
        (id(found.members), found.name): found
        for lookups in (*imports, *chains)
        for found in lookups or ()
    }
    return Bindings(
        definition,
        _attributes(definition),
        FunctionType,
        tuple(lookups.values()),
        tuple((cell, _content(cell)) for cell in definition.__closure__ or ()),
    )  # fmt: skip


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, member in type_part(kind, "__dict__").items():
        yield name, member
        if type(member) is cached_property:
            yield name, member.func
    yield from (("", base) for base in type_part(kind, "__bases__"))
    yield "", type_part(kind, "__qualname__")


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return MISSING


def _import_lookups(name: str) -> list[Lookup] | None:
    """An imported library counts by its name and version. None for all other modules."""
    module = sys.modules.get(name)
    if module is None or not is_library_module(module):
        return None
    return [Lookup(sys.modules, name, module)]


def _chain_lookups(
    function: FunctionType, path: tuple[str, ...], is_global: bool
) -> list[Lookup] | None:
    """A variable, and the attributes that the code takes of it. None for what may run code."""
    head, *attributes = path
    variables = function.__globals__
    lookups: list[Lookup] = []
    if not is_global:
        value = _content((function.__closure__ or ())[function.__code__.co_freevars.index(head)])
    else:
        value = variables.get(head, MISSING)
        lookups.append(Lookup(variables, head, value))
        if value is MISSING:
            value = vars(builtins).get(head, MISSING)
            lookups.append(Lookup(vars(builtins), head, value))
    for attribute in attributes:
        if value is MISSING or type(value) is Library:
            break
        if settled(value) is not value:
            return None
        found = list(_attribute_lookups(value, attribute))
        if None in found:
            return None
        lookups += filter(None, found)
        value = attribute_of(value, attribute)
    return lookups if settled(value) is value else None


def _attribute_lookups(owner: Any, name: str) -> Iterator[Lookup | None]:
    """Where `attribute_of` looks; None where it calls more than namespaces."""
    if isinstance(owner, type):
        for base in type_part(owner, "__mro__"):
            members = type_part(base, "__dict__")
            yield Lookup(members, name, members.get(name, MISSING))
            if name in members:
                return
        yield None if type(owner) is not type else Lookup({}, name, MISSING)
    elif isinstance(owner, ModuleType):
        members = namespace(owner)
        yield Lookup(members, name, members.get(name, MISSING))
        if name not in members and not is_library_module(owner):
            yield None
    elif isinstance(owner, FunctionType):
        yield Lookup(vars(owner), name, vars(owner).get(name, MISSING))
