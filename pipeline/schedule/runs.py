"""Runs of tasks, as a scheduler tells of them: a block stands for all the tasks in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.program import Block, LoadTask, Part

if TYPE_CHECKING:
    from dask.typing import Key


class Run(NamedTuple):
    """One execution of a task.

    seconds: on a local scheduler from hand-over to return, on a cluster of the work alone; in a
        block, an equal share of what the block took
    bytes: of the result, as Dask estimates them; in a block, 0 for what did not leave it, and an
        equal share for what did
    """

    key: Key
    seconds: float
    bytes: int


def runs(node: Any, key: Key, seconds: float, size: int) -> list[Run]:
    """The runs that one task of a scheduler stands for, in their order."""
    if isinstance(node, Part | LoadTask):
        return []  # it only takes a value out of a block, or out of a store
    if not isinstance(node, Block):
        return [Run(key, seconds, size)]
    tape = node.function
    share = seconds / len(tape.keys)
    sizes = dict.fromkeys(tape.outputs, size // len(tape.outputs))
    return [Run(each, share, sizes.get(each, 0)) for each in reversed(tape.keys)]
