"""From panels to DOT: how a task looks, and what is written in it.

A subproblem has one colour, wherever it stands. Its first evaluation is solid; every repeat is
faded and dashed. Base cases are boxes, all else is round.
"""

from __future__ import annotations

import itertools
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import graphviz

from pipeline.draw.folding import levels
from pipeline.draw.labels import PALE, count_tasks, heading, small, text, tooltip
from pipeline.draw.style import PLAIN, colours, tint
from pipeline.graph import subproblem
from pipeline.identity import format_number, short_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dask.typing import Key

    from pipeline.draw.folding import Box, Panel
    from pipeline.draw.style import Style
    from pipeline.graph import TaskGraph

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


def write(
    panels: Mapping[str, Panel],
    graph: TaskGraph,
    values: Mapping[Key, str],
    evaluations: Mapping[Key, int],
    title: str = "",
    blocks: Mapping[Key, Key] = MappingProxyType({}),
    style: Style = PLAIN,
    hues: Mapping[Key, str] | None = None,
) -> str:
    """The DOT source of some panels, by their headings, side by side. Lines part at `|`.

    values: to be shown, as text, by key
    evaluations: in the tree, by subproblem
    blocks: to be outlined: for each key in one, the key of the block
    hues: the colour of each subproblem, where more is shown than these panels
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
    hues = hues or colours(evaluated(panels.values(), graph), style)
    for name, panel in panels.items():
        if name:
            _place(dot, name, panel)
        for box in panel.boxes:
            node = node_id(panel, box.id)
            if box.key is None:
                dot.node(node, **_gap(box))
                continue
            fate = style.fate(subproblem(box.key)) if style.fate else ""
            is_pale = box.number > 1 or fate == "culled"
            look = _look(is_pale, not graph.inputs(box.key), hues[subproblem(box.key)])
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
        look = {**_BLOCK, "label": f"<one block · {count_tasks(number)}>"}
        with dot.subgraph(name=f"cluster-{short_hash(block)}", graph_attr=look) as it:
            for box in panel.boxes:
                if blocks.get(box.id) == block:
                    it.node(node_id(panel, box.id))


def _place(dot: Any, title: str, panel: Panel) -> None:
    """A heading above the outputs."""
    dot.node(panel.name, id=panel.name, shape="plain", label=heading(title))
    taken = {each for _, each in panel.edges}
    for box in panel.boxes:
        if box.id not in taken:
            dot.edge(panel.name, node_id(panel, box.id), style="invis", weight="9")


def _edge_text(style: Style, consumer: Key | None, each: Key | None) -> dict[str, str]:
    if style.edge is None or consumer is None or each is None:
        return {}
    written = style.edge(subproblem(consumer), subproblem(each))
    return {"label": small(f" {written} "), "fontcolor": PALE}


def evaluated(panels: Iterable[Panel], graph: TaskGraph) -> list[Key]:
    """The subproblems that some panels show, in the order of evaluation."""
    found = {subproblem(box.key) for panel in panels for box in panel.boxes if box.key is not None}
    return [key for key in dict.fromkeys(map(subproblem, graph.tasks)) if key in found]


def node_id(panel: Panel, box: Key) -> str:
    """The id of a box's node in the picture."""
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
                node_id(panel, consumer),
                node_id(panel, each),
                style="dashed" if each in repeats else "solid",
                color="#777777:invis:#777777" if times > 1 else "#777777",
                **_edge_text(style, keys[consumer], keys[each]),
            )


def _look(is_pale: bool, base: bool, hue: str) -> dict[str, str]:
    shape = "box" if base else "ellipse"
    if is_pale:
        return {
            "shape": shape, "style": "filled,dashed", "fillcolor": tint(hue, 0.1),
            "color": tint(hue, 0.75), "fontcolor": PALE,
        }  # fmt: skip
    return {
        "shape": shape, "style": "filled", "fillcolor": tint(hue, 0.45), "color": hue,
        "penwidth": "1.6",
    }  # fmt: skip


def _gap(box: Box) -> dict[str, str]:
    line = text(f"⋯ {count_tasks(box.tasks)} ⋯")
    return {"shape": "plain", "fontcolor": PALE, "label": line, "tooltip": "folded"}


def _lines(
    box: Box, key: Key, panel: str, values: Mapping[Key, str], evaluations: int
) -> list[str]:
    lines = []
    if key in values:
        lines.append(f"= {values[key]}")
    if box.folded:
        lines.append(count_tasks(box.tasks))
    elif panel == "dag":
        lines.append(f"×{format_number(evaluations)}")
    elif panel == "tree" and subproblem(box.id) is not box.id:
        lines.append(f"{box.number} of {format_number(evaluations)}")
    return lines
