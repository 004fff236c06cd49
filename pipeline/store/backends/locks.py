"""Locks on files. The system frees the lock of a process that dies.

`filelock` frees its waiters, too. But a lock that is free takes 254 µs, here 16 µs; a put takes two
or three locks.
"""

from __future__ import annotations

import atexit
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache

from pipeline.store.backends.claims import LEASE

HAS_LOCKS = sys.platform != "win32"

if sys.platform == "win32":
    LOCK_EX = LOCK_NB = LOCK_UN = 0

    def flock(*_: int) -> None:
        raise OSError("no locks")
else:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

_TRIES = 1000  # how often to try for a lease that ends each time before it is taken

_PATIENCE = (
    60.0  # seconds until the first message that a thread waits; the next after twice as long
)
_PAUSE, _LONGEST_PAUSE = 0.0005, 0.05  # seconds between two tries for a lease
_STOPPED = 20.0  # seconds for which an owner is stopped until nobody waits for it
_PART = 20  # a thread that has waited goes on later by one part in so many, at most

_log = logging.getLogger("pipeline")

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


Waiting = Callable[[], AbstractContextManager[Callable[[], bool] | None]]
"""Makes the context in which a thread waits for another owner. Gives whether to end the wait."""

_is_ending = False


def _end_waits() -> None:
    """Have all threads end their waits: the process ends, and it joins them before."""
    global _is_ending
    _is_ending = True


# Pools of threads are joined before `atexit` calls anything.
getattr(threading, "_register_atexit", atexit.register)(_end_waits)


class Lease:
    """The right to compute a task, which one thread of one process has at a time.

    The file of a lease says who owns it. What is left of a killed owner is taken over. A file of
    one byte says that its owner has finished, and nothing is stored. Nobody waits for long for a
    process of this machine that is stopped (SIGSTOP, Ctrl-Z): then the task is computed twice.

    path: of the task's lock file; open_file: opens it, and makes it where it is missing
    waiting: see `Waiting`. A thread that waits for a minute logs for whom
    task: its name, for this message

    Raises `KeyboardInterrupt` if the wait ends before the lease is free.
    """

    def __init__(
        self,
        path: str,
        open_file: Callable[[], int],
        waiting: Waiting = nullcontext,
        task: str = "",
    ) -> None:
        self.path, self._owner = path, os.getpid()
        self._file: int | None = None
        for _ in range(_TRIES):
            file, is_free = open_file(), True
            try:
                if lock(file, is_patient=False) is False:
                    with waiting() as is_over:
                        is_free = _wait(file, is_over, task or path)
                state = os.fstat(file)
                with suppress(FileNotFoundError):  # its owner has finished, and removed the file
                    if is_free and state.st_size != 1 and os.path.samestat(os.stat(path), state):
                        _note_owner(file, state.st_size)
                        self._file = file
            finally:
                if self._file is None:
                    release(file)
            if self._file is not None or state.st_size == 1 or not is_free:
                return

    @property
    def is_vain(self) -> bool:
        """Whether another owner finished without a result, or is stopped.

        Then nobody that runs holds the lease: all who waited compute at the same time.
        """
        return self._file is None

    def end(self, is_stored: bool) -> None:
        """Let others continue."""
        file, self._file = self._file, None
        if file is None or self._owner != os.getpid():  # a forked child does not own it
            return
        with suppress(OSError):  # then they compute one after the other
            if not is_stored:
                os.truncate(file, 1)  # possible on a full disk, too
        with suppress(OSError):
            os.unlink(self.path)
        release(file)


def _wait(file: int, is_over: Callable[[], bool] | None, task: str) -> bool:
    """Wait for the lock of a lease. False if its owner is stopped, and the lock is not free."""
    # It polls: a thread that waits in `flock` ends neither with Ctrl-C nor with the process.
    start, due = time.monotonic(), _PATIENCE
    ran = start  # when the owner was last seen to run
    while lock(file, is_patient=False) is False:
        seconds = time.monotonic() - start
        if _is_ending or (is_over is not None and is_over()):
            raise KeyboardInterrupt
        if seconds >= due:
            due *= 2
            _log.warning("%s waits for %s, which computes it; Ctrl-C ends the wait",
                         task, _owner_of(file))  # fmt: skip
        if seconds >= 1 and not _is_stopped(file):
            ran = time.monotonic()
        if time.monotonic() - ran > _STOPPED:
            _log.warning("%s is computed here, too: %s is stopped", task, _owner_of(file))
            return False
        time.sleep(min(max(seconds / _PART, _PAUSE), _LONGEST_PAUSE))
    return True


def _is_stopped(file: int) -> bool:
    """Whether the owner of a lease is a stopped process of this machine."""
    import psutil

    process, _, machine = os.pread(file, 200, 0).removeprefix(LEASE).partition(b" on ")
    with suppress(psutil.Error, ValueError):  # it has ended, or has not noted itself yet
        is_here = machine == platform.node().encode()
        return is_here and psutil.Process(int(process)).status() == psutil.STATUS_STOPPED
    return False


def _note_owner(file: int, length: int) -> None:
    """Write into the file of a lease who owns it: never one byte, not even for a moment.

    length: of what a killed owner has left
    """
    text = _owner_text(os.getpid())
    with suppress(OSError):  # a full disk
        os.pwrite(file, text, 0)
        if length > len(text):
            os.ftruncate(file, len(text))


@cache
def _owner_text(process: int) -> bytes:
    return LEASE + f"{process} on {platform.node()}".encode()


def _owner_of(file: int) -> str:
    """Who owns a lease, and since when."""
    text = os.pread(file, 200, 0).decode(errors="replace")
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(os.fstat(file).st_mtime))
    return f"{text if text and text.isprintable() else 'another process'} since {since}"
