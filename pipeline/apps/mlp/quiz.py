"""What a teacher asks of a weight's derivative, and what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.apps.mlp import counts
from pipeline.apps.mlp.facts import needing
from pipeline.apps.mlp.formula import path_count, reachable
from pipeline.page import Question

if TYPE_CHECKING:
    from pipeline.apps.mlp.network import Network

CHOICES = 12
"""Adjoints that can be chosen from; of a larger network, it is not asked which of them."""

_EXACT = 10**9
"""Up to here, numbers are asked for."""


def questions(net: Network, weight: str) -> list[Question]:
    """Paths, products and adjoints of a weight, and those that it shares with others.

    >>> from pipeline.apps.mlp.network import network
    >>> for each in questions(network((2, 2, 2, 1)), "w1_11")[:2]:
    ...     print(each.text, each.answers)
    Through how many paths does w1_11 reach the loss? ['2']
    How many multiplications are there in the expanded sum of ∂L/∂w1_11? ['6']
    """
    layer = net[weight].layer
    number = path_count(net, weight)
    work = counts.expanded(net.sizes, layer)
    once = counts.backpropagation(net.sizes, layer)
    sizes = " · ".join(map(str, net.sizes[layer + 1 :])) or "1"
    found = []
    if work.multiplications < _EXACT:
        found += [
            Question(
                f"Through how many paths does {weight} reach the loss?", [str(number)],
                why=f"From its node on, a path chooses one node in each later layer: {sizes}.",
            ),
            Question(
                f"How many multiplications are there in the expanded sum of ∂L/∂{weight}?",
                [str(work.multiplications)],
                why=f"{number:,} products of {work.multiplications // number + 1} factors. "
                f"Factored, with each adjoint once: {once.multiplications:,}.",
            ),
        ]  # fmt: skip
    nodes = [name for name in reversed(net.variables) if net[name].kind == "O"]
    if len(nodes) <= CHOICES:
        found += [_shared(net, weight, other, nodes) for other in _others(net, weight)]
        found.append(_there(net, weight, nodes))
    return found


def _others(net: Network, weight: str) -> list[str]:
    """A weight or bias of the same node, one of another node, and one of another layer."""
    kind, layer, node, _ = net[weight]
    rest = [name for name in net.parameters if name != weight and net[name].kind == kind]
    found: dict[tuple[bool, bool], str] = {}
    for name in rest:
        place = (net[name].layer == layer, net[name].node == node)
        found.setdefault(place if place[0] else (False, False), name)
    return list(found.values())


def _shared(net: Network, weight: str, other: str, nodes: list[str]) -> Question:
    both = set(reachable(net, weight)) & set(reachable(net, other))
    answers = [f"∂L/∂{name}" for name in nodes if name in both]
    return Question(
        f"Which of these adjoints do ∂L/∂{weight} and ∂L/∂{other} share?", answers,
        [f"∂L/∂{name}" for name in nodes],
        "Those of the nodes that the paths of both go through.",
    )  # fmt: skip


def _there(net: Network, weight: str, nodes: list[str]) -> Question:
    layer = net[weight].layer
    mine = set(reachable(net, weight))
    answers = [
        f"∂L/∂{name}" for name in nodes
        if name in mine and net[needing(net, name).own[0]].layer > layer
    ]  # fmt: skip
    return Question(
        f"Backpropagation takes the last layer first. Which adjoints of ∂L/∂{weight} are in memory "
        f"when it comes to layer {layer}?",
        answers, [f"∂L/∂{name}" for name in nodes],
        "Those that a later layer's weights needed before.",
    )  # fmt: skip
