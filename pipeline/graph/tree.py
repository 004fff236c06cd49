"""From the DAG to the tree: each consumer gets its own copy of its inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph.counts import tree_size
from pipeline.graph.keys import label, occurrence
from pipeline.graph.taskgraph import TaskGraph, map_leaves
from pipeline.graph.tasks import CallTask, function_of

MAX_TASKS = 1_000_000
"""The most tasks that a graph may have, unless `limit=` says otherwise."""


class LimitError(PipelineError, ValueError):
    """A graph that would have more tasks than the limit allows."""


def unfold(graph: TaskGraph, shared: Collection[Key] = (), limit: int = MAX_TASKS) -> TaskGraph:
    """The tree of a DAG, in which only the subproblems in `shared` remain one task each.

    Occurrences are numbered in the order in which the naive recursion evaluates the calls.
    Raises `LimitError`, with the exact size, before anything is built.
    """
    size = tree_size(graph, shared)
    if size > limit:
        raise LimitError(
            f"the tree of {label(graph.keys[0])} has {size:,} tasks, over the limit of {limit:,}: "
            "count or draw it from the DAG, memoize more calls, or raise limit="
        )
    # A future is data on a cluster: nothing evaluates it again.
    shared = {*shared, *(key for key, node in graph.tasks.items() if isinstance(node, TaskRef))}
    numbers: Counter[Key] = Counter()
    tasks: dict[Key, Any] = {}
    roots: list[Key] = []
    # For each task in progress: its key in the DAG and in the tree, its inputs in the DAG that
    # remain, and those in the tree that are done. The outputs are the inputs of the first.
    stack: list[tuple[Key, Key, Iterator[Key], list[Key]]] = [("", "", iter(graph.keys), roots)]
    while stack:
        key, name, remaining, inputs = stack[-1]
        for source in remaining:
            numbers[source] += 1
            inputs.append(source if source in shared else occurrence(source, numbers[source]))
            if inputs[-1] not in tasks:
                stack.append((source, inputs[-1], iter(graph.inputs(source)), []))
                break
        else:
            stack.pop()
            if stack:
                tasks[name] = _copy(graph.tasks[key], name, tuple(inputs))
    names = iter(roots)
    outputs = map_leaves(
        graph.outputs, lambda leaf: TaskRef(next(names)) if isinstance(leaf, TaskRef) else leaf
    )
    return TaskGraph(tasks, outputs)


def _copy(node: Any, key: Key, inputs: tuple[Key, ...]) -> Any:
    if isinstance(node, TaskRef):
        return node
    return CallTask(key, function_of(node), inputs, getattr(node, "cheap", False))
