"""Pictures of graphs: what is one task, what is the same again, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline.cache import make_plan
from pipeline.draw import dot
from pipeline.draw.comparison import compared
from pipeline.draw.folding import MAX_NODES, Panel, as_it_is, check_limit, fold
from pipeline.draw.picture import Picture
from pipeline.draw.style import PLAIN, Style
from pipeline.graph import TaskGraph, subproblem
from pipeline.identity import format_value
from pipeline.program import Block, fuse

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
    limit: int = MAX_NODES,
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
    check_limit(limit)
    if store is not None:
        style = style.fated(make_plan(store, graph.tasks, graph.keys).status)
    unfolded = any(subproblem(key) is not key for key in graph.tasks)
    panel = fold(as_it_is(graph, "tree" if unfolded else "graph"), limit, len(graph))
    evaluations = Counter(map(subproblem, graph.tasks))
    told, outlined = _values(graph, values, panel), _blocks(graph) if blocks else {}
    written = dot.write({"": panel}, graph, told, evaluations, blocks=outlined, style=style)
    picture = Picture(written)
    if filename is not None:
        picture.save(filename if format is None else Path(filename).with_suffix(f".{format}"))
    return picture


def contrast(
    asked: Any,
    *,
    values: bool | Mapping[Key, Any] = False,
    style: Style = PLAIN,
    limit: int = MAX_NODES,
    store: Store | None = None,
) -> Picture:
    """The tree beside the DAG, in one picture.

    asked: a call, or a graph with one task per subproblem; or any other Dask collections, a dict of
        tasks, or what `share_report` gave, whose own graph is drawn beside the shared one
    values: True to compute and show the value of each task, or a mapping of keys to values
    style: how tasks are named, coloured and joined
    limit: nodes per panel, at least 3; in a larger tree each repeat is folded into one node that
        tells its size, and what is still over the limit is folded in the middle
    store: to colour tasks by what a run with it would do: load, compute, skip or cull them

    The tree is drawn from the DAG: it may have more tasks than could ever be built. Raises
    `ValueError` for a graph that is a tree already.
    """
    found = compared(asked, style, limit, store)
    panels = dict(zip(found.headings, (found.left, found.right), strict=True))
    told = _values(found.graph, values, found.left, found.right)
    return Picture(
        dot.write(panels, found.graph, told, found.times, found.title, style=found.style)
    )


def _values(
    graph: TaskGraph, values: bool | Mapping[Key, Any], *panels: Panel
) -> Mapping[Key, str]:
    keys = {box.key: None for panel in panels for box in panel.boxes if box.key is not None}
    if not isinstance(values, Mapping):
        wanted = TaskGraph(graph.tasks, [TaskRef(key) for key in keys])
        values = dict(zip(keys, wanted.compute(scheduler="sync"), strict=True)) if values else {}
    return {key: format_value(values[key]) for key in keys if key in values}


def _blocks(graph: TaskGraph) -> dict[Key, Key]:
    """For each key in a block, the key of the block."""
    found = [node for node in fuse(graph).tasks.values() if isinstance(node, Block)]
    return {key: node.key for node in found for key in node.function.keys}
