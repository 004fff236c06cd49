"""What Dask does to our graphs before it runs them: cull, and fuse.

Dask asks each collection for its optimizer, and calls it wherever it makes the graph: here, or in a
cluster's scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from threading import local
from typing import TYPE_CHECKING, Any
from weakref import ref

import dask
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, TaskRef
from dask.utils import ensure_dict

from pipeline.graph import TaskGraph, toposort
from pipeline.program.fusing import fuse, fuse_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dask.typing import Key


def optimizer_of(collection: Any) -> Callable[..., Mapping[Key, Any]]:
    """What Dask does to a graph before a run, as a function of each collection's own.

    Dask 2026.8 optimizes collections with one optimizer as a group, and where others stand between
    them gives back the values in the order of the groups: `dask.compute(delayed, array, delayed)`
    mixes up its results. Ours are never a group, so they keep their places.
    """
    if not is_fusing() or dask.config.get("pipeline.recall", False):
        return partial(_culled)
    return partial(_Fused, collection.task_graph())


def is_fusing() -> bool:
    """Whether graphs are fused before they run: Dask's setting `pipeline.fuse`, True by default."""
    return bool(dask.config.get("pipeline.fuse", True))


def runnable_tasks(graphs: Sequence[TaskGraph]) -> dict[Key, Any]:
    """The tasks to run for the outputs of some graphs, fused, or as they are."""
    if is_fusing():
        return _fused_together(graphs)
    return toposort(_merged(graphs), [key for graph in graphs for key in graph.keys])


def _culled(dsk: Mapping[Key, Any], keys: Any, **_: Any) -> dict[Key, Any]:
    return toposort(ensure_dict(dsk), flatten(keys))


class _Fused(Mapping[Any, Any]):
    """The tasks of a collection, fused with the others of the same computation once one is read.

    Dask optimizes one collection after the other, and reads them only then. Each fused by itself,
    `dask.compute(fib(6), fib(7))` would run 15 tasks in place of 8.
    """

    def __init__(self, graph: TaskGraph, dsk: Any, keys: Any, **_: Any) -> None:
        self.graph, self.added = graph, _added(graph, dsk)
        if self.added is None:  # another graph than that of the collection
            tasks = ensure_dict(dsk)
            found = [TaskRef(key) for key in flatten(keys)]
            self.graph = TaskGraph(toposort(tasks, [each.key for each in found]), found)
            self.added = {}
        self.batch = _batches.current(self)

    @cached_property
    def tasks(self) -> dict[Key, Any]:
        together = _fused_together(self.batch.close())
        return {**toposort(together, self.graph.keys), **(self.added or {})}

    def __getitem__(self, key: Key) -> Any:
        return self.tasks[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


def _added(graph: TaskGraph, dsk: Any) -> dict[Key, Any] | None:
    """What Dask put beside the tasks of a graph, above them; None where it holds other tasks."""
    layers = list(dsk.layers.values()) if isinstance(dsk, HighLevelGraph) else [dsk]
    own = [each for each in layers if getattr(each, "mapping", each) is graph.tasks]
    return {key: each[key] for each in layers if each not in own for key in each} if own else None


class _Batch:
    """Collections that are optimized, and none of which has been read."""

    def __init__(self) -> None:
        self.members: list[ref[_Fused]] = []
        self.graphs: list[TaskGraph] | None = None

    def close(self) -> list[TaskGraph]:
        """The graphs of the members; from now on there are no more of them."""
        if self.graphs is None:
            # Dask drops them where another one could not be optimized.
            self.graphs = [member.graph for each in self.members if (member := each()) is not None]
        return self.graphs


class _Batches(local):
    """The batch of a thread."""

    def __init__(self) -> None:
        self.last = _Batch()

    def current(self, member: _Fused) -> _Batch:
        if self.last.graphs is not None:
            self.last = _Batch()
        self.last.members.append(ref(member))
        return self.last


_batches = _Batches()


def _fused_together(graphs: Sequence[TaskGraph]) -> dict[Key, Any]:
    if len(graphs) == 1:
        return _fused(graphs[0]).tasks
    return fuse_tasks(_merged(graphs), [graph.keys for graph in graphs])


def _fused(graph: TaskGraph) -> TaskGraph:
    """A graph, fused once."""
    try:
        return graph.fused
    except AttributeError:
        graph.fused = fuse(graph)
        return graph.fused


def _merged(graphs: Sequence[TaskGraph]) -> dict[Key, Any]:
    """The tasks of some graphs, each once; where one of them holds a value, it is not computed."""
    pairs = [item for graph in graphs for item in graph.tasks.items()]
    merged = {key: node for key, node in pairs if isinstance(node, (DataNode, TaskRef))}
    for key, node in pairs:
        # Inputs stay before consumers: what a later graph adds needs nothing that comes after it.
        merged.setdefault(key, node)
    return merged
