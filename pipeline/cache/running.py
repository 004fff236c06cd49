"""Run a graph through a store: load what is stored, compute the rest, store its results."""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import dask
import dask.local
import dask.multiprocessing
import dask.threaded
from dask._expr import HLGExpr
from dask.base import unpack_collections
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Task
from dask.typing import Key

from pipeline.cache.plan import Plan, final_key, make_plan, refusals
from pipeline.cache.replacing import tasks_to_run
from pipeline.cache.saving import save, task_details
from pipeline.cache.tracking import Process, add_inputs, this_process
from pipeline.graph import fill_outputs, inputs_of, toposort
from pipeline.identity import paused_collector
from pipeline.program import LoadTask, fuse_tasks, in_order
from pipeline.schedule import noting
from pipeline.share import (
    Readings,
    fuse_bags,
    fuse_inner,
    fuse_lines,
    graphs_of,
    inner_keys,
    last_readings,
    task_dict,
    unfused,
    with_iterators,
)
from pipeline.store import LostError, Store, files_in, flush_all

Annotations = dict[Key, dict[str, Any]]
"""What `dask.annotate` says of tasks, by key and kind: `priority`, `retries`, `resources`, …"""

is_planned: ContextVar[bool] = ContextVar("is_planned", default=False)
"""Whether the current code runs what has been planned with a store."""


@contextmanager
def planned() -> Iterator[None]:
    """Within this context no run goes through a store."""
    before = is_planned.set(True)
    try:
        yield
    finally:
        is_planned.reset(before)


class StoreScheduler:
    """A Dask scheduler that loads what is stored, and has another scheduler compute the rest."""

    def __init__(self, store: Store, scheduler: Callable[..., Any]) -> None:
        self.store = store
        if isinstance(scheduler, StoreScheduler):  # the store of the context, which is not used
            scheduler = scheduler.scheduler
        self.scheduler: Any = scheduler
        self.is_local = self.scheduler in (dask.local.get_sync, dask.threaded.get)
        self.is_client = where_tasks_run(self.scheduler) is not None

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
        readings: Readings | None = last_readings()  # before any task runs
        if is_planned.get():
            return self.scheduler(dsk, keys, **options)
        tasks, outputs, annotations, inner = open_graph(dsk, keys)
        try:
            for is_loading in (True, True, False):
                plan = make_plan(
                    self.store, tasks, outputs, is_loading, self.is_local,
                    process=where_tasks_run(self.scheduler), readings=readings, inner=inner,
                )  # fmt: skip
                readings = None  # tasks may change what was read
                try:
                    with plan.run:
                        values = self._run(plan, annotations, options)
                        self.store.failures.refuse(refusals(plan))
                    break
                except LostError:  # an entry has gone since the plan was made
                    if not is_loading:
                        raise
                    self._await_release()
            if not (self.is_local or self.store.is_shared):
                _save_outputs(plan, values, self.scheduler is dask.multiprocessing.get)
        finally:
            self.store.log()
        flush(self.store, self.scheduler)
        self.store.failures.emit_warnings()
        for key in flatten([keys]):
            if key not in values:  # it gathers outputs
                values[key] = tasks[key](values)
        return dask.local.nested_get(keys, values)

    def _await_release(self) -> None:
        """Wait until the client has released the keys of a run that failed.

        It does so later, in its event loop. Until then it raises the same error for these keys.
        """
        if self.is_client and not self.scheduler.__self__.asynchronous:
            self.scheduler.__self__.sync(asyncio.sleep, 0)

    def _run(self, plan: Plan, annotations: Annotations, options: dict[str, Any]) -> dict[Key, Any]:
        """The values of the outputs, by key."""
        values = _load_outputs(plan)
        missing = [key for key in plan.outputs if key not in values]
        if not missing:
            return values
        is_in_processes = self.scheduler is dask.multiprocessing.get
        tasks: Any = remaining_tasks(plan, missing, annotations, is_in_processes)
        if self.is_client:
            tasks = as_expression(tasks, missing, annotations)
        try:
            with planned():
                computed = self.scheduler(tasks, missing, **options)
        except Exception as error:
            note_lost_scheduler(error, self.store, self.scheduler)
            raise
        return values | dict(zip(missing, computed, strict=True))


def flush(store: Store, scheduler: Any) -> None:
    """Wait until the results of a run are on the disk, and upstream, also those of a cluster.

    Then apply the bound of the store.
    """
    client: Any = getattr(scheduler, "__self__", None)
    is_client = hasattr(client, "scheduler_info") and not client.asynchronous
    if store.upstream is not None and is_client:
        with suppress(Exception):  # no worker, or one that has gone
            client.run(flush_all)
    store.flush()
    store.trim()


def note_lost_scheduler(error: BaseException | None, store: Store, scheduler: Any) -> None:
    """If a client has lost its scheduler, add to the error what a new run finds.

    scheduler: of Dask, or the method of a client
    """
    is_client = where_tasks_run(scheduler) is not None
    is_closed = is_client and scheduler.__self__.status != "running"
    is_lost = is_closed or getattr(error, "reason", "") == "scheduler-connection-lost"
    note = (
        f"The connection to the scheduler is lost. Results stored in {store.url} are kept: "
        "a new run loads them, and computes only the rest."
    )
    is_noted = note in getattr(error, "__notes__", [])
    if error is not None and is_lost and store.is_shared and not is_noted:
        error.add_note(note)


def where_tasks_run(scheduler: Any) -> Callable[[], Process] | None:
    """Finds the process of the workers of a cluster; None for other schedulers.

    scheduler: of Dask, or the method of a client
    """
    client = getattr(scheduler, "__self__", None)
    return partial(_process_of_workers, client) if hasattr(client, "scheduler_info") else None


def _process_of_workers(client: Any) -> Process:
    """What all workers have in common. Where they differ, nothing is taken for unchanged."""
    found: list[Process] = []
    with suppress(Exception):  # no worker, or one that has gone
        found = [] if client.asynchronous else list(client.run(this_process).values())
    if not found or len({process.folder for process in found}) > 1:
        return Process("", {})
    names = {name for process in found for name in process.variables}
    contents = {name: {process.variables.get(name, "") for process in found} for name in names}
    return Process(
        found[0].folder,
        {name: next(iter(own)) if len(own) == 1 else "?" for name, own in contents.items()},
    )


def _load_outputs(plan: Plan) -> dict[Key, Any]:
    """The outputs that are stored."""
    start = time.perf_counter()
    finals = {key: final_key(plan.tasks, key) for key in plan.outputs}
    entries = {final: plan.opened[final] for final in finals.values() if final in plan.opened}
    values: dict[Key, Any] = {}
    for final, entry in entries.items():
        with noting("loaded", final):
            values[final] = plan.store.value(*entry)
        add_inputs(plan.found[final].outcome.inputs)  # this run may be a part of a task
    count_plan(plan, time.perf_counter() - start)
    return {key: values[final] for key, final in finals.items() if final in values}


def count_plan(plan: Plan, seconds: float = 0.0) -> None:
    """Count what was planned, for `Store.stats`.

    seconds: the time that it took to load outputs
    """
    counts, statuses = plan.store.counts, Counter(plan.status.values())
    counts.hits += statuses["hit"]
    counts.misses += statuses["miss"]
    counts.skipped += statuses["skipped"]
    entries = [found.entry for found in plan.found.values()]
    counts.loaded_bytes += sum(entry.bytes for entry in entries)
    counts.saved += max(max((entry.behind for entry in entries), default=0.0) - seconds, 0.0)


_IS_FILE = "not stored: it returned a file, and nobody observed whether it wrote it"
_MAY_HAVE_CHANGED = "not stored: a task that had it may have changed it"


def _save_outputs(plan: Plan, values: Mapping[Key, Any], is_isolated: bool) -> None:
    """Save the computed outputs of workers that do not reach the store, if no other task has
    changed them. Nobody observed them: see `UNTRACKED`.

    is_isolated: each task had copies of its inputs
    """
    ran = [plan.tasks[key] for key, status in plan.status.items() if status in ("miss", "skipped")]
    used = {final_key(plan.tasks, source) for node in ran for source in inputs_of(node)}
    safe: dict[str, tuple[Key, Any]] = {}
    others: dict[str, tuple[Key, Any]] = {}
    for key in plan.outputs:
        final = final_key(plan.tasks, key)
        if plan.status.get(final) == "miss":
            group = safe if is_isolated or final not in used else others
            group[str(plan.digests.digest(final))] = final, values[key]
    missed = others | safe
    stored = plan.store.known(missed)
    for digest, (key, value) in missed.items():
        if digest in stored:
            continue
        details = task_details(key, plan.tasks[key], plan.digests)
        why = _IS_FILE if files_in(value) else "" if digest in safe else _MAY_HAVE_CHANGED
        if not why:
            save(plan.store, digest, value, details)
        else:
            plan.store.notes.add_call(
                details.function, digest, details.code, details.arguments, why
            )


class Opened(NamedTuple):
    """What a scheduler gets.

    inner: the tasks that Dask would run inside others
    """

    tasks: dict[Key, Any]
    outputs: list[Key]
    annotations: Annotations
    inner: set[Key]


def open_collections(collections: Sequence[Any]) -> Opened:
    """The tasks of some collections as a run through a store sees them."""
    opened = [Opened({}, [], {}, set())]

    def get(dsk: Any, keys: list[Key], **_: Any) -> list[None]:
        opened.append(open_graph(dsk, keys))
        return [None for _ in keys]

    if unpacked := list(map(unfused, unpack_collections(*collections)[0])):
        with planned():
            dask.compute(*unpacked, traverse=False, optimize_graph=False, scheduler=get)
    return opened[-1]


@paused_collector()
def open_graph(dsk: Any, keys: Any) -> Opened:
    """What a scheduler gets as an expression, or as a graph, and keys in nested lists."""
    graph = dsk.__dask_graph__() if hasattr(dsk, "__dask_graph__") else dsk
    # Those of other graphs are lost already.
    kinds = dsk.__dask_annotations__() if hasattr(dsk, "__dask_annotations__") else {}
    annotations: Annotations = defaultdict(dict)
    for kind, by_key in kinds.items():
        for key, value in by_key.items():
            annotations[key][kind] = value
    tasks = task_dict(graph)
    outputs = output_keys(tasks, flatten([keys]))
    inner = inner_keys(graphs_of(dsk), [*outputs, *flatten([keys])])
    inner -= {final_key(tasks, key) for key in outputs}
    whole = fuse_bags(with_iterators(tasks, outputs), outputs)
    return Opened(whole, outputs, annotations, inner)


def output_keys(tasks: Mapping[Key, Any], keys: Iterable[Key]) -> list[Key]:
    """The outputs that some keys stand for, once each: a task that only gathers has many."""
    arrays = sys.modules.get("dask.array.core")
    gathering = (fill_outputs, list, getattr(arrays, "finalize", list))
    outputs: dict[Key, None] = {}
    for key in keys:
        node: Any = tasks.get(key)
        is_final = type(node) is Task and str(key).startswith("finalize")
        is_gathering = is_final and node.func in gathering
        outputs |= dict.fromkeys(inputs_of(node) if is_gathering else [key])
    return list(outputs)


@paused_collector()
def remaining_tasks(
    plan: Plan, outputs: Sequence[Key], annotations: Annotations, is_in_processes: bool = False
) -> dict[Key, Any]:
    """The tasks to run for some outputs, fused as without a store: see `tasks_to_run`."""
    tasks = tasks_to_run(plan, outputs)
    if not dask.config.get("pipeline.fuse", True):
        return tasks
    # Blocks of arrays and frames: their collections were not fused, so that each can be stored.
    # For processes Dask fuses lines of all tasks: what is between two of them need not be pickled.
    blocks = {
        key: node
        for key, node in tasks.items()
        if (isinstance(key, tuple) or is_in_processes)
        and type(plan.tasks[key]) is Task
        and type(node) is not LoadTask
        and key not in annotations
    }
    if plan.inner:
        tasks = fuse_inner(tasks, plan.inner & blocks.keys(), outputs)
        blocks = {key: tasks[key] for key in blocks if key in tasks}
    if len(blocks) > 1:
        others = [node for key, node in tasks.items() if key not in blocks]
        needed = {key for node in others for key in inputs_of(node)}
        tasks = toposort({**tasks, **fuse_lines(blocks, {*outputs, *needed})}, outputs)
    return in_order(fuse_tasks(tasks, [outputs]))


def as_expression(
    tasks: Mapping[Key, Any], outputs: Sequence[Key], annotations: Annotations
) -> HLGExpr:
    """Tasks as a client takes them without hashing each, in one layer per annotations."""
    layers: dict[str, MaterializedLayer] = {}
    for key, node in tasks.items():
        own = annotations.get(key)
        if (name := repr(own)) not in layers:
            layers[name] = MaterializedLayer({}, annotations=own)
        layers[name].mapping[key] = node
    dependencies = {name: layers.keys() - {name} for name in layers}
    return HLGExpr(HighLevelGraph(layers, dependencies), output_keys=list(outputs))
