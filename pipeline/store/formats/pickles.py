"""Pickles: of any value, which may run any code when loaded, or of named classes alone.

A pickle of named classes holds their objects and plain containers. It names no function, and no
class but those: it refers to them by numbers and paths, as to all values that have formats of their
own. These are stored beside it. So what it loads is the code of the named classes, and no other.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import reduce
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, NamedTuple

import cloudpickle

from pipeline.identity import File
from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.formats.registered import path_of

Allowed = bool | tuple[type, ...]
"""Which pickles a store writes and reads: True for all, or those of some classes."""

_NATIVE = frozenset({
    NoneType, bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset,
})  # fmt: skip
_BUILT_IN = {kind.__name__: kind for kind in (object, list, tuple, dict, set, frozenset)}
_REBUILD = -1  # the number of the function that builds a value of its tag and its parts

Parts = tuple[Any, ...]
Splitting = Callable[[Any], Parts | None]
"""Gives the tag and the parts of a value that holds others; None for one that is stored beside."""


class NamedPickle(NamedTuple):
    """A pickle of named classes.

    paths: of the classes in it
    others: values that it refers to by their numbers
    """

    data: bytes
    paths: list[str]
    others: list[Any]


def pickled(value: Any) -> bytes:
    """A value as a pickle that may hold anything."""
    data = b"__main__"
    with suppress(Exception):  # pickle is faster, but knows functions by their names alone
        data = pickle.dumps(value, protocol=5)
    try:
        if b"__main__" in data:  # which is another module in another process
            data = cloudpickle.dumps(value, protocol=5)
    except Exception as error:
        raise UnstorableError(
            noun(value), f"pickle has no format for it either: {error}; return what it holds"
        ) from error
    if File.__module__.encode() in data:
        why = "a pickle has no content of the File in it; return the File in a list, tuple or dict"
        raise UnstorableError(noun(value), why)
    return data


def pickled_by_name(value: Any, classes: tuple[type, ...], split: Splitting) -> NamedPickle | None:
    """A value as a pickle of some classes; None if it has no object of theirs."""
    file = io.BytesIO()
    pickler = _Pickler(file, classes, split)
    try:
        pickler.dump(value)
    except UnstorableError:
        if pickler.paths:
            raise
    except Exception as error:
        why = f"its pickle raised {type(error).__name__}: {error}; return what it holds"
        raise UnstorableError(noun(value), why) from error
    if not pickler.paths:
        return None
    return NamedPickle(file.getvalue(), sorted(pickler.paths), pickler.others)


class _Pickler(pickle.Pickler):
    """Pickles objects of some classes and plain containers; collects all other values."""

    def __init__(self, file: io.BytesIO, classes: tuple[type, ...], split: Splitting) -> None:
        super().__init__(file, protocol=5)
        self.classes = {path_of(kind): kind for kind in classes}
        self.split = split
        self.paths: set[str] = set()
        self.others: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.parts: dict[int, Parts] = {}
        self.alive: list[Any] = []  # so that no other value gets the id of one

    def persistent_id(self, value: Any) -> int | str | None:
        kind = type(value)
        if kind in _NATIVE or value is object:
            return None
        if (path := path_of(kind)) in self.classes:
            self.paths.add(path)
            return None
        if value is _rebuild_here:
            return _REBUILD
        if isinstance(value, type | FunctionType | BuiltinFunctionType):
            if (path := path_of(value)) not in self.classes:
                name = value.__qualname__
                why = (
                    f"the pickle of an object needs {path}; name it, too: Store(pickle=[{name}, …])"
                )
                raise UnstorableError(noun(value), why)
            self.paths.add(path)
            return path
        if id(value) not in self.numbers and id(value) not in self.parts:
            self.alive.append(value)
            if parts := self.split(value):
                self.parts[id(value)] = parts
            else:
                self.numbers[id(value)] = len(self.others)
                self.others.append(value)
        return self.numbers.get(id(value))

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Enum):  # before Python 3.11.4, a pickle of it calls `getattr`
            return type(value), (value.value,)
        parts = self.parts.get(id(value))
        return NotImplemented if parts is None else (_rebuild_here, parts)


def _rebuild_here(*parts: Any) -> Any:
    raise NotImplementedError(parts)  # a pickle has its number alone


def unpickled(
    view: memoryview, allowed: Allowed, rebuild: Callable[..., Any], parts: Sequence[Any]
) -> Any:
    """The value of a pickle.

    rebuild: makes a value of its tag and its parts
    parts: none, or the paths and the other values of a pickle of named classes
    """
    if not parts:
        if allowed is not True:
            raise UnreadableError(
                "a pickle, which may run any code: to allow it, Store(pickle=True)"
            )
        try:
            return cloudpickle.loads(view)
        except AttributeError as error:  # a module without what it had where this was pickled
            raise UnreadableError(f"a pickle of what is missing here: {error}") from error
    paths, others = parts
    return _Unpickler(view, _classes_at(paths, allowed), others, rebuild).load()


def _classes_at(paths: list[Any], allowed: Allowed) -> dict[str, type]:
    known = {path_of(kind): kind for kind in allowed} if isinstance(allowed, tuple) else {}
    for path in paths:
        if type(path) is not str or not (path in known or allowed is True):
            _, _, name = str(path).partition(":")
            raise UnreadableError(f"a pickle of {path}: to allow it, Store(pickle=[{name}])")
        module, _, name = path.partition(":")
        if path not in known:
            owner: Any = import_module(module)
            try:
                known[path] = reduce(getattr, name.split("."), owner)
            except AttributeError as error:
                raise UnreadableError(f"a pickle of what is missing here: {error}") from error
    return {path: known[path] for path in paths}


class _Unpickler(pickle.Unpickler):
    """Loads objects of some classes, plain containers, and values that are there already."""

    def __init__(
        self, view: memoryview, classes: dict[str, type], others: list[Any],
        rebuild: Callable[..., Any],
    ) -> None:  # fmt: skip
        super().__init__(io.BytesIO(view))
        self.classes, self.others, self.rebuild = classes, others, rebuild

    def find_class(self, module: str, name: str) -> Any:
        if module == "builtins" and name in _BUILT_IN:
            return _BUILT_IN[name]
        raise CodecError(f"a pickle of named classes that holds {module}.{name}")

    def persistent_load(self, number: Any) -> Any:
        if type(number) is str and number in self.classes:
            return self.classes[number]
        if type(number) is not int or not _REBUILD <= number < len(self.others):
            raise CodecError(f"no value of a pickle has the number {noun(number)}")
        return self.rebuild if number == _REBUILD else self.others[number]
