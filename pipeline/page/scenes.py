"""The heart of a page: tree and DAG side by side, and their evaluation step by step, as data.

Both sides take their steps at the same pace, one task each. What a person can point at is a box of
a picture; what a box is of is a subproblem, which is told once, whatever stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.draw import (
    MAX_NODES,
    PLAIN,
    Comparison,
    Heading,
    Style,
    compare,
    count_tasks,
    inline_panel,
    node_id,
)
from pipeline.graph import TaskGraph, arguments, label, subproblem
from pipeline.identity import format_duration, format_number
from pipeline.page.inline import inline_svg
from pipeline.schedule import Observation, frames, observed, operations, recursion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dask.typing import Key
    from markupsafe import Markup

    from pipeline.draw import Panel
    from pipeline.store import Store

WHOLE = 2000
"""Nodes, of both sides together, that are drawn one by one; of more, parts are folded."""

FRAMES = 1000
"""Steps that can be seen one by one; of more, several are one frame."""


@dataclass(frozen=True)
class Side:
    """One side of a scene.

    heading: its name, its tasks; what its tasks are
    data: boxes and frames for the page's program
    """

    heading: tuple[str, str]
    picture: Markup
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Scene:
    """Two sides, and what is told of each subproblem that they show.

    legend: how much is shared; what the marks mean
    data: for the page's program
    tall: whether the pictures stand one below the other
    """

    template: ClassVar[str] = "scene.html"
    title: str
    legend: tuple[str, str]
    sides: tuple[Side, Side]
    data: Mapping[str, Any]
    tall: bool = False


def scene(
    asked: Any,
    title: str = "",
    *,
    style: Style = PLAIN,
    store: Store | None = None,
    rate: float | None = None,
) -> Scene:
    """The scene of a call, of a DAG, or of any Dask collections, after a run of both sides.

    Both are run task by task on the scheduler that Dask is set to. A tree that is too large to be
    drawn whole is not run: its first evaluations are those of the recursion, and the page tells how
    long the rest would take.

    store: to run the right side with, and to colour the tasks by what that does
    rate: naive calls a second, where that is known better than from the seconds of the tasks
    """
    found = compare(asked, style, MAX_NODES, store, WHOLE)
    keys = found.shown
    seen = _seen(asked, found, store)
    is_run = store is None and found.before + len(found.graph) <= WHOLE
    left = observed(found.unshared()) if is_run else None
    horizon = found.before if is_run else min(
        found.before, len(found.graph) + max(len(found.graph) // 2, 160)
    )  # fmt: skip
    stride = -(-horizon // FRAMES)
    numbers = {key: number for number, key in enumerate(keys)}
    walks = (_left_order(found, left), ((key, key) for key in seen.seconds))
    data = [
        _side(panel, found, numbers, order, ran, memory, horizon, stride)
        for panel, order, ran, memory in zip(
            (found.left, found.right), walks, (left, seen), (False, True), strict=True
        )
    ]
    left_side, right_side = (
        _framed(found, heading, panel, seen.values, each)
        for heading, panel, each in zip(
            found.headings, (found.left, found.right), data, strict=True
        )
    )
    return Scene(
        title or ", ".join(map(label, found.graph.keys[:3])),
        _sentences(found.title),
        (left_side, right_side),
        {
            "stride": stride,
            "frames": -(-horizon // stride),
            "subproblems": [_told(found, key, seen.values, found.hues[key]) for key in keys],
            "rest": _rest(found, seen, rate),
            "operations": _operators(found),
            "stored": store is not None,
        },
        tall=found.style.rankdir == "LR",
    )


def _framed(
    found: Comparison,
    heading: Heading,
    panel: Panel,
    values: Mapping[Key, str],
    data: dict[str, Any],
) -> Side:
    [what] = heading.lines
    said = f"{heading.name}, {what}"  # not how many: a quiz asks
    ids = {node_id(panel, box.id): number for number, box in enumerate(panel.boxes)}
    svg = inline_svg(inline_panel(found, panel, values), said, ids)
    return Side((heading.title, what), svg, data)


def _sentences(title: Heading) -> tuple[str, str]:
    first, *legend = (line[:1].upper() + line[1:] for line in (title.title, *title.lines))
    return f"{first}.", f"{' · '.join(legend)}."


def _seen(asked: Any, found: Comparison, store: Store | None) -> Observation:
    """The run of the right side, by the keys of the graph."""
    if store is None or found.names is None:
        return observed(found.graph, found.shown, _run(found.graph, store))
    # A store knows the tasks as they are written in the collections themselves.
    shown = set(found.shown)
    wanted = [key for key, name in found.names.items() if name in shown]
    seen = observed(asked, wanted, _run(asked, store))
    names = found.names
    return Observation(
        {names[key]: seconds for key, seconds in seen.seconds.items() if key in names},
        {names[key]: text for key, text in seen.values.items()},
    )


def _left_order(found: Comparison, seen: Observation | None) -> Iterator[tuple[Key, Key]]:
    """What the left side evaluates, as pairs of a box and a subproblem."""
    if seen is not None:
        yield from ((key, subproblem(key)) for key in seen.seconds)
    elif found.built is not None:
        yield from ((key, subproblem(key)) for key in found.built.tasks)
    else:
        folded = {box.id for box in found.left.boxes if box.folded}
        yield from ((call.within, call.key) for call in recursion(found.graph, folded))


def _side(
    panel: Panel, found: Comparison, numbers: Mapping[Key, int],
    order: Iterable[tuple[Key, Key]], seen: Observation | None, memory: bool, most: int,
    stride: int,
) -> dict[str, Any]:  # fmt: skip
    """Boxes, edges and frames of a side, by number."""
    places = {box.id: place for place, box in enumerate(panel.boxes)}
    gap = places.get("gap")
    at: dict[int, int] = {}
    shown: list[tuple[int | None, int, int]] = []
    last = 0
    for frame in frames(found.graph, order, memory, most):
        place, last = places.get(frame.box, gap), frame.evaluated
        number = (last - 1) // stride
        # What is folded is done when its own call returns, after all those within.
        if frame.box in places and frame.key == subproblem(frame.box):
            at[places[frame.box]] = number
        shown[number:] = [(place, frame.hits, frame.operations)]
    boxes = []
    for place, box in enumerate(panel.boxes):
        key = numbers[subproblem(box.key)] if box.key is not None else None
        # A box of the DAG is its key; in a tree, it is an occurrence of it.
        seconds = seen.seconds.get(box.id) if seen is not None else None
        boxes.append(
            {
                "of": key, "number": box.number, "at": at.get(place),
                "seconds": None if seconds is None else format_duration(seconds),
                "tasks": count_tasks(box.tasks) if box.folded or box.key is None else None,
            }
        )  # fmt: skip
    total = len(found.graph) if memory else found.before
    return {
        "total": format_number(total),
        "count": total if total < 2**53 else None,
        "done": last if last >= (len(seen.seconds) if memory and seen else total) else None,
        "boxes": boxes,
        "edges": [[places[one], places[other]] for one, other in _each_use(panel)],
        "now": [place for place, *_ in shown],
        "hits": [hits for _, hits, _ in shown],
        "work": [work for *_, work in shown],
    }


def _each_use(panel: Panel) -> Iterator[tuple[Key, Key]]:
    """The edges; an input that is taken twice has two, but for what is folded away."""
    gaps = dict.fromkeys(edge for edge in panel.edges if "gap" in edge)
    yield from gaps
    yield from (edge for edge in panel.edges if edge not in gaps)


def _told(found: Comparison, key: Key, values: Mapping[Key, str], hue: str) -> dict[str, Any]:
    times = found.times[key]
    return {
        "label": found.style.label(key), "key": repr(key), "arguments": arguments(key),
        "value": values.get(key), "times": format_number(times), "hue": hue,
    }  # fmt: skip


def _operators(found: Comparison) -> str:
    """What is counted of the bodies, in words."""
    names = {name for node in found.graph.tasks.values() for name in operations(node)}
    words = {"add": "additions", "mul": "multiplications"}
    return " and ".join(words[each] for each in sorted(names)) if names and (
        names <= words.keys()) else "operations" if names else ""  # fmt: skip


def _rest(found: Comparison, seen: Observation, rate: float | None) -> dict[str, str]:
    """How long the left side takes, in words, at some paces."""
    every = {"at a step a second": 1.0}
    if seen.seconds:  # else a store had it all
        ran = sum(seen.seconds.values()) / len(seen.seconds)
        every["task by task, as fast as here"] = ran
    if rate is not None:
        every["in Python's own recursion"] = 1 / rate
    return {
        how: format_duration(Fraction(found.before) * Fraction(each)) for how, each in every.items()
    }


def _run(asked: Any, store: Store | None) -> Callable[[], Any] | None:
    """What runs a collection, or a graph through a store; a graph alone runs itself."""
    if isinstance(asked, TaskGraph) and store is None:
        return None
    from pipeline.compute import compute  # the whole path, above all folders

    return lambda: compute(asked, fuse=False, store=store)[0]
