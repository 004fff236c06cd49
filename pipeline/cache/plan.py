"""The plan of a run with a store: load the result of a task, compute it, or leave it out."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal

import dask.local
from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, TaskRef
from dask.typing import Key

from pipeline.cache.isolating import with_copies
from pipeline.cache.saving import (
    Load,
    Save,
    TaskDetails,
    task_details,
    task_function,
    task_name,
    task_names,
)
from pipeline.cache.task_digests import TaskDigests, alias_target
from pipeline.graph import CallTask, function_of, inputs_of, toposort
from pipeline.program import LoadTask
from pipeline.store import Entry, Store

Status = Literal["hit", "miss", "skipped", "culled"]

MAX_RECOMPUTED = 20_000
"""Tasks that all loads of a run carry along, to compute results that cannot be loaded."""


@dataclass
class Plan:
    """What happens to the tasks of a graph.

    tasks, outputs: the graph, and the tasks whose values are requested
    is_local: the tasks run in this process, which opens the entries before
    is_final: nobody plans again if an entry is lost: the worker that misses it computes the result
    status: `hit`, loaded; `miss`, computed and stored if that is worth it, or loaded if an equal
        task has just been stored; `skipped`, computed and neither looked up nor stored; `culled`,
        not needed by any task that runs
    reasons: why tasks are skipped
    entries: of hits
    opened: the entries that this process loads, verified, with their payloads
    """

    store: Store
    tasks: Mapping[Key, Any]
    outputs: list[Key]
    digests: TaskDigests
    is_local: bool
    is_final: bool
    status: dict[Key, Status] = field(default_factory=dict)
    reasons: dict[Key, str] = field(default_factory=dict)
    entries: dict[Key, Entry] = field(default_factory=dict)
    opened: dict[Key, tuple[Entry, memoryview]] = field(default_factory=dict)


def make_plan(
    store: Store,
    tasks: Mapping[Key, Any],
    outputs: Iterable[Key],
    is_loading: bool = True,
    is_local: bool = True,
    is_final: bool = False,
    digests: TaskDigests | None = None,
) -> Plan:
    """Plan a run: see `Plan`. Raises `GraphError` for a cycle.

    is_loading: False to compute everything, and to store it
    digests: of these tasks, as far as they are known
    """
    digests = digests or TaskDigests(tasks)
    plan = Plan(store, tasks, list(outputs), digests, is_local, is_final)
    digests.add(plan.outputs)
    targets = {final_key(tasks, key) for key in plan.outputs}
    work = dict.fromkeys(key for key in digests.numbers if is_work(tasks.get(key)))
    reason = cache(lambda key: _skip_reason(plan, key, key in targets))
    stored: set[str] = set()
    for keys in (work.keys() & targets, work.keys() - targets):
        if is_loading and len(stored) < len(targets):  # other results than the outputs are needed
            stored |= store.known(str(digests.digest(key)) for key in keys if not reason(key))
    stack, seen = plan.outputs[::-1], set()
    while stack:
        key = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        if key in work and reason(key):
            plan.status[key], plan.reasons[key] = "skipped", reason(key)
        elif key in work:
            is_open = not is_final and (is_local or not store.is_shared or key in targets)
            is_hit = digests.digest(key) in stored and _find(plan, key, is_open)
            plan.status[key] = "hit" if is_hit else "miss"
        if plan.status.get(key) != "hit":
            stack.extend(reversed(inputs_of(tasks.get(key))))
    for key in work:
        plan.status.setdefault(key, "culled")
    return plan


def _find(plan: Plan, key: Key, is_open: bool) -> bool:
    """Whether the entry of a task is there and intact; it is kept in the plan."""
    digest = str(plan.digests.digest(key))
    if not is_open:
        entry = plan.store.entry(digest)
    elif opened := plan.store.open(digest):
        plan.opened[key], entry = opened, opened[0]
    else:
        return False
    if entry is not None:
        plan.entries[key] = entry
    return entry is not None


def final_key(tasks: Mapping[Key, Any], key: Key) -> Key:
    """The task that computes the value of a key, at the end of all aliases."""
    while (target := alias_target(tasks.get(key))) is not None:
        key = target
    return key


def is_work(node: Any) -> bool:
    """Whether a task computes something: constants, and data on a cluster, are there already."""
    is_data = node is None or isinstance(node, DataNode | TaskRef)
    return not is_data and alias_target(node) is None


def _skip_reason(plan: Plan, key: Key, is_output: bool) -> str:
    """Why the result of a task is not looked up; empty if it is."""
    node, store = plan.tasks[key], plan.store
    if plan.digests.digest(key) is None:
        return _no_digest_reason(plan, key)
    if _is_one_of(store.skip, key, node):
        return "it is one of skip="
    is_cheap = isinstance(node, NestedContainer) or (isinstance(node, CallTask) and node.cheap)
    if is_cheap and not is_output and not _is_one_of(store.keep, key, node):
        return "it is cheap, and not an output"
    return ""


def _is_one_of(names: frozenset[str], key: Key, node: Any) -> bool:
    return bool(names) and not names.isdisjoint(task_names(key, node))


def _no_digest_reason(plan: Plan, key: Key) -> str:
    reason = plan.digests.reasons.get(key)
    if reason is not None:
        return reason if isinstance(reason, str) else f"impure: {reason}"
    for source in inputs_of(plan.tasks.get(key)):
        if plan.digests.digest(source) is None:
            node = plan.tasks.get(source)
            if node is None or isinstance(node, TaskRef):
                return "it depends on data of a cluster, whose content is unknown"
            return f"it depends on {task_name(source, node)}, which is not stored"
    return "its content cannot be hashed"


def tasks_to_run(plan: Plan, outputs: Sequence[Key]) -> dict[Key, Any]:
    """The tasks to run for some outputs: hits load their results, misses save theirs.

    Equal tasks stay apart, for a consumer may write into its input. Nothing orders them: with more
    dependencies Dask would hold results for longer. Their leases have one compute at a time.
    """
    store, begun = plan.store, time.time()
    behind = max((entry.behind for entry in plan.entries.values()), default=0.0)
    targets = {plan.digests.digest(final_key(plan.tasks, key)) for key in plan.outputs}
    is_reachable = plan.is_local or store.is_shared  # for those that run the tasks
    misses = Counter(
        plan.digests.digest(key) for key, status in plan.status.items() if status == "miss"
    )
    details: dict[str, TaskDetails] = {}
    tasks: dict[Key, Any] = dict(plan.tasks)
    hits = {key for key, status in plan.status.items() if status == "hit"}
    run = toposort({key: node for key, node in tasks.items() if key not in hits}, outputs)
    tasks |= with_copies(run, outputs, plan.digests.reasons)
    limit = MAX_RECOMPUTED
    for key, status in plan.status.items():
        node, digest = tasks[key], plan.digests.digest(key)
        if digest is None:
            continue
        if status == "hit":
            needed = _needed(plan, key, limit) if plan.is_final else {}
            limit -= len(needed)
            recompute = partial(dask.local.get_sync, needed, key) if needed else None
            load = Load(store, digest, plan.opened.get(key), recompute)
            # Workers that cannot reach the store get the value.
            tasks[key] = LoadTask(key, load, (), False) if is_reachable else DataNode(key, load())
        elif status == "miss" and is_reachable:
            is_always = digest in targets or _is_one_of(store.keep, key, node)
            if digest not in details:
                details[digest] = task_details(key, plan.tasks[key], plan.digests)
            source = task_function(plan.tasks[key])
            save = Save(store, digest, function_of(node), details[digest], source,
                        is_always, misses[digest] > 1, begun, behind)  # fmt: skip
            tasks[key] = CallTask(key, save, tuple(inputs_of(node)), cheap=False)
    return toposort(tasks, outputs)


def _needed(plan: Plan, key: Key, limit: int) -> dict[Key, Any]:
    """The tasks that compute a result; none if they are too many, or not all of them are known."""
    needed: dict[Key, Any] = {}
    stack = [key]
    while stack:
        current = stack.pop()
        if current in needed:
            continue
        node = needed[current] = plan.tasks.get(current)
        if node is None or isinstance(node, TaskRef) or len(needed) > limit:
            return {}
        stack += inputs_of(node)
    return needed
