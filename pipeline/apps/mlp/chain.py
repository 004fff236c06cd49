"""The chain rule, as a recurrence over the variables of a network.

    ∂L/∂v = Σ ∂L/∂c · ∂c/∂v, over the consumers c of v

Without memoization it is the sum over all paths from v to the loss. Memoized, each adjoint ∂L/∂c is
computed once, and that is backpropagation (Goodfellow, Bengio, Courville, Deep Learning, 6.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any

from pipeline import Call, Recurrence, TaskGraph, recurrence, trace
from pipeline.apps.mlp.networks import Network, Variable
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES


def value_of(net: Network) -> Recurrence:
    """The recurrence `value(name)`: the forward pass."""

    @recurrence
    def value(name: str) -> Any:
        kind, layer, node, _ = net[name]
        if kind == "x":
            return net.x[node - 1]
        if kind in "wb":
            return net.weights[name]
        if kind == "L":
            outputs = [value(output) for output in net.nodes(layer - 1)]
            return LOSSES[net.loss].value(outputs, net.y)
        if kind == "O":
            return _activation(net, layer).value(value(net.name(Variable("z", layer, node))))
        pairs = zip(net.incoming(layer, node), net.nodes(layer - 1), strict=True)
        terms = [value(weight) * value(output) for weight, output in pairs]
        return reduce(add, terms) + value(net.name(Variable("b", layer, node)))

    return value


def local_of(net: Network, value: Callable[[str], Any]) -> Callable[[str, str], Any]:
    """The local derivative ∂c/∂v of a consumer c of v, from the values of variables."""

    def local(consumer: str, name: str) -> Any:
        kind, layer, node, source = net[name]
        above = net[consumer]
        if consumer == "L":
            outputs = [value(output) for output in net.nodes(layer)]
            return LOSSES[net.loss].derivative(outputs, net.y, node - 1)
        z = value(net.name(Variable("z", above.layer, above.node)))
        slope = _activation(net, above.layer).derivative(z, value(consumer))
        if kind == "w":
            return slope * value(net.nodes(layer - 1)[source - 1])
        if kind in "bz":
            return slope
        return slope * value(net.name(Variable("w", above.layer, above.node, node)))

    return local


def _activation(net: Network, layer: int) -> Any:
    return ACTIVATIONS["identity" if layer == len(net.sizes) - 1 else net.activation]


def adjoint_of(net: Network, local: Callable[[str, str], Any]) -> Recurrence:
    """The recurrence `adjoint(name)`: ∂L/∂v of a variable v, from its local derivatives."""

    @recurrence
    def adjoint(name: str) -> Any:
        if name == "L":
            return 1.0
        consumers = net.consumers(name)
        if consumers == ["L"]:
            return local("L", name)  # times ∂L/∂L, which is 1
        return reduce(add, [adjoint(consumer) * local(consumer, name) for consumer in consumers])

    return adjoint


def gradient(
    net: Network,
    weights: str | Iterable[str] | None = None,
    memoize: bool | Callable[[Call], bool] = True,
) -> TaskGraph:
    """The graph of ∂L/∂w of one, some or all weights and biases, as a dict by name.

    memoize: True for backpropagation, False for the sum over all paths, which computes the values
        again, too; `forward` keeps these, and computes the adjoints again

    Raises `NetworkError` for a name that the network does not have.

    >>> from pipeline.apps.mlp import network
    >>> net = network((2, 2, 2, 1))
    >>> naive = gradient(net, "w1_11", memoize=False)
    >>> len(naive), len(gradient(net, "w1_11"))
    (142, 32)
    >>> naive.compute() == gradient(net, "w1_11").compute()
    True
    """
    return backward(net, weights, memoize, local_of(net, value_of(net)))


def forward(call: Call) -> bool:
    """A predicate for `memoize`: keep the values of the forward pass, and no adjoint."""
    return getattr(call.function, "__name__", "") == "value"


def values(net: Network) -> dict[str, Any]:
    """The value of every variable, by name: the forward pass."""
    value = value_of(net)
    results: dict[str, Any] = trace(lambda: {name: value(name) for name in net.variables}).compute()
    return results


def local_values(net: Network) -> Callable[[str, str], Any]:
    """The local derivatives ∂c/∂v as numbers, after a forward pass."""
    return local_of(net, values(net).__getitem__)


def backward(
    net: Network,
    weights: str | Iterable[str] | None = None,
    memoize: bool | Callable[[Call], bool] = True,
    local: Callable[[str, str], Any] | None = None,
) -> TaskGraph:
    """The graph of the adjoints alone, after the forward pass, as pictures show it.

    Each edge, from ∂L/∂v to ∂L/∂c, is one product with a known number, ∂c/∂v.

    local: of `local_values`; without it, a forward pass runs now
    """
    names = [weights] if isinstance(weights, str) else weights or net.parameters
    adjoint = adjoint_of(net, local or local_values(net))
    return trace(lambda: {name: adjoint(name) for name in names if net[name]}, memoize=memoize)
