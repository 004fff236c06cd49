"""What was read of functions and constants: their content, and what functions reach.

A function is read once in a process, as long as all that it reaches is the same.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from dask.typing import Key

from pipeline.identity import (
    ATOMS,
    Digester,
    Known,
    Reach,
    Versions,
    encode,
    is_process_state,
    library_name,
    namespace,
    type_part,
)
from pipeline.share.purity import impurities
from pipeline.share.purity.facts import number_of_declarations
from pipeline.share.purity.impurities import NAMED
from pipeline.share.purity.walk import Walk


class Content(NamedTuple):
    """What an encoder found in a value.

    functions: in the value
    sources: of random numbers, in the value and in what its functions reach
    """

    encoded: Key
    functions: tuple[Any, ...]
    sources: tuple[Any, ...]


class _Code:
    """What was read of functions.

    walk: what they reach
    known: definitions that encoders have read
    contents: of functions, by id
    """

    def __init__(self, versions: Versions) -> None:
        self.walk = Walk()
        self.known = Known(versions)
        self.contents: dict[int, Content] = {}


class KeptFunction(NamedTuple):
    """A function that an earlier plan read."""

    function: Any
    code: _Code
    reach: Reach
    declarations: tuple[int, int]

    def is_same(self) -> bool:
        """Whether it would be read as it was: all that it reaches is the same."""
        return self.declarations == number_of_declarations() and self.reach.is_same()


_kept: dict[tuple[int, Versions], KeptFunction] = {}
"""By id of the function, and how far versions count."""

_same_name: dict[tuple[str, str], deque[tuple[int, Versions]]] = {}
"""What is kept of functions of one name, the oldest first."""

_MOST_KEPT, _MOST_OF_A_NAME = 4096, 8
"""Functions that are kept; of those that a loop or a notebook defines again, the newest. What is
kept holds all that they reach."""


def kept_function(function: Any, versions: Versions) -> KeptFunction | None:
    """What is kept of a function, if it was read."""
    kept = _kept.get((id(function), versions))
    return kept if kept is not None and kept.function is function else None


def forget_functions() -> None:
    """Forget what was read of functions."""
    _kept.clear()
    _same_name.clear()


class Readings:
    """What was read of functions and constants, valid while none of them changes.

    Objects are known by their ids, which they keep, for all are held. Functions are known from
    earlier plans, as long as all that they reach is the same.

    versions: how far versions of libraries count
    """

    def __init__(self, versions: Versions = "minor") -> None:
        self.versions = versions
        self._code = _Code(versions)
        self._codes: dict[int, _Code] = {}  # of functions, by id
        self._contents: dict[int, tuple[Any, Content]] = {}
        self._parts: dict[int, tuple[Any, Key]] = {}

    def walk(self, function: Any) -> Walk:
        """What a function reaches, as far as it is known."""
        return self._code_of(function).walk

    def _code_of(self, function: Any) -> _Code:
        if type(function) is not FunctionType:
            return self._code
        code = self._codes.get(id(function))
        if code is None:
            kept = kept_function(function, self.versions)
            is_same = kept is not None and kept.is_same()
            code = self._codes[id(function)] = kept.code if kept and is_same else self._code
        return code

    def content(self, value: Any) -> Content:
        """The content of a value. Raises `TypeError` if it is unknown."""
        code = self._code_of(value)
        if id(value) in code.contents:
            return code.contents[id(value)]
        if id(value) not in self._contents:
            encoder = _ArgumentEncoder(code.known, self._parts)
            encoded = encoder.encode(value)
            content = Content(encoded, tuple(encoder.functions), tuple(encoder.noted))
            self._contents[id(value)] = value, content
            self._keep(value, content)
        return self._contents[id(value)][1]

    def _keep(self, function: Any, content: Content) -> None:
        if type(function) is not FunctionType or library_name(function) is not None:
            return
        if len(_kept) >= _MOST_KEPT:
            forget_functions()
        self._code.contents[id(function)] = content
        versions = self.versions  # the readings themselves are not kept
        reach = Reach(function, self._code.known, lambda: _ArgumentEncoder(Known(versions)))
        kept = KeptFunction(function, self._code, reach, number_of_declarations())
        _kept[id(function), versions] = kept
        name = function.__module__ or "", function.__qualname__
        of_name = _same_name.setdefault(name, deque())
        of_name.append((id(function), versions))
        if len(of_name) > _MOST_OF_A_NAME:
            _kept.pop(of_name.popleft(), None)


_readings: ContextVar[Readings | None] = ContextVar("_readings", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Within this context, what `share` reads is kept for the plan that follows."""
    before = _readings.set(Readings())
    try:
        yield
    finally:
        _readings.reset(before)


def kept_readings() -> Readings:
    """The readings of the context; new ones outside of `reading_once`."""
    return _readings.get() or Readings()


def last_readings() -> Readings:
    """The readings of the context, which drops them: a task may change what was read."""
    readings = kept_readings()
    _readings.set(None)
    return readings


# Constants

SIMPLE = frozenset({int, bool, str, bytes, type(None)})
"""Types whose equal values are the same, within the type."""

_NAMED = frozenset({FunctionType, BuiltinFunctionType, type, np.ufunc, type(np.sum)})
_MAX_ITEMS = 32
"""Items of a container that has a signature; larger ones are encoded as quickly."""


def signature(value: Any, is_part: bool = False, depth: int = 4) -> Hashable:
    """Equal for constants of equal content, in microseconds. None for most types.

    None for what somebody may write into, and may have written when it is read again.

    is_part: of a `functools.partial`, which is read once; functions in it count by their ids
    depth: of containers in it, at most
    """
    kind = type(value)
    if kind in SIMPLE:
        return kind, value
    if kind is float and value == value:  # many bit patterns are no number
        return kind, repr(value)
    if is_part and kind in _NAMED:
        return kind, id(value)
    if isinstance(value, np.dtype):
        return (np.dtype, value.num) if value.isbuiltin == 1 else None
    parts: Sequence[Any] = ()
    if kind is slice:
        parts = value.start, value.stop, value.step
    elif kind is tuple or (is_part and kind is list):
        parts = value
    elif is_part and kind is dict:
        parts = *value, *value.values()
    else:
        return None
    if not depth or len(parts) > _MAX_ITEMS:
        return None
    signatures = [signature(part, is_part, depth - 1) for part in parts]
    return None if None in signatures else (kind, *signatures)


def partial_signature(function: functools.partial[Any]) -> Hashable:
    """Equal for what calls one function with equal constants. None if that is not known."""
    reduced: Any = function.__reduce__()  # creates no attributes
    inner, args, keywords, attributes = reduced[2]
    return None if attributes else signature((inner, args, keywords), True)


class _ArgumentEncoder(Digester):
    """A digester for arguments, which notes what in them may make a task impure, at any depth.

    It keeps the order of dicts, which a function may see.

    functions: in the argument
    noted: sources of random numbers in the argument, and in what its functions reach
    parts: by id, objects without any of these that other arguments hold, too
    """

    dict_order_counts = True

    def __init__(
        self, known: Known | None = None, parts: dict[int, tuple[Any, Key]] | None = None
    ) -> None:
        super().__init__(known=known)
        self.functions: list[Any] = []
        self.parts = {} if parts is None else parts
        self.is_seeded = False  # within an object that seeds what it holds

    def encode(self, value: Any) -> Key:
        if type(value) in ATOMS:
            return super().encode(value)
        if isinstance(value, (*NAMED, functools.partial)) and not self.is_inside:
            self.functions.append(value)
        elif not self.is_seeded and _is_random(value):
            if self.is_inside:
                return self.note(value, super().encode(value))
            self.noted.append(value)
        return super().encode(value)

    def once(self, value: Any) -> Key:
        if self.is_inside:
            return super().once(value)
        if id(value) in self.parts:
            return self.parts[id(value)][1]
        before = len(self.functions), len(self.noted)
        encoded = super().once(value)
        if before == (len(self.functions), len(self.noted)) and not self.is_seeded:
            self.parts[id(value)] = value, encoded
        return encoded

    def content(self, value: Any) -> Key:
        start = len(self.functions)
        is_seeded, self.is_seeded = self.is_seeded, self.is_seeded or _is_seeding(value)
        content = super().content(value)
        self.is_seeded = is_seeded
        # An object refers to its class; that does not mean that anybody calls the class.
        inner = [function for function in self.functions[start:] if not isinstance(function, type)]
        self.functions[start:] = inner
        return content


def argument_content(value: Any, versions: Versions) -> Key:
    """The content of a constant that holds no functions and no sources of random numbers."""
    if type(value) in ATOMS:
        return encode(value)
    return _ArgumentEncoder(Known(versions)).encode(value)


def _is_seeding(value: Any) -> bool:
    """Whether an object seeds those that it holds: a forest with a seed, whose trees have none."""
    module = type_part(type(value), "__module__")
    is_ensemble = type(module) is str and module.startswith(impurities.SEEDING)
    return is_ensemble and any(namespace(value).get(name) is not None for name in impurities.SEEDS)


def _is_random(value: Any) -> bool:
    """Whether an object draws random numbers, or will: an estimator with a seed that is None."""
    if isinstance(value, impurities.SOURCES):
        return not is_process_state(value)  # else the functions that draw from it are in the table
    attributes = {} if isinstance(value, ModuleType) else namespace(value)
    if type(attributes) is not dict or attributes.keys().isdisjoint(impurities.SEEDS):
        return False
    is_unseeded = any(attributes.get(name, 0) is None for name in impurities.SEEDS)
    return is_unseeded and library_name(type(value)) not in impurities.SEED_UNUSED
