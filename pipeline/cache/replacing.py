"""What runs in the place of tasks: they load results, or compute and save them."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import dask.local
from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, TaskRef
from dask.typing import Key

from pipeline.cache.explaining import TaskNotes
from pipeline.cache.isolating import with_copies
from pipeline.cache.plan import Plan, final_key, is_one_of, known_outcome
from pipeline.cache.saving import (
    Arguments,
    Later,
    Load,
    Save,
    TaskDetails,
    made_now,
    task_details,
    task_name,
)
from pipeline.cache.tracking import Outcome, Watcher
from pipeline.graph import CallTask, function_of, inputs_of, toposort
from pipeline.program import LoadTask
from pipeline.schedule import noting
from pipeline.share import is_arithmetic

MAX_RECOMPUTED = 20_000
"""Tasks that all loads of a run carry along, to compute results that cannot be loaded."""

_NO_DETAILS = made_now(TaskDetails("", "", "", []))
_NO_ARGUMENTS = made_now(Arguments())


def tasks_to_run(plan: Plan, outputs: Sequence[Key]) -> dict[Key, Any]:
    """The tasks to run for some outputs: hits load their results, misses save theirs.

    Equal tasks stay apart, for a consumer may write into its input. Nothing orders them: with more
    dependencies Dask would hold results for longer. Their leases have one compute at a time.
    """
    store = plan.store
    behind = max((found.entry.behind for found in plan.found.values()), default=0.0)
    targets = {plan.digests.digest(final_key(plan.tasks, key)) for key in plan.outputs}
    is_reachable = plan.run.is_local or store.is_shared  # for those that run the tasks
    misses = Counter(
        plan.digests.digest(key) for key, status in plan.status.items() if status == "miss"
    )
    details: dict[str, Later[TaskDetails]] = {}
    tasks: dict[Key, Any] = dict(plan.tasks)
    hits = {key for key, status in plan.status.items() if status == "hit"}
    order = toposort({key: node for key, node in tasks.items() if key not in hits}, outputs)
    tasks |= with_copies(order, outputs, plan.digests.reasons)
    upstream = _upstream(plan, order) if is_reachable else {}
    consumers = Counter(
        chain.from_iterable(upstream[key] for key in upstream if _is_watched(plan, key))
    )
    run = plan.run._replace(begun=time.time(), behind=behind)
    watcher, notes = Watcher(store, plan.digests), TaskNotes(store, plan.digests)
    limit = MAX_RECOMPUTED
    for key, status in plan.status.items():
        node, digest = tasks[key], plan.digests.digest(key)
        if digest is None:
            continue
        if status == "hit":
            needed = _needed(plan, key, limit) if plan.is_final else {}
            limit -= len(needed)
            recompute = partial(dask.local.get_sync, needed, key) if needed else None
            entry, inputs, _ = plan.found[key]
            load = Load(
                store, entry.digest, entry.checksum, plan.opened.get(key), recompute, inputs
            )
            if is_reachable:
                tasks[key] = LoadTask(key, load, (), False)
            else:  # workers get the value
                with noting("loaded", key):
                    tasks[key] = DataNode(key, load())
        elif key in upstream and _is_watched(plan, key):
            own, is_kept = plan.tasks[key], status == "miss"
            if digest not in details:
                details[digest] = Later(partial(task_details, key, own, plan.digests))
                notes.add(key, own, digest, details[digest])
            save = Save(
                store, digest, function_of(node), task_name(key, own),
                details[digest] if is_kept else _NO_DETAILS, run, watcher(own), upstream[key],
                Later(partial(_arguments, plan, key)) if is_kept else _NO_ARGUMENTS,
                is_always=digest in targets or is_one_of(store.keep, key, own),
                is_repeated=misses[digest] > 1, is_kept=is_kept,
                consumers=consumers[digest],
            )  # fmt: skip
            is_cheap = status != "miss" and isinstance(node, CallTask) and node.cheap
            tasks[key] = CallTask(key, save, tuple(inputs_of(node)), cheap=is_cheap)
    return toposort(tasks, outputs)


def _is_watched(plan: Plan, key: Key) -> bool:
    """Whether a task that runs may read what no digest covers: not the operators of a call."""
    node, status = plan.tasks.get(key), plan.status.get(key)
    if plan.digests.digest(key) is None or status not in ("miss", "skipped"):
        return False
    if key in plan.digests.shuffles.steps:
        return False
    if status == "miss":
        return True
    is_call = isinstance(node, CallTask) and node.cheap
    return not (isinstance(node, NestedContainer) or (is_call and is_arithmetic(node)))


def _upstream(plan: Plan, order: Iterable[Key]) -> dict[Key, dict[str, Outcome | None]]:
    """The nearest tasks before each task that are loaded or watched, by digest.

    Those that are loaded have a known outcome, and so have constants.
    """
    nothing: dict[str, Outcome | None] = {}
    seen: dict[Key, dict[str, Outcome | None]] = {}  # what a consumer of a task depends on
    before: dict[Key, dict[str, Outcome | None]] = {}
    for key in order:
        node, own = plan.tasks.get(key), nothing
        for source in inputs_of(node):
            if source not in seen:
                known = known_outcome(plan, source)
                digest = plan.digests.digest(source)
                seen[source] = {digest: known} if known and digest else nothing
            own = {**own, **seen[source]} if own and seen[source] else own or seen[source]
        before[key] = own
        if isinstance(node, DataNode):
            seen[key] = {str(plan.digests.digest(key)): known_outcome(plan, key)}
        else:
            seen[key] = {str(plan.digests.digest(key)): None} if _is_watched(plan, key) else own
    return before


def _arguments(plan: Plan, key: Key) -> Arguments:
    """How a task is found by the content of its inputs; not at all if it has none."""
    digests = [plan.digests.digest(source) or "" for source in inputs_of(plan.tasks[key])]
    return Arguments(plan.digests.form(key), tuple(digests)) if digests else Arguments()


def _needed(plan: Plan, key: Key, limit: int) -> dict[Key, Any]:
    """The tasks that compute a result; none if they are too many, or not all of them are known."""
    needed: dict[Key, Any] = {}
    stack = [key]
    while stack:
        current = stack.pop()
        if current in needed:
            continue
        node = needed[current] = plan.tasks.get(current)
        is_bound = current in plan.digests.shuffles.steps
        if node is None or isinstance(node, TaskRef) or is_bound or len(needed) > limit:
            return {}
        stack += inputs_of(node)
    return needed
