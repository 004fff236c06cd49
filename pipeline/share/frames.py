"""Dataframes that Dask optimizes once: to share them, it has to optimize them first.

It is imported late: `dask.dataframe` takes a second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dask._expr import FinalizeCompute, _ExprSequence
from dask.dataframe.dask_expr import new_collection
from dask.dataframe.dask_expr._expr import Expr
from dask.dataframe.dask_expr._repartition import Repartition
from dask.utils import get_default_shuffle_method


class _Result(NamedTuple):
    """What Dask's optimizer has made of a dataframe.

    method: by which it shuffles, which depends on the scheduler
    """

    expression: Any
    method: str

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return "optimized", self.expression._name, self.method


class Optimized(Expr):  # type: ignore[misc] # Dask is untyped
    """A dataframe that Dask has optimized, and does not optimize again.

    To what is built upon it, and on another scheduler, it is as it was before.
    """

    _parameters = ("frame", "result")

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> Any:
        return self.frame.divisions

    @property
    def is_current(self) -> bool:
        return bool(self.operand("result").method == get_default_shuffle_method())

    def simplify_once(self, dependents: Any, simplified: Any) -> Any:
        if self.is_current:
            return self
        return self.frame.simplify_once(dependents=dependents, simplified=simplified)

    def rewrite(self, kind: str, rewritten: Any) -> Any:
        return self if self.is_current else self.frame.rewrite(kind, rewritten)

    def _lower(self) -> Any:
        return self.operand("result").expression if self.is_current else self.frame

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:  # noqa: ARG002 - Dask's signature
        is_last = isinstance(parent, _ExprSequence | FinalizeCompute)
        if is_last or (isinstance(parent, Repartition) and parent.operand("new_partitions") == 1):
            return None
        return parent.substitute(self, self.frame)


def optimized(collection: Any, expression: Any) -> Any:
    """A dataframe that Dask does not optimize again. expression: what it has made of it"""
    frame = collection.expr
    frame = frame.frame if isinstance(frame, Optimized) else frame
    if expression._name == frame._name:  # nothing to optimize
        return collection
    return new_collection(Optimized(frame, _Result(expression, get_default_shuffle_method())))
