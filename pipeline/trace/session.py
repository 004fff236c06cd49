"""What holds while graphs are traced, in whatever threads."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pipeline.graph import function_prefix
from pipeline.identity import remembering

if TYPE_CHECKING:
    from collections.abc import Iterator


class Prefix:
    """The prefix of a function's keys, as an attribute: `fixed` while graphs are traced.

    A body may change what its own token covers, a list that it logs to, say; within one graph the
    keys must not change with it. At other times the prefix is made of the code and globals of now.
    """

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        prefix = instance.fixed or function_prefix(instance)
        if _sessions.open:
            instance.fixed = prefix
        return prefix


class _Sessions:
    def __init__(self) -> None:
        self.open = 0
        self.lock = Lock()
        self.collecting = False
        self.functions: WeakSet[Any] = WeakSet()

    def forget(self) -> None:
        for function in self.functions:
            function.fixed = None


_sessions = _Sessions()


def register(function: Any) -> None:
    """Have the prefix of a recurrence or task fixed during each session, as its `fixed`."""
    function.fixed = None
    with _sessions.lock:
        _sessions.functions.add(function)


@contextmanager
def session() -> Iterator[None]:
    """Trace meanwhile. Sessions may nest and overlap.

    The garbage collector rests: hundreds of thousands of new objects, none of them garbage, set
    off one collection after another, each over all objects so far, half of the time of a trace.
    """
    with _sessions.lock:
        _sessions.open += 1
        if _sessions.open == 1:
            _sessions.forget()
            _sessions.collecting = gc.isenabled()
            gc.disable()
    try:
        with remembering():
            yield
    finally:
        with _sessions.lock:
            _sessions.open -= 1
            if not _sessions.open:
                _sessions.forget()
                if _sessions.collecting:
                    gc.enable()
