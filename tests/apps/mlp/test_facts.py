"""Who needs which value and which adjoint, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.apps.mlp import backward, forward, gradient, network, values
from pipeline.apps.mlp.facts import Switched, facts, needing
from pipeline.apps.mlp.network import Network
from pipeline.apps.mlp.pictures import name_of

SHAPES = [(2, 2, 2, 1), (3, 2, 4, 2), (1, 1), (2, 3, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_counts_are_those_of_the_graphs(shape: Any) -> None:
    net = network(shape)
    memoize: dict[str, Any] = {
        "True": True, "forward": forward, "False": False,
        "lambda call: not forward(call)": lambda call: not forward(call),
    }  # fmt: skip
    switched = facts(net).switched
    assert {each.memoize for each in switched} == memoize.keys()
    for each in switched:
        assert each.tasks == len(gradient(net, memoize=memoize[each.memoize]))
        assert each.adjoints == len(backward(net, memoize=each.keeps_adjoints))


def test_both_tables_together_save_more_than_either() -> None:
    both, values, adjoints, none = facts(network((4, 4, 4, 4, 4, 2))).switched
    assert both.tasks < values.tasks < adjoints.tasks < none.tasks
    assert none == Switched(False, False, "False", 13_188_902, 5_740)


def test_the_kept_adjoints_are_the_slopes_of_the_loss() -> None:
    net = network((2, 3, 2), "tanh", seed=4)
    found = facts(net)
    for name in net.parameters:
        step = 1e-6
        above, below = (values(_moved(net, name, each))["L"] for each in (step, -step))
        assert found.adjoints[name] == pytest.approx((above - below) / (2 * step), abs=1e-8)


def _moved(net: Network, name: str, step: float) -> Network:
    moved = {**net.weights, name: net.weights[name] + step}
    return Network(net.sizes, net.activation, net.loss, moved, net.x, net.y)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_adjoint_is_needed_by_those_in_whose_graphs_it_is(shape: Any) -> None:
    net = network(shape)
    graphs = {name: set(map(name_of, backward(net, name).tasks)) for name in net.parameters}
    last_first = sorted(net.parameters, key=lambda name: -net[name].layer)
    for adjoint in facts(net).adjoints:
        users = [name for name in last_first if adjoint in graphs[name]]
        found = needing(net, adjoint)
        assert found.number == len(users)
        assert found.own == users[: len(found.own)]
        assert all(net[each].layer <= found.layers for each in users[len(found.own) :])


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_asked_for_and_evaluated_anew(shape: Any) -> None:
    net = network(shape)
    found = facts(net)
    shared, tree = gradient(net), gradient(net, memoize=False)
    names = {key: (kind, name_of(key)) for key in shared.tasks
             for kind in ("value", "adjoint") if str(key[0]).startswith(kind)}  # fmt: skip
    for key, name in names.items():
        assert found.asked.get(name, 0) == sum(
            list(shared.inputs(each)).count(key) for each in shared.tasks
        )
        assert found.anew[name] == sum(each[0] == key for each in tree.tasks)


def test_who_needs_it_in_words() -> None:
    net = network((2, 2, 2, 1))
    words = {name: str(needing(net, name)) for name in ("ŷ", "O1_1", "w1_11")}
    assert words == {
        "ŷ": "layers 1 to 2; w3_11, w3_21, b3_1", "O1_1": "w1_11, w1_21, b1_1", "w1_11": "w1_11"
    }  # fmt: skip
    assert str(needing(network((9, 9, 1)), "ŷ")) == "layer 1; w2_11, …, b2_1"
