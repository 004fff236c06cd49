"""Tracing: what becomes a task, in which order, and what is refused."""

from __future__ import annotations

import gc
import math
import threading
from typing import Any

import dask
import numpy as np
import pytest

from pipeline import (
    GraphError,
    LimitError,
    UnkeyableError,
    count,
    recurrence,
    task,
    trace,
)
from tests.functions import binomial, catalan, edit_distance, fib, square


def value(lazy: Any) -> Any:
    lazy.graph().check()
    return lazy.compute(scheduler="sync")


def test_the_dag_has_one_task_per_subproblem() -> None:
    graph = fib(6).graph().check()
    assert list(graph.tasks) == [fib(n).key for n in (1, 0, 2, 3, 4, 5, 6)]
    assert graph.inputs(fib(6).key) == (fib(5).key, fib(4).key)


def test_a_body_runs_once_per_subproblem() -> None:
    seen = []

    @recurrence
    def f(n: int) -> Any:
        seen.append(n)
        return 1 if n < 2 else f(n - 1) + f(n - 2)

    f(20).graph(memoize=False)
    assert sorted(seen) == list(range(21))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (binomial(12, 5), math.comb(12, 5)),
        (edit_distance("saturday", "sunday"), 3),
        (catalan(9), 4862),
    ],
    ids=repr,
)
def test_textbook_recursions(call: Any, expected: int) -> None:
    assert value(call) == expected


def test_mutual_recursion() -> None:
    @recurrence
    def female(n: int) -> Any:
        return 1 if n == 0 else n - male_at(n - 1)

    @recurrence
    def male_at(n: int) -> Any:
        return 0 if n == 0 else n - female(n - 1)

    # Hofstadter's G-like pair without the nesting, checked against plain Python.
    def plain(n: int, base: int) -> int:
        return base if n == 0 else n - plain(n - 1, 1 - base)

    assert [value(female(n)) for n in range(8)] == [plain(n, 1) for n in range(8)]


def test_methods_and_closures() -> None:
    class Grid:
        def __init__(self, cost: list[list[int]]) -> None:
            self.cost = cost

        @recurrence
        def paths(self, i: int, j: int) -> Any:
            if i < 0 or j < 0:
                return 10**9
            if i == j == 0:
                return self.cost[0][0]
            return self.cost[i][j] + task(min)(self.paths(i - 1, j), self.paths(i, j - 1))

    grid, same = Grid([[1, 9, 1], [1, 9, 1], [1, 1, 1]]), Grid([[1, 9, 1], [1, 9, 1], [1, 1, 1]])
    assert value(grid.paths(2, 2)) == 5
    assert grid.paths(2, 2).key == same.paths(2, 2).key
    assert grid.paths(2, 2).key != Grid([[2]]).paths(2, 2).key

    def power(base: int) -> Any:
        @recurrence
        def f(n: int) -> Any:
            return 1 if n == 0 else base * f(n - 1)

        return f

    assert dask.compute(power(2)(10), power(3)(4), scheduler="sync") == (1024, 81)


def test_an_object_that_its_own_method_changes_is_told() -> None:
    class Counter:
        seen = 0

        @recurrence
        def down(self, n: int) -> Any:
            self.seen += 1
            return n if n == 0 else self.down(n - 1)

    with pytest.raises(UnkeyableError, match="changed while its calls were traced"):
        Counter().down(3).graph()


def test_a_large_object_is_encoded_once_a_trace() -> None:
    states = []

    class Large:
        def __getstate__(self) -> int:
            states.append(1)
            return 1

        @recurrence
        def down(self, n: int) -> Any:
            return n if n == 0 else self.down(n - 1)

    call = Large().down(50)
    states.clear()
    call.graph()
    assert len(states) == 2  # and once more, to see that it is what it was


def test_arrays_as_arguments() -> None:
    @recurrence
    def total(a: Any) -> Any:
        return a[0] if len(a) == 1 else total(a[: len(a) // 2]) + total(a[len(a) // 2 :])

    a = np.arange(16)
    assert value(total(a)) == 120
    assert len(total(np.ones(16)).graph()) == 5  # equal halves are one subproblem
    call = total(a)
    a[:] = 0
    assert value(call) == 120  # as it was when the call was made


def test_tasks_take_structures_of_calls() -> None:
    @task
    def mean(numbers: Any, *, scale: Any = 1) -> Any:
        return scale * sum(numbers["all"]) / len(numbers["all"])

    call = mean({"all": [fib(3), fib(4) + 1, 6]}, scale=fib(5))
    assert value(call) == 5 * (2 + 4 + 6) / 3
    assert call.key == mean(scale=fib(5), numbers={"all": [fib(3), fib(4) + 1, 6]}).key
    assert call.key != mean({"all": [fib(3), 1 + fib(4), 6]}, scale=fib(5)).key
    assert repr(square(fib(3))) == "square(fib(3))"


def test_bodies_may_return_structures_calls_and_constants() -> None:
    @recurrence
    def pair(n: int) -> Any:
        if n == 0:
            return 0, 1
        before = pair(n - 1)
        return before[1], before[0] + before[1]

    @recurrence
    def alias(n: int) -> Any:
        return fib(n)

    @recurrence
    def named(n: int) -> Any:
        return {"n": n, "fib": [fib(n)], "none": None}

    assert value(pair(10)) == (55, 89)
    assert value(alias(10)) == 55
    assert value(named(3)) == {"n": 3, "fib": [2], "none": None}


def test_a_value_used_twice_is_one_occurrence_and_two_calls_are_two() -> None:
    @recurrence
    def once(n: int) -> Any:
        if n == 0:
            return 1
        x = once(n - 1)
        return x + x

    @recurrence
    def twice(n: int) -> Any:
        return 1 if n == 0 else twice(n - 1) + twice(n - 1)

    assert count(once(100).graph()).tree == 101
    assert count(twice(100).graph()).tree == 2**101 - 1
    assert value(once(100)) == value(twice(100)) == 2**100
    assert len(twice(3).graph(memoize=False).check()) == 15


def test_a_call_that_is_not_used_is_no_task() -> None:
    @recurrence
    def f(n: int) -> Any:
        fib(50)
        return n

    assert len(f(1).graph()) == 1


@pytest.mark.parametrize(
    ("memoize", "tasks"),
    [(True, 11), (False, 177), (lambda call: call.args[0] > 2, 15), (lambda call: False, 177)],
)
def test_memoize(memoize: Any, tasks: int) -> None:
    graph = fib(10).graph(memoize=memoize).check()
    assert len(graph) == tasks
    assert graph.compute(scheduler="sync") == 55


def test_the_predicate_sees_function_and_arguments() -> None:
    seen = []

    def predicate(call: Any) -> bool:
        seen.append((call.function, call.args, call.kwargs))
        return True

    fib(2).graph(memoize=predicate)
    assert seen == [(fib, (n,), {}) for n in (2, 1, 0)]


@pytest.mark.parametrize("make", [lambda: fib(100_000), lambda: binomial(600, 300)])
def test_depth_and_breadth_are_no_limit(make: Any) -> None:
    graph = make().graph().check()
    assert len(graph) > 80_000
    assert count(graph).dag == len(graph)


def test_a_hundred_thousand_deep_runs() -> None:
    @recurrence
    def f(n: int) -> Any:
        return n if n < 2 else (f(n - 1) + f(n - 2)) % (10**9 + 7)

    a, b = 0, 1
    for _ in range(100_000):
        a, b = b, (a + b) % (10**9 + 7)
    assert f(100_000).compute(scheduler="sync") == a


def test_the_collector_is_paused_only_meanwhile() -> None:
    states = []

    @recurrence
    def f(n: int) -> Any:
        states.append(gc.isenabled())
        if n == 0:
            raise KeyError(n)
        return f(n - 1)

    with pytest.raises(KeyError):
        f(2).graph()
    assert states == [False] * 3
    assert gc.isenabled()


def test_traces_may_nest_and_run_in_threads() -> None:
    @recurrence
    def f(n: int) -> Any:
        return fib(n).compute(scheduler="sync") + (f(n - 1) if n else 0)

    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(f(6).compute(scheduler="sync")))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [20] * 4


# What is refused


def test_a_cycle_is_shown() -> None:
    @recurrence
    def f(n: int) -> Any:
        return f((n + 1) % 3)

    with pytest.raises(GraphError, match=r"f\(0\) needs itself: f\(0\) → f\(1\) → f\(2\) → f\(0\)"):
        f(0).graph()
    with pytest.raises(GraphError, match=r"→ f\(1\); every call must come closer"):
        trace([fib(3), f(1)])


def test_an_endless_recurrence_is_stopped_at_the_limit() -> None:
    @recurrence
    def f(n: int) -> Any:
        return f(n + 1)

    with pytest.raises(
        LimitError, match=r"f\(0\) needs over 1,000 subproblems.* f\(1000\).*limit="
    ):
        f(0).graph(limit=1000)


def test_the_size_of_a_tree_over_the_limit_is_told_exactly() -> None:
    with pytest.raises(
        LimitError, match=r"the tree of fib\(100\) has 1,146,295,688,027,634,168,201"
    ):
        fib(100).graph(memoize=False)
    with pytest.raises(LimitError, match=r"has 465 tasks, over the limit of 464"):
        fib(12).graph(memoize=False, limit=464)
    assert len(fib(12).graph(memoize=False, limit=465)) == 465


def test_an_error_in_a_body_names_the_call() -> None:
    @recurrence
    def f(n: int) -> Any:
        return 1 // n + f(n - 1)

    with pytest.raises(ZeroDivisionError) as caught:
        f(2).graph()
    assert caught.value.__notes__ == ["while tracing f(0)"]


def test_a_dask_collection_in_a_body_is_refused() -> None:
    @recurrence
    def f(n: int) -> Any:
        return fib(n) + dask.delayed(1)

    with pytest.raises(TypeError, match=r"a Delayed.* of Dask stands in a call"):
        f(2).graph()


def test_there_must_be_a_call_to_trace() -> None:
    with pytest.raises(TypeError, match=r"nothing to trace in \[1\]"):
        trace([1])
