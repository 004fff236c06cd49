"""Handles of values: what one consumer does to its handle, no other consumer sees."""

from __future__ import annotations

import copy
import datetime
import decimal
import fractions
import pickle
import sys
from collections.abc import Container, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph import inputs_of, label, toposort
from pipeline.identity import ATOMS

IMMUTABLE = frozenset({
    *ATOMS, *(np.dtype(code).type for code in "?bBhHiIlLqQefdgFDGMmSU"), np.dtype, np.ufunc, type,
    FunctionType, BuiltinFunctionType, ModuleType, decimal.Decimal, fractions.Fraction,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
})  # fmt: skip
"""Types whose values nobody can change."""

_MAX_AGAIN = 32
"""Tasks that are evaluated again, at most, where a value cannot be copied."""


class IsolationError(PipelineError, TypeError):
    """A value that several tasks use, and that can be neither copied nor computed again."""


def isolated(value: Any, again: Again) -> Any:
    """A handle of a value: a copy, or the value itself if nobody can change it.

    again: evaluates the task of the value, where the value cannot be copied

    Raises `IsolationError`.
    """
    if type(value) in IMMUTABLE:
        return value
    try:
        return _copied(value)
    except Exception as error:  # iterators, locks, open files; a class may raise anything
        return again(error)


def viewed(value: Any, again: Again) -> Any:
    """A handle for a consumer that does not write into its inputs, nor returns a part of them."""
    if type(value) is np.ndarray and not value.dtype.hasobject:
        view = value.view()
        view.flags.writeable = False
        return view
    return isolated(value, again)


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind is np.ndarray and not value.dtype.hasobject:
        # Not all that is read-only may be shared, but a broadcast block may be: it has one number.
        is_broadcast = not value.flags.writeable and 0 in value.strides
        return value if is_broadcast else value.copy(order="K")
    if kind in (list, set) and IMMUTABLE.issuperset(map(type, value)):
        return value.copy()
    if _is_frame(value):
        # A copy of a frame shares the objects in its cells.
        has_objects = any(dtype == object for dtype in np.atleast_1d(value.dtypes))
        return pickle.loads(pickle.dumps(value, 5)) if has_objects else value.copy()  # noqa: S301 - our own bytes
    if is_dask_collection(value):
        return value
    return copy.deepcopy(value)


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")  # nothing is one before it is imported
    return pandas is not None and type(value) in (pandas.DataFrame, pandas.Series)


class Again:
    """Evaluates a task again, with all that it depends on.

    tasks: the graph before tasks were merged
    key: of the task
    unmerged: tasks that may give another value when they run again
    """

    __slots__ = ("key", "tasks", "unmerged")

    def __init__(self, tasks: Mapping[Key, Any], key: Key, unmerged: Container[Key]) -> None:
        self.tasks = tasks
        self.key = key
        self.unmerged = unmerged

    def __call__(self, error: Exception) -> Any:
        """The value; `error` says why it cannot be copied. Raises `IsolationError`."""
        tasks = self._needed()
        if not tasks:
            raise IsolationError(
                f"the value of {label(self.key)} cannot be copied ({error}), and other tasks use "
                "an equal one: declare the function that returns it @impure, so that its calls "
                "are not merged"
            ) from error
        values: dict[Key, Any] = {}
        for key, node in toposort(tasks, [self.key]).items():
            values[key] = node(values)
        return values[self.key]

    def _needed(self) -> dict[Key, Any]:
        """The tasks to evaluate. None of them if they are many, or one of them must run once."""
        needed: dict[Key, Any] = {}
        stack = [self.key]
        while stack:
            key = stack.pop()
            node = self.tasks.get(key)
            if node is None or isinstance(node, TaskRef) or key in self.unmerged:
                return {}
            if key not in needed:
                needed[key] = node
                stack += inputs_of(node)
            if len(needed) > _MAX_AGAIN:
                return {}
        return needed

    def __reduce__(self) -> tuple[Any, ...]:
        return Again, (self._needed(), self.key, ())

    def __dask_tokenize__(self) -> tuple[str, Key]:
        return ("Again", self.key)

    def __repr__(self) -> str:
        return f"<Again {label(self.key)}>"
