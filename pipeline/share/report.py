"""`share` and `share_report`: any Dask collections with one task per subproblem."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from dask.base import is_dask_collection, unpack_collections
from dask.task_spec import Alias, TaskRef
from dask.typing import Key

from pipeline.graph import (
    CallTask,
    GraphError,
    TaskGraph,
    display_key,
    function_name,
    function_of,
    inputs_of,
    short_label,
    subproblem,
)
from pipeline.identity import paused_collector
from pipeline.schedule import note_merged
from pipeline.share.merging import Merged, OutputPlace
from pipeline.share.purity.impurities import Impurity
from pipeline.share.rebuilding import is_graph, joined, open_all, rebuild_all


def share(*collections: Any, keys: Any = None) -> Any:
    """The same collections, in which equal subproblems have one key.

    collections: delayed objects, arrays, dataframes, bags, calls, graphs, or any other Dask
        collections, merged together; nested as for `dask.compute`; also plain dicts of tasks
    keys: the outputs of dicts; without it, the tasks that no other task depends on

    Returns one collection for one, a tuple for several, of the same types, with the same values.
    Tasks are equal if their functions are and their arguments are: constants by content, inputs by
    what they are computed from. Impure tasks, and those with a value of unknown content, are not
    merged; `share_report` lists them. Raises `GraphError` for a cycle.

    >>> from dask import delayed
    >>> one, two = (delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)]) for _ in "ab")
    >>> one, two = share(one, two)
    >>> [len(dict(each.dask)) for each in (one, two)]
    [2, 2]
    """
    shared = share_report(*collections, keys=keys).collections
    return shared[0] if len(shared) == 1 else shared


def share_report(*collections: Any, keys: Any = None) -> ShareReport:
    """Share collections, as `share` does, and report what was merged and what was not.

    As text, the report says all that is in it.
    """
    return _report(collections, keys, "cluster" if _is_on_cluster() else "here")


def share_for_run(*collections: Any) -> tuple[Any, ...]:
    """The same collections for a run that follows at once: the caller alone gets its outputs."""
    return _report(collections, None, "sent" if _is_on_cluster() else "here").collections


def _report(collections: Sequence[Any], keys: Any, place: OutputPlace) -> ShareReport:
    with paused_collector():
        unpacked = [_unpacked(argument) for argument in collections]
        opened = open_all([part for parts, _ in unpacked for part in parts], keys)
        outputs = [key for part in opened if part.keeps_keys for key in part.keys]
        renamed = [key for part in opened if not part.keeps_keys for key in part.keys]
        merged = Merged(joined(opened), outputs, renamed, place)
        merged.unmerged.update(part.note for part in opened if part.note)
        note_merged({merged.keys[number]: 1 + more for number, more in merged.repeats.items()})
        rebuilt = rebuild_all(opened, merged)
        shared = tuple(repack([next(rebuilt) for _ in parts]) for parts, repack in unpacked)
    return ShareReport(shared, merged, list(dict.fromkeys([*outputs, *renamed])))


def _is_on_cluster() -> bool:
    """Whether this process has a client of a scheduler that other processes may have, too."""
    distributed = sys.modules.get("distributed")
    with suppress(ValueError):  # there is no client
        scheduler = distributed.Client.current().scheduler if distributed else None
        return scheduler is not None and not scheduler.address.startswith("inproc:")
    return False


def _unpacked(argument: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The collections in an argument, and a function that puts others in their places."""
    if is_dask_collection(argument) or is_graph(argument):
        return [argument], lambda parts: parts[0]
    parts, repack = unpack_collections(argument)
    return parts, lambda parts: repack(parts)[0]


@dataclass(frozen=True, repr=False)
class ShareReport:
    """What sharing did to some collections.

    collections: with one task per subproblem
    merged: the tasks of all collections, before and after
    keys: of the outputs

    >>> from dask import delayed
    >>> from pipeline import share_report
    >>> print(share_report([delayed(abs)(-1) for _ in range(3)]))
    3 tasks → 1, sharing factor 3
    merged: 3 of abs(-1) → 1
    """

    collections: tuple[Any, ...]
    merged: Merged
    keys: Sequence[Key]

    @property
    def before(self) -> int:
        """How many tasks the outputs depended on, without aliases."""
        return len(self.merged.original) - len(self.merged.origins)

    @property
    def after(self) -> int:
        """How many they depend on now."""
        return len(self.merged.defining)

    @property
    def factor(self) -> Fraction:
        """Tasks before ÷ tasks after, exact."""
        return Fraction(self.before, max(self.after, 1))

    @cached_property
    def titles(self) -> dict[int, Key]:
        """For each number, a key that a person understands."""
        merged, titles = self.merged, {}
        keys = {number: merged.defining.get(number, key) for key, number in merged.numbers.items()}
        for number, key in keys.items():
            node = merged.original.get(key)
            is_call = isinstance(node, CallTask)
            titles[number] = subproblem(key) if is_call else display_key(key, node, number)
        return titles

    @cached_property
    def graph(self) -> TaskGraph:
        """The merged tasks, with keys that a person understands."""
        merged = self.merged
        names = {key: self.titles[number] for key, number in merged.numbers.items()}
        missing = [key for key in names if key not in merged.original]
        names |= {key: self.titles[number] for number, key in merged.keys.items()}
        made = {
            handle.key: self.titles[number]
            for number, handles in merged.handles.items()
            for handle in handles
            if handle.key is not None
        }
        names |= made
        tasks: dict[Key, Any] = {names[key]: _missing(names[key], key) for key in missing}
        for key, node in merged.tasks.items():
            if isinstance(node, TaskRef):  # data that a cluster holds
                tasks[names[key]] = node
            elif not isinstance(node, Alias) and key not in made:
                inputs = tuple(names[source] for source in inputs_of(node))
                tasks[names[key]] = CallTask(names[key], function_of(node), inputs)
        return TaskGraph(tasks, [TaskRef(names[key]) for key in self.keys])

    @property
    def subproblems(self) -> list[tuple[str, int, int]]:
        """What had several tasks, by name: how many tasks, and of how many subproblems."""
        repeats = self.merged.repeats
        functions = Counter(function_name(self.titles[number]) for number in repeats)
        tasks: Counter[str] = Counter()
        numbers: Counter[str] = Counter()
        for number, times in repeats.items():
            key = self.titles[number]
            is_one_of_many = len(key) > 1 and functions[function_name(key)] > _MAX_ALIKE
            name = f"{function_name(key)}(…)" if is_one_of_many else short_label(key)
            tasks[name] += times + 1
            numbers[name] += 1
        return [(name, times, numbers[name]) for name, times in tasks.most_common()]

    @property
    def impure(self) -> list[tuple[str, int]]:
        """Why tasks are not merged as they are impure, and how many."""
        return self._unmerged(Impurity)

    @property
    def unknown(self) -> list[tuple[str, int]]:
        """Why tasks are not merged as their content is unknown, and how many."""
        return self._unmerged(str)

    def _unmerged(self, kind: type) -> list[tuple[str, int]]:
        reasons = self.merged.unmerged.most_common()
        return [(str(reason), times) for reason, times in reasons if isinstance(reason, kind)]

    def __str__(self) -> str:
        head = f"{self.before:,} tasks, none of them twice"
        if self.after < self.before:
            factor = f"{float(self.factor):.3g}"
            head = f"{self.before:,} tasks → {self.after:,}, sharing factor {factor}"
        sections = {
            "merged": [(f"{name} → {left:,}", times) for name, times, left in self.subproblems],
            "not merged, impure": self.impure,
            "not merged, content unknown": self.unknown,
        }
        lines = (_listed(*section) for section in sections.items() if section[1])
        return "\n".join([head, *lines])

    __repr__ = __str__


_MAX_LISTED = 8
"""Reasons in a line of the report."""

_MAX_ALIKE = 3
"""Subproblems of one function that the report names one by one."""


def _listed(head: str, entries: Sequence[tuple[str, int]]) -> str:
    shown = "; ".join(f"{times:,} of {name}" for name, times in entries[:_MAX_LISTED])
    more = len(entries) - _MAX_LISTED
    return f"{head}: {shown}" + (f"; and {more:,} more" if more > 0 else "")


def _missing(title: Key, key: Key) -> CallTask:
    """A task in place of data that a cluster holds."""

    def raise_error() -> Any:
        raise GraphError(f"{key!r} is not in the graph: a cluster may hold it")

    return CallTask(title, raise_error, ())
