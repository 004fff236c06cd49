"""Locks on files. The system frees the lock of a process that dies.

`filelock` frees its waiters, too. But it polls: waiters go on up to 50 ms late, and a lock that is
free takes 254 µs, here 16 µs; a put takes two or three locks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

if sys.platform == "win32":  # which has no such locks
    LOCK_EX = LOCK_NB = LOCK_UN = 0

    def flock(*_: int) -> None:
        raise OSError("no locks")
else:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

_TRIES = 1000  # how often to try for a lease that ends each time before it is taken

_locked: set[int] = set()  # files that this process has locked, or waits for


def _close_inherited() -> None:
    """Close in a forked child the files that its parent has locked."""
    # Parent and child share the lock: the child would keep it after the parent is killed. The child
    # closes and does not unlock, for that would unlock the parent's.
    for file in _locked:
        with suppress(OSError):
            os.close(file)
    _locked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


def lock(file: int, *, is_patient: bool = True) -> bool | None:
    """Lock an open file, to be closed by `release`. False if another opening has the lock.

    None where the file system has no locks.
    """
    _locked.add(file)
    try:
        flock(file, LOCK_EX if is_patient else LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def release(file: int) -> None:
    """Unlock a file, and close it."""
    if file not in _locked:  # a forked child has closed it; its number may be another file's
        return
    _locked.discard(file)  # before the close: then another thread may reuse the number
    # A process that was started without Python's fork may have the file open: unlock it first.
    try:
        with suppress(OSError):
            flock(file, LOCK_UN)
    finally:
        os.close(file)


@contextmanager
def holding(file: int) -> Iterator[int]:
    """Hold the lock of an open file, and close it at the end."""
    try:
        lock(file)
        yield file
    finally:
        release(file)


class Lease:
    """The right to compute a task, which one thread of one process has at a time.

    path: of the task's lock file; open_file: opens it, and makes it where it is missing
    waiting: makes the context in which this thread waits for another owner
    """

    def __init__(
        self,
        path: str,
        open_file: Callable[[], int],
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.path, self._owner = path, os.getpid()
        self._file: int | None = None
        for _ in range(_TRIES):
            file = open_file()
            try:
                if lock(file, is_patient=False) is False:
                    with waiting():
                        lock(file)
                state = os.fstat(file)
                with suppress(FileNotFoundError):  # its owner has finished, and removed the file
                    if not state.st_size and os.path.samestat(os.stat(path), state):
                        self._file = file
            finally:
                if self._file is None:
                    release(file)
            if self._file is not None or state.st_size:
                return

    @property
    def is_vain(self) -> bool:
        """Whether another owner finished without a result.

        Then nobody holds the lease: all who waited compute at the same time.
        """
        return self._file is None

    def end(self, is_stored: bool) -> None:
        """Let others continue. A file of one byte says that nothing is stored."""
        file, self._file = self._file, None
        if file is None or self._owner != os.getpid():  # a forked child does not own it
            return
        with suppress(OSError):  # then they compute one after the other
            if not is_stored:
                os.truncate(file, 1)  # possible on a full disk, too
        with suppress(OSError):
            os.unlink(self.path)
        release(file)
