"""Handles of values: what one consumer does to its handle, no other consumer sees."""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import io
import pickle
from collections.abc import Container, Iterable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import cloudpickle
import numpy as np
from dask._task_spec import NestedContainer
from dask.base import is_dask_collection
from dask.sizeof import sizeof
from dask.task_spec import Alias, DataNode, Task, TaskRef
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph import CallTask, inputs_of, label, toposort
from pipeline.identity import ATOMS, closure_values, names_in_code
from pipeline.program import Program

IMMUTABLE = frozenset({
    *ATOMS, *(np.dtype(code).type for code in "?bBhHiIlLqQefdgFDGMmSU"), np.dtype, np.ufunc, type,
    ModuleType, decimal.Decimal, fractions.Fraction,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
})  # fmt: skip
"""Types whose values nobody can change."""

_FLAT = (list, set, tuple, frozenset)

_MAX_AGAIN = 32
"""Tasks that are evaluated again, at most, where a value cannot be copied."""

_MAX_SENT = 100_000
"""Bytes of tasks that go to another process, at most, to be evaluated again there."""


class IsolationError(PipelineError, TypeError):
    """A value that several tasks use, and that can be neither copied nor computed again."""


def isolated(value: Any, again: Again) -> Any:
    """A handle of a value: a copy, or the value itself if nobody can change it.

    again: evaluates the task of the value, where the value cannot be copied

    Raises `IsolationError`.
    """
    try:
        return copied(value)
    except Exception as error:  # iterators, locks, open files; a class may raise anything
        return again(error)


def viewed(value: Any, again: Again) -> Any:
    """A handle for a consumer that does not write into its inputs, nor returns a part of them."""
    if type(value) is np.ndarray and not value.dtype.hasobject:
        view = value.view()
        view.flags.writeable = False
        return view
    return isolated(value, again)


def copied(value: Any) -> Any:
    """A copy of a value, or the value itself if nobody can change it.

    Raises whatever says why it cannot be copied.
    """
    kind = type(value)
    if kind in IMMUTABLE:
        return value
    if kind is np.ndarray and not value.dtype.hasobject:
        return _copied_array(value)
    if kind in _FLAT and IMMUTABLE.issuperset(map(type, value)):
        return value.copy() if kind in (list, set) else value
    if _is_kept(value):
        return value
    file = io.BytesIO()
    pickler = _Pickler(file, 5)
    pickler.dump(value)
    file.seek(0)
    return _Unpickler(file, pickler.kept).load()


def _copied_array(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # A broadcast block is small, and nobody writes into it.
    is_broadcast = not array.flags.writeable and 0 in array.strides
    return array if is_broadcast else array.copy(order="K")


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # it has no types
    """Copies as a message to another process does, but for functions, classes and arrays."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.kept: list[Any] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, value: Any) -> int | None:
        kind = type(value)
        if kind in ATOMS:
            return None
        is_array = kind is np.ndarray and not value.dtype.hasobject
        if not is_array and not _is_kept(value):
            return None
        if id(value) not in self._places:
            self._places[id(value)] = len(self.kept)
            self.kept.append(_copied_array(value) if is_array else value)
        return self._places[id(value)]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, kept: Sequence[Any]) -> None:
        super().__init__(file)
        self._kept = kept

    def persistent_load(self, place: int) -> Any:
        return self._kept[place]


def _is_kept(value: Any) -> bool:
    """Whether a value that is no plain data is shared: classes, functions without a state."""
    if isinstance(value, (type, ModuleType)):
        return True
    if isinstance(value, BuiltinFunctionType):
        return value.__self__ is None or isinstance(value.__self__, ModuleType)
    if not isinstance(value, FunctionType):
        return bool(is_dask_collection(value))
    if not value.__closure__ and not value.__defaults__ and not value.__kwdefaults__:
        return True
    parts = [*closure_values(value).values(), *(value.__defaults__ or ())]
    parts += (value.__kwdefaults__ or {}).values()
    if IMMUTABLE.issuperset(map(type, parts)) and not names_in_code(value.__code__).changed:
        return True
    raise TypeError(f"{value!r} has a state, which a copy would not have")


_WITHOUT_STATE = (type, ModuleType, BuiltinFunctionType, slice, TaskRef, Alias)


def _has_writable(value: Any) -> bool:
    """Whether a task has a literal into which a function may write."""
    parts: Iterable[Any]
    if type(value) is Task:
        parts = [value.func, *value.args, *value.kwargs.values()]
    elif isinstance(value, CallTask):
        parts = [value.function]
    elif isinstance(value, DataNode):
        parts = [value.value]
    elif isinstance(value, NestedContainer):
        parts = value.args  # another container each time
    elif isinstance(value, functools.partial):
        parts = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, FunctionType):
        parts = [*closure_values(value).values(), *(value.__defaults__ or ())]
    elif isinstance(value, MethodType):
        parts = [value.__self__]
    elif type(value) in (tuple, frozenset):
        parts = value
    elif type(value) is Program:
        parts = value.constants
    else:
        return type(value) not in IMMUTABLE and not isinstance(value, _WITHOUT_STATE)
    return any(map(_has_writable, parts))


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
        """The tasks to evaluate. None if they are many, or one of them must run once.

        That is so for one that has a literal into which it may have written before.
        """
        needed: dict[Key, Any] = {}
        stack = [self.key]
        while stack:
            key = stack.pop()
            node = self.tasks.get(key)
            is_once = node is None or isinstance(node, TaskRef) or key in self.unmerged
            if is_once or _has_writable(node):
                return {}
            if key not in needed:
                needed[key] = node
                stack += inputs_of(node)
            if len(needed) > _MAX_AGAIN:
                return {}
        return needed

    def __reduce__(self) -> tuple[Any, ...]:
        # Most values can be copied: a message does not carry data for the others.
        needed = self._needed()
        is_small = sum(sizeof(node) for node in needed.values()) < _MAX_SENT
        return Again, (needed if is_small else {}, self.key, ())

    def __dask_tokenize__(self) -> tuple[str, Key]:
        return ("Again", self.key)

    def __repr__(self) -> str:
        return f"<Again {label(self.key)}>"
