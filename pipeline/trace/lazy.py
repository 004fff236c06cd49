"""Lazy values: what a graph will compute, and what operators do with them.

An operator between lazy values computes nothing. While a graph is traced, it writes a step (see
`recording`); elsewhere it makes an `Expression`. The tables list every operator that Python lets a
class define: each has a lazy result, or is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline import PipelineError
from pipeline.graph import MAX_TASKS, GraphCollection, TaskGraph
from pipeline.identity import is_tracing, short_repr
from pipeline.program import BINARY, COMPARISONS, SYMBOLS, UNARY, choose

if TYPE_CHECKING:
    from pipeline.trace.tracing import Memoize

DECISIONS = {
    "__bool__": "branch on",
    "__len__": "take the length of",
    "__iter__": "iterate over",
    "__reversed__": "iterate over",
    "__contains__": "search",
    "__index__": "count with",
    "__int__": "convert",
    "__float__": "convert",
    "__complex__": "convert",
    "__setitem__": "assign into",
    "__delitem__": "delete from",
}
"""Operators whose result Python needs at once, and the verb that the error message uses."""


class LazyValueError(PipelineError, TypeError):
    """A body needs a value that is computed only when the graph runs."""


def _operation(function: Callable[..., Any]) -> Callable[..., Lazy]:
    return lambda self, *others: self.apply(function, (self, *others))


def _reflected(function: Callable[..., Any]) -> Callable[..., Lazy]:
    return lambda self, other: self.apply(function, (other, self))


def _refuse(verb: str, value: Lazy) -> NoReturn:
    remedy = "use what is known"
    if verb == "branch on":
        remedy = "branch on arguments, choose with minimum, maximum or where"
    raise LazyValueError(
        f"cannot {verb} {value!r} while tracing: its value is not known yet; {remedy}, or wrap the "
        "decision in @task"
    )


def _refused(verb: str) -> Callable[..., NoReturn]:
    return lambda self, *_: _refuse(verb, self)


class Lazy(GraphCollection):
    """A value that a graph will compute: a Dask collection that supports every operator.

    It supports no decision: `if`, `len`, `int`, iteration and the like raise `LazyValueError`.
    """

    __slots__ = ("_graph",)

    @property
    def is_recorded(self) -> bool:
        """Whether it belongs to a trace that is going on."""
        return False

    def apply(
        self,
        function: Callable[..., Any],
        operands: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
    ) -> Lazy:
        """A function of lazy values and constants: an operator, a ufunc, a task's function."""
        for operand in operands:
            if isinstance(operand, Lazy) and operand.is_recorded:
                return operand.apply(function, operands, keywords)
        return Expression(function, operands, keywords)

    def graph(self, *, memoize: Memoize = True, limit: int = MAX_TASKS) -> TaskGraph:
        """The graph of this call: see `trace`."""
        from pipeline.trace.tracing import trace  # which needs this class

        return trace(self, memoize=memoize, limit=limit)

    def task_graph(self) -> TaskGraph:
        if not hasattr(self, "_graph"):
            self._graph: TaskGraph = self.graph()
        return self._graph

    minimum_with, maximum_with = _operation(min), _operation(max)

    __pandas_priority__ = 6000  # above that of a DataFrame, so that it leaves operators to us

    locals().update(
        {f"__{name}__": _operation(function) for name, (function, _) in BINARY.items()}
        | {f"__{name}__": _operation(function) for name, (function, _) in COMPARISONS.items()}
        | {f"__r{name}__": _reflected(function) for name, (function, _) in BINARY.items()}
        | {f"__{name}__": _operation(function) for name, (function, _) in UNARY.items()}
        | {name: _refused(verb) for name, verb in DECISIONS.items()}
    )

    def __hash__(self) -> int:
        # Lazy values compare lazily, so a set or dict compares them by identity. In a body, a
        # lookup would be a decision.
        if is_tracing():
            _refuse("look up", self)
        return object.__hash__(self)

    def __str__(self) -> str:
        if is_tracing():
            _refuse("write", self)
        return repr(self)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        _refuse("make an array of", self)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **kwargs: Any) -> Any:
        # An array on the left of an operator would otherwise loop over its elements.
        if "out" in kwargs:
            raise LazyValueError(
                f"cannot write {ufunc.__name__}({', '.join(map(short_repr, operands))}) into an "
                "array while tracing: its value is not known yet; make a new value: x = x + call"
            )
        return self.apply(ufunc, operands, kwargs) if method == "__call__" else NotImplemented

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Lazy:
        return self.apply(function, tuple(args), kwargs)

    def __getstate__(self) -> Any:
        state = object.__getstate__(self)
        slots = state[1] if isinstance(state, tuple) else {}
        return None, {name: value for name, value in slots.items() if name != "_graph"}


class Expression(Lazy):
    """A function of lazy values and constants, outside of a trace."""

    __slots__ = ("function", "keywords", "operands")

    def __init__(
        self,
        function: Callable[..., Any],
        operands: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.operands = operands
        self.keywords = keywords or {}

    def __repr__(self) -> str:
        return expression_text(self)


def minimum(*values: Any) -> Any:
    """Python's `min` of values, or of a list of them; some may be lazy.

    >>> from pipeline.apps.fibonacci import fib
    >>> minimum(fib(6), 5, fib(7)).compute(), minimum(3, 2)
    (5, 2)
    """
    return _fold(min, "minimum_with", values)


def maximum(*values: Any) -> Any:
    """Python's `max` of values, or of a list of them; some may be lazy.

    >>> from pipeline.apps.fibonacci import fib
    >>> maximum(fib(6), 5, fib(7)).compute()
    13
    """
    return _fold(max, "maximum_with", values)


def _fold(function: Callable[..., Any], method: str, values: tuple[Any, ...]) -> Any:
    """`min` or `max`, as an operator between each value and the result for those before it."""
    first, *others = values if len(values) > 1 else list(*values) or [function([])]
    for second in others:
        if isinstance(first, Lazy):
            first = getattr(first, method)(second)
        elif isinstance(second, Lazy):
            first = second.apply(function, (first, second))
        else:
            first = function(first, second)
    return first


def where(condition: Any, first: Any, second: Any) -> Any:
    """The first value where a condition holds, else the second; both are computed.

    A condition that is an array chooses element by element, as `numpy.where` does.

    >>> from pipeline.apps.fibonacci import fib
    >>> where(fib(6) > 7, fib(3), 0).compute()
    2
    """
    for operand in (condition, first, second):
        if isinstance(operand, Lazy):
            return operand.apply(choose, (condition, first, second))
    return choose(condition, first, second)


def expression_text(value: object, depth: int = 3) -> str:
    """A lazy value as Python source; operands nested deeper than `depth` are an ellipsis.

    >>> expression_text(Expression(operator.add, (1, Expression(pow, (2, 3)))))
    '1 + (2 ** 3)'
    """
    if not isinstance(value, Expression):
        return short_repr(value)
    if depth == 0:
        return "…"
    texts = [expression_text(operand, depth - 1) for operand in value.operands]
    symbol = SYMBOLS.get(value.function)
    if symbol is not None and len(texts) <= 2:
        texts = [
            f"({text})"
            if isinstance(operand, Expression) and SYMBOLS.get(operand.function)
            else text
            for operand, text in zip(value.operands, texts, strict=True)
        ]
        return f" {symbol} ".join(texts) if len(texts) == 2 else symbol + texts[0]
    if value.function is operator.getitem:
        return f"{texts[0]}[{texts[1]}]"
    texts += [
        f"{name}={expression_text(operand, depth - 1)}" for name, operand in value.keywords.items()
    ]
    return f"{getattr(value.function, '__name__', value.function)}({', '.join(texts)})"
