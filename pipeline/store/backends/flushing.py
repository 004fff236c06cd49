"""Many files are written to the disk together: a call flushes all that was written in a second."""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any
from weakref import WeakSet

_INTERVAL = 1.0  # seconds from a change to its flush, at most
_PATIENCE = 10.0  # seconds that a run waits at its end: others may write gigabytes to this disk


def _system_call() -> Any:
    """`syncfs`, which writes all of a file system to its disk. None where it is missing."""
    # Ten thousand small files: 0.1 s together, and 2.4 s one by one.
    with suppress(OSError, AttributeError):
        return ctypes.CDLL(None, use_errno=True).syncfs
    return None


_syncfs = _system_call()
CAN_FLUSH_TOGETHER = _syncfs is not None


class Flusher:
    """Flushes the file system of a folder, a second after it has changed.

    prepare: writes what is to be flushed, and is not yet in a file
    """

    def __init__(self, folder: str, prepare: Callable[[], None] = lambda: None) -> None:
        self._folder, self._prepare, self._is_due = folder, prepare, Event()
        self._waiting: Thread | None = None
        self._flushing: Thread | None = None
        _all.add(self)

    def schedule(self) -> None:
        """Flush within a second what was written before."""
        # No lock: two threads flush twice, and a forked child has neither of them.
        if self._waiting is None or not self._waiting.is_alive():
            self._is_due = Event()
            self._waiting = Thread(target=self._work, args=[self._is_due], daemon=True)
            try:
                self._waiting.start()
            except RuntimeError:  # at the end of the process
                self._waiting = None
                self._flush()

    def flush(self) -> None:
        """Flush what was written before. Does not wait longer than some seconds."""
        self._is_due.set()
        for thread in (self._flushing, self._waiting):
            if thread is not None and thread.is_alive():
                thread.join(_PATIENCE)

    def _work(self, is_due: Event) -> None:
        is_due.wait(_INTERVAL)
        self._flushing, self._waiting = self._waiting, None  # later changes need another flush
        self._flush()

    def _flush(self) -> None:
        self._prepare()
        _flush(self._folder)


def _flush(folder: str) -> None:
    # What is not written, or lost by a failing disk, is noticed by its checksum.
    if _syncfs is None:
        return
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            _syncfs(file)
        finally:
            os.close(file)


_all: WeakSet[Flusher] = WeakSet()


@atexit.register
def _flush_all() -> None:
    for flusher in list(_all):
        flusher.flush()
