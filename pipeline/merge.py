"""From many keys of a subproblem to one: the rewriting of a graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dask._expr import ProhibitReuse
from dask.task_spec import Alias, GraphNode, Task, TaskRef

from pipeline.keys import subproblem
from pipeline.node import Node
from pipeline.numbering import Numbering

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dask.typing import Key


class Merged:
    """A graph with one task per subproblem.

    given: the tasks that are needed, as they were
    tasks: those that are left; a wanted task keeps its key, as an alias if need be
    numbers: the number of each task that was given, inputs before their consumers
    defining: for each number, the key of the task that says what it is
    one: for each number, the key that now stands for it
    times: for each number, how many tasks had it
    apart: how many tasks are held apart, by what makes them impure or unknown

    Raises `GraphError` for a cycle.
    """

    def __init__(
        self, tasks: Mapping[Key, Any], wanted: Iterable[Key], renamed: Iterable[Key] = ()
    ) -> None:
        """renamed: more tasks that are asked for, whose keys may change."""
        wanted = list(dict.fromkeys(wanted))
        numbering = Numbering(tasks)
        numbering.add([*wanted, *renamed])
        self.numbers = numbering.of
        self.times = Counter(self.numbers.values())
        self.apart = numbering.apart
        self.given = {key: tasks[key] for key in self.numbers if key in tasks}
        self.defining = _defining(self.given, self.numbers)
        self.one = _names(self.given, wanted, self.numbers, self.defining)
        self.tasks = {self.one_of(key): self._rewritten(key) for key in self.defining.values()}
        for key in wanted:
            if (one := self.one_of(key)) != key:
                self.tasks[key] = Alias(key, one)

    def one_of(self, key: Key) -> Key:
        """The key that now stands for the subproblem of a task."""
        return self.one[self.numbers[key]]

    def kept_as(self, key: Key) -> Key:
        """The key that a task has now: its own, where it was wanted."""
        return key if key in self.tasks else self.one_of(key)

    def _rewritten(self, key: Key) -> Any:
        node = _stripped(self.given[key])
        if isinstance(node, TaskRef):
            return node  # the data of a future
        changed = {}
        for each in node.dependencies:
            if (one := self.one_of(each)) != each:
                changed[each] = one
        name = self.one_of(key)
        return node.substitute(changed, key=name) if changed or node.key != name else node


def _stripped(node: Any) -> Any:
    """What a task does, without the wrapper that keeps Dask from using it twice."""
    while type(node) is Task and node.func is ProhibitReuse._identity:
        if not isinstance(node.args[0], GraphNode):
            break
        node = node.args[0]
    return node


def _is_pointer(node: Any) -> bool:
    """Whether a task has the value of another."""
    if type(node) is Task and node.func is ProhibitReuse._identity:
        return isinstance(_stripped(node), Task) and _stripped(node).func is ProhibitReuse._identity
    return isinstance(node, Alias)


def _defining(tasks: Mapping[Key, Any], numbers: Mapping[Key, int]) -> dict[int, Key]:
    """The first task of each number that is there and does more than pointing to another."""
    found: dict[int, Key] = {}
    for key, number in numbers.items():
        if number not in found and key in tasks and not _is_pointer(tasks[key]):
            found[number] = key
    return found


def _names(
    tasks: Mapping[Key, Any],
    wanted: Iterable[Key],
    numbers: Mapping[Key, int],
    defining: Mapping[int, Key],
) -> dict[int, Key]:
    """The key of each number: one that is wanted, or that of the task that defines it."""
    found = {  # what a scheduler holds it holds under one key alone
        number: key
        for key, number in numbers.items()
        if key not in tasks or isinstance(tasks[key], TaskRef)
    }
    for key in wanted:
        found.setdefault(numbers[key], key)
    taken = set(found.values())
    for number, key in defining.items():
        if number not in found:
            # An occurrence of a call goes by the call's own key.
            own = subproblem(key) if isinstance(tasks[key], Node) else key
            found[number] = key if own in taken else own
            taken.add(found[number])
    return found
