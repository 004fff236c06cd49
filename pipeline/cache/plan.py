"""What a run with a store does with each task: load its result, compute it, or leave it out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import dask.local
from dask._task_spec import NestedContainer
from dask.task_spec import Alias, DataNode, TaskRef

from pipeline.cache.digested import Digests, alias_of
from pipeline.cache.saver import Load, Save, SaveTask
from pipeline.cache.told import function_of_task, names_of, title_of, told
from pipeline.graph import CallTask, function_of, inputs_of, toposort
from pipeline.program import LoadTask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dask.typing import Key

    from pipeline.store import Entry, Store

Opening = Literal["all", "outputs", "none"]
Status = Literal["hit", "miss", "skipped", "culled"]
HIT: Final = "hit"
MISS: Final = "miss"
SKIPPED: Final = "skipped"
CULLED: Final = "culled"


@dataclass
class Plan:
    """What happens to the tasks of a graph.

    tasks: the graph, and outputs: what is asked of it
    digests: of its tasks
    status: of each task that is needed for the outputs: `hit`, loaded; `miss`, computed and
        stored if that is worth it; `skipped`, which is computed and neither looked up nor stored;
        `culled`, which nothing that runs takes
    why: tasks are skipped
    entries: of the tasks that are loaded, with the payload of those that are open
    """

    store: Store
    tasks: Mapping[Key, Any]
    outputs: list[Key]
    digests: Digests
    status: dict[Key, Status] = field(default_factory=dict)
    why: dict[Key, str] = field(default_factory=dict)
    entries: dict[Key, tuple[Entry, memoryview | None]] = field(default_factory=dict)

    def count(self, status: Status) -> int:
        """How many tasks have a status."""
        return sum(each == status for each in self.status.values())


def make_plan(
    store: Store,
    tasks: Mapping[Key, Any],
    outputs: Iterable[Key],
    is_loading: bool = True,
    opening: Opening = "all",
) -> Plan:
    """What to do with the tasks of a graph. Raises `GraphError` for a cycle.

    is_loading: False to compute all, and to store it
    opening: which of the entries that will be loaded are opened, and so verified, now: those that
        this process loads; workers open the others
    """
    plan = Plan(store, tasks, list(outputs), Digests(tasks))
    plan.digests.add(plan.outputs)
    asked = _without_aliases(tasks, plan.outputs)
    wanted = {key for key in asked if _looked_up(plan, key, True)} if is_loading else set()
    found = store.known(plan.digests.digest(key) or "" for key in wanted)
    if len(found) < len(wanted) or len(wanted) < len(asked):
        more = {key for key in plan.digests.numbers if key not in wanted and _looked_up(plan, key)}
        if more and is_loading:
            found |= store.known(plan.digests.digest(key) or "" for key in more)
    _walk(plan, asked, found, opening)
    for key in plan.digests.numbers:
        if key not in plan.status and _is_work(tasks.get(key)):
            plan.status[key] = CULLED
    return plan


def _walk(plan: Plan, asked: set[Key], found: set[str], opening: Opening) -> None:
    """Decide of each task, outputs first; what is loaded needs no inputs."""
    stack, seen = list(plan.outputs)[::-1], set()
    while stack:
        key = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        node = plan.tasks.get(key)
        if _is_work(node):
            plan.status[key] = _status(plan, key, key in asked, found, opening)
        if plan.status.get(key) != HIT:
            stack.extend(each for each in reversed(inputs_of(node)) if each not in seen)


def _status(plan: Plan, key: Key, is_output: bool, found: set[str], opening: Opening) -> Status:
    if not _looked_up(plan, key, is_output):
        return SKIPPED
    digest = plan.digests.digest(key)
    if digest is None or digest not in found:
        return MISS
    if opening == "all" or (is_output and opening == "outputs"):
        opened: Any = plan.store.open(digest)
    else:
        entry = plan.store.entry(digest)
        opened = entry and (entry, None)
    if not opened:
        return MISS
    plan.entries[key] = opened
    return HIT


def _without_aliases(tasks: Mapping[Key, Any], outputs: Iterable[Key]) -> set[Key]:
    """The tasks whose values are asked for."""
    found = set()
    for key in outputs:
        found.add(passed_on(tasks, key))
    return found


def passed_on(tasks: Mapping[Key, Any], key: Key) -> Key:
    """The task whose result a key has in the end."""
    while (target := alias_of(tasks.get(key))) is not None:
        key = target
    return key


def _is_work(node: Any) -> bool:
    """Whether a task computes something: constants, and data that a cluster holds, are there."""
    is_there = node is None or isinstance(node, DataNode | TaskRef)
    return not is_there and alias_of(node) is None


def _looked_up(plan: Plan, key: Key, is_output: bool = False) -> bool:
    """Whether the result of a task may be in the store; if not, why."""
    node = plan.tasks.get(key)
    if not _is_work(node):
        return False
    why = ""
    if plan.digests.digest(key) is None:
        why = _reason(plan, key)
    elif plan.store.skip and plan.store.skip & names_of(key, node):
        why = "it is one of skip="
    elif not is_output and _is_cheap(node) and not _is_kept(plan.store, key, node):
        why = "it is cheap, and no output"
    if why:
        plan.why[key] = why
    return not why


def _is_cheap(node: Any) -> bool:
    return isinstance(node, NestedContainer) or (isinstance(node, CallTask) and node.cheap)


def _is_kept(store: Store, key: Key, node: Any) -> bool:
    return bool(store.keep) and bool(store.keep & names_of(key, node))


def _reason(plan: Plan, key: Key) -> str:
    """Why a task has no digest."""
    reasons = plan.digests.reasons
    if key in reasons:
        return f"impure: {reasons[key]}" if not isinstance(reasons[key], str) else str(reasons[key])
    for each in inputs_of(plan.tasks.get(key)):
        node = plan.tasks.get(each)
        if plan.digests.digest(each) is None:
            if node is None or isinstance(node, TaskRef):
                return "it takes what a cluster holds, whose content is not known"
            return f"it depends on {title_of(each, node)}, which is not stored"
    return "it has no content that can be told"


def rewritten(plan: Plan, is_local: bool, is_final: bool = False) -> dict[Key, Any]:
    """The tasks to run: those that are loaded without what they need, the others storing.

    is_local: whether they run in this process, which holds the entries open
    is_final: whether nobody plans again if an entry is lost: then workers compute it themselves
    """
    begun = time.time()
    behind = max((entry.behind for entry, _ in plan.entries.values()), default=0.0)
    asked = {plan.digests.digest(key) for key in _without_aliases(plan.tasks, plan.outputs)}
    first: dict[str, Key] = {}
    is_storing = is_local or plan.store.is_shared
    tasks: dict[Key, Any] = dict(plan.tasks)
    room = _MOST
    for key, status in plan.status.items():
        node, digest = plan.tasks[key], plan.digests.digest(key)
        if digest is None:
            continue
        if status == HIT:
            entry, payload = plan.entries[key]
            held = (entry, payload) if payload is not None else None
            instead = _otherwise(plan, key, room) if is_final else {}
            room -= len(instead)
            otherwise = partial(dask.local.get_sync, instead, key) if instead else None
            is_near = is_local or not is_storing
            load = Load(plan.store, digest, held if is_near else None, otherwise)
            # Workers that cannot reach the store are given the value.
            tasks[key] = LoadTask(key, load, (), False) if is_storing else DataNode(key, load())
        elif status == MISS and first.setdefault(digest, key) != key:
            tasks[key] = Alias(key, first[digest])  # else one would wait for the other
        elif status == MISS and is_storing:
            save = Save(
                plan.store, digest, function_of(node), told(key, node, plan.digests),
                function_of_task(node),
                digest in asked or _is_kept(plan.store, key, node), begun, behind,
            )  # fmt: skip
            tasks[key] = SaveTask(key, save, tuple(inputs_of(node)), cheap=False)
    return toposort(tasks, plan.outputs)


_MOST = 20_000
"""Tasks that go, all in all, with those that are loaded, to be run in their place."""


def _otherwise(plan: Plan, key: Key, most: int) -> dict[Key, Any]:
    """The tasks that compute a result that is lost; none where they are many, or not all known."""
    found: dict[Key, Any] = {}
    stack = [key]
    while stack:
        each = stack.pop()
        if each in found:
            continue
        node = found[each] = plan.tasks.get(each)
        if node is None or isinstance(node, TaskRef) or len(found) > most:
            return {}
        stack += inputs_of(node)
    return found
