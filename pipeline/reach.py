"""What the result of a function may hang on: its code, and the values that it names.

Functions and classes of installed libraries count by their name and are not looked into; those of
the project are followed, wherever they lie, attributes of its modules included.
"""

from __future__ import annotations

import dis
import functools
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a class holds that says nothing of what it does.
_NOISE = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl"}


def library_name(value: Any) -> str | None:
    """The qualified name of what an installed library, or Python itself, holds under that name."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not _is_library(module):
        return None
    return at_its_name(value, name)


def at_its_name(value: Any, name: str) -> str | None:
    """The qualified name of a value, if its module holds it under that name."""
    module = getattr(value, "__module__", None) or ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is value else None


@functools.cache
def _is_library(module: str) -> bool:
    package = __name__.partition(".")[0]
    if module.partition(".")[0] == package and not module.startswith(f"{package}.apps"):
        return True  # the engine, also where it is installed from its sources
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None:
        return module != "__main__"  # built into Python, or not a module at all
    places = {sysconfig.get_path(each) for each in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(Path(path).is_relative_to(place) for place in places)


def parts(value: FunctionType | type) -> Iterator[object]:
    """What a function or a class is made of, in an order of its own."""
    if isinstance(value, type):
        yield value.__bases__
        for name, member in sorted(vars(value).items()):
            if name not in _NOISE:
                yield name, _unwrapped(member)
        return
    yield _code(value.__code__)
    yield value.__defaults__
    yield value.__kwdefaults__
    for cell in value.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            yield "an empty cell"
    names = _names(value.__code__)
    for name in names.loaded:
        found = value.__globals__.get(name)
        yield name, found
        yield from _attributes(name, found, names.others)
    for name in names.imported:
        yield from _attributes(name, sys.modules.get(name), names.others)


def _unwrapped(member: Any) -> Any:
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, (staticmethod, classmethod)):
        return (type(member).__name__, member.__func__)
    return member.func if isinstance(member, functools.cached_property) else member


def _attributes(name: str, module: Any, names: tuple[str, ...]) -> Iterator[object]:
    """What a module of the project holds under some names, modules in it included."""
    if not isinstance(module, ModuleType) or _is_library(module.__name__):
        return
    for each in names:
        if hasattr(module, each):
            found = getattr(module, each)
            yield f"{name}.{each}", found
            if isinstance(found, ModuleType) and found is not module:
                yield from _attributes(f"{name}.{each}", found, names)


def _code(code: CodeType) -> tuple[object, ...]:
    """The code without file names and line numbers."""
    constants = (_code(each) if isinstance(each, CodeType) else each for each in code.co_consts)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return (code.co_code, *names, *counts, *constants)


class _Names(NamedTuple):
    """What a function's code names, inner functions included."""

    loaded: tuple[str, ...]  # as globals
    imported: tuple[str, ...]  # as modules, in its body
    others: tuple[str, ...]  # as attributes, among them


@functools.lru_cache(1024)
def _names(code: CodeType) -> _Names:
    loaded, imported, others = set(), set(), set(code.co_names)
    for each in dis.get_instructions(code):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            loaded.add(each.argval)
        elif each.opname == "IMPORT_NAME":
            imported.add(each.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            names = _names(inner)
            loaded.update(names.loaded)
            imported.update(names.imported)
            others.update(names.others)
    return _Names(*(tuple(sorted(each)) for each in (loaded, imported, others)))
