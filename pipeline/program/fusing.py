"""From many cheap tasks to few: groups of them become one task each, whose function is a program.

Heavy tasks stay as they are, so that a scheduler still runs them in parallel. Cheap tasks belong
together if values pass between them, if they wait for the same heavy tasks, and if the same
collections need them. Then nothing waits longer than it would have, and no error reaches what it
would not have reached. No path leaves a group and comes back: on its way it would have met another
heavy task, or left a collection.

Dask calls the optimizer of each collection wherever it makes the graph: here, or in a cluster's
scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property, partial
from math import ceil
from operator import attrgetter, itemgetter
from typing import Any
from weakref import WeakValueDictionary

import dask
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, TaskRef
from dask.typing import Key
from dask.utils import ensure_dict

from pipeline.graph import CallTask, GraphCollection, TaskGraph, inputs_of, toposort
from pipeline.identity import paused_collector, short_hash
from pipeline.program.program import Item, Program, Traced, lower, program_of

MAX_TASKS_IN_BLOCK = 4096
"""A run can be interrupted between blocks, and reports progress there."""

MAX_HEAVY = 4096
"""Heavy tasks whose consumers are distinguished; with more, only the depth of each task counts."""


class Block(CallTask):
    """Cheap tasks as one. Its program names the call in which an error occurred."""

    __slots__ = ()
    function: Program

    def __call__(self, values: Any = ()) -> Any:
        return self.function(*[values[key] for key in self.inputs])


class Part(CallTask):
    """One of the values of a block, under its key."""

    __slots__ = ()


class LoadTask(CallTask):
    """A task whose result is loaded, not computed."""

    __slots__ = ()


def fuse(graph: TaskGraph) -> TaskGraph:
    """The graph with its cheap tasks fused into blocks, and without tasks that no output needs.

    Outputs keep their keys. A block of one output has its key. The values of any other block are a
    tuple; those that heavy tasks or the graph need are tasks that take them out of it.

    >>> from pipeline.apps.fibonacci import fib
    >>> list(fuse(fib(2000).graph()).tasks.values())
    [<Block fib(2000): no inputs>]
    """
    with paused_collector():  # none of so many new tuples is garbage
        tasks = _fused_calls(graph.traced) if graph.traced else None
        return TaskGraph(tasks or fuse_tasks(graph.tasks, [graph.keys]), graph.outputs)


def _fused_calls(traced: Traced) -> dict[Key, Any] | None:
    """The blocks of traced calls, straight from their tape; None if they are not one group.

    All calls that one output needs are connected. A program leaves out the rest.
    """
    tape, calls, roots, is_cheap = traced
    if not is_cheap or len(roots) > 1 or len(calls) < 2:
        return None
    parts = _cut(calls)
    part_of = [-1] * (len(tape.items) + 1)
    for place, part in enumerate(parts):
        for call in part:
            part_of[-call.number] = place
    results: list[dict[int, Any]] = [{} for _ in parts]
    results[-1] = {root.number: root for root in roots}
    lowered: list[tuple[Program, dict[int, int]]] = []
    for place in reversed(range(len(parts))):  # the last part says what it needs of those before
        program, slots = lower(tape, parts[place], list(results[place].values()))
        lowered.append((program, slots))
        for number in slots:
            if not 0 <= part_of[-number] < place:  # a body used a call that another one made
                return None
            results[part_of[-number]][number] = tape.items[-number - 1]
    blocks: dict[Key, Any] = {}
    sources: dict[int, Any] = {}
    for (program, slots), numbers in zip(reversed(lowered), results, strict=True):
        if not numbers:  # nothing needs this part
            continue
        keys = program.outputs
        name = _block_name(keys)
        inputs = program.bind({sources[number]: slot for number, slot in slots.items()})
        blocks[name] = Block(name, program, inputs, cheap=False)
        for place, number in enumerate(numbers):
            sources[number] = keys[0] if len(keys) == 1 else Item(name, place)
    return blocks


def _block_name(keys: Sequence[Key]) -> Key:
    return keys[0] if len(keys) == 1 else f"fused-{short_hash(tuple(keys))}"


def fuse_tasks(tasks: Mapping[Key, Any], requested: Sequence[Sequence[Key]]) -> dict[Key, Any]:
    """Tasks, fused for the outputs of one or several collections."""
    outputs = [key for keys in requested for key in keys]
    groups = _groups(tasks, requested)
    blocks = [keys for keys in groups if len(keys) > 1]
    results, direct = _results(tasks, outputs, groups, blocks)
    names = list(map(_block_name, results))
    items = {
        key: Item(name, place)
        for name, keys in zip(names, results, strict=True)
        for place, key in enumerate(keys)
        if len(keys) > 1
    }
    fused = {keys[0]: tasks[keys[0]] for keys in groups if len(keys) == 1}
    for name, keys, block_results in zip(names, blocks, results, strict=True):
        program, inputs = program_of(tasks, keys, block_results, items)
        fused[name] = Block(name, program, inputs, cheap=False)
        for key in block_results:
            if key in items and key in direct:
                fused[key] = Part(key, itemgetter(items[key][1]), (name,), cheap=False)
    return toposort(fused, outputs) if len(groups) > 1 else fused


def _results(
    tasks: Mapping[Key, Any],
    outputs: Sequence[Key],
    groups: Sequence[Sequence[Key]],
    blocks: Sequence[Sequence[Key]],
) -> tuple[list[list[Key]], set[Key]]:
    """The keys of each block that are needed outside of it; and those needed outside of blocks."""
    block_of = {key: number for number, keys in enumerate(blocks) for key in keys}
    results: list[dict[Key, None]] = [{} for _ in blocks]
    direct = set(outputs)
    for key in outputs:
        if key in block_of:
            results[block_of[key]][key] = None
    for keys in groups if len(groups) > 1 else ():
        number = block_of.get(keys[0])
        for key in keys:
            for source in inputs_of(tasks[key]):
                other = block_of.get(source)
                if other is not None and other != number:
                    results[other][source] = None
                    if number is None:
                        direct.add(source)
    return [list(keys) for keys in results], direct


def _groups(tasks: Mapping[Key, Any], requested: Sequence[Sequence[Key]]) -> list[list[Key]]:
    """The tasks that are needed: groups of cheap ones, and each other alone.

    tasks: inputs before their consumers
    requested: the outputs of each collection
    """
    if _is_one_group(tasks, requested):
        # What one output needs is connected; a program leaves out the rest.
        is_short = len(tasks) <= MAX_TASKS_IN_BLOCK
        return _cut(list(tasks) if is_short else _needed(tasks, requested[0]))
    collections = _collections(tasks, requested)
    heavy = [key for key in collections if not _is_cheap(tasks[key])]
    bits = {key: 1 << place for place, key in enumerate(heavy)} if len(heavy) <= MAX_HEAVY else None
    waits: dict[Key, int] = {}  # the heavy tasks that a task's consumers wait for, as bits
    component: dict[Key, Key] = {}  # a member of the same component, or the task itself
    for key in collections:
        node, level = tasks[key], 0
        inputs = inputs_of(node)
        for source in inputs:
            other = waits.get(source, 0)
            if other != level:
                level = level | other if bits is not None else max(level, other)
        if _is_cheap(node):
            waits[key] = level
            component[key] = key
            for source in inputs:
                if (
                    source in component
                    and waits[source] == level
                    and collections[source] == collections[key]
                    and component[source] != component[key]
                ):
                    component[_root(component, key)] = _root(component, source)
        elif isinstance(node, (DataNode, TaskRef)):
            waits[key] = 0  # nothing waits for a value
        else:
            waits[key] = level | bits[key] if bits is not None else level + 1
    groups: dict[Key, list[Key]] = {}
    for key in component:
        groups.setdefault(_root(component, key), []).append(key)
    return [*([key] for key in heavy), *(part for group in groups.values() for part in _cut(group))]


def _root(component: dict[Key, Key], key: Key) -> Key:
    """The task that names a component. Shortens the path to it."""
    while (member := component[key]) != key:
        component[key] = key = component[member]
    return key


def _is_one_group(tasks: Mapping[Key, Any], requested: Sequence[Sequence[Key]]) -> bool:
    """Whether all tasks are cheap and serve one output. Loops in C: every small graph asks."""
    return (
        len(requested) == len(requested[0]) == 1
        and {*map(type, tasks.values())} == {CallTask}
        and all(map(attrgetter("cheap"), tasks.values()))
    )


def _needed(tasks: Mapping[Key, CallTask], outputs: Sequence[Key]) -> list[Key]:
    needed = set(outputs)
    for key in reversed(tasks):
        if key in needed:
            needed.update(tasks[key].inputs)
    return [key for key in tasks if key in needed]


def _is_cheap(node: Any) -> bool:
    return type(node) is CallTask and node.cheap


def _collections(tasks: Mapping[Key, Any], requested: Sequence[Sequence[Key]]) -> dict[Key, int]:
    """The collections that need a task, as bits; no other tasks are needed."""
    bits: dict[Key, int] = {}
    for place, keys in enumerate(requested):
        for key in keys:
            bits[key] = bits.get(key, 0) | 1 << place
    for key in reversed(tasks):
        if key in bits:
            for source in inputs_of(tasks[key]):
                bits[source] = bits.get(source, 0) | bits[key]
    return {key: bits[key] for key in tasks if key in bits}


def _cut(keys: Sequence[Any]) -> list[list[Any]]:
    """Equal parts, none of them longer than a block may be."""
    size = ceil(len(keys) / ceil(len(keys) / MAX_TASKS_IN_BLOCK))
    return [list(keys[start : start + size]) for start in range(0, len(keys), size)]


def is_fusing() -> bool:
    """Whether graphs are fused before they run: Dask's setting `pipeline.fuse`, True by default."""
    return bool(dask.config.get("pipeline.fuse", True))


def runnable_tasks(graphs: Sequence[TaskGraph]) -> dict[Key, Any]:
    """The tasks to run for the outputs of some graphs, fused, or as they are."""
    if is_fusing():
        return _fused_together(graphs)
    return toposort(_merged(graphs), [key for graph in graphs for key in graph.keys])


def _fused_together(graphs: Sequence[TaskGraph]) -> dict[Key, Any]:
    if len(graphs) > 1:
        return fuse_tasks(_merged(graphs), [graph.keys for graph in graphs])
    (graph,) = graphs
    if not hasattr(graph, "fused"):
        graph.fused = fuse(graph)
    return graph.fused.tasks


def _merged(graphs: Sequence[TaskGraph]) -> dict[Key, Any]:
    """The tasks of some graphs, each once; a value in one of them replaces a task in another."""
    pairs = [item for graph in graphs for item in graph.tasks.items()]
    merged = {key: node for key, node in pairs if isinstance(node, (DataNode, TaskRef))}
    for key, node in pairs:
        # Inputs stay before consumers: what a later graph adds needs nothing that comes after it.
        merged.setdefault(key, node)
    return merged


def optimizer_of(collection: GraphCollection) -> Callable[..., Mapping[Key, Any]]:
    """What Dask does to the graph of a collection before a run, as a new function.

    Dask 2026.8 optimizes collections with one optimizer as a group. Where others stand between
    them, it returns the values in the order of the groups: `dask.compute(delayed, array, delayed)`
    mixes up its results. Ours are never a group, so they keep their places.
    """
    if not is_fusing() or dask.config.get("pipeline.caching", False):
        return partial(_culled)
    return partial(_Fused, collection.task_graph())


def _culled(dsk: Mapping[Key, Any], keys: Any, **_: Any) -> dict[Key, Any]:
    return toposort(ensure_dict(dsk), flatten(keys))


class _Fused(Mapping[Any, Any]):
    """The tasks of a collection, fused with the others of the same computation once one is read.

    Dask optimizes one collection after the other, and reads them only then. Each fused by itself,
    `dask.compute(fib(6), fib(7))` would run 15 tasks in place of 8.
    """

    def __init__(self, graph: TaskGraph, dsk: Any, keys: Any, **_: Any) -> None:
        self.graph, self.added = graph, _added(graph, dsk)
        if self.added is None:  # another graph than that of the collection
            outputs = [TaskRef(key) for key in flatten(keys)]
            tasks = toposort(ensure_dict(dsk), [output.key for output in outputs])
            self.graph, self.added = TaskGraph(tasks, outputs), {}
        batch = _open_batch.get()
        if batch is None or not batch.is_open:
            batch = _Batch()
            _open_batch.set(batch)
        batch.members[id(self)] = self
        self.batch = batch

    @cached_property
    def tasks(self) -> dict[Key, Any]:
        together = _fused_together(self.batch.graphs)
        return {**toposort(together, self.graph.keys), **(self.added or {})}

    def __getitem__(self, key: Key) -> Any:
        return self.tasks[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


def _added(graph: TaskGraph, dsk: Any) -> dict[Key, Any] | None:
    """The tasks that Dask added to those of a graph; None if it is another graph."""
    layers = list(dsk.layers.values()) if isinstance(dsk, HighLevelGraph) else [dsk]
    others = [layer for layer in layers if getattr(layer, "mapping", layer) is not graph.tasks]
    if len(others) == len(layers):
        return None
    return {key: layer[key] for layer in others for key in layer}


class _Batch:
    """Collections that Dask optimized and has not read yet."""

    def __init__(self) -> None:
        # Weak, for Dask drops its references if it fails to optimize another collection.
        self.members: WeakValueDictionary[int, _Fused] = WeakValueDictionary()
        self.is_open = True

    @cached_property
    def graphs(self) -> list[TaskGraph]:
        """The graphs of the members; no more are added."""
        self.is_open = False
        return [member.graph for member in self.members.values()]


_open_batch: ContextVar[_Batch | None] = ContextVar("_open_batch", default=None)
