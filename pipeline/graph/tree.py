"""From the DAG to the tree: each consumer gets its own copy of what it needs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline.graph.counts import tree_size
from pipeline.graph.keys import label, occurrence
from pipeline.graph.nesting import map_leaves
from pipeline.graph.taskgraph import TaskGraph
from pipeline.graph.tasks import CallTask, function_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from dask.typing import Key

MAX_TASKS = 1_000_000
"""The most tasks that a graph may have, unless `limit=` says otherwise."""


class LimitError(ValueError):
    """A graph that would have more tasks than the limit allows."""


def unfold(graph: TaskGraph, shared: Collection[Key] = (), limit: int = MAX_TASKS) -> TaskGraph:
    """The tree of a DAG, or, where some subproblems are `shared`, what lies between.

    Occurrences are numbered in the order in which the naive recursion evaluates the calls.
    Raises `LimitError`, with the exact size, before anything is built.
    """
    size = tree_size(graph, shared)
    if size > limit:
        raise LimitError(
            f"the tree of {label(graph.keys[0])} has {size:,} tasks, over the limit of {limit:,}: "
            "count or draw it from the DAG, memoize more calls, or raise limit="
        )
    # A future is data that a cluster holds: there is nothing to evaluate again.
    shared = {*shared, *(key for key, node in graph.tasks.items() if isinstance(node, TaskRef))}
    numbers: Counter[Key] = Counter()

    def enter(key: Key) -> Key:
        if key in shared:
            return key
        numbers[key] += 1
        return occurrence(key, numbers[key])

    tasks: dict[Key, Any] = {}
    roots = []
    for root in graph.keys:
        roots.append(enter(root))
        # Of each task that is under way: its key in either graph, the inputs to come, those done.
        under_way: list[tuple[Key, Key, Iterator[Key], list[Key]]] = []
        if roots[-1] not in tasks:
            under_way.append((root, roots[-1], iter(graph.inputs(root)), []))
        while under_way:
            key, new, to_come, done = under_way[-1]
            if (each := next(to_come, None)) is None:
                under_way.pop()
                tasks[new] = _copy(graph.tasks[key], new, tuple(done))
                continue
            done.append(enter(each))
            if done[-1] not in tasks:
                under_way.append((each, done[-1], iter(graph.inputs(each)), []))
    renamed = iter(roots)
    outputs = map_leaves(
        graph.outputs, lambda leaf: TaskRef(next(renamed)) if isinstance(leaf, TaskRef) else leaf
    )
    return TaskGraph(tasks, outputs)


def _copy(node: Any, key: Key, new_inputs: tuple[Key, ...]) -> Any:
    if isinstance(node, TaskRef):
        return node
    return CallTask(key, function_of(node), new_inputs, getattr(node, "cheap", False))
