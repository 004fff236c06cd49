"""Locks on files, which the system takes from a process that dies."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the last writer wins
    fcntl = None  # type: ignore[assignment]

OWNER_ONLY = 0o600


def lock(file: int, is_patient: bool = True) -> bool:
    """Lock an open file for this opening of it alone; False if another one has it.

    A file system that knows no locks grants each.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def locked(path: str) -> Iterator[int]:
    """Hold the lock of a file, which is made where it is missing."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        lock(file)
        yield file
    finally:
        os.close(file)


class Lease:
    """The right to compute a task, which one process or thread has at a time.

    is_vain: another had it, and finished without storing a result: it is held no more, so that
        those who waited compute at the same time
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_vain = False
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
            lock(self._file)
            state = os.fstat(self._file)
            if state.st_size:
                self.is_vain = True
                os.close(self._file)
                return
            if state.st_nlink:
                return
            os.close(self._file)  # its owner has stored the result, and removed the lease

    def end(self, is_stored: bool) -> None:
        """Let those who wait go on, and tell them whether there is a result now."""
        if self.is_vain:
            return
        with suppress(OSError):  # a full disk, or a folder that is gone: then they wait in vain
            if not is_stored:
                os.write(self._file, b"-")
            os.unlink(self.path)
        os.close(self._file)
