"""The tree of a DAG: its size, exact, from the DAG alone; and itself, in `unfold`.

The tree of a recurrence can have more tasks than there are atoms, but the DAG has each of its
subproblems once. How often the tree evaluates a subproblem follows from how often it evaluates the
consumers: one pass over the DAG, with integers of any size, and no tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph.keys import label, occurrence
from pipeline.graph.taskgraph import (
    CallTask,
    TaskGraph,
    function_of,
    graph_of,
    inputs_of,
    map_leaves,
)
from pipeline.identity import shorten

MAX_TASKS = 1_000_000
"""The most tasks that a graph may have, unless `limit=` says otherwise."""


class LimitError(PipelineError, ValueError):
    """A graph that would have more tasks than the limit allows."""


@dataclass(frozen=True, repr=False)
class Count:
    """Sizes of a DAG, and of the tree that it unfolds to.

    tree: tasks with one per occurrence, exact
    dag: tasks with one per subproblem
    depth: tasks on the longest path from a base case to an output
    width: most tasks at one depth, and so the most that could run at once if all took equally long
    """

    tree: int
    dag: int
    depth: int
    width: int

    @property
    def sharing(self) -> Fraction:
        """Tasks in the tree ÷ tasks in the DAG, exact."""
        return Fraction(self.tree, max(self.dag, 1))

    def __repr__(self) -> str:
        tree = shorten(self.tree, 40)  # which may have more digits than Python prints
        return f"Count(tree={tree}, dag={self.dag}, depth={self.depth}, width={self.width})"


def count(call: TaskGraph | Any, shared: Collection[Key] = ()) -> Count:
    """The counts of a graph, or of the graph of a call, in one pass over it.

    shared: keys of subproblems that the tree, too, evaluates only once

    Apart from additions of large integers, the time is linear in the tasks of the DAG. Raises
    `TypeError` for anything but a graph or a call.

    >>> from pipeline import recurrence
    >>> @recurrence
    ... def fib(n):
    ...     return n if n < 2 else fib(n - 1) + fib(n - 2)
    >>> count(fib(6)), count(fib(100)).tree
    (Count(tree=25, dag=7, depth=6, width=2), 1146295688027634168201)
    >>> count(fib(6), shared=[fib(4).key]).tree
    16
    """
    graph = graph_of(call)
    depths: dict[Key, int] = {}  # tasks on the longest path up to each; 1 for a base case
    for key, node in graph.tasks.items():
        depths[key] = 1 + max((depths[source] for source in inputs_of(node)), default=0)
    tasks_at = Counter(depths.values())
    width = max(tasks_at.values(), default=0)
    return Count(tree_size(graph, shared), len(graph), max(tasks_at, default=0), width)


def occurrences(call: TaskGraph | Any, keys: Container[Key] | None = None) -> dict[Key, int]:
    """How often the tree of a call, or of a graph, evaluates each subproblem, exact.

    keys: the subproblems to report, where not all

    >>> from pipeline.apps.fibonacci import fib
    >>> occurrences(fib(5))[fib(2).key]
    3
    """
    numbers = _occurrences(graph_of(call), ())
    return {key: number for key, number in numbers if keys is None or key in keys}


def tree_size(graph: TaskGraph, shared: Collection[Key] = ()) -> int:
    """Tasks in the tree, where the subproblems in `shared` are evaluated only once."""
    return sum(number for _, number in _occurrences(graph, shared))


def tree_sizes(graph: TaskGraph, keys: Iterable[Key]) -> dict[Key, int]:
    """Tasks in the tree of each of these subproblems, exact."""
    # Each size is freed when its last consumer has used it: those of fib(100_000) would hold
    # 400 MB at a time.
    uses = Counter(keys)
    for node in graph.tasks.values():
        uses.update(inputs_of(node))
    sizes: dict[Key, int] = {}
    for key, node in graph.tasks.items():
        size = 1
        for source in inputs_of(node):
            size += sizes[source]
            uses[source] -= 1
            if not uses[source]:
                del sizes[source]
        if uses[key]:
            sizes[key] = size
    return sizes


def _occurrences(graph: TaskGraph, shared: Collection[Key]) -> Iterator[tuple[Key, int]]:
    """Each key, outputs first, with its number of evaluations, which is freed once yielded."""
    numbers = Counter(graph.keys)
    for key, node in reversed(graph.tasks.items()):
        number = 1 if key in shared else numbers[key]
        del numbers[key]
        for source in inputs_of(node):
            numbers[source] += number
        yield key, number


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
                node = tasks[name] = graph.tasks[key]
                if not isinstance(node, TaskRef):
                    cheap = getattr(node, "cheap", False)
                    tasks[name] = CallTask(name, function_of(node), tuple(inputs), cheap)
    names = iter(roots)
    outputs = map_leaves(
        graph.outputs, lambda leaf: TaskRef(next(names)) if isinstance(leaf, TaskRef) else leaf
    )
    return TaskGraph(tasks, outputs)
