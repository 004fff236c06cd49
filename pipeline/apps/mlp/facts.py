"""What a lesson tells of a network: who needs which value and which adjoint, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.apps.mlp.chain import backward, gradient, local_of, values
from pipeline.apps.mlp.network import Variable
from pipeline.apps.mlp.pictures import name_of
from pipeline.graph import function_name as function_name
from pipeline.graph import occurrences, tree_size

if TYPE_CHECKING:
    from pipeline import TaskGraph
    from pipeline.apps.mlp.network import Network


class Switched(NamedTuple):
    """The gradient of all weights and biases, with each memo table switched on or off.

    values, adjoints: evaluations of either, exact
    memoize: the argument of `gradient`, as it is written in Python
    """

    keeps_values: bool
    keeps_adjoints: bool
    memoize: str
    values: int
    adjoints: int

    @property
    def tasks(self) -> int:
        """All evaluations."""
        return self.values + self.adjoints


@dataclass(frozen=True)
class Facts:
    """A forward and a backward pass, and what both take for all weights and biases.

    values: of every variable, by name
    adjoints: of weights, biases, and the outputs of nodes
    asked: how often each value, or each adjoint, is asked for where both are kept
    anew: how often it is evaluated where neither is kept, exact
    switched: both memo tables, the first alone, the second alone, none
    """

    net: Network
    values: dict[str, Any]
    adjoints: dict[str, Any]
    asked: dict[tuple[str, str], int]
    anew: dict[tuple[str, str], int]
    switched: list[Switched]

    def local(self, consumer: str, name: str) -> Any:
        """The local derivative ∂c/∂v of a consumer c of v."""
        return local_of(self.net, self.values.__getitem__)(consumer, name)


def facts(net: Network) -> Facts:
    """The facts of a network, after a run on the scheduler that Dask is set to.

    Trees are counted, not built: the time is linear in the weights.

    >>> from pipeline.apps.mlp.network import network
    >>> found = facts(network((2, 2, 2, 1)))
    >>> found.asked["adjoint", "O2_1"], found.anew["adjoint", "O2_1"]
    (5, 9)
    """
    graph = gradient(net)
    named = {key: (function_name(key), name_of(key)) for key in graph.tasks}
    asked = Counter(each for key in graph.tasks for each in graph.inputs(key))
    anew = occurrences(graph)
    known = [name for name, each in net.variables.items() if each.kind in "wbO"]
    held = values(net)
    found: dict[str, Any] = backward(net, known, local=local_of(net, held.__getitem__)).compute()
    kinds = {
        kind: {key for key, (function, _) in named.items() if function == kind}
        for kind in ("value", "adjoint")
    }
    once = {kind: len(keys) for kind, keys in kinds.items()}
    again = sum(anew[key] for key in kinds["adjoint"])  # no value needs an adjoint
    switched = [
        Switched(True, True, "True", once["value"], once["adjoint"]),
        Switched(True, False, "forward", once["value"], again),
        Switched(
            False, True, "lambda call: not forward(call)",
            tree_size(graph, kinds["adjoint"]) - once["adjoint"], once["adjoint"],
        ),
        Switched(False, False, "False", tree_size(graph) - again, again),
    ]  # fmt: skip
    return Facts(
        net, held, found, {named[key]: number for key, number in asked.items()},
        {named[key]: number for key, number in anew.items()}, switched,
    )  # fmt: skip


class Needing(NamedTuple):
    """The weights and biases whose derivatives need an adjoint.

    layers: all of so many layers, from the first on
    own: of the layer after these, last layer first the first ones that need it
    number: of both together
    """

    layers: int
    own: list[str]
    number: int

    def __str__(self) -> str:
        below = "layer 1" if self.layers == 1 else f"layers 1 to {self.layers}"
        own = self.own if len(self.own) <= 4 else [self.own[0], "…", self.own[-1]]
        return "; ".join([below] * (self.layers > 0) + [", ".join(own)])


def needing(net: Network, name: str) -> Needing:
    """Who needs ∂L/∂v: the weights into a node, and all those of earlier layers.

    >>> from pipeline.apps.mlp.network import network
    >>> print(needing(network((2, 2, 2, 1)), "O2_1"))
    layer 1; w2_11, w2_21, b2_1
    """
    kind, layer, node, _ = net[name]
    if kind != "O":
        return Needing(0, [name], 1)
    sources = range(1, net.sizes[layer - 1] + 1)
    own = [net.name(Variable("w", layer, node, each)) for each in sources]
    own.append(net.name(Variable("b", layer, node)))
    below = sum(net.sizes[each] * (net.sizes[each - 1] + 1) for each in range(1, layer))
    return Needing(layer - 1, own, below + len(own))


def times(graph: TaskGraph) -> dict[str, int]:
    """How often the tree of a graph of adjoints evaluates each, by the variable's name, exact."""
    return {name_of(key): number for key, number in occurrences(graph).items()}
