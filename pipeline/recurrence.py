"""`@recurrence` and `@task`: two decorators, two meanings.

A recurrence gives structure: its body runs while the graph is built, with concrete arguments, and
every call in it is lazy. A task does work: its body runs on a worker, with computed values.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from abc import ABC, abstractmethod
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from dask.base import is_dask_collection

from pipeline import keys, operand
from pipeline.call import Call
from pipeline.encode import ATOMS, LEAST, MOST, encode
from pipeline.keys import freeze
from pipeline.lazy import Expression, Lazy
from pipeline.nest import leaves
from pipeline.state import UnkeyableError
from pipeline.tracing import Prefix, register
from pipeline.units import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    from pipeline.call import Function


_new = object.__new__
_NO_KEYWORDS: dict[str, Any] = {}


class LazyArgumentError(TypeError):
    """A lazy call as an argument of a recurrence."""


class _Function(ABC):
    """A callable whose calls are lazy."""

    __name__: str
    __qualname__: str
    body: Callable[..., Any]

    arity: int | None
    """How many arguments need no binding: all are positional, and none is left to a default."""

    prefix = Prefix()

    def __init__(self, function: Callable[..., Any]) -> None:
        if isinstance(function, _Function):
            raise TypeError(f"{function!r} is decorated already")
        if isinstance(function, (staticmethod, classmethod)):
            name = type(function).__name__
            raise TypeError(f"write @{name} above the decorator of {function.__name__}, not below")
        if not callable(function):
            raise TypeError(f"{function!r} is not callable: decorate a function")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function!r} yields or awaits: decorate a function that returns")
        update_wrapper(cast("Callable[..., Any]", self), function)
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        # Those that are written in C have defaults that cannot be passed.
        python = isinstance(function, (FunctionType, MethodType))
        self.signature = inspect.signature(function, follow_wrapped=False) if python else None
        parameters = self.signature.parameters.values() if self.signature else ()
        plain = all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)
        self.arity = len(parameters) if plain and self.signature else None
        self.defaults = {each.name: each.default for each in parameters}
        register(self)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(cast("Callable[..., Any]", self), instance)

    def __reduce__(self) -> Any:
        # By name, as functions are, where the name leads here; else by value.
        found: Any = sys.modules.get(self.__module__)
        for name in self.__qualname__.split("."):
            found = getattr(found, name, None)
        if found is self and self.__module__ != "__main__":
            return self.__qualname__
        return type(self), (self.__wrapped__,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.__qualname__}>"

    def _make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        if kwargs or len(args) != self.arity:
            args, kwargs = keys.bind(self.__wrapped__, self.signature, args, kwargs)
        try:
            names = itertools.chain(self.defaults, itertools.repeat(""))
            taken = [self._taken(name, value) for name, value in zip(names, args, strict=False)]
            named = {name: self._taken(name, value) for name, value in kwargs.items()}
        except RecursionError:
            raise UnkeyableError(f"{self.__name__}(): an argument is nested too deeply") from None
        except (LazyArgumentError, UnkeyableError) as error:
            shown = [brief(value) for value in args]
            shown += [f"{name}={brief(value)}" for name, value in kwargs.items()]
            raise type(error)(f"{self.__name__}({', '.join(shown)}): {error}") from error
        call = _new(Call)
        call.function = cast("Function", self)
        call.args = tuple(value for value, _ in taken)
        call.kwargs = {name: value for name, (value, _) in named.items()}
        call.key = keys.key(
            self.prefix,
            tuple(encoded for _, encoded in taken),
            {name: encoded for name, (_, encoded) in named.items()},
        )
        return call

    def _taken(self, name: str, value: Any) -> tuple[Any, Key]:
        if type(value) in ATOMS:
            return value, encode(value)
        try:
            return self._argument(value)
        except UnkeyableError:
            if value is self.defaults.get(name, self):
                return value, "default"
            raise

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.__wrapped__)

    @abstractmethod
    def _argument(self, value: Any) -> tuple[Any, Key]:
        """An argument as it is now, and encoded."""


class Recurrence(_Function):
    """A function whose body runs while a graph is traced, and whose calls are lazy."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.body = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != self.arity:
            return self._make(args, kwargs)
        for each in args:
            if type(each) is not int or not LEAST <= each <= MOST:
                return self._make(args, kwargs)
        # Small integers in their places: nothing to bind, freeze or encode.
        call = _new(Call)
        call.function = self
        call.args = args
        call.kwargs = _NO_KEYWORDS
        call.key = (self.prefix,) + args  # noqa: RUF005 - in half the time
        return call

    def _argument(self, value: Any) -> tuple[Any, Key]:
        for leaf in leaves(value):
            if isinstance(leaf, Lazy) or is_dask_collection(leaf):
                raise LazyArgumentError(
                    f"{brief(leaf)} is not known while tracing, and the shape of the graph must "
                    "not hang on a result; pass a plain value, or make the function a @task"
                )
        frozen = freeze(value)
        return frozen, encode(frozen)


class Task(_Function):
    """A function whose body runs on a worker, and whose calls are lazy.

    Its arguments may be lazy, alone, under operators, or in lists, tuples, dicts and dataclasses.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._make(args, kwargs)

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """The function itself, with computed values."""
        result = self.__wrapped__(*args, **kwargs)
        if isinstance(result, Lazy):
            raise TypeError(
                f"the task {self.__name__} returned {result!r}, which nobody computes; "
                "a function that makes calls is a @recurrence"
            )
        return result

    def body(self, /, *args: Any, **kwargs: Any) -> Expression:
        """A task of this function's own."""
        return Expression(self.run, args, kwargs)

    def _argument(self, value: Any) -> tuple[Any, Key]:
        frozen = operand.freeze(value)
        return frozen, operand.encode(frozen)


def recurrence(function: Callable[..., Any]) -> Recurrence:
    """Make a function's calls lazy: its body is run once per subproblem, while a graph is traced.

    >>> @recurrence
    ... def fib(n):
    ...     return n if n < 2 else fib(n - 1) + fib(n - 2)
    >>> fib(6)
    fib(6)
    >>> fib(6).compute()
    8
    """
    return Recurrence(function)


def task(function: Callable[..., Any]) -> Task:
    """Make a function's calls lazy: its body is run on a worker, with computed values.

    It decorates a function, or wraps one that somebody else wrote.

    >>> task(max)(3, task(min)(4, 5)).compute()
    4
    """
    # `task(min)` in a body is one task however often the body runs.
    made = _tasks.get(id(function))
    if made is None or made.__wrapped__ is not function:
        made = _tasks[id(function)] = Task(function)
    return made


# By identity: a task holds its function, so that no other function bears the id while it lives.
_tasks: WeakValueDictionary[int, Task] = WeakValueDictionary()
