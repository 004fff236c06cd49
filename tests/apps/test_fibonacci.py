"""Fibonacci, counted and measured."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import count
from pipeline.apps.fibonacci import (
    fib,
    fib_call,
    naive,
    naive_rate,
    table,
)


def test_the_memoized_and_the_naive_function_agree() -> None:
    assert [fib(n).compute(scheduler="sync") for n in range(20)] == [naive(n) for n in range(20)]


def test_a_known_value() -> None:
    value = str(fib(2000).compute(scheduler="sync"))
    assert (len(value), value[:20], value[-5:]) == (418, "42246963333923048787", "17125")


def test_the_closed_form_of_the_tree() -> None:
    for n in range(25):
        assert count(fib(n).graph()).tree == 2 * naive(n + 1) - 1


@pytest.mark.parametrize("n", [-1, 2.0, "6", True, None])
def test_bad_input(n: Any) -> None:
    with pytest.raises(ValueError, match=r"fib\(.*\): n must be a whole number from 0 on"):
        fib_call(n)


def test_rows_tell_measured_from_predicted() -> None:
    small, large = table([10, 60], naive_rate(0.01))
    assert (small.value, small.tree, small.dag, small.predicted) == (55, 177, 11, False)
    assert large.predicted
    assert large.naive_seconds > 1000
    assert large.value == 1548008755920
