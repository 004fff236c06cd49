"""Pictures: path sum beside backpropagation, a network and its paths, the results of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, pairwise, product, starmap
from types import MappingProxyType
from typing import Any

import graphviz
import numpy as np
from dask.typing import Key
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline import Picture, Style, contrast, count
from pipeline.apps.growth import GREY, on_any_paper
from pipeline.apps.mlp.chain import backward, local_values, values
from pipeline.apps.mlp.epochs import Epoch
from pipeline.apps.mlp.formulas import Partial, path_count, paths
from pipeline.apps.mlp.networks import Network, NetworkError, checked

Array = np.ndarray[Any, Any]

HUES = (
    "#aa3377", "#4477aa", "#228833", "#cc7711", "#1e96b4", "#888888", "#a58200", "#7766cc",
    "#dd5566", "#117733", "#aa6644", "#5588ff",
)  # fmt: skip
"""One colour for each path, seen on white paper and on dark; a picture draws so many paths, and
gives the number of all."""

COLOURS = ("blue", "yellow", "grey", "purple", "cyan", "green", "pink")
"""The first colours of pictures, in words."""

WIRES = 2000
"""The most edges of a network that is drawn."""


def name_of(key: Key) -> str:
    """The variable v in the key of the adjoint ∂L/∂v."""
    return str(key[1]).strip("'")


def style(net: Network, local: Callable[[str, str], Any] | None = None, outputs: int = 1) -> Style:
    """Adjoints as ∂L/∂v, coloured by the layer that first needs them, joined by ∂c/∂v.

    local: of `local_values`, to show the values of the local derivatives, too
    outputs: of the graph; many would be too wide side by side
    """

    def edge(adjoint: Key, above: Key) -> str:
        consumer, name = name_of(above), name_of(adjoint)
        written = f"∂{consumer}/∂{name}"
        return f"{written} = {local(consumer, name):.3g}" if local else written

    layers = zip(range(1, len(net.sizes)), COLOURS, strict=False)
    return Style(
        label=lambda key: f"∂L/∂{name_of(key)}",
        group=lambda key: net[name_of(key)].layer - 1,
        kind=f"layer ({', '.join(f'{layer} {colour}' for layer, colour in layers)})",
        edge=edge,
        rankdir="LR" if outputs > 2 else "TB",
    )


def last_first(net: Network) -> list[str]:
    """All weights and biases, the last layer first, as backpropagation meets them."""
    return sorted(net.parameters, key=lambda name: -net[name].layer)


def adjoints(
    net: Network, weights: str | Iterable[str] | None = None, *, numbers: bool = False
) -> Picture:
    """The sum over all paths beside backpropagation, for one, some or all weights.

    A node is an adjoint, an edge a product with a local derivative. One colour is one layer, the
    first whose weights need the adjoint: an earlier layer finds it in memory.

    numbers: whether to show values
    """
    graph = backward(net, last_first(net) if weights is None else weights)
    look = style(net, local_values(net) if numbers else None, len(graph.keys))
    nodes = 100 if len(graph.keys) <= 2 else min(100, count(graph).tree - 1)  # repeats are folded
    return contrast(graph, values=numbers, style=look, nodes=nodes)


def diagram(
    net: Network,
    weight: str,
    *,
    numbers: bool = False,
    marks: Mapping[Partial, str] = MappingProxyType({}),
) -> Picture:
    """The network, and the paths from a weight to the loss, one colour for each.

    numbers: whether to show the values of the variables
    marks: classes of the edges of local derivatives

    Raises `NetworkError` for what is no weight or bias, and for a network of over 2,000 edges.
    """
    checked(net, [weight])
    wires = sum(before * after for before, after in pairwise(net.sizes))
    if wires > WIRES:
        raise NetworkError(f"{net} has {wires:,} edges: a picture shows {WIRES:,} at the most")
    known = values(net) if numbers else {}

    def label(name: str) -> str:
        return f"{name}\n{known[name] + 0.0:.3g}" if name in known else name  # -0.0 is 0

    dot = graphviz.Digraph(
        graph_attr={**_GRAPH, "label": _title(net, weight)}, node_attr=_NODE, edge_attr=_EDGE
    )
    columns = [*map(net.nodes, range(len(net.sizes))), ["L"]]
    looks = _path_looks(net, weight)
    first = next(iter(looks))
    # Graphviz draws the edges of the last node last: the label lies above other edges.
    for name in sorted(chain(*columns), key=lambda name: name == first[0]):
        dot.node(name, label=label(name))
    for column in columns:
        with dot.subgraph(graph_attr={"rank": "same"}) as same:
            for name in column:
                same.node(name)
            for above, below in pairwise(column):
                same.edge(above, below, style="invis", weight="99")
    if first[0] == weight:  # a bias has a node
        dot.node(weight, shape="plain", style="", label=label(weight), fontcolor=GREY)
    else:
        looks[first]["taillabel"] = _ON_EDGE.format(label(weight).replace("\n", "<br/>"))
    for edge in dict.fromkeys([*chain(*starmap(product, pairwise(columns))), first]):
        mark = marks.get((edge[1], weight if edge == first else edge[0]), "")
        dot.edge(*edge, **looks.get(edge, {}), **{"class": mark})
    return Picture(str(dot.source))


_FONT = "Helvetica,Arial,sans-serif"
_GRAPH = {
    "rankdir": "LR", "bgcolor": "transparent", "nodesep": "0.25", "ranksep": "1.0",
    "splines": "line", "fontname": _FONT, "labelloc": "t", "fontcolor": GREY,
}  # fmt: skip
_NODE = {
    "fontname": _FONT, "fontsize": "12", "shape": "circle", "width": "0.62", "margin": "0.02",
    "style": "filled", "fillcolor": "#f5f5f5", "color": "#888888",
}  # fmt: skip
_EDGE = {
    "color": "#8c8c8c", "arrowsize": "0.5", "fontname": _FONT, "fontsize": "10",
    "labelangle": "0", "labeldistance": "3.6",
}  # fmt: skip
_ON_EDGE = (
    '<<table border="0" cellborder="0" cellpadding="1" style="rounded" bgcolor="#f5f5f5">'
    "<tr><td>{}</td></tr></table>>"
)


def _title(net: Network, weight: str) -> str:
    number = path_count(net, weight)
    text = f"{number:,} path{'s' * (number != 1)} from {weight} to the loss"
    return text + (f", {len(HUES)} of them drawn" if number > len(HUES) else "")


def _path_looks(net: Network, weight: str) -> dict[tuple[str, str], dict[str, str]]:
    """The looks of the edges on the paths of a weight; the first is its own, or that of a bias."""
    kind, layer, _, source = net[weight]
    start = net.nodes(layer - 1)[source - 1] if kind == "w" else weight
    hues: dict[tuple[str, str], dict[str, None]] = {}
    for hue, path in zip(HUES, paths(net, weight), strict=False):
        for edge in pairwise([start, *path[1:]]):
            hues.setdefault(edge, {})[hue] = None
    return {edge: {"color": ":".join(colours), "penwidth": "1.8"} for edge, colours in hues.items()}


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """How often the network took each label (row) for each other (column).

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def plot_curves(history: Sequence[Epoch]) -> Figure:
    """Loss and held-out accuracy against epochs."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in history]
    left.semilogy(numbers, [epoch.loss for epoch in history], color="#aa3377")
    left.set(ylabel="loss")
    right.plot(numbers, [epoch.accuracy for epoch in history], color="#4477aa")
    right.set(ylabel="held-out accuracy")
    for axes in (left, right):
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    return on_any_paper(figure)


def plot_confusion(matrix: Array) -> Figure:
    """The confusion matrix, with its numbers."""
    size, labels = 2.2 + 0.38 * len(matrix), range(len(matrix))
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.sqrt(matrix), cmap="Blues")
    for row, column in np.argwhere(matrix):
        is_dark = matrix[row, column] > 0.52 * matrix.max()  # there, white and black are equal
        axes.text(column, row, matrix[row, column], ha="center", va="center", fontsize=9,
                  color="white" if is_dark else "black")  # fmt: skip
    axes.set(xlabel="taken for", ylabel="label", xticks=labels, yticks=labels)
    return on_any_paper(figure)


def plot_mistaken(x: Array, labels: Array, predicted: Array, most: int = 24) -> Figure:
    """Square images with a wrong prediction, and that prediction."""
    side = round(x.shape[1] ** 0.5)
    wrong = np.flatnonzero(labels != predicted)[:most]
    rows = max(1, -(-len(wrong) // 8))
    columns = max(1, -(-len(wrong) // rows))
    figure = Figure(figsize=(1.15 * columns, 1.45 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, place in zip(figure.axes, wrong, strict=False):
        axes.imshow(x[place].reshape(side, side), cmap="Greys")
        axes.set_title(f"{labels[place]}, taken for {predicted[place]}", fontsize=8)
    return on_any_paper(figure)
