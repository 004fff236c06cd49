"""Sizes and colours of runs over time, and the legend that explains their marks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.draw.dot import GREY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS, PATH, MEMORY = "#999999", "#e0510a", "#4477aa"
"""Colours of all other functions, of the critical path, and of memory."""


class Inches(NamedTuple):
    """Sizes in the figure, in inches."""

    width: float = 9.0
    left: float = 0.95
    right: float = 0.2
    head: float = 0.42
    lanes: float = 4.0
    lane: float = 0.3
    memory: float = 0.6
    gap: float = 0.14
    axis: float = 0.58
    line: float = 0.2

    @property
    def plot(self) -> float:
        """The width of the time axis."""
        return self.width - self.left - self.right


SIZE = Inches()


class Entry(NamedTuple):
    """An entry of the legend: a mark, which looks as in the picture, and its text.

    mark: a colour, or one of `path`, `loaded`, `saved`, `moved`, `planning`, or letters
    """

    mark: str
    text: str

    @property
    def inches(self) -> float:
        return 0.36 + len(self.text) * 0.07


def rows_of(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries in lines; the marks begin a line."""
    rows: list[list[Entry]] = []
    room = 0.0
    for entry in entries:
        if not rows or entry.inches > room or entry.mark == "path":
            rows.append([])
            room = SIZE.plot
        rows[-1].append(entry)
        room -= entry.inches
    return rows


def draw_legend(figure: Figure, row: Iterable[Entry], top: float) -> None:
    """A line of the legend, so many inches below the top."""
    width, height = figure.get_size_inches()
    left, y = SIZE.left, 1 - top / height
    for entry in row:
        _draw_mark(figure, entry.mark, left / width, y)
        figure.text((left + 0.22) / width, y, entry.text, color=GREY, fontsize=8.5,
                    va="center", parse_math=False)  # fmt: skip
        left += entry.inches


def _draw_mark(figure: Figure, mark: str, x: float, y: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    w, h = 0.16 / width, 0.11 / height
    lines = {"path": (PATH, 2.4), "moved": (GREY, 2.0)}
    boxes: dict[str, dict[str, Any]] = {
        "loaded": {"facecolor": "none", "edgecolor": GREY, "lw": 1.4},
        "planning": {"facecolor": GREY, "alpha": 0.3, "lw": 0},
    }
    if mark in lines:
        hue, thick = lines[mark]
        figure.add_artist(Line2D([x, x + w], [y, y], color=hue, lw=thick, solid_capstyle="butt"))
    elif mark == "saved":
        figure.add_artist(Rectangle((x, y - h / 2), w / 2, h, facecolor=GREY, lw=0))
        figure.add_artist(Rectangle((x, y - h / 2), w, h * 0.4, facecolor=GREY, lw=0))
    elif mark in boxes or mark.startswith("#"):
        look = boxes.get(mark) or {"facecolor": mark, "lw": 0}
        figure.add_artist(Rectangle((x, y - h / 2), w, h, **look))
    else:
        figure.text(x, y, mark, color=GREY, fontsize=8.5, va="center", parse_math=False)
