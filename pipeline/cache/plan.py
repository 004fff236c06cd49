"""The plan of a run with a store: load the result of a task, compute it, or leave it out."""

import math
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from typing import Any, Literal
from uuid import uuid4

from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, TaskRef
from dask.typing import Key

from pipeline.cache.records import Found, Run, content_key, fetch, find, find_all_by_content
from pipeline.cache.saving import task_name, task_names
from pipeline.cache.task_digests import TaskDigests, alias_target
from pipeline.cache.tracking import Outcome, Process, merged
from pipeline.graph import CallTask, inputs_of, toposort
from pipeline.identity import paused_collector
from pipeline.schedule import noting
from pipeline.share import DECLARED, STORING, UNTRACKED, Impurity, Readings
from pipeline.store import Entry, Store

Status = Literal["hit", "miss", "skipped", "culled"]

_TOGETHER = 1000
"""Results that are requested together: so many headers are in memory at the same time."""

_SMALL = 1 << 12
"""Bytes of a result that comes with its header, if it is distant."""


@dataclass
class Plan:
    """What happens to the tasks of a graph.

    tasks, outputs: the graph, and the tasks whose values are requested
    run: whether the tasks run in this process, and when it began
    is_final: nobody plans again if an entry is lost: the worker that misses it computes the result
    status: `hit`, loaded; `miss`, computed and stored if that is worth it, or loaded if an equal
        task has just been stored; `skipped`, computed and neither looked up nor stored; `culled`,
        without a consumer that runs
    reasons: why tasks are skipped
    found: the results of hits
    changes: why results of misses that are stored are not loaded: what changed
    inner: the tasks that run inside others; their results are not stored
    opened: the entries of outputs that this process loads, verified, with their payloads
    """

    store: Store
    tasks: Mapping[Key, Any]
    outputs: list[Key]
    digests: TaskDigests
    run: Run
    is_final: bool
    status: dict[Key, Status] = field(default_factory=dict)
    reasons: dict[Key, str] = field(default_factory=dict)
    found: dict[Key, Found] = field(default_factory=dict)
    changes: dict[Key, str] = field(default_factory=dict)
    opened: dict[Key, tuple[Entry, memoryview]] = field(default_factory=dict)
    inner: Set[Key] = frozenset()


@noting("planned")
@paused_collector()
def make_plan(
    store: Store,
    tasks: Mapping[Key, Any],
    outputs: Iterable[Key],
    is_loading: bool = True,
    is_local: bool = True,
    is_final: bool = False,
    digests: TaskDigests | None = None,
    process: Callable[[], Process] | None = None,
    readings: Readings | None = None,
    inner: Set[Key] = frozenset(),
) -> Plan:
    """Plan a run: see `Plan`. Raises `GraphError` for a cycle.

    is_loading: False to compute everything, and to store it
    digests: of these tasks, as far as they are known
    process: finds the process where the tasks run, if that is not this one
    readings: what `share` has just read of these tasks
    inner: the tasks that Dask runs inside others: stored results are loaded, no others are stored
    """
    is_observed = is_local or store.is_shared
    scope = STORING if is_observed else UNTRACKED
    scope = DECLARED if store.purity == "declared" else scope
    if readings is None or readings.versions != store.versions:
        readings = Readings(store.versions)
    digests = digests or TaskDigests(tasks, scope, readings)
    run = Run(uuid4().hex, is_local, time.time())
    plan = Plan(store, tasks, list(outputs), digests, run, is_final, inner=inner)
    digests.add(plan.outputs)
    targets = {final_key(tasks, key) for key in plan.outputs}
    work = dict.fromkeys(key for key in digests.numbers if is_work(tasks.get(key)))
    reason = cache(lambda key: _skip_reason(plan, key, key in targets))

    lookup = _Lookup(plan, [key for key in work if not reason(key)], targets)
    checked: dict[Any, Any] = {Process: process} if process else {}
    for wave in _needed_work(plan, work):
        for key in wave:
            plan.status[key] = "skipped" if reason(key) else "miss"
            if why := reason(key):
                plan.reasons[key] = why
        if is_loading:
            looked_up = lookup.candidates(wave)
            _find_all(plan, looked_up, targets, checked)
            lookup.look_ahead(wave, looked_up)
    if is_loading and _find_by_content(plan, checked):
        needed = set(chain.from_iterable(_needed_work(plan, work)))
        plan.status = {key: status for key, status in plan.status.items() if key in needed}
    for key in inner & plan.status.keys():
        if plan.status[key] == "miss" and not is_one_of(store.keep, key, tasks[key]):
            plan.status[key], plan.reasons[key] = "skipped", "computed within the task behind it"
    for key in work:
        plan.status.setdefault(key, "culled")
    return plan


def _needed_work(plan: Plan, work: Container[Key]) -> Iterator[list[Key]]:
    """The tasks that something needs, in waves.

    The caller gives each a status before it takes the next wave: the inputs of those that run.
    """
    stack, seen = plan.outputs[::-1], set()
    while stack:
        wave = []
        while stack:
            key = stack.pop()
            if key in seen:
                continue
            seen.add(key)
            if key in work:
                wave.append(key)
            else:
                stack.extend(reversed(inputs_of(plan.tasks.get(key))))
        yield wave
        running = [key for key in reversed(wave) if plan.status.get(key) != "hit"]
        stack = [source for key in running for source in reversed(inputs_of(plan.tasks[key]))]


class _Lookup:
    """Which tasks may have a stored result.

    A backend that answers many requests at once gets those of all tasks that are needed. As long as
    nothing is found, they look further ahead: else a long chain takes a request after the other.
    """

    def __init__(self, plan: Plan, keys: list[Key], outputs: Container[Key]) -> None:
        self.plan, self.outputs = plan, outputs
        self._digests = {key: str(plan.digests.digest(key)) for key in keys}
        self._missing: set[str] = set()
        self._levels = 0
        self._stored: dict[bool, set[str]] = {}

    def candidates(self, wave: list[Key]) -> list[Key]:
        """The tasks of a wave that may have a result."""
        own = [key for key in wave if key in self._digests]
        if self.plan.store.is_distant:
            return [key for key in own if self._digests[key] not in self._missing]
        return [key for key in own if self._digests[key] in self._all_stored(key in self.outputs)]

    def _all_stored(self, is_output: bool) -> set[str]:
        """The stored results of the outputs; those of others, if they are needed."""
        if is_output not in self._stored:
            keys = (key for key in self._digests if (key in self.outputs) is is_output)
            self._stored[is_output] = self.plan.store.known(self._digests[key] for key in keys)
        return self._stored[is_output]

    def look_ahead(self, wave: list[Key], looked_up: list[Key]) -> None:
        """Ask for the inputs of tasks, and for those before them, if none of these has a result."""
        plan = self.plan
        is_cold = looked_up and not any(plan.status[key] == "hit" for key in looked_up)
        if not (is_cold and plan.store.is_distant):
            return
        ahead: dict[Key, None] = {}
        front: Iterable[Key] = wave
        for _ in range(self._levels):
            front = {source for key in front for source in inputs_of(plan.tasks.get(key))
                     if source not in ahead}  # fmt: skip
            ahead |= dict.fromkeys(front)
        digests = {self._digests[key] for key in ahead if key in self._digests} - self._missing
        self._missing |= digests - plan.store.known(digests)
        self._levels = 2 * self._levels + 1


def _find_all(
    plan: Plan, keys: Iterable[Key], outputs: Container[Key], checked: dict[Any, Any]
) -> None:
    """Find the results of tasks. What is distant is requested together."""
    store, some = plan.store, iter(keys)
    is_kept = plan.run.is_local and store.upstream is not None
    while together := list(islice(some, _TOGETHER)):
        digests = {key: str(plan.digests.digest(key)) for key in together}
        with store.fetching():
            distant = set(store.distant(digests.values()))
            # Others are read when their tasks run, wherever that is.
            loaded = {digest for key, digest in digests.items() if digest in distant
                      and (is_kept or (key in outputs and not plan.is_final))}  # fmt: skip
            with store.failures.tolerating("read") as is_reachable:
                if distant and is_reachable:
                    fetch(store, distant, checked)
                    found = [find(store, digest, checked)[0] for digest in loaded]
                    store.fetch([result.entry.digest for result in found if result], True)
            for key, digest in digests.items():
                is_here = digest in distant and plan.run.is_local and not is_kept
                opened_bytes = math.inf if key in outputs else _SMALL if is_here else -1
                if _find(plan, key, opened_bytes, checked):
                    plan.status[key] = "hit"


def _find(plan: Plan, key: Key, opened_bytes: float, checked: dict[Any, Any]) -> bool:
    """Whether there is a result of a task that is current; it is kept in the plan.

    opened_bytes: up to this size it is verified now; others are verified when their task runs
    """
    store, digest = plan.store, str(plan.digests.digest(key))
    with store.failures.tolerating("read") as is_reachable:
        found, why = find(store, digest, checked) if is_reachable else (None, "")
        if found is not None and found.entry.bytes <= opened_bytes and not plan.is_final:
            opened = store.open(found.entry.digest)
            if opened is None or opened[0].checksum != found.entry.checksum:
                return False
            plan.opened[key] = opened
        if found is not None:
            plan.found[key] = found
            return True
        plan.changes[key] = why
        if not why:
            store.open(digest)  # which removes a corrupt entry, with a warning
    return False


def _find_by_content(plan: Plan, checked: dict[Any, Any]) -> bool:
    """Find results of misses by the content of their inputs, as far as that is stored.

    Whether one was found.
    """
    if not plan.found or "miss" not in plan.status.values():
        return False
    before, store = len(plan.found), plan.store
    for keys in _levels(plan):
        names = {key: name for key in keys if (name := _content_key(plan, key))}
        found: dict[str, Found] = {}
        with store.failures.tolerating("read") as is_reachable:
            if names and is_reachable:
                found = find_all_by_content(store, names.values(), checked)
        for key, name in names.items():
            if (result := found.get(name)) is not None:
                inputs = [known_outcome(plan, source) for source in inputs_of(plan.tasks[key])]
                passed = merged([Outcome(result.inputs), *filter(None, inputs)])
                plan.found[key] = result._replace(inputs=passed.inputs)
                plan.status[key] = "hit"
    return len(plan.found) > before


def _levels(plan: Plan) -> list[list[Key]]:
    """The misses of a plan; those of a level depend on none of their own or of later levels."""
    levels: dict[int, list[Key]] = {}
    level: dict[Key, int] = {}
    for key in toposort(plan.tasks, plan.outputs):
        before = max((level.get(source, 0) for source in inputs_of(plan.tasks.get(key))), default=0)
        level[key] = before + (plan.status.get(key) == "miss")
        if level[key] > before:
            levels.setdefault(level[key], []).append(key)
    return [levels[number] for number in sorted(levels)]


def _content_key(plan: Plan, key: Key) -> str:
    """The content key of a task. Empty if the content of its inputs is not known."""
    outcomes = [known_outcome(plan, source) for source in inputs_of(plan.tasks[key])]
    if not outcomes or not all(outcome and outcome.content for outcome in outcomes):
        return ""
    contents = [outcome.content for outcome in outcomes if outcome]
    return content_key(plan.digests.form(key), contents, plan.store.versions)


def known_outcome(plan: Plan, key: Key) -> Outcome | None:
    """The outcome of a hit, or of a constant. None if the task runs."""
    key = final_key(plan.tasks, key)
    if key in plan.found:
        return plan.found[key].outcome
    is_constant = isinstance(plan.tasks.get(key), DataNode)
    return Outcome(content=plan.digests.digest(key) or "") if is_constant else None


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
    if is_one_of(store.skip, key, node):
        return "it is one of skip="
    if key in plan.digests.shuffles.steps:
        return "a step of a shuffle, of which all run or none"
    is_cheap = isinstance(node, NestedContainer) or (isinstance(node, CallTask) and node.cheap)
    if is_cheap and not is_output and not is_one_of(store.keep, key, node):
        return "it is cheap, and not an output"
    return ""


def refusals(plan: Plan) -> dict[str, str]:
    """Why requested results are not stored after a run: reasons by function."""
    reasons: dict[str, str] = {}
    requested = {final_key(plan.tasks, key) for key in plan.outputs}
    if keep := plan.store.keep:
        requested |= {key for key in plan.status if is_one_of(keep, key, plan.tasks[key])}
    for key in sorted(requested, key=str):
        status, digest = plan.status.get(key), plan.digests.digest(key)
        if status == "miss" and (why := plan.run.passed_on(plan.store, str(digest)).why):
            name, _, reason = why.partition(": ")
            reasons.setdefault(name, reason)
        elif status == "skipped" and digest is None:
            reasons |= _roots(plan, key)
    return reasons


def _roots(plan: Plan, output: Key) -> dict[str, str]:
    """The functions for which a task has no digest, with the reasons; not those marked impure."""
    reasons: dict[str, str] = {}
    stack, seen = [output], set()
    while stack:
        key = stack.pop()
        if key not in seen and key in plan.tasks and plan.digests.digest(key) is None:
            seen.add(key)
            reason = plan.digests.reasons.get(key)
            if reason and not (isinstance(reason, Impurity) and reason.reason in DECLARED):
                reasons.setdefault(task_name(key, plan.tasks[key]), str(reason))
            stack += inputs_of(plan.tasks[key])
    return reasons


def is_one_of(names: frozenset[str], key: Key, node: Any) -> bool:
    """Whether a task has one of these names."""
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
