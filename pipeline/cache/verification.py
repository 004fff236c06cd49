"""Whether the entries of a store are intact, and whether functions give stored results again."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple, get_args
from uuid import uuid4

import dask
import numpy as np
from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.cache.plan import Plan, Status, make_plan
from pipeline.cache.records import Found, find
from pipeline.cache.replacing import tasks_to_run
from pipeline.cache.running import open_collections, planned
from pipeline.cache.saving import task_call, task_name
from pipeline.graph import CallTask, TaskGraph, function_of, inputs_of, toposort
from pipeline.identity import digest as content_digest
from pipeline.identity import printable, short_repr
from pipeline.store import (
    CodecError,
    LostError,
    Store,
    StoreError,
    UnstorableError,
    checksum,
    decoded,
    encoded,
    files_in,
)

Outcome = Literal["same", "differs", "raised", "not compared"]


class Rerun(NamedTuple):
    """How the result of a task that ran again compares with the stored one.

    seconds: that it took now
    """

    outcome: Outcome
    call: str
    why: str
    function: str
    digest: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    entries: the number of entries that were read
    corrupt: the digests of corrupt entries, and why they are
    hits: the number of tasks whose results are stored
    reruns: the hits that ran again
    """

    entries: int = 0
    corrupt: list[tuple[str, str]] = field(default_factory=list)
    hits: int = 0
    reruns: list[Rerun] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether no entry is corrupt, and no result differs."""
        return not self.corrupt and not self.differing

    @property
    def differing(self) -> list[str]:
        """The functions that did not give a stored result again."""
        return sorted({run.function for run in self.reruns if run.outcome in ("differs", "raised")})

    def summary(self) -> str:
        """The result in one line."""
        if self.entries or not self.hits:
            return f"{self.entries:,} entries read, {len(self.corrupt):,} of them corrupt"
        counts = Counter(run.outcome for run in self.reruns)
        outcomes = [f"{counts[name]:,} {name}" for name in get_args(Outcome) if counts[name]]
        return f"{len(self.reruns):,} of {self.hits:,} hits run again: {', '.join(outcomes)}"

    def __str__(self) -> str:
        lines = [f"{name}  {why}" for name, why in self.corrupt]
        lines += [f"{run.outcome}  {run.call}  {run.why}"
                  for run in self.reruns if run.outcome != "same"]  # fmt: skip
        return "\n".join([*lines, self.summary()])

    __repr__ = __str__


def verify(store: Store, *collections: Any, recompute: float = 0.05, seed: int = 0) -> Verification:
    """Verify a store.

    Without collections: read all entries, and remove the corrupt ones. With collections: run some
    of their tasks whose results are stored again, and compare the results by content. Inputs are
    loaded where they are stored. Nothing is stored, and results that differ stay.

    recompute: the share of hits to run again, at least one of each function
    seed: of the choice

    Raises `StoreError` for a share that is not above 0 and up to 1.
    """
    if not 0 < recompute <= 1:
        raise StoreError(f"recompute={recompute!r}: it is a share of hits, above 0 and up to 1")
    if not collections:
        return verify_entries(store)
    tasks = toposort(*open_collections(collections)[:2])
    plan = make_plan(store, tasks, tasks, is_loading=False)  # all of them, also inputs of hits
    keys = {plan.digests.digest(key): key for key in tasks if plan.status.get(key) == "miss"}
    checked: dict[Any, Any] = {}
    hits = {
        keys[digest]: found
        for digest in sorted(store.known(map(str, keys)))
        if (found := find(store, digest, checked)[0])
    }
    graph = _rerun_graph(plan, {key: hits[key] for key in _sample(hits, tasks, recompute, seed)})
    with planned():  # results are computed, not loaded
        reruns = list(dask.compute(graph, traverse=False, optimize_graph=False)[0] if hits else [])
    store.failures.emit_warnings()
    return Verification(hits=len(hits), reruns=reruns)


def verify_entries(
    store: Store,
    is_removing: bool = True,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Verification:
    """Read all entries of a store, and remove the corrupt ones.

    progress: wraps the list of digests, to follow the reading

    An entry that cannot be read, for want of a permission say, stays. Raises what the backend of
    the store raises where it cannot be listed.
    """
    corrupt, entries = [], 0
    for name in progress(list(store.digests())):
        try:
            entries += store.check(name)  # False if another process removed it
        except CodecError as error:
            entries += 1
            why = str(error)
            try:
                if is_removing:
                    store.remove(name)
            except OSError as failure:
                why += f"; it cannot be removed: {failure.strerror or failure}"
            corrupt.append((name, printable(why)))
        except OSError as error:
            entries += 1
            corrupt.append((name, f"it cannot be read: {error.strerror or error}"))
    return Verification(entries, corrupt)


# Running again


def _sample(hits: Iterable[Key], tasks: Mapping[Key, Any], share: float, seed: int) -> list[Key]:
    """Some of the hits, at least one of each function."""
    by_function = defaultdict(list)
    for key in hits:
        by_function[task_name(key, tasks[key])].append(key)
    random = np.random.default_rng(seed)
    chosen = []
    for _, keys in sorted(by_function.items()):
        places = random.choice(len(keys), math.ceil(share * len(keys)), replace=False)
        chosen += [keys[place] for place in sorted(places)]
    return chosen


def _rerun_graph(plan: Plan, chosen: Mapping[Key, Found]) -> TaskGraph:
    """The chosen tasks, each with a comparison, and their inputs: loaded, or else computed."""
    store, tasks = plan.store, plan.tasks
    reruns: dict[Key, CallTask] = {}
    for key, found in chosen.items():
        node, digest = tasks[key], found.entry.digest
        rerun = Rerun("not compared", task_call(key, node), "", task_name(key, node), digest)
        function = partial(_run_again, store, function_of(node), rerun)
        output = f"again-{digest}"
        reruns[output] = CallTask(output, function, tuple(inputs_of(node)), cheap=False)
    inputs = [key for task in reruns.values() for key in task.inputs]
    plan = make_plan(store, tasks, inputs, is_local=False, is_final=True, digests=plan.digests)
    hits: dict[Key, Status] = dict.fromkeys(plan.found, "hit")
    loading = tasks_to_run(replace(plan, status=hits), inputs)  # which stores nothing
    return TaskGraph({**loading, **reruns}, list(map(TaskRef, reruns)), token=uuid4().hex)


def _run_again(store: Store, function: Callable[..., Any], rerun: Rerun, *values: Any) -> Rerun:
    values = tuple(_copy(store, value) for value in values)
    start = time.perf_counter()
    try:
        value = function(*values)
    except Exception as error:  # a user's function may raise anything
        seconds, why = time.perf_counter() - start, f"{type(error).__name__}: {error}"
        return rerun._replace(outcome="raised", why=why, seconds=seconds)
    seconds = time.perf_counter() - start
    outcome, why = _compare(store, rerun.digest, value)
    return rerun._replace(outcome=outcome, why=why, seconds=seconds)


def _copy(store: Store, value: Any) -> Any:
    """A copy of an input, which tasks may write into that run again; itself if it has no format."""
    if files_in(value):  # nobody reads gigabytes for that
        return value
    with suppress(UnstorableError, CodecError):
        payload = bytearray().join(encoded(value, store.pickle))
        return decoded(memoryview(payload), store.pickle)
    return value


def _compare(store: Store, digest: str, value: Any) -> tuple[Outcome, str]:
    """Whether a value is the stored one; if not, how they differ."""
    if (opened := store.open(digest)) is None:
        return "not compared", "its entry is no longer in the store"
    with suppress(UnstorableError):
        if checksum(encoded(value, store.pickle)) == opened[0].checksum:
            return "same", ""  # it need not be loaded
    if files_in(value):
        return "differs", "its files differ"
    try:
        stored = store.value(*opened)
        if content_digest(canonical(stored)) == content_digest(canonical(value)):
            return "same", ""
    except (LostError, TypeError) as error:
        return "not compared", str(error).removeprefix(f"{digest}: ")
    return "differs", difference(stored, value)


def canonical(value: Any) -> Any:
    """A value in whose arrays, lists, tuples and dicts each NaN has the same bits.

    >>> content_digest(canonical([math.nan])) == content_digest(canonical([-math.nan]))
    True
    """
    if isinstance(value, float) and math.isnan(value):
        return type(value)(math.nan)
    if type(value) is np.ndarray and value.dtype.kind in "fc" and np.isnan(value).any():
        clean = value.copy(order="K")
        clean[np.isnan(clean)] = np.nan
        return clean
    if type(value) in (list, tuple):
        return type(value)(map(canonical, value))
    if type(value) is dict:
        return {key: canonical(item) for key, item in value.items()}
    return value


def difference(before: Any, now: Any) -> str:
    """How two values differ, for a person.

    >>> difference(1, 2), difference(np.zeros(2), np.array([0, 0.5]))
    ('was 1, is 2', 'numbers differ by up to 0.5')
    """
    old, new = short_repr(before, 30), short_repr(now, 30)
    if type(before) is not type(now):
        return f"was {old}, a {type(before).__name__}, is {new}, a {type(now).__name__}"
    is_array = type(now) is np.ndarray
    if not is_array or before.shape != now.shape or before.dtype != now.dtype:
        return f"was {old}, is {new}"
    if now.dtype.kind not in "fc":
        return f"{int((before != now).sum()):,} of {now.size:,} elements differ"
    with np.errstate(all="ignore"):
        gaps = np.abs(now - before)
    gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
    return f"numbers differ by up to {gaps.max():.2g}" if gaps.size else "NaNs or infinities differ"
