"""Whose event it is: the observers of a thread, and of what a task hands to other threads.

Observers nest: an event counts for the task that runs in a thread, and for the tasks around it.
Work that a task hands to other threads is the task's as well:

- a thread counts for the tasks that run in the thread that started it
- a function that is given to a pool of threads counts for the task that gave it
- a coroutine in the event loop of a library counts for the task whose context it has
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from pipeline.cache.tracking.observer import Observer

watching: set[Observer] = set()
"""All observers of the process whose block runs."""

_in_context: ContextVar[tuple[Observer, ...]] = ContextVar("_in_context", default=())


def enter(observer: Observer) -> None:
    """Events of this thread count for the observer."""
    thread = _local.state
    thread.observers = (*thread.observers, observer)
    _in_context.set((*_in_context.get(), observer))
    watching.add(observer)


def leave(observer: Observer) -> None:
    watching.discard(observer)
    thread = _local.state
    thread.observers = tuple(other for other in thread.observers if other is not observer)
    _in_context.set(tuple(other for other in _in_context.get() if other is not observer))


def current_observers() -> tuple[Observer, ...]:
    """The observers for which an event of this thread counts, each once."""
    found = _local.state.current()
    for observer in _in_context.get():
        if observer not in found and observer in watching:
            found = (*found, observer)
    return found


class _Thread:
    """The observers of a thread, and the thread that started it while it was observed."""

    def __init__(self, parent: _Thread | None) -> None:
        self.observers: tuple[Observer, ...] = ()
        self.parent = parent

    def current(self) -> tuple[Observer, ...]:
        """The observers of this thread, and those that its parents have now."""
        if self.parent is None:
            return self.observers
        return (*self.observers, *self.parent.current())


class _Local(threading.local):
    def __init__(self) -> None:
        # `threading.current_thread()` would register this thread, if it is still starting.
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
        self.state = _Thread(_parents.get(thread) if thread is not None else None)


_parents: WeakKeyDictionary[threading.Thread, _Thread] = WeakKeyDictionary()
_local = _Local()

THREAD_STARTS = {"_thread.start_new_thread", "_thread.start_joinable_thread"}
"""Events of this thread, before it starts another."""


def start_thread(function: Any) -> None:
    """A thread is about to be started: its events count for the thread that starts it."""
    thread = getattr(function, "__self__", None)
    if isinstance(thread, threading.Thread):
        _parents[thread] = _local.state


def follow_work() -> None:
    """Has what a task hands to other threads be known. Once per process."""
    if sys.version_info < (3, 12):
        _report_threads()
    _follow_pools()
    _report_links()
    os.register_at_fork(after_in_child=watching.clear)


def _report_threads() -> None:
    """Has `threading` raise the event that Python 3.12 raises when a thread is started."""
    start = threading._start_new_thread  # type: ignore[attr-defined]

    def audited(function: Any, args: Any, *more: Any) -> Any:
        sys.audit("_thread.start_new_thread", function, args, *more)
        return start(function, args, *more)

    threading._start_new_thread = audited  # type: ignore[attr-defined]


READLINK = "pipeline.readlink"
"""An event that Python lacks: a symbolic link is read. `os.path.realpath` does that."""


def _report_links() -> None:
    readlink = os.readlink

    @functools.wraps(readlink)
    def audited(path: Any, *, dir_fd: int | None = None) -> Any:
        sys.audit(READLINK, path, dir_fd)
        return readlink(path, dir_fd=dir_fd)

    os.readlink = audited


def _follow_pools() -> None:
    """Has what a task hands to a pool count as the task's: its threads may be older."""
    submit: Callable[..., Any] = ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def followed(pool: Any, function: Any, /, *args: Any, **named: Any) -> Any:
        if watching and (observers := current_observers()):
            return submit(pool, _call_for, observers, function, *args, **named)
        return submit(pool, function, *args, **named)

    ThreadPoolExecutor.submit = followed  # type: ignore[method-assign]


def _call_for(
    observers: tuple[Observer, ...], function: Callable[..., Any], /, *args: Any, **named: Any
) -> Any:
    """Calls a function for the task of another thread."""
    thread = _local.state
    before, current = thread.observers, thread.current()
    thread.observers = (*before, *(other for other in observers if other not in current))
    try:
        return function(*args, **named)
    finally:
        thread.observers = before
