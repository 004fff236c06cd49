"""A graph as a function of some of its values: no tracing, no fusing and no scheduler in a run."""

from __future__ import annotations

from collections import deque
from functools import partial
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.task_spec import TaskRef

from pipeline.graph import GraphError, TaskGraph, fill_outputs, label
from pipeline.program.buffers import watched
from pipeline.program.recorder import record
from pipeline.program.source import compiled
from pipeline.trace import Lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dask.typing import Key

    from pipeline.program.tape import Tape

KINDS = 8
"""Kinds of arguments for which a program keeps its buffers."""


class Program:
    """The outputs of a graph, as a function of the values of its inputs.

    All tasks run in the calling thread, one after the other, heavy ones too. The first run with
    arrays of some shapes and types is watched; from the second on, results of NumPy's operators and
    ufuncs that stay inside and are not small go into buffers, which the program keeps for the last
    few kinds of arguments. What it returns is never written to again, and what it is given never at
    all. Threads may share a program.
    """

    def __init__(self, graph: TaskGraph, inputs: Sequence[Lazy | Key]) -> None:
        self.inputs = [_key(each) for each in inputs]
        self.outputs = graph.outputs
        for key in self.inputs:
            if key not in graph.tasks:
                raise GraphError(f"{label(key)} is not in {graph!r}: an input is one of its tasks")
        if len(set(self.inputs)) < len(self.inputs):
            raise GraphError(f"an input is named twice: {', '.join(map(label, self.inputs))}")
        tasks = {key: node for key, node in graph.tasks.items() if key not in set(self.inputs)}
        for key, node in tasks.items():
            if isinstance(node, TaskRef):
                raise GraphError(
                    f"{label(key)} is a value that a cluster holds: compute it, and give it as an "
                    "input"
                )
        self.keys = list(dict.fromkeys(graph.keys))
        self.tape, taken = record(tasks, list(tasks), self.keys)
        self.taken = [self.inputs.index(key) for key in taken]
        self.idle: dict[Any, deque[Callable[..., Any]]] = {}

    def __call__(self, *values: Any) -> Any:
        """The outputs, nested as the graph's are.

        Raises `TypeError` where the number of values is not that of the inputs, and what a task
        raises, with a note that names the call.
        """
        if len(values) != len(self.inputs):
            raise TypeError(
                f"{len(values)} values for {len(self.inputs)} inputs: give one for each of "
                f"{', '.join(map(label, self.inputs))}"
            )
        arguments = [values[place] for place in self.taken]
        kind = tuple([_kind(each) for each in arguments])
        # A tape that runs is nobody else's: its buffers are in use.
        if kind not in self.idle and len(self.idle) == KINDS:
            self.idle.clear()
        idle = self.idle.setdefault(kind, deque())
        try:
            run = idle.pop()
        except IndexError:
            found, tape = watched(self.tape, tuple(arguments))
            run = compiled(tape, self.outputs) or partial(self._run, tape)
            found = self._filled(found)
        else:
            found = run(*arguments)
        idle.append(run)
        return found

    def _run(self, tape: Tape, *arguments: Any) -> Any:
        return self._filled(tape(*arguments))

    def _filled(self, found: Any) -> Any:
        return fill_outputs((found,) if len(self.keys) == 1 else found, self.keys, self.outputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "idle": {}}

    def __repr__(self) -> str:
        taken = ", ".join(map(label, self.inputs))
        return f"<Program of {shorten(taken, 60) or 'no inputs'}: {len(self.tape.keys):,} tasks>"


def _key(each: Lazy | Key) -> Key:
    if isinstance(each, Lazy):
        return each.task_graph().keys[0]
    return each


def _kind(value: Any) -> Any:
    if type(value) is np.ndarray:
        return value.dtype, value.shape, value.strides
    return type(value)
