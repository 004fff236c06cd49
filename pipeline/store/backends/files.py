"""Files on a disk: written, read, mapped, and kept open."""

from __future__ import annotations

import mmap
import os
import stat
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from pipeline.store.backends.index import Stat
from pipeline.store.entry import pieces
from pipeline.store.entry import size as length_of

_TICK = 0.1  # seconds in which two changes of a file may have the same time, at most
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # or opening a pipe waits for its writer
_MAPPED = 1 << 18  # bytes from which on a file is mapped, not read
_JOINED = 1 << 16  # bytes up to which buffers are joined and written at once


def stat_of(state: os.stat_result) -> Stat:
    """The state of an entry's file, as readers know it."""
    identity = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    is_fresh = time.time() - state.st_ctime < _TICK
    return Stat(state.st_size, state.st_mtime, () if is_fresh else identity)


def names_in(path: str) -> list[str]:
    """The names in a folder, which may be missing."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(path)
    return []


def write(file: int, buffers: list[Any]) -> None:
    """Write buffers to an open file, one after the other."""
    parts: Iterable[Any] = pieces(buffers)
    if length_of(buffers) <= _JOINED:
        parts = [b"".join(parts)]
    for view in (memoryview(part).cast("B") for part in parts if memoryview(part).nbytes):
        while view:
            view = view[os.write(file, view) :]


def read_file(path: str, length: int | None = None) -> tuple[memoryview, Stat]:
    """The bytes of a file, or the first of them, and its state before the reading.

    A large file is mapped, and stays readable when it is removed. A pipe or folder is empty.
    """
    file = os.open(path, os.O_RDONLY | _NO_WAIT)
    try:
        return _read(file, length)
    finally:
        os.close(file)


def _read(file: int, length: int | None) -> tuple[memoryview, Stat]:
    state, data = os.fstat(file), bytearray()
    size = state.st_size if stat.S_ISREG(state.st_mode) else 0
    length = size if length is None else min(length, size)
    if length >= _MAPPED and (view := _mapped(file, length)):
        return view, stat_of(state)
    while len(data) < length and (more := os.pread(file, length - len(data), len(data))):
        data += more
    return memoryview(data), stat_of(state)


class OpenFile:
    """A file whose bytes can be read as long as this object lives, also when it is removed."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | _NO_WAIT)
        _kept_open.add(self)

    def read(self, length: int | None = None) -> memoryview:
        """The bytes of the file, or the first of them: a private map, if they are many."""
        return _read(self._file, length)[0]

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)


_kept_open: WeakSet[OpenFile] = WeakSet()


def keep_open(path: str) -> OpenFile | None:
    """Keep a file open. None if it is missing, or too many files are open."""
    with suppress(OSError):
        return OpenFile(path) if len(_kept_open) < _most_open() else None
    return None


_maps: WeakSet[mmap.mmap] = WeakSet()  # which keep a file open
_MAP_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
"""Or Linux refuses to map a file that is larger than the memory. Python 3.11 has no name for it."""


def _mapped(file: int, length: int) -> memoryview | None:
    """A private map of an open file. None if too many files are open.

    A change in it changes neither the file nor another map: a loaded result is as good as a
    computed one.
    """
    if _MAP_OPTIONS or len(_maps) < _most_open():
        with suppress(OSError, ValueError):  # no memory, or the file has just become shorter
            map_ = mmap.mmap(
                file, length, mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE,
                **_MAP_OPTIONS,
            )  # fmt: skip
            if not _MAP_OPTIONS:
                _maps.add(map_)
            return memoryview(map_)
    return None


def _most_open() -> int:
    """How many files maps may keep open, and `keep_open`: a quarter of all."""
    try:
        import resource
    except ImportError:
        return 128
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most // 4 if most > 0 else 1 << 16  # -1: no limit
