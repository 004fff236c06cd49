"""From the DAG to the tree."""

from __future__ import annotations

from operator import add
from typing import Any

import pytest
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask

from pipeline import LimitError, TaskGraph
from pipeline.graph import CallTask, occurrence, subproblem, unfold
from tests.functions import edit_distance, fib


def test_occurrences_are_numbered_in_the_order_of_the_naive_recursion() -> None:
    seen = []

    def plain(n: int) -> int:
        seen.append(n)
        return n if n < 2 else plain(n - 1) + plain(n - 2)

    plain(6)
    tree = unfold(fib(6).graph()).check()
    numbers: dict[int, int] = {}
    expected = set()
    for n in seen:
        numbers[n] = numbers.get(n, 0) + 1
        expected.add(occurrence(fib(n).key, numbers[n]))
    assert set(tree.tasks) == expected
    # Consumers follow their inputs, so that the numbers of one subproblem rise with the evaluation.
    assert [key[1] for key in tree.tasks if subproblem(key) == fib(2).key] == [1, 2, 3, 4, 5]


def test_unfolding_leaves_the_dag_unchanged() -> None:
    graph = edit_distance("ab", "ba").graph()
    before = dict(graph.tasks)
    unfold(graph)
    assert graph.tasks == before


def test_shared_subproblems_keep_their_key() -> None:
    shared = {fib(4).key}
    graph = unfold(fib(6).graph(), shared).check()
    assert fib(4).key in graph.tasks
    assert len(graph) == 2 + 9 + 5  # fib(6) and fib(5), the tree of fib(4), that of fib(3)


def test_tasks_of_dasks_own_unfold_too() -> None:
    tasks: dict[Any, Any] = {
        "a": DataNode("a", 0),
        "b": DaskTask("b", add, TaskRef("a"), 1),
        "c": DaskTask("c", add, TaskRef("b"), TaskRef("b")),
    }
    tree = unfold(TaskGraph(tasks, TaskRef("c"))).check()
    assert len(tree) == 5
    assert tree.compute(scheduler="sync") == 2


def test_a_deep_chain_unfolds() -> None:
    tasks: dict[Any, Any] = {
        n: CallTask(n, abs, (n - 1,)) if n else CallTask(n, int, ()) for n in range(50_000)
    }
    assert len(unfold(TaskGraph(tasks, TaskRef(49_999))).check()) == 50_000


def test_nothing_is_built_over_the_limit() -> None:
    with pytest.raises(LimitError, match="has 465 tasks, over the limit of 100"):
        unfold(fib(12).graph(), limit=100)


def test_a_persisted_future_is_data_and_stays_one(client: Any) -> None:
    persisted = client.persist(fib(6))
    assert len(unfold(persisted)) == 1
    assert unfold(persisted).compute() == 8
