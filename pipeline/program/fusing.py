"""From many cheap tasks to few: groups of them become one task each, whose function is a tape.

Heavy tasks stay as they are, so that a scheduler still runs them in parallel.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pipeline.graph import CallTask, TaskGraph, inputs_of, toposort
from pipeline.identity import short_hash
from pipeline.program.grouping import groups
from pipeline.program.recorder import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dask.typing import Key

    from pipeline.program.tape import Tape


class Block(CallTask):
    """Cheap tasks as one: its function is a tape, which names the call that an error was in."""

    __slots__ = ()
    function: Tape

    def __call__(self, values: Any = ()) -> Any:
        return self.function(*[values[key] for key in self.inputs])


class Part(CallTask):
    """One of the values of a block, under its own key."""

    __slots__ = ()


class LoadTask(CallTask):
    """A task whose result is loaded, not computed."""

    __slots__ = ()


def fuse(graph: TaskGraph) -> TaskGraph:
    """The graph with its cheap tasks fused into blocks, and without tasks that no output needs.

    Outputs keep their keys. A block of one output bears its key; the values of any other block are
    a tuple, and those that heavy tasks or the graph ask for are taken out of it by their own tasks.

    >>> from pipeline.apps.fibonacci import fib
    >>> list(fuse(fib(2000).graph()).tasks.values())
    [<Block fib(2000): no inputs>]
    """
    return TaskGraph(fuse_tasks(graph.tasks, [graph.keys]), graph.outputs)


def fuse_tasks(tasks: Mapping[Key, Any], asked: Sequence[Sequence[Key]]) -> dict[Key, Any]:
    """Tasks, fused for the outputs of one or several collections."""
    outputs = [key for keys in asked for key in keys]
    members = groups(tasks, asked)
    blocks = [keys for keys in members if len(keys) > 1]
    block_of = {key: number for number, keys in enumerate(blocks) for key in keys}
    given, alone = _given(tasks, outputs, members, block_of)
    names = [keys[0] if len(keys) == 1 else f"fused-{short_hash(tuple(keys))}" for keys in given]
    held = {
        key: (name, place)
        for name, keys in zip(names, given, strict=True)
        for place, key in enumerate(keys)
        if len(keys) > 1
    }
    found = {keys[0]: tasks[keys[0]] for keys in members if len(keys) == 1}
    for name, keys, gives in zip(names, blocks, given, strict=True):
        tape, taken = record(tasks, keys, gives, held)
        found[name] = Block(name, tape, taken, cheap=False)
        for key in gives:
            if key in held and key in alone:
                found[key] = Part(key, itemgetter(held[key][1]), (name,), cheap=False)
    return toposort(found, outputs) if len(members) > 1 else found


def _given(
    tasks: Mapping[Key, Any],
    outputs: Sequence[Key],
    members: Sequence[Sequence[Key]],
    block_of: Mapping[Key, int],
) -> tuple[list[list[Key]], set[Key]]:
    """What is needed of each block outside of it, and what of that by no other block."""
    given: list[dict[Key, None]] = [{} for _ in members]
    alone = set(outputs)
    for key in outputs:
        if key in block_of:
            given[block_of[key]][key] = None
    for keys in members if len(members) > 1 else ():
        number = block_of.get(keys[0])
        for key in keys:
            node = tasks[key]
            for each in node.inputs if type(node) is CallTask else inputs_of(node):
                other = block_of.get(each)
                if other != number and other is not None:
                    given[other][each] = None
                    if number is None:
                        alone.add(each)
    return [list(keys) for keys in given if keys], alone
