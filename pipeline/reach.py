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
from typing import TYPE_CHECKING, Any

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
                is_property = isinstance(member, property)
                yield name, (member.fget, member.fset, member.fdel) if is_property else member
        return
    yield _code(value.__code__)
    yield value.__defaults__
    yield value.__kwdefaults__
    for cell in value.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            yield "an empty cell"
    for name in _global_names(value.__code__):
        found = value.__globals__.get(name)
        yield name, found
        if isinstance(found, ModuleType) and not _is_library(found.__name__):
            for attribute in value.__code__.co_names:
                if hasattr(found, attribute):
                    yield f"{name}.{attribute}", getattr(found, attribute)


def _code(code: CodeType) -> tuple[object, ...]:
    """The code without file names and line numbers."""
    constants = (_code(each) if isinstance(each, CodeType) else each for each in code.co_consts)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return (code.co_code, *names, *counts, *constants)


@functools.lru_cache(1024)
def _global_names(code: CodeType) -> tuple[str, ...]:
    loads = ("LOAD_GLOBAL", "LOAD_NAME")
    names = {each.argval for each in dis.get_instructions(code) if each.opname in loads}
    for each in code.co_consts:
        if isinstance(each, CodeType):
            names.update(_global_names(each))
    return tuple(sorted(names))
