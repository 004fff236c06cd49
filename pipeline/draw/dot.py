"""How a graph is written as DOT: the style of its tasks, the text in them, Graphviz's attributes.

A subproblem has the same colour in every panel. Its first evaluation is solid; every repeat is
faded and dashed. Base cases are boxes, all other tasks are round.
"""

from __future__ import annotations

import colorsys
import html
import itertools
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.draw.folding import levels
from pipeline.graph import label, subproblem
from pipeline.identity import format_number, short_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dask.typing import Key

    from pipeline.draw.folding import Box, Panel
    from pipeline.graph import TaskGraph

PALETTE = ("#4477aa", "#ddbb44", "#888888", "#aa3377", "#66ccee", "#228833", "#ee7788")
"""After Paul Tol's bright scheme: distinct to the colour-blind, and neighbours differ in grey."""

STATUS_COLOURS = {"hit": "#228833", "miss": "#4477aa", "skipped": "#aa3377", "culled": "#888888"}
"""What a run with a store does with a task. Culled tasks are pale, too."""

PALE = "#6b6b6b"


class Style(NamedTuple):
    """How tasks are named, coloured and joined.

    label: the first line in a task's node
    group, kind: tasks of one group have one colour, and the word for a group; without it each
        subproblem has a colour
    edge: the text at the edge from a task to one of its inputs
    rankdir: TB for outputs on top, LR for outputs on the left, and one panel below the other
    status: what a run with a store does with a task, a key of `STATUS_COLOURS`; it gives the colour
    """

    label: Callable[[Key], str] = lambda key: label(key, 14)
    group: Callable[[Key], int] | None = None
    kind: str = "subproblem"
    edge: Callable[[Key, Key], str] | None = None
    rankdir: str = "TB"
    status: Callable[[Key], str] | None = None

    def with_statuses(self, statuses: Mapping[Key, str]) -> Style:
        """This style, coloured by what a run with a store does; constants have no status."""
        return self._replace(status=lambda key: statuses.get(key, ""))

    @property
    def legend(self) -> str:
        """What the colours mean."""
        return f"one colour, one {self.kind}" if self.status is None else " · ".join(STATUS_COLOURS)


PLAIN = Style()


@dataclass(frozen=True)
class Heading:
    """The title of a panel or a picture, as `name: text`, and smaller lines below it."""

    name: str
    text: str
    lines: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name}: {self.text}"


# Colours


def colours(keys: Iterable[Key], style: Style) -> dict[Key, str]:
    """A colour for each of some subproblems, in the order of evaluation."""
    if style.status is not None:
        return {key: STATUS_COLOURS.get(style.status(key), PALETTE[2]) for key in keys}
    group = style.group
    return {key: colour(group(key) if group else place) for place, key in enumerate(keys)}


def colour(place: int) -> str:
    """The colour of a subproblem by its place in a picture; the first 500 all differ."""
    if place < len(PALETTE):
        return PALETTE[place]
    # Further round the circle by the golden angle each time, now light, now dark.
    hue, light = place * 0.618034 % 1, 0.35 + 0.3 * (place * 0.4142 % 1)
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.55)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def tint(hue: str, strength: float) -> str:
    """The colour mixed with white; 1 is the colour itself."""
    parts = (int(hue[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)


def subproblems(panels: Iterable[Panel], graph: TaskGraph) -> list[Key]:
    """The subproblems that some panels show, in the order of evaluation."""
    shown = {subproblem(box.key) for panel in panels for box in panel.boxes if box.key is not None}
    return [key for key in dict.fromkeys(map(subproblem, graph.tasks)) if key in shown]


# Text. In a label Graphviz reads HTML; a backslash starts an escape.


def count_tasks(number: int) -> str:
    """A number of tasks, in words.

    >>> count_tasks(1), count_tasks(465)
    ('1 task', '465 tasks')
    """
    return f"{format_number(number)} task{'s' * (number != 1)}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "·" for char in text)


def _escaped(line: str) -> str:
    return html.escape(_printable(line)).replace("\\", "\\\\")


def _small(line: str) -> str:
    return f'<font point-size="10">{_escaped(line)}</font>'


def _label(first: str, *others: str) -> str:
    """Lines, all but the first in small letters."""
    return f"<{_escaped(first)}{''.join(f'<br/>{_small(line)}' for line in others)}>"


def _heading(heading: Heading) -> str:
    rest = "".join(
        f'<br/><font point-size="11" color="{PALE}">{_escaped(line)}</font>'
        for line in heading.lines
    )
    return f'<<font point-size="14"><b>{_escaped(heading.title)}</b></font>{rest}>'


def _tooltip(key: Key) -> str:
    """The call and the whole key of a task."""
    import graphviz

    return str(graphviz.escape(_printable(f"{label(key)}; key {key!r}")[:1000]))


# Graphs

_FONT = "Helvetica,Arial,sans-serif"
_GRAPH = {
    "bgcolor": "#ffffff", "fontname": _FONT, "labelloc": "t", "margin": "0.1",
    "nodesep": "0.17", "ranksep": "0.32", "ordering": "out",
}  # fmt: skip
_BLOCK = {
    "style": "rounded,filled", "fillcolor": "#f5f5f5", "color": PALE, "fontcolor": PALE,
    "fontsize": "10", "labelloc": "b", "margin": "12",
}  # fmt: skip
_NODE = {
    "fontname": _FONT, "fontsize": "12", "fontcolor": "#1a1a1a", "margin": "0.06,0.03",
    "height": "0.38", "width": "0.5",
}  # fmt: skip


def write(
    panels: Sequence[Panel],
    graph: TaskGraph,
    values: Mapping[Key, str],
    evaluations: Mapping[Key, int],
    *,
    headings: Sequence[Heading] = (),
    title: Heading | None = None,
    blocks: Mapping[Key, Key] = MappingProxyType({}),
    style: Style = PLAIN,
    hues: Mapping[Key, str] | None = None,
    is_inline: bool = False,
) -> str:
    """The DOT source of some panels, side by side.

    values: to show, as text, by key
    evaluations: in the tree, by subproblem
    headings: of the panels, in their order
    blocks: to outline: for each key in one, the key of the block
    hues: the colour of each subproblem, where other pictures show more of them
    is_inline: for one panel inside a page: transparent, without tooltips, and with classes. A node
        has `box-3` for its place in `panel.boxes`, `has-value` if its second line is a value, and
        `has-count` if the next line is a count. An edge has `from-3 to-5`, consumer and input.
    """
    import graphviz

    dot = graphviz.Digraph(
        graph_attr={
            **_GRAPH,
            **({"bgcolor": "transparent"} if is_inline else {}),
            "rankdir": style.rankdir,
            **({"label": _heading(title)} if title else {}),
        },
        node_attr=_NODE,
        edge_attr={"arrowsize": "0.5", "fontname": _FONT},
    )
    hues = hues or colours(subproblems(panels, graph), style)
    for panel, heading in itertools.zip_longest(panels, headings):
        if heading is not None:
            _place_heading(dot, heading, panel)
        for place, box in enumerate(panel.boxes):
            node = node_id(panel, box.id)
            if box.key is None:
                dot.node(node, **_gap(box))
                continue
            key = subproblem(box.key)
            status = style.status(key) if style.status else ""
            is_pale = box.number > 1 or status == "culled"
            value = f"= {values[box.key]}" if box.key in values else ""
            count = _count(box, panel.name, evaluations[key])
            text = _label(
                style.label(box.key) + " again" * box.folded,
                *(line for line in (value, count, status) if line),
            )
            extra = {"tooltip": _tooltip(box.key)}
            if is_inline:
                marks = ["has-value"] * bool(value) + ["has-count"] * bool(count)
                extra = {"class": " ".join([f"box-{place}", *marks])}
            look = _look(is_pale, not graph.inputs(box.key), hues[key])
            dot.node(node, id=node, **look, label=text, **extra)
        _edges(dot, panel, style, is_inline)
        _outlines(dot, panel, blocks)
    for left, right in itertools.pairwise(panels):
        _separate(dot, left, right)
    return str(dot.source)


def node_id(panel: Panel, box: Key) -> str:
    """The id of a box's node in the picture."""
    return f"{panel.name}-{short_hash(box)}"


def _count(box: Box, panel: str, evaluations: int) -> str:
    if box.folded:
        return count_tasks(box.tasks)
    if panel == "dag":
        return f"×{format_number(evaluations)}"
    if panel == "tree" and subproblem(box.id) is not box.id:
        return f"{box.number} of {format_number(evaluations)}"
    return ""


def _gap(box: Box) -> dict[str, str]:
    line = _label(f"⋯ {count_tasks(box.tasks)} ⋯")
    return {"shape": "plain", "fontcolor": PALE, "label": line, "tooltip": "folded"}


def _look(is_pale: bool, is_base: bool, hue: str) -> dict[str, str]:
    look = {"shape": "box" if is_base else "ellipse"}
    if not is_pale:
        look |= {"style": "filled", "fillcolor": tint(hue, 0.45), "color": hue, "penwidth": "1.6"}
        return look
    look |= {"style": "filled,dashed", "fillcolor": tint(hue, 0.1), "color": tint(hue, 0.75)}
    return look | {"fontcolor": PALE}


def _edges(dot: Any, panel: Panel, style: Style, is_inline: bool) -> None:
    keys = {box.id: box.key for box in panel.boxes}
    places = {box.id: place for place, box in enumerate(panel.boxes)}
    repeats = {box.id for box in panel.boxes if box.number > 1}
    inputs: dict[Key, list[Key]] = {}
    for consumer, source in panel.edges:
        inputs.setdefault(consumer, []).append(source)
    for consumer, sources in inputs.items():
        for source, uses in Counter(sources).items():
            is_double = uses > 1 and "gap" not in (consumer, source)
            mark = {"class": f"from-{places[consumer]} to-{places[source]}"} if is_inline else {}
            dot.edge(
                node_id(panel, consumer),
                node_id(panel, source),
                style="dashed" if source in repeats else "solid",
                color="#777777:invis:#777777" if is_double else "#777777",
                **_edge_text(style, keys[consumer], keys[source]),
                **mark,
            )


def _edge_text(style: Style, consumer: Key | None, source: Key | None) -> dict[str, str]:
    if style.edge is None or consumer is None or source is None:
        return {}
    text = style.edge(subproblem(consumer), subproblem(source))
    return {"label": f"<{_small(f' {text} ')}>", "fontcolor": PALE}


def _place_heading(dot: Any, heading: Heading, panel: Panel) -> None:
    """A heading above the outputs."""
    dot.node(panel.name, id=panel.name, shape="plain", label=_heading(heading))
    sources = {source for _, source in panel.edges}
    for box in panel.boxes:
        if box.id not in sources:
            dot.edge(panel.name, node_id(panel, box.id), style="invis", weight="9")


def _outlines(dot: Any, panel: Panel, blocks: Mapping[Key, Key]) -> None:
    """A line around the tasks of each block; a task outside of them runs alone."""
    for block, number in Counter(blocks.values()).items():
        look = {**_BLOCK, "label": f"<one block · {count_tasks(number)}>"}
        with dot.subgraph(name=f"cluster-{short_hash(block)}", graph_attr=look) as outline:
            for box in panel.boxes:
                if blocks.get(box.id) == block:
                    outline.node(node_id(panel, box.id))


def _separate(dot: Any, left: Panel, right: Panel) -> None:
    """An invisible straight column between two panels, so that neither reaches into the other.

    Clusters do that too, but in them Graphviz does not keep the order of arguments.
    """
    rows = 1 + max([*levels(left).values(), *levels(right).values()], default=0)
    column = [f"{left.name}-{right.name}-{row}" for row in range(rows)]
    for name in column:
        dot.node(name, style="invis", label="", width="0.3", height="0.1")
    for above, below in itertools.pairwise(column):
        dot.edge(above, below, style="invis", weight="99")
    with dot.subgraph(graph_attr={"rank": "same"}) as row:
        for one, other in itertools.pairwise([left.name, column[0], right.name]):
            row.edge(one, other, style="invis", weight="0")
