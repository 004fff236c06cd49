"""Pictures of the chain rule: the naive sum beside backpropagation; a network and its paths."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import graphviz

from pipeline import Picture, Style, contrast
from pipeline.apps.mlp.chain import backward, local_values, values
from pipeline.apps.mlp.formula import path_count, paths
from pipeline.apps.mlp.network import NetworkError, checked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dask.typing import Key

    from pipeline.apps.mlp.network import Network

HUES = (
    "#aa3377", "#4477aa", "#228833", "#cc7711", "#66ccee", "#888888", "#ddbb44", "#332288",
    "#ee7788", "#117733", "#882255", "#000000",
)  # fmt: skip
"""One colour a path: of more paths, so many are drawn, and the picture tells the number."""

COLOURS = ("blue", "yellow", "grey", "purple", "cyan", "green", "pink")
"""The first colours of pictures, in words."""

WIRES = 2000
"""Edges of a network that is drawn."""


def name_of(key: Key) -> str:
    """The variable v in the key of the adjoint ∂L/∂v."""
    return str(key[1]).strip("'")


def style(net: Network, *, numbers: bool = False) -> Style:
    """Adjoints as they are written, coloured by the layer that first needs them, joined by ∂c/∂v.

    numbers: whether the values of the local derivatives are shown too
    """
    local = local_values(net) if numbers else None

    layers = range(1, len(net.sizes))

    def edge(adjoint: Key, above: Key) -> str:
        consumer, name = name_of(above), name_of(adjoint)
        written = f"∂{consumer}/∂{name}"
        return f"{written} = {local(consumer, name):.3g}" if local else written

    return Style(
        label=lambda key: f"∂L/∂{name_of(key)}",
        group=lambda key: net[name_of(key)].layer - 1,
        kind=f"layer ({', '.join(f'{n} {hue}' for n, hue in zip(layers, COLOURS, strict=False))})",
        edge=edge,
    )


def adjoints(
    net: Network, weights: str | Iterable[str] | None = None, *, numbers: bool = False
) -> Picture:
    """The sum over all paths beside backpropagation, for one, some or all weights.

    A node is an adjoint, an edge a product with a local derivative. One colour is one layer, that
    whose weights need the adjoint first: in an earlier layer's, it was there already.

    numbers: whether values are shown
    """
    if weights is None:  # the last layer first, as backpropagation meets them
        weights = sorted(net.parameters, key=lambda name: -net[name].layer)
    graph = backward(net, weights)
    look = style(net, numbers=numbers)
    if len(graph.keys) > 2:  # side by side, many outputs would be too wide to see
        look = look._replace(rankdir="LR")
    return contrast(graph, values=numbers, style=look)


def diagram(net: Network, weight: str, *, numbers: bool = False) -> Picture:
    """The network, and every path from a weight to the loss, one colour a path.

    Of more paths than there are colours the first are drawn, and the number is told.

    numbers: whether the values of the variables are shown

    Raises `NetworkError` for what is no weight or bias, and for a network of over 2,000 edges.
    """
    checked(net, [weight])
    wires = sum(one * other for one, other in pairwise(net.sizes))
    if wires > WIRES:
        raise NetworkError(f"{net} has {wires:,} edges: a picture shows {WIRES:,} at the most")
    known = values(net) if numbers else {}
    number = path_count(net, weight)
    drawn = list(islice(paths(net, weight), len(HUES)))
    dot = graphviz.Digraph(
        graph_attr={
            "rankdir": "LR", "bgcolor": "#ffffff", "nodesep": "0.25", "ranksep": "0.9",
            "splines": "line", "fontname": _FONT, "labelloc": "t",
            "label": _title(weight, number, len(drawn)),
        },
        node_attr={"fontname": _FONT, "fontsize": "12", "shape": "circle", "width": "0.62",
                   "margin": "0.02", "style": "filled", "fillcolor": "#f5f5f5", "color": _GREY},
        edge_attr={"color": "#c4c4c4", "arrowsize": "0.5", "fontname": _FONT, "fontsize": "10"},
    )  # fmt: skip
    columns = [net.nodes(layer) for layer in range(len(net.sizes))]
    for column in [*columns, ["L"]]:
        with dot.subgraph(graph_attr={"rank": "same"}) as same:
            for each in column:
                same.node(each, label=_label(each, known))
            for above, below in pairwise(column):
                same.edge(above, below, style="invis", weight="99")
    start = net[weight]
    marked = _marked(net, weight, drawn)
    for before, after in zip(columns, [*columns[1:], ["L"]], strict=True):
        for left in before:
            for right in after:
                hues = marked.get((left, right), [])
                look: dict[str, Any] = {"color": ":".join(hues), "penwidth": "1.8"} if hues else {}
                if (left, right) == _wire(net, weight):
                    look |= {"label": _label(weight, known), "fontcolor": "#1a1a1a"}
                dot.edge(left, right, **look)
    if start.kind == "b":
        dot.node(weight, shape="plain", style="", label=_label(weight, known))
        dot.edge(
            weight, net.consumers(weight)[0], color=":".join(marked[weight, "b"]), penwidth="1.8"
        )
    return Picture(str(dot.source))


_FONT = "Helvetica,Arial,sans-serif"
_GREY = "#888888"


def _title(weight: str, number: int, drawn: int) -> str:
    text = f"{number:,} path{'s' * (number != 1)} from {weight} to the loss"
    return text + (f", {drawn} of them drawn" if drawn < number else "")


def _label(name: str, known: dict[str, Any]) -> str:
    return f"{name}\n{known[name] + 0.0:.3g}" if name in known else name  # -0.0 is 0


def _wire(net: Network, weight: str) -> tuple[str, str] | None:
    """The edge that a weight is on."""
    kind, layer, _, source = net[weight]
    return (net.nodes(layer - 1)[source - 1], net.consumers(weight)[0]) if kind == "w" else None


def _marked(net: Network, weight: str, drawn: list[list[str]]) -> dict[tuple[str, str], list[str]]:
    """The colours of the paths that go over each edge."""
    marked: dict[tuple[str, str], list[str]] = {}
    for number, path in enumerate(drawn):
        hue = HUES[number]
        steps = list(pairwise(path[1:]))
        first = _wire(net, weight) or ((weight, "b") if net[weight].kind == "b" else None)
        for step in [*([first] if first else []), *steps]:
            found = marked.setdefault(step, [])
            if hue not in found:
                found.append(hue)
    return marked
