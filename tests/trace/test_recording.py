"""What a trace records: the function of a task, its inputs, and what stays after it."""

from __future__ import annotations

import gc
import operator
import pickle
from typing import Any

import numpy as np
import pytest

from pipeline import GraphError, LazyValueError, count, maximum, minimum, recurrence, task, where
from pipeline.graph import CallTask
from pipeline.program import Program
from tests.functions import fib, square


def value(lazy: Any) -> Any:
    lazy.graph().check()
    return lazy.compute(scheduler="sync")


def task_of(lazy: Any) -> CallTask:
    graph = lazy.graph()
    node = graph.tasks[graph.keys[0]]
    assert isinstance(node, CallTask)
    return node


def test_one_operator_over_its_calls_is_the_function_itself() -> None:
    node = task_of(fib(2) - fib(1))
    assert node.function is operator.sub
    assert node.inputs == (fib(2).key, fib(1).key)


def test_inputs_are_in_the_order_of_the_source() -> None:
    node = task_of(fib(3) + fib(1) * fib(2))
    assert node.inputs == (fib(3).key, fib(1).key, fib(2).key)
    assert node.function(1, 2, 3) == 7
    assert task_of(1 - fib(2)).function(7) == -6


def test_a_call_made_twice_is_two_inputs_and_a_value_used_twice_is_one() -> None:
    x = fib(3)
    assert task_of(x * x + x).inputs == (fib(3).key,)
    assert task_of(fib(3) + fib(3)).inputs == (fib(3).key, fib(3).key)
    assert task_of(x * x + x).function(5) == 30


def test_a_shared_expression_is_computed_once() -> None:
    evaluated = []

    def note(value: int) -> int:
        evaluated.append(value)
        return value

    x = task(note, cheap=True)(fib(3))
    assert value(x * x + x) == 6
    assert evaluated == [2]


def test_a_body_pickles_and_shows_what_it_does() -> None:
    function = task_of(fib(2) * 2 + 1).function
    again = pickle.loads(pickle.dumps(function))  # noqa: S301
    assert isinstance(again, Program)
    assert again(5) == 11
    assert repr(again) == "<Program: mul, add>"
    assert repr(task_of(fib(1)).function) == "<Program: constant>"


def test_bodies_of_one_shape_are_one_function() -> None:
    tasks = fib(9).graph().tasks
    assert tasks[fib(8).key].function is tasks[fib(7).key].function


def test_equal_tasks_of_lazy_values_are_one_task() -> None:
    ran = []

    @task(cheap=True)
    def noted(*values: int) -> int:
        ran.append(values)
        return sum(values)

    @recurrence
    def f(n: int) -> Any:
        return noted(fib(3) + 1, fib(4)) if n == 0 else f(n - 1) + noted(fib(3) + 1, fib(4))

    assert value(f(3)) == 24
    assert ran == [(3, 3)]
    assert noted(fib(3) + 1, fib(4)).key in f(3).graph().tasks


def test_a_task_of_lazy_values_waits_for_what_they_need() -> None:
    @recurrence
    def f(n: int) -> Any:
        return 1 if n == 0 else square([f(n - 1) + 1, {"a": f(n - 1)}][0]) + 1

    assert [value(f(n)) for n in range(4)] == [1, 5, 37, 1445]


def test_a_value_of_an_ended_trace_is_a_call_like_any_other() -> None:
    kept: list[Any] = []

    @recurrence
    def f(n: int) -> Any:
        kept.append(fib(n))
        kept.append(kept[0] + 1)
        return kept[0]

    assert value(f(6)) == 8
    call, total = kept[:2]
    assert repr(call) == "fib(6)"
    assert repr(total) == "fib(6) + 1"
    assert value(call) == 8
    assert value(total * call + fib(3)) == 74
    assert value(square(call)) == 64


def test_a_body_may_use_a_call_that_another_body_made() -> None:
    made: dict[int, Any] = {}

    @recurrence
    def leaf(n: int) -> Any:
        return n

    @recurrence
    def f(n: int) -> Any:
        if n == 0:
            return 0
        made[n] = leaf(10 * n)
        return f(n - 1) + made[n] + made.get(n + 1, 0)

    assert value(f(3)) == 10 + 20 + 30 + 20 + 30


def test_a_trace_leaves_no_garbage() -> None:
    value(fib(50))
    gc.collect()
    gc.disable()
    try:
        graph = fib(5000).graph()
        assert graph.compute(scheduler="sync") > 0
        del graph
        assert gc.collect() < 1000
    finally:
        gc.enable()


# Values that are chosen


def test_the_least_and_the_greatest_of_lazy_values() -> None:
    assert value(minimum(fib(6), 3, fib(4))) == 3
    assert value(maximum(1, fib(6))) == 8
    assert (minimum(2, 1), maximum("a", "b")) == (1, "b")

    @recurrence
    def f(n: int) -> Any:
        return n if n < 2 else maximum(f(n - 1), f(n - 2)) + minimum(1, f(n - 1))

    assert value(f(10)) == 10
    assert count(f(10)).dag == 11


def test_where_chooses_a_value_or_element_by_element() -> None:
    assert value(where(fib(6) > 7, fib(3), 0)) == 2
    assert value(where(fib(6) < 7, fib(3), -1)) == -1
    array = task(np.arange)(4)
    assert value(where(array > 1, array, -array)).tolist() == [0, -1, 2, 3]
    assert where(True, 1, 2) == 1


def test_the_error_at_a_decision_names_what_chooses() -> None:
    with pytest.raises(LazyValueError, match="choose with minimum, maximum or where"):
        min(fib(3), fib(4))


def test_a_cycle_through_a_task_is_shown() -> None:
    @recurrence
    def f(n: int) -> Any:
        return square(f(1 - n) + 1)

    with pytest.raises(GraphError, match=r"f\(0\) needs itself: f\(0\) → f\(1\) → f\(0\)"):
        f(0).graph()
