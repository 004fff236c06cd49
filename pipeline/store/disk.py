"""Folders and files of a disk: made for their owner alone, written, flushed, read and mapped."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pipeline.store.locks import OWNER_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BINARY = getattr(os, "O_BINARY", 0)  # of Windows, which would change line ends
_OURS = getattr(os, "O_NOFOLLOW", 0)  # or a link would have us write into what is elsewhere
_NOW = getattr(os, "O_NONBLOCK", 0)  # or to open a pipe would wait for who writes to it

_MAPPED = 1 << 18
"""Bytes from which on a file is mapped rather than read."""

_JOINED = 1 << 16
"""Bytes up to which buffers are copied together, and written at once."""

_UNFLUSHED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM}
"""What file systems say that cannot flush a folder, or whose folders cannot be opened."""


class Folders:
    """Folders below one, each made when something is put into it, and files in them.

    claim: what to do with the root before anything is put into it
    """

    def __init__(self, root: str, is_durable: bool, claim: Callable[[], None]) -> None:
        self.root, self.is_durable, self._claim = root, is_durable, claim
        self._made: set[str] = set()

    def made(self, path: str) -> str:
        """A folder, made where it is missing, and known to the disk."""
        if path not in self._made:
            # A root that was removed, or replaced by another, is not known from before.
            if self.root not in self._made or not os.path.isdir(path):
                self._make(self.root)
                self._claim()
                self._made.add(self.root)
            self._make(path)
            self._made.add(path)
        return path

    def _make(self, path: str) -> None:
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        if parent != path:
            self._make(parent)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
            if os.stat(path).st_mode & 0o700 != 0o700:  # a umask that takes from the owner
                os.chmod(path, 0o700)
        self.flush(parent)

    def open(self, folder: str, name: str, flags: int) -> int:
        """Open a file of a folder, which is made where it is missing."""
        try:
            return opened(f"{self.made(folder)}/{name}", flags)
        except FileNotFoundError:  # somebody has removed the folder
            self._made.clear()
            return opened(f"{self.made(folder)}/{name}", flags)

    def rename(self, path: str, folder: str, name: str) -> None:
        """Move a file into a folder; what has this name there is replaced at once."""
        try:
            os.replace(path, f"{self.made(folder)}/{name}")
        except FileNotFoundError:
            self._made.clear()
            os.replace(path, f"{self.made(folder)}/{name}")

    def flush(self, path: str) -> None:
        """Have the names in a folder be on the disk."""
        if not self.is_durable or os.name == "nt":  # where a folder cannot be opened
            return
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            if error.errno not in _UNFLUSHED:
                raise


def opened(path: str, flags: int) -> int:
    """An open file, and no link; its owner alone may read and write it where it is made."""
    file = os.open(path, flags | _BINARY | _OURS, OWNER_ONLY)
    if flags & os.O_CREAT and os.name != "nt":
        try:
            if os.fstat(file).st_mode & OWNER_ONLY != OWNER_ONLY:
                os.fchmod(file, OWNER_ONLY)
        except BaseException:
            os.close(file)
            raise
    return file


def listed(path: str) -> list[str]:
    """The names in a folder; none where there is no folder."""
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def write(file: int, buffers: Iterable[Any]) -> None:
    """Write buffers to an open file, one after the other."""
    views = [memoryview(each).cast("B") for each in buffers if memoryview(each).nbytes]
    if sum(map(len, views)) <= _JOINED:
        views = [memoryview(b"".join(views))]
    for view in views:
        while view:
            view = view[os.write(file, view) :]


def content(path: str, most: int | None) -> tuple[memoryview, os.stat_result]:
    """The bytes of a file, or the first of them, and its state before they were read.

    A large file is mapped, and stays readable when it is removed. What is no file has no bytes.
    """
    file = os.open(path, os.O_RDONLY | _BINARY | _NOW)
    try:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode):
            return memoryview(b""), state
        length = state.st_size if most is None else min(most, state.st_size)
        view = _mapped(file, length) if length >= _MAPPED else None
        return memoryview(_read(file, length)) if view is None else view, state
    finally:
        os.close(file)


def _read(file: int, length: int) -> bytearray:
    found = bytearray(os.read(file, length))
    while len(found) < length and (more := os.read(file, length - len(found))):
        found += more
    return found


_maps: WeakSet[mmap.mmap] = WeakSet()
"""Those that keep a file open."""

_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def _mapped(file: int, length: int) -> memoryview | None:
    """A map of an open file. None where it would be one too many.

    It is this reader's own: what is changed in it changes neither the file nor another's map, so
    that a result that was loaded may be used as one that was computed.
    """
    if not _OPTIONS and len(_maps) >= _most_maps():
        return None
    try:
        made = mmap.mmap(file, length, access=mmap.ACCESS_COPY, **_OPTIONS)
    except (OSError, ValueError):  # there is no room for it, or the file has just become shorter
        return None
    if not _OPTIONS:
        _maps.add(made)
    return memoryview(made)


def _most_maps() -> int:
    """How many files maps may keep open, so that most of what a process may open is left to it."""
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except (ImportError, OSError):
        return 128
    return most // 4 if most > 0 else 1 << 16  # no limit is -1
