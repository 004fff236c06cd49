"""Parts of a page that are drawn from numbers: charts, sliders, and memory as it fills.

A part is data: its template, in the folder `page`, shows it, and JavaScript draws from the same
data. All texts are made here, so that integers of any size stay exact: JavaScript only shows them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pipeline.identity import format_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["tree", "dag", "other"]
"""What a line is of: the tree, the DAG, or what lies between or beside them."""


@dataclass(frozen=True)
class Series:
    """A line through points (x, y), in the order of x.

    points: numbers of any size; on a logarithmic axis y > 0
    names: of the points, where x does not say which they are
    reference: a line to compare with, drawn without markers
    """

    name: str
    points: Sequence[tuple[float, float | Fraction]]
    kind: Kind = "other"
    names: Sequence[str] = ()
    reference: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over one x axis.

    x, y: what stands along the axes, units included
    log: y as powers of ten; the data then carry log10(y), which is finite for integers of any size
    note: a sentence or two below
    say: y as a person reads it

    Raises `ValueError` for a point that no axis has a place for, or a name too few or too many.

    >>> chart = Chart("Tasks", "n", "tasks", [Series("tree", [(1, 1), (2, 10**400)])], log=True)
    >>> chart.data["series"][0]["points"], chart.data["series"][0]["texts"]
    ([[1.0, 0.0], [2.0, 400.0]], ['1', '1.0e400'])
    """

    template: ClassVar[str] = "chart.html"
    title: str
    x: str
    y: str
    series: Sequence[Series]
    log: bool = False
    note: str = ""
    say: Callable[[Any], str] = field(default=format_number, repr=False)

    def __post_init__(self) -> None:
        for each in self.series:
            if each.names and len(each.names) != len(each.points):
                raise ValueError(
                    f"{each.name!r} has {len(each.points)} points and {len(each.names)} names: "
                    "name each point, or none"
                )
            for x, y in each.points:
                self._place(each.name, x, y)

    @property
    def data(self) -> dict[str, Any]:
        """What JavaScript draws, all of it finite."""
        return {
            "x": self.x,
            "y": self.y,
            "log": self.log,
            "series": [
                {
                    "name": each.name,
                    "kind": each.kind,
                    "reference": each.reference,
                    "points": [self._place(each.name, x, y) for x, y in each.points],
                    "heads": [_plain(x) for x, _ in each.points],
                    "texts": [self.say(y) for _, y in each.points],
                    "names": list(each.names),
                }
                for each in self.series
            ],
        }

    @property
    def table(self) -> list[tuple[str, list[str]]]:
        """The points for those who cannot see them: x and its name, and a text for each series."""
        rows: dict[tuple[float, str], list[str]] = {}
        for column, each in enumerate(self.series):
            names = each.names or [""] * len(each.points)
            for (x, y), name in zip(each.points, names, strict=True):
                row = rows.setdefault((x, name), ["–"] * len(self.series))
                row[column] = self.say(y)
        return [
            (f"{name}: {_plain(x)}" if name else _plain(x), rows[x, name])
            for x, name in sorted(rows, key=lambda head: head[0])
        ]

    def _place(self, name: str, x: float, y: float | Fraction) -> list[float]:
        try:
            place = [float(x), _log10(y) if self.log else float(y)]
            if all(map(math.isfinite, place)):
                return place
        except (OverflowError, ValueError):
            pass
        axis = "logarithmic axis, which is for y > 0" if self.log else "axis up to 1e308"
        raise ValueError(f"{name!r} has a point at x = {x:g} that has no place on a y {axis}")


@dataclass(frozen=True)
class Slider:
    """A range input over rows of texts: it shows the row that is chosen.

    label: of the input; head: of the columns; the first column is where the slider stands
    rows: one for each place of the slider
    start: the row that is shown first

    Raises `ValueError` where there is no such row, or a row does not fit the head.
    """

    template: ClassVar[str] = "slider.html"
    title: str
    label: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    start: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < len(self.rows):
            raise ValueError(f"start={self.start}: there are {len(self.rows)} rows, from 0 on")
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"{list(row)} does not fit the head {list(self.head)}")

    @property
    def longest(self) -> list[str]:
        """The longest text of each column: the page keeps room for it."""
        return [max(column, key=len) for column in zip(*self.rows, strict=True)]

    @property
    def data(self) -> dict[str, Any]:
        """The rows, as JavaScript shows them."""
        return {"rows": [list(row) for row in self.rows]}


@dataclass(frozen=True)
class Cell:
    """A place in a row of memory, filled for some steps, both included.

    again: the value had been computed before
    """

    row: int
    column: int
    first: int
    last: int
    again: bool = False


@dataclass(frozen=True)
class Filling:
    """One run in a `Memory`: its cells, and for each step what it holds, in words.

    notes: of each step; the last one stays when the run is over
    """

    name: str
    cells: Sequence[Cell]
    notes: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """Memory as rows of cells that are filled and freed as runs go, side by side, step by step.

    rows: their names; columns: how many cells each of them has
    start: the step that is shown first
    """

    template: ClassVar[str] = "rows.html"
    title: str
    rows: Sequence[str]
    columns: int
    runs: Sequence[Filling]
    start: int = 0
    note: str = ""

    @property
    def steps(self) -> int:
        """Of the longest run."""
        return max(len(run.notes) for run in self.runs)

    @property
    def data(self) -> dict[str, Any]:
        """The cells as [row, column, first, last, again], as JavaScript fills them."""
        return {
            "runs": [
                {
                    "cells": [
                        [each.row, each.column, each.first, each.last, int(each.again)]
                        for each in run.cells
                    ],
                    "notes": list(run.notes),
                }
                for run in self.runs
            ]
        }


Drawn = Chart | Slider | Rows
"""What stands on a page: its template is shown with `part` and an `id` of its own."""


def _log10(number: float | Fraction) -> float:
    # The logarithm of an integer is finite whatever its size; a float of it is not.
    if isinstance(number, float | int):
        return math.log10(number)
    return math.log10(number.numerator) - math.log10(number.denominator)


def _plain(number: float) -> str:
    return format_number(Fraction(number))
