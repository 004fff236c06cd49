"""What the result of a function may hang on: its code, and the values that it names.

Functions and classes of installed libraries count by their name and are not looked into; those of
the project are followed, wherever they lie, attributes of its modules included.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.bytecode import code_content
from pipeline.names import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.names import Import

# What a class holds that says nothing of what it does.
_NOISE = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl",
    "__static_attributes__",
}  # fmt: skip
_MADE = 1 << 9
"""The flag of classes that were made by a program, as `class` does."""

_MISSING = object()


def library_name(value: Any) -> str | None:
    """The qualified name of what an installed library, or Python itself, holds under that name."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not is_library(module):
        return None
    if isinstance(value, type) and not value.__flags__ & _MADE:
        return f"{module}.{name}"  # of C, some of which no module holds
    return at_its_name(value, name)


def at_its_name(value: Any, name: str) -> str | None:
    """The qualified name of a value, if its module holds it under that name."""
    module = getattr(value, "__module__", None) or ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is value else None


@functools.cache
def is_library(module: str) -> bool:
    """Whether a module is of Python, of an installed library, or of this engine."""
    package = __name__.partition(".")[0]
    if module.partition(".")[0] == package and not module.startswith(f"{package}.apps"):
        return True  # the engine, also where it is installed from its sources
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None:
        return module != "__main__"  # built into Python, or not a module at all
    return _is_installed(Path(path))


def _is_installed(path: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    places = {sysconfig.get_path(each) for each in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path.is_relative_to(place) for place in places)


class Mention(NamedTuple):
    """A value that a function names, as it is written there."""

    name: str
    value: Any
    owner: Any  # the module, class or function whose attribute it is; None for a global
    is_seedless: bool = False  # it is called there, with nothing or None


def mentions(function: FunctionType) -> Iterator[Mention]:
    """What the code of a function names, as far as that can be told without running it."""
    found = names(function.__code__)
    imported = {each.name: _imported(function, each) for each in found.imports}
    for name, value in imported.items():
        yield Mention(name, value, None)
    inner = {**cells(function), **imported}
    for (head, *attributes), is_global, is_seedless in found.chains:
        if is_global:
            value = function.__globals__.get(head, vars(builtins).get(head, _MISSING))
        else:
            value = inner.get(head, _MISSING)
        if value is _MISSING:
            continue
        name = head
        yield Mention(name, value, None, is_seedless and not attributes)
        for place, attribute in enumerate(attributes, 1):
            owner, value, name = value, _attribute(value, attribute), f"{name}.{attribute}"
            if value is _MISSING:
                break
            yield Mention(name, value, owner, is_seedless and place == len(attributes))
        else:
            # A module that goes on as a value may be asked for any attribute that is named.
            if isinstance(value, ModuleType) and not is_library(value.__name__):
                yield from _anything(name, value, found.others)


def cells(function: FunctionType) -> dict[str, Any]:
    """What a function has of the functions around it, by name."""
    found = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in found if not _is_empty(cell)}


def _is_empty(cell: Any) -> bool:
    try:
        return cell.cell_contents is _MISSING
    except ValueError:
        return True


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, FunctionType):
        return vars(owner).get(name, _MISSING)
    if not isinstance(owner, ModuleType | type):
        return _MISSING  # of an object, asking may do anything
    try:
        return getattr(owner, name, _MISSING)
    except Exception:
        return _MISSING


def _anything(name: str, module: ModuleType, others: tuple[str, ...]) -> Iterator[Mention]:
    for each in others:
        value = _attribute(module, each)
        if value is not _MISSING:
            yield Mention(f"{name}.{each}", value, module)
            is_inner = isinstance(value, ModuleType) and value is not module
            if is_inner and not is_library(value.__name__):
                yield from _anything(f"{name}.{each}", value, others)


def _imported(function: FunctionType, wanted: Import) -> Any:
    """What an import in a body will find; a module of the project is imported for that."""
    package = function.__globals__.get("__package__") or ""
    try:
        name = importlib.util.resolve_name("." * wanted.level + wanted.module, package)
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None or _is_installed(Path(spec.origin)):
                return None
        module = importlib.import_module(name)
        if wanted.attribute is None:
            return module
        return getattr(module, wanted.attribute, module)
    except Exception:
        return None  # the body will not find it either


def parts(value: FunctionType | type) -> Iterator[object]:
    """What a function or a class is made of, in an order of its own."""
    if isinstance(value, type):
        yield value.__bases__
        yield type(value)
        for name, member in sorted(vars(value).items()):
            if name not in _NOISE:
                yield name, _unwrapped(member)
        return
    yield code_content(value.__code__)
    yield value.__defaults__
    yield value.__kwdefaults__
    for cell in value.__closure__ or ():
        yield "an empty cell" if _is_empty(cell) else cell.cell_contents
    for each in mentions(value):
        if each.owner is None or _is_of_the_project(each.owner):
            yield each.name, each.value


def _is_of_the_project(owner: Any) -> bool:
    if isinstance(owner, ModuleType):
        return not is_library(owner.__name__)
    return isinstance(owner, FunctionType) and library_name(owner) is None


def _unwrapped(member: Any) -> Any:
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, (staticmethod, classmethod)):
        return (type(member).__name__, member.__func__)
    return member.func if isinstance(member, functools.cached_property) else member
