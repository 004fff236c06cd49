"""Networks of named scalars."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.apps.mlp import NetworkError, network


def test_every_variable_has_a_name_of_its_own() -> None:
    net = network((2, 2, 2, 1))
    assert list(net.variables)[:9] == [
        "x1", "x2", "w1_11", "w1_21", "b1_1", "z1_1", "O1_1", "w1_12", "w1_22",
    ]  # fmt: skip
    assert list(net.variables)[-3:] == ["z3_1", "ŷ", "L"]
    assert net.parameters[-3:] == ["w3_11", "w3_21", "b3_1"]
    wide = network((12, 3, 11))
    assert len(wide.variables) == len(set(wide.variables)) == 12 + 12 * 3 + 33 + 3 * 14 + 1
    assert wide["w1_11,2"] == ("w", 1, 2, 11)
    assert wide["ŷ11"].layer == 2


def test_consumers_are_what_the_chain_rule_goes_over() -> None:
    net = network((3, 2, 4, 2))
    assert net.consumers("w1_31") == ["O1_1"]
    assert net.consumers("b2_4") == net.consumers("z2_4") == ["O2_4"]
    assert net.consumers("O1_2") == ["O2_1", "O2_2", "O2_3", "O2_4"]
    assert net.consumers("x2") == ["O1_1", "O1_2"]
    assert net.consumers("O2_3") == ["ŷ1", "ŷ2"]
    assert net.consumers("ŷ2") == ["L"]
    assert net.consumers("L") == []


def test_a_seed_gives_the_same_network() -> None:
    assert network((3, 4, 2), seed=5) == network((3, 4, 2), seed=5)
    assert network((3, 4, 2), seed=5).weights != network((3, 4, 2), seed=6).weights


def test_weights_and_example_may_be_given() -> None:
    net = network((1, 1), weights={"w1_11": 3.0}, x=[2], y=[1])
    assert (net.weights["w1_11"], net.weights["b1_1"], net.x, net.y) == (3.0, 0.1, (2,), (1,))


BAD: list[tuple[Any, dict[str, Any], str]] = [
    ((2,), {}, r"sizes \(2,\): give the nodes of each layer"),
    ((2, 0, 1), {}, "whole numbers from 1 on"),
    ((2, 2.0, 1), {}, "whole numbers from 1 on"),
    ((2, 1), {"activation": "relo"}, "unknown activation 'relo': it is one of sigmoid, tanh, relu"),
    ((2, 1), {"loss": "mae"}, "unknown loss 'mae': it is one of mse, cross-entropy"),
    ((2, 1), {"weights": {"w1_13": 1}}, r"no variable 'w1_13' in 2-1: .* near it are w1_21, w1_11"),
    ((2, 1), {"weights": {"ŷ": 1}}, "ŷ is no weight of 2-1"),
    ((100_000, 100_000, 1), {}, "has 10,000,100,000 weights"),
    ((2, 1), {"seed": -1}, "seed=-1"),
    ((2, 1), {"x": [1]}, "1 inputs for 2 nodes"),
    ((2, 1), {"y": [1, 2]}, "2 targets for 1 nodes"),
]


@pytest.mark.parametrize(("sizes", "options", "message"), BAD)
def test_what_cannot_be_is_told(sizes: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        network(sizes, **options)
