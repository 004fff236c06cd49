"""Functions for random Dask programs. Most of them write into their arguments.

`POOL` lists them by what they take and give. `poke` writes into any value; `shown` only reads it.
"""

from __future__ import annotations

import copy
import functools
import heapq
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from random import Random
from types import BuiltinMethodType, FunctionType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline import storable
from tests.isolation.described import ATOMS, LOCK, described

# Classes


class Thing:
    """An object with attributes."""

    def __init__(self, held: Any) -> None:
        self.held, self.count = held, 0

    def raised(self) -> Thing:
        self.count += 1
        return self


class Slotted:
    """An object without a dict."""

    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


@storable
@dataclass
class Box:
    """An object that a store can keep."""

    held: Any


@storable
@dataclass(frozen=True)
class Frozen:
    """An object that cannot change, although what it holds can."""

    held: Any


class Pair(NamedTuple):
    """The same, as a tuple."""

    first: Any
    second: Any


# Sources


def ones(n: int) -> Any:
    return np.ones((n, n))


def ramp(n: int) -> Any:
    return np.arange(float(n * n)).reshape(n, n)


def by_columns(n: int) -> Any:
    return np.asfortranarray(ramp(n))


def masked(n: int) -> Any:
    return np.ma.array(np.arange(float(n + 1)), mask=[False] * (n + 1))


def lists_in_array(n: int) -> Any:
    array = np.empty(2, object)
    array[:] = [[n], [n, n]]
    return array


def counted(n: int) -> Any:
    return [3, 1, 2, *range(n)]


def rows(n: int) -> Any:
    return [[n], [n + 1]]


def row_twice(n: int) -> Any:
    row = [n, n]
    return [row, row]


def queue(n: int) -> Any:
    return deque([n, 1])


def named(n: int) -> Any:
    return {"a": n, "b": 1}


def few(n: int) -> Any:
    return {n, 7}


def byte_row(n: int) -> Any:
    return bytearray(n + 1)


def frame(n: int) -> Any:
    return pd.DataFrame({"a": [3.0, 1.0, float(n)], "b": [1, 2, 3]})


def frame_of_lists(n: int) -> Any:
    return pd.DataFrame({"a": [[n], [n, n]]})


def thing(n: int) -> Any:
    return Thing(n)


def slotted(n: int) -> Any:
    return Slotted([n])


def box(n: int) -> Any:
    return Box([n])


def frozen(n: int) -> Any:
    return Frozen([n])


def text_file(n: int) -> Any:
    return StringIO("ab" * n)


def seeded(n: int) -> Any:
    return np.random.default_rng(n)


def dice(n: int) -> Any:
    return Random(n)  # noqa: S311 - a value with a state


def lock(n: int) -> Any:
    return threading.Lock()


def up_to(n: int) -> Iterator[int]:
    yield from range(n + 2)


def squares(n: int) -> Any:
    return map(abs, range(-n, 2))


def counter(n: int) -> Any:
    total = n

    def count() -> int:
        nonlocal total
        total += 1
        return total

    return count


def adder(n: int) -> Any:
    return [n].append


# Readers, and what gives a new value


def total(array: Any) -> float:
    return float(array.sum())


def doubled(array: Any) -> Any:
    return array * 2


def size(values: Any) -> int:
    return len(values)


def shown(value: Any) -> str:
    return str(described(value))


# Writers into arrays


def zero_diagonal(array: Any) -> float:
    np.fill_diagonal(array, 0)
    return float(array.sum())


def filled(array: Any) -> Any:
    array.fill(4.0)
    return array


def set_flat(array: Any) -> Any:
    flat = array.ravel()
    flat[0] = 9.0
    return array


def set_by_flat(array: Any) -> Any:
    array.flat[0] = 8.0
    return array


def out_of_add(array: Any) -> Any:
    np.add(array, 1, out=array)
    return array


def sorted_down(array: Any) -> Any:
    array *= -1
    array.sort(axis=0)
    return array


def set_reshaped(array: Any) -> float:
    array.reshape(-1)[:] = 3.0
    return float(array[0, 0])


def set_through_mask(array: Any) -> Any:
    array[array > 0] = -1.0
    return array


def copied_over(array: Any, other: Any) -> Any:
    np.copyto(array, 5.0)
    return float(other.sum())


def added(array: Any, other: Any) -> Any:
    array += other.sum()
    return array


# Parts of arrays


def half(array: Any) -> Any:
    return array[:1]


def every_other(array: Any) -> Any:
    return array[::2]


def transposed(array: Any) -> Any:
    return array.T


def flat_of(array: Any) -> Any:
    return array.flat


def halves(array: Any) -> Any:
    return [array[:1], array[1:]]


def memory_of(values: Any) -> Any:
    return memoryview(values)


# Writers into containers


def pushed(values: Any) -> Any:
    heapq.heappush(values, 0)
    return values


def set_first(values: Any) -> int:
    values.__setitem__(0, 9)
    return sum(values)


def grown(values: Any) -> Any:
    values.append(len(values))
    return values


def sort_here(values: Any) -> Any:
    values.sort()
    return values


def drained(values: Any) -> int:
    sum_of_all = 0
    while values:
        sum_of_all += values.pop()
    return sum_of_all


def extended(values: Any, others: Any) -> Any:
    values += others
    return values


def first_cleared(values: Any, others: Any) -> int:
    values.clear()
    return len(others)


def counted_in(names: Any) -> Any:
    names["a"] += 1
    return names


def merged_in(names: Any) -> int:
    names |= {"c": 5}
    return len(names)


def without_a(names: Any) -> Any:
    return names.pop("a", None)


def values_of(names: Any) -> Any:
    return names.values()


def with_nine(values: Any) -> Any:
    values.add(9)
    return values


def set_byte(values: Any) -> Any:
    values[0] += 1
    return bytes(values)


# Writers into frames and series


def set_place(table: Any) -> Any:
    table.iloc[0] = 9
    return table


def new_column(table: Any) -> Any:
    table["c"] = table["a"] + 1
    return table


def sort_table(table: Any) -> Any:
    table.sort_values("a", inplace=True)
    return table


def renamed(table: Any) -> Any:
    table.columns = [name.upper() for name in table.columns]
    return list(table.columns)


def with_attribute(table: Any) -> Any:
    table.attrs["read"] = table.attrs.get("read", 0) + 1
    return table


def set_buffer(table: Any) -> Any:
    values = table["a"].to_numpy()
    values.flags.writeable = True
    values[0] = 8.0
    return table


def column(table: Any) -> Any:
    return table["a"]


def set_series(series: Any) -> Any:
    series[:] = 2.0
    return series


def name_series(series: Any) -> Any:
    series.name = "φ"
    return series


# Writers into objects


def counted_thing(thing: Any) -> Any:
    thing.count += 1
    return thing


def thing_by_name(thing: Any) -> int:
    setattr(thing, "count", thing.count + 2)  # noqa: B010 - to write an attribute by its name
    return int(thing.count)


def raised(thing: Any) -> Any:
    return thing.raised()


def drawn(generator: Any) -> float:
    return float(generator.random())


def taken(lock: Any) -> bool:
    return bool(lock.acquire(blocking=False))


# Iterators


def after_first(values: Any) -> Any:
    next(values, None)
    return values


def listed(values: Any) -> Any:
    return list(values)


def iterated(values: Any) -> Any:
    return iter(values)


def mapped(values: Any) -> Any:
    return map(abs, values)


def zeroing(values: Any) -> Iterator[int]:
    """Writes when it is read."""
    for place, value in enumerate(values):
        values[place] = 0
        yield value


# Any value


def poke(value: Any) -> Any:
    """Write into a value, as deep as it can be written into."""
    _poke(value)
    return value


def poked(value: Any) -> str:
    _poke(value)
    return shown(value)


def poke_one(value: Any, other: Any) -> str:
    _poke(value)
    return shown(other)


def poke_all(value: Any, other: Any) -> Any:
    _poke(value)
    _poke(other)
    return [value, other]


def poke_first_part(values: Any) -> Any:
    """Write into one part of a container, and show all."""
    for value in values if isinstance(values, list | tuple) else [values]:
        _poke(value)
        break
    return shown(values)


def _poke(value: Any) -> None:
    for kind, write in _POKES:
        if isinstance(value, kind):
            write(value)
            return


def _poke_array(value: Any) -> None:
    if value.dtype == object:
        _poke(value.ravel()[0])
    elif value.size:
        value[(0,) * value.ndim] += 1


def _poke_masked_array(value: Any) -> None:
    value[0] = np.ma.masked


def _poke_flat(value: Any) -> None:
    value[0] = 6.0


def _poke_parts(values: Any) -> None:
    for part in list(values):
        _poke(part)


def _poke_list(values: Any) -> None:
    _poke_parts(values)
    values.append(0)


def _poke_dict(values: Any) -> None:
    _poke_parts(values.values())
    values["poked"] = values.get("poked", 0) + 1


def _poke_set(values: Any) -> None:
    values.add(f"poked {len(values)}")


def _poke_bytes(value: Any) -> None:
    value[0] = 3


def _poke_memory(value: Any) -> None:
    value[(0,) * value.ndim] = 3


def _poke_table(table: Any) -> None:
    first = table.iloc[0]
    part = first.iloc[0] if isinstance(first, pd.Series) else first
    if isinstance(part, list):
        part.append(0)
    else:
        table.iloc[0] = 7


def _poke_object(value: Any) -> None:
    _poke(value.held)
    if isinstance(value, Thing):
        value.count += 1


_POKES: tuple[tuple[Any, Any], ...] = (
    (ATOMS, lambda value: None),
    (np.ma.MaskedArray, _poke_masked_array),
    (np.ndarray, _poke_array),
    (np.flatiter, _poke_flat),
    ((pd.DataFrame, pd.Series), _poke_table),
    ((list, deque), _poke_list),
    ((tuple, type({}.values())), _poke_parts),
    (dict, _poke_dict),
    (set, _poke_set),
    (bytearray, _poke_bytes),
    (memoryview, _poke_memory),
    (LOCK, lambda value: value.acquire(blocking=False)),
    ((np.random.Generator, Random), lambda value: value.random()),
    (StringIO, lambda value: value.write("x")),
    (functools.partial, lambda value: _poke_parts(value.args)),
    (BuiltinMethodType, lambda value: value(1)),
    (FunctionType, lambda value: value()),
    (Iterator, lambda value: next(value, None)),
    ((Thing, Slotted, Box, Frozen), _poke_object),
)
"""How to write into a value of each type; the first that fits counts."""


def same(value: Any) -> Any:
    return value


def held(value: Any) -> Any:
    return {"held": value}


def wrapped(value: Any) -> Any:
    return (value,)


def twice(value: Any) -> Any:
    return [value, value]


def thing_with(value: Any) -> Any:
    return Thing(value)


def box_with(value: Any) -> Any:
    return Box(value)


def frozen_with(value: Any) -> Any:
    return Frozen(value)


def array_with(value: Any) -> Any:
    array = np.empty(1, object)
    array[0] = value
    return array


def table_with(value: Any) -> Any:
    return pd.Series([value, 1], dtype=object)


def poker(value: Any) -> Any:
    return functools.partial(poke, value)


def closure_with(value: Any) -> Any:
    def inner() -> Any:
        return poke(value)

    return inner


def iterator_with(value: Any) -> Any:
    return iter([value])


def generator_with(value: Any) -> Iterator[Any]:
    yield poke(value)
    yield value


def called(function: Any) -> str:
    return shown(function())


def both(value: Any, other: Any) -> Any:
    return [value, other]


def as_pair(value: Any, other: Any) -> Any:
    return Pair(value, other)


def second(value: Any, other: Any) -> Any:
    _poke(value)
    return other


# The table

ANY = "any"


class Member(NamedTuple):
    """A function of the pool.

    takes: the kinds of its arguments; a number or a slice is a constant
    gives: the kind of its result
    is_reader: it writes into no argument and keeps none in its result
    names: of its last arguments, that are passed by name
    """

    function: Callable[..., Any]
    takes: tuple[Any, ...]
    gives: str
    is_reader: bool = False
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As a program writes it."""
        function = self.function
        home = getattr(function, "__module__", None) or ""
        owner = getattr(function, "__objclass__", None)
        if home == __name__ or function in (sum, sorted, list, len, iter):
            return function.__name__
        if owner is not None:
            return f"{owner.__name__}.{function.__name__}"
        home = {"numpy": "np", "_operator": "operator", "_heapq": "heapq"}.get(home, home)
        return f"{home}.{function.__name__}"


SOURCES = {
    "array": (ones, ramp, by_columns),
    "list": (counted,),
    "rows": (rows, row_twice),
    "dict": (named,),
    "frame": (frame,),
    "thing": (thing,),
    "set": (few,),
    "bytes": (byte_row,),
    "iterator": (up_to, squares),
    "random": (seeded, dice),
    "lock": (lock,),
    "call": (counter,),
    ANY: (
        masked, lists_in_array, queue, frame_of_lists, slotted, box, frozen, text_file, adder,
    ),
}  # fmt: skip

_READERS = (
    (total, ("array",), "number"), (doubled, ("array",), "array"), (np.sum, ("array",), "number"),
    (sum, ("list",), "number"), (len, ("list",), "number"), (sorted, ("list",), "list"),
    (list, ("list",), "list"), (size, ("dict",), "number"), (size, ("frame",), "number"),
    (sorted, ("set",), "list"), (bytes, ("bytes",), "number"),
    (shown, (ANY,), "number"), (copy.deepcopy, ("thing",), "thing"),
    (copy.deepcopy, ("rows",), "rows"),
)  # fmt: skip

_WRITERS = (
    (zero_diagonal, ("array",), "number"), (filled, ("array",), "array"),
    (set_flat, ("array",), "array"), (set_by_flat, ("array",), "array"),
    (out_of_add, ("array",), "array"), (sorted_down, ("array",), "array"),
    (set_reshaped, ("array",), "number"), (set_through_mask, ("array",), "array"),
    (copied_over, ("array", "array"), "number"), (added, ("array", "array"), "array"),
    (operator.imul, ("array", 2), "array"), (operator.iadd, ("array", 1), "array"),
    (half, ("array",), "array"), (every_other, ("array",), "array"),
    (transposed, ("array",), "array"), (flat_of, ("array",), ANY), (halves, ("array",), ANY),
    (memory_of, ("array",), ANY), (np.ravel, ("array",), ANY), (np.transpose, ("array",), "array"),
    (np.asarray, ("array",), "array"), (operator.getitem, ("array", slice(1)), "array"),
    (pushed, ("list",), "list"), (set_first, ("list",), "number"), (grown, ("list",), "list"),
    (sort_here, ("list",), "list"), (drained, ("list",), "number"),
    (extended, ("list", "list"), "list"), (first_cleared, ("list", "list"), "number"),
    (heapq.heappop, ("list",), "number"), (heapq.heapify, ("list",), "number"),
    (operator.iadd, ("list", "list"), "list"), (operator.setitem, ("list", 0, 9), "number"),
    (list.pop, ("list",), "number"), (iter, ("list",), "iterator"),
    (iterated, ("list",), "iterator"), (mapped, ("list",), "iterator"),
    (zeroing, ("list",), "iterator"), (chain, ("list", "list"), "iterator"),
    (poke_first_part, ("rows",), "number"), (operator.getitem, ("rows", 0), "list"),
    (list, ("rows",), "rows"), (copy.copy, ("rows",), "rows"),
    (counted_in, ("dict",), "dict"), (merged_in, ("dict",), "number"),
    (without_a, ("dict",), "number"), (values_of, ("dict",), ANY),
    (dict.setdefault, ("dict", "z", 1), "number"), (dict.popitem, ("dict",), "number"),
    (with_nine, ("set",), "set"), (operator.ior, ("set", "set"), "set"),
    (set_byte, ("bytes",), "number"), (memory_of, ("bytes",), ANY),
    (set_place, ("frame",), "frame"), (new_column, ("frame",), "frame"),
    (sort_table, ("frame",), "frame"), (renamed, ("frame",), "number"),
    (with_attribute, ("frame",), "frame"), (set_buffer, ("frame",), "frame"),
    (column, ("frame",), "series"), (set_series, ("series",), "series"),
    (name_series, ("series",), "series"), (operator.getitem, ("frame", "a"), "series"),
    (counted_thing, ("thing",), "thing"), (thing_by_name, ("thing",), "number"),
    (raised, ("thing",), "thing"), (drawn, ("random",), "number"), (taken, ("lock",), "number"),
    (after_first, ("iterator",), "iterator"), (listed, ("iterator",), "list"),
    (list, ("iterator",), "list"), (next, ("iterator", 0), "number"),
    (sum, ("iterator",), "number"), (called, ("call",), "number"),
    (closure_with, (ANY,), "call"), (poker, (ANY,), "call"),
    (poke, (ANY,), ANY), (poked, (ANY,), "number"), (poke_one, (ANY, ANY), "number"),
    (poke_all, (ANY, ANY), ANY), (poke_first_part, (ANY,), "number"), (same, (ANY,), ANY),
    (held, (ANY,), ANY), (wrapped, (ANY,), ANY), (twice, (ANY,), ANY),
    (thing_with, (ANY,), "thing"), (box_with, (ANY,), ANY), (frozen_with, (ANY,), ANY),
    (array_with, (ANY,), ANY), (table_with, (ANY,), ANY), (iterator_with, (ANY,), ANY),
    (generator_with, (ANY,), ANY), (both, (ANY, ANY), ANY), (as_pair, (ANY, ANY), ANY),
    (second, (ANY, ANY), ANY), (copy.copy, (ANY,), ANY),
)  # fmt: skip

POOL = (
    *(Member(function, takes, gives, True) for function, takes, gives in _READERS),
    *(Member(function, takes, gives) for function, takes, gives in _WRITERS),
    Member(np.add, ("array", 1, "array"), "array", names=("out",)),
)
