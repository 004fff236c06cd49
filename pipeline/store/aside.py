"""Files that are being written: aside, locked while somebody writes them, and moved when whole."""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from pipeline.store.disk import content, listed, opened, write
from pipeline.store.locks import lock, release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.disk import Folders

_NAME = re.compile(r"[0-9a-f]{32}\.\d+\.\d+\.[0-9a-f]{8}")

_ABANDONED = 3600
"""Seconds after which a file is taken to have no writer where there are no locks to tell it."""

_numbers = count()


class Aside:
    """A file that is written aside, to be moved to another folder.

    place: the folder that it is written in, and target: the one where it is to be, as name
    """

    def __init__(self, folders: Folders, place: str, target: str, name: str) -> None:
        self._folders, self._place, self._target, self._name = folders, place, target, name
        self.is_published = False
        self._file: int | None = None
        while self._file is None:
            self._file = self._begun()

    def _begun(self) -> int | None:
        """Make the file, and lock it. None, if it was swept in between."""
        self.path = f"{self._place}/{self._new()}"
        name = os.path.basename(self.path)
        file = self._folders.open(self._place, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            lock(file)
            is_there = os.fstat(file).st_nlink > 0
        except BaseException:
            release(file)
            raise
        if not is_there:
            release(file)
        return file if is_there else None

    def _new(self) -> str:
        return f"{self._name}.{os.getpid()}.{next(_numbers)}.{os.urandom(4).hex()}"

    def write(self, buffers: list[Any]) -> None:
        """Write the file, and have its bytes be on the disk."""
        assert self._file is not None  # noqa: S101 - it is closed afterwards
        write(self._file, buffers)
        if self._folders.is_durable:
            os.fsync(self._file)

    def publish(self) -> None:
        """Have readers find it. It is sure to outlive a failure of power when `writing` ends."""
        if os.name == "nt":  # which moves no file that is open
            self._release()
        self._folders.rename(self.path, self._target, self._name)
        self.is_published = True

    def tried(self) -> memoryview:
        """What the file holds, after all that is done with one that is published."""
        path = f"{self._place}/{self._new()}"
        os.rename(self.path, path)
        self.path = path
        self._folders.flush(self._place)
        return content(path, None)[0]

    def close(self) -> None:
        """Remove the file, unless it is published."""
        try:
            self._release()
        finally:
            if not self.is_published:
                with suppress(FileNotFoundError):
                    os.unlink(self.path)
        if self.is_published:
            self._folders.flush(self._target)

    def _release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            release(file)


@contextmanager
def writing(
    folders: Folders, place: str, target: str, name: str, buffers: list[Any]
) -> Iterator[Aside]:
    """Write a file aside; it is gone afterwards if it has not been published."""
    written = Aside(folders, place, target, name)
    try:
        written.write(buffers)
        yield written
    finally:
        written.close()


def swept(folder: str, ours: re.Pattern[str] = _NAME) -> int:
    """Remove files that nobody who lives has locked, and give how many these were.

    ours: what they are called; others may keep files of theirs in the folder
    """
    return sum(_removed(f"{folder}/{name}") for name in listed(folder) if ours.fullmatch(name))


def _removed(path: str) -> bool:
    with suppress(OSError):  # it has gone, or belongs to another user
        file = opened(path, os.O_RDWR)
        try:
            is_left = lock(file, is_patient=False)
            if is_left is None:
                is_left = time.time() - os.fstat(file).st_mtime > _ABANDONED
            if is_left:
                os.unlink(path)
            return is_left
        finally:
            release(file)
    return False
