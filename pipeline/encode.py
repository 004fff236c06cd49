"""The content of a value, as a part of a key.

An encoded value is made of strings, integers and tuples, as Dask's keys are. An integer stands for
itself; all else is encoded with its type, so that 1, 1.0, True and "1" stay four arguments.
Functions and classes are encoded by what they are made of, objects by their class and state.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from types import FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.arrays import content
from pipeline.reach import library_name, parts
from pipeline.state import UnkeyableError, state_of
from pipeline.units import brief, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dask.typing import Key

LONG = 48
"""Characters of an argument that a key shows whole; a longer one is shortened and hashed."""

LEAST, MOST = -(2**63), 2**63 - 1
"""Integers between these stand for themselves; a cluster's messages can hold no others."""

_NESTED = 200
"""Depth at which an argument is taken to contain itself."""


def short_hash(encoded: Key) -> str:
    """24 hexadecimal digits that stand for an encoded value.

    >>> short_hash(("fib-0123456789ab", 5))
    '9680defef6b1412819355b21'
    """
    return blake2b(repr(encoded).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def encode(value: Any) -> Key:
    """The content of a value: different for different values, equal in every process.

    Raises `UnkeyableError` for what has no content: a lock, a generator, an open file.

    >>> encode(1), encode(1.0), encode(True), encode("1"), encode((1, None))
    (1, '1.0', 'True', "'1'", (1, 'None'))
    """
    return _atom(value) if type(value) in ATOMS else Encoder().encode(value)


_SINGLE = map(type, (None, ..., NotImplemented))
ATOMS = frozenset({int, bool, float, complex, str, bytes, range, *_SINGLE})
"""Types whose values are encoded by what Python shows of them."""


def _atom(value: Any) -> Key:
    if type(value) is int:
        return value if LEAST <= value <= MOST else _shortened(whole(value))
    if type(value) in (float, complex) and value != value:
        return f"nan {np.asarray(value).tobytes().hex()}"  # there are many
    return _shortened(repr(value))


_NUMBERS = frozenset(np.dtype(code).type for code in "?bBhHiIlLqQefdFD")
"""NumPy's numbers that Python has numbers for."""

_remembered: ContextVar[dict[int, tuple[Any, Key]] | None] = ContextVar("_remembered", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Encode each object and function once meanwhile, and verify at the end that none has changed.

    The object of a recursive method may be large, and each of its calls would encode it again.
    """
    known: dict[int, tuple[Any, Key]] = {}
    before = _remembered.set(known)
    try:
        yield
        for value, encoded in list(known.values()):
            if isinstance(value, (FunctionType, type)) or hasattr(value, "__wrapped__"):
                continue  # what it reaches may change as it runs, a list that it logs to, say
            if Encoder().content(value) != encoded:
                raise UnkeyableError(
                    f"{brief(value)} changed while its calls were traced: a recurrence must leave "
                    "its arguments, and the object whose method it is, as they are; fill caches "
                    "and cached properties before"
                )
    finally:
        _remembered.reset(before)


def is_remembering() -> bool:
    """Whether a graph is being traced, here, in this thread."""
    return _remembered.get() is not None


def aside(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function as if nothing were traced."""
    before = _remembered.set(None)
    try:
        return function(*args)
    finally:
        _remembered.reset(before)


class Encoder:
    """One walk over a value.

    A function or class stands for itself and all that it reaches: these definitions are numbered
    in the order in which the walk meets them, each is encoded once, and refers to others by number.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.numbers: dict[int, int] = {}  # of the definitions that are being walked
        self.definitions: list[FunctionType | type] = []
        self.done: dict[int, tuple[Any, Key]] = {}  # objects and definitions, kept with their code

    def encode(self, value: Any) -> Key:
        # By exact type: a subclass may carry state of its own, and goes by that.
        kind = type(value)
        if kind in ATOMS:
            return _atom(value)
        if isinstance(value, np.generic) and kind.__module__ == "numpy":
            return _scalar(value)
        if kind is np.ndarray:
            return _array(value)
        if isinstance(value, ModuleType):
            return self.library(f"module {value.__name__}", value.__name__)
        if (name := library_name(value)) is not None:
            return self.library(name, value.__module__)
        if self.depth == _NESTED:
            raise UnkeyableError(
                f"no key for what is nested over {_NESTED} deep, or contains itself"
            )
        self.depth += 1
        try:
            if kind in _CONTAINERS:
                return _short(_CONTAINERS[kind](value, self.encode))
            return self.once(value)
        finally:
            self.depth -= 1

    def library(self, name: str, module: str) -> str:  # noqa: ARG002 - for those derived from this
        """What a library holds, by its name."""
        return name

    def opaque(self, value: Any, error: UnkeyableError) -> str:  # noqa: ARG002 - the same
        """What a function merely names need not have content: a lock, a logger, a file."""
        return f"opaque {type(value).__qualname__}"

    def memory(self) -> dict[int, tuple[Any, Key]] | None:
        """What is known of objects by their ids, beyond this walk."""
        return _remembered.get()

    def once(self, value: Any) -> Key:
        """An object, function or class: by its content, unless that is known."""
        known = self.memory()
        if known is None or self.definitions or _is_of_a_library(value):
            known = self.done
        if id(value) not in known:
            known[id(value)] = value, self.content(value)
        return known[id(value)][1]

    def content(self, value: Any) -> Key:
        if isinstance(value, (FunctionType, type)):
            return self.definition(value)
        kind = type(value)
        try:
            state = state_of(value)
        except UnkeyableError as error:
            if self.definitions:
                return self.opaque(value, error)
            raise
        return f"{kind.__name__}#{short_hash((self.encode(kind), self.encode(state)))}"

    def definition(self, value: FunctionType | type) -> Key:
        is_first = not self.definitions
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.numbers)
            self.definitions.append(value)
        if not is_first:
            return f"definition {self.numbers[id(value)]}"
        before, self.done = self.done, {}  # numbers hold within this walk alone
        # There will be more of them while they are encoded.
        encoded = [(each.__qualname__, *map(self.part, parts(each))) for each in self.definitions]
        self.numbers, self.definitions, self.done = {}, [], before
        return f"{value.__qualname__}#{short_hash(tuple(encoded))}"

    def part(self, value: object) -> Key:
        try:
            return self.encode(value)
        except UnkeyableError as error:
            return self.opaque(value, error)


def _in_order(tag: str) -> Callable[[Any, Callable[[Any], Key]], Key]:
    return lambda value, inner: (tag, *map(inner, value))


def _sorted(tag: str) -> Callable[[Any, Callable[[Any], Key]], Key]:
    # The order of a set differs between processes, that of a dict is no part of its value.
    return lambda value, inner: (tag, *sorted(map(inner, value), key=repr))


_CONTAINERS: Mapping[type, Callable[[Any, Callable[[Any], Key]], Key]] = {
    tuple: lambda value, inner: tuple(map(inner, value)),
    list: _in_order("list"),
    set: _sorted("set"),
    frozenset: _sorted("frozenset"),
    dict: lambda value, inner: _sorted("dict")(value.items(), inner),
    MappingProxyType: lambda value, inner: _sorted("dict")(value.items(), inner),
}


def _short(encoded: Key) -> Key:
    """A container that would make a long key, in short."""
    return encoded if len(text := repr(encoded)) <= 2 * LONG else _shortened(text)


def _is_of_a_library(value: Any) -> bool:
    """Whether a value is of a type that Python or a library made, without attributes to change."""
    return not hasattr(value, "__dict__") and library_name(type(value)) is not None


def _shortened(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG // 2]}…#{short_hash(text)}"


def _scalar(value: np.generic) -> str:
    kind = type(value)
    if kind in _NUMBERS and value == value:  # there are many that are not numbers
        return f"{kind.__name__}({value.item()!r})"
    if isinstance(value, np.longdouble):  # wider than Python's, with bytes that mean nothing
        return f"longdouble({np.format_float_scientific(value)})"
    return _array(np.asarray(value))


def _array(value: np.ndarray[Any, Any]) -> str:
    elements = short_hash(encode(value.tolist())) if value.dtype.hasobject else content(value)
    shape = "×".join(map(str, value.shape))
    return f"{value.dtype}[{shape}]#{short_hash((repr(value.dtype), shape, elements))}"
