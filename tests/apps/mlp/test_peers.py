"""Gradients and training beside PyTorch and scikit-learn. They are large: extra `peers`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.apps.mlp import gradient, network
from pipeline.apps.mlp.data import digits
from pipeline.apps.mlp.epochs import Plan, training
from pipeline.apps.mlp.layers import Layers, gradient_program, initial

WHY = "a large peer: pip install 'dask-memo[peers]'"


def torch_loss(torch: Any, layers: Layers, values: dict[str, Any], x: Any, y: Any) -> Any:
    act = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
           "identity": lambda z: z}[layers.activation]  # fmt: skip
    a, last = x, len(layers.sizes) - 1
    for n in range(1, last + 1):
        a = a @ values[f"w{n}"] + values[f"b{n}"]
        a = act(a) if n < last else a
    if layers.loss == "mse":
        return torch.nn.functional.mse_loss(a, y)
    return torch.nn.functional.cross_entropy(a, y)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_a_hundred_full_batch_steps_follow_pytorch(activation: str, loss: str) -> None:
    torch = pytest.importorskip("torch", reason=WHY)
    examples, layers = digits(), Layers((64, 16, 12, 10), activation, loss)
    rate = 0.05
    plan = Plan(layers, "sgd", rate=rate, batch=0, seed=2)
    values = {
        name: torch.tensor(each, requires_grad=True) for name, each in initial(layers, 2).items()
    }
    x, y = torch.tensor(examples.x), torch.tensor(np.eye(10)[examples.labels])
    for _ in range(100):
        found = torch_loss(torch, layers, values, x, y)
        grads = torch.autograd.grad(found, list(values.values()))
        with torch.no_grad():
            for value, grad in zip(values.values(), grads, strict=True):
                value -= rate * grad
    state = training(plan, examples)(100).compute(scheduler="sync")
    for name, value in values.items():
        np.testing.assert_allclose(
            state.parameters[name], value.detach().numpy(), rtol=1e-10, atol=1e-10
        )
    after = torch_loss(torch, layers, values, x, y)
    assert state.history[-1].loss == pytest.approx(after.item(), rel=1e-10)


def test_adam_follows_pytorch() -> None:
    torch = pytest.importorskip("torch", reason=WHY)
    examples, layers = digits(), Layers((64, 12, 10), "tanh")
    plan = Plan(layers, "adam", rate=0.01, batch=0, seed=4)
    values = {
        name: torch.tensor(each, requires_grad=True) for name, each in initial(layers, 4).items()
    }
    optimizer = torch.optim.Adam(values.values(), lr=0.01)
    x, y = torch.tensor(examples.x), torch.tensor(np.eye(10)[examples.labels])
    for _ in range(50):
        optimizer.zero_grad()
        torch_loss(torch, layers, values, x, y).backward()
        optimizer.step()
    state = training(plan, examples)(50).compute(scheduler="sync")
    for name, value in values.items():
        np.testing.assert_allclose(
            state.parameters[name], value.detach().numpy(), rtol=1e-9, atol=1e-10
        )


def test_scalar_gradients_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason=WHY)
    net = network((3, 4, 2, 2), "sigmoid", seed=7)
    values = {
        name: torch.tensor(float(each), dtype=torch.float64, requires_grad=True)
        for name, each in net.weights.items()
    }
    a: list[Any] = [torch.tensor(each, dtype=torch.float64) for each in net.x]
    for n in range(1, 4):
        a = [
            sum(each * values[f"w{n}_{i}{j}"] for i, each in enumerate(a, 1)) + values[f"b{n}_{j}"]
            for j in range(1, net.sizes[n] + 1)
        ]
        a = [torch.sigmoid(z) for z in a] if n < 3 else a
    loss = sum((o - y) ** 2 for o, y in zip(a, net.y, strict=True)) / 2
    grads = torch.autograd.grad(loss, list(values.values()))
    found = gradient(net).compute(scheduler="sync")
    expected = {name: float(grad) for name, grad in zip(values, grads, strict=True)}
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_loss_gradients_are_those_of_scikit_learn() -> None:
    neural = pytest.importorskip("sklearn.neural_network", reason=WHY)
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    examples, layers = digits(), Layers((64, 16, 10), "tanh", "cross-entropy")
    parameters = initial(layers, 3)
    x, hot = examples.x, np.eye(10)[examples.labels]
    peer = neural.MLPClassifier((16,), activation="tanh", alpha=0.0)
    peer._label_binarizer = preprocessing.LabelBinarizer().fit(examples.labels)
    peer.n_layers_, peer.n_outputs_, peer.out_activation_ = 3, 10, "softmax"
    peer.loss, peer._random_state = "log_loss", np.random.RandomState(0)
    peer.coefs_ = [parameters["w1"].copy(), parameters["w2"].copy()]
    peer.intercepts_ = [parameters["b1"].copy(), parameters["b2"].copy()]
    activations = [x, np.empty((len(x), 16)), np.empty((len(x), 10))]
    deltas = [np.empty_like(each) for each in activations[1:]]
    weights = [np.empty_like(each) for each in peer.coefs_]
    biases = [np.empty_like(each) for each in peer.intercepts_]
    loss, weights, biases = peer._backprop(x, hot, None, activations, deltas, weights, biases)
    found = gradient_program(layers)(*parameters.values(), x, hot, 1 / len(x))
    assert found["L"] == pytest.approx(loss, rel=1e-12)
    for n in (1, 2):
        np.testing.assert_allclose(found[f"w{n}"], weights[n - 1], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(found[f"b{n}"], biases[n - 1], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_training_on_another_backend_agrees(backend: str, dtype: str) -> None:
    pytest.importorskip(backend, reason=f"an extra: pip install 'dask-memo[{backend}]'")
    examples, layers = digits(), Layers((64, 10, 10))
    states = [
        training(Plan(layers, batch=0, shards=2, dtype=dtype, backend=name), examples)(3)
        for name in ("numpy", backend)
    ]
    expected, state = (state.compute(scheduler="sync") for state in states)
    rounding = 1e4 * float(np.finfo(dtype).eps)
    for name, array in expected.parameters.items():
        assert type(state.parameters[name]) is np.ndarray
        assert state.parameters[name].dtype == array.dtype == dtype
        np.testing.assert_allclose(state.parameters[name], array, rtol=rounding, atol=rounding)
    assert state.history[-1].loss == pytest.approx(expected.history[-1].loss, rel=rounding)
