"""What a picture shows of a graph, and what it folds away."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import count
from pipeline.draw import Panel, tree_panel
from pipeline.draw.folding import fold, whole_panel
from tests.functions import binomial, edit_distance, fib


def tasks(panel: Panel) -> int:
    return sum(box.tasks for box in panel.boxes)


@pytest.mark.parametrize("nodes", [3, 10, 40, 200])
@pytest.mark.parametrize(
    "call",
    [fib(6), fib(40), fib(3000), binomial(30, 15), edit_distance("abcdef", "badcfe")],
    ids=repr,
)
def test_the_tasks_of_a_panel_add_up(call: Any, nodes: int) -> None:
    graph = call.graph()
    total = count(graph).tree
    tree, dag = tree_panel(graph, nodes, total), fold(whole_panel(graph, "dag"), nodes, len(graph))
    assert tasks(tree) == total
    assert tasks(dag) == len(graph)
    for panel in (tree, dag):
        assert len(panel.boxes) <= max(nodes, 3)
        ids = {box.id for box in panel.boxes}
        assert len(ids) == len(panel.boxes)
        assert {end for edge in panel.edges for end in edge} <= ids


def test_a_small_graph_is_shown_whole() -> None:
    tree = tree_panel(fib(6).graph(), 25, 25)
    assert len(tree.boxes) == 25
    assert not any(box.folded for box in tree.boxes)
    assert sum(box.number == 1 for box in tree.boxes) == 7


def test_the_ends_of_a_long_chain_stay() -> None:
    panel = fold(whole_panel(fib(500).graph(), "dag"), 40, 501)
    keys = [box.key for box in panel.boxes]
    assert keys[0] == fib(500).key
    assert {keys[-1], keys[-2]} == {fib(0).key, fib(1).key}
    assert keys.count(None) == 1
