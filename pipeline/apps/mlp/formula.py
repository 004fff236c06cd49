"""The chain rule of one weight as text and as LaTeX: expanded over the paths, and factored.

Expanded, it is a sum over all paths from the weight to the loss, each a product of local
derivatives. Factored, each adjoint has a name and is computed once: that is what memoization does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.apps.mlp.network import Network

TERMS = 64
"""Paths that the expanded form writes out; of more, it tells the number."""

Partial = tuple[str, str]
"""∂c/∂v, as (c, v)."""


class Equation(NamedTuple):
    """A derivative as a sum of products: what is written as text, as LaTeX and as MathML.

    products: of derivatives each; the first of them only, where `terms` is more than their number
    terms: products of the whole sum, exact
    """

    left: Partial
    products: Sequence[Sequence[Partial]]
    terms: int


@dataclass(frozen=True, repr=False)
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

    __repr__ = __str__


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
    whole, parts = expansion(net, weight), factoring(net, weight)
    return Formula(
        weight, whole.terms, _sum(whole, _text, " · "), _sum(whole, _latex, r" \, "),
        "\n".join(_sum(each, _text, " · ") for each in parts),
        "\n".join(_sum(each, _latex, r" \, ") for each in parts),
    )  # fmt: skip


def expansion(net: Network, weight: str) -> Equation:
    """∂L/∂v as the sum over all paths; of more than `TERMS`, its first product alone.

    Raises `NetworkError` for a name that the network does not have.
    """
    terms = path_count(net, weight)
    first = islice(paths(net, weight), terms if terms <= TERMS else 1)
    products = [list(zip(path[1:], path, strict=False))[::-1] for path in first]
    return Equation(("L", weight), products, terms)


def factoring(net: Network, weight: str) -> list[Equation]:
    """∂L/∂v by the adjoints of its consumers, and so theirs: one equation for each adjoint.

    Raises `NetworkError` for a name that the network does not have.
    """
    found = []
    for name in reachable(net, weight):
        consumers = net.consumers(name)
        if consumers not in ([], ["L"]):
            products = [[("L", each), (each, name)] for each in consumers]
            found.append(Equation(("L", name), products, len(products)))
    return found or [Equation(("L", weight), [[("L", weight)]], 1)]


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


def symbol(name: str) -> tuple[str, str, str]:
    """A name as it is set in print: its letter, the layer above it, and the nodes below.

    >>> symbol("w1_12"), symbol("x2"), symbol("ŷ")
    (('w', '1', '12'), ('x', '', '2'), ('ŷ', '', ''))
    """
    if match := re.fullmatch(r"([wbzO])(\d+)_([\d,]+)", name):
        kind, layer, nodes = match.groups()
        return kind, layer, nodes
    if match := re.fullmatch(r"([xŷ])(\d*)", name):
        kind, node = match.groups()
        return kind, "", node
    return name, "", ""


def _sum(equation: Equation, show: Callable[[Partial], str], times: str) -> str:
    products = [times.join(map(show, product)) or "1" for product in equation.products]
    if len(products) < equation.terms:
        products.append(f"… ({equation.terms:,} products, one for each path)")
    return f"{show(equation.left)} = {' + '.join(products)}"


def _text(pair: Partial) -> str:
    return f"∂{pair[0]}/∂{pair[1]}"


def _latex(pair: Partial) -> str:
    above, below = map(_latex_name, pair)
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def _latex_name(name: str) -> str:
    letter, layer, nodes = symbol(name)
    base = r"\hat{y}" if letter == "ŷ" else letter
    return base + (f"^{{({layer})}}" if layer else "") + (f"_{{{nodes}}}" if nodes else "")
