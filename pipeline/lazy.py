"""Lazy values: what a graph will compute.

An operator between lazy values computes nothing while a graph is traced. It makes an `Expression`,
which becomes part of the task of the call in whose body it stands.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from dask.base import DaskMethodsMixin

from pipeline.graph import OwnOptimizer, TaskGraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

Table = dict[str, tuple["Callable[..., Any]", str | None]]

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

_DECISIONS = {
    "__bool__": "branch on",
    "__len__": "take the length of",
    "__iter__": "iterate over",
    "__reversed__": "iterate over",
    "__contains__": "search",
    "__index__": "use as an index",
    "__int__": "convert",
    "__float__": "convert",
    "__complex__": "convert",
    "__setitem__": "assign into",
    "__delitem__": "delete from",
}


class LazyValueError(TypeError):
    """A body needs a value that is computed only when the graph runs."""


class Lazy(DaskMethodsMixin):  # type: ignore[misc]
    """A value that a graph will compute: a Dask collection that takes every operator.

    It takes no decision: `if`, `len`, `int`, iteration and the like raise `LazyValueError`.
    """

    __slots__ = ("_graph",)

    graph: ClassVar[Callable[..., TaskGraph]]  # from `pipeline.call`, which stands above this file

    # Lazy values compare lazily, so they are told apart by identity.
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **kwargs: Any) -> Any:
        # An array on the left of an operator would otherwise loop over its elements.
        return Expression(ufunc, operands, kwargs) if method == "__call__" else NotImplemented

    def visualize(self, filename: str | None = None, **options: Any) -> Any:
        """Draw the DAG: see `TaskGraph.visualize`."""
        return self.graph().visualize(filename, **options)

    # Dask's collection protocol. Dask asks for the graph several times an operation.

    def _traced(self) -> TaskGraph:
        try:
            return self._graph
        except AttributeError:
            self._graph: TaskGraph = self.graph()
            return self._graph

    def __dask_graph__(self) -> Any:
        return self._traced().__dask_graph__()

    def __dask_keys__(self) -> list[Key]:
        return self._traced().__dask_keys__()

    def __dask_tokenize__(self) -> Any:
        return self._traced().__dask_tokenize__()

    def __dask_postcompute__(self) -> Any:
        return self._traced().__dask_postcompute__()

    def __dask_postpersist__(self) -> Any:
        return self._traced().__dask_postpersist__()

    __dask_optimize__ = OwnOptimizer()
    __dask_scheduler__ = staticmethod(TaskGraph.__dask_scheduler__)


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
        return repr(value)
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


def _forward(function: Callable[..., Any]) -> Callable[..., Expression]:
    new = Expression.__new__

    def method(self: Lazy, *others: Any) -> Expression:
        made = new(Expression)
        made.function = function
        made.operands = (self, *others)
        made.keywords = None
        return made

    return method


def _binary(function: Callable[..., Any]) -> Callable[..., Expression]:
    # The operator between two calls is on the path that every subproblem takes: one call less.
    new = Expression.__new__

    def method(self: Lazy, other: Any) -> Expression:
        made = new(Expression)
        made.function = function
        made.operands = (self, other)
        made.keywords = None
        return made

    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Expression]:
    return lambda self, other: Expression(function, (other, self))


def _refused(verb: str) -> Callable[..., NoReturn]:
    def method(self: Lazy, *_: Any) -> NoReturn:
        raise LazyValueError(
            f"cannot {verb} {self!r} while tracing: its value is not known yet; "
            f"{verb} arguments, or wrap the decision in @task"
        )

    return method


for _name, (_function, _) in {**BINARY, **COMPARISONS}.items():
    setattr(Lazy, f"__{_name}__", _binary(_function))
for _name, (_function, _) in BINARY.items():
    setattr(Lazy, f"__r{_name}__", _reflected(_function))
for _name, (_function, _) in UNARY.items():
    setattr(Lazy, f"__{_name}__", _forward(_function))
for _name, _verb in _DECISIONS.items():
    setattr(Lazy, _name, _refused(_verb))
Lazy.__pow__ = _forward(pow)  # pow(x, y, modulus) takes three
