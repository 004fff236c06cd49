"""The same chain rule, a layer at a time: variables are arrays, of a batch of examples.

`x` has a row for each example. `w1` and `b1` are the weights and biases of layer 1, `z1` its
weighted sums, `O1` its outputs; `ŷ` are the outputs of the last layer, `y` their targets, and `L`
the loss. Shapes: x (examples, inputs), w (nodes before, nodes), b (nodes,), y as ŷ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline import Call, CompiledGraph, Recurrence, TaskGraph, recurrence, trace
from pipeline.apps.mlp.networks import check
from pipeline.apps.mlp.rules import ACTIVATIONS


@dataclass(frozen=True)
class Layers:
    """A network, without its weights.

    sizes: nodes of the input layer, of each hidden layer, and of the output layer
    activation: of the hidden layers; the outputs are linear
    loss: mse, the mean over outputs too; or cross-entropy, of outputs that are logits

    Raises `NetworkError` for wrong sizes or functions.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    loss: str = "cross-entropy"

    def __post_init__(self) -> None:
        check(self.sizes, self.activation, self.loss)

    @property
    def parameters(self) -> list[str]:
        """The names of weights and biases: w1, b1, w2, …"""
        return [f"{kind}{layer}" for layer in range(1, len(self.sizes)) for kind in "wb"]

    @property
    def inputs(self) -> list[str]:
        """The inputs of a gradient: the parameters, `x`, `y`, and `share`, an example's weight."""
        return [*self.parameters, "x", "y", "share"]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter."""
        layer = int(name[1:])
        return self.sizes[layer - (name[0] == "w") : layer + 1]


def value_of(layers: Layers, inputs: Mapping[str, Any] | None = None) -> Recurrence:
    """The recurrence `value(name)`: the forward pass.

    inputs: values of `layers.inputs`; without them, a compiled program takes them in each run
    """
    last = len(layers.sizes) - 1

    @recurrence
    def value(name: str) -> Any:
        if name in layers.inputs:
            return None if inputs is None else inputs[name]
        if name == "L":
            return _loss(layers, value)
        if name == "shifted":  # so that no exponential overflows
            return value("ŷ") - np.max(value("ŷ"), axis=1, keepdims=True)
        if name == "exp":
            return np.exp(value("shifted"))
        if name == "total":
            return np.sum(value("exp"), axis=1, keepdims=True)
        if name[0] == "O":
            return ACTIVATIONS[layers.activation].value(value(f"z{name[1:]}"))
        layer = last if name == "ŷ" else int(name[1:])
        return value(_output(layer - 1)) @ value(f"w{layer}") + value(f"b{layer}")

    return value


def _output(layer: int) -> str:
    return f"O{layer}" if layer else "x"


def _loss(layers: Layers, value: Callable[[str], Any]) -> Any:
    if layers.loss == "mse":
        error = value("ŷ") - value("y")
        return np.sum(error * error) * (value("share") / layers.sizes[-1])
    log_softmax = value("shifted") - np.log(value("total"))
    return -np.sum(value("y") * log_softmax) * value("share")


def adjoint_of(layers: Layers, value: Callable[[str], Any]) -> Recurrence:
    """The recurrence `adjoint(name)`: ∂L/∂v, of the same shape as v, by the chain rule."""
    last, last_size = len(layers.sizes) - 1, layers.sizes[-1]

    @recurrence
    def adjoint(name: str) -> Any:
        if name == "ŷ":
            if layers.loss == "mse":
                return (value("ŷ") - value("y")) * (2 / last_size * value("share"))
            weight = np.sum(value("y"), axis=1, keepdims=True)  # 1 where y is one-hot
            return (value("exp") * (weight / value("total")) - value("y")) * value("share")
        kind, layer = name[0], int(name[1:])
        if kind == "O":
            return adjoint(_sums(layer + 1, last)) @ np.transpose(value(f"w{layer + 1}"))
        if kind == "z":
            slope = ACTIVATIONS[layers.activation].derivative(value(name), value(f"O{layer}"))
            return adjoint(f"O{layer}") * slope
        if kind == "w":
            return np.transpose(value(_output(layer - 1))) @ adjoint(_sums(layer, last))
        return np.sum(adjoint(_sums(layer, last)), axis=0)

    return adjoint


def _sums(layer: int, last: int) -> str:
    return "ŷ" if layer == last else f"z{layer}"


def gradients(
    layers: Layers,
    inputs: Mapping[str, Any] | None = None,
    memoize: bool | Callable[[Call], bool] = True,
) -> TaskGraph:
    """The graph of the loss and of ∂L/∂v of every parameter v, as a dict by name.

    inputs: values of `layers.inputs`; without them the graph can be drawn, counted and compiled
    memoize: False for the sum over all paths, which computes every value and adjoint again for each
        of its consumers
    """
    value = value_of(layers, inputs)
    adjoint = adjoint_of(layers, value)
    return trace(
        lambda: {"L": value("L"), **{name: adjoint(name) for name in layers.parameters}},
        memoize=memoize,
    )


@lru_cache(32)
def gradient_program(layers: Layers, backend: str = "numpy") -> CompiledGraph:
    """Loss and gradients as a function of `layers.inputs`, compiled once per process."""
    return _compiled(gradients(layers), layers.inputs, layers, backend)


@lru_cache(32)
def loss_program(layers: Layers, backend: str = "numpy") -> CompiledGraph:
    """The loss as a function of `layers.inputs`, compiled once per process."""
    return _compiled(value_of(layers)("L").graph(), layers.inputs, layers, backend)


@lru_cache(32)
def output_program(layers: Layers, backend: str = "numpy") -> CompiledGraph:
    """The outputs ŷ as a function of the parameters and x, compiled once per process."""
    inputs = [*layers.parameters, "x"]
    return _compiled(value_of(layers)("ŷ").graph(), inputs, layers, backend)


def _compiled(graph: TaskGraph, inputs: list[str], layers: Layers, backend: str) -> CompiledGraph:
    program: CompiledGraph = graph.compile([*map(value_of(layers), inputs)], backend)
    return program


def initial(layers: Layers, seed: int, dtype: str = "float64") -> dict[str, np.ndarray[Any, Any]]:
    """The first parameters: normal, with biases 0.

    The variance is 2/n for relu (He et al., 2015), else 2/(n + m) (Glorot and Bengio, 2010), for n
    nodes before and m after.
    """
    rng = np.random.default_rng(seed)
    parameters = {}
    for name in layers.parameters:
        shape = layers.shape(name)
        nodes = shape[0] if layers.activation == "relu" else sum(shape)
        scale = np.sqrt(2 / nodes) if name[0] == "w" else 0.0
        parameters[name] = (rng.normal(size=shape) * scale).astype(dtype)
    return parameters
