"""Lazy values: what a graph will compute.

An operator between lazy values computes nothing while a graph is traced. It makes an `Expression`,
which becomes part of the task of the call in whose body it is written. The tables list every
operator that Python lets a class define: each makes an expression, or is refused.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline import PipelineError
from pipeline.graph import MAX_TASKS, GraphCollection, TaskGraph
from pipeline.identity import is_tracing, short_repr

if TYPE_CHECKING:
    from pipeline.trace.calls import Memoize

Table = dict[str, tuple[Callable[..., Any], str | None]]

BINARY: Table = {
    "add": (operator.add, "+"),
    "sub": (operator.sub, "-"),
    "mul": (operator.mul, "*"),
    "matmul": (operator.matmul, "@"),
    "truediv": (operator.truediv, "/"),
    "floordiv": (operator.floordiv, "//"),
    "mod": (operator.mod, "%"),
    "divmod": (divmod, None),
    "pow": (pow, "**"),
    "lshift": (operator.lshift, "<<"),
    "rshift": (operator.rshift, ">>"),
    "and": (operator.and_, "&"),
    "or": (operator.or_, "|"),
    "xor": (operator.xor, "^"),
}
"""Operators with a reflected form: `__add__` and `__radd__`."""

COMPARISONS: Table = {
    "eq": (operator.eq, "=="),
    "ne": (operator.ne, "!="),
    "lt": (operator.lt, "<"),
    "le": (operator.le, "<="),
    "gt": (operator.gt, ">"),
    "ge": (operator.ge, ">="),
}

UNARY: Table = {
    "neg": (operator.neg, "-"),
    "pos": (operator.pos, "+"),
    "invert": (operator.invert, "~"),
    "abs": (abs, None),
    "round": (round, None),
    "trunc": (math.trunc, None),
    "floor": (math.floor, None),
    "ceil": (math.ceil, None),
    "getitem": (operator.getitem, None),
}
"""Operators of one lazy value, some with further arguments: `round(x, 2)`, `x[i]`."""

SYMBOLS = {
    function: symbol
    for table in (BINARY, COMPARISONS, UNARY)
    for function, symbol in table.values()
}

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


def _unary(function: Callable[..., Any]) -> Callable[..., Expression]:
    return lambda self, *others: Expression(function, (self, *others))


def _binary(function: Callable[..., Any]) -> Callable[..., Operation]:
    def method(self: Lazy, other: Any) -> Operation:
        operation: Operation = Operation()
        operation.function = function
        operation.operands = (self, other)
        operation.keywords = None
        return operation

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


class Lazy(GraphCollection):
    """A value that a graph will compute: a Dask collection that supports every operator.

    It supports no decision: `if`, `len`, `int`, iteration and the like raise `LazyValueError`.
    """

    __slots__ = ("_graph",)

    def graph(self, *, memoize: Memoize = True, limit: int = MAX_TASKS) -> TaskGraph:
        """The graph of this call: see `trace`."""
        from pipeline.trace.calls import trace  # which needs this class

        return trace(self, memoize=memoize, limit=limit)

    def task_graph(self) -> TaskGraph:
        if not hasattr(self, "_graph"):
            self._graph: TaskGraph = self.graph()
        return self._graph

    __pandas_priority__ = 6000  # above that of a DataFrame, so that it leaves operators to us

    locals().update(
        {f"__{name}__": _binary(function) for name, (function, _) in BINARY.items()}
        | {f"__{name}__": _binary(function) for name, (function, _) in COMPARISONS.items()}
        | {f"__r{name}__": _reflected(function) for name, (function, _) in BINARY.items()}
        | {f"__{name}__": _unary(function) for name, (function, _) in UNARY.items()}
        | {name: _refused(verb) for name, verb in DECISIONS.items()}
        | {"__pow__": _unary(pow)}  # pow(x, y, modulus) has three operands
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
        return Expression(ufunc, operands, kwargs) if method == "__call__" else NotImplemented

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Expression:
        return Expression(function, tuple(args), kwargs)

    def __getstate__(self) -> Any:
        state = object.__getstate__(self)
        slots = state[1] if isinstance(state, tuple) else {}
        return None, {name: value for name, value in slots.items() if name != "_graph"}


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
        return expression_text(self)


class Operation(Expression):
    """An operator of two values. Every subproblem makes one, so construction is kept cheap."""

    __slots__ = ()
    __init__ = object.__init__


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
        f"{name}={expression_text(operand, depth - 1)}"
        for name, operand in (value.keywords or {}).items()
    ]
    return f"{getattr(value.function, '__name__', value.function)}({', '.join(texts)})"
