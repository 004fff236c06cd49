"""Pictures of graphs: what is one task, what is the same again, and how often.

A subproblem has one colour, wherever it stands. Its first evaluation is solid; every repeat is
faded and dashed. Base cases are boxes, all else is round. The same graph gives the same bytes.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import graphviz
from dask.task_spec import TaskRef

from pipeline.count import count, occurrences
from pipeline.encode import digest
from pipeline.graph import TaskGraph
from pipeline.keys import label, subproblem
from pipeline.lazy import Lazy
from pipeline.panel import Box, Panel, as_it_is, fold, tree_of
from pipeline.picture import Picture
from pipeline.units import shorten, size

if TYPE_CHECKING:
    from dask.typing import Key

LIMIT = 200
"""Nodes that a panel shows, in a fifth as many levels; of a larger graph, parts are folded."""

PALETTE = ("#4477aa", "#ddbb44", "#888888", "#aa3377", "#66ccee", "#228833", "#ee7788")
"""After Paul Tol's bright scheme: told apart by the colour-blind, and neighbours in grey."""


def visualize(
    graph: TaskGraph,
    filename: str | None = None,
    *,
    values: bool | Mapping[Key, Any] = False,
    limit: int = LIMIT,
) -> Picture:
    """Draw a graph as it is, one node a task; save it where a file name is given.

    filename: ends in .svg, .png, .pdf or .dot
    values: True to compute and show the value of each task, or a mapping of keys to values
    limit: nodes; of a larger graph, what lies in the middle is folded into one node
    """
    unfolded = any(subproblem(key) is not key for key in graph.tasks)
    panel = fold(as_it_is(graph, "tree" if unfolded else "graph"), limit, len(graph))
    evaluations = Counter(map(subproblem, graph.tasks))
    picture = _picture({"": panel}, graph, _values(graph, values, panel), evaluations)
    if filename is not None:
        picture.save(filename)
    return picture


def contrast(
    calls: Any, *, values: bool | Mapping[Key, Any] = False, limit: int = LIMIT
) -> Picture:
    """The tree beside the DAG, in one picture.

    calls: a call, or a graph with one task per subproblem
    values: True to compute and show the value of each task, or a mapping of keys to values
    limit: nodes per panel; in a larger tree each repeat is folded into one node that tells its
        size, and what is still over the limit is folded in the middle

    The tree is drawn from the DAG: it may have more tasks than could ever be built. Raises
    `ValueError` for a graph that is a tree already.
    """
    if not isinstance(calls, (TaskGraph, Lazy)):
        raise TypeError(f"cannot contrast {calls!r:.60}: give a call, or trace(...) of several")
    graph = calls if isinstance(calls, TaskGraph) else calls.graph()
    if any(subproblem(key) is not key for key in graph.tasks):
        raise ValueError(f"{graph!r} is a tree already: contrast the call, or its DAG")
    counts = count(graph)
    tree = tree_of(graph, limit, counts.tree)
    dag = fold(as_it_is(graph, "dag"), limit, counts.dag)
    panels = {
        f"tree: {_tasks(counts.tree)}|one per call": tree,
        f"DAG: {_tasks(counts.dag)}|one per subproblem": dag,
    }
    evaluations = occurrences(graph, {box.key for box in (*tree.boxes, *dag.boxes)})
    title = (
        f"sharing factor: {size(counts.tree)} ÷ {counts.dag:,} = {size(counts.sharing)}"
        "|one colour, one subproblem · solid: evaluated first · dashed: evaluated again"
        "|×5: evaluated five times in the tree · box: base case"
    )
    return _picture(panels, graph, _values(graph, values, tree, dag), evaluations, title)


def _values(
    graph: TaskGraph, values: bool | Mapping[Key, Any], *panels: Panel
) -> Mapping[Key, Any]:
    if isinstance(values, Mapping):
        return values
    if not values:
        return {}
    shown = list({box.key: None for panel in panels for box in panel.boxes if box.key is not None})
    asked = TaskGraph(graph.tasks, [TaskRef(key) for key in shown])
    return dict(zip(shown, asked.compute(scheduler="sync"), strict=True))


_FONT = "Helvetica,Arial,sans-serif"
_INK, _PALE = "#1a1a1a", "#6b6b6b"


def _picture(
    panels: Mapping[str, Panel],
    graph: TaskGraph,
    values: Mapping[Key, Any],
    evaluations: Mapping[Key, int],
    title: str = "",
) -> Picture:
    dot = graphviz.Digraph(
        graph_attr={
            "bgcolor": "#ffffff", "fontname": _FONT, "nodesep": "0.12", "ranksep": "0.32",
            "ordering": "out", "margin": "0.1", "labelloc": "t",
        },
        node_attr={"fontname": _FONT, "fontsize": "12", "margin": "0.06,0.03", "height": "0.38",
                   "width": "0.5", "fontcolor": _INK},
        edge_attr={"color": "#777777", "arrowsize": "0.5"},
    )  # fmt: skip
    if title:
        dot.attr(label=_heading(title))
    subproblems = dict.fromkeys(map(subproblem, graph.tasks))
    colours = {key: PALETTE[place % len(PALETTE)] for place, key in enumerate(subproblems)}
    for heading, panel in panels.items():
        with dot.subgraph(name=f"cluster_{panel.name}") as part:
            part.attr(label=_heading(heading), color="#ffffff")
            for box in panel.boxes:
                name = f"{panel.name}-{digest(box.id)}"
                if box.key is None:
                    part.node(name, **_gap(box))
                    continue
                look = _look(box, not graph.inputs(box.key), colours[subproblem(box.key)])
                lines = _lines(box, box.key, panel.name, values, evaluations[subproblem(box.key)])
                part.node(name, id=name, **look, label=_text(*lines), tooltip=_tooltip(box.key))
            repeats = {box.id for box in panel.boxes if box.number > 1}
            for consumer, each in panel.edges:
                part.edge(
                    f"{panel.name}-{digest(consumer)}",
                    f"{panel.name}-{digest(each)}",
                    style="dashed" if each in repeats else "solid",
                )
    return Picture(dot.source)


def _look(box: Box, base: bool, colour: str) -> dict[str, str]:
    shape = "box" if base else "ellipse"
    if box.number > 1:
        return {
            "shape": shape, "style": "filled,dashed", "fillcolor": _tint(colour, 0.1),
            "color": _tint(colour, 0.75), "fontcolor": _PALE,
        }  # fmt: skip
    return {
        "shape": shape, "style": "filled", "fillcolor": _tint(colour, 0.45), "color": colour,
        "penwidth": "1.6",
    }  # fmt: skip


def _gap(box: Box) -> dict[str, str]:
    text = _text(f"⋯ {_tasks(box.tasks)} ⋯")
    return {"shape": "plain", "fontcolor": _PALE, "label": text, "tooltip": "folded"}


def _lines(
    box: Box, key: Key, panel: str, values: Mapping[Key, Any], evaluations: int
) -> list[str]:
    lines = [_short(label(key)) + (" again" if box.folded else "")]
    if key in values:
        lines.append(f"= {_shown(values[key])}")
    if box.folded:
        lines.append(_tasks(box.tasks))
    elif panel == "dag":
        lines.append(f"×{size(evaluations)}")
    elif panel == "tree":
        lines.append(f"{box.number} of {size(evaluations)}")
    return lines


def _text(first: str, *others: str) -> str:
    rest = "".join(f'<br/><font point-size="10">{_escape(line)}</font>' for line in others)
    return f"<{_escape(first)}{rest}>"


def _escape(text: str) -> str:
    # In a label, too, Graphviz takes a backslash for the start of an escape.
    return html.escape(text).replace("\\", "\\\\")


def _heading(title: str) -> str:
    first, *others = title.split("|")
    rest = "".join(
        f'<br/><font point-size="11" color="{_PALE}">{html.escape(line)}</font>' for line in others
    )
    return f'<<font point-size="14"><b>{html.escape(first)}</b></font>{rest}>'


def _tooltip(key: Key) -> str:
    return str(graphviz.escape(f"{label(key)}\nkey {key!r}"[:1000]))


def _short(text: str, width: int = 28) -> str:
    return text if len(text) <= width else f"{text[: width - 10]}…{text[-9:]}"


def _shown(value: Any) -> str:
    return shorten(value) if type(value) is int else _short(repr(value))


def _tasks(number: int) -> str:
    return f"{size(number)} task{'s' * (number != 1)}"


def _tint(colour: str, strength: float) -> str:
    """The colour mixed with white; 1 is the colour itself."""
    parts = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)


TaskGraph.visualize = visualize
TaskGraph._repr_svg_ = lambda self: visualize(self)._repr_svg_()
