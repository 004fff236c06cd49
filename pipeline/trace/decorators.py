"""`@recurrence` and `@task`: two decorators, two meanings.

A recurrence gives structure: its body runs while the graph is built, with concrete arguments, and
every call in it is lazy. A task does work: its body runs on a worker, with computed values. A
task's argument may be a call, an operator between calls, or a structure with calls in it.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from functools import lru_cache, partial, update_wrapper
from types import CodeType, FunctionType, MethodType
from typing import Any, overload
from weakref import WeakValueDictionary

import numpy as np
from dask.base import is_dask_collection
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph import bind_arguments, children, freeze, function_prefix, leaves, map_leaves
from pipeline.identity import (
    ATOMS,
    NO_SESSION,
    UnkeyableError,
    current_session,
    encode,
    freeze_array,
    short_repr,
)
from pipeline.trace.lazy import Lazy
from pipeline.trace.values import Call, LazyPart, Table, Unresolved, Value, current_recording


class LazyArgumentError(PipelineError, TypeError):
    """A lazy call as an argument of a recurrence."""


class LazyFunction(ABC):
    """A callable whose calls are lazy.

    table: its calls in the trace that goes on
    """

    # A function in the slot is called at once; a method would call it.
    __slots__ = ("__call__", "__dict__", "__weakref__")
    __name__: str
    __qualname__: str
    __call__: Callable[..., Any]
    body: Callable[..., Any]

    arity: int | None
    """How many arguments need no binding: all are positional, and none has its default."""

    cheap = True
    """Whether a call takes less time than a scheduler spends on a task, and may run with others."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if isinstance(function, LazyFunction):
            raise TypeError(f"{function!r} is decorated already")
        if isinstance(function, (staticmethod, classmethod)):
            name = type(function).__name__
            raise TypeError(f"write @{name} above the decorator of {function.__name__}, not below")
        if not callable(function):
            raise TypeError(f"{function!r} is not callable: decorate a function")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function!r} yields or awaits: decorate a function that returns")
        update_wrapper(self, function)
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        # Functions that are written in C have defaults that cannot be passed.
        is_python = isinstance(function, (FunctionType, MethodType))
        self.signature = inspect.signature(function, follow_wrapped=False) if is_python else None
        parameters = self.signature.parameters.values() if self.signature else ()
        is_plain = all(entry.kind is entry.POSITIONAL_OR_KEYWORD for entry in parameters)
        self.arity = len(parameters) if is_plain and self.signature else None
        self.defaults = {entry.name: entry.default for entry in parameters}
        self.table: ContextVar[Table | None] = ContextVar(self.__name__, default=None)
        self.__call__ = _quick_call(self, list(self.defaults)) if self.arity else self._call

    @property
    def prefix(self) -> str:
        """The first item of its keys, from the present code and globals; fixed in a session."""
        session = current_session()
        prefix = session.prefixes.get(self) or function_prefix(self)
        if session is not NO_SESSION:
            session.prefixes[self] = prefix
        return prefix

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        # By name, as functions are, where the name leads here; else by value.
        found: Any = sys.modules.get(self.__module__)
        for name in self.__qualname__.split("."):
            found = getattr(found, name, None)
        if found is self and self.__module__ != "__main__":
            return self.__qualname__
        return type(self), self._arguments()

    def _arguments(self) -> tuple[Any, ...]:
        return (self.__wrapped__,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.__qualname__}>"

    def _call(self, /, *args: Any, **kwargs: Any) -> Any:
        """A lazy call, with these arguments bound to the signature."""
        if kwargs or len(args) != self.arity:
            args, kwargs = bind_arguments(self.__wrapped__, self.signature, args, kwargs)
        recording = current_recording()
        try:
            names = itertools.chain(self.defaults, itertools.repeat(""))
            positional = [
                self._argument(name, value) for name, value in zip(names, args, strict=False)
            ]
            named = {name: self._argument(name, value) for name, value in kwargs.items()}
        except RecursionError:
            raise UnkeyableError(f"{self.__name__}(): an argument is nested too deeply") from None
        except (LazyArgumentError, UnkeyableError) as error:
            texts = [short_repr(value) for value in args]
            texts += [f"{name}={short_repr(value)}" for name, value in kwargs.items()]
            raise type(error)(f"{self.__name__}({', '.join(texts)}): {error}") from error
        values = tuple([value for value, _ in positional])
        named_values = {name: value for name, (value, _) in named.items()}
        encoded = [part for _, part in (*positional, *named.values())]
        parts = (
            *encoded[: len(positional)],
            *[("kw", name, part) for name, (_, part) in named.items()],
        )
        if recording is None:
            key = None if None in encoded else (self.prefix, *parts)
            return Call(self, values, named_values, key)
        table = recording.table(self)
        if {*map(type, values)} == {int} and not named:  # as in a quick call
            return recording.made(table[values])
        call = table[Unresolved(parts) if LazyPart in map(type, encoded) else parts]
        call.arguments = values, named_values
        return recording.made(call)

    def _argument(self, name: str, value: Any) -> tuple[Any, Any]:
        """An argument as it is now, and encoded."""
        if type(value) in ATOMS:
            return value, encode(value)
        try:
            return self._snapshot(value)
        except UnkeyableError:
            if value is self.defaults.get(name, self):
                return value, "default"
            raise

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.__wrapped__)

    @abstractmethod
    def _snapshot(self, value: Any) -> tuple[Any, Any]:
        """A copy of an argument, so that later changes do not count; and its encoding.

        With lazy values in it, that is a `LazyPart`, or None outside of a trace.
        """


def _quick_call(function: LazyFunction, names: list[str]) -> Callable[..., Any]:
    """The call of a function that takes these arguments, in which integers need no encoding."""
    scope = {"Value": Value, "_table_of": function.table.get, "_call": function._call}
    wrapped: Any = function.__wrapped__
    code = _quick_code(function.__name__, tuple(names))
    return FunctionType(code, scope, function.__name__, wrapped.__defaults__)


@lru_cache(1024)
def _quick_code(name: str, names: tuple[str, ...]) -> CodeType:
    arguments = ", ".join(names)
    source = f"""def call({arguments}):
    if {" and ".join(f"type({argument}) is int" for argument in names)}:
        _table = _table_of()
        if _table is not None:
            _parts = {arguments},
            _recording = _table.recording
            _made = _table.get(_parts)
            if _made is None:  # `_table[_parts]` without its cost: half of all calls are new
                _made = _table[_parts] = Value()
                _made.table, _made.parts, _made.recording = _table, _parts, _recording
                _made.arguments, _made.caller, _made.state = None, _recording.caller, 0
                _items = _recording.items
                _items.append(_made)
                _made.number = -len(_items)
                _recording.stack.append(_made)
                return _made
            if _made.caller is _recording.caller:
                return _recording.again(_made)
            _made.caller = _recording.caller
            if _made.state != 1:
                _recording.need(_made)
            return _made
    return _call({arguments})
"""
    scope: dict[str, Any] = {}
    exec(source, scope)  # noqa: S102 - our own source
    code: CodeType = scope["call"].__code__
    return code.replace(co_name=name, co_qualname=name)


class Recurrence(LazyFunction):
    """A function whose body runs while a graph is traced, and whose calls are lazy."""

    __slots__ = ()

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.body = function

    def _snapshot(self, value: Any) -> tuple[Any, Key]:
        for leaf in leaves(value):
            if isinstance(leaf, Lazy) or is_dask_collection(leaf):
                raise LazyArgumentError(
                    f"{short_repr(leaf)} is not known while tracing, and the shape of the graph "
                    "must not depend on a result; pass a plain value, or make the function a @task"
                )
        frozen = freeze(value)
        return frozen, encode(frozen)


class Task(LazyFunction):
    """A function whose body runs on a worker, and whose calls are lazy.

    Its arguments may be lazy, alone, under operators, or in lists, tuples, dicts and dataclasses.
    A cheap one may share a worker's task with others; all others are Dask tasks.
    """

    __slots__ = ()

    def __init__(self, function: Callable[..., Any], cheap: bool = False) -> None:
        super().__init__(function)
        self.__call__ = self._call
        self.cheap = cheap

    def _arguments(self) -> tuple[Any, ...]:
        return self.__wrapped__, self.cheap

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """The function itself, with computed values."""
        result = self.__wrapped__(*args, **kwargs)
        if isinstance(result, Lazy):
            raise TypeError(
                f"the task {self.__name__} returned {result!r}, which nothing computes; "
                "a function that makes calls is a @recurrence"
            )
        return result

    def body(self, /, *args: Any, **kwargs: Any) -> Any:
        """The function applied to its arguments, as one step."""
        recording = current_recording()
        if recording is None:
            return self.run(*args, **kwargs)
        recording.need_all((args, kwargs))
        return recording.step(self.run, args, kwargs)

    def _snapshot(self, value: Any) -> tuple[Any, Any]:
        if _has_calls_in_a_set(value):
            raise UnkeyableError("no key for a set of calls: it has no order; pass a list")
        frozen = value if type(value) is Value else map_leaves(value, _copy)
        if not any(isinstance(leaf, Lazy) for leaf in leaves(frozen)):
            return frozen, encode(frozen)
        recording = current_recording()
        return frozen, recording and LazyPart(recording, frozen)


def _copy(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return freeze_array(leaf)
    return copy(leaf) if isinstance(leaf, (bytearray, deque, dict, list, set)) else leaf


def _has_calls_in_a_set(value: Any) -> bool:
    if isinstance(value, (set, frozenset)):
        return any(isinstance(leaf, Lazy) for leaf in leaves(list(value)))
    return any(map(_has_calls_in_a_set, children(value) or ()))


def recurrence(function: Callable[..., Any]) -> Recurrence:
    """Make a function's calls lazy: its body runs once per subproblem, while a graph is traced.

    >>> @recurrence
    ... def fib(n):
    ...     return n if n < 2 else fib(n - 1) + fib(n - 2)
    >>> fib(6)
    fib(6)
    >>> fib(6).compute()
    8
    """
    return Recurrence(function)


@overload
def task(function: Callable[..., Any], *, cheap: bool = False) -> Task: ...
@overload
def task(*, cheap: bool = False) -> Callable[[Callable[..., Any]], Task]: ...
def task(
    function: Callable[..., Any] | None = None, *, cheap: bool = False
) -> Task | Callable[[Callable[..., Any]], Task]:
    """Make a function's calls lazy: its body runs on a worker, with computed values.

    It decorates a function, or wraps one from elsewhere: `task(max)`.

    cheap: whether it takes less time than a scheduler spends on a task, 30 µs or more; cheap tasks
        run together, as one. Dask runs all others in parallel.

    >>> task(max)(3, task(min, cheap=True)(4, 5)).compute()
    4
    """
    if function is None:
        return partial(task, cheap=cheap)
    # `task(min)` in a body is one task however often the body runs.
    made = _tasks.get((id(function), cheap))
    if made is None or made.__wrapped__ is not function:
        made = _tasks[id(function), cheap] = Task(function, cheap)
    return made


# By identity: a task holds its function, so no other function has the id while the task lives.
_tasks: WeakValueDictionary[tuple[int, bool], Task] = WeakValueDictionary()
