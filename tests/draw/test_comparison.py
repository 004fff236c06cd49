"""Two graphs of the same calls, as data."""

from __future__ import annotations

from typing import Any

import dask.array as da
import pytest
from dask import delayed

from pipeline import count, trace
from pipeline.draw import PLAIN, Heading, compare
from pipeline.graph import occurrences, subproblem
from tests.functions import binomial, catalan, fib


def built() -> Any:
    x = da.ones((20, 20), chunks=10)
    return (x + x.T).sum()


def parallel() -> Any:
    return delayed(sum)([delayed(abs)(-1, pure=False) for _ in range(3)])


@pytest.mark.parametrize("call", [fib(6), catalan(4), binomial(6, 3)])
def test_a_call_is_its_tree_and_its_dag(call: Any) -> None:
    found, counts = compare(call, PLAIN, 2000), count(call)
    assert (found.before, len(found.graph)) == (counts.tree, counts.dag)
    assert (len(found.left.boxes), len(found.right.boxes)) == (counts.tree, counts.dag)
    assert found.times == occurrences(call.graph())
    assert [heading.title for heading in found.headings] == [
        f"tree: {counts.tree} tasks", f"DAG: {counts.dag} tasks",
    ]  # fmt: skip
    assert (found.built, found.names) == (None, None)


@pytest.mark.parametrize(
    "collections", [fib(6), catalan(4), trace([fib(4), fib(5)]), built(), parallel()]
)
def test_the_boxes_on_the_left_are_the_tasks_of_the_unshared_graph(collections: Any) -> None:
    found = compare(collections, PLAIN, 100, unfolded=2000)
    graph = found.unshared()
    assert {box.id for box in found.left.boxes} == set(graph.tasks)
    assert {box.id for box in found.right.boxes} == set(found.graph.tasks)
    assert {subproblem(key) for key in graph.tasks} == set(found.graph.tasks) == set(found.shown)
    edges = {(key, source) for key in graph.tasks for source in graph.inputs(key)}
    assert set(found.left.edges) == edges


def test_what_was_built_is_a_tree_or_a_graph() -> None:
    assert compare(parallel(), PLAIN, 100).headings[0] == Heading(
        "tree", "4 tasks", ("as it was built",)
    )
    found = compare(built(), PLAIN, 100)
    assert found.headings[0].name == "graph"
    assert found.built is not None
    assert len(found.built) == found.before
    assert sum(found.times.values()) == found.before


def test_a_graph_of_more_tasks_than_unfolded_is_folded() -> None:
    assert len(compare(fib(9), PLAIN, 20, unfolded=119).left.boxes) == 109
    assert len(compare(fib(9), PLAIN, 20, unfolded=118).left.boxes) <= 20


def test_names_lead_from_the_collections_to_the_graph() -> None:
    found = compare(built(), PLAIN, 100)
    assert found.names is not None
    assert set(found.names.values()) == set(found.graph.tasks)


@pytest.mark.parametrize(
    ("collections", "nodes", "error"),
    [(fib(5).graph(memoize=False), 100, ValueError), (5, 100, TypeError), (fib(5), 2, ValueError)],
)
def test_what_cannot_be_compared_is_an_error(collections: Any, nodes: int, error: type) -> None:
    with pytest.raises(error):
        compare(collections, PLAIN, nodes)
