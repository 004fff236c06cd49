"""What a function reaches: its code, and the values that it names.

Functions and classes of installed libraries count by their name and are not followed. Those of the
project are followed, wherever they lie, attributes of its modules included.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import sys
import sysconfig
from collections import ChainMap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from pipeline.identity.bytecode import Import, code_content, names_in_code

_NO_CONTENT = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl",
    "__static_attributes__", "__slotnames__", "__annotations__", "__annotations_cache__",
    "__annotate__", "__annotate_func__", "__classdictcell__", "__type_params__", "__parameters__",
    "__orig_bases__", "_value2member_map_", "_unhashable_values_", "_hashable_values_",
    "_unhashable_values_map_",
}  # fmt: skip
"""Members of a class that do not change what it does."""
_HEAP_TYPE = 1 << 9
"""The flag of classes that a program made, as `class` does."""
_MISSING = object()
_PACKAGE = __name__.partition(".")[0]


class Library(NamedTuple):
    """A module of an installed library, or what it holds, by name: it need not be loaded."""

    module: str
    attribute: str | None = None


class _Unimportable:
    """A module of the project that cannot be imported now, and so has no content."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name, self.error = name, error

    def __reduce__(self) -> str:
        raise TypeError(f"importing {self.name} raised {type(self.error).__name__}: {self.error}")


def library_name(value: Any) -> str | None:
    """The qualified name of what an installed library, or Python itself, holds under that name."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not is_library(module):
        return None
    if isinstance(value, type) and not value.__flags__ & _HEAP_TYPE:
        return f"{module}.{name}"  # a class of C, which a module need not hold
    package, *rest = module.split(".")
    if package == _PACKAGE and rest:  # where it exports it: moving a file changes no digest
        folder = f"{package}.{rest[0]}"
        if getattr(sys.modules[folder], name, None) is value:
            return f"{package if name in sys.modules[package].__all__ else folder}.{name}"
    return held_name(value, name)


def held_name(value: Any, name: str) -> str | None:
    """The qualified name of a value, if its module holds it under that name."""
    module = getattr(value, "__module__", None) or ""
    held: Any = sys.modules.get(module)
    for part in name.split("."):
        held = getattr(held, part, None)
    return f"{module}.{name}" if held is value else None


def is_library(name: str) -> bool:
    """Whether a module is of Python, of an installed library, or of this engine."""
    module = sys.modules.get(name)
    return module is not None and _is_library(name, getattr(module, "__file__", None))


def is_library_module(module: ModuleType) -> bool:
    """The same of a module that may not be registered under its name."""
    return _is_library(module.__name__, getattr(module, "__file__", None))


@functools.cache
def _is_library(name: str, path: str | None) -> bool:
    package = name.partition(".")[0]
    if name == "__main__":
        return False  # a tool's `__main__` may run the project's code
    if package == _PACKAGE and not name.startswith(f"{_PACKAGE}.apps"):
        return True  # the engine, also where it is installed from its sources
    if path is None:  # built into Python, a namespace, or made by a program
        return name in sys.builtin_module_names or package in sys.stdlib_module_names
    return _is_installed(Path(path))


def _is_installed(path: Path) -> bool:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts) or any(
        path.is_relative_to(sysconfig.get_path(kind)) for kind in kinds
    )


class Reference(NamedTuple):
    """A value that a function names, with its name in the code."""

    name: str
    value: Any
    owner: Any  # the module, class or function whose attribute it is; None for a variable
    is_seedless: bool = False  # the code calls it there, with nothing or None
    is_last: bool = True  # the code does not only take an attribute of it


def references_of(function: FunctionType) -> Iterator[Reference]:
    """What the code of a function names, as far as that is known without running it."""
    names = names_in_code(function.__code__)
    imported = {target.name: _imported(function, target) for target in names.imports}
    for name, value in imported.items():
        yield Reference(name, value, None, is_last=False)
    inner = closure_values(function) | {name: _loaded(value) for name, value in imported.items()}
    variables = ChainMap(function.__globals__, vars(builtins))
    for (head, *attributes), is_global, is_seedless in names.chains:
        value = (variables if is_global else inner).get(head, _MISSING)
        name, owner = head, None if is_global else imported.get(head)
        owner = owner if isinstance(owner, Library) else None
        while value is not _MISSING:
            is_last = not attributes
            yield Reference(name, value, owner, is_seedless and is_last, is_last)
            if is_last:
                break
            attribute = attributes.pop(0)
            owner, value, name = value, attribute_of(value, attribute), f"{name}.{attribute}"


def closure_values(function: FunctionType) -> dict[str, Any]:
    """The values that a function takes from the functions around it, by name."""
    values = zip(function.__code__.co_freevars, _cell_values(function), strict=True)
    return {name: value for name, value in values if value is not _MISSING}


def _cell_values(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # an empty cell
            yield _MISSING


def attribute_of(owner: Any, name: str) -> Any:
    """An attribute of a module, a class or a function; asking an object may run any code."""
    if isinstance(owner, FunctionType):
        return vars(owner).get(name, _MISSING)
    try:  # a lazy module, or a metaclass, may raise anything
        return getattr(owner, name) if isinstance(owner, ModuleType | type) else _MISSING
    except Exception:
        return _MISSING


def _imported(function: FunctionType, target: Import) -> Any:
    """What an import in a body will find: a module of the project is imported for that.

    A library counts by its name, loaded or not. None where the body will not find it either.
    """
    package = function.__globals__.get("__package__") or ""
    try:
        name = importlib.util.resolve_name("." * target.level + target.module, package)
        if name in sys.modules:
            is_installed = is_library(name)
        elif (spec := importlib.util.find_spec(name)) is None:
            return None
        else:  # a folder without an `__init__.py` has no file, but places
            places = [spec.origin] if spec.origin else spec.submodule_search_locations or ()
            is_installed = all(
                _is_installed(path) for path in map(Path, places) if path.is_absolute()
            )
    except (ImportError, ValueError):
        return None
    if is_installed:
        return Library(name, target.attribute)
    try:
        module = importlib.import_module(name)
        if target.attribute is None or hasattr(module, target.attribute):
            return module if target.attribute is None else getattr(module, target.attribute)
        return importlib.import_module(f"{name}.{target.attribute}")
    except Exception as error:  # a module may raise anything
        return _Unimportable(name, error)


def _loaded(value: Any) -> Any:
    """What a library holds under a name, if it is loaded."""
    if not isinstance(value, Library):
        return value
    module = sys.modules.get(value.module, _MISSING)
    return module if value.attribute is None else getattr(module, value.attribute, _MISSING)


def definition_parts(value: FunctionType | type | ModuleType) -> Iterator[object]:
    """The parts of a function, a class or a module, always in the same order."""
    if not isinstance(value, FunctionType):
        if isinstance(value, type):
            yield from (value.__bases__, type(value))
        for name, member in sorted(vars(value).items()):
            if name not in _NO_CONTENT and not (isinstance(value, ModuleType) and name[:2] == "__"):
                yield name, _unwrapped(member)
        return
    yield from (code_content(value.__code__), value.__defaults__, value.__kwdefaults__)
    for content in _cell_values(value):
        yield "an empty cell" if content is _MISSING else _module_by_name(content)
    for reference in references_of(value):
        if reference.owner is None or _is_of_the_project(reference.owner):
            named = reference.value
            yield reference.name, named if reference.is_last else _module_by_name(named)


def _module_by_name(value: Any) -> Any:
    """A module by its name, for the attributes that the code takes of it count; others as is."""
    if not isinstance(value, ModuleType):
        return value
    return Library(value.__name__) if is_library_module(value) else f"module {value.__name__}"


def _is_of_the_project(owner: Any) -> bool:
    if isinstance(owner, ModuleType):
        return not is_library_module(owner)
    return isinstance(owner, FunctionType) and library_name(owner) is None


def _unwrapped(member: Any) -> Any:
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, (staticmethod, classmethod)):
        return (type(member).__name__, member.__func__)
    return member.func if isinstance(member, functools.cached_property) else member
