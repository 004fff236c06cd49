"""The way of a computation through a store: plan it, load, run what is left, and keep it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import dask.local
import dask.threaded
from dask.core import flatten

from pipeline.cache.plan import HIT, MISS, SKIPPED, Plan, make_plan, passed_on
from pipeline.cache.remains import (
    annotations_of,
    expression,
    inside,
    is_inside,
    parts_of,
    remaining,
    tasks_of,
)
from pipeline.cache.saver import stored
from pipeline.cache.told import told
from pipeline.store import LostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dask.typing import Key

    from pipeline.cache.plan import Opening
    from pipeline.cache.remains import Annotations
    from pipeline.store import Store

_HERE = (dask.local.get_sync, dask.threaded.get)
"""Schedulers that run tasks in this process."""


class Through:
    """A scheduler of Dask's that looks into a store before it runs tasks, and stores results."""

    def __init__(self, store: Store, scheduler: Callable[..., Any]) -> None:
        self.store = store
        self.scheduler: Any = scheduler.scheduler if isinstance(scheduler, Through) else scheduler
        self.is_local = self.scheduler in _HERE
        self.is_client = hasattr(getattr(self.scheduler, "__self__", None), "scheduler_info")

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
        if is_inside():
            return self.scheduler(dsk, keys, **options)
        tasks = tasks_of(dsk)
        parts = parts_of(tasks, flatten([keys]))
        values = self._values(tasks, parts, annotations_of(dsk), options)
        for key in flatten([keys]):
            if key not in values:  # it puts others side by side
                values[key] = tasks[key](values)
        return dask.local.nested_get(keys, values)

    def _values(
        self,
        tasks: Mapping[Key, Any],
        outputs: list[Key],
        annotations: Annotations,
        options: dict[str, Any],
    ) -> dict[Key, Any]:
        """The values of some tasks, by key."""
        store = self.store
        is_near = self.is_local or not store.is_shared
        opening: Opening = "all" if is_near else "outputs"
        try:
            for is_loading in (True, True, False):
                plan = make_plan(store, tasks, outputs, is_loading, opening)
                try:
                    values = _loaded(plan)
                    values |= self._computed(plan, values, annotations, options)
                    break
                except LostError:  # it was there when the run was planned
                    if not is_loading:
                        raise
            if not self.is_local:
                _keep(plan, values)
        finally:
            store.log()
        store.emit_warnings()
        return values

    def _computed(
        self,
        plan: Plan,
        values: Mapping[Key, Any],
        annotations: Annotations,
        options: dict[str, Any],
    ) -> dict[Key, Any]:
        """The values of the outputs that were not loaded."""
        left = [key for key in plan.outputs if key not in values]
        if not left:
            return {}
        alone = {key for each in annotations.values() for key in each}
        tasks: Any = remaining(plan, left, self.is_local, alone)
        if self.is_client:
            tasks = expression(tasks, left, annotations)
        with inside():
            return dict(zip(left, self.scheduler(tasks, left, **options), strict=True))


def _loaded(plan: Plan) -> dict[Key, Any]:
    """The outputs that are in the store."""
    values, start = {}, time.perf_counter()
    for key in plan.outputs:
        at = passed_on(plan.tasks, key)
        if plan.status.get(at) == HIT:
            entry, payload = plan.entries[at]
            if payload is not None:
                values[key] = plan.store.value(entry, payload)
    counted(plan, time.perf_counter() - start)
    return values


def counted(plan: Plan, seconds: float = 0.0) -> None:
    """Count what was planned, for `Store.stats`.

    seconds: that it took to load what is loaded
    """
    counts = plan.store.counts
    counts.hits += plan.count(HIT)
    counts.misses += plan.count(MISS)
    counts.skipped += plan.count(SKIPPED)
    entries = [entry for entry, _ in plan.entries.values()]
    counts.loaded_bytes += sum(each.bytes for each in entries)
    counts.saved += max(max((each.behind for each in entries), default=0.0) - seconds, 0.0)


def _keep(plan: Plan, values: Mapping[Key, Any]) -> None:
    """Store the outputs that the workers could not, or say why that cannot be done."""
    store, digests = plan.store, plan.digests
    ends = {key: passed_on(plan.tasks, key) for key in plan.outputs}
    asked = {key: digests.digest(end) for key, end in ends.items() if plan.status.get(end) == MISS}
    there = store.known(digest for digest in asked.values() if digest is not None)
    for key, digest in asked.items():
        if digest is not None and digest not in there:
            about = told(ends[key], plan.tasks[ends[key]], digests)
            stored(store, digest, values[key], about)
