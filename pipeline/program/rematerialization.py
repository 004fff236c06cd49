"""Memory as a budget: values over it are dropped, and computed again when they are needed.

The first run with each kind of arguments keeps to the budget, and observes the bytes of each value.
Then the order of steps for further runs is planned in the same way, with all bytes known. To make
room, a run drops the value with the least cost ÷ (bytes × staleness), as in Dynamic Tensor
Rematerialization (Kirisame et al., ICLR 2021). The cost is that of all dropped values that it takes
to compute the value again. DTR looks back, at the last use of a value; here the next one is known.

Bytes are those of all values that a program holds, its results included, above its arguments and
constants: of an array as NumPy allocates it, once for all its views; of other values as
`dask.sizeof` estimates them. What a function allocates while it runs does not count.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from dask.sizeof import sizeof
from dask.typing import Key
from dask.utils import format_bytes, parse_bytes

from pipeline import PipelineError
from pipeline.graph import CallTask, label
from pipeline.identity import short_repr
from pipeline.program.buffers import VIEWS, expected_bytes
from pipeline.program.program import Program, program_of

MAX_WORK = 5
"""A run takes at most so many times the steps of its program."""

EXPONENT = 0.25
"""Of the staleness. DTR takes 1; a long chain takes less time with less."""

MIN_SECONDS = 0.01
"""Quicker steps have equal costs, so that each process drops the same values."""


class BudgetError(PipelineError, ValueError):
    """A budget of memory that is no number of bytes, or that a run cannot keep.

    least: the bytes of a budget that runs keep; None where that is not known
    """

    least: int | None = None


def budget_bytes(memory: Any, backend: str = "numpy") -> int:
    """The bytes of a budget such as `"64MB"`, `"2 GiB"` or `10_000`.

    Raises `BudgetError` for what is no number of bytes above 0, and for other backends than NumPy.
    """
    if backend != "numpy":
        raise BudgetError(
            f"memory={short_repr(memory)} with backend={backend!r}: the library manages its memory "
            "itself; give no budget, or backend='numpy'"
        )
    try:
        budget = 0 if isinstance(memory, bool) else int(parse_bytes(memory))
    except (ValueError, TypeError, AttributeError, OverflowError):
        budget = 0
    if budget <= 0:
        given = short_repr(memory)
        raise BudgetError(f"memory={given}: give a number of bytes above 0, such as '64MB'")
    return budget


class Flow:
    """A program's steps as values: step n makes the value n.

    Constants are below 0 as the program numbers them, and arguments are below the constants.

    sources: the operands of each step
    results: the values that the program returns
    order: the steps that a result needs
    uses: of each value, and of its views: the places in the order, with one after all for a result
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.instructions = list(program.instructions())
        first = -1 - len(program.constants)
        self.arguments = [first - place for place in range(len(program.inputs))]
        held: dict[int, int] = dict(zip(program.inputs, self.arguments, strict=True))
        self.sources: list[tuple[int, ...]] = []
        for number, step in enumerate(self.instructions):
            operands = () if step.function is None else step.operands
            self.sources.append(tuple([held.get(slot, slot) for slot in operands]))
            held[step.result] = number
        self.results = [held.get(slot, slot) for slot in program.results]
        self.order = self._early(self.useful(range(len(self.sources))))
        self.uses: dict[int, list[int]] = {number: [] for number in self.order}
        for value in {*self.results} & self.uses.keys():
            self.uses[value].append(len(self.order))
        for place, number in reversed([*enumerate(self.order)]):
            self.uses[number].sort()
            is_view = self.instructions[number].function in VIEWS
            for source in self.sources[number]:
                if source >= 0:
                    self.uses[source] += [place, *(self.uses[number] if is_view else ())]

    def useful(self, steps: Sequence[int]) -> list[int]:
        """Those of some steps whose results are used before the same step runs again."""
        used = set(self.results)
        kept = []
        for number in reversed(steps):
            if number in used:
                used.remove(number)
                used.update(self.sources[number])
                kept.append(number)
        return kept[::-1]

    def _early(self, steps: Sequence[int]) -> list[int]:
        """The steps, where one that ends a value, or a program's result, follows its operands.

        A recursion meets the gradient of a weight long after its adjoint, and would hold all
        adjoints until then.
        """
        owner: dict[int, int] = {}
        for number in steps:
            is_view = self.instructions[number].function in VIEWS
            owner[number] = owner.get(self.sources[number][0], number) if is_view else number
        last = {
            owner.get(source): place
            for place, number in enumerate(steps)
            for source in self.sources[number]
        }
        turn: dict[int, int] = {}
        for place, number in enumerate(steps):
            sources = [source for source in self.sources[number] if source >= 0]
            is_end = any(last[owner[source]] == place for source in sources)
            is_early = sources and (is_end or owner[number] != number or number not in last)
            turn[number] = max(turn[source] for source in sources) if is_early else place
        return sorted(steps, key=turn.__getitem__)

    def key(self, number: int) -> Key:
        """The key of a step's task."""
        program = self.program
        return program.task_before(len(program.steps) - self.instructions[number].start - 4)

    def written(self, steps: Sequence[int]) -> Program:
        """The program that runs steps in some order, and frees each value after its last use."""
        latest: dict[int, Any] = {}  # by value: the place of the step that made it
        tasks = {}
        for place, number in enumerate(steps):
            sources, instruction = self.sources[number], self.instructions[number]
            constants = [x for x in sources if -len(self.program.constants) <= x < 0]
            inputs = [x for x in sources if x not in constants]
            slots = [inputs.index(x) if x in inputs else -1 - constants.index(x) for x in sources]
            values = tuple([self.program.constants[-1 - x] for x in constants])
            operands = instruction.operands[0] if instruction.function is None else tuple(slots)
            body = Program(
                (instruction.function, operands, None, len(inputs)), len(inputs) + 1, values,
                tuple(range(len(inputs))), (len(inputs),),
            )  # fmt: skip
            tasks[place] = CallTask(place, body, tuple([latest.get(x, x) for x in inputs]))
            latest[number] = place
        results = [latest.get(value, value) for value in self.results]
        program, needed = program_of(tasks, list(tasks), results)
        bound = dict(zip(needed, program.inputs, strict=True))
        return replace(
            program,
            width=program.width + len(self.arguments),
            inputs=tuple([bound.get(x, program.width + n) for n, x in enumerate(self.arguments)]),
            outputs=self.program.outputs,
            calls=tuple([self.key(steps[place]) for place in program.keys]),
        )


@dataclass
class Known:
    """What is known of the value of each step, once it ran.

    owner: the step in whose memory it lies: itself, or another for a view
    bytes: of its own memory; 0 if it lies in that of another value
    expected: the bytes expected of its first run; infinite where nothing was known
    cost: of running it once
    """

    owner: array[int]
    bytes: array[int]
    expected: array[float]
    cost: array[float]


def run_within(budget: int, flow: Flow, arguments: Sequence[Any]) -> tuple[Any, Program]:
    """The value of a program, and a program that does the same for such arguments in the budget.

    Raises `BudgetError` if this run exceeds the budget.
    """
    run = _Run(flow, arguments)
    walk = _Walk(flow, run.known, budget, run)
    first = walk.go()
    if not walk.is_kept:
        raise _too_small(flow, run.known, budget, walk.budget)
    results = tuple([run.values[value] for value in flow.results])
    informed = replace(run.known, expected=array("d", run.known.bytes))
    plans = [first, _planned(flow, informed, budget) or first]
    best = min(plans, key=lambda steps: sum(run.known.cost[number] for number in steps))
    return results if len(results) > 1 else results[0], flow.written(best)


def _planned(flow: Flow, known: Known, budget: float) -> list[int] | None:
    """The steps of a run in a budget; None if it exceeds the budget."""
    try:
        return _Walk(flow, known, budget).go()
    except _Overrun:
        return None


def _too_small(flow: Flow, known: Known, budget: int, high: float) -> BudgetError:
    """The error that states the least budget that first runs and others keep."""
    least, low = int(high), budget
    while _planned(flow, known, least) is None:
        low, least = least, 2 * least
    while least - low > max(1, least // 100):
        middle = (low + least) // 2
        low, least = (middle, least) if _planned(flow, known, middle) is None else (low, middle)
    error = BudgetError(
        f"memory={budget:,} bytes: the least that a run was found to keep, in at most {MAX_WORK} "
        f"times the steps, is {least:,} bytes ({format_bytes(least)}); give as much"
    )
    error.least = least
    return error


class _Overrun(Exception):  # noqa: N818 - no error: another budget may do
    """A plan that exceeds its budget."""


class _Walk:
    """The steps of a run that drops values over its budget, and runs steps again for them.

    run: runs the steps, and learns their bytes. It goes on over the budget, to learn all of them;
        without it, the bytes are known, and such a walk is an `_Overrun`
    is_kept: whether it kept to its budget
    """

    def __init__(self, flow: Flow, known: Known, budget: float, run: _Run | None = None) -> None:
        self.flow, self.known, self.budget, self.run = flow, known, budget, run
        self.is_kept = True
        self.held: dict[int, list[int]] = {}  # by owner: the values in its memory
        self.bytes = 0
        self.pins: Counter[int] = Counter()  # operands of steps that are about to run
        self.has_run = bytearray(len(flow.instructions))
        self.now = 0
        self.steps: list[int] = []
        self.most_steps = MAX_WORK * len(flow.order)

    def go(self) -> list[int]:
        """The steps that ran and were of use."""
        for place, number in enumerate(self.flow.order):
            self.now = place
            self.make(number)
        self.pins.update(self.flow.results)
        for value in self.flow.results:
            if not self.is_held(value):
                self.make(value)
        return self.flow.useful(self.steps)

    def is_held(self, value: int) -> bool:
        return value < 0 or value in self.held.get(self.known.owner[value], ())

    def make(self, number: int) -> None:
        """Run a step, after those of its operands that were dropped."""
        sources = self.flow.sources
        stack = [number]
        self.pins.update(sources[number])
        while stack:
            step = stack[-1]
            missing = next((value for value in sources[step] if not self.is_held(value)), None)
            if missing is not None:
                stack.append(missing)
                self.pins.update(sources[missing])
                continue
            self.step(step)
            self.pins.subtract(sources[stack.pop()])
            for value in (*sources[step], step):
                owner = self.known.owner[value] if value >= 0 else value
                if owner in self.held and self.next_use(owner) == math.inf:
                    self.drop(owner)

    def step(self, step: int) -> None:
        """Run a step whose operands are held, after there is room for its result."""
        if self.run is not None:
            self.run.expect(step)
        size: float = self.known.bytes[step]
        if not self.has_run[step]:
            size = self.known.expected[step]
        if size == math.inf:
            size = self.budget / 2
        while self.bytes + size > self.budget and (owner := self.cheapest()) is not None:
            self.drop(owner)
        if self.run is not None:
            self.run.step(step)
        self.has_run[step] = True
        self.steps.append(step)
        owner = self.known.owner[step]
        self.bytes += self.known.bytes[owner] if owner not in self.held else 0
        self.held.setdefault(owner, []).append(step)
        if self.bytes > self.budget:
            self.overrun(self.bytes)
        if len(self.steps) > self.most_steps:
            self.most_steps += MAX_WORK * len(self.flow.order)
            self.overrun(2 * self.budget)

    def overrun(self, budget: float) -> None:
        """Go on with a larger budget, if values have to be learned."""
        if self.run is None:
            raise _Overrun
        self.is_kept, self.budget = False, budget

    def cheapest(self) -> int | None:
        """The memory with the least cost ÷ (bytes × staleness) of those that may be dropped."""
        chosen, least = None, math.inf
        for owner, values in self.held.items():
            if self.known.bytes[owner] and not any(self.pins[value] for value in values):
                staleness = self.next_use(owner) - self.now
                weight = self.known.bytes[owner] * staleness**EXPONENT
                cost = self.cost(values, least * weight)
                if cost < least * weight:
                    chosen, least = owner, cost / weight
        return chosen

    def drop(self, owner: int) -> None:
        """Forget all values in some memory."""
        values = self.held.pop(owner)
        self.bytes -= self.known.bytes[owner]
        if self.run is not None:
            for value in values:
                del self.run.values[value]

    def next_use(self, owner: int) -> float:
        """The place in the order at which some memory is used next: for operands, now."""
        if any(self.pins[value] for value in self.held[owner]):
            return self.now
        places = math.inf
        for value in self.held[owner]:
            uses = self.flow.uses[value]
            place = bisect_right(uses, self.now)
            places = min(places, uses[place] if place < len(uses) else math.inf)
        return places

    def cost(self, values: Sequence[int], limit: float) -> float:
        """That of computing some values again; at least `limit` if it is more."""
        stack = list(values)
        again = set(stack)
        cost = 0.0
        while stack and cost < limit:
            value = stack.pop()
            cost += self.known.cost[value]
            for source in self.flow.sources[value]:
                if source not in again and not self.is_held(source):
                    again.add(source)
                    stack.append(source)
        return cost


class _Run:
    """A run that is observed: the values that it holds, and what is known of all values."""

    def __init__(self, flow: Flow, arguments: Sequence[Any]) -> None:
        self.flow = flow
        self.values: dict[int, Any] = dict(zip(flow.arguments, arguments, strict=True))
        self.values.update(
            (-1 - place, value) for place, value in enumerate(flow.program.constants)
        )
        size = len(flow.instructions)
        self.known = Known(
            array("q", range(size)), array("q", bytes(8 * size)),
            array("d", [math.nan]) * size, array("d", bytes(8 * size)),
        )  # fmt: skip
        self.growth: dict[Any, float] = {}  # by function: bytes of its results ÷ of its operands

    def expect(self, number: int) -> None:
        """Expect as many bytes of a step's first run as its operands suggest."""
        if not math.isnan(self.known.expected[number]):
            return
        function = self.flow.instructions[number].function
        operands = [self.values[source] for source in self.flow.sources[number]]
        expected = expected_bytes(function, operands) if function else 0
        if expected is None:
            growth = self.growth.get(function, math.inf)
            self.known.expected[number] = growth * max(1, sum(map(sizeof, operands)))
        else:
            self.known.expected[number] = expected

    def step(self, number: int) -> None:
        """Run a step. Raises what it raises, with a note that names the call."""
        function, sources = self.flow.instructions[number].function, self.flow.sources[number]
        start = perf_counter()
        if function is None:
            self.values[number] = self.flow.instructions[number].operands[0]
            return
        operands = [self.values[source] for source in sources]
        try:
            value = self.values[number] = function(*operands)
        except Exception as error:
            error.add_note(f"while computing {label(self.flow.key(number))}")
            raise
        seconds = perf_counter() - start
        if self.known.cost[number]:  # it ran before
            return
        # Powers of ten: that a machine is busy changes no plan.
        self.known.cost[number] = 10.0 ** round(math.log10(max(seconds, MIN_SECONDS)))
        memory = _memory(value)
        shared = [source for source in sources if _memory(self.values[source]) is memory]
        if shared:
            self.known.owner[number] = self.known.owner[shared[0]] if shared[0] >= 0 else number
            return
        size = self.known.bytes[number] = sizeof(memory)
        growth = size / max(1, sum(map(sizeof, operands)))
        self.growth[function] = max(growth, self.growth.get(function, 0.0))


def _memory(value: Any) -> Any:
    """The array whose memory a view shows; any other value itself."""
    while isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        value = value.base
    return value
