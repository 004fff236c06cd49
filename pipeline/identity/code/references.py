"""What a function reaches: its code, and the values that it names.

Functions and classes of installed libraries count by their name and are not followed. Those of the
project are followed, wherever they lie, attributes of its modules included. A module that a body
imports counts by its code, if it is not imported yet: see `UnimportedModule`.

Reading what a function reaches runs no code of the project: no module is imported, and no
`__getattr__` or descriptor is called.
"""

from __future__ import annotations

import builtins
import functools
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import resolve_name
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from pipeline.identity.attributes import (
    HEAP_TYPE,
    MISSING,
    attribute_of,
    is_library_class,
    library_attribute,
    type_part,
)
from pipeline.identity.code.bytecode import Import, code_content, names_in_code
from pipeline.identity.code.modules import (
    Library,
    UnimportedModule,
    UnknownModule,
    find_module,
    is_imported,
    is_library,
    is_library_module,
    module_name,
    namespace,
    settled,
)
from pipeline.identity.code.uses import uses_in_code

_NO_CONTENT = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl",
    "__static_attributes__", "__slotnames__", "__annotations__", "__annotations_cache__",
    "__annotate__", "__annotate_func__", "__classdictcell__", "__type_params__", "__parameters__",
    "__orig_bases__", "_value2member_map_", "_unhashable_values_", "_hashable_values_",
    "_unhashable_values_map_",
}  # fmt: skip
"""Members of a class that do not change what it does."""
_PACKAGE = __name__.partition(".")[0]


def library_name(value: Any) -> str | None:
    """The qualified name of what an installed library, or Python itself, holds under that name."""
    kind = type(value)
    if issubclass(kind, type):  # its metaclass may be the project's
        module, name = type_part(value, "__module__"), type_part(value, "__qualname__")
    elif issubclass(kind, ModuleType) or not is_library_class(kind):
        return None
    else:
        module, name = _plain_part(value, "__module__"), _plain_part(value, "__qualname__")
    if not isinstance(module, str) or not isinstance(name, str) or not is_library(module):
        return None
    if issubclass(kind, type) and not type_part(value, "__flags__") & HEAP_TYPE:
        return f"{module}.{name}"  # a class of C, which a module need not hold
    package, *rest = module.split(".")
    if package == _PACKAGE and rest:  # where it exports it: moving a file changes no digest
        folder = f"{package}.{rest[0]}"
        if getattr(sys.modules[folder], name, None) is value:
            return f"{package if name in sys.modules[package].__all__ else folder}.{name}"
    held: Any = sys.modules[module]
    for part in name.split("."):
        held = getattr(held, part, None)
    return f"{module}.{name}" if held is value else None


def _plain_part(value: Any, name: str) -> Any:
    """An attribute, without `__getattr__`: that of a table looks among its labels, and keeps more
    in memory from then on.
    """
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return None


def is_held(value: Any, module: str, name: str) -> bool:
    """Whether a module holds a value under a qualified name."""
    held: Any = sys.modules.get(module)
    for part in name.split("."):
        held = attribute_of(held, part)
    return held is value


class Reference(NamedTuple):
    """A value that a function names, with its name in the code."""

    name: str
    value: Any
    owner: Any  # the module, class or function whose attribute it is; None for a variable
    is_last: bool = True  # the code does not only take an attribute of it


def references_of(definition: FunctionType | UnimportedModule) -> Iterator[Reference]:
    """What the code of a function or module names, as far as that is known without running it."""
    names = names_in_code(definition.__code__)
    imported: dict[str, list[Any]] = {}
    for target in names.imports:  # several may bind one name
        imported.setdefault(target.name, []).extend(_imported(definition, target))
    for name, values in imported.items():
        for value in values:
            yield Reference(name, value, None, is_last=False)
    if isinstance(definition, FunctionType):
        values_of = _of_function(definition, imported)
    else:
        values_of = _of_module(imported)
    for (head, *attributes), is_global in names.chains:
        for value in values_of(head, is_global):
            owner = value if type(value) is Library else None
            yield from _followed(head, attributes, _loaded(value), owner)


_Variables = Callable[[str, bool], Iterable[Any]]
"""The values that a variable may have, by its name and whether it is global."""


def _of_function(function: FunctionType, imported: Mapping[str, list[Any]]) -> _Variables:
    outer = ChainMap(function.__globals__, vars(builtins))
    closed = closure_values(function)

    def values_of(name: str, is_global: bool) -> Iterable[Any]:
        if name in imported and not is_global:
            return imported[name]
        return _present((outer if is_global else closed).get(name, MISSING))

    return values_of


def _of_module(imported: Mapping[str, list[Any]]) -> _Variables:
    """What a module defines itself is in its code."""

    def values_of(name: str, _: bool) -> Iterable[Any]:
        starred = [attribute_of(value, name) for value in imported.get("*", ())]
        return imported.get(name) or _present(*starred, vars(builtins).get(name, MISSING))

    return values_of


def _present(*values: Any) -> list[Any]:
    return [value for value in values if value is not MISSING]


def _followed(name: str, attributes: list[str], value: Any, owner: Any) -> Iterator[Reference]:
    """A variable, and the attributes that the code takes of it, one after another."""
    for place in range(len(attributes) + 1):
        if value is MISSING:
            return
        value = settled(value)
        is_last = place == len(attributes)
        yield Reference(name, value, owner, is_last)
        if not is_last:
            owner, value = value, attribute_of(value, attributes[place])
            name = f"{name}.{attributes[place]}"


def closure_values(function: FunctionType) -> dict[str, Any]:
    """The values that a function takes from the functions around it, by name."""
    values = zip(function.__code__.co_freevars, _cell_values(function), strict=True)
    return {name: value for name, value in values if value is not MISSING}


def _cell_values(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # an empty cell
            yield MISSING


def _loaded(value: Any) -> Any:
    """What a library holds under a name, if it is loaded."""
    module = sys.modules.get(value.module) if type(value) is Library else None
    if module is None:
        return value
    return module if value.attribute is None else library_attribute(module, value.attribute)


# Imports in a body


def _imported(definition: FunctionType | UnimportedModule, target: Import) -> Iterator[Any]:
    """What an import in a body may find, without importing it. None where it will find nothing.

    A library counts by its name, loaded or not. With a module come the packages around it that are
    not imported, for they run before it.
    """
    try:
        name = resolve_name("." * target.level + target.module, _package(definition))
    except ImportError:
        yield None
        return
    attribute = None if target.attribute == "*" else target.attribute
    module = _module(name)
    if isinstance(module, Library):
        yield Library(name, attribute)
        return
    parts = name.split(".")
    packages = (".".join(parts[:count]) for count in range(1, len(parts)))
    yield from (_module(package) for package in packages if not is_imported(package))
    if attribute is None or isinstance(module, UnknownModule | None):
        yield module
        return
    value = module if isinstance(module, UnimportedModule) else attribute_of(module, attribute)
    if value is not MISSING:
        yield value
    if attribute not in namespace(module) and (inner := _module(f"{name}.{attribute}")) is not None:
        yield inner
    elif value is MISSING:
        yield UnknownModule(name, f"it has no {attribute} yet")


def _module(name: str) -> Any:
    """An imported module, or what is found in its place."""
    if not is_imported(name):
        return find_module(name)
    return Library(name) if is_library(name) else sys.modules[name]


def _package(definition: FunctionType | UnimportedModule) -> str:
    if isinstance(definition, UnimportedModule):
        return definition.package
    variables = definition.__globals__
    if (package := variables.get("__package__")) is None:
        package = variables.get("__name__") or ""
        package = package if "__path__" in variables else package.rpartition(".")[0]
    return str(package)


# Definitions


def definition_parts(
    value: FunctionType | type | ModuleType | UnimportedModule,
) -> Iterator[object]:
    """The parts of a function, a class or a module, always in the same order."""
    if isinstance(value, FunctionType):
        yield from (code_content(value.__code__), value.__defaults__, value.__kwdefaults__)
        caches = uses_in_code(value.__code__).caches
        cells = zip(value.__code__.co_freevars, _cell_values(value), strict=True)
        for name, content in cells:
            held = _without_fillings(content) if name in caches else content
            yield "an empty cell" if content is MISSING else _module_by_name(held)
        yield from _named_parts(value)
    elif isinstance(value, UnimportedModule):
        yield code_content(value.__code__)
        yield from _named_parts(value)
    elif isinstance(value, type):
        yield from (type_part(value, "__bases__"), type(value))
        yield from _members(type_part(value, "__dict__"))
    elif (module := settled(value)) is not value:
        yield "module", module
    else:
        held = namespace(value).items()
        yield from _members({name: member for name, member in held if name[:2] != "__"})


def _named_parts(definition: FunctionType | UnimportedModule) -> Iterator[tuple[str, Any]]:
    caches = uses_in_code(definition.__code__).caches
    for reference in references_of(definition):
        if reference.owner is None or _is_of_the_project(reference.owner):
            is_cache = reference.name in caches
            named = _without_fillings(reference.value) if is_cache else reference.value
            yield reference.name, named if reference.is_last else _module_by_name(named)


_first_keys: dict[int, tuple[Any, list[Any]]] = {}
"""Of caches, by their ids, the keys that they had when they were read first in this process."""


def _without_fillings(cache: Any) -> Any:
    """The items of a dict that a function fills, without those that it may have filled in."""
    if type(cache) is not dict:
        return cache
    _, keys = _first_keys.setdefault(id(cache), (cache, list(cache)))
    return {key: cache[key] for key in keys if key in cache}


def _members(members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, member in sorted(members.items()):
        if name not in _NO_CONTENT:
            yield name, _unwrapped(member)


def _module_by_name(value: Any) -> Any:
    """A module by its name, for the attributes that the code takes of it count; others as is."""
    if not isinstance(value, ModuleType):
        return value
    name = module_name(value)
    return Library(name) if is_library_module(value) else f"module {name}"


def _is_of_the_project(owner: Any) -> bool:
    if isinstance(owner, ModuleType):
        return not is_library_module(owner)
    return isinstance(owner, FunctionType) and library_name(owner) is None


def _unwrapped(member: Any) -> Any:
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, staticmethod | classmethod):
        return (type(member).__name__, member.__func__)
    if isinstance(member, functools.cached_property):  # without its lock, in older Pythons
        return ("cached_property", member.func)
    return member
