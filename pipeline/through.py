"""The way of a computation through a store: plan it, load, run what is left, and keep it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask
import dask.base
import dask.local
import dask.multiprocessing
import dask.threaded
from dask.base import unpack_collections
from dask.core import flatten
from dask.task_spec import Alias, Task, TaskRef
from dask.utils import ensure_dict

from pipeline.fuse import Loading, fused
from pipeline.graph import TaskGraph
from pipeline.ledger import LostError
from pipeline.node import in_order, inputs
from pipeline.opened import fused as in_lines
from pipeline.opened import plain, unfused
from pipeline.recall import COMPUTED, LOADED, SKIPPED, Plan, planned, rewritten
from pipeline.told import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dask.typing import Key

    from pipeline.store import Store

_HERE = (dask.local.get_sync, dask.threaded.get)
"""Schedulers that run tasks in this process."""

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


class Through:
    """A scheduler of Dask's that looks into a store before it runs tasks, and stores results."""

    def __init__(self, store: Store, scheduler: Callable[..., Any]) -> None:
        self.store, self.scheduler = store, scheduler

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
        if is_inside():
            return self.scheduler(dsk, keys, **options)
        outputs = list(dict.fromkeys(flatten([keys])))
        values = _computed(self.store, tasks_of(dsk), outputs, self.scheduler, options)
        return dask.local.nested_get(keys, values)


def asked(collections: Sequence[Any]) -> tuple[dict[Key, Any], list[Key]]:
    """The tasks of some collections, each of which has a result of its own, and what is asked."""
    found: list[tuple[dict[Key, Any], list[Key]]] = []

    def get(dsk: Any, keys: list[Key], **_: Any) -> list[None]:
        found.append((tasks_of(dsk), list(dict.fromkeys(flatten([keys])))))
        return [None for _ in keys]

    unpacked = [unfused(each) for each in unpack_collections(*collections)[0]]
    if not unpacked:
        return {}, []
    dask.compute(*unpacked, traverse=False, optimize_graph=False, scheduler=get)
    return found[0]


def tasks_of(dsk: Any) -> dict[Key, Any]:
    """The tasks of what a scheduler is given: an expression, or a graph."""
    graph = dsk if not hasattr(dsk, "__dask_graph__") else dsk.__dask_graph__()
    return plain(ensure_dict(graph))


def _computed(
    store: Store, tasks: Mapping[Key, Any], outputs: list[Key], scheduler: Any,
    options: dict[str, Any],
) -> dict[Key, Any]:  # fmt: skip
    """The values of some tasks, by key."""
    is_local = scheduler in _HERE
    try:
        for is_loading in (True, True, False):
            plan = planned(store, tasks, outputs, is_loading)
            try:
                start = time.perf_counter()
                values = _loaded(plan)
                counted(plan, time.perf_counter() - start)
                values |= _run(plan, values, is_local, scheduler, options)
                break
            except LostError:
                if not is_loading:
                    raise
        if not (is_local or store.at.is_everywhere):
            _keep(plan, values)
    finally:
        store.log()
    store.speak()
    return values


def _loaded(plan: Plan) -> dict[Key, Any]:
    """The outputs that are in the store."""
    values = {}
    for key in plan.outputs:
        at = key
        while isinstance(node := plan.tasks.get(at), Alias):
            at = node.target
        if plan.status.get(at) == LOADED and (found := plan.entries[at]) is not None:
            values[key] = plan.store.value(*found)
    return values


def counted(plan: Plan, seconds: float) -> None:
    """Count what was planned, for `Store.stats`."""
    counts = plan.store.counts
    counts.hits += plan.count(LOADED)
    counts.misses += plan.count(COMPUTED)
    counts.skipped += plan.count(SKIPPED)
    loaded = [each[0] for each in plan.entries.values() if each is not None]
    counts.loaded_bytes += sum(each.bytes for each in loaded)
    counts.saved += max(max((each.behind for each in loaded), default=0.0) - seconds, 0.0)


def _run(
    plan: Plan, values: Mapping[Key, Any], is_local: bool, scheduler: Any, options: Any
) -> dict[Key, Any]:
    """The values of the outputs that are not in the store, computed."""
    left = [key for key in plan.outputs if key not in values]
    if not left:
        return {}
    tasks = to_run(plan, left, is_local)
    with inside():
        if not is_local and scheduler is not dask.multiprocessing.get:
            tasks = expression(tasks, left)
        found = scheduler(tasks, left, **options)
    return dict(zip(left, found, strict=True))


def expression(tasks: dict[Key, Any], outputs: list[Key]) -> Any:
    """Tasks as Dask's clients take them; a plain dict would be hashed, task by task."""
    graph = TaskGraph(tasks, [TaskRef(key) for key in outputs], token=uuid4().hex)
    return dask.base.collections_to_expr(graph, optimize_graph=False)


def to_run(plan: Plan, outputs: list[Key], is_local: bool) -> dict[Key, Any]:
    """The tasks that are left, fused as they would be without a store."""
    tasks = in_order(rewritten(plan, is_local), outputs)
    if not dask.config.get("pipeline.fuse", True):
        return tasks
    # Blocks of arrays and tables: their collections have not been fused, so that each is stored.
    blocks = {
        key: node
        for key, node in tasks.items()
        if isinstance(key, tuple) and type(plan.tasks[key]) is Task and type(node) is not Loading
    }
    if len(blocks) > 1:
        others = [node for key, node in tasks.items() if key not in blocks]
        needed = {each for node in others for each in inputs(node)}
        tasks = {**tasks, **in_lines(blocks, {*outputs, *needed})}
        tasks = in_order(tasks, outputs)
    return fused(tasks, [outputs])


def _keep(plan: Plan, values: Mapping[Key, Any]) -> None:
    """Store outputs from here, which the workers could not."""
    for key in plan.outputs:
        digest = plan.digests.digest(key)
        if plan.status.get(key) == COMPUTED and digest is not None:
            with plan.store.forgiving("written") as reach:
                if reach:
                    plan.store.put(digest, values[key], **told(key, plan.tasks[key], plan.digests))
