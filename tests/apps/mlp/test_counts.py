"""Closed forms, against graphs that are built, and against published figures."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.apps.mlp import backward, counts, network
from pipeline.apps.mlp.counts import Work
from pipeline.apps.mlp.formulas import path_count

if TYPE_CHECKING:
    from pipeline import TaskGraph

small = st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple)


def work_of(graph: TaskGraph) -> Work:
    """What the tasks of a graph of adjoints do: a product an edge, and their sum."""
    taken = [len(graph.inputs(key)) for key in graph.tasks]
    return Work(sum(taken), sum(each - 1 for each in taken if each))


@pytest.mark.slow
@given(small)
def test_the_forms_are_what_the_graphs_do(sizes: Any) -> None:
    net, local = network(sizes), lambda *_: 1.0  # which values is of no account
    assert counts.backpropagation(sizes) == work_of(backward(net, local=local))
    assert counts.call_tree(sizes) == work_of(backward(net, memoize=False, local=local))
    for layer in range(1, len(sizes)):
        name = next(each for each in net.parameters if net[each].layer == layer)
        assert counts.backpropagation(sizes, layer) == work_of(backward(net, name, local=local))
        tree = backward(net, name, memoize=False, local=local)
        assert counts.call_tree(sizes, layer) == work_of(tree)
        terms = path_count(net, name)
        assert counts.paths(sizes, layer) == terms
        steps = len(sizes) - layer
        assert counts.expanded(sizes, layer) == Work(terms * steps, terms - 1)


@pytest.mark.parametrize(("sizes", "number"), [
    ((2, 2, 2, 1), 2), ((4, 4, 4, 4, 4, 2), 128), ((64, 32, 16, 10), 160),
    ((784, 256, 128, 10), 1280), ((64, *(64,) * 20, 10), 10 * 64**19),
])  # fmt: skip
def test_paths_of_a_first_layer_weight(sizes: Any, number: int) -> None:
    assert counts.paths(sizes) == number


def test_the_exponent_is_the_number_of_layers_and_the_base_their_width() -> None:
    for width in (2, 5, 64):
        deep = [counts.call_tree((width,) * layers, 1).total for layers in range(3, 30)]
        for one, other in pairwise(deep):
            assert width - 1 < other / one < 2 * width
    assert counts.backpropagation((64,) * 22).total < 250_000


def test_work_is_both_together() -> None:
    assert Work(1, 2).total == 3
