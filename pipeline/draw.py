"""Pictures of graphs: what is one task, what is the same again, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline import dot
from pipeline.count import count, occurrences, tree_size
from pipeline.dot import PLAIN, Style
from pipeline.fuse import Block, fuse
from pipeline.graph import TaskGraph, graph_of
from pipeline.keys import occurrence, subproblem
from pipeline.nest import leaves
from pipeline.node import inputs
from pipeline.panel import LIMIT, Box, Panel, as_it_is, fold, tree_of
from pipeline.picture import Picture
from pipeline.recall import CULLED, planned
from pipeline.share import sharing
from pipeline.shared import Sharing
from pipeline.texts import tasks
from pipeline.titles import named
from pipeline.units import brief, size

if TYPE_CHECKING:
    from dask.typing import Key

    from pipeline.store import Store


def visualize(
    graph: TaskGraph,
    filename: str | Path | None = None,
    format: str | None = None,  # noqa: A002 - as in `dask.visualize`
    *,
    values: bool | Mapping[Key, Any] = False,
    blocks: bool = False,
    style: Style = PLAIN,
    limit: int = LIMIT,
    store: Store | None = None,
) -> Picture:
    """Draw a graph as it is, one node a task; save it where a file name is given.

    filename: ends in .svg, .png, .pdf or .dot, or `format` says which
    values: True to compute and show the value of each task, or a mapping of keys to values
    blocks: True to outline the blocks of cheap tasks that run as one
    style: how tasks are named, coloured and joined
    limit: nodes, at least 3; of a larger graph, what lies in the middle is folded into one node
    store: to colour tasks by what a run with it would do: load, compute, skip or cull them
    """
    _check(limit)
    if store is not None:
        style = _fated(style, planned(store, graph.tasks, graph.keys).status)
    unfolded = any(subproblem(key) is not key for key in graph.tasks)
    panel = fold(as_it_is(graph, "tree" if unfolded else "graph"), limit, len(graph))
    evaluations = Counter(map(subproblem, graph.tasks))
    shown, outlined = _values(graph, values, panel), _blocks(graph) if blocks else {}
    written = dot.write({"": panel}, graph, shown, evaluations, blocks=outlined, style=style)
    picture = Picture(written)
    if filename is not None:
        picture.save(filename if format is None else Path(filename).with_suffix(f".{format}"))
    return picture


def contrast(
    asked: Any,
    *,
    values: bool | Mapping[Key, Any] = False,
    style: Style = PLAIN,
    limit: int = LIMIT,
    store: Store | None = None,
) -> Picture:
    """The tree beside the DAG, in one picture.

    asked: a call, or a graph with one task per subproblem; or any other Dask collections, a dict of
        tasks, or what `sharing` gave, whose own graph is drawn beside the shared one
    values: True to compute and show the value of each task, or a mapping of keys to values
    style: how tasks are named, coloured and joined
    limit: nodes per panel, at least 3; in a larger tree each repeat is folded into one node that
        tells its size, and what is still over the limit is folded in the middle
    store: to colour tasks by what a run with it would do: load, compute, skip or cull them

    The tree is drawn from the DAG: it may have more tasks than could ever be built. Raises
    `ValueError` for a graph that is a tree already.
    """
    _check(limit)
    if not any(hasattr(type(each), "_traced") for each in leaves(asked)):
        shared = asked if isinstance(asked, Sharing) else sharing(asked)
        if not shared.before:
            raise TypeError(f"{brief(asked)} has no tasks: give a call, or a Dask collection")
        return _contrast_shared(shared, values, style, limit, store)
    graph = graph_of(asked)
    if any(subproblem(key) is not key for key in graph.tasks):
        raise ValueError(f"{graph!r} is a tree already: contrast the call, or its DAG")
    if store is not None:
        style = _fated(style, planned(store, graph.tasks, graph.keys).status)
    counts = count(graph)
    tree = tree_of(graph, limit, counts.tree)
    dag = fold(as_it_is(graph, "dag"), limit, counts.dag)
    panels = {
        f"tree: {tasks(counts.tree)}|one per call": tree,
        f"DAG: {tasks(counts.dag)}|one per subproblem": dag,
    }
    evaluations = occurrences(graph, {box.key for box in (*tree.boxes, *dag.boxes)})
    title = (
        f"sharing factor: {size(counts.tree)} ÷ {counts.dag:,} = {size(counts.sharing)}"
        f"|{_legend(style)} · solid: evaluated first · dashed: evaluated again"
        "|×5: evaluated five times in the tree · box: base case"
    )
    shown = _values(graph, values, tree, dag)
    return Picture(dot.write(panels, graph, shown, evaluations, title, style=style))


def _contrast_shared(
    shared: Sharing,
    values: bool | Mapping[Key, Any],
    style: Style,
    limit: int,
    store: Store | None,
) -> Picture:
    """A graph as somebody built it, beside the shared one."""
    graph = shared.graph
    style = style._replace(label=lambda key: named(key, 14)) if style is PLAIN else style
    if store is not None:
        found = planned(store, shared.merged.given, shared.keys).status
        numbers, names = shared.merged.numbers, shared.titles
        # Of equal tasks some may be culled: what happens to one of them is what is told.
        order = sorted(found, key=lambda key: found[key] != CULLED)
        style = _fated(style, {names[numbers[key]]: found[key] for key in order})
    is_tree = tree_size(graph) == shared.before
    left = (
        tree_of(graph, limit, shared.before)
        if is_tree
        else fold(_as_built(shared), limit, shared.before)
    )
    right = fold(as_it_is(graph, "dag"), limit, len(graph))
    panels = {
        f"{'tree' if is_tree else 'graph'}: {tasks(shared.before)}|as it was built": left,
        f"shared: {tasks(len(graph))}|one per subproblem": right,
    }
    title = (
        f"sharing factor: {shared.before:,} ÷ {shared.after:,} = {size(shared.factor)}"
        f"|{_legend(style)} · solid: evaluated first · dashed: evaluated again"
        "|×5: five tasks before · box: no inputs"
    )
    times = dict.fromkeys(graph.tasks, 1)
    repeats = shared.merged.repeats
    times |= {name: 1 + repeats[number] for number, name in shared.titles.items()}
    shown = _values(graph, values, left, right)
    return Picture(dot.write(panels, graph, shown, times, title, style=style))


def _fated(style: Style, found: Mapping[Key, str]) -> Style:
    """A style that tells what a run with a store does; constants are there anyway."""
    return style._replace(fate=lambda key: found.get(key, ""))


def _legend(style: Style) -> str:
    return f"one colour, one {style.kind}" if style.fate is None else " · ".join(dot.FATES)


def _as_built(shared: Sharing) -> Panel:
    """The graph before sharing, each task a numbered evaluation of its subproblem."""
    merged = shared.merged
    numbers: Counter[int] = Counter()
    boxes: dict[Key, Box] = {}
    ids: dict[Key, Key] = {}
    for key, number in merged.numbers.items():
        if key in merged.pointers:  # inputs come first, so that there is what it points to
            [target] = inputs(merged.given[key])
            ids[key] = ids[target]
            continue
        numbers[number] += 1
        name = shared.titles[number]
        ids[key] = occurrence(name, numbers[number])
        boxes[key] = Box(ids[key], name, numbers[number])
    edges = [
        (ids[key], ids[each]) for key in reversed(boxes) for each in inputs(merged.given.get(key))
    ]
    return Panel("tree", list(reversed(boxes.values())), edges)


def _check(limit: int) -> None:
    if limit < 3:
        raise ValueError(f"limit={limit}: a panel shows at least 3 nodes, two ends and a fold")


def _values(
    graph: TaskGraph, values: bool | Mapping[Key, Any], *panels: Panel
) -> Mapping[Key, Any]:
    if isinstance(values, Mapping):
        return values
    if not values:
        return {}
    shown = list({box.key: None for panel in panels for box in panel.boxes if box.key is not None})
    wanted = TaskGraph(graph.tasks, [TaskRef(key) for key in shown])
    return dict(zip(shown, wanted.compute(scheduler="sync"), strict=True))


def _blocks(graph: TaskGraph) -> dict[Key, Key]:
    """For each key in a block, the key of the block."""
    found = [node for node in fuse(graph).tasks.values() if isinstance(node, Block)]
    return {key: node.key for node in found for key in node.function.keys}


TaskGraph.visualize = visualize
TaskGraph._repr_svg_ = lambda self: visualize(self)._repr_svg_()
