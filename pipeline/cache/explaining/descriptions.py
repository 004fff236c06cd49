"""What the digest of a function covers, part by part, for a person."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

from dask.typing import Key

from pipeline.identity import (
    ATOMS,
    Digester,
    Known,
    UnimportedModule,
    Versions,
    closure_values,
    definition_parts,
    encode,
    hash_encoded,
    held,
    is_library,
    module_name,
    namespace,
    type_part,
)

CodeDescription = dict[str, dict[str, str]]
"""For each definition that a function reaches, its parts by name: their texts, or hashes."""

ITSELF = "its own"
"""The name of the described function among the definitions."""

SETTINGS = "settings"
"""The name, among the definitions, of what an object or a function of a library is."""


def titled(description: CodeDescription) -> CodeDescription:
    """A description in which the function has its name, as others that it reaches have."""
    return {
        parts["title"] if name == ITSELF else name: parts for name, parts in description.items()
    }


class _Described(NamedTuple):
    """A definition, its parts as texts, the definitions and the libraries that they name."""

    definition: Any
    parts: dict[str, str]
    named: list[Any]
    libraries: dict[str, str]


class CodeDescriber:
    """Describes functions; what several of them reach is read once, while nothing changes it."""

    def __init__(self, versions: Versions = "minor") -> None:
        self._versions = versions
        self._known: dict[int, _Described] = {}  # by id

    def __call__(self, function: Any) -> CodeDescription:
        """What the digest of a function covers, part by part, as far as it has a digest."""
        first = _Describer(self._versions)
        description: CodeDescription = {}
        with suppress(TypeError, RecursionError):
            first.encode(held(function, "__func__", function))
            libraries = dict(first.libraries)
            queue, seen = list(first.definitions), set(map(id, first.definitions))
            for definition in queue:  # which grows meanwhile
                read = self._read(definition)
                parts = {**read.parts, "in": _place(definition)}
                if _is_of_library(definition):  # the version of the library covers its code
                    parts = {name: parts[name] for name in parts if name.startswith("closure")}
                if parts:
                    name = title = _title(definition)
                    if not description:
                        name, parts["title"] = ITSELF, title
                    while name in description:
                        name += "′"
                    description[name] = parts
                libraries |= read.libraries
                queue += [other for other in read.named if id(other) not in seen]
                seen.update(map(id, read.named))
            if settings := _settings(function):
                description[SETTINGS] = settings
            description["libraries"] = libraries
        return description

    def _read(self, definition: Any) -> _Described:
        if id(definition) not in self._known:
            describer = _Describer(self._versions)
            describer.definition(definition)
            parts = {part: str(describer.encode(value)) for part, value in _parts(definition)}
            named = describer.definitions[1:]
            self._known[id(definition)] = _Described(definition, parts, named, describer.libraries)
        return self._known[id(definition)]


class _Describer(Digester):
    """A digester that encodes definitions by name, and keeps the versions of libraries."""

    def __init__(self, versions: Versions) -> None:
        super().__init__(known=Known(versions))
        self.definitions: list[Any] = []
        self.libraries: dict[str, str] = {}

    def library(self, name: str, module: str) -> str:
        text = super().library(name, module)
        package, _, version = text.rpartition(" of ")[2].partition(" ")
        if version:
            self.libraries[package] = version
        return text.partition(" #")[0]

    def definition(self, value: Any) -> Key:
        self.is_inside = True
        if not any(value is known for known in self.definitions):
            self.definitions.append(value)
        return f"definition {_name(value)}"


def _is_of_library(definition: Any) -> bool:
    module = type_part(definition, "__module__") if isinstance(definition, type) else None
    if isinstance(definition, FunctionType):
        module = definition.__module__
    return isinstance(module, str) and is_library(module)


def _settings(function: Any) -> dict[str, str]:
    """The name of a function of a library, and what a partial or an object holds, as texts."""
    inner = held(function, "__func__", function)
    if type(function) is partial:
        places = {f"argument {place}": value for place, value in enumerate(function.args, 1)}
        names = {f"`{name}`": value for name, value in function.keywords.items()}
        texts = {name: _setting(value) for name, value in {**places, **names}.items()}
        return {**_settings(function.func), **texts}
    if isinstance(inner, FunctionType | BuiltinFunctionType | type):
        owner = held(function, "__self__")
        of = f" of {type_part(owner, '__qualname__')}" if isinstance(owner, type) else ""
        is_named = _is_of_library(inner) or isinstance(inner, BuiltinFunctionType)
        return {"name": f"{inner.__module__}.{inner.__qualname__}{of}"} if is_named else {}
    if type(function) in (list, tuple, dict):
        return {}
    kind = type(function)
    name = f"{type_part(kind, '__module__')}.{type_part(kind, '__qualname__')}"
    texts = {
        f"`{name.lstrip('_')}`": _setting(value) for name, value in namespace(function).items()
    }
    return {"name": name, **texts} if is_library(name.partition(".")[0]) else texts


def _setting(value: Any) -> str:
    """A constant as it is written; of any other value a text that changes with it."""
    items = value if type(value) in (list, tuple) else [value]
    if ATOMS.issuperset(map(type, items)) and len(text := repr(value)) <= _SHORT:
        return text
    with suppress(TypeError, RecursionError):  # it has no content
        return f"#{hash_encoded(encode(value))}"
    return "#"


_SHORT = 40
"""Characters of a setting that is shown."""


def _parts(definition: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a definition, by the names that a person knows them by."""
    parts: Iterator[Any] = iter(definition_parts(definition))
    if not isinstance(definition, FunctionType):
        heads = ["bases", "metaclass"] if isinstance(definition, type) else []
        heads += ["code"] if isinstance(definition, UnimportedModule) else []
        yield from zip(heads, parts, strict=False)
        yield from ((f"`{name}`", value) for name, value in parts)
        return
    closure = [f"closure value `{name}`" for name in definition.__code__.co_freevars]
    yield from zip(("code", "defaults", "keyword defaults", *closure), parts, strict=False)
    for name, value in parts:
        if name not in closure_values(definition):
            yield f"{'value' if '.' in name else 'global'} `{name}`", value


def _name(definition: Any) -> str:
    if isinstance(definition, ModuleType):
        return module_name(definition)
    if isinstance(definition, UnimportedModule):
        return definition.name
    is_class = isinstance(definition, type)
    return str(type_part(definition, "__qualname__") if is_class else definition.__qualname__)


def _title(definition: Any) -> str:
    kinds = {ModuleType: "module", UnimportedModule: "module", FunctionType: "helper"}
    return f"{kinds.get(type(definition), 'class')} `{_name(definition)}`"


def _place(definition: Any) -> str:
    """The file of a definition, as it follows its name; empty if it was not made by a file."""
    if isinstance(definition, FunctionType):
        path = definition.__code__.co_filename
    elif isinstance(definition, UnimportedModule):
        path = definition.path
    else:
        is_class = isinstance(definition, type)
        module = sys.modules.get(type_part(definition, "__module__")) if is_class else definition
        path = namespace(module).get("__file__") or ""
    return "" if not path or path.startswith("<") else f" in {Path(path).name}"
