"""What sharing did, for a person and for a picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dask.task_spec import Alias, TaskRef

from pipeline.graph import (
    CallTask,
    GraphError,
    TaskGraph,
    display_key,
    function_name,
    function_of,
    inputs_of,
    short_label,
)
from pipeline.share.impurities import Impurity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask.typing import Key

    from pipeline.share.merging import Merged


@dataclass(frozen=True, repr=False)
class ShareReport:
    """What sharing did to some collections.

    collections: as they were given, with one key per subproblem
    merged: the tasks of all of them, before and after
    keys: that were asked for

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
        """Tasks that were needed for what was asked; an alias of another is none."""
        return len(self.merged.given) - len(self.merged.pointers)

    @property
    def after(self) -> int:
        """Tasks that are needed now."""
        return len(self.merged.tasks) - self.merged.aliases

    @property
    def factor(self) -> Fraction:
        """Tasks before ÷ tasks after, exact."""
        return Fraction(self.before, max(self.after, 1))

    @cached_property
    def titles(self) -> dict[int, Key]:
        """A key for each number that tells a person what it is."""
        found = {}
        for key, number in self.merged.numbers.items():
            if number not in found:
                key = self.merged.defining.get(number, key)
                found[number] = display_key(key, self.merged.given.get(key), number)
        return found

    @cached_property
    def graph(self) -> TaskGraph:
        """The tasks that are left, with keys that tell a person what they are."""
        found = self.titles
        numbers = self.merged.numbers
        tasks: dict[Key, Any] = {
            found[number]: _held(found[number], key)
            for key, number in numbers.items()
            if key not in self.merged.given
        }
        for key, node in self.merged.tasks.items():
            if not isinstance(node, Alias):
                name = found[numbers[key]]
                taken = tuple(found[numbers[each]] for each in inputs_of(node))
                # A future is data that a cluster holds: there is nothing to run.
                is_held = isinstance(node, TaskRef)
                tasks[name] = node if is_held else CallTask(name, function_of(node), taken)
        return TaskGraph(tasks, [TaskRef(found[numbers[key]]) for key in self.keys])

    @property
    def subproblems(self) -> list[tuple[str, int, int]]:
        """What had several tasks, by name: how many tasks, and how many subproblems they are."""
        keys = {number: self.titles[number] for number in self.merged.repeats}
        kinds = Counter(function_name(key) for key in set(keys.values()))
        tasks: Counter[str] = Counter()
        numbers: Counter[str] = Counter()
        for number, times in self.merged.repeats.items():
            key = keys[number]
            is_one_of_many = len(key) > 1 and kinds[function_name(key)] > _ALIKE
            what = f"{function_name(key)}(…)" if is_one_of_many else short_label(key)
            tasks[what] += times + 1
            numbers[what] += 1
        return [(what, times, numbers[what]) for what, times in tasks.most_common()]

    @property
    def impure(self) -> list[tuple[str, int]]:
        """What is held apart as impure, and how many tasks."""
        found = self.merged.apart.most_common()
        return [(str(what), times) for what, times in found if isinstance(what, Impurity)]

    @property
    def unknown(self) -> list[tuple[str, int]]:
        """What has no content that can be told, and how many tasks are held apart for that."""
        found = self.merged.apart.most_common()
        return [(what, times) for what, times in found if isinstance(what, str)]

    def __str__(self) -> str:
        lines = [
            f"{self.before:,} tasks → {self.after:,}, sharing factor {float(self.factor):.3g}"
            if self.after < self.before
            else f"{self.before:,} tasks, none of them twice",
            *_listed("merged", [(f"{what} → {left:,}", n) for what, n, left in self.subproblems]),
            *_listed("held apart, impure", self.impure),
            *_listed("held apart, without content", self.unknown),
        ]
        return "\n".join(lines)

    __repr__ = __str__


_MOST = 8
"""Lines of a list that are shown."""

_ALIKE = 3
"""Subproblems of one function that are named one by one."""


def _listed(head: str, lines: Sequence[tuple[str, int]]) -> Iterator[str]:
    if lines:
        shown = "; ".join(f"{times:,} of {what}" for what, times in lines[:_MOST])
        more = f"; and {len(lines) - _MOST:,} more" if len(lines) > _MOST else ""
        yield f"{head}: {shown}{more}"


def _held(key: Key, name: Key) -> CallTask:
    def missing() -> Any:
        raise GraphError(f"{name!r} is not in the graph: a cluster may hold it")

    return CallTask(key, missing, ())
