"""The tables of operators are complete."""

from __future__ import annotations

import operator

from pipeline.trace import BINARY, COMPARISONS, Lazy
from pipeline.trace.operators import DECISIONS, UNARY

# The special methods of Python's data model that an operator or a built-in function calls; those
# that set attributes or handle contexts, classes and copies are none.
SPECIAL = {
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift",
    "rshift", "and", "xor", "or", "lt", "le", "eq", "ne", "gt", "ge", "neg", "pos", "abs",
    "invert", "round", "trunc", "floor", "ceil", "getitem", "bool", "len", "iter", "reversed",
    "contains", "index", "int", "float", "complex", "setitem", "delitem",
}  # fmt: skip


def test_every_operator_is_in_a_table() -> None:
    tables = {*BINARY, *COMPARISONS, *UNARY, *(name.strip("_") for name in DECISIONS)}
    assert tables == SPECIAL


def test_every_operator_is_defined_on_lazy_values_on_both_sides() -> None:
    for name in SPECIAL:
        assert callable(getattr(Lazy, f"__{name}__"))
    for name in BINARY:
        assert callable(getattr(Lazy, f"__r{name}__"))


def test_the_operator_module_knows_no_other_binary_operator() -> None:
    in_place = {name[1:] for name in operator.__all__ if name.startswith("i")}
    known = {name for name in in_place if hasattr(int, f"__{name}__")} - {"nvert"}
    assert known <= {*BINARY, "concat"}
