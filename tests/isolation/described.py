"""Any value as nested tuples of text and bytes: equal exactly if type, dtype and values are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from io import StringIO
from random import Random
from threading import Lock
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np
import pandas as pd

ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), slice, range)
LOCK = type(Lock())


def described(value: Any, is_final: bool = False) -> Any:
    """A value as nested tuples.

    is_final: reads iterators and calls closures; nobody can use the value afterwards
    """
    return (type(value).__name__, *_parts(value, is_final))


def _parts(value: Any, is_final: bool) -> tuple[Any, ...]:
    for kind, parts in _PARTS:
        if isinstance(value, kind):
            found: tuple[Any, ...] = parts(value, is_final)
            return found
    return _of_object(value, is_final)


def _all(values: Any, is_final: bool) -> tuple[Any, ...]:
    return tuple(described(value, is_final) for value in values)


def _of_array(value: Any, is_final: bool) -> tuple[Any, ...]:
    items = _all(value.ravel(), is_final) if value.dtype == object else value.tobytes()
    return str(value.dtype), value.shape, items


def _of_masked_array(value: Any, is_final: bool) -> tuple[Any, ...]:
    return described(np.ma.getdata(value), is_final), described(np.ma.getmaskarray(value))


def _of_frame(value: Any, is_final: bool) -> tuple[Any, ...]:
    columns = _all((value[name] for name in value.columns), is_final)
    return described(value.columns), described(value.attrs), columns


def _of_series(value: Any, is_final: bool) -> tuple[Any, ...]:
    index = described(value.index) if isinstance(value, pd.Series) else ()
    return described(value.name), str(value.dtype), index, _all(value.tolist(), is_final)


def _of_set(value: Any, is_final: bool) -> tuple[Any, ...]:
    return tuple(sorted(map(repr, _all(value, is_final))))


def _of_method(value: Any, is_final: bool) -> tuple[Any, ...]:
    return value.__name__, described(value.__self__, is_final)


def _of_closure(value: Any, is_final: bool) -> tuple[Any, ...]:
    return value.__name__, described(value(), True) if is_final else ()


def _of_partial(value: Any, is_final: bool) -> tuple[Any, ...]:
    return value.func.__name__, _all(value.args, is_final)


def _of_iterator(value: Any, is_final: bool) -> tuple[Any, ...]:
    return _all(value, is_final) if is_final else ()


def _of_object(value: Any, is_final: bool) -> tuple[Any, ...]:
    slots = [getattr(value, name) for name in getattr(value, "__slots__", ())]
    return _all(slots or vars(value).items(), is_final)


_PARTS: tuple[tuple[Any, Any], ...] = (
    (ATOMS, lambda value, _: (repr(value),)),
    (np.ma.MaskedArray, _of_masked_array),
    (np.ndarray, _of_array),
    (np.generic, lambda value, _: (str(value.dtype), value.tobytes())),
    (np.flatiter, lambda value, _: (described(np.array(value.base)),)),
    (pd.DataFrame, _of_frame),
    ((pd.Series, pd.Index), _of_series),
    ((list, tuple, deque, type({}.values())), _all),
    (dict, lambda value, is_final: _all(value.items(), is_final)),
    ((set, frozenset), _of_set),
    ((bytearray, memoryview), lambda value, _: (bytes(value),)),
    (StringIO, lambda value, _: (value.tell(), value.getvalue())),
    (np.random.Generator, lambda value, _: (repr(value.bit_generator.state),)),
    (Random, lambda value, _: (repr(value.getstate()),)),
    (LOCK, lambda value, _: (value.locked(),)),
    (partial, _of_partial),
    ((BuiltinMethodType, MethodType), _of_method),
    (FunctionType, _of_closure),
    (Iterator, _of_iterator),
)
"""How a value of each type is described; the first that fits counts."""


def mutable_parts(value: Any) -> set[int]:
    """The ids of what others could write into: arrays by their memory, containers, objects."""
    if isinstance(value, (*ATOMS, np.generic)):
        return set()
    if isinstance(value, np.ndarray):
        parts = {id(_memory(value))}
        return parts.union(*map(mutable_parts, value.ravel())) if value.dtype == object else parts
    if isinstance(value, (pd.DataFrame, pd.Series)):  # whose copies share memory until a write
        return {id(value)}.union(*map(mutable_parts, np.ravel(value.to_numpy(object))))
    if isinstance(value, tuple):
        return set().union(*map(mutable_parts, value))
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, list | deque | dict | set):
        return {id(value)}.union(*map(mutable_parts, inner))
    return {id(value)}.union(*map(mutable_parts, getattr(value, "__dict__", {}).values()))


def _memory(array: Any) -> Any:
    """The object that owns the memory of an array."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array
