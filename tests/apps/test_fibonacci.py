"""Fibonacci, counted and measured."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import count
from pipeline.apps.fibonacci import (
    GOLDEN,
    fib,
    fibonacci,
    fitted_base,
    growth,
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
        fibonacci(n)


def test_rows_tell_measured_from_predicted() -> None:
    small, large = table([10, 60], naive_rate(0.01))
    assert (small.value, small.tree, small.dag, small.predicted) == (55, 177, 11, False)
    assert large.predicted
    assert large.naive_seconds > 1000
    assert large.value == 1548008755920


def test_growth_is_what_the_scheduler_ran() -> None:
    points = growth(up_to=12)
    assert [point.n for point in points] == list(range(2, 13))
    for point in points:
        assert (point.tree_tasks, point.dag_tasks) == (2 * naive(point.n + 1) - 1, point.n + 1)
    base = fitted_base([(point.n, point.tree_tasks) for point in points])
    assert base == pytest.approx(GOLDEN, abs=0.02)
