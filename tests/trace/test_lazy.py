"""Operators between lazy values, and the decisions that they refuse."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest

from pipeline import LazyValueError, recurrence, task, trace
from pipeline.program import BINARY, COMPARISONS, UNARY
from pipeline.trace import Lazy
from pipeline.trace.lazy import DECISIONS
from tests.functions import fib, square


def value(lazy: Any) -> Any:
    return lazy.compute(scheduler="sync")


@recurrence
def number(n: Any) -> Any:
    return n


PAIRS = [
    (function, left, right)
    for name, (function, _) in {**BINARY, **COMPARISONS}.items()
    for left, right in [(7, 2), (3, 3)]
    if name != "matmul"
]


@pytest.mark.parametrize(("function", "left", "right"), PAIRS)
def test_binary_operators_on_both_sides(function: Any, left: int, right: int) -> None:
    expected = function(left, right)
    for lazy in (
        function(number(left), number(right)),
        function(number(left), right),
        function(left, number(right)),
        function(number(left), number(right) + 0),
    ):
        assert value(lazy) == expected
        assert type(value(lazy)) is type(expected)


@pytest.mark.parametrize(
    "function",
    [
        operator.neg, operator.pos, operator.invert, abs, round, math.trunc, math.floor, math.ceil,
        lambda x: round(x, 1), lambda x: pow(x, 2, 7), lambda x: divmod(x, 4)[1],
        lambda x: 2**x, lambda x: x**2, lambda x: -x + 1 - x * 2 / 3, lambda x: sum([x, x, x]),
        lambda x: math.prod([x, 2, x]), lambda x: (x < 3) | (x > 5),
    ],
)  # fmt: skip
def test_unary_operators_and_what_is_built_of_them(function: Any) -> None:
    assert value(function(number(5))) == function(5)


def test_in_place_operators_make_new_values() -> None:
    x = number(5)
    y = x
    y += 2
    y *= x
    assert value(y) == 35
    assert value(x) == 5


def test_indexing() -> None:
    assert value(number((4, 5, 6))[1]) == 5
    assert value(number((4, 5, 6))[1:]) == (5, 6)
    assert value(number("abc")[number(2)]) == "c"


def test_matrices_and_arrays_on_both_sides() -> None:
    a = np.arange(4.0).reshape(2, 2)
    for lazy in (a @ number(a), number(a) @ a, number(a) @ number(a)):
        np.testing.assert_array_equal(value(lazy), a @ a)
    for lazy in (
        a * number(2),
        number(2) * a,
        np.float64(2) * number(a),
        np.multiply(a, number(2)),
    ):
        np.testing.assert_array_equal(value(lazy), a * 2)
    np.testing.assert_array_equal(value(np.exp(number(a))), np.exp(a))
    np.testing.assert_array_equal(value(np.add(a, number(1), dtype="f4")), (a + 1).astype("f4"))
    assert value(a == number(a)).all()


@pytest.mark.parametrize(
    ("decide", "verb"),
    [
        (bool, "branch on"), (len, "take the length of"), (list, "iterate over"),
        (reversed, "iterate over"), (int, "convert"), (float, "convert"), (complex, "convert"),
        (operator.index, "count with"), (lambda x: 1 in x, "search"),
        (lambda x: x and 1, "branch on"), (lambda x: max(x, 1), "branch on"),
        (lambda x: 1 < x < 3, "branch on"), (lambda x: [0][x], "count with"),
        (lambda x: operator.setitem(x, 0, 1), "assign into"),
        (lambda x: operator.delitem(x, 0), "delete from"),
    ],
)  # fmt: skip
def test_decisions_are_refused(decide: Any, verb: str) -> None:
    with pytest.raises(LazyValueError) as caught:
        decide(fib(3))
    message = str(caught.value)
    assert f"cannot {verb} fib(3)" in message
    assert "its value is not known yet" in message
    assert "@task" in message


def test_a_branch_on_a_lazy_call_names_it_and_the_call_in_whose_body_it_stands() -> None:
    @recurrence
    def f(n: int) -> Any:
        return 1 if n == 0 or f(n - 1) > 3 else f(n - 1)

    with pytest.raises(LazyValueError, match=r"cannot branch on f\(4\) > 3 while") as caught:
        f(5).graph()
    assert caught.value.__notes__ == ["while tracing f(5)"]


def test_lazy_values_read_as_python() -> None:
    assert repr(fib(3) + 2 * fib(1)) == "fib(3) + (2 * fib(1))"
    assert repr(-fib(3)) == "-fib(3)"
    assert repr(fib(3)[0]) == "fib(3)[0]"
    assert repr(round(fib(3), 2)) == "round(fib(3), 2)"
    assert str(np.exp(fib(3))) == "exp(fib(3))"
    assert f"{fib(3)}" == "fib(3)"
    deep = fib(1)
    for _ in range(10_000):
        deep = deep + 1
    assert len(repr(deep)) < 100


def test_lazy_values_can_be_put_into_sets_and_dicts() -> None:
    x, y = fib(3), fib(3)
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_expressions_compute_by_themselves() -> None:
    assert value(fib(5) + fib(6) * 2) == 21
    assert value(trace([fib(5) + 1, {"a": square(fib(4) - 1)}])) == [6, {"a": 4}]
    assert (fib(5) + 1).graph().keys == (fib(5) + 1).graph().keys
    assert (fib(5) + 1).graph().keys != (1 + fib(5)).graph().keys


def test_a_sum_may_have_any_number_of_terms() -> None:
    @recurrence
    def total(n: int) -> Any:
        return sum(number(k) for k in range(n))

    assert value(total(20_000)) == sum(range(20_000))


def test_a_lazy_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = fib(3).real


def test_tasks_take_lazy_values_under_operators() -> None:
    assert value(task(max)(fib(5) + 1, -fib(6), 3)) == 6


def test_an_error_in_a_body_comes_alone() -> None:
    @recurrence
    def f(n: int) -> Any:
        return n if n < 2 else max(f(n - 1), f(n - 2))

    with pytest.raises(LazyValueError) as caught:
        f(3).compute()
    assert caught.value.__context__ is None


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
    binary = {name for name in in_place if hasattr(int, f"__{name}__")} - {"nvert"}
    assert binary <= {*BINARY, "concat"}
