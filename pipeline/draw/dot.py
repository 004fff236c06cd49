"""DOT: how panels are written, and drawn by Graphviz.

A subproblem has the same colour in every panel. Its first evaluation is solid; every repeat is
faded and dashed. Base cases are boxes, all other tasks are round. Graphviz comes inside
pygraphviz's wheels, so no `dot` program is needed.
"""

from __future__ import annotations

import colorsys
import html
import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

from dask.typing import Key

from pipeline.draw.files import FORMATS, Drawing
from pipeline.draw.folding import Box, Panel, levels
from pipeline.draw.labels import label_tasks
from pipeline.graph import TaskGraph, label, subproblem
from pipeline.identity import format_number, printable, short_hash

PALETTE = ("#4477aa", "#ddbb44", "#888888", "#aa3377", "#66ccee", "#228833", "#ee7788")
"""After Paul Tol's bright scheme: distinct to the colour-blind, and neighbours differ in grey."""

STATUS_COLOURS = {"hit": "#228833", "miss": "#4477aa", "skipped": "#aa3377", "culled": "#888888"}
"""What a run with a store does with a task. Culled tasks are pale, too."""

PALE, GREY = "#6b6b6b", "#797979"
"""Texts in pale nodes; texts outside of nodes: as readable on white paper as on dark."""


class Style(NamedTuple):
    """How tasks are named, coloured and joined.

    label: the first line in a task's node; without it, its call, with no more of the arguments than
        it takes to distinguish the tasks of a picture
    group, kind: tasks of one group have one colour, and the word for a group; without it each
        subproblem has a colour
    edge: the text at the edge from a task to one of its inputs
    rankdir: TB for outputs on top, LR for outputs on the left, and one panel below the other
    status: what a run with a store does with a task, a key of `STATUS_COLOURS`; it gives the colour
    """

    label: Callable[[Key], str] | None = None
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
    parts = colorsys.hls_to_rgb(hue, light, 0.55)
    return f"#{bytes(round(255 * part) for part in parts).hex()}"


def tint(hue: str, strength: float) -> str:
    """The colour mixed with white; 1 is the colour itself."""
    parts = (round(255 - strength * (255 - part)) for part in bytes.fromhex(hue[1:]))
    return f"#{bytes(parts).hex()}"


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


def _escaped(line: str) -> str:
    return html.escape(printable(line)).replace("\\", "\\\\")


def _lines(first: str, others: Iterable[str], font: str = 'point-size="10"') -> str:
    """A label: HTML, and further lines of text in another font."""
    rest = "".join(f"<br/><font {font}>{_escaped(line)}</font>" for line in others)
    return f"<{first}{rest}>"


def _heading(heading: Heading) -> str:
    first = f'<font point-size="14"><b>{_escaped(heading.title)}</b></font>'
    return _lines(first, heading.lines, f'point-size="11" color="{GREY}"')


# Graphs

_TEXT = {"shape": "box", "style": "", "color": "transparent", "margin": "0", "height": "0"}
"""A node that is text alone: its outline says where its middle is."""

_FONT = "Helvetica,Arial,sans-serif"
_GRAPH = {
    "bgcolor": "transparent", "fontname": _FONT, "fontcolor": GREY, "labelloc": "t",
    "margin": "0.1",
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
    style: Style = PLAIN,
    headings: Sequence[Heading] = (),
    title: Heading | None = None,
    *,
    blocks: Mapping[Key, Key] = MappingProxyType({}),
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

    attributes = {**_GRAPH, "rankdir": style.rankdir}
    if style.rankdir == "LR":
        attributes["nodesep"] = "0.06"  # one below the other, many would be high
    if title:
        attributes["label"] = _heading(title)
    edges = {"arrowsize": "0.5", "fontname": _FONT}
    dot = graphviz.Digraph(graph_attr=attributes, node_attr=_NODE, edge_attr=edges)
    shown = subproblems(panels, graph)
    hues = hues or colours(shown, style)
    name = style.label or label_tasks(shown, {}).texts.__getitem__
    for panel, heading in itertools.zip_longest(panels, headings):
        _place_heading(dot, heading, panel, graph)
        spine = _spine(panel)
        for place, box in enumerate(panel.boxes):
            node = node_id(panel, box.id)
            if box.key is None:
                text = _lines(f"⋯ {count_tasks(box.tasks)} ⋯", ())
                extra = {"class": "gap"} if is_inline else {"tooltip": "folded"}
                dot.node(node, fontcolor=GREY, label=text, **_TEXT, **extra)
                continue
            key = subproblem(box.key)
            value = f"= {values[box.key]}" if box.key in values else ""
            count = _count(box, panel.name, evaluations[key])
            status = style.status(key) if style.status else ""
            first = _escaped(name(key) + " again" * box.folded)
            is_pale = box.number > 1 or status == "culled"
            look = _look(hues[key], is_pale, not graph.inputs(box.key))
            look["label"] = _lines(first, filter(None, (value, count, status)))
            if box.id in spine:
                look["group"] = panel.name
            if is_inline:
                marks = " has-value" * bool(value) + " has-count" * bool(count)
                look["class"] = f"box-{place}{marks}"
            else:
                tooltip = printable(f"{label(box.key)}; key {box.key!r}")[:1000]
                look["tooltip"] = str(graphviz.escape(tooltip))
            dot.node(node, id=node, **look)
        _edges(dot, panel, style, spine, is_inline)
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


def _look(hue: str, is_pale: bool, is_base: bool) -> dict[str, str]:
    look = {"shape": "box" if is_base else "ellipse"}
    if is_pale:
        look |= {"style": "filled,dashed", "fillcolor": tint(hue, 0.1), "color": tint(hue, 0.75)}
        return look | {"fontcolor": PALE}
    return look | {
        "style": "filled", "fillcolor": tint(hue, 0.45), "color": hue, "penwidth": "1.6"
    }  # fmt: skip


def _edges(dot: Any, panel: Panel, style: Style, spine: Sequence[Key], is_inline: bool) -> None:
    column = dict(itertools.pairwise(spine))
    boxes = {box.id: (place, box) for place, box in enumerate(panel.boxes)}
    inputs: dict[Key, Counter[Key]] = defaultdict(Counter)
    for consumer, source in panel.edges:
        inputs[consumer][source] += 1
    for consumer, sources in inputs.items():
        for source, times in sources.items():
            (start, upper), (end, lower) = boxes[consumer], boxes[source]
            is_double = times > 1 and upper.key is not None and lower.key is not None
            look = {"color": "#777777:invis:#777777" if is_double else "#777777"}
            if consumer in column and source in spine and column[consumer] != source:
                look["weight"] = "0"  # it goes round the column, and does not bend it
            if style.edge and upper.key is not None and lower.key is not None:
                text = style.edge(subproblem(upper.key), subproblem(lower.key))
                font = f'<font point-size="10">{_escaped(f" {text} ")}</font>'
                look |= {"label": f"<{font}>", "fontcolor": GREY}
            if is_inline:
                look["class"] = f"from-{start} to-{end}"
            look["style"] = "dashed" if lower.number > 1 else "solid"
            dot.edge(node_id(panel, consumer), node_id(panel, source), **look)


def _place_heading(dot: Any, heading: Heading | None, panel: Panel, graph: TaskGraph) -> None:
    """A heading above the outputs. It keeps them in order, also without text."""
    sources = {source for _, source in panel.edges}
    places = {key: place for place, key in enumerate(graph.keys)}
    outputs = [box for box in panel.boxes if box.id not in sources]
    outputs.sort(key=lambda box: places.get(subproblem(box.key), 0) if box.key else len(places))
    if heading is not None:
        column = {"group": panel.name} if panel.name == "dag" and len(outputs) == 1 else {}
        look = {**_TEXT, **column, "fontcolor": GREY, "label": _heading(heading)}
        dot.node(panel.name, id=panel.name, **look)
    elif len(outputs) > 1:
        dot.node(panel.name, style="invis", label="", width="0", height="0")
    else:
        return
    for box in outputs:
        dot.edge(panel.name, node_id(panel, box.id), style="invis", weight="9")


def _spine(panel: Panel) -> list[Key]:
    """The boxes on a longest path from the only output of a DAG: they stand in one column."""
    inputs: dict[Key, dict[Key, None]] = {box.id: {} for box in panel.boxes}
    for consumer, source in panel.edges:
        inputs[consumer][source] = None
    outputs = inputs.keys() - {source for _, source in panel.edges}
    if panel.name != "dag" or len(outputs) != 1:
        return []
    height: dict[Key, int] = {}
    for box in reversed(panel.boxes):  # inputs come first
        height[box.id] = 1 + max((height[source] for source in inputs[box.id]), default=0)
    [box_id] = outputs
    spine = [box_id]
    while inputs[box_id]:
        box_id = max(inputs[box_id], key=height.__getitem__)
        spine.append(box_id)
    return spine


def _outlines(dot: Any, panel: Panel, blocks: Mapping[Key, Key]) -> None:
    """A line around the tasks of each block."""
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


# Rendering


@dataclass(frozen=True, repr=False)
class Picture(Drawing):
    """DOT source that can be rendered, saved, and shown in a notebook."""

    dot: str

    formats = FORMATS

    def _drawn(self, format: str) -> bytes:  # noqa: A002 - the field's word
        if format == "dot":
            return self.dot.encode()
        import pygraphviz

        dpi = "-Gdpi=160" if format == "png" else ""
        with closing(pygraphviz.AGraph(string=self.dot)) as graph, _without_font_warnings():
            drawn: bytes = graph.draw(format=format, prog="dot", args=dpi)
        if format == "svg":
            return _centred(drawn.decode()).encode()
        # Only this part of a file depends on the time.
        return re.sub(rb"/CreationDate \(.*?\)", b"/CreationDate (D:19700101000000Z)", drawn)

    def __repr__(self) -> str:
        return f"<Picture: {len(self.dot):,} characters of DOT>"


def _centred(svg: str) -> str:
    """An SVG whose lines of text are centred by their middle: the reader's fonts may be others."""

    def with_middle(group: re.Match[str]) -> str:
        text = group[0]
        outline = _OUTLINE if 'class="node' in text else _ROUNDED
        if 'class="graph"' in text:
            middle = left + width / 2 - float(re.findall(r"translate\(([-\d.]+)", text)[0])
        elif round_one := re.search(r'<ellipse [^>]*cx="([-\d.]+)"', text):
            middle = float(round_one[1])
        elif found := outline.search(text):
            xs = [float(x) for x in re.findall(r"(-?[\d.]+),", found[1])]
            middle = (min(xs) + max(xs)) / 2
        else:
            return text
        return re.sub(
            r'text-anchor="start" x="[-\d.]+"', f'text-anchor="middle" x="{middle:g}"', text
        )

    left, _, width, _ = map(float, re.findall(r'viewBox="([^"]*)"', svg)[0].split())
    return _GROUP.sub(with_middle, svg)


_GROUP = re.compile(
    r'(?s)<g id="[^"]*" class="(?:node|edge|cluster|graph)\b[^>]*>.*?(?=<!-- |<g id="clust|</svg>)'
)
_OUTLINE = re.compile(r'<polygon [^>]*points="([^"]*)"')
_ROUNDED = re.compile(r'<path fill="#[^>]* d="([^"]*)"')
"""The outline of a node that is a box; the one of a block, or of a label on an edge."""

_stderr_lock = Lock()
"""One rendering at a time: the standard error belongs to the process, not to a thread."""

_NOISE = (b"Fontconfig ", b"Warning: graph has ")
"""Messages about the machine's fonts, and about large graphs that are drawn within a second."""


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Drop Graphviz's messages about fonts and sizes; pass on all others."""
    with _stderr_lock, TemporaryFile() as messages:
        stderr = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            messages.seek(0)
            for line in messages:
                if not line.startswith(_NOISE):
                    os.write(2, line)
