"""Space against time: what runs hold, in two orders, for each `memoize`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline import LimitError, TaskGraph, recurrence, trace
from pipeline.schedule import Tradeoff, tradeoff
from pipeline.schedule.memory import Held, Memory, in_dask_order, in_recursion_order
from tests.functions import fib

ORDERS = pytest.mark.parametrize("run", [in_recursion_order, in_dask_order])


@recurrence
def row(n: int) -> Any:
    """A chain of arrays of 80 bytes: row(n) is row(n - 1) + 1."""
    return np.zeros(10) if n == 0 else row(n - 1) + 1


@recurrence
def mirror(name: str, n: int) -> Any:
    """There and back: each step back takes what the same step there gave, as gradients do."""
    if name == "there":
        return np.ones(10) if n == 0 else mirror("there", n - 1) * 1.5
    return (1.0 if n == 8 else mirror("back", n + 1)) * mirror("there", n)


def every(k: int) -> Any:
    return lambda call: call.args[0] == "back" or call.args[1] % k == 0


def tradeoffs(*periods: int) -> list[Tradeoff]:
    return [tradeoff(mirror("back", 1), every(k)) for k in periods]


def mirrored(k: int) -> TaskGraph:
    return trace(mirror("back", 1), memoize=every(k))


@ORDERS
def test_a_chain_holds_two_values_at_a_time(run: Any) -> None:
    memory = run(row(5).graph())
    assert memory.steps == 6
    # The base case is not counted; each task's input is there when it returns.
    assert memory.curve() == [0, 80, 160, 160, 160, 160]
    assert memory.peak == 160
    assert [(value.bytes, value.first, value.last) for value in memory.held] == [
        (80, 1, 2), (80, 2, 3), (80, 3, 4), (80, 4, 5), (80, 5, 5)
    ]  # fmt: skip


@ORDERS
def test_values_are_those_of_compute(run: Any) -> None:
    asked = {"a": fib(9), "b": [fib(10), fib(9)]}
    memory = run(trace(asked))
    assert memory.value == {"a": 34, "b": [55, 34]}
    assert memory.steps == 11


@ORDERS
def test_outputs_are_held_to_the_end(run: Any) -> None:
    memory = run(trace([row(1), row(5)]))
    assert memory.curve()[-1] == 3 * 80
    assert [value.last for value in memory.held if value.key == row(1).key] == [5]


@ORDERS
@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_the_peak_lies_between_the_largest_value_and_the_sum_of_all(run: Any, k: int) -> None:
    memory = run(mirrored(k))
    sizes = [value.bytes for value in memory.held]
    assert max(sizes) <= memory.peak <= sum(sizes)
    assert len(memory.curve()) == memory.steps == len(mirrored(k))


def test_there_and_back_by_hand() -> None:
    costs = tradeoffs(1, 2, 4, 9)
    # The step before one that is kept runs twice, for the next one there and for its own back; the
    # step before that three times, and so on: of 4, 1 + 2 + 3 too many; of 8, 1 + … + 7.
    assert [cost.tasks for cost in costs] == [17, 21, 29, 45]
    assert [cost.recomputed for cost in costs] == [0, 4, 12, 28]
    assert [cost.subproblems for cost in costs] == [17] * 4
    # A memo table: 8 there and 8 back; only every k-th there.
    assert [cost.table for cost in costs] == [80 * n for n in (16, 12, 10, 8)]
    # Most is held: of all, at the first step back, 8 and 1; of every second, at step 7 back, there
    # 2, 4, 6 and 7, back 8 and 7; of every fourth, there 4 and 7, back 8 and 7; of none, there 7,
    # back 8 and 7.
    assert [cost.peak for cost in costs] == [80 * n for n in (9, 6, 4, 3)]


def test_the_fewer_are_kept_the_less_is_held_and_the_more_is_computed_again() -> None:
    costs = tradeoffs(1, 2, 3, 4, 6, 9)
    peaks = [cost.peak for cost in costs]
    recomputed = [cost.recomputed for cost in costs]
    tables = [cost.table for cost in costs]
    assert peaks == sorted(peaks, reverse=True)
    assert tables == sorted(tables, reverse=True)
    assert recomputed == sorted(recomputed)


def test_values_do_not_depend_on_what_is_kept() -> None:
    everything, *others = [tradeoff(mirror("back", 1), kept) for kept in (True, False, every(3))]
    for other in others:
        np.testing.assert_array_equal(other.memory.value, everything.memory.value)


def test_everything_kept_recomputes_nothing() -> None:
    cost = tradeoff(fib(30))
    assert (cost.tasks, cost.subproblems, cost.recomputed) == (31, 31, 0)


def test_nothing_kept_is_the_tree_and_needs_no_table() -> None:
    cost = tradeoff(fib(10), memoize=False)
    assert (cost.tasks, cost.subproblems, cost.recomputed) == (177, 11, 166)
    assert cost.table == 0


def test_fibonacci_holds_a_few_values_where_a_table_holds_n() -> None:
    small, large = tradeoff(fib(20)), tradeoff(fib(80))
    most = max(value.bytes for value in large.memory.held)
    assert large.peak <= 3 * most
    assert large.dask_peak <= 4 * most
    assert len(large.memory.held) == 79  # all but fib(0) and fib(1)
    assert large.table == sum(value.bytes for value in large.memory.held) > 3 * small.table


def test_a_tree_over_the_limit_is_refused() -> None:
    with pytest.raises(LimitError, match="331,160,281"):
        tradeoff(fib(40), memoize=False, limit=1000)


def test_what_is_computed_again_is_known() -> None:
    held = in_recursion_order(fib(5).graph(memoize=False)).held
    assert [value.again for value in held if value.subproblem == fib(2).key] == [False, True, True]
    assert [value.again for value in in_recursion_order(fib(5).graph()).held] == [False] * 4


def test_a_base_case_alone_holds_nothing() -> None:
    cost = tradeoff(fib(1))
    assert (cost.tasks, cost.peak, cost.dask_peak, cost.table) == (1, 0, 0, 0)
    assert Memory(0, (), None).peak == 0


def test_both_orders_run_the_same_tasks() -> None:
    graph = mirrored(3)

    def made(held: tuple[Held, ...]) -> set[Any]:
        return {(value.key, value.bytes) for value in held}

    assert made(in_recursion_order(graph).held) == made(in_dask_order(graph).held)
