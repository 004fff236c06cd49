"""A graph as a function of some of its values: no tracing, no fusing and no scheduler in a run.

Its program is compiled to Python source. A step then takes as long as the same line in a function
written by hand. On another backend, the source is the same and its functions are another library's.
"""

from __future__ import annotations

import itertools
import operator
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from textwrap import shorten
from typing import Any

import numpy as np
from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.graph import GraphCollection, GraphError, TaskGraph, fill_outputs, label
from pipeline.program.backends import load_backend
from pipeline.program.buffers import run_and_plan
from pipeline.program.flow import Flow
from pipeline.program.operators import BINARY, COMPARISONS, SYMBOLS
from pipeline.program.program import Instruction, Named, Program, program_of
from pipeline.program.rematerialization import budget_bytes, run_within

MAX_KINDS = 8
"""Kinds of arguments for which a compiled graph keeps its buffers."""

MAX_STEPS = 10_000
"""Longer programs run step by step: Python compiles at 5 µs a step."""

_INFIX = dict((*BINARY.values(), *COMPARISONS.values()))
Run = Callable[..., Any]


class CompiledGraph:
    """The outputs of a graph, as a function of the values of its inputs.

    All tasks run in the calling thread, one after the other, heavy ones too. Threads may share it.

    On the backend `numpy`, the first run with arrays of some shapes and types is observed. From the
    second on, large results of NumPy's operators and ufuncs that do not leave the program go into
    buffers, which it keeps for the last few kinds of arguments. It never writes to its arguments,
    nor again to what it returned. With a budget of memory it has no buffers, and calls functions
    again: they must return equal values.

    On `jax`, the whole program is jitted, so a task must have no side effect. On `torch`, it runs
    on tensors; an array that it is given becomes a tensor of the same memory. Values are on the
    device, and of the precision, that the library chooses.
    """

    def __init__(
        self,
        graph: TaskGraph,
        inputs: Sequence[GraphCollection | Key],
        backend: str = "numpy",
        memory: Any = None,
    ) -> None:
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
        program, needed = program_of(tasks, list(tasks), self.keys)
        slots = dict(zip(needed, program.inputs, strict=True))
        unused = itertools.count(program.width)
        self.program = replace(
            program,
            inputs=tuple([slots[key] if key in slots else next(unused) for key in self.inputs]),
            width=program.width + len(self.inputs) - len(slots),
        )
        self.backend, self.has_budget = backend, memory is not None
        self.plan: Callable[[tuple[Any, ...]], tuple[Any, Program]]
        if memory is None:
            self.plan = partial(run_and_plan, self.program)
        else:
            budget = budget_bytes(memory, backend)
            self.plan = partial(run_within, budget, Flow(self.program))
        self.run: Run | None
        self._load()
        self.idle: dict[Any, deque[Run]] = {}
        self.recent: tuple[Any, deque[Run]] = None, deque()

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
        if self.run is not None:
            return self.run(*values)
        array = np.ndarray
        kind = [
            (value.dtype, value.shape, value.strides) if type(value) is array else type(value)
            for value in values
        ]
        recent, idle = self.recent
        if kind != recent:
            idle = self._idle(kind)
        try:
            run = idle.pop()
        except IndexError:
            value, program = self.plan(values)
            run = self._run(program)
            outputs = self._outputs(value)
        else:
            outputs = run(*values)
        idle.append(run)
        return outputs

    def in_64_bits(self) -> AbstractContextManager[Any]:
        """A context in which no backend narrows numbers to 32 bits, which is JAX's default."""
        return self.library.in_64_bits() if self.library else nullcontext()

    def _idle(self, kind: list[Any]) -> deque[Run]:
        """The programs for arguments of a kind that no thread runs: their buffers are free."""
        name = tuple(kind)
        if name not in self.idle and len(self.idle) == MAX_KINDS:
            self.idle.clear()
        idle = self.idle.setdefault(name, deque())
        self.recent = kind, idle
        return idle

    def _load(self) -> None:
        """Prepare the run on another library; on NumPy, a run depends on the arguments."""
        self.library, self.run = load_backend(self.backend), None
        if self.library is not None:
            run = self._run(self.library.translated(self.program), self.library.jit)
            self.run = self.library.guarded(run, list(map(label, self.inputs)))

    def _run(self, program: Program, jit: Callable[[Run], Run] | None = None) -> Run:
        # To compile a program takes memory, more than a budget may leave.
        run = None if self.has_budget else compiled(program, self.outputs, jit)
        if run is not None:
            return run

        def steps(*values: Any) -> Any:
            return program(*values)

        by_steps = jit(steps) if jit else steps
        return lambda *values: self._outputs(by_steps(*values))

    def _outputs(self, value: Any) -> Any:
        return fill_outputs((value,) if len(self.keys) == 1 else value, self.keys, self.outputs)

    def __getstate__(self) -> dict[str, Any]:
        emptied: dict[str, Any] = {"library": None, "run": None, "idle": {}}
        return {**self.__dict__, **emptied, "recent": (None, deque())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._load()

    def __repr__(self) -> str:
        inputs = shorten(", ".join(map(label, self.inputs)), 60) or "no inputs"
        return f"<CompiledGraph of {inputs}: {len(self.program.keys):,} tasks>"


def compiled(program: Program, outputs: Any, jit: Callable[[Run], Run] | None = None) -> Run | None:
    """The outputs as a function of the program's arguments, from Python source.

    jit: compiles a function of arrays, which returns a tuple of arrays

    None for a long program, or for outputs that are nested unusually. Raises what a step raises,
    with a note that names the call.
    """
    if len(program.steps) > 4 * MAX_STEPS:
        return None
    source = _Source(program)
    result = source.structure(outputs)
    if result is None:
        return None

    def note(error: Exception) -> None:
        trace = error.__traceback__
        assert trace is not None  # noqa: S101 - the error was raised
        remaining = len(program.steps) - 4 * (trace.tb_lineno - 2)
        error.add_note(f"while computing {label(program.task_before(remaining))}")

    parameters = ", ".join(f"s{slot}" for slot in program.inputs)
    results = f"({''.join(f's{slot}, ' for slot in program.results)})"
    lines = [f"def run({parameters}):", " try:"]
    lines += [f"  s{step.result} = {source.step(step)}" for step in program.instructions()]
    lines += [f"  return {results if jit else result}"]
    lines += [" except Exception as error:", "  note(error)", "  raise"]
    if jit:
        lines += [f"def nested({parameters}):", f" {results} = jitted({parameters})"]
        lines += [f" return {result}"]
    names = source.names
    names["note"] = note
    exec(compile("\n".join(lines), "<program>", "exec"), names)  # noqa: S102 - our own source
    if jit:
        names["jitted"] = jit(names["run"])
    run: Run = names["nested" if jit else "run"]
    return run


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
