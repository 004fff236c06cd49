"""What stays fixed while a graph is traced: each object is encoded once, and must not change."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from dask.typing import Key

from pipeline.identity.attributes import held
from pipeline.identity.encoder import ATOMS, Definition, Encoder, Memory, atom
from pipeline.identity.states import UnkeyableError
from pipeline.identity.text import short_repr


@dataclass(slots=True, eq=False)
class Session:
    """What stays fixed while a graph is traced.

    prefixes: of the keys of each function. A body may change what a prefix covers, such as a list
        that it logs to, and the keys of one graph must not change with it.
    encoded: objects and functions by id, each with its encoding; None while no body runs
    """

    prefixes: dict[Any, str]
    encoded: Memory | None

    def verify(self) -> None:
        """Raise `UnkeyableError` if an object changed after it was encoded."""
        for value, encoded in list((self.encoded or {}).values()):
            if isinstance(value, Definition) or held(value, "__wrapped__") is not None:
                continue  # what a function reaches may change while it runs
            if Encoder(self.encoded).content(value) != encoded:
                raise UnkeyableError(
                    f"{short_repr(value)} changed while its calls were traced: a recurrence must "
                    "leave its arguments, and the object whose method it is, as they are; fill "
                    "caches and cached properties before"
                )


NO_SESSION = Session({}, None)
_session = ContextVar("_session", default=NO_SESSION)
current_session = _session.get


@contextmanager
def session() -> Iterator[Session]:
    """Encode each object and function once meanwhile, and verify at the end that none changed.

    Sessions may nest and overlap in threads; a nested one keeps the prefixes of the outer one.
    None of the many objects of a trace is garbage, and collections would take half of its time: the
    garbage collector pauses.
    """
    outer = current_session()
    inner = Session({} if outer is NO_SESSION else outer.prefixes, {})
    before = _session.set(inner)
    try:
        with paused_collector():
            yield inner
            inner.verify()
    finally:
        _session.reset(before)


@contextmanager
def paused_collector() -> Iterator[None]:
    """Pause the garbage collector, while many objects are made of which none is garbage."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()


def is_tracing() -> bool:
    """Whether the body of a recurrence runs, here, in this thread."""
    return current_session().encoded is not None


def run_untraced(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that is no body, such as a predicate, while a graph is traced."""
    before = _session.set(Session(current_session().prefixes, None))
    try:
        return function(*args)
    finally:
        _session.reset(before)


def encode(value: Any) -> Key:
    """The content of a value: different for different values, equal in every process.

    Raises `UnkeyableError` for a value without content: a lock, a generator, an open file.

    >>> encode(1), encode(1.0), encode(True), encode("1"), encode((1, None))
    (1, '1.0', 'True', "'1'", (1, 'None'))
    """
    return atom(value) if type(value) in ATOMS else Encoder(current_session().encoded).encode(value)
