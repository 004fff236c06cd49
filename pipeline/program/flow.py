"""The flow of values through a program, whatever their slots: step n makes the value n."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from dask.typing import Key

from pipeline.graph import CallTask
from pipeline.program.program import Instruction, Program, program_of

VIEWS = frozenset(
    (operator.getitem, np.transpose, np.reshape, np.ravel, np.swapaxes, np.expand_dims,
     np.broadcast_to)
)  # fmt: skip
"""Functions whose result may share the memory of their operand."""


def _returned(*values: Any) -> tuple[Any, ...]:
    return values


class Flow:
    """A program's steps as values: step n makes the value n, and the last one returns the results.

    Constants are below 0 as the program numbers them, and arguments are below the constants.

    constants: their values
    sources: the operands of each step
    order: the steps that a result needs
    uses: the places in the order that use each value
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.constants = dict(zip(count(-1, -1), program.constants))
        first = -1 - len(program.constants)
        self.arguments = range(first, first - len(program.inputs), -1)
        self.instructions = list(program.instructions())
        end = Instruction(len(program.steps), _returned, program.results, program.width)
        held: dict[int, int] = dict(zip(program.inputs, self.arguments, strict=True))
        self.sources: list[tuple[int, ...]] = []
        for number, step in enumerate([*self.instructions, end]):
            operands = () if step.function is None else step.operands
            self.sources.append(tuple([held.get(slot, slot) for slot in operands]))
            held[step.result] = number
        self.instructions.append(end)
        self.order = self._early(self.useful(range(len(self.sources))))
        self.uses: dict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(self.order):
            for source in self.sources[number]:
                self.uses[source].append(place)

    def useful(self, steps: Sequence[int]) -> list[int]:
        """Those of some steps whose values are used before the same step runs again."""
        used = {len(self.sources) - 1}
        kept = []
        for number in reversed(steps):
            if number in used:
                used.remove(number)
                used.update(self.sources[number])
                kept.append(number)
        return kept[::-1]

    def _early(self, steps: Sequence[int]) -> list[int]:
        """The steps; views, last uses and results follow their operands as soon as they can.

        A recursion meets the gradient of a weight long after its adjoint, and would hold all
        adjoints until then.
        """
        last = {source: place for place, step in enumerate(steps) for source in self.sources[step]}
        turn: dict[int, int] = {}
        for place, step in enumerate(steps):
            sources = [source for source in self.sources[step] if source >= 0]
            is_last = step not in last or any(last[source] == place for source in sources)
            is_early = is_last or self.instructions[step].function in VIEWS
            turn[step] = max(turn[source] for source in sources) if sources and is_early else place
        return sorted(steps, key=turn.__getitem__)

    def key(self, number: int) -> Key:
        """The key of a step's task."""
        program = self.program
        return program.task_before(len(program.steps) - self.instructions[number].start - 4)

    def written(self, steps: Sequence[int]) -> Program:
        """The program that runs steps in some order, and frees each value after its last use."""
        tasks: dict[Any, CallTask] = {
            number: CallTask(number, _constant(value), ())
            for number, value in self.constants.items()
        }
        latest: dict[int, int] = {}  # by value: the place of the step that made it
        for place, number in enumerate(steps):
            _, function, operands, _ = self.instructions[number]
            inputs = tuple([latest.get(source, source) for source in self.sources[number]])
            tasks[place] = CallTask(place, function or _constant(operands[0]), inputs)
            latest[number] = place
        end = tasks.pop(len(steps) - 1)
        program, needed = program_of(tasks, list(tasks), end.inputs)
        slots = dict(zip(needed, program.inputs, strict=True))
        return replace(
            program,
            width=program.width + 1,  # the last slot takes arguments that no step uses
            inputs=tuple([slots.get(value, program.width) for value in self.arguments]),
            outputs=self.program.outputs,
            # A constant has no call, and raises nothing.
            calls=tuple([self.key(steps[max(place, 0)]) for place in program.keys]),
        )


def _constant(value: Any) -> Program:
    """The program of a task that returns a constant."""
    return Program((None, value, None, 0), 1, (), (), (0,))
