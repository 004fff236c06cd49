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
from copy import copy
from functools import lru_cache, partial, update_wrapper
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, overload
from weakref import WeakValueDictionary

import numpy as np
from dask.base import is_dask_collection
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph import (
    bind_arguments,
    children,
    freeze,
    function_prefix,
    label,
    leaves,
    map_leaves,
)
from pipeline.identity import (
    ATOMS,
    KEY_WIDTH,
    MAX_INT,
    MIN_INT,
    NO_SESSION,
    UnkeyableError,
    current_session,
    encode,
    freeze_array,
    short_hash,
    short_repr,
)
from pipeline.trace.calls import Body, Call, flatten
from pipeline.trace.lazy import Expression, Lazy, expression_text


class LazyArgumentError(PipelineError, TypeError):
    """A lazy call as an argument of a recurrence."""


class LazyFunction(ABC):
    """A callable whose calls are lazy."""

    __name__: str
    __qualname__: str
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
        self.is_unary = self.arity == 1
        self.defaults = {entry.name: entry.default for entry in parameters}

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

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """A lazy call, with these arguments bound to the signature."""
        if kwargs or len(args) != self.arity:
            args, kwargs = bind_arguments(self.__wrapped__, self.signature, args, kwargs)
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
        call = Call()
        call.function = self
        call.args = tuple([value for value, _ in positional])
        call.kwargs = {name: value for name, (value, _) in named.items()}
        keywords = (("kw", name, encoded) for name, (_, encoded) in named.items())
        call.key = (self.prefix, *(encoded for _, encoded in positional), *keywords)
        return call

    def _argument(self, name: str, value: Any) -> tuple[Any, Key]:
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
    def _snapshot(self, value: Any) -> tuple[Any, Key]:
        """A copy of an argument, so that later changes do not count; and its encoding."""


_NO_KEYWORDS: dict[str, Any] = {}
_MISSING = object()
_ONE_DIGIT = 2**30 - 1  # the largest integer that Python compares in one step


class Recurrence(LazyFunction):
    """A function whose body runs while a graph is traced, and whose calls are lazy."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.body = function

    def __call__(self, first: Any = _MISSING, /, *others: Any, **kwargs: Any) -> Any:
        # Small positional integers, most often one: nothing to bind, freeze or encode.
        # `super()` would cost this path 10 ns: it makes the function a closure.
        if type(first) is int and -1 < first < _ONE_DIGIT and self.is_unary and not others:
            if kwargs:
                return LazyFunction.__call__(self, first, **kwargs)
            call = Call()
            call.function = self
            call.args = (first,)
            call.kwargs = _NO_KEYWORDS
            try:
                call.key = (current_session().prefixes[self], first)
            except KeyError:  # the first call of a session, or no session
                call.key = (self.prefix, first)
            return call
        args = () if first is _MISSING else (first, *others)
        if kwargs or len(args) != self.arity:
            return LazyFunction.__call__(self, *args, **kwargs)
        for value in args:
            if type(value) is not int or not MIN_INT <= value <= MAX_INT:
                return LazyFunction.__call__(self, *args)
        call = Call()
        call.function = self
        call.args = args
        call.kwargs = _NO_KEYWORDS
        call.key = (self.prefix, *args)
        return call

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

    def __init__(self, function: Callable[..., Any], cheap: bool = False) -> None:
        super().__init__(function)
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

    def body(self, /, *args: Any, **kwargs: Any) -> Expression:
        """The function applied to its arguments, as one expression."""
        return Expression(self.run, args, kwargs)

    def _snapshot(self, value: Any) -> tuple[Any, Key]:
        if _has_calls_in_a_set(value):
            raise UnkeyableError("no key for a set of calls: it has no order; pass a list")
        frozen = map_leaves(value, _copy)
        return frozen, _encode_lazy(frozen)


def _copy(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return freeze_array(leaf)
    return copy(leaf) if isinstance(leaf, (bytearray, deque, dict, list, set)) else leaf


def _has_calls_in_a_set(value: Any) -> bool:
    if isinstance(value, (set, frozenset)):
        return any(isinstance(leaf, Lazy) for leaf in leaves(list(value)))
    return any(map(_has_calls_in_a_set, children(value) or ()))


def _encode_lazy(value: Any) -> Key:
    """An argument of a task, encoded; calls in it count by a digest of their keys."""
    if isinstance(value, Call):
        return f"{label(value.key):.{KEY_WIDTH}}@{short_hash(value.key)}"
    if not any(isinstance(leaf, Lazy) for leaf in leaves(value)):
        return encode(value)
    function, calls = flatten(value)
    content = (_encode_body(function), *(call.key for call in calls))
    return f"{expression_text(value):.{KEY_WIDTH}}@{short_hash(content)}"


def _encode_body(function: Any) -> Key:
    """Most bodies are a few operators, whose content is their names."""
    if type(function) is not Body:
        return encode(function)
    constants = tuple(map(encode, function.constants))
    if all(isinstance(step.function, (BuiltinFunctionType, np.ufunc)) for step in function.steps):
        return (constants, _encode_built_in(function.steps))
    return (constants, encode(function.steps))


_encode_built_in = lru_cache(4096)(encode)


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
