"""Which tasks run as one.

Cheap tasks belong together if values pass between them, if they wait for the same heavy tasks, and
if the same collections ask for them. Then nothing waits for longer than it would have, no error
reaches what it would not have reached, and no path leaves a group and comes back: on its way it
would have met another heavy task, or left a collection.
"""

from __future__ import annotations

from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from dask.task_spec import DataNode, TaskRef

from pipeline.graph import CallTask, inputs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dask.typing import Key

LONGEST = 4096
"""Tasks of a group at the most: a run can be interrupted between blocks, and tells its progress."""

HEAVY = 4096
"""Heavy tasks that are told apart; in a graph with more of them, only their depth is."""


def groups(tasks: Mapping[Key, Any], asked: Sequence[Sequence[Key]]) -> list[list[Key]]:
    """The tasks that are needed: groups of cheap ones, and each other alone.

    tasks: inputs before their consumers
    asked: the outputs of each collection
    """
    is_one = len(asked) == len(asked[0]) == 1 and set(map(type, tasks.values())) == {CallTask}
    if is_one and all(map(attrgetter("cheap"), tasks.values())):
        # What one output needs is connected; a tape leaves out the rest.
        return _cut(list(tasks if len(tasks) <= LONGEST else _needed(tasks, asked[0])))
    wanted = _wanted(tasks, asked)
    heavy = [key for key in wanted if type(tasks[key]) is not CallTask or not tasks[key].cheap]
    bits = {key: 1 << place for place, key in enumerate(heavy)} if len(heavy) <= HEAVY else None
    before: dict[Key, int] = {}  # the heavy tasks that a task's consumers wait for, as bits
    component: dict[Key, int] = {}
    components = Components()
    for key, node in tasks.items():
        collections = wanted.get(key)
        if collections is None:
            continue
        taken = node.inputs if type(node) is CallTask else inputs_of(node)
        level = 0
        for each in taken:
            other = before.get(each, 0)
            if other != level:
                level = level | other if bits is not None else max(level, other)
        if type(node) is CallTask and node.cheap:
            before[key] = level
            near = [each for each in taken if before.get(each) == level and each in component]
            component[key] = components.of(
                [component[each] for each in near if wanted[each] == collections]
            )
        elif isinstance(node, (DataNode, TaskRef)):
            before[key] = 0  # nothing waits for it
        else:
            before[key] = level | bits[key] if bits is not None else level + 1
    found = [part for group in components.groups(component) for part in _cut(group)]
    return [*([key] for key in heavy), *found]


def _needed(tasks: Mapping[Key, Any], outputs: Sequence[Key]) -> list[Key]:
    needed = set(outputs)
    for key in reversed(tasks):
        if key in needed:
            node = tasks[key]
            needed.update(node.inputs if type(node) is CallTask else inputs_of(node))
    return [key for key in tasks if key in needed]


def _wanted(tasks: Mapping[Key, Any], asked: Sequence[Sequence[Key]]) -> dict[Key, int]:
    """Which collections need a task, as bits; no other tasks are needed."""
    if len(asked) == 1:
        return dict.fromkeys(_needed(tasks, asked[0]), 1)
    wanted: dict[Key, int] = {}
    for place, keys in enumerate(asked):
        for key in keys:
            wanted[key] = wanted.get(key, 0) | 1 << place
    for key in reversed(tasks):
        bits = wanted.get(key)
        if bits is not None:
            node = tasks[key]
            for each in node.inputs if type(node) is CallTask else inputs_of(node):
                if each not in wanted:
                    wanted[each] = bits
                elif wanted[each] != bits:
                    wanted[each] |= bits
    return {key: wanted[key] for key in tasks if key in wanted}


def _cut(keys: list[Key]) -> list[list[Key]]:
    """Equal parts, none of them longer than a group may be."""
    size = ceil(len(keys) / ceil(len(keys) / LONGEST))
    return [keys[start : start + size] for start in range(0, len(keys), size)]


class Components:
    """Connected components, by union and find. Numbers that were joined name the same one."""

    def __init__(self) -> None:
        self.parent: list[int] = []

    def of(self, numbers: Sequence[int]) -> int:
        """The number of a new member, whose neighbours have these numbers."""
        if not numbers:
            self.parent.append(len(self.parent))
            return len(self.parent) - 1
        first = numbers[0]
        for each in numbers:
            if each != first:
                one, other = sorted((self.root(first), self.root(each)))
                self.parent[other] = first = one
        return first

    def root(self, number: int) -> int:
        """The least number of a component."""
        parent = self.parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def groups(self, numbers: Mapping[Key, int]) -> Iterable[list[Key]]:
        """The keys of each component, in their order."""
        roots = [self.root(number) for number in range(len(self.parent))]
        found: dict[int, list[Key]] = {root: [] for root in roots}
        for key, number in numbers.items():
            found[roots[number]].append(key)
        return found.values()
