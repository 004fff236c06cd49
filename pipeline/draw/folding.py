"""What a picture shows of a graph: boxes and edges, and what it folds.

A person cannot read more than a few hundred nodes. In a larger tree each repeat becomes one box
with its size. A panel that is still too large is folded in the middle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from dask.typing import Key

from pipeline.graph import TaskGraph, occurrence, occurrence_number, tree_sizes

MAX_NODES = 100
"""Nodes of a panel by default; parts of a larger graph are folded."""

EDGES_PER_NODE = 4
"""The most edges of a panel, per node that it may have."""


@dataclass(frozen=True)
class Box:
    """A node of a picture: a task, or, without a key, the tasks that were folded away.

    number: of the occurrence; after the first, the box is a repeat
    folded: whether the tasks that it depends on are not drawn
    tasks: how many tasks the box represents
    """

    id: Key
    key: Key | None
    number: int = 1
    folded: bool = False
    tasks: int = 1


@dataclass(frozen=True)
class Panel:
    """One graph of a picture: boxes, consumers first; edges to inputs, in argument order."""

    name: str
    boxes: list[Box]
    edges: list[tuple[Key, Key]]


def check_nodes(nodes: int) -> None:
    """Raise `ValueError` for a number of nodes that leaves nothing to see."""
    if nodes < 3:
        raise ValueError(f"nodes={nodes}: a panel shows at least 3 nodes, two ends and a fold")


def whole_panel(graph: TaskGraph, name: str, show: Callable[[Key], Key] = lambda key: key) -> Panel:
    """A box for each task.

    show: the key that a box shows, by the key of its task
    """
    boxes = [Box(key, show(key), occurrence_number(key)) for key in reversed(graph.tasks)]
    edges = [(key, source) for key in reversed(graph.tasks) for source in graph.inputs(key)]
    return Panel(name, boxes, edges)


def tree_panel(graph: TaskGraph, nodes: int, total: int) -> Panel:
    """The tree of a DAG in at most so many nodes; a larger tree has its repeats folded.

    total: tasks in the tree
    """
    tree = fold(_walk(graph, total > nodes), nodes, total)
    folds = [box.key for box in tree.boxes if box.folded and box.key is not None]
    sizes: dict[Key | None, int] = {**tree_sizes(graph, folds)}
    ones = sum(not box.folded for box in tree.boxes if box.key is not None)
    sizes[None] = total - ones - sum(sizes[key] for key in folds)
    boxes = [
        replace(box, tasks=sizes[box.key]) if box.folded or box.key is None else box
        for box in tree.boxes
    ]
    return replace(tree, boxes=boxes)


def _walk(graph: TaskGraph, is_folding: bool) -> Panel:
    """The tree, walked on the DAG in the order of the calls."""
    numbers: Counter[Key] = Counter()
    boxes: list[Box] = []
    edges: list[tuple[Key, Key]] = []
    stack: list[tuple[Key | None, Key]] = [(None, key) for key in reversed(graph.keys)]
    while stack:
        consumer, key = stack.pop()
        numbers[key] += 1
        inputs = graph.inputs(key)
        is_folded = is_folding and numbers[key] > 1 and len(inputs) > 0
        box = Box(occurrence(key, numbers[key]), key, numbers[key], is_folded)
        boxes.append(box)
        if consumer is not None:
            edges.append((consumer, box.id))
        if not is_folded:
            stack.extend((box.id, source) for source in reversed(inputs))
    return Panel("tree", boxes, edges)


def fold(panel: Panel, nodes: int, total: int) -> Panel:
    """The panel with at most so many boxes: those in the middle, by level, become one.

    Edges are limited, too: they take most of the time of a layout.

    total: tasks that the panel represents
    """
    folded = panel
    while len(folded.boxes) > nodes or (
        len(folded.boxes) > 3 and len(set(folded.edges)) > EDGES_PER_NODE * max(nodes, MAX_NODES)
    ):
        folded = _folded(panel, min(nodes, 3 * len(folded.boxes) // 4), total)
    return folded


def levels(panel: Panel) -> dict[Key, int]:
    """The longest way from an output to each box, in edges."""
    level = {box.id: 0 for box in panel.boxes}
    for consumer, source in panel.edges:  # consumers come first, so their level is final
        level[source] = max(level[source], level[consumer] + 1)
    return level


def _folded(panel: Panel, nodes: int, total: int) -> Panel:
    level = levels(panel)
    ranked = sorted(panel.boxes, key=lambda box: level[box.id])
    half = (nodes - 1) // 2
    first, last = ranked[: nodes - 1 - half], ranked[len(ranked) - half :]
    kept = {box.id for box in (*first, *last)}
    gap = Box("gap", None, tasks=total - len(kept))
    edges = [
        (left if left in kept else gap.id, right if right in kept else gap.id)
        for left, right in panel.edges
        if left in kept or right in kept
    ]
    return replace(panel, boxes=[*first, gap, *last], edges=edges)
