"""The operators that Python lets a class define, as tables.

`lazy` reads them: each of them makes an expression of lazy values, or is refused.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
"""Operators whose result Python needs at once, and what they would do with a lazy value."""
