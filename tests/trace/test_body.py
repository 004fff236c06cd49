"""What a call does with the values of the calls in its body."""

from __future__ import annotations

import operator
import pickle
from typing import Any

from pipeline.trace import Body
from pipeline.trace.body import flatten
from pipeline.trace.lazy import Expression
from tests.functions import fib


def run(lazy: Any, **known: int) -> Any:
    function, calls = flatten(lazy)
    return function(*(known[repr(call).replace("(", "").replace(")", "")] for call in calls))


def test_one_operator_over_its_calls_is_the_function_itself() -> None:
    function, calls = flatten(fib(2) - fib(1))
    assert function is operator.sub
    assert [repr(call) for call in calls] == ["fib(2)", "fib(1)"]


def test_operands_in_another_order_make_a_body() -> None:
    x, y = fib(2), fib(1)
    assert run(x * 2 - y, fib2=7, fib1=3) == 11
    assert run(1 - x, fib2=7) == -6
    assert run(Expression(operator.sub, (y, x)), fib2=7, fib1=3) == -4


def test_a_shared_expression_is_computed_once() -> None:
    seen = []

    def note(value: int) -> int:
        seen.append(value)
        return value

    x = Expression(note, (fib(3),))
    assert run(x * x + x, fib3=5) == 30
    assert seen == [5]


def test_keywords_are_passed_by_name() -> None:
    lazy = Expression(round, (fib(3) / 3,), {"ndigits": 2})
    assert run(lazy, fib3=2) == 0.67


def test_structures_are_filled() -> None:
    assert run([fib(2), {"a": (fib(1), 5)}], fib2=7, fib1=3) == [7, {"a": (3, 5)}]
    assert run({"n": 1}) == {"n": 1}


def test_a_body_pickles_and_tells_what_it_does() -> None:
    function, _ = flatten(fib(2) * 2 + 1)
    again = pickle.loads(pickle.dumps(function))  # noqa: S301
    assert isinstance(again, Body)
    assert again(5) == 11
    assert repr(again) == "<Body: mul, add>"
    assert repr(Body((1,))) == "<Body: constant>"
