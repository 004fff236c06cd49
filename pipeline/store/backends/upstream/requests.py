"""Requests to a place that a team shares: in threads that may hang.

Failures are warnings, never errors. After one, the place is left alone for a while by the whole
process. A request that gets no answer in time counts as failed: its thread is left behind.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from pipeline.store.backends.backend import Backend

T = TypeVar("T")
Warn = Callable[[str, str], None]

BYTES = 1 << 26
"""Bytes in one request, if each entry has fewer."""

_PATIENCE = 10.0  # seconds for a request that gets no answer
_PER_NAME = 0.02  # seconds more for each name in it
_PER_BYTE = 1 / (1 << 18)  # seconds more for each byte
_QUEUED = 1 << 28  # bytes that wait to be written upstream; a writer waits above that
_NOTED = 1000  # lines of notes that wait for each other
_LINGER = 1.0  # seconds that notes wait for more of them
_PAUSE, _LONGEST_PAUSE = 30.0, 600.0  # seconds without requests after a failure
_SHARE_OF_TIME = 0.1  # of a run may be spent on questions by content


class Threads:
    """Threads for requests that may hang: neither a caller nor an exit waits for them for ever."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._free = threading.Semaphore(0)

    def run(self, action: Callable[[], T]) -> Future[T]:
        """Run an action in a thread that is free, or in a new one."""
        future: Future[T] = Future()
        if not self._free.acquire(blocking=False):
            threading.Thread(target=self._serve, name="upstream", daemon=True).start()
        self._jobs.put((future, action))
        return future

    def _serve(self) -> None:
        while True:
            future, action = self._jobs.get()
            try:
                future.set_result(action())
            except BaseException as error:
                future.set_exception(error)
            del future, action
            self._free.release()


class Upstream:
    """A place that a team shares, as this process uses it: stores with one upstream share this.

    name: its URL without a password
    is_readonly: nothing is written there
    """

    def __init__(self, name: str, backend: Backend, is_readonly: bool) -> None:
        self.name, self.backend, self.is_readonly = name, backend, is_readonly
        self._pause, self._paused_until = _PAUSE, 0.0
        self._begun, self._spent = time.monotonic(), 0.0
        self.restart()
        _known.add(self)

    def restart(self) -> None:
        """Begin anew in a forked child, where no thread of the parent lives."""
        self._threads = Threads()
        self._changed = threading.Condition()
        self._entries: dict[str, memoryview] = {}
        self._notes: dict[str, list[str]] = {}
        self._bytes = 0
        self._is_writing = self._is_urgent = False

    @property
    def is_reachable(self) -> bool:
        """Whether to try: after a failure it is left alone for a while."""
        return self._paused_until <= time.monotonic()

    @contextmanager
    def sparing(self) -> Iterator[bool]:
        """A context for a question that a task can do without. Gives whether there is time for it.

        A run must not take longer for its questions than for its tasks.
        """
        start = time.monotonic()
        yield self._spent < 1.0 + _SHARE_OF_TIME * (start - self._begun)
        self._spent += time.monotonic() - start

    def ask(
        self, action: Callable[[Backend], T], default: T, warn: Warn, names: int = 1, size: int = 0
    ) -> T:
        """What an action gives; the default after a failure, and while there is no trying.

        names, size: how many it requests, and their bytes
        """
        if not self.is_reachable:
            return default
        seconds = _PATIENCE + names * _PER_NAME + size * _PER_BYTE
        try:
            given = self._threads.run(lambda: action(self.backend)).result(seconds)
        except TimeoutError as error:
            self._fail(str(error) or f"no answer in {seconds:.0f} s", warn)
        except Exception as error:
            self._fail(getattr(error, "strerror", None) or str(error) or type(error).__name__, warn)
        else:
            self._pause = _PAUSE
            return given
        return default

    def _fail(self, reason: str, warn: Warn) -> None:
        if self.is_reachable:  # else another thread has met the same failure
            self._paused_until = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            warn("upstream", f"{self.name} could not be reached: {reason}; for a while results "
                             "are neither loaded from there nor stored there")  # fmt: skip

    # Writing in the background

    def write(self, digest: str, view: memoryview, warn: Warn) -> None:
        """Write an entry later. Waits where too much waits already."""
        with self._changed:
            while self._entries and self._bytes + len(view) > _QUEUED:
                self._changed.wait(1.0)
            self._bytes += len(view) - len(self._entries.get(digest, b""))
            self._entries[digest] = view
            self._start(warn)

    def note(self, topic: str, lines: Iterable[str], warn: Warn) -> None:
        """Write notes later."""
        with self._changed:
            self._notes.setdefault(topic, []).extend(lines)
            self._start(warn)

    def flush(self) -> None:
        """Wait until all is written, or given up after a failure."""
        with self._changed:
            self._is_urgent = True
            self._changed.notify_all()
            while self._is_writing:
                self._changed.wait(1.0)
            self._is_urgent = False
        self.backend.flush()  # it may have an upstream, too

    def _start(self, warn: Warn) -> None:
        if not self._is_writing:
            self._threads.run(lambda: self._write_all(warn))  # which waits for the lock
            self._is_writing = True
        self._changed.notify_all()

    def _write_all(self, warn: Warn) -> None:
        """Write until nothing waits. What meets a failure is given up."""
        while batch := self._next_batch():
            entries, notes = batch
            size = sum(map(len, entries.values()))
            count = len(entries) + len(notes)
            self.ask(batch.write, None, warn, count, size)
            with self._changed:
                self._bytes -= size
                self._changed.notify_all()

    def _next_batch(self) -> _Batch | None:
        """What to write next. Entries first, as notes name them."""
        with self._changed:
            if self._notes and not self._entries and not self._is_urgent:
                self._changed.wait_for(lambda: self._is_urgent or self._entries, _LINGER)
            batch = _Batch({}, {})
            size = 0
            for digest in list(self._entries):
                if batch.entries and size + len(self._entries[digest]) > BYTES:
                    break
                size += len(self._entries[digest])
                batch.entries[digest] = self._entries.pop(digest)
            if not batch.entries or len(self._notes) > _NOTED:
                batch.notes.update(self._notes)
                self._notes = {}
            if not (batch.entries or batch.notes):
                self._is_writing = False
                self._changed.notify_all()
                return None
            return batch


class _Batch(NamedTuple):
    """What one request writes."""

    entries: dict[str, memoryview]
    notes: dict[str, list[str]]

    def write(self, backend: Backend) -> None:
        backend.write_all(self.entries)
        for topic, lines in self.notes.items():
            backend.note(topic, *lines)


_known: WeakSet[Upstream] = WeakSet()
_upstreams: dict[str, Upstream] = {}


def upstream_at(name: str, backend: Backend, is_readonly: bool, options: Any) -> Upstream:
    """The upstream of this process at a place: one, so that a failure there costs once."""
    identity = repr((backend.address, is_readonly, options))
    if identity not in _upstreams:
        _upstreams.setdefault(identity, Upstream(name, backend, is_readonly))
    return _upstreams[identity]


def flush_all() -> None:
    """Wait until all upstreams have what this process has written."""
    for upstream in list(_known):
        upstream.flush()


def _restart_all() -> None:
    for upstream in list(_known):
        upstream.restart()


# Before the libraries that requests need stop their threads: `atexit` comes after them.
getattr(threading, "_register_atexit", atexit.register)(flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
