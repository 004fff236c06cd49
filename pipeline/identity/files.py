"""Files by what is in them; objects that open files, by what they select in them."""

from __future__ import annotations

import functools
import mmap
import os
import stat
import time
from collections.abc import Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest, xxh3_128

from pipeline.identity.attributes import type_part


class File(os.PathLike[str]):
    """The path of a file, whose content is the file's content.

    Works where a path does: `open(File("f.csv"))`, `pandas.read_csv(File("f.csv"))`.

    As an argument: the bytes and the last suffix of the file count, not its place. A folder counts
    by the names and contents of all files in it. A missing file has no content: `digest` raises
    `TypeError`, and `share` reports it.

    As a result, or in a list, tuple, dict, set or `@storable` object that is one: a store keeps
    the content of the file. Where the result is loaded, the file is put back at its path if it is
    missing or differs; a file that has the content already is not touched. So a task may write
    the files that it returns. The path is stored as it is written: a relative one is relative to
    the current folder, that of the task as well as that of the process that loads the result. The
    file is a copy, never a link into the store. It is executable if it was; its times, its owner
    and its other permissions are not kept. A result is not stored if it is a folder, a missing
    file, or one that the task changed in place: write it anew, or at another path.

    >>> os.fspath(File("data/f.csv"))
    'data/f.csv'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(path)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"File({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __dask_tokenize__(self) -> tuple[str, ...]:
        path = Path(self.path)
        if not path.is_dir():
            return ("File", path.suffix, _content(path))
        inner = sorted(entry for entry in path.rglob("*") if entry.is_file())
        contents = (f"{entry.relative_to(path).as_posix()} {_content(entry)}" for entry in inner)
        return ("File", "/", *contents)


_hashed: dict[str, tuple[Signature, str]] = {}
"""Signatures and hashes of files, by path."""


def _content(path: Path) -> str:
    """The hash of a file, computed again when the file has changed."""
    name = str(path.absolute())
    with path.open("rb") as file:
        signature = _signature(os.fstat(file.fileno()))
        before, content = _hashed.get(name, (None, ""))
        if before == signature:
            return content
        is_racy = signature.is_racy  # before it is read, which may take longer
        content = file_digest(file, sha256).hexdigest()
    if not is_racy:
        _hashed[name] = signature, content
    return content


class Signature(NamedTuple):
    """What the file system knows of a file or a folder. Times in nanoseconds."""

    mode: int
    device: int
    inode: int
    size: int
    mtime: int
    ctime: int

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_racy(self) -> bool:
        """Whether another change may come without another time of change."""
        return time.time_ns() - max(self.mtime, self.ctime) <= RACY

    @property
    def stamp(self) -> int:
        """Another number for another file, and after each change. Never 0.

        A file that takes the place of another, or a link that points to another, may have the same
        size and time: those of an archive, or of a copy. Its inode and its ctime differ.
        """
        return xxh3_64_intdigest(b"%d %d %d" % (self.inode, self.mtime, self.ctime)) >> 1 | 1


RACY = 2_000_000_000
"""Nanoseconds in which a file may change twice at one recorded time of change."""

_CHUNK = 1 << 18
"""Bytes that are hashed at a time: they fit into the cache of a processor."""


def signature_of(path: str) -> Signature | None:
    """The signature of a path. None if nothing is there, or nothing that may be looked at."""
    try:
        return _signature(os.stat(path))
    except (OSError, ValueError):
        return None


def _signature(found: os.stat_result) -> Signature:
    return Signature(
        found.st_mode,
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


_contents: dict[str, tuple[Signature, str]] = {}
"""Contents of files that this process has read, by absolute path."""


def file_content(path: str, signature: Signature) -> str:
    """The hash of a file. Read once per process, as long as its signature is the same."""
    absolute = os.path.abspath(path)
    before, content = _contents.get(absolute, (None, ""))
    if before == signature:
        return content
    is_racy = signature.is_racy  # before it is read, which may take longer
    hasher = xxh3_128()
    with open(path, "rb", buffering=0) as file:
        chunk = bytearray(min(_CHUNK, signature.size + 1))
        view = memoryview(chunk)
        while count := file.readinto(chunk):
            hasher.update(view[:count])
    content = hasher.hexdigest()
    if not is_racy:
        _contents[absolute] = signature, content
    return content


# Handles


class Handle(NamedTuple):
    """An object that opens files.

    state: its content but for that of its files, equal in every process
    paths: the files and folders that it reads
    """

    state: Any
    paths: tuple[str, ...] = ()


def file_handle(value: Any) -> Handle | None:
    """What an object of a library reads from files. None for an object that opens none.

    Raises `TypeError` for a handle whose files are unknown: they are not local, or it writes.
    """
    describe = _description(type(value))  # type: ignore[arg-type] # classes are hashable
    return None if describe is None else describe(value)


@functools.lru_cache(4096)
def _description(kind: type) -> Callable[[Any], Handle] | None:
    bases = type_part(kind, "__mro__")
    names = (f"{type_part(base, '__module__')}.{type_part(base, '__qualname__')}" for base in bases)
    return next((_HANDLES[name] for name in names if name in _HANDLES), None)


def _local_path(path: Any, mode: str = "r") -> str:
    """The path of a file that is opened for reading."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"it reads from a {type(path).__name__}, not from a path")
    name = os.fsdecode(path).removeprefix("file://")
    if mode.strip("btU") != "r":
        raise TypeError(f"it opens {name} with mode {mode!r}; only mode 'r' has a content")
    if "://" in name:
        raise TypeError(f"{name} is not a local file, so its content is not tracked")
    return name


def _lock(value: Any) -> Handle:
    """A lock decides when tasks run, not what they return; its token is random."""
    return Handle(type(value))


def _file_system(value: Any) -> Handle:
    """One of fsspec's. Its own token contains the process and the thread."""
    local = getattr(value, "sync_fs", value)
    _verify_local(local)
    return Handle((type(value), local.storage_args, local.storage_options))


def _verify_local(file_system: Any) -> None:
    if (name := type(file_system).__name__) != "LocalFileSystem":
        raise TypeError(f"the files of a {name} are not local, so their content is not tracked")


def _open_file(value: Any) -> Handle:
    _verify_local(getattr(value.fs, "sync_fs", value.fs))
    path = _local_path(value.path, value.mode)
    text = (value.compression, value.encoding, value.errors, value.newline)
    return Handle((type(value), value.fs, path, value.mode, *text), (path,))


def _fragment(value: Any) -> Handle:
    """A file of a dataset of Arrow's, or some of its row groups."""
    kind, selection = type(value), (value.format, str(value.partition_expression), _groups(value))
    if value.buffer is not None:
        return Handle((kind, bytes(value.buffer), selection))
    bridge = getattr(value.filesystem, "handler", None)
    _verify_local(getattr(bridge, "fs", value.filesystem))
    return Handle((kind, value.path, selection), (value.path,))


def _groups(fragment: Any) -> list[int] | None:
    """The row groups of a fragment; None for all. Once it has been read it lists all of them."""
    _, parts = fragment.__reduce__()
    groups = parts[3] if len(parts) > 3 else None
    is_all = groups is not None and groups == list(range(fragment.metadata.num_row_groups))
    return None if is_all else groups


def _file_manager(value: Any) -> Handle:
    """One of xarray's, which has a random name and a lock."""
    opener, (path, *others), options = value._opener, value._args, value._kwargs
    mode = value._mode if isinstance(value._mode, str) else "r"
    path = _local_path(path, mode)
    return Handle((type(value), opener, path, others, options), (os.path.expanduser(path),))


def _zarr_store(value: Any) -> Handle:
    path = _local_path(getattr(value, "root", None) or value.path)
    return Handle((type(value), getattr(value, "fs", None), path), (path,))


def _zarr_path(value: Any) -> Handle:
    """A place in one of Zarr's stores: its folder, where the store is a folder."""
    store = file_handle(value.store)
    if store is None:  # in memory
        return Handle((type(value), value.store, value.path))
    [root] = store.paths
    path = os.path.join(root, value.path) if value.path and os.path.isdir(root) else root
    return Handle((type(value), value.store, value.path), (path,))


def _hdf5(value: Any) -> Handle:
    """A file, group or dataset of h5py's."""
    file = value.file
    path = _local_path(file.filename, file.mode)
    if file.driver not in ("sec2", "stdio"):
        raise TypeError(f"{path} is read by driver {file.driver!r}, so it is not tracked")
    if getattr(value, "is_virtual", False) or getattr(value, "external", None):
        raise TypeError(f"the values of {value.name} are in other files, which are not tracked")
    return Handle((type(value), path, value.name), (path,))


def _memory_map(value: Any) -> Handle:
    """A view of a file; an array where somebody may write into it."""
    if value._mmap is None or value.filename is None or value.mode != "r":
        return Handle((type(value), np.asarray(value)))
    pages = np.frombuffer(value._mmap, np.uint8)
    start = value.offset - value.offset % mmap.ALLOCATIONGRANULARITY
    place = start + value.__array_interface__["data"][0] - pages.__array_interface__["data"][0]
    path = os.fspath(value.filename)
    return Handle((type(value), path, place, value.dtype, value.shape, value.strides), (path,))


_HANDLES: dict[str, Callable[[Any], Handle]] = {
    "dask.utils.SerializableLock": _lock,
    "xarray.backends.locks.SerializableLock": _lock,
    "xarray.backends.locks.CombinedLock": _lock,
    "fsspec.spec.AbstractFileSystem": _file_system,
    "fsspec.core.OpenFile": _open_file,
    "dask.dataframe.dask_expr.io.parquet.FragmentWrapper": lambda value: _fragment(value.fragment),
    "pyarrow._dataset.FileFragment": _fragment,
    "xarray.backends.file_manager.CachingFileManager": _file_manager,
    "xarray.backends.file_manager.PickleableFileManager": _file_manager,
    "zarr.storage._common.StorePath": _zarr_path,
    "zarr.storage._fsspec.FsspecStore": _zarr_store,
    "zarr.storage._local.LocalStore": _zarr_store,
    "zarr.storage._zip.ZipStore": _zarr_store,
    "h5py._hl.base.HLObject": _hdf5,
    "numpy.memmap": _memory_map,
}
"""What objects open, by the names of their classes: most of these are never imported."""
