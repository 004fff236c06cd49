"""Locks on files, which the system takes from a process that dies."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

if sys.platform == "win32":  # where there are no such locks
    LOCK_EX = LOCK_NB = LOCK_UN = 0

    def flock(*_: int) -> None:
        raise OSError("no locks here")
else:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

OWNER_ONLY = 0o600

_locked: set[int] = set()
"""Files that this process has locked, or waits for."""


def _forsake() -> None:
    """Close in a forked child what its parent has locked."""
    # A lock is of the open file, which the child has, too: it would outlive an owner that is
    # killed. Not unlocked: that would take it from the parent.
    for file in _locked:
        with suppress(OSError):
            os.close(file)
    _locked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forsake)


def lock(file: int, is_patient: bool = True) -> bool | None:
    """Lock an open file for this opening of it alone; False if another one has it.

    None where the file system knows no locks: then nobody can tell. To be closed by `release`.
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
    if file not in _locked:  # in a forked child, where it is closed, and may be another by now
        return
    # First, for its number is soon another file's.
    _locked.discard(file)
    # To close it is not enough: a process that was started without Python's fork may have it.
    try:
        with suppress(OSError):
            flock(file, LOCK_UN)
    finally:
        os.close(file)


@contextmanager
def holding(file: int) -> Iterator[int]:
    """Hold the lock of an open file, which is closed afterwards."""
    try:
        lock(file)
        yield file
    finally:
        release(file)


class Lease:
    """The right to compute a task, which one process or thread has at a time.

    path: of a file that stands for the task, and open_: what opens it, made where it is missing
    waiting: what stands around a wait for another
    is_vain: another had it, and finished without storing a result: it is held no more, so that
        those who waited compute at the same time
    """

    def __init__(
        self, path: str, open_: Callable[[], int],
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:  # fmt: skip
        self.path, self._owner = path, os.getpid()
        self.is_vain = False
        for _ in range(_TRIES):
            self._file = open_()
            try:
                if lock(self._file, is_patient=False) is False:
                    with waiting():
                        lock(self._file)
                state = os.fstat(self._file)
                self.is_vain = state.st_size > 0
                is_held = not self.is_vain and _is_at(path, state)
            except BaseException:  # the user has interrupted the wait
                release(self._file)
                raise
            if is_held:
                return
            release(self._file)  # its owner has finished, and removed it
            if self.is_vain:
                return
        self.is_vain = True

    def end(self, is_stored: bool) -> None:
        """Let those who wait go on, and tell them whether there is a result now."""
        if self.is_vain or self._owner != os.getpid():  # a forked child has no part in it
            return
        with suppress(OSError):  # then they compute one after the other
            if not is_stored:
                os.truncate(self._file, 1)  # which, unlike to write, a full disk lets one do
        with suppress(OSError):
            os.unlink(self.path)
        release(self._file)
        self.is_vain = True


def _is_at(path: str, state: os.stat_result) -> bool:
    """Whether a file is the one of this path."""
    try:
        return os.path.samestat(os.stat(path), state)
    except FileNotFoundError:
        return False


_TRIES = 1000
"""How often a lease is asked for where each time it has just ended."""
