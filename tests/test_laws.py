"""Laws, for random recurrences on random graphs of subproblems."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import dask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import Call, contrast, count, recurrence, task, trace
from pipeline.count import occurrences, tree_size
from pipeline.keys import subproblem

OPERATORS = (operator.add, operator.sub, operator.mul, operator.xor)

# Of each subproblem: the subproblems before it that it needs, and what it does with their values.
shapes = st.integers(1, 9).flatmap(
    lambda size: st.tuples(
        *(
            st.lists(
                st.tuples(st.integers(0, max(place - 1, 0)), st.sampled_from(OPERATORS)),
                max_size=3 if place else 0,
            )
            for place in range(size)
        )
    )
)


def build(shape: Any) -> Call:
    """A recurrence over a random shape; every other operand goes through a task."""

    @task
    def heavy(value: int) -> int:
        return value % 1009

    @recurrence
    def f(place: int) -> Any:
        value: Any = place + 1
        for number, (each, operate) in enumerate(shape[place]):
            call = f(each)
            value = operate(value, heavy(call) if number % 2 else call)
        return value

    call: Call = f(len(shape) - 1)
    return call


def plain(shape: Any, place: int) -> tuple[int, int]:
    """The value and the number of calls, heavy ones included, by Python's own recursion."""
    value, calls = place + 1, 1
    for number, (each, operate) in enumerate(shape[place]):
        inner, more = plain(shape, each)
        calls += more + number % 2
        value = operate(value, inner % 1009 if number % 2 else inner)
    return value, calls


@given(shapes)
def test_tree_and_dag_give_the_value_of_the_plain_recursion(shape: Any) -> None:
    call = build(shape)
    value, calls = plain(shape, len(shape) - 1)
    dag, tree = call.graph().check(), call.graph(memoize=False).check()
    assert dag.compute(scheduler="sync") == tree.compute(scheduler="sync") == value
    assert len(tree) == calls


@given(shapes)
def test_the_counted_tree_is_the_built_one(shape: Any) -> None:
    call = build(shape)
    dag, tree = call.graph(), call.graph(memoize=False)
    assert count(dag).tree == tree_size(dag) == len(tree)
    assert occurrences(dag) == Counter(map(subproblem, tree.tasks))
    assert set(dag.tasks) == set(map(subproblem, tree.tasks))


@given(shapes, st.sets(st.integers(0, 8)))
def test_a_predicate_lies_between(shape: Any, places: set[int]) -> None:
    call = build(shape)
    partly = call.graph(memoize=lambda each: each.args[0] in places).check()
    dag, tree = call.graph(), call.graph(memoize=False)
    assert len(dag) <= len(partly) <= len(tree)
    assert partly.compute(scheduler="sync") == dag.compute(scheduler="sync")
    numbers = Counter(map(subproblem, partly.tasks))
    for key in partly.tasks:
        if subproblem(key) is key:
            assert numbers[key] == 1


@given(shapes, st.integers(3, 12))
@settings(max_examples=25)
def test_a_picture_never_has_more_boxes_than_the_limit(shape: Any, limit: int) -> None:
    dot = contrast(build(shape), limit=limit).dot
    for panel in ("tree", "dag"):
        assert dot.count(f'id="{panel}-') <= limit


@given(shapes)
@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_all_schedulers_agree(scheduler: str, shape: Any) -> None:
    call = build(shape)
    value, _ = plain(shape, len(shape) - 1)
    graphs = trace([call, call + 1]), call.graph(memoize=False)
    assert dask.compute(*graphs) == ([value, value + 1], value)
