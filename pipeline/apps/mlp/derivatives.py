"""What a lesson shows of one weight's derivative, and of all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.apps.mlp import counts, mathml
from pipeline.apps.mlp.chain import backward
from pipeline.apps.mlp.facts import needing, times
from pipeline.apps.mlp.formula import path_count, reachable
from pipeline.apps.mlp.network import NetworkError
from pipeline.apps.mlp.pictures import HUES, diagram
from pipeline.identity import format_number, format_value
from pipeline.page import Equations, Figure, Part, Prose, Table, inline_svg, scene

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline import Style
    from pipeline.apps.mlp.counts import Work
    from pipeline.apps.mlp.facts import Facts
    from pipeline.apps.mlp.network import Network

ROWS = 30
"""Rows of a table; of more, so many are shown, and the number is told."""


def of_one(known: Facts, weight: str, look: Style, quiz: bool) -> list[Part]:
    """The network with a weight's paths, the formulas, the scene, and which adjoints are reused.

    look: how adjoints are drawn
    quiz: whether numbers are left out where a page could not hide them
    """
    graph = backward(known.net, weight, local=known.local)
    found = scene(graph, f"∂L/∂{weight}, tree and DAG", style=look)
    reused = _reused(known, weight, times(graph), quiz)
    return [_network(known.net, weight), _formulas(known, weight, quiz), found, reused]


def of_all(known: Facts, look: Style) -> list[Part]:
    """The scene of all weights and biases, the last layer first, and the work that they are."""
    net = known.net
    order = sorted(net.parameters, key=lambda name: -net[name].layer)
    text = (
        "The same for all weights at once, from the loss down. One colour is one layer: that "
        "which needs an adjoint first, if the last layer comes first. What has a later layer's "
        "colour, an earlier layer finds there."
    )
    # Side by side, many outputs would be too wide to see.
    wide = look._replace(rankdir="LR") if len(order) > 2 else look
    found = scene(
        backward(net, order, local=known.local), "∂L/∂w of all weights, tree and DAG", style=wide
    )
    ways = {
        "path sum": counts.expanded(net.sizes),
        "recursion": counts.call_tree(net.sizes),
        "backpropagation": counts.backpropagation(net.sizes),
    }
    rows = [
        [way, format_number(work.multiplications), format_number(work.additions)]
        for way, work in ways.items()
    ]
    note = (
        "Path sum: expanded, written out. Recursion: factored, an adjoint evaluated for each "
        "consumer. Backpropagation: each adjoint once. The local derivatives are known."
    )
    title = f"The work for all {len(order):,} weights and biases"
    head = ("", "multiplications", "additions")
    return [Prose([text]), found, Table(title, head, rows, secret=(1, 2), note=note)]


def _network(net: Network, weight: str) -> Part:
    try:
        picture = diagram(net, weight, numbers=True)
    except NetworkError as error:  # too large to be seen
        return Prose([f"{error}."])
    said = f"The network, and the paths from {weight} to the loss"
    return Figure(inline_svg(picture, said), f"{said}: one colour, one path. Numbers are values.")


def _formulas(known: Facts, weight: str, quiz: bool) -> Equations:
    """Expanded and factored, and the work of either."""
    net, layer = known.net, known.net[weight].layer
    heads = ["Expanded: a path in each line", "Factored: each adjoint once"]
    if not quiz:
        products = many(path_count(net, weight), "product")
        works = counts.expanded(net.sizes, layer), counts.backpropagation(net.sizes, layer)
        heads = [f"Expanded: {products}, {_work(works[0])}", f"Factored: {_work(works[1])}"]
    values = {name: value(each) for name, each in known.adjoints.items()}
    return Equations(
        [
            (heads[0], mathml.expanded(net, weight, HUES)),
            (heads[1], mathml.factored(net, weight, None if quiz else values)),
        ]
    )


def _reused(known: Facts, weight: str, found: Mapping[str, int], quiz: bool) -> Table:
    """The adjoints on the paths of a weight, and who needs them too."""
    net = known.net
    rows, there = [], 0
    names = [name for name in reachable(net, weight) if name in found]
    for name in names:
        users = needing(net, name)
        is_new = users.own[0] == weight
        there += not is_new
        cells = (
            "no" if is_new else f"yes, for {users.own[0]}",
            str(users) if users.number > 1 else "",
            value(known.adjoints[name]), format_number(found[name]), format_number(users.number),
        )  # fmt: skip
        rows.append([f"∂L/∂{name}", *cells])
    note = (
        f"If the last layer comes first, {there:,} of these {len(names):,} adjoints are there when "
        f"{weight} needs them, and {len(names) - there:,} must be evaluated."
    )
    head = (
        "adjoint", "there already?", "needed by", "value", "evaluated in the tree",
        "weights in all",
    )  # fmt: skip
    title = f"The adjoints of {weight}: which of them are reused"
    return table(title, head, rows, 3, (1, 2, 3, 4, 5), "" if quiz else note)


def table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1,
    secret: Sequence[int] = (), note: str = "",
) -> Table:  # fmt: skip
    """A table of the first rows, which tells how many there are."""
    if len(rows) > ROWS:
        note = f"{note} The first {ROWS} of {len(rows):,} rows.".strip()
    return Table(title, head, rows[:ROWS], left, secret, note)


def value(number: Any) -> str:
    """A value or an adjoint, as text; there is one zero."""
    return format_value(float(number) + 0.0)


def many(number: int, what: str) -> str:
    """A number of things.

    >>> many(1, "product"), many(128, "product")
    ('1 product', '128 products')
    """
    return f"{format_number(number)} {what}{'s' * (number != 1)}"


def _work(work: Work) -> str:
    return f"{many(work.multiplications, 'multiplication')} + {many(work.additions, 'addition')}"
