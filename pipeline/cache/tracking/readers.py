"""The files that a task reads in C, where Python sees no opening: found among its values.

An object that opens files, such as a fragment of Arrow's or an array of Zarr's, knows their paths.
A function that reads files in C has them among its arguments, or as strings in its code.
"""

from __future__ import annotations

import functools
import glob
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, product
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from dask.task_spec import DataNode, GraphNode, Task, TaskRef

from pipeline.graph import inputs_of
from pipeline.identity import (
    ATOMS,
    File,
    closure_values,
    display_name,
    file_handle,
    is_data,
    items_of,
    library_name,
    namespace,
    objects_in,
    references_of,
    type_part,
)
from pipeline.share import Again
from pipeline.store import Store
from pipeline.trace import form_of

MAX_FILES = 10_000
"""Files of one folder, or of one pattern, that are tracked."""

MAX_OBJECTS = 100_000
"""Objects of a task that are looked at; plain values, and containers of them, do not count."""


class Place(NamedTuple):
    """A file, or the names in a folder. kind: "file" or "folder"; name: its path."""

    kind: str
    name: str


class Reads(NamedTuple):
    """What a task reads in C.

    places: files and folders, each once; they need not exist
    effects: what it may read that cannot be tracked, as text for people
    """

    places: list[Place]
    effects: list[str]


def reads_in_c(
    function: Any, values: Sequence[Any] = (), readers: Collection[str] = (), *,
    may_hold_files: bool = True,
) -> Reads:  # fmt: skip
    """The files that a call reads in C, as far as its values name them. Opens none of them.

    values: its arguments
    readers: names of functions that it calls and that read files in C. With any of them, each
        string that names something on the disk counts as a path
    may_hold_files: False for a function that holds none: see `Holding`
    """
    if (chunks := _chunks(function, values)) is not None:
        return Reads([Place("file", path) for path in chunks], [])
    parts = [function, *values] if may_hold_files or readers else values
    if not readers and not (parts := [part for part in parts if not is_data(part)]):
        return Reads([], [])
    search = _Search(bool(readers))
    search.look(parts)
    if readers and not (search.places or search.effects or search.has_file):
        search.effects[
            f"{min(readers)} reads a file that cannot be observed: pass its path as File(path), or "
            "declare the function of the task @pure"
        ] = None
    return Reads(list(search.places), list(search.effects))


class Holding:
    """Whether functions, or what they hold, have objects among them that read files in C.

    What several of them hold is looked at once, while it holds no such object.
    """

    def __init__(self) -> None:
        self._harmless = _Search(False, is_listing=False)

    def __call__(self, values: Sequence[Any]) -> bool:
        self._harmless.look(values)
        if not self._harmless.has_found:
            return False
        self._harmless = alone = _Search(False, is_listing=False)
        alone.look(values)
        return alone.has_found


def path_places(path: str) -> Iterator[Place]:
    """What a path denotes: a file, all in a folder, or all that match a pattern."""
    path = path.removeprefix("file://")
    if not glob.has_magic(path) or os.path.exists(path):
        yield from _all_in(path)
        return
    folder = path
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    yield Place("folder", folder or ".")  # another file may match later
    for name in sorted(glob.glob(path, recursive=True)):
        yield from _all_in(name)


def _all_in(path: str) -> Iterator[Place]:
    if not os.path.isdir(path):
        yield Place("file", path)
    for folder, _, names in os.walk(path):
        yield Place("folder", folder)
        yield from (Place("file", os.path.join(folder, name)) for name in sorted(names))


class _Search:
    """A walk over the values of a task.

    are_paths: whether strings count as paths
    is_listing: False to look for no files on the disk
    has_handle: whether there is an object that reads files
    has_file: whether there is a `File`, whose content the digest covers
    """

    def __init__(self, are_paths: bool, is_listing: bool = True) -> None:
        self.are_paths = are_paths
        self.is_listing = is_listing
        self.has_file = self.has_handle = False
        self.places: dict[Place, None] = {}
        self.effects: dict[str, None] = {}
        self._has_readers = are_paths
        self._seen: dict[int, Any] = {}  # with the values, which keep their ids

    @property
    def has_found(self) -> bool:
        return self.has_file or self.has_handle or self.are_paths or bool(self.effects)

    def look(self, values: Iterable[Any]) -> None:
        parts = [*values]
        containers = [parts]
        number = 0
        while parts:
            found = list(objects_in(parts, _FLAT, self._seen))
            number += len(found)
            if number > MAX_OBJECTS:
                self.effects["it has too many objects, any of which may read a file"] = None
                break
            parts = [part for value in found for part in self._parts(value)]
            containers.append(parts)
        for container in (*containers, *self._seen.values()) if self.are_paths else ():
            if type(container) in (list, tuple, set, frozenset, dict):
                values = container.values() if type(container) is dict else ()
                for text in (*container, *values):
                    if type(text) is str:
                        self._add_text(text)

    def _parts(self, value: Any) -> Iterable[Any]:
        """What to look at in a value. Its own files are added."""
        # `Again` holds all tasks: those that it evaluates are inputs, and were looked at.
        if isinstance(value, type | ModuleType | BuiltinFunctionType | TaskRef | Again | Store):
            return ()
        if isinstance(value, File):
            self.has_file = True
            return ()
        if isinstance(value, os.PathLike):
            return [os.fspath(value)]
        if (form := form_of(value)) is not None:
            return [form.function]
        if isinstance(value, FunctionType):
            return _parts_of_function(value, self._has_readers)
        if self._add_handle(value):
            return ()
        self.are_paths |= _name(type(value)) in _CALLED_WITH_PATHS
        return _parts_of_object(value)

    def _add_handle(self, value: Any) -> bool:
        """Add the files that an object opens. False if it opens none itself."""
        kind: Any = type(value)
        opened = _files_of(kind)
        try:
            handle = None if opened else file_handle(value)
            paths = opened(value) if opened else handle.paths if handle else ()
        except Exception as error:  # one that is closed may raise anything
            self.effects[f"it reads a {display_name(type(value))}: {error}"] = None
            return True
        self.has_handle |= opened is not None or handle is not None
        for path in paths if self.is_listing else ():
            self._add(path)
        return opened is not None or handle is not None

    def _add_text(self, text: str) -> None:
        """Add what a string names, if it names anything."""
        is_name = 0 < len(text) < _MAX_PATH and text.strip("./~*") and text.isprintable()
        path = text.removeprefix("file://")
        if is_name and (os.path.exists(path) or (glob.has_magic(path) and glob.glob(path))):
            self._add(path)

    def _add(self, path: str) -> None:
        places = list(islice(path_places(path), MAX_FILES + 1))
        if len(places) > MAX_FILES:
            self.effects[f"it may read any of the over {MAX_FILES:,} files of {path}"] = None
        else:
            self.places |= dict.fromkeys(places)


_FLAT = {*ATOMS, slice, *(np.dtype(code).type for code in "?bBhHiIlLqQefdFDmM")}
"""Types whose values hold no others."""

_MAX_PATH = 4096

_CALLED_WITH_PATHS = {"dask.dataframe.io.parquet.core.ParquetFunctionWrapper"}
"""Classes of functions that read the files in C that their arguments name."""

_WITHOUT_FILES = {
    "builtins", "collections", "datetime", "decimal", "logging", "numpy", "pandas", "threading",
}  # fmt: skip
"""Packages whose objects have no files as attributes that they read."""

_OPENED: dict[str, Callable[[Any], Iterable[str]]] = {
    "netCDF4._netCDF4.Dataset": lambda value: [value.filepath()],
    "netCDF4._netCDF4.Variable": lambda value: [value.group().filepath()],
    "pandas.io.pytables.HDFStore": lambda value: [value.filename],
    "pyarrow._dataset.FileSystemDataset": lambda value: value.files,
}
"""The files of objects that have no content as arguments, by the names of their classes."""


@functools.lru_cache(4096)
def _files_of(kind: type) -> Callable[[Any], Iterable[str]] | None:
    """What lists the files of the objects of a class. None if its name is not known."""
    names = map(_name, type_part(kind, "__mro__"))
    return next((_OPENED[name] for name in names if name in _OPENED), None)


def _name(kind: type) -> str:
    return f"{type_part(kind, '__module__')}.{type_part(kind, '__qualname__')}"


def _parts_of_function(function: FunctionType, has_readers: bool) -> Iterable[Any]:
    """What a function of the project names and holds, with the strings in its code if it may read
    files in C.
    """
    if library_name(function) is not None:
        return ()
    kinds = (type, ModuleType, BuiltinFunctionType)
    named = [item.value for item in references_of(function) if not isinstance(item.value, kinds)]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    strings = _strings(function.__code__) if has_readers else ()
    return [*strings, *named, *closure_values(function).values(), *defaults]


def _strings(code: Any) -> Iterator[str]:
    for constant in code.co_consts:
        inner = constant if isinstance(constant, tuple) else (constant,)
        yield from (item for item in inner if isinstance(item, str))
        if hasattr(constant, "co_consts"):
            yield from _strings(constant)


def _parts_of_object(value: Any) -> Iterable[Any]:
    """What a container, a task or any other object holds."""
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, GraphNode):
        names = ("func", "value", "args", "kwargs")
        return [getattr(value, name, None) for name in names]
    if isinstance(value, np.ndarray):
        return value.ravel().tolist() if value.dtype.hasobject else ()
    keys = dict.keys(value) if isinstance(value, dict) else ()
    if str(type_part(type(value), "__module__")).partition(".")[0] in _WITHOUT_FILES:
        return [*items_of(value), *keys]
    return [*items_of(value), *keys, *namespace(value).values(), *_slots(value)]


def _slots(value: Any) -> Iterator[Any]:
    members = chain(*(type_part(kind, "__dict__").values() for kind in type(value).__mro__))
    for member in members:
        if type(member) is MemberDescriptorType:
            try:
                yield member.__get__(value)
            except AttributeError:  # it was never set
                continue


# Zarr: a task of Dask's reads a part of an array


def _chunks(function: Any, values: Sequence[Any]) -> list[str] | None:
    """The files of the chunks of Zarr's that a task of Dask's reads; its digest covers the rest.

    None for any other task, and where the chunks are unknown.
    """
    arguments = function.args if isinstance(function, functools.partial) else ()
    node: Any = arguments[0] if arguments else None
    arrays: Any = sys.modules.get("dask.array.core")  # importing it takes a second
    if type(node) is not Task or arrays is None:
        return None
    if node.func not in (arrays.getter, arrays.getter_nofancy, arrays.getter_inline):
        return None
    inputs = dict(zip(inputs_of(node), values, strict=True))
    source, index = (_value(argument, inputs) for argument in node.args[:2])
    array = _zarr_array(source)
    if array is None or type(index) is not tuple:
        return None
    sizes = array.shards or array.chunks
    steps = [part.step for part in index if type(part) is slice]
    handle = file_handle(array.store_path)
    if len(steps) != len(sizes) or set(steps) - {None, 1} or handle is None:
        return None
    if not handle.paths or not os.path.isdir(handle.paths[0]):
        return None
    ranges = []
    for part, length, size in zip(index, array.shape, sizes, strict=True):
        start, stop, _ = part.indices(length)
        ranges.append(range(start // size, -(-stop // size)))
    keys = map(array.metadata.encode_chunk_key, product(*ranges))
    return [os.path.join(handle.paths[0], key) for key in keys]


def _value(argument: Any, inputs: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TaskRef):
        return inputs[argument.key]
    return argument.value if isinstance(argument, DataNode) else argument


def _zarr_array(value: Any) -> Any:
    """The array of Zarr's that a wrapper of xarray's has as a whole; None for other objects."""
    while (name := _name(type(value))) in _WRAPPERS:
        key = getattr(value, "key", None)
        if key is not None and any(part != slice(None) for part in key.tuple):
            return None
        value = getattr(value, _WRAPPERS[name])
    if name != "zarr.core.array.Array":
        return None
    if value.metadata.zarr_format == 3:  # version 2 has regular chunks only
        grid = type(value.metadata.chunk_grid).__name__  # `…Metadata` from Zarr 3.2 on
        return value if grid.startswith("RegularChunkGrid") else None
    return value


_WRAPPERS = {
    "xarray.core.indexing.ImplicitToExplicitIndexingAdapter": "array",
    "xarray.core.indexing.CopyOnWriteArray": "array",
    "xarray.core.indexing.LazilyIndexedArray": "array",
    "xarray.backends.zarr.ZarrArrayWrapper": "_array",
}
"""Classes of xarray's around an array, and where they hold it."""
