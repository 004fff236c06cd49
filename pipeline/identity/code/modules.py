"""Modules by their names: installed libraries, and the project's, found without importing them.

Importing runs a module. So a module that is not imported yet is found as Python would find it, and
its code is compiled and read. No package around it is imported, either.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import _LazyModule  # type: ignore[attr-defined] # not in typeshed
from pathlib import Path
from types import CodeType, GetSetDescriptorType, ModuleType
from typing import Any, NamedTuple, cast
from zipimport import zipimporter

_PACKAGE = __name__.partition(".")[0]


class Library(NamedTuple):
    """A module of an installed library, or what it holds, by name: it need not be loaded."""

    module: str
    attribute: str | None = None


class UnimportedModule:
    """A module of the project that is not imported: its code, as it would run.

    It counts by its code, and by what its code names: modules that it imports, which count in the
    same way, and values of modules that are imported already. Once imported it counts as all
    modules do, by the values that a function takes of it. So its first import changes digests: one
    more computation, never a wrong value.

    name, package: under which it would be imported
    path: of its file; empty for a folder without one
    """

    def __init__(self, name: str, package: str, path: str, code: CodeType) -> None:
        self.name, self.package, self.path = name, package, path
        self.__code__ = code

    def __repr__(self) -> str:
        return f"the module {self.name}"


class UnknownModule(NamedTuple):
    """A module of the project that cannot be read without importing it, and so has no content."""

    name: str
    reason: str

    def __repr__(self) -> str:
        return f"the module {self.name}"

    def __str__(self) -> str:
        return (
            f"it is not imported yet, and cannot be read without that: {self.reason}; import it "
            "before, at the top of the script"
        )


_namespace = cast("GetSetDescriptorType", vars(ModuleType)["__dict__"]).__get__


def namespace(value: Any) -> Mapping[str, Any]:
    """The attributes that a module, a class or any object holds itself; no code runs for that."""
    try:
        held: Mapping[str, Any] = _namespace(value)  # `vars` loads a lazy module
    except TypeError:  # no module
        try:
            held = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return {}
    return held


def module_name(module: ModuleType) -> str:
    """The name of a module, which a module of the project may have changed to anything."""
    return str(namespace(module).get("__name__", "?"))


def is_imported(name: str) -> bool:
    """Whether a module is imported. A lazy one is not, before it is used."""
    return name in sys.modules and type(sys.modules[name]) is not _LazyModule


def settled(value: Any) -> Any:
    """What a lazy module of `importlib` is before it is used; any other value as it is."""
    return find_module(module_name(value)) if type(value) is _LazyModule else value


# Libraries


def is_library(name: str) -> bool:
    """Whether a module is of Python, of an installed library, or of this engine."""
    module = sys.modules.get(name)
    return module is not None and _is_library(name, namespace(module).get("__file__"))


def is_library_module(module: ModuleType) -> bool:
    """The same of a module that may not be registered under its name."""
    held = namespace(module)
    return _is_library(str(held.get("__name__", "")), held.get("__file__"))


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


# Modules that are not imported


def find_module(name: str) -> Library | UnimportedModule | UnknownModule | None:
    """What importing a module would find. None if it would find nothing."""
    spec, is_certain = _found(name)
    if spec is None:
        return None if is_certain else UnknownModule(name, _OTHER_FINDER)
    inner = spec.submodule_search_locations
    places = [spec.origin] if spec.origin else list(inner or ())
    if spec.origin in ("built-in", "frozen") or all(
        _is_installed(Path(place).absolute()) for place in places
    ):
        return Library(name)
    if not is_certain:
        return UnknownModule(name, _OTHER_FINDER)
    package = name.rpartition(".")[0] if inner is None else name
    try:
        code = _code(spec)
    except Exception as error:  # a loader may raise anything
        return UnknownModule(name, f"{type(error).__name__}: {error}")
    if code is None:
        return UnknownModule(name, f"{type(spec.loader).__name__} loads it")
    return _unimported(name, package, spec.origin or "", code)


_OTHER_FINDER = "a finder of the project in sys.meta_path may find it elsewhere"

_unimported = functools.cache(UnimportedModule)  # one object each: a walk knows them by their ids


def _found(name: str) -> tuple[ModuleSpec | None, bool]:
    """Where a module is, and whether that is certain: a finder of the project is not run."""
    package, _, last = name.rpartition(".")
    places, is_certain = None, True
    if package:
        places, is_certain = _places(package)
        if places is None:
            return None, is_certain
    for finder in sys.meta_path:
        if finder is PathFinder:
            # By its last name: for a folder without a file it looks its package up, as imported.
            spec = PathFinder.find_spec(last, places)
        elif is_library((finder if isinstance(finder, type) else type(finder)).__module__):
            spec = finder.find_spec(name, places)
        else:
            spec, is_certain = None, False
        if spec is not None:
            return spec, is_certain
    return None, is_certain


def _places(package: str) -> tuple[Sequence[str] | None, bool]:
    """The folders of a package's modules. None for a module that is no package."""
    if package in sys.modules:
        places = namespace(sys.modules[package]).get("__path__")
        return None if places is None else list(places), True
    spec, is_certain = _found(package)
    inner = None if spec is None else spec.submodule_search_locations
    return None if inner is None else list(inner), is_certain


def _code(spec: ModuleSpec) -> CodeType | None:
    """The code of a module. None if only its loader knows that."""
    loader = spec.loader
    if loader is None:  # a folder without a file
        return _compiled(b"", "")
    if type(loader) is SourceFileLoader:  # from its source: the compiled file may be stale
        return _compiled(loader.get_data(loader.path), loader.path)
    if type(loader) in (SourcelessFileLoader, zipimporter):
        return cast("zipimporter", loader).get_code(spec.name)
    return None


@functools.lru_cache(1024)
def _compiled(source: bytes, path: str) -> CodeType:
    return compile(source, path, "exec", dont_inherit=True)
