"""Whether the entries of a store are whole, and whether its functions would give them again."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask
import numpy as np
from dask.task_spec import Alias, DataNode, TaskRef

from pipeline.cache.digested import Digests
from pipeline.cache.remains import asked, inside
from pipeline.cache.rerun import DIFFERS, RAISED, SAME, UNKNOWN, Again, Rerun
from pipeline.cache.saver import Load
from pipeline.cache.told import call_of, names_of, title_of
from pipeline.graph import CallTask, TaskGraph, function_of, inputs_of, toposort
from pipeline.identity import printable
from pipeline.program import LoadTask
from pipeline.store import CodecError, LostError, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dask.typing import Key


@dataclass(frozen=True)
class Verification:
    """What a store was found to be.

    entries: that were read, and torn: the digests of those that are not whole, and why
    hits: tasks whose results are stored, and reruns: those of them that were run again
    """

    entries: int = 0
    torn: list[tuple[str, str]] = field(default_factory=list)
    hits: int = 0
    reruns: list[Rerun] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether all entries are whole, and no result differs."""
        return not self.torn and not self.differing

    @property
    def differing(self) -> list[str]:
        """The functions that did not give a stored result again."""
        return sorted({each.function for each in self.reruns if each.outcome in (DIFFERS, RAISED)})

    def summary(self) -> str:
        """What it comes to, in one line."""
        if self.entries or not self.hits:
            return f"{self.entries:,} entries read, {len(self.torn):,} of them torn"
        outcomes = Counter(each.outcome for each in self.reruns)
        told = [f"{outcomes[each]:,} {each}" for each in (SAME, DIFFERS, RAISED, UNKNOWN)
                if outcomes[each]]  # fmt: skip
        return f"{len(self.reruns):,} of {self.hits:,} hits run again: {', '.join(told)}"

    def __str__(self) -> str:
        lines = [f"{name}  {why}" for name, why in self.torn]
        lines += [f"{each.outcome}  {each.call}  {each.why}"
                  for each in self.reruns if each.outcome != SAME]  # fmt: skip
        return "\n".join([*lines, self.summary()])

    __repr__ = __str__


def inspected(
    store: Store, is_removing: bool = True, along: Callable[[list[str]], Iterable[str]] = iter
) -> Verification:
    """Read all entries of a store, and have those go that are torn or foreign.

    along: gives the digests one by one, and so learns how far the reading is

    What cannot be read, for want of a permission say, stays. Raises what the store's place raises
    where it cannot be listed.
    """
    torn, entries = [], 0
    for name in along(list(store.digests())):
        try:
            entries += store.check(name)  # False if it has gone meanwhile
        except CodecError as error:
            entries += 1
            done = _removed(store, name) if is_removing else ""
            torn.append((name, printable(f"{error}{done}")))
        except OSError as error:
            entries += 1
            torn.append((name, f"it cannot be read: {error.strerror or error}"))
    return Verification(entries, torn)


def _removed(store: Store, name: str) -> str:
    """Remove an entry; gives why that could not be done."""
    try:
        store.remove(name)
    except OSError as error:
        return f"; it cannot be removed: {error.strerror or error}"
    return ""


def verify(store: Store, *collections: Any, recompute: float = 0.05, seed: int = 0) -> Verification:
    """Whether a store can be relied on.

    Without collections: all entries are read, and the torn ones removed. With collections, tasks
    of theirs whose results are stored are run again, and the results compared by content; inputs
    are loaded where they are stored. Nothing is stored, and what differs stays.

    recompute: the share of hits that are run again, at least one of each function
    seed: of the choice

    Raises `StoreError` for a share that is not above 0 and up to 1.
    """
    if not 0 < recompute <= 1:
        raise StoreError(f"recompute={recompute!r}: it is a share of hits, above 0 and up to 1")
    if not collections:
        return inspected(store)
    tasks, outputs = asked(collections)
    digests = Digests(tasks)
    digests.add(outputs)
    hits = _hits(store, digests)
    chosen = _sample(digests, hits, recompute, seed)
    reruns = _run(_graph(store, digests, chosen)) if chosen else []
    store.emit_warnings()
    return Verification(hits=len(hits), reruns=reruns)


def _hits(store: Store, digests: Digests) -> list[Key]:
    """The tasks whose results are stored, needed for the outputs or not, by digest."""
    of = {found: key for key in digests.numbers
          if (found := _name(digests, key)) is not None
          and not store.skip & names_of(key, digests.tasks[key])}  # fmt: skip
    return [of[each] for each in sorted(store.known(of))]


def _name(digests: Digests, key: Key) -> str | None:
    """The digest of a task. None for data, and for what has none."""
    node = digests.tasks.get(key)
    if node is None or isinstance(node, DataNode | Alias | TaskRef) or key not in digests.numbers:
        return None
    return digests.digest(key)


def _sample(digests: Digests, hits: Iterable[Key], share: float, seed: int) -> list[Key]:
    """Some of the tasks, at least one of each function."""
    alike = defaultdict(list)
    for key in hits:
        alike[title_of(key, digests.tasks[key])].append(key)
    random = np.random.default_rng(seed)
    chosen = []
    for name in sorted(alike):
        keys = alike[name]
        places = random.choice(len(keys), math.ceil(share * len(keys)), replace=False)
        chosen += [keys[place] for place in sorted(places)]
    return chosen


def _graph(store: Store, digests: Digests, chosen: Iterable[Key]) -> TaskGraph:
    """The chosen tasks, each to be compared, and what they take: loaded, or else computed."""
    tasks: dict[Key, Any] = {}
    outputs: list[Key] = []
    for key in chosen:
        node, name = digests.tasks[key], str(digests.digest(key))
        again = Again(store, name, function_of(node), call_of(key, node), title_of(key, node))
        outputs.append(f"again-{name}")
        tasks[outputs[-1]] = CallTask(outputs[-1], again, tuple(inputs_of(node)), cheap=False)
    stack = [each for key in outputs for each in inputs_of(tasks[key])]
    while stack:
        key = stack.pop()
        if key in tasks or key not in digests.tasks:
            continue
        tasks[key] = digests.tasks[key]
        if (found := _name(digests, key)) is not None and _is_loadable(store, found):
            tasks[key] = LoadTask(key, Load(store, found), (), cheap=False)
        else:
            stack.extend(inputs_of(tasks[key]))
    refs = [TaskRef(each) for each in outputs]
    return TaskGraph(toposort(tasks, outputs), refs, token=uuid4().hex)


def _is_loadable(store: Store, name: str) -> bool:
    try:
        found = store.open(name)
        return found is not None and (store.value(*found), True)[1]
    except LostError:
        return False


def _run(graph: TaskGraph) -> list[Rerun]:
    with inside():  # no store is asked for what is run to be compared with it
        found = dask.compute(graph, traverse=False, optimize_graph=False)[0]
    return list(found)
