"""A multilayer perceptron, one scalar variable at a time, each with a name.

`x1` is an input, `w1_12` the weight of layer 1 from input 1 to node 2, `b1_2` that node's bias,
`z1_2` its weighted sum, `O1_2` its output; `ŷ` is the output of the last layer (`ŷ1`, `ŷ2`, … of
several), and `L` the loss of one example. From ten nodes on, `w1_3,12` has a comma.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from pipeline import PipelineError
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES

LARGEST = 300_000
"""The most weights of a network whose every weight is a variable."""


class NetworkError(PipelineError, ValueError):
    """A wrong network: its layers, its functions, or a name that it does not have."""


class Variable(NamedTuple):
    """A variable of a network.

    kind: x, w, b, z, O (also the outputs ŷ) or L
    layer: 0 for the inputs, then from 1
    node: starts at 1
    source: of a weight, the node of the layer before
    """

    kind: str
    layer: int
    node: int = 0
    source: int = 0


@dataclass(frozen=True)
class Network:
    """Layers of nodes, and one example.

    sizes: nodes of the input layer, of each hidden layer, and of the output layer
    activation: of the hidden layers, from `ACTIVATIONS`; the outputs are linear
    loss: from `LOSSES`
    weights: of each weight and bias, by name
    x, y: inputs and targets of the example
    """

    sizes: tuple[int, ...]
    activation: str
    loss: str
    weights: Mapping[str, Any]
    x: tuple[Any, ...]
    y: tuple[Any, ...]

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """Every variable by its name, from the inputs to the loss."""
        return {self.name(variable): variable for variable in _variables(self.sizes)}

    @property
    def parameters(self) -> list[str]:
        """The names of all weights and biases, layer by layer."""
        return [name for name, variable in self.variables.items() if variable.kind in "wb"]

    def __getitem__(self, name: str) -> Variable:
        """The variable of a name. Raises `NetworkError`, with the nearest names."""
        if name in self.variables:
            return self.variables[name]
        near = ", ".join(get_close_matches(name, self.variables, n=3, cutoff=0.4))
        hint = near and f"; near it are {near}"
        raise NetworkError(f"no variable {name!r} in {self}: give one like w1_11, O1_1 or L{hint}")

    def name(self, variable: Variable) -> str:
        """The name of a variable."""
        kind, layer, node, source = variable
        if kind in "Lx":
            return f"{kind}{node or ''}"
        if kind == "w":
            comma = "," if max(self.sizes[layer - 1 : layer + 1]) > 9 else ""
            return f"w{layer}_{source}{comma}{node}"
        if kind == "O" and layer == len(self.sizes) - 1:
            return "ŷ" if self.sizes[-1] == 1 else f"ŷ{node}"
        return f"{kind}{layer}_{node}"

    def nodes(self, layer: int) -> list[str]:
        """The names of the outputs of a layer; of layer 0, the inputs."""
        kind = "O" if layer else "x"
        return [self.name(Variable(kind, layer, node + 1)) for node in range(self.sizes[layer])]

    def incoming(self, layer: int, node: int) -> list[str]:
        """The names of the weights into a node, in the order of the nodes before."""
        sources = range(1, self.sizes[layer - 1] + 1)
        return [self.name(Variable("w", layer, node, source)) for source in sources]

    def consumers(self, name: str) -> list[str]:
        """The consumers c of a variable v in the chain rule, ∂c/∂v.

        A weighted sum is a part of its node: the consumers of an output are the outputs of the next
        layer, as in ∂O2_1/∂O1_1.
        """
        kind, layer, node, _ = self[name]
        if kind == "L":
            return []
        if kind in "wbz":
            return [self.name(Variable("O", layer, node))]
        return ["L"] if layer == len(self.sizes) - 1 else self.nodes(layer + 1)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (self.sizes, self.activation, self.loss, dict(self.weights), self.x, self.y)

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes))


def checked(net: Network, names: Iterable[str]) -> list[str]:
    """The names, as a list. Raises `NetworkError` for a name that is not a weight or bias."""
    names = list(names)
    for name in names:
        if net[name].kind not in "wb":
            raise NetworkError(f"{name} is no weight of {net}: give weights and biases, like w1_11")
    return names


def _variables(sizes: Sequence[int]) -> Iterator[Variable]:
    for node in range(sizes[0]):
        yield Variable("x", 0, node + 1)
    for layer in range(1, len(sizes)):
        for node in range(1, sizes[layer] + 1):
            for source in range(sizes[layer - 1]):
                yield Variable("w", layer, node, source + 1)
            for kind in "bzO":
                yield Variable(kind, layer, node)
    yield Variable("L", len(sizes))


def check(sizes: Sequence[int], activation: str, loss: str) -> None:
    """Raise `NetworkError` for wrong sizes, or functions that there are not."""
    if len(sizes) < 2 or any(type(size) is not int or size < 1 for size in sizes):
        raise NetworkError(
            f"sizes {sizes!r}: give the nodes of each layer, whole numbers from 1 on, at least an "
            "input and an output layer, like 2-2-2-1"
        )
    for what, name, table in (("activation", activation, ACTIVATIONS), ("loss", loss, LOSSES)):
        if name not in table:
            raise NetworkError(f"unknown {what} {name!r}: it is one of {', '.join(table)}")


def network(
    sizes: Sequence[int],
    activation: str = "sigmoid",
    loss: str = "mse",
    *,
    weights: Mapping[str, Any] | None = None,
    x: Sequence[Any] | None = None,
    y: Sequence[Any] | None = None,
    seed: int = 0,
) -> Network:
    """A network with weights and an example; the seed draws those that are missing.

    sizes: nodes of each layer, at least two layers
    weights: some or all weights and biases, by name; the others follow Xavier's rule
    x, y: inputs and targets of one example

    Raises `NetworkError` for wrong sizes, functions or names.

    >>> net = network((2, 2, 2, 1))
    >>> net.consumers("w1_11"), net.consumers("O1_1"), net.consumers("O2_2")
    (['O1_1'], ['O2_1', 'O2_2'], ['ŷ'])
    """
    sizes = tuple(sizes)
    check(sizes, activation, loss)
    number = sum(before * after for before, after in pairwise(sizes))
    if number > LARGEST:
        raise NetworkError(
            f"{'-'.join(map(str, sizes))} has {number:,} weights, each a variable of its own: "
            f"give at most {LARGEST:,}, or train it a layer at a time"
        )
    if type(seed) is not int or seed < 0:
        raise NetworkError(f"seed={seed!r}: it is a whole number from 0 on")
    rng = np.random.default_rng(seed)
    net = Network(sizes, activation, loss, {}, (), ())
    drawn = {name: _draw(rng, sizes, net[name]) for name in net.parameters}
    checked(net, weights or {})
    if x is None:
        x = [round(float(value), 3) for value in rng.uniform(-1, 1, sizes[0])]
    if y is None:
        y = [float(place == 1) for place in range(sizes[-1])]
    for what, values, size in (("inputs", x, sizes[0]), ("targets", y, sizes[-1])):
        if len(values) != size:
            raise NetworkError(f"{len(values)} {what} for {size} nodes: give one for each")
    return replace(net, weights={**drawn, **(weights or {})}, x=tuple(x), y=tuple(y))


def _draw(rng: np.random.Generator, sizes: Sequence[int], variable: Variable) -> float:
    """A weight, uniform within ±√(6 / (nodes before + nodes after)) (Glorot and Bengio, 2010)."""
    if variable.kind == "b":
        return 0.1
    bound = sqrt(6 / (sizes[variable.layer - 1] + sizes[variable.layer]))
    return round(float(rng.uniform(-bound, bound)), 3)
