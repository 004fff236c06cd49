"""From many cheap tasks to few: groups of them become one task each, whose function is a tape.

Heavy tasks stay as they are, so that a scheduler still runs them in parallel. Cheap tasks belong
together if as many heavy tasks stand before them, and if values pass between them. Such a group is
convex: a path that left it and came back would lead through a heavy task, and end deeper.
"""

from __future__ import annotations

from math import ceil
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from dask.task_spec import DataNode, TaskRef

from pipeline.encode import digest
from pipeline.graph import TaskGraph
from pipeline.node import Node, inputs
from pipeline.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dask.typing import Key

    from pipeline.tape import Tape

LONGEST = 4096
"""Tasks of a block at the most: a run can be interrupted between blocks, and tells its progress."""


class Block(Node):
    """Cheap tasks as one: its function is a tape, which names the call that an error was in."""

    __slots__ = ()
    function: Tape

    def __call__(self, values: Any = ()) -> Any:
        return self.function(*[values[key] for key in self.inputs])


class Part(Node):
    """One of the values of a block, under its own key."""

    __slots__ = ()


def fuse(graph: TaskGraph) -> TaskGraph:
    """The graph with its cheap tasks fused into blocks, and without tasks that no output needs.

    Outputs keep their keys. A block of one output bears its key; the values of any other block are
    a tuple, and those that heavy tasks or the graph ask for are taken out of it by their own tasks.

    >>> from pipeline.apps.fibonacci import fib
    >>> list(fuse(fib(2000).graph()).tasks.values())
    [<Block fib(2000): no inputs>]
    """
    groups = _groups(graph)
    blocks = [keys for keys in groups if len(keys) > 1]
    block_of = {key: number for number, keys in enumerate(blocks) for key in keys}
    given, alone = _given(graph, groups, block_of)
    names = [keys[0] if len(keys) == 1 else f"fused-{digest(tuple(keys))}" for keys in given]
    held = {
        key: (name, place)
        for name, keys in zip(names, given, strict=True)
        for place, key in enumerate(keys)
        if len(keys) > 1
    }
    fused: dict[Key, Any] = {}
    for keys in groups:
        number = block_of.get(keys[0])
        if number is None:
            fused[keys[0]] = graph.tasks[keys[0]]
            continue
        tape, taken = record(graph.tasks, keys, given[number], held)
        fused[names[number]] = Block(names[number], tape, taken, cheap=False)
        for key in given[number]:
            if key in held and key in alone:
                fused[key] = Part(key, itemgetter(held[key][1]), (names[number],), cheap=False)
    return TaskGraph(fused, graph.outputs)


def _given(
    graph: TaskGraph, groups: Sequence[Sequence[Key]], block_of: Mapping[Key, int]
) -> tuple[list[list[Key]], set[Key]]:
    """What is needed of each block outside of it, and what of that by no other block."""
    given: list[dict[Key, None]] = [{} for _ in groups]
    alone = set(graph.keys)
    for key in graph.keys:
        if key in block_of:
            given[block_of[key]][key] = None
    for keys in groups if len(groups) > 1 else ():
        number = block_of.get(keys[0])
        for key in keys:
            node = graph.tasks[key]
            for each in node.inputs if type(node) is Node else inputs(node):
                other = block_of.get(each)
                if other != number and other is not None:
                    given[other][each] = None
                    if number is None:
                        alone.add(each)
    return [list(keys) for keys in given if keys], alone


def _groups(graph: TaskGraph) -> list[list[Key]]:
    """The tasks that are needed: groups of cheap ones, and each other alone, inputs first."""
    tasks = graph.tasks
    is_one = len(graph.keys) == 1 and set(map(type, tasks.values())) == {Node}
    is_one = is_one and all(map(_is_cheap, tasks.values()))
    if is_one and len(tasks) <= LONGEST:
        return [list(tasks)]  # what one output needs is connected; a tape leaves out the rest
    needed = _needed(graph)
    if is_one:
        return _cut([key for key in tasks if key in needed])
    depth: dict[Key, int] = {}  # heavy tasks on the longest path to a task's consumers
    ranked: list[tuple[int, int, list[Key]]] = []
    component: dict[Key, int] = {}
    components = Components()
    for key, node in tasks.items():
        if key not in needed:
            continue
        taken = node.inputs if type(node) is Node else inputs(node)
        level = 0
        for each in taken:
            if depth.get(each, 0) > level:
                level = depth[each]
        if type(node) is Node and node.cheap:
            depth[key] = level
            near = [each for each in taken if depth.get(each) == level]
            component[key] = components.of([component[each] for each in near if each in component])
        else:
            is_data = isinstance(node, (DataNode, TaskRef))
            depth[key] = 0 if is_data else level + 1
            ranked.append((level, 0 if is_data else 2, [key]))
    for group in components.groups(component):
        ranked += [(depth[keys[0]], 1, keys) for keys in _cut(group)]
    ranked.sort(key=lambda item: item[:2])
    return [keys for _, _, keys in ranked]


_is_cheap = attrgetter("cheap")


def _needed(graph: TaskGraph) -> set[Key]:
    needed = set(graph.keys)
    for key in reversed(graph.tasks):
        if key in needed:
            needed.update(inputs(graph.tasks[key]))
    return needed


def _cut(keys: list[Key]) -> list[list[Key]]:
    """Equal parts, none of them longer than a block may be."""
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
