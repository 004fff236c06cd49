"""Gradients of arrays, against the scalars and against another library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.apps.mlp import NetworkError, network, values
from pipeline.apps.mlp import gradient as scalar_gradient
from pipeline.apps.mlp.layers import (
    Layers,
    gradient_program,
    gradients,
    initial,
    output_program,
)

EVERY = [(activation, loss) for activation in ("sigmoid", "tanh", "relu", "identity")
         for loss in ("mse", "cross-entropy")]  # fmt: skip


def case(activation: str, loss: str, rows: int = 7, dtype: str = "float64") -> Any:
    layers = Layers((5, 4, 6, 3), activation, loss)
    rng = np.random.default_rng(4)
    x = rng.normal(size=(rows, 5)).astype(dtype)
    y = np.eye(3, dtype=dtype)[rng.integers(0, 3, rows)]
    return layers, initial(layers, 1, dtype), x, y


@pytest.mark.parametrize(("activation", "loss"), EVERY)
def test_autograd_agrees(activation: str, loss: str) -> None:
    autograd = pytest.importorskip("autograd", reason="a peer: pip install 'dask-memo[test]'")
    anp = pytest.importorskip("autograd.numpy")
    layers, parameters, x, y = case(activation, loss)
    functions = {
        "sigmoid": lambda z: 1 / (1 + anp.exp(-z)), "tanh": anp.tanh,
        "relu": lambda z: anp.maximum(z, 0), "identity": lambda z: z,
    }  # fmt: skip

    def of(values: dict[str, Any]) -> Any:
        a = x
        for n in (1, 2):
            a = functions[activation](a @ values[f"w{n}"] + values[f"b{n}"])
        a = a @ values["w3"] + values["b3"]
        if loss == "mse":
            return anp.mean((a - y) ** 2)
        largest = anp.max(a, axis=1, keepdims=True)
        total = anp.log(anp.sum(anp.exp(a - largest), axis=1, keepdims=True))
        return -anp.sum(y * (a - largest - total)) / len(x)

    expected = autograd.grad(of)(dict(parameters))
    found = gradient_program(layers)(*parameters.values(), x, y, 1 / len(x))
    assert found["L"] == pytest.approx(of(parameters), rel=1e-13)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)


def test_one_example_gives_what_the_scalars_give() -> None:
    layers = Layers((2, 2, 2, 1), "tanh", "mse")
    net = network((2, 2, 2, 1), "tanh", "mse")
    parameters = {}
    for n in (1, 2, 3):
        before, after = net.sizes[n - 1 : n + 1]
        parameters[f"w{n}"] = np.array([
            [net.weights[f"w{n}_{i}{j}"] for j in range(1, after + 1)]
            for i in range(1, before + 1)
        ])  # fmt: skip
        parameters[f"b{n}"] = np.array([net.weights[f"b{n}_{j}"] for j in range(1, after + 1)])
    found = gradient_program(layers)(
        *parameters.values(), np.array([net.x]), np.array([net.y]), 1.0
    )
    expected = scalar_gradient(net).compute(scheduler="sync")
    for name, value in expected.items():
        kind, layer, node, source = net[name]
        array = found[f"{kind}{layer}"]
        here = array[source - 1, node - 1] if kind == "w" else array[node - 1]
        assert here == pytest.approx(value, rel=1e-12)


def test_naive_mode_computes_the_same_with_more_tasks() -> None:
    layers, parameters, x, y = case("tanh", "cross-entropy")
    inputs = [*parameters.values(), x, y, 1 / len(x)]
    given = dict(zip(layers.inputs, inputs, strict=True))
    dag, tree = gradients(layers, given), gradients(layers, given, memoize=False)
    assert len(tree) > 10 * len(dag)
    expected = gradient_program(layers)(*inputs)
    for graph in (dag, tree):
        for name, found in graph.compute(scheduler="sync").items():
            np.testing.assert_array_equal(found, expected[name])


def test_targets_need_not_be_one_hot() -> None:
    layers, parameters, x, _ = case("tanh", "cross-entropy")
    y = np.random.default_rng(0).uniform(size=(len(x), 3))
    found = gradient_program(layers)(*parameters.values(), x, y, 1.0)
    moved = {**parameters, "b3": parameters["b3"] + np.array([1e-6, 0, 0])}
    higher = gradient_program(layers)(*moved.values(), x, y, 1.0)
    assert (higher["L"] - found["L"]) / 1e-6 == pytest.approx(found["b3"][0], rel=1e-4)


def test_scalars_and_arrays_have_the_same_losses() -> None:
    for loss in ("mse", "cross-entropy"):
        net = network((2, 2), loss=loss, x=[0.5, -0.2], y=[1, 0])
        w = np.array([[net.weights[f"w1_{i}{j}"] for j in (1, 2)] for i in (1, 2)])
        b = np.array([net.weights[f"b1_{j}"] for j in (1, 2)])
        found = gradient_program(Layers((2, 2), "tanh", loss))(
            w, b, np.array([net.x]), np.array([net.y]), 1.0
        )
        assert found["L"] == pytest.approx(values(net)["L"], rel=1e-12)
        assert found["w1"][0, 0] == pytest.approx(
            scalar_gradient(net, "w1_11").compute()["w1_11"], rel=1e-12
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_type_of_the_parameters_stays(dtype: str) -> None:
    layers, parameters, x, y = case("relu", "cross-entropy", dtype=dtype)
    for _ in range(2):
        found = gradient_program(layers)(*parameters.values(), x, y, 1 / len(x))
        assert {each.dtype for each in found.values()} == {np.dtype(dtype)}
        assert {name: each.shape for name, each in found.items() if name != "L"} == {
            name: layers.shape(name) for name in layers.parameters
        }


def test_cross_entropy_is_stable() -> None:
    layers, parameters, x, y = case("identity", "cross-entropy")
    with np.errstate(over="raise", invalid="raise"):
        found = gradient_program(layers)(*parameters.values(), 1e4 * x, y, 1 / len(x))
    assert np.isfinite(found["L"])
    assert np.isfinite(found["w1"]).all()


def test_initial_parameters_are_of_the_seed_and_of_the_activation() -> None:
    relu, tanh = Layers((400, 300, 2), "relu"), Layers((400, 300, 2), "tanh")
    one = initial(relu, 0)
    assert all(np.array_equal(each, initial(relu, 0)[name]) for name, each in one.items())
    assert one["w1"].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert initial(tanh, 0)["w1"].std() == pytest.approx((2 / 700) ** 0.5, rel=0.02)
    assert not one["b1"].any()


def test_outputs() -> None:
    layers, parameters, x, _ = case("relu", "mse")
    a = np.maximum(x @ parameters["w1"] + parameters["b1"], 0)
    a = np.maximum(a @ parameters["w2"] + parameters["b2"], 0)
    expected = a @ parameters["w3"] + parameters["b3"]
    np.testing.assert_allclose(output_program(layers)(*parameters.values(), x), expected)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(NetworkError, match="unknown activation 'relo'"):
        Layers((2, 1), "relo")
    with pytest.raises(NetworkError, match="sizes"):
        Layers((2,))
