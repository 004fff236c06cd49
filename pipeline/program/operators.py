"""The operators that Python lets a class define, each with its function and its symbol."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

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
"""Operators of one value, some with further arguments: `round(x, 2)`, `x[i]`."""

SYMBOLS = {
    function: symbol
    for table in (BINARY, COMPARISONS, UNARY)
    for function, symbol in table.values()
}


def choose(condition: Any, first: Any, second: Any, where: Callable[..., Any] = np.where) -> Any:
    """What `pipeline.where` computes.

    where: chooses element by element
    """
    if getattr(condition, "ndim", 0):
        return where(condition, first, second)
    return first if condition else second
