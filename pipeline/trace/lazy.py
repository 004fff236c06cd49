"""Lazy values: what a graph will compute.

An operator between lazy values computes nothing while a graph is traced. It makes an `Expression`,
which becomes part of the task of the call in whose body it stands.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.graph import MAX_TASKS, GraphCollection, TaskGraph
from pipeline.identity import is_remembering, short_repr
from pipeline.trace.operators import BINARY, COMPARISONS, DECISIONS, SYMBOLS, UNARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.trace.calls import Memoize


class LazyValueError(TypeError):
    """A body needs a value that is computed only when the graph runs."""


class Lazy(GraphCollection):
    """A value that a graph will compute: a Dask collection that takes every operator.

    It takes no decision: `if`, `len`, `int`, iteration and the like raise `LazyValueError`.
    """

    __slots__ = ("_graph",)

    def graph(self, *, memoize: Memoize = True, limit: int = MAX_TASKS) -> TaskGraph:
        """The graph of this call: see `trace`."""
        from pipeline.trace.calls import trace  # which needs this class

        return trace(self, memoize=memoize, limit=limit)

    __pandas_priority__ = 6000  # above that of a DataFrame, so that it leaves operators to us

    def __hash__(self) -> int:
        # Lazy values compare lazily, so they are told apart by identity; in a body, where a lookup
        # would be a decision, not at all.
        if is_remembering():
            _refuse("look up", self)
        return object.__hash__(self)

    def __str__(self) -> str:
        if is_remembering():
            _refuse("write", self)
        return repr(self)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        _refuse("make an array of", self)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **kwargs: Any) -> Any:
        # An array on the left of an operator would otherwise loop over its elements.
        if "out" in kwargs:
            raise LazyValueError(
                f"cannot write {ufunc.__name__}({', '.join(map(short_repr, operands))}) into an array "
                "while tracing: its value is not known yet; make a new value: x = x + call"
            )
        return Expression(ufunc, operands, kwargs) if method == "__call__" else NotImplemented

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Expression:
        return Expression(function, tuple(args), kwargs)

    def __getstate__(self) -> Any:
        state = object.__getstate__(self)
        slots = state[1] if isinstance(state, tuple) else {}
        return None, {name: value for name, value in slots.items() if name != "_graph"}

    def visualize(self, filename: str | None = None, **options: Any) -> Any:
        """Draw the DAG: see `TaskGraph.visualize`."""
        return self.graph().visualize(filename, **options)

    def task_graph(self) -> TaskGraph:
        if not hasattr(self, "_graph"):
            self._graph: TaskGraph = self.graph()
        return self._graph


class Expression(Lazy):
    """A function of lazy values and constants: an operator, a NumPy ufunc, or a task's function."""

    __slots__ = ("function", "keywords", "operands")

    def __init__(
        self,
        function: Callable[..., Any],
        operands: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.operands = operands
        self.keywords = keywords

    def __repr__(self) -> str:
        return text(self)


def text(value: object, depth: int = 3) -> str:
    """A lazy value as a person writes it; what is nested deeper than `depth` is an ellipsis.

    >>> text(Expression(operator.add, (1, Expression(pow, (2, 3)))))
    '1 + (2 ** 3)'
    """
    if not isinstance(value, Expression):
        return short_repr(value)
    if depth == 0:
        return "…"
    parts = [text(each, depth - 1) for each in value.operands]
    symbol = SYMBOLS.get(value.function)
    if symbol is not None and len(parts) <= 2:
        grouped = [
            f"({part})" if isinstance(each, Expression) and SYMBOLS.get(each.function) else part
            for each, part in zip(value.operands, parts, strict=True)
        ]
        return f" {symbol} ".join(grouped) if len(grouped) == 2 else symbol + grouped[0]
    if value.function is operator.getitem:
        return f"{parts[0]}[{parts[1]}]"
    parts += [f"{key}={text(each, depth - 1)}" for key, each in (value.keywords or {}).items()]
    return f"{getattr(value.function, '__name__', value.function)}({', '.join(parts)})"


class Operation(Expression):
    """An operator of two values. Every subproblem makes one, so its making is kept short."""

    __slots__ = ()
    __init__ = object.__init__


def _forward(function: Callable[..., Any]) -> Callable[..., Expression]:
    return lambda self, *others: Expression(function, (self, *others))


def _binary(function: Callable[..., Any]) -> Callable[..., Operation]:
    def method(self: Lazy, other: Any) -> Operation:
        made: Operation = Operation()
        made.function = function
        made.operands = (self, other)
        made.keywords = None
        return made

    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Expression]:
    return lambda self, other: Expression(function, (other, self))


def _refuse(verb: str, value: Lazy) -> NoReturn:
    remedy = "branch on arguments" if verb == "branch on" else "use what is known"
    raise LazyValueError(
        f"cannot {verb} {value!r} while tracing: its value is not known yet; {remedy}, or wrap the "
        "decision in @task"
    )


def _refused(verb: str) -> Callable[..., NoReturn]:
    return lambda self, *_: _refuse(verb, self)


for _name, (_function, _) in {**BINARY, **COMPARISONS}.items():
    setattr(Lazy, f"__{_name}__", _binary(_function))
for _name, (_function, _) in BINARY.items():
    setattr(Lazy, f"__r{_name}__", _reflected(_function))
for _name, (_function, _) in UNARY.items():
    setattr(Lazy, f"__{_name}__", _forward(_function))
for _name, _verb in DECISIONS.items():
    setattr(Lazy, _name, _refused(_verb))
Lazy.__pow__ = _forward(pow)  # pow(x, y, modulus) takes three
