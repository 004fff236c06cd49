"""What a picture shows of a graph: boxes and edges, and what is folded away.

A person cannot read more than a few hundred nodes. A larger tree has its repeats folded, each into
one box that tells its size; what is still too large is folded in the middle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.graph import occurrence, occurrence_number, tree_sizes

if TYPE_CHECKING:
    from dask.typing import Key

    from pipeline.graph import TaskGraph


MAX_NODES = 100
"""Nodes that a panel shows, unless asked for more; of a larger graph, parts are folded."""

EDGES = 4
"""For each of these nodes, edges that a panel shows."""


@dataclass(frozen=True)
class Box:
    """A node of a picture: a task, or, without a key, the tasks that were folded away."""

    id: Key
    key: Key | None
    number: int = 1  # of the occurrence; after the first, the box is a repeat
    folded: bool = False  # what it needs is not drawn
    tasks: int = 1  # that it stands for


@dataclass(frozen=True)
class Panel:
    """One graph of a picture: boxes, consumers first; edges, in argument order."""

    name: str
    boxes: list[Box]
    edges: list[tuple[Key, Key]]


def check_limit(limit: int) -> None:
    """Raise `ValueError` for a limit that leaves nothing to be seen."""
    if limit < 3:
        raise ValueError(f"limit={limit}: a panel shows at least 3 nodes, two ends and a fold")


def as_it_is(graph: TaskGraph, name: str) -> Panel:
    """A box for each task."""
    boxes = [Box(key, key, occurrence_number(key)) for key in reversed(graph.tasks)]
    edges = [(key, each) for key in reversed(graph.tasks) for each in graph.inputs(key)]
    return Panel(name, boxes, edges)


def tree_of(graph: TaskGraph, limit: int, total: int) -> Panel:
    """The tree of a DAG, within the limit; over it, repeats are folded.

    total: tasks in the tree
    """
    return _with_sizes(fold(_walk(graph, total > limit), limit, total), graph, total)


def _walk(graph: TaskGraph, folding: bool) -> Panel:
    """The tree, walked on the DAG in the order of the calls."""
    numbers: Counter[Key] = Counter()
    boxes: list[Box] = []
    edges: list[tuple[Key, Key]] = []
    stack: list[tuple[Key | None, Key]] = [(None, key) for key in reversed(graph.keys)]
    while stack:
        consumer, key = stack.pop()
        numbers[key] += 1
        needs = graph.inputs(key)
        folded = folding and numbers[key] > 1 and len(needs) > 0
        box = Box(occurrence(key, numbers[key]), key, numbers[key], folded)
        boxes.append(box)
        if consumer is not None:
            edges.append((consumer, box.id))
        if not folded:
            stack.extend((box.id, each) for each in reversed(needs))
    return Panel("tree", boxes, edges)


def fold(panel: Panel, limit: int, total: int) -> Panel:
    """The panel with at most `limit` boxes: those in the middle, by level, become one.

    It has a few hundred edges at the most, for these are what a layout takes its time for.

    total: tasks that the panel stands for
    """
    folded = panel
    while len(folded.boxes) > limit or (
        len(folded.boxes) > 3 and len(set(folded.edges)) > EDGES * max(limit, MAX_NODES)
    ):
        folded = _folded(panel, min(limit, 3 * len(folded.boxes) // 4), total)
    return folded


def levels(panel: Panel) -> dict[Key, int]:
    """How far below the outputs each box is, at the most. Starts at 0."""
    found = {box.id: 0 for box in panel.boxes}
    for consumer, each in panel.edges:  # consumers come first, so that their level is final
        found[each] = max(found[each], found[consumer] + 1)
    return found


def _folded(panel: Panel, limit: int, total: int) -> Panel:
    level = levels(panel)
    ranked = sorted(panel.boxes, key=lambda box: level[box.id])
    half = (max(limit, 3) - 1) // 2
    first, last = ranked[: max(limit, 3) - 1 - half], ranked[len(ranked) - half :]
    kept = {box.id for box in (*first, *last)}
    gap = Box("gap", None, tasks=total - len(kept))
    edges = [
        (left if left in kept else gap.id, right if right in kept else gap.id)
        for left, right in panel.edges
        if left in kept or right in kept
    ]
    return replace(panel, boxes=[*first, gap, *last], edges=edges)


def _with_sizes(tree: Panel, graph: TaskGraph, total: int) -> Panel:
    """The tree with the number of tasks that each fold in it stands for."""
    sizes = tree_sizes(graph, [box.key for box in tree.boxes if box.folded and box.key])
    boxes = [
        replace(box, tasks=sizes[box.key]) if box.folded and box.key else box for box in tree.boxes
    ]
    shown = sum(box.tasks for box in boxes if box.key is not None)
    boxes = [replace(box, tasks=total - shown) if box.key is None else box for box in boxes]
    return replace(tree, boxes=boxes)
