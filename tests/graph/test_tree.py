"""Counts of the tree, from the DAG alone; and the tree itself."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from operator import add
from typing import Any

import pytest
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask

from pipeline import LimitError, TaskGraph, count, occurrences, recurrence, trace
from pipeline.graph import CallTask, occurrence, subproblem, tree_sizes, unfold
from tests.functions import binomial, catalan, edit_distance, fib

BASE = 2


@recurrence
def based(n: int) -> Any:
    return n if n < BASE else based(n - 1) + based(n - 2)


def test_published_values() -> None:
    assert count(fib(5).graph()).tree == 15
    assert occurrences(fib(5))[fib(2).key] == 3
    assert count(fib(12).graph()).tree == 465
    assert count(fib(100).graph()).tree == 1146295688027634168201


@pytest.mark.parametrize("call", [fib(12), binomial(9, 4), edit_distance("abc", "bd"), catalan(5)])
def test_counts_are_those_of_the_tree_that_is_built(call: Any) -> None:
    dag, tree = call.graph(), call.graph(memoize=False).check()
    assert count(dag).tree == len(tree)
    assert occurrences(dag) == Counter(map(subproblem, tree.tasks))
    assert count(dag).sharing == Fraction(len(tree), len(dag))


def test_a_call_counts_as_its_graph_does() -> None:
    call = catalan(5)
    assert occurrences(call) == occurrences(call.graph())
    assert occurrences(call, {call.key}) == {call.key: 1}
    for function in (count, occurrences):
        with pytest.raises(TypeError, match="8"):
            function(8)


def test_a_count_is_of_the_present_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    call = based(6)
    call.compute(scheduler="sync")
    assert count(call).tree == 25
    monkeypatch.setitem(globals(), "BASE", 4)
    assert count(call).tree == sum(occurrences(call).values()) == 9


def test_sizes_of_some_subproblems() -> None:
    sizes = tree_sizes(fib(12).graph(), [fib(5).key, fib(12).key])
    assert sizes == {fib(5).key: 15, fib(12).key: 465}


def test_shared_subproblems_count_once() -> None:
    graph = fib(10).graph()
    shared = {fib(n).key for n in range(3, 11)}
    built = fib(10).graph(memoize=lambda call: call.args[0] > 2)
    assert count(graph, shared).tree == count(fib(10), shared=shared).tree == len(built)


def test_depth_and_width() -> None:
    counts = count(fib(6).graph())
    assert (counts.depth, counts.width) == (6, 2)
    assert [count(fib(n)).depth for n in range(5)] == [1, 1, 2, 3, 4]

    @recurrence
    def spread(n: int) -> Any:
        return n if n else sum(spread(k) for k in range(1, 50))

    assert (count(spread(0).graph()).depth, count(spread(0).graph()).width) == (2, 49)


def test_several_outputs_count_together() -> None:
    assert count(trace([fib(5), fib(6)])).tree == 15 + 25
    assert count(trace([fib(5), fib(5)])).tree == 30


@pytest.mark.slow
def test_memory_stays_small_over_large_counts() -> None:
    import tracemalloc

    graph = fib(20_000).graph()
    tracemalloc.start()
    assert count(graph).tree.bit_length() > 13_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6  # the sizes together would take 17 MB more


def test_a_count_of_any_size_can_be_shown() -> None:
    assert repr(count(fib(6))) == "Count(tree=25, dag=7, depth=6, width=2)"
    assert len(repr(count(fib(30_000)))) < 120


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
