"""A graph as a function of some of its values: no tracing, no fusing and no scheduler in a run.

Its program is compiled to Python source. A step then takes as long as the same line in a function
written by hand.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Sequence
from textwrap import shorten
from traceback import walk_tb
from typing import Any

import numpy as np
from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.graph import GraphCollection, GraphError, TaskGraph, fill_outputs, label
from pipeline.program.buffers import run_and_plan
from pipeline.program.program import Instruction, Program, lower
from pipeline.trace import BINARY, COMPARISONS, SYMBOLS, Named

MAX_KINDS = 8
"""Kinds of arguments for which a compiled graph keeps its buffers."""

MAX_STEPS = 10_000
"""Longer programs run step by step: Python compiles at 5 µs a step."""

_INFIX = dict((*BINARY.values(), *COMPARISONS.values()))
_FILE = "<program>"


class CompiledGraph:
    """The outputs of a graph, as a function of the values of its inputs.

    All tasks run in the calling thread, one after the other, heavy ones too. The first run with
    arrays of some shapes and types is observed. From the second on, large results of NumPy's
    operators and ufuncs that do not leave the program go into buffers, which it keeps for the last
    few kinds of arguments. It never writes to its arguments, nor again to what it returned. Threads
    may share it.
    """

    def __init__(self, graph: TaskGraph, inputs: Sequence[GraphCollection | Key]) -> None:
        self.inputs = [
            value.task_graph().keys[0] if isinstance(value, GraphCollection) else value
            for value in inputs
        ]
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
                    f"{label(key)} is a value that a cluster holds: compute it, and pass it as an "
                    "input"
                )
        self.keys = list(dict.fromkeys(graph.keys))
        self.program, arguments = lower(tasks, list(tasks), self.keys)
        self.places = [self.inputs.index(key) for key in arguments]
        self.idle: dict[Any, deque[Callable[..., Any]]] = {}

    def __call__(self, *values: Any) -> Any:
        """The outputs, nested as the graph's are.

        Raises `TypeError` unless there is one value for each input, and what a task raises, with a
        note that names the call.
        """
        if len(values) != len(self.inputs):
            raise TypeError(
                f"{len(values)} values for {len(self.inputs)} inputs: give one for each of "
                f"{', '.join(map(label, self.inputs))}"
            )
        arguments = [values[place] for place in self.places]
        kind = tuple(map(_kind, arguments))
        # A running program is in no queue: its buffers are in use.
        if kind not in self.idle and len(self.idle) == MAX_KINDS:
            self.idle.clear()
        idle = self.idle.setdefault(kind, deque())
        try:
            run = idle.pop()
        except IndexError:
            value, program = run_and_plan(self.program, tuple(arguments))
            run = compiled(program, self.outputs) or (
                lambda *arguments: self._outputs(program(*arguments))
            )
            outputs = self._outputs(value)
        else:
            outputs = run(*arguments)
        idle.append(run)
        return outputs

    def _outputs(self, value: Any) -> Any:
        return fill_outputs((value,) if len(self.keys) == 1 else value, self.keys, self.outputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "idle": {}}

    def __repr__(self) -> str:
        inputs = shorten(", ".join(map(label, self.inputs)), 60) or "no inputs"
        return f"<CompiledGraph of {inputs}: {len(self.program.keys):,} tasks>"


def _kind(value: Any) -> Any:
    if type(value) is np.ndarray:
        return value.dtype, value.shape, value.strides
    return type(value)


def compiled(program: Program, outputs: Any) -> Callable[..., Any] | None:
    """The outputs as a function of the program's arguments, from Python source.

    None for a long program, or for outputs that are nested unusually. Raises what a step raises,
    with a note that names the call.
    """
    if len(program.steps) > 4 * MAX_STEPS:
        return None
    source = _Source(program)
    result = source.structure(outputs)
    if result is None:
        return None
    lines = [f"def run({', '.join(f's{slot}' for slot in program.inputs)}):"]
    lines += [f" s{step.result} = {source.step(step)}" for step in program.instructions()]
    lines += [f" return {result}"]
    exec(compile("\n".join(lines), _FILE, "exec"), source.names)  # noqa: S102 - our own source
    run: Callable[..., Any] = source.names["run"]

    def run_with_notes(*arguments: Any) -> Any:
        try:
            return run(*arguments)
        except Exception as error:
            trace = walk_tb(error.__traceback__)
            number = next(line for frame, line in trace if frame.f_code.co_filename == _FILE)
            key = program.task_before(len(program.steps) - 4 * (number - 1))
            error.add_note(f"while computing {label(key)}")
            raise

    return run_with_notes


class _Source:
    """Writes steps as expressions: a slot is a local variable, all else a name of the module."""

    def __init__(self, program: Program) -> None:
        self.names: dict[str, Any] = {
            f"c{number}": value for number, value in enumerate(program.constants, 1)
        }
        self.slot_of = dict(zip(program.outputs, program.results, strict=True))

    def name(self, value: Any) -> str:
        """The name of a function or a constant."""
        name = f"v{id(value)}"
        self.names[name] = value
        return name

    def slot(self, place: int) -> str:
        """The name of a slot; slots of constants are counted from the last one."""
        return f"s{place}" if place >= 0 else f"c{-place}"

    def step(self, step: Instruction) -> str:
        """The result of a step."""
        function = step.function
        if function is None:
            return self.name(step.operands[0])
        operands = [self.slot(place) for place in step.operands]
        if len(operands) == 2 and _INFIX.get(function) is not None:
            return f"{operands[0]} {_INFIX[function]} {operands[1]}"
        if function is operator.getitem:
            return f"{operands[0]}[{operands[1]}]"
        if len(operands) == 1 and SYMBOLS.get(function) is not None:
            return f"{SYMBOLS[function]}{operands[0]}"
        if isinstance(function, Named):
            first = len(operands) - len(function.names)
            pairs = zip(function.names, operands[first:], strict=True)
            operands[first:] = [f"{name}={value}" for name, value in pairs]
            function = function.function
        return f"{self.name(function)}({', '.join(operands)})"

    def structure(self, outputs: Any, depth: int = 50) -> str | None:
        """Outputs in lists, tuples and dicts, as source; None for other structures."""
        kind = type(outputs)
        if isinstance(outputs, TaskRef):
            return self.slot(self.slot_of[outputs.key])
        if kind not in (list, tuple, dict) or not depth:
            return None
        values = outputs.values() if kind is dict else outputs
        texts = [text for value in values if (text := self.structure(value, depth - 1)) is not None]
        if len(texts) < len(values):
            return None
        if kind is dict:
            pairs = zip(map(self.name, outputs), texts, strict=True)
            return f"{{{', '.join(f'{key}: {text}' for key, text in pairs)}}}"
        return f"[{', '.join(texts)}]" if kind is list else f"({''.join(f'{x}, ' for x in texts)})"
