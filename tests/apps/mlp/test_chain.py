"""Gradients by the chain rule, against what is known of them by other ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline import count
from pipeline.apps.mlp import NetworkError, backward, forward, gradient, network, values
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES

if TYPE_CHECKING:
    from pipeline.apps.mlp.networks import Network

SHAPES = [(2, 2, 2, 1), (3, 2, 4, 2), (1, 1), (2, 3, 1, 2)]
EVERY = [(shape, activation, loss) for shape in SHAPES for activation in ACTIVATIONS
         for loss in LOSSES]  # fmt: skip


BY_HAND: dict[str, Any] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: z * (z.real > 0),
    "identity": lambda z: z,
}


def loss_by_hand(net: Network, weights: dict[str, Any]) -> Any:
    """The loss, layer by layer, with NumPy's matrices and no recurrence."""
    a = np.asarray(net.x)
    for layer in range(1, len(net.sizes)):
        nodes = range(1, net.sizes[layer] + 1)
        w = np.array([[weights[f"w{layer}_{i + 1}{j}"] for j in nodes] for i in range(len(a))])
        z = a @ w + np.array([weights[f"b{layer}_{j}"] for j in nodes])
        a = z
        if layer < len(net.sizes) - 1:
            a = BY_HAND[net.activation](z)
    y = np.asarray(net.y)
    if net.loss == "mse":
        return ((a - y) ** 2).mean()
    return np.log(np.exp(a).sum()) * y.sum() - (a * y).sum()


@pytest.mark.parametrize(("shape", "activation", "loss"), EVERY)
def test_backpropagation_is_the_derivative(shape: Any, activation: str, loss: str) -> None:
    """By the complex step, which has no error of differences (Squire and Trapp, 1998)."""
    net = network(shape, activation, loss, seed=3)
    found = gradient(net).compute(scheduler="sync")
    assert list(found) == net.parameters
    for name, value in found.items():
        moved = loss_by_hand(net, {**net.weights, name: net.weights[name] + 1e-30j})
        assert value == pytest.approx(moved.imag / 1e-30, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sum_over_all_paths_is_the_same(shape: Any) -> None:
    net = network(shape, "tanh")
    expected = gradient(net).compute(scheduler="sync")
    for memoize in (False, forward):
        naive = gradient(net, memoize=memoize).compute(scheduler="sync")
        assert naive == pytest.approx(expected, rel=1e-12, abs=1e-15)
    for memoize in (True, False):
        assert backward(net, memoize=memoize).compute(scheduler="sync") == pytest.approx(
            expected, rel=1e-12, abs=1e-15
        )


@pytest.mark.parametrize(("shape", "activation", "loss"), EVERY)
def test_autograd_agrees(shape: Any, activation: str, loss: str) -> None:
    autograd = pytest.importorskip("autograd", reason="a peer: pip install 'dask-memo[test]'")
    anp = pytest.importorskip("autograd.numpy")
    net = network(shape, activation, loss, seed=1)

    def of(weights: dict[str, Any]) -> Any:
        a = [anp.array(each) for each in net.x]
        for layer in range(1, len(net.sizes)):
            z = [
                sum(each * weights[f"w{layer}_{i}{j}"] for i, each in enumerate(a, 1))
                + weights[f"b{layer}_{j}"]
                for j in range(1, net.sizes[layer] + 1)
            ]
            last = layer == len(net.sizes) - 1
            a = z if last else [_peer(net.activation, anp, each) for each in z]
        if net.loss == "mse":
            return sum((o - y) ** 2 for o, y in zip(a, net.y, strict=True)) / len(a)
        total = anp.log(sum(anp.exp(o) for o in a)) * sum(net.y)
        return total - sum(o * y for o, y in zip(a, net.y, strict=True))

    expected = autograd.grad(of)(dict(net.weights))
    found = gradient(net).compute(scheduler="sync")
    assert found == pytest.approx({name: float(each) for name, each in expected.items()}, abs=1e-12)


def _peer(activation: str, anp: Any, z: Any) -> Any:
    return {
        "sigmoid": lambda: 1 / (1 + anp.exp(-z)), "tanh": lambda: anp.tanh(z),
        "relu": lambda: anp.maximum(z, 0), "identity": lambda: z,
    }[activation]()  # fmt: skip


def test_one_some_and_all_weights_have_named_outputs() -> None:
    net = network((2, 2, 2, 1))
    everything = gradient(net).compute(scheduler="sync")
    assert gradient(net, "w1_11").compute() == {"w1_11": everything["w1_11"]}
    assert gradient(net, ["b3_1", "w2_12"]).compute() == {
        "b3_1": everything["b3_1"], "w2_12": everything["w2_12"],
    }  # fmt: skip
    with pytest.raises(NetworkError, match=r"no variable 'w9_11' .* near it are w"):
        gradient(net, "w9_11")


def test_every_scheduler_gives_the_same(scheduler: str) -> None:
    net = network((2, 2, 2, 1))
    assert gradient(net).compute() == gradient(net).compute(scheduler="sync")


def test_gradients_of_all_weights_share_what_they_have_in_common() -> None:
    net = network((2, 2, 2, 1))
    one, everything = count(backward(net, "w1_11")), count(backward(net))
    assert (one.tree, one.dag) == (6, 5)
    assert (everything.tree, everything.dag) == (60, 20)
    # 15 weights and biases, and the 5 adjoints of nodes, each once.
    assert everything.dag == len(net.parameters) + 5


def test_both_memo_tables_can_be_switched_off() -> None:
    net = network((2, 2, 2, 1))
    sizes = [len(gradient(net, "w1_11", memoize=each)) for each in (True, forward, False)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


def test_values_are_the_forward_pass() -> None:
    net = network((2, 2, 2, 1), "tanh")
    found = values(net)
    assert found["L"] == pytest.approx(loss_by_hand(net, dict(net.weights)), rel=1e-14)
    assert found["z1_1"] == pytest.approx(
        net.x[0] * net.weights["w1_11"] + net.x[1] * net.weights["w1_21"] + net.weights["b1_1"]
    )


def test_a_wide_network_is_traced_in_seconds_not_minutes() -> None:
    net = network((64, 32, 16, 10))
    graph = backward(net)
    assert len(graph) == len(net.parameters) + 32 + 16 + 10
