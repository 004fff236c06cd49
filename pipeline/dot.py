"""From panels to DOT: how a task looks, and what is written in it.

A subproblem has one colour, wherever it stands. Its first evaluation is solid; every repeat is
faded and dashed. Base cases are boxes, all else is round.
"""

from __future__ import annotations

import colorsys
import itertools
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import graphviz

from pipeline.atoms import short_hash
from pipeline.keys import label, subproblem
from pipeline.panel import levels
from pipeline.texts import PALE, heading, shown, small, tasks, text, tooltip
from pipeline.units import size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dask.typing import Key

    from pipeline.graph import TaskGraph
    from pipeline.panel import Box, Panel

PALETTE = ("#4477aa", "#ddbb44", "#888888", "#aa3377", "#66ccee", "#228833", "#ee7788")
"""After Paul Tol's bright scheme: told apart by the colour-blind, and neighbours in grey."""

_FONT = "Helvetica,Arial,sans-serif"
_GRAPH = {
    "bgcolor": "#ffffff",
    "fontname": _FONT,
    "labelloc": "t",
    "margin": "0.1",
    "nodesep": "0.17",
    "ranksep": "0.32",
    "ordering": "out",
}
_BLOCK = {
    "style": "rounded,filled", "fillcolor": "#f5f5f5", "color": PALE, "fontcolor": PALE,
    "fontsize": "10", "labelloc": "b", "margin": "12",
}  # fmt: skip
_NODE = {
    "fontname": _FONT,
    "fontsize": "12",
    "margin": "0.06,0.03",
    "height": "0.38",
    "width": "0.5",
    "fontcolor": "#1a1a1a",
}


class Style(NamedTuple):
    """How tasks are named, told apart, and joined.

    label: the first line in a task's node
    group, kind: tasks of one group have one colour, and what a group is, in a word; without it each
        subproblem has its own
    edge: what is written at the edge from a task to one of its inputs
    rankdir: TB for outputs on top, LR for outputs on the left, and one panel below the other
    fate: what happens to a task in a run with a store, a word of `FATES`, which gives its colour
    """

    label: Callable[[Key], str] = lambda key: label(key, 14)
    group: Callable[[Key], int] | None = None
    kind: str = "subproblem"
    edge: Callable[[Key, Key], str] | None = None
    rankdir: str = "TB"
    fate: Callable[[Key], str] | None = None


FATES = {"loaded": "#228833", "computed": "#4477aa", "skipped": "#aa3377", "culled": "#888888"}
"""Colours of what happens to tasks in a run with a store; what is culled is pale, too."""

PLAIN = Style()


def write(
    panels: Mapping[str, Panel],
    graph: TaskGraph,
    values: Mapping[Key, Any],
    evaluations: Mapping[Key, int],
    title: str = "",
    blocks: Mapping[Key, Key] = MappingProxyType({}),
    style: Style = PLAIN,
) -> str:
    """The DOT source of some panels, by their headings, side by side. Lines part at `|`.

    values: to be shown, by key
    evaluations: in the tree, by subproblem
    blocks: to be outlined: for each key in one, the key of the block
    """
    dot = graphviz.Digraph(
        graph_attr={
            **_GRAPH,
            "rankdir": style.rankdir,
            **({"label": heading(title)} if title else {}),
        },
        node_attr=_NODE,
        edge_attr={"arrowsize": "0.5", "fontname": _FONT},
    )
    colours = _colours(panels, graph, style)
    for name, panel in panels.items():
        if name:
            _place(dot, name, panel)
        for box in panel.boxes:
            node = _id(panel, box.id)
            if box.key is None:
                dot.node(node, **_gap(box))
                continue
            fate = style.fate(subproblem(box.key)) if style.fate else ""
            is_pale = box.number > 1 or fate == "culled"
            look = _look(is_pale, not graph.inputs(box.key), colours[subproblem(box.key)])
            lines = _lines(box, box.key, panel.name, values, evaluations[subproblem(box.key)])
            lines += [fate] if fate else []
            first = style.label(box.key) + " again" * box.folded
            dot.node(node, id=node, **look, label=text(first, *lines), tooltip=tooltip(box.key))
        _edges(dot, panel, style)
        _outlines(dot, panel, blocks)
    for left, right in itertools.pairwise(panels.values()):
        _part(dot, left, right)
    return str(dot.source)


def _part(dot: Any, left: Panel, right: Panel) -> None:
    """A straight column of nothing between two panels, so that none reaches into the other.

    Clusters do that too, but in them Graphviz does not keep the order of arguments.
    """
    rows = 1 + max([*levels(left).values(), *levels(right).values()], default=0)
    column = [f"{left.name}-{right.name}-{row}" for row in range(rows)]
    for name in column:
        dot.node(name, style="invis", label="", width="0.3", height="0.1")
    for above, below in itertools.pairwise(column):
        dot.edge(above, below, style="invis", weight="99")
    with dot.subgraph(graph_attr={"rank": "same"}) as row:
        for beside, other in itertools.pairwise([left.name, column[0], right.name]):
            row.edge(beside, other, style="invis", weight="0")


def _outlines(dot: Any, panel: Panel, blocks: Mapping[Key, Key]) -> None:
    """A line around the tasks of each block; what stands alone then is a task of its own."""
    for block, number in Counter(blocks.values()).items():
        look = {**_BLOCK, "label": f"<one block · {tasks(number)}>"}
        with dot.subgraph(name=f"cluster-{short_hash(block)}", graph_attr=look) as it:
            for box in panel.boxes:
                if blocks.get(box.id) == block:
                    it.node(_id(panel, box.id))


def _place(dot: Any, title: str, panel: Panel) -> None:
    """A heading above the outputs."""
    dot.node(panel.name, id=panel.name, shape="plain", label=heading(title))
    taken = {each for _, each in panel.edges}
    for box in panel.boxes:
        if box.id not in taken:
            dot.edge(panel.name, _id(panel, box.id), style="invis", weight="9")


def _edge_text(style: Style, consumer: Key | None, each: Key | None) -> dict[str, str]:
    if style.edge is None or consumer is None or each is None:
        return {}
    written = style.edge(subproblem(consumer), subproblem(each))
    return {"label": small(f" {written} "), "fontcolor": PALE}


def _colours(panels: Mapping[str, Panel], graph: TaskGraph, style: Style) -> dict[Key, str]:
    """A colour for each subproblem that is shown, in the order of evaluation."""
    shown = {subproblem(box.key) for panel in panels.values() for box in panel.boxes if box.key}
    ordered = [key for key in dict.fromkeys(map(subproblem, graph.tasks)) if key in shown]
    if style.fate is not None:
        return {key: FATES.get(style.fate(key), PALETTE[2]) for key in ordered}
    group = style.group or {key: place for place, key in enumerate(ordered)}.__getitem__
    return {key: colour(group(key)) for key in ordered}


def colour(place: int) -> str:
    """The colour of a subproblem by its place among those shown; the first 500 all differ."""
    if place < len(PALETTE):
        return PALETTE[place]
    # Further round the circle by the golden angle each time, now light, now dark.
    hue, light = place * 0.618034 % 1, 0.35 + 0.3 * (place * 0.4142 % 1)
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.55)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _id(panel: Panel, box: Key) -> str:
    return f"{panel.name}-{short_hash(box)}"


def _edges(dot: Any, panel: Panel, style: Style) -> None:
    keys = {box.id: box.key for box in panel.boxes}
    repeats = {box.id for box in panel.boxes if box.number > 1}
    inputs: dict[Key, list[Key]] = {}
    for consumer, each in panel.edges:
        inputs.setdefault(consumer, []).append(each)
    for consumer, taken in inputs.items():
        for each in dict.fromkeys(taken):
            times = taken.count(each) if "gap" not in (consumer, each) else 1  # a double line
            dot.edge(
                _id(panel, consumer),
                _id(panel, each),
                style="dashed" if each in repeats else "solid",
                color="#777777:invis:#777777" if times > 1 else "#777777",
                **_edge_text(style, keys[consumer], keys[each]),
            )


def _look(is_pale: bool, base: bool, hue: str) -> dict[str, str]:
    shape = "box" if base else "ellipse"
    if is_pale:
        return {
            "shape": shape, "style": "filled,dashed", "fillcolor": _tint(hue, 0.1),
            "color": _tint(hue, 0.75), "fontcolor": PALE,
        }  # fmt: skip
    return {
        "shape": shape, "style": "filled", "fillcolor": _tint(hue, 0.45), "color": hue,
        "penwidth": "1.6",
    }  # fmt: skip


def _gap(box: Box) -> dict[str, str]:
    line = text(f"⋯ {tasks(box.tasks)} ⋯")
    return {"shape": "plain", "fontcolor": PALE, "label": line, "tooltip": "folded"}


def _lines(
    box: Box, key: Key, panel: str, values: Mapping[Key, Any], evaluations: int
) -> list[str]:
    lines = []
    if key in values:
        lines.append(f"= {shown(values[key])}")
    if box.folded:
        lines.append(tasks(box.tasks))
    elif panel == "dag":
        lines.append(f"×{size(evaluations)}")
    elif panel == "tree" and subproblem(box.id) is not box.id:
        lines.append(f"{box.number} of {size(evaluations)}")
    return lines


def _tint(hue: str, strength: float) -> str:
    """The colour mixed with white; 1 is the colour itself."""
    parts = (int(hue[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)
