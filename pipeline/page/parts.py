"""What a page is made of: numbers, texts and pictures, as data.

Each part knows its template. Numbers become text here, and not before: a cell of a table is an
integer of any size, a float, a fraction, or a text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from pipeline.draw import Picture
from pipeline.identity import format_number, format_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


class Part:
    """Data that a template shows: `templates/table.html` shows a `Table`, as `part`."""

    @property
    def template(self) -> str:
        """The name of the template."""
        return f"{type(self).__name__.lower()}.html"


@dataclass(frozen=True)
class Section:
    """A chapter of a page.

    name: its fragment in the address
    """

    name: str
    title: str
    parts: Sequence[Part]
    lead: str = ""


@dataclass(frozen=True)
class Prose(Part):
    """Paragraphs."""

    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Figure(Part):
    """A picture, the text that a screen reader reads in its place, and a caption."""

    picture: Picture
    text: str
    caption: str = ""

    @property
    def svg(self) -> Markup:
        """The picture as an element of a page."""
        return svg_element(self.picture.render("svg").decode())


@dataclass(frozen=True)
class Table(Part):
    """Rows under a head. From the column `left` on, cells are aligned to the right.

    marks: a class for each row, to be lit by `Steps`

    >>> Table("Tasks", ("n", "tree"), [(6, 25), (200, 10**30)]).texts
    [['6', '25'], ['200', '1.0e30']]
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    left: int = 1
    note: str = ""
    marks: Sequence[str] = ()

    @property
    def texts(self) -> list[list[str]]:
        """The cells as text, large numbers shortened."""
        return [[_text(cell) for cell in row] for row in self.rows]


@dataclass(frozen=True)
class Equations(Part):
    """Equations as MathML, each with a name.

    >>> Equations([("factored", Markup("<math/>"))]).lines[0][0]
    'factored'
    """

    lines: Sequence[tuple[str, Markup]]


@dataclass(frozen=True)
class Choice(Part):
    """Alternatives, of which one is shown: the parts of each, by its name."""

    label: str
    options: Mapping[str, Sequence[Part]]


@dataclass(frozen=True)
class Plot(Part):
    """A figure of matplotlib, and its numbers as a table for readers who cannot see it."""

    figure: Drawing
    table: Table
    note: str = ""

    @property
    def text(self) -> str:
        """The text that a screen reader reads in place of the figure."""
        first, *others = self.table.head
        return f"{self.table.title}: {', '.join(others)} by {first}. The table has the numbers."

    @property
    def svg(self) -> Markup:
        """The figure as an element of a page, transparent."""
        from matplotlib import rc_context

        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pipeline"}):
            self.figure.savefig(file, format="svg", transparent=True, metadata=nothing)
        return svg_element(file.getvalue())

    def _repr_svg_(self) -> str:
        """The figure, in a notebook."""
        return str(self.svg)


def svg_element(svg: str) -> Markup:
    """An SVG file as an element of a page, which may show it twice: ids are unique in a file only.

    It has no prolog, styles, tooltips or ids, and so no clipping and no tick marks.
    """
    element = _FILE_ONLY.sub("", svg[svg.index("<svg") :])
    element = _TAG.sub(lambda tag: _ATTRIBUTES.sub("", tag[0]), element)
    return Markup(element)  # noqa: S704 - Graphviz and matplotlib escape texts


_FILE_ONLY = re.compile(r"(?s)<!--.*?-->|<defs>.*?</defs>|<title>.*?</title>|<use [^>]*>")
_TAG = re.compile(r"<[^>]+>")
_ATTRIBUTES = re.compile(r' (?:id|clip-path|xlink:title)="[^"]*"')


@dataclass(frozen=True)
class Slider(Part):
    """A range input over rows of numbers: it shows the row at which it stands, integers exactly.

    label: of the input; head: of the columns; the first column is the position of the slider
    start: the first row to show

    Raises `ValueError` if there is no such row, or a row does not fit the head.
    """

    title: str
    label: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    start: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < len(self.rows):
            raise ValueError(f"start={self.start}: there are {len(self.rows)} rows, from 0 on")
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"{list(row)} does not fit the head {list(self.head)}")

    @property
    def data(self) -> dict[str, Any]:
        """The rows as text for JavaScript, which has no integers of this size."""
        rows = [[f"{cell:,}" if isinstance(cell, int) else _text(cell) for cell in row]
                for row in self.rows]  # fmt: skip
        return {"rows": rows}

    @property
    def longest(self) -> list[str]:
        """The longest text of each column: the page reserves space for it."""
        return [max(column, key=len) for column in zip(*self.data["rows"], strict=True)]


class Step(NamedTuple):
    """A step in words.

    task: the label of the task that takes it, in a scene
    """

    note: str
    task: str


@dataclass(frozen=True)
class Steps(Part):
    """Parts that show the same things: a step lights what has the class `step-0`, `step-1`, …

    label: of the steps

    A scene before it lights the steps of the task that it evaluates.
    """

    label: str
    steps: Sequence[Step]
    parts: Sequence[Part]

    @property
    def data(self) -> dict[str, Any]:
        """The steps as JavaScript reads them."""
        notes, tasks = zip(*self.steps, strict=True)
        return {"rows": [[note] for note in notes], "tasks": tasks}


class MemoryRun(NamedTuple):
    """What one run held in memory, task by task.

    cells: (row, column, first task, last task, whether the value was computed before) for each
    value; both tasks are included
    notes: one for each task, in words
    """

    name: str
    cells: Sequence[tuple[int, int, int, int, bool]]
    notes: Sequence[str]


@dataclass(frozen=True)
class MemoryStrip(Part):
    """Runs side by side: rows of cells that fill and empty, one task at a time.

    rows: their names; columns: the number of cells in each
    start: the first task to show
    note: what a cell is, in the first place
    """

    title: str
    rows: Sequence[str]
    columns: int
    runs: Sequence[MemoryRun]
    start: int = 0
    note: str = ""

    @property
    def tasks(self) -> int:
        """The number of tasks of the longest run."""
        return max(len(run.notes) for run in self.runs)

    @property
    def data(self) -> dict[str, Any]:
        """The runs as JavaScript reads them."""
        return {"runs": [{"cells": list(run.cells), "notes": list(run.notes)} for run in self.runs]}


def _text(cell: Any) -> str:
    """A cell as text: a float is a value of some function, another number is a count or a ratio."""
    if isinstance(cell, str):
        return cell
    return format_value(cell + 0.0) if isinstance(cell, float) else format_number(cell)  # no -0
