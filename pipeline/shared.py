"""What sharing did, for a person and for a picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline.graph import TaskGraph
from pipeline.impurities import Impurity
from pipeline.node import GraphError, Node, function_of, inputs
from pipeline.titles import named, title
from pipeline.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask.typing import Key

    from pipeline.merge import Merged


@dataclass(frozen=True, repr=False)
class Sharing:
    """What sharing did to some collections.

    collections: as they were given, with one key per subproblem
    merged: the tasks of all of them, before and after
    keys: that were asked for

    >>> from dask import delayed
    >>> from pipeline import sharing
    >>> print(sharing([delayed(abs)(-1) for _ in range(3)]))
    3 tasks → 1, sharing factor 3
    merged: 3 of abs(-1) → 1
    """

    collections: tuple[Any, ...]
    merged: Merged
    keys: Sequence[Key]

    @property
    def before(self) -> int:
        """Tasks that were needed for what was asked."""
        return len(self.merged.given)

    @property
    def after(self) -> int:
        """Tasks that are needed now."""
        return len(self.merged.tasks)

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
                found[number] = title(key, self.merged.given.get(key), number)
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
        titled = {}
        for key, node in self.merged.tasks.items():
            titled[key] = name = found[numbers[key]]
            if name in tasks:  # an output that is another's equal
                titled[key] = name = (f"= {name[0]}-{len(tasks):012x}", *name[1:])
            taken = tuple(found[numbers[each]] for each in inputs(node))
            tasks[name] = Node(name, function_of(node), taken)
        return TaskGraph(tasks, [TaskRef(titled[self.merged.kept_as(key)]) for key in self.keys])

    @property
    def subproblems(self) -> list[tuple[str, int, int]]:
        """What had several tasks, by name: how many tasks, and how many subproblems they are."""
        tasks: Counter[str] = Counter()
        numbers: Counter[str] = Counter()
        for number, times in self.merged.repeats.items():
            name = named(self.titles[number])
            tasks[name] += times + 1
            numbers[name] += 1
        return [(name, times, numbers[name]) for name, times in tasks.most_common()]

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
            f"{self.before:,} tasks → {self.after:,}, sharing factor {size(self.factor)}",
            *_listed("merged", [(f"{what} → {left:,}", n) for what, n, left in self.subproblems]),
            *_listed("held apart, impure", self.impure),
            *_listed("held apart, without content", self.unknown),
        ]
        return "\n".join(lines)

    __repr__ = __str__


_MOST = 8


def _listed(head: str, lines: Sequence[tuple[str, int]]) -> Iterator[str]:
    if lines:
        shown = "; ".join(f"{times:,} of {what}" for what, times in lines[:_MOST])
        more = f"; and {len(lines) - _MOST:,} more" if len(lines) > _MOST else ""
        yield f"{head}: {shown}{more}"


def _held(key: Key, name: Key) -> Node:
    def missing() -> Any:
        raise GraphError(f"{name!r} is not in the graph: a cluster may hold it")

    return Node(key, missing, ())
