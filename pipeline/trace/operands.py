"""Arguments of tasks: as they are when the call is made, and as parts of its key.

A task's argument may be a call, an operator between calls, or a structure with calls in it.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from functools import lru_cache
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.graph import children, label, leaves, map_leaves
from pipeline.identity import KEY_WIDTH, UnkeyableError, freeze_array, short_hash
from pipeline.identity import encode as encode_value
from pipeline.trace.body import Body, flatten
from pipeline.trace.calls import Call
from pipeline.trace.lazy import Lazy, text

if TYPE_CHECKING:
    from dask.typing import Key


def freeze(value: Any) -> Any:
    """The argument as it is now: arrays, lists and dicts are copied, calls stay themselves.

    Raises `UnkeyableError` for a set of calls.
    """
    if _holds_calls_in_a_set(value):
        raise UnkeyableError("no key for a set of calls: it has no order; pass a list")
    return map_leaves(value, _snapshot)


def _snapshot(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return freeze_array(leaf)
    return copy(leaf) if isinstance(leaf, (bytearray, deque, dict, list, set)) else leaf


def _holds_calls_in_a_set(value: Any) -> bool:
    if isinstance(value, (set, frozenset)):
        return any(isinstance(leaf, Lazy) for leaf in leaves(list(value)))
    return any(map(_holds_calls_in_a_set, children(value) or ()))


def encode(value: Any) -> Key:
    """An argument of a task, encoded; calls in it count by a digest of their keys."""
    if isinstance(value, Call):
        return f"{label(value.key):.{KEY_WIDTH}}@{short_hash(value.key)}"
    if not any(isinstance(leaf, Lazy) for leaf in leaves(value)):
        return encode_value(value)
    function, calls = flatten(value)
    content = (_content(function), *(each.key for each in calls))
    return f"{text(value):.{KEY_WIDTH}}@{short_hash(content)}"


def _content(function: Any) -> Key:
    """The function of an operand: most are a few operators, whose content is their names."""
    if type(function) is not Body:
        return encode_value(function)
    constants = tuple(map(encode_value, function.constants))
    if all(isinstance(step.function, (BuiltinFunctionType, np.ufunc)) for step in function.steps):
        return (constants, _built_in(function.steps))
    return (constants, encode_value(function.steps))


_built_in = lru_cache(4096)(encode_value)
