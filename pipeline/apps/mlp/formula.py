"""The chain rule of one weight as text and as LaTeX: expanded over the paths, and factored.

Expanded, it is a sum over all paths from the weight to the loss, each a product of local
derivatives. Factored, each adjoint has a name and is computed once: that is what memoization does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.apps.mlp.network import Network

TERMS = 64
"""Paths that the expanded form writes out; of more, it tells the number."""

Partial = tuple[str, str]
"""∂c/∂v, as (c, v)."""


@dataclass(frozen=True)
class Formula:
    """∂L/∂w of one weight, in words.

    expanded, expanded_latex: the sum of products over the paths
    factored, factored_latex: one equation for each adjoint, the one that needs no other first
    terms: paths, exact
    """

    weight: str
    terms: int
    expanded: str
    expanded_latex: str
    factored: str
    factored_latex: str

    def __str__(self) -> str:
        return f"{self.expanded}\n\n{self.factored}"


def formula(net: Network, weight: str) -> Formula:
    """The chain rule for ∂L/∂v of a weight, or of any other variable of a network.

    Raises `NetworkError` for a name that the network does not have.

    >>> from pipeline.apps.mlp.network import network
    >>> print(formula(network((1, 1, 1, 1)), "w1_11"))
    ∂L/∂w1_11 = ∂L/∂ŷ · ∂ŷ/∂O2_1 · ∂O2_1/∂O1_1 · ∂O1_1/∂w1_11
    <BLANKLINE>
    ∂L/∂O2_1 = ∂L/∂ŷ · ∂ŷ/∂O2_1
    ∂L/∂O1_1 = ∂L/∂O2_1 · ∂O2_1/∂O1_1
    ∂L/∂w1_11 = ∂L/∂O1_1 · ∂O1_1/∂w1_11
    """
    terms = path_count(net, weight)
    return Formula(
        weight, terms,
        _expanded(net, weight, terms, _text, " · "), _expanded(net, weight, terms, _latex, r" \, "),
        _factored(net, weight, _text, " · "), _factored(net, weight, _latex, r" \, "),
    )  # fmt: skip


def path_count(net: Network, name: str) -> int:
    """Paths from a variable to the loss, exact: counted, not walked."""
    counts = {"L": 1}
    for each in reachable(net, name):
        counts.setdefault(each, sum(counts[c] for c in net.consumers(each)))
    return counts[name]


def paths(net: Network, name: str) -> Iterator[list[str]]:
    """Every path from a variable to the loss, as the names on it, in the order of the nodes."""
    if name == "L":
        yield ["L"]
    for consumer in net.consumers(name):
        for path in paths(net, consumer):
            yield [name, *path]


def _expanded(
    net: Network, weight: str, terms: int, show: Callable[[Partial], str], times: str
) -> str:
    left = show(("L", weight))
    if terms > TERMS:
        first = next(paths(net, weight))
        return (
            f"{left} = {_product(first, show, times)} + … ({terms:,} products, one for each path)"
        )
    products = [_product(path, show, times) for path in paths(net, weight)]
    return f"{left} = {' + '.join(products)}"


def _product(path: list[str], show: Callable[[Partial], str], times: str) -> str:
    pairs = list(zip(path[1:], path, strict=False))
    return times.join(show(pair) for pair in reversed(pairs)) or "1"


def _factored(net: Network, weight: str, show: Callable[[Partial], str], times: str) -> str:
    loss: Callable[[str], str] = partial(_adjoint, show)
    lines = []
    for name in reachable(net, weight):
        consumers = net.consumers(name)
        if consumers not in ([], ["L"]):
            products = [f"{loss(each)}{times}{show((each, name))}" for each in consumers]
            lines.append(f"{loss(name)} = {' + '.join(products)}")
    return "\n".join(lines) or f"{loss(weight)} = {show(('L', weight))}"


def reachable(net: Network, name: str) -> list[str]:
    """The variables on the paths from one to the loss, from the loss to the variable itself.

    Raises `NetworkError` for a name that the network does not have.
    """
    _ = net[name]
    found = {name}
    stack = [name]
    while stack:
        new = [each for each in net.consumers(stack.pop()) if each not in found]
        found.update(new)
        stack += new
    return [each for each in reversed(net.variables) if each in found]


def _adjoint(show: Callable[[Partial], str], name: str) -> str:
    return show(("L", name))


def _text(pair: Partial) -> str:
    return f"∂{pair[0]}/∂{pair[1]}"


def _latex(pair: Partial) -> str:
    above, below = (_symbol(name) for name in pair)
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def _symbol(name: str) -> str:
    """A name in LaTeX: `w1_12` is w with the layer above it and the nodes below."""
    if match := re.fullmatch(r"([wbzO])(\d+)_([\d,]+)", name):
        kind, layer, nodes = match.groups()
        return rf"{kind}^{{({layer})}}_{{{nodes}}}"
    if match := re.fullmatch(r"([xŷ])(\d*)", name):
        kind, node = match.groups()
        base = r"\hat{y}" if kind == "ŷ" else "x"
        return f"{base}_{{{node}}}" if node else base
    return name
