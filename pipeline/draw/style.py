"""How tasks look in pictures: their names, their colours, and what tells them apart."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, NamedTuple

from pipeline.graph import label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dask.typing import Key

PALETTE = ("#4477aa", "#ddbb44", "#888888", "#aa3377", "#66ccee", "#228833", "#ee7788")
"""After Paul Tol's bright scheme: told apart by the colour-blind, and neighbours in grey."""


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

    def fated(self, found: Mapping[Key, str]) -> Style:
        """This style, coloured by what a run with a store does; constants are there anyway."""
        return self._replace(fate=lambda key: found.get(key, ""))

    @property
    def legend(self) -> str:
        """What the colours mean."""
        return f"one colour, one {self.kind}" if self.fate is None else " · ".join(FATES)


FATES = {"hit": "#228833", "miss": "#4477aa", "skipped": "#aa3377", "culled": "#888888"}
"""Colours of what happens to tasks in a run with a store; what is culled is pale, too."""

PLAIN = Style()


def colours(keys: Iterable[Key], style: Style) -> dict[Key, str]:
    """A colour for each of some subproblems, which are given in the order of evaluation."""
    if style.fate is not None:
        return {key: FATES.get(style.fate(key), PALETTE[2]) for key in keys}
    group = style.group
    return {key: colour(group(key) if group else place) for place, key in enumerate(keys)}


def colour(place: int) -> str:
    """The colour of a subproblem by its place among those shown; the first 500 all differ."""
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
