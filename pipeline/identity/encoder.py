"""The content of a value, as a part of a key.

An encoded value is made of strings, integers and tuples, as Dask's keys are. An integer stands for
itself; all else is encoded with its type, so that 1, 1.0, True and "1" stay four arguments.
Functions and classes are encoded by what they are made of, objects by their class and state.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from types import FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.identity.arrays import content
from pipeline.identity.atoms import ATOMS, KEY_WIDTH, atom, scalar, short_hash, shortened
from pipeline.identity.bytecode import code_content
from pipeline.identity.references import Library, definition_parts, is_of_a_library, library_name
from pipeline.identity.state import UnkeyableError, state_of
from pipeline.identity.text import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dask.typing import Key

_NESTED = 200
"""Depth at which an argument is taken to contain itself."""


def encode(value: Any) -> Key:
    """The content of a value: different for different values, equal in every process.

    Raises `UnkeyableError` for what has no content: a lock, a generator, an open file.

    >>> encode(1), encode(1.0), encode(True), encode("1"), encode((1, None))
    (1, '1.0', 'True', "'1'", (1, 'None'))
    """
    return atom(value) if type(value) in ATOMS else Encoder().encode(value)


class Session:
    """What stays fixed while a graph is traced.

    prefixes: of the keys of each function. A body may change what a prefix covers, such as a list
        that it logs to, and the keys of one graph must not change with it.
    encoded: objects and functions by id, each with its encoding; None while no body runs
    """

    __slots__ = ("encoded", "prefixes")

    def __init__(
        self, prefixes: dict[Any, str], encoded: dict[int, tuple[Any, Key]] | None
    ) -> None:
        self.prefixes = prefixes
        self.encoded = encoded

    def verify(self) -> None:
        """Raise `UnkeyableError` if an object changed after it was encoded."""
        for value, encoded in list((self.encoded or {}).values()):
            if isinstance(value, Definition) or hasattr(value, "__wrapped__"):
                continue  # what a function reaches may change while it runs
            if Encoder().content(value) != encoded:
                raise UnkeyableError(
                    f"{short_repr(value)} changed while its calls were traced: a recurrence must "
                    "leave its arguments, and the object whose method it is, as they are; fill "
                    "caches and cached properties before"
                )


class _Collector:
    """Pauses garbage collection while a session is open in any thread.

    A trace makes hundreds of thousands of objects, none of them garbage. Collections, each over all
    objects so far, would take half of its time.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.sessions = 0
        self.was_enabled = False

    def __enter__(self) -> None:
        with self.lock:
            if not self.sessions:
                self.was_enabled = gc.isenabled()
                gc.disable()
            self.sessions += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.sessions -= 1
            if not self.sessions and self.was_enabled:
                gc.enable()


NO_SESSION = Session({}, None)
_collector = _Collector()
_session = ContextVar("_session", default=NO_SESSION)
current_session = _session.get


@contextmanager
def session() -> Iterator[Session]:
    """Encode each object and function once meanwhile, and verify at the end that none changed.

    Sessions may nest and overlap in threads; a nested one keeps the prefixes of the outer one.
    """
    outer = current_session()
    inner = Session({} if outer is NO_SESSION else outer.prefixes, {})
    before = _session.set(inner)
    try:
        with _collector:
            yield inner
            inner.verify()
    finally:
        _session.reset(before)


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


Definition = FunctionType | type | ModuleType
"""What stands for all that it reaches."""


def _rank(value: Any) -> str:
    """An order for what has none, that is the same in every process."""
    if type(value) in ATOMS:
        return repr(atom(value))
    if isinstance(value, FunctionType):
        return f"function {value.__qualname__} {code_content(value.__code__)}"
    return f"{type(value).__qualname__} {value.__qualname__ if isinstance(value, type) else ''}"


def _listed(tag: str) -> Callable[[Any, Encoder], Key]:
    return lambda value, encoder: (tag, *map(encoder.encode, value))


def _unordered(tag: str) -> Callable[[Any, Encoder], Key]:
    # The order of a set differs between processes; functions are numbered as they are met.
    return lambda value, encoder: (
        tag, *sorted(map(encoder.encode, sorted(value, key=_rank)), key=repr)
    )  # fmt: skip


def _mapped(value: Any, encoder: Encoder) -> Key:
    # The order of a dict is no part of its value.
    items = sorted(value.items(), key=lambda item: _rank(item[0]))
    return ("dict", *sorted(map(encoder.encode, items), key=repr))


def encode_ordered_dict(value: Any, encoder: Encoder) -> Key:
    """A dict whose order counts."""
    return ("ordered dict", *map(encoder.encode, value.items()))


CONTAINERS: Mapping[type, Callable[[Any, Encoder], Key]] = {
    tuple: lambda value, encoder: tuple(map(encoder.encode, value)),
    list: _listed("list"),
    set: _unordered("set"),
    frozenset: _unordered("frozenset"),
    dict: _mapped,
    MappingProxyType: _mapped,
}


class Encoder:
    """One walk over a value.

    A function or class stands for itself and all that it reaches: these definitions are numbered
    in the order in which the walk meets them, each is encoded once, and refers to others by number.
    """

    containers: ClassVar[Mapping[type, Callable[[Any, Encoder], Key]]] = CONTAINERS

    def __init__(self) -> None:
        self.depth = 0
        self.numbers: dict[int, int] = {}  # of the definitions that are being walked
        self.definitions: list[Any] = []
        self.done: dict[int, tuple[Any, Key]] = {}  # objects and definitions, kept with their code

    def encode(self, value: Any) -> Key:
        # By exact type: a subclass may carry state of its own, and goes by that.
        kind = type(value)
        if kind in ATOMS:
            return atom(value)
        if isinstance(value, np.generic) and kind.__module__ == "numpy":
            return scalar(value) or self.array(np.asarray(value))
        if kind is np.ndarray:
            return self.array(value)
        if kind is Library or (isinstance(value, ModuleType) and is_of_a_library(value)):
            module = value.module if kind is Library else value.__name__
            return self.library(f"module {module}", module)
        if (name := library_name(value)) is not None:
            return self.library(name, value.__module__)
        if self.depth == _NESTED:
            raise UnkeyableError(
                f"no key for what is nested over {_NESTED} deep, or contains itself"
            )
        self.depth += 1
        try:
            if kind in self.containers:
                return _short(self.containers[kind](value, self))
            return self.once(value)
        finally:
            self.depth -= 1

    def array(self, value: np.ndarray[Any, Any]) -> str:
        has_objects = value.dtype.hasobject
        elements = short_hash(self.encode(value.tolist())) if has_objects else content(value)
        shape = "×".join(map(str, value.shape))
        return f"{value.dtype}[{shape}]#{short_hash((repr(value.dtype), shape, elements))}"

    def library(self, name: str, module: str) -> str:  # noqa: ARG002 - for those derived from this
        """What a library holds, by its name."""
        return name

    def opaque(self, value: Any, error: UnkeyableError) -> str:  # noqa: ARG002 - the same
        """What a function merely names need not have content: a lock, a logger, a file."""
        return f"opaque {type(value).__qualname__}"

    def memory(self) -> dict[int, tuple[Any, Key]] | None:
        """What is known of objects by their ids, beyond this walk."""
        return current_session().encoded

    def once(self, value: Any) -> Key:
        """An object, function or class: by its content, unless that is known."""
        known = self.memory()
        if known is None or self.definitions or _is_of_a_library(value):
            known = self.done
        if id(value) not in known:
            known[id(value)] = value, self.content(value)
        return known[id(value)][1]

    def content(self, value: Any) -> Key:
        if isinstance(value, Definition):
            return self.definition(value)
        kind = type(value)
        try:
            state = state_of(value)
        except UnkeyableError as error:
            if self.definitions:
                return self.opaque(value, error)
            raise
        return f"{kind.__name__}#{short_hash((self.encode(kind), self.encode(state)))}"

    def definition(self, value: Any) -> Key:
        is_first = not self.definitions
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.numbers)
            self.definitions.append(value)
        if not is_first:
            return f"definition {self.numbers[id(value)]}"
        before, self.done = self.done, {}  # numbers hold within this walk alone
        # There will be more of them while they are encoded.
        encoded = [
            (_name(each), *map(self.part, definition_parts(each))) for each in self.definitions
        ]
        self.numbers, self.definitions, self.done = {}, [], before
        return f"{_name(value)}#{short_hash(tuple(encoded))}"

    def part(self, value: object) -> Key:
        try:
            return self.encode(value)
        except UnkeyableError as error:
            return self.opaque(value, error)


def _short(encoded: Key) -> Key:
    """A container that would make a long key, in short."""
    return encoded if len(text := repr(encoded)) <= 2 * KEY_WIDTH else shortened(text)


def _is_of_a_library(value: Any) -> bool:
    """Whether a value is of a type that Python or a library made, without attributes to change."""
    return not hasattr(value, "__dict__") and library_name(type(value)) is not None


def _name(definition: Any) -> str:
    return getattr(definition, "__qualname__", "module")
