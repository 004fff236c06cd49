"""`@recurrence` and `@task`: two decorators, two meanings.

A recurrence gives structure: its body runs while the graph is built, with concrete arguments, and
every call in it is lazy. A task does work: its body runs on a worker, with computed values.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, overload
from weakref import WeakValueDictionary

from dask.base import is_dask_collection

from pipeline.graph import freeze, leaves
from pipeline.identity import MAX_INT, MIN_INT, encode, short_repr
from pipeline.trace import operands as operand
from pipeline.trace.calls import Call
from pipeline.trace.function import LazyArgumentError, LazyFunction
from pipeline.trace.lazy import Expression, Lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key


_NO_KEYWORDS: dict[str, Any] = {}
_NONE = object()
_DIGIT = 2**30 - 1  # the largest integer that Python compares in one step


class Recurrence(LazyFunction):
    """A function whose body runs while a graph is traced, and whose calls are lazy."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.body = function

    def __call__(self, first: Any = _NONE, /, *others: Any, **kwargs: Any) -> Any:
        # Small integers in their places, one of them above all: nothing to bind, freeze or encode.
        if type(first) is int and -1 < first < _DIGIT and self.arity == 1 and not others:
            if kwargs:
                return self._make((first,), kwargs)
            call = Call()
            call.function = self
            call.args = (first,)
            call.kwargs = _NO_KEYWORDS
            call.key = (self.fixed or self.prefix, first)
            return call
        args = () if first is _NONE else (first, *others)
        if kwargs or len(args) != self.arity:
            return self._make(args, kwargs)
        for each in args:
            if type(each) is not int or not MIN_INT <= each <= MAX_INT:
                return self._make(args, kwargs)
        call = Call()
        call.function = self
        call.args = args
        call.kwargs = _NO_KEYWORDS
        call.key = (self.fixed or self.prefix, *args)
        return call

    def _argument(self, value: Any) -> tuple[Any, Key]:
        for leaf in leaves(value):
            if isinstance(leaf, Lazy) or is_dask_collection(leaf):
                raise LazyArgumentError(
                    f"{short_repr(leaf)} is not known while tracing, and the shape of the graph must "
                    "not hang on a result; pass a plain value, or make the function a @task"
                )
        frozen = freeze(value)
        return frozen, encode(frozen)


class Task(LazyFunction):
    """A function whose body runs on a worker, and whose calls are lazy.

    Its arguments may be lazy, alone, under operators, or in lists, tuples, dicts and dataclasses.
    A cheap one may share a worker's task with others; all others are Dask tasks of their own.
    """

    def __init__(self, function: Callable[..., Any], cheap: bool = False) -> None:
        super().__init__(function)
        self.cheap = cheap

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._make(args, kwargs)

    def _arguments(self) -> tuple[Any, ...]:
        return self.__wrapped__, self.cheap

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


@overload
def task(function: Callable[..., Any], *, cheap: bool = False) -> Task: ...
@overload
def task(*, cheap: bool = False) -> Callable[[Callable[..., Any]], Task]: ...
def task(
    function: Callable[..., Any] | None = None, *, cheap: bool = False
) -> Task | Callable[[Callable[..., Any]], Task]:
    """Make a function's calls lazy: its body is run on a worker, with computed values.

    It decorates a function, or wraps one that somebody else wrote.

    cheap: whether it takes less time than a scheduler spends on a task, 30 µs or more; cheap tasks
        are run together, as one. All others are left to Dask, which runs them in parallel.

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


# By identity: a task holds its function, so that no other function bears the id while it lives.
_tasks: WeakValueDictionary[tuple[int, bool], Task] = WeakValueDictionary()
