"""Exact counts of the tree, from the DAG alone.

The tree of a recurrence can have more tasks than there are atoms, but each of its subproblems is
in the DAG once, and how often the tree evaluates it follows from how often it evaluates the
consumers: one pass over the DAG, with integers of any size, and no tree.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pipeline.graph.taskgraph import TaskGraph, graph_of
from pipeline.graph.tasks import inputs_of
from pipeline.identity import shorten

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator

    from dask.typing import Key


@dataclass(frozen=True, repr=False)
class Count:
    """Sizes of a graph with one task per subproblem, and of the tree that it stands for.

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


def count(asked: TaskGraph | Any) -> Count:
    """The counts of a graph, or of the graph of a call, in one pass over it.

    Additions of large integers aside, the time is linear in the tasks of the DAG.
    """
    graph = graph_of(asked)
    at = Counter(depths(graph).values())
    return Count(tree_size(graph), len(graph), max(at, default=0), max(at.values(), default=0))


def tree_size(graph: TaskGraph, shared: Collection[Key] = ()) -> int:
    """Tasks in the graph when only the subproblems in `shared` are evaluated once.

    >>> from pipeline import recurrence
    >>> @recurrence
    ... def fib(n):
    ...     return n if n < 2 else fib(n - 1) + fib(n - 2)
    >>> tree_size(fib(100).graph())
    1146295688027634168201
    """
    if shared:
        return sum(number for _, number in _occurrences(graph, shared))
    sizes = tree_sizes(graph, graph.keys)
    return sum(sizes[key] for key in graph.keys)


def tree_sizes(graph: TaskGraph, wanted: Iterable[Key]) -> dict[Key, int]:
    """Tasks in the tree of each of some subproblems, exact."""
    # Each size is freed when its last consumer has used it: those of fib(100_000) would hold
    # 400 MB at a time.
    uses = Counter(wanted)
    for node in graph.tasks.values():
        uses.update(inputs_of(node))
    sizes: dict[Key, int] = {}
    for key, node in graph.tasks.items():
        size = 1
        for each in inputs_of(node):
            size += sizes[each]
            uses[each] -= 1
            if not uses[each]:
                del sizes[each]
        if uses[key]:
            sizes[key] = size
    return sizes


def occurrences(graph: TaskGraph, wanted: Container[Key] | None = None) -> dict[Key, int]:
    """How often the tree evaluates each subproblem, or some of them, exact.

    `fib(5)` evaluates `fib(2)` 3 times.
    """
    found = _occurrences(graph, ())
    return {key: number for key, number in found if wanted is None or key in wanted}


def depths(graph: TaskGraph) -> dict[Key, int]:
    """Tasks on the longest path up to each task. Starts at 1, for the base cases."""
    found: dict[Key, int] = {}
    for key, node in graph.tasks.items():
        found[key] = 1 + max((found[each] for each in inputs_of(node)), default=0)
    return found


def _occurrences(graph: TaskGraph, shared: Collection[Key]) -> Iterator[tuple[Key, int]]:
    """Each key, outputs first, with the number of its tasks; numbers are freed as they are told."""
    found = Counter(graph.keys)
    for key, node in reversed(graph.tasks.items()):
        number = 1 if key in shared else found[key]
        del found[key]
        for each in inputs_of(node):
            found[each] += number
        yield key, number
