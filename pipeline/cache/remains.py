"""What a scheduler is given, as tasks; and what remains of it, as a scheduler takes it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask
import dask.base
from dask.base import unpack_collections
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Alias, Task, TaskRef
from dask.utils import ensure_dict

from pipeline.cache.plan import rewritten
from pipeline.graph import TaskGraph, fill_outputs, inputs_of, toposort
from pipeline.program import LoadTask, fuse_tasks
from pipeline.share import fuse_lines, task_dict, unfused

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from dask.typing import Key

    from pipeline.cache.plan import Plan

Annotations = dict[str, dict["Key", Any]]
"""How tasks are to be run, by kind and key: `priority`, `retries`, `resources`, …"""


_is_inside: ContextVar[bool] = ContextVar("_is_inside", default=False)


def is_inside() -> bool:
    """Whether what runs now has been planned with a store already."""
    return _is_inside.get()


@contextmanager
def inside() -> Iterator[None]:
    """Have no store asked about what runs meanwhile."""
    before = _is_inside.set(True)
    try:
        yield
    finally:
        _is_inside.reset(before)


def asked(collections: Sequence[Any]) -> tuple[dict[Key, Any], list[Key]]:
    """The tasks of some collections, each of which has a result of its own, and what is asked."""
    found: list[tuple[dict[Key, Any], list[Key]]] = []

    def get(dsk: Any, keys: list[Key], **_: Any) -> list[None]:
        tasks = tasks_of(dsk)
        found.append((tasks, parts_of(tasks, flatten([keys]))))
        return [None for _ in keys]

    unpacked = [unfused(each) for each in unpack_collections(*collections)[0]]
    if not unpacked:
        return {}, []
    with inside():
        dask.compute(*unpacked, traverse=False, optimize_graph=False, scheduler=get)
    return found[0]


def tasks_of(dsk: Any) -> dict[Key, Any]:
    """The tasks of what a scheduler is given: an expression, or a graph."""
    graph = dsk if not hasattr(dsk, "__dask_graph__") else dsk.__dask_graph__()
    return task_dict(ensure_dict(graph))


def parts_of(tasks: Mapping[Key, Any], keys: Iterable[Key]) -> list[Key]:
    """What is asked for, each once; of what only puts several results side by side, these."""
    return list(dict.fromkeys(
        part for key in keys for part in (inputs_of(tasks[key]) if gathers(tasks, key) else [key])
    ))  # fmt: skip


def gathers(tasks: Mapping[Key, Any], key: Key) -> bool:
    """Whether a task only puts results side by side."""
    node: Any = tasks.get(key)
    is_one = type(node) is Task and str(key).startswith("finalize")
    return is_one and node.func in (fill_outputs, list)


def annotations_of(dsk: Any) -> Annotations:
    """How the tasks of an expression are to be run, as `dask.annotate` says."""
    told = dsk.__dask_annotations__() if hasattr(dsk, "__dask_annotations__") else {}
    return {kind: dict(each) for kind, each in told.items() if each}


def remaining(
    plan: Plan,
    outputs: Sequence[Key],
    is_local: bool,
    alone: Container[Key] = (),
    is_final: bool = False,
) -> dict[Key, Any]:
    """The tasks that are left, fused as they would be without a store.

    alone: tasks that are run in a way of their own, and so not fused
    is_final: whether nobody plans again if an entry is lost
    """
    tasks = toposort(rewritten(plan, is_local, is_final), outputs)
    if not dask.config.get("pipeline.fuse", True):
        return tasks
    # Blocks of arrays and tables: their collections have not been fused, so that each is stored.
    blocks = {
        key: node
        for key, node in tasks.items()
        if isinstance(key, tuple)
        and type(plan.tasks[key]) is Task
        and type(node) not in (Alias, LoadTask)
        and key not in alone
    }
    if len(blocks) > 1:
        others = [node for key, node in tasks.items() if key not in blocks]
        needed = {each for node in others for each in inputs_of(node)}
        tasks = toposort({**tasks, **fuse_lines(blocks, {*outputs, *needed})}, outputs)
    return fuse_tasks(tasks, [outputs])


def expression(tasks: Mapping[Key, Any], outputs: Sequence[Key], annotations: Annotations) -> Any:
    """Tasks as a client takes them; a plain dict would be hashed, task by task."""
    found = [TaskRef(key) for key in outputs]
    graph = _Annotated(dict(tasks), found, token=uuid4().hex)
    graph.annotations = annotations
    return dask.base.collections_to_expr(graph, optimize_graph=False)


class _Annotated(TaskGraph):
    """A graph some of whose tasks are to be run in a way of their own."""

    annotations: Annotations

    def __dask_graph__(self) -> Mapping[Key, Any]:
        return _annotated(self.tasks, self.annotations) if self.annotations else self.tasks


def _annotated(tasks: Mapping[Key, Any], annotations: Annotations) -> HighLevelGraph:
    """Tasks in layers, one for all that are run in the same way."""
    layers: dict[str, dict[Key, Any]] = {}
    how: dict[str, dict[str, Any]] = {}
    for key, node in tasks.items():
        own = {kind: told[key] for kind, told in annotations.items() if key in told}
        layers.setdefault(repr(own), {})[key] = node
        how[repr(own)] = own
    found = {
        name: MaterializedLayer(each, annotations=how[name] or None)
        for name, each in layers.items()
    }
    return HighLevelGraph(found, {name: set(found) - {name} for name in found})
