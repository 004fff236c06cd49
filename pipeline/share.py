"""`share`: one key per subproblem, in any Dask collections."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline.graph import TaskGraph
from pipeline.impurities import Impurity
from pipeline.merge import Merged
from pipeline.node import GraphError, Node, function_of, in_order, inputs
from pipeline.opened import together, unpacked
from pipeline.titles import named, title
from pipeline.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask.typing import Key

    from pipeline.opened import Opened


def share(*collections: Any, keys: Any = None) -> Any:
    """The same collections, in which equal subproblems have one key.

    collections: delayed objects, arrays, dataframes, bags, calls, graphs, or any other Dask
        collections, shared together; nested as `dask.compute` nests them; also plain dicts of
        tasks, of which those stay that `keys` names, or else those that no other task takes

    Gives one collection for one, a tuple for several, of the same types, and with the same values.
    Tasks are equal if their functions are, and their arguments: constants by content, inputs by
    what they are computed from. Impure tasks, and those with a value that has no content, are
    left as they are; `sharing` tells which. Raises `GraphError` for a cycle.

    >>> from dask import delayed
    >>> one, two = (delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)]) for _ in "ab")
    >>> one, two = share(one, two)
    >>> [len(dict(each.dask)) for each in (one, two)]
    [2, 2]
    """
    shared = sharing(*collections, keys=keys).collections
    return shared[0] if len(shared) == 1 else shared


def sharing(*collections: Any, keys: Sequence[Key] | None = None) -> Sharing:
    """What `share` gives, and a report of what it did."""
    asked = [unpacked(each, keys) for each in collections]
    found = [each for parts, _ in asked for each in parts]
    kept = [key for each in found if each.is_bound for key in each.keys]
    loose = [key for each in found if not each.is_bound for key in each.keys]
    merged = Merged(together(found), kept, loose)
    closed = iter([_closed(each, merged, len(found) == 1) for each in found])
    new = tuple(rebuilt([next(closed) for _ in parts]) for parts, rebuilt in asked)
    return Sharing(new, merged, list(dict.fromkeys([*kept, *loose])))


def _closed(opened: Opened, merged: Merged, is_all: bool) -> Any:
    keys = opened.keys if opened.is_bound else map(merged.one_of, opened.keys)
    return opened.closed(merged.tasks if is_all else in_order(merged.tasks, keys), merged)


@dataclass(frozen=True, repr=False)
class Sharing:
    """What sharing did to some collections.

    collections: as they were given, with one key per subproblem
    merged: the tasks of all of them, before and after
    keys: that were asked for

    >>> from dask import delayed
    >>> print(sharing([delayed(abs)(-1) for _ in range(3)]))
    3 tasks → 1, sharing factor 3
    merged: 3 of abs(-1)
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
    def subproblems(self) -> list[tuple[str, int]]:
        """What had several tasks, and how many; the most first."""
        times = self.merged.times
        found = [(named(key), times[number]) for number, key in self.titles.items()]
        return sorted((each for each in found if each[1] > 1), key=lambda each: -each[1])

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
            *_listed("merged", self.subproblems),
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
