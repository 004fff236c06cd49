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
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from dask.sizeof import sizeof
from dask.utils import format_bytes, parse_bytes

from pipeline import PipelineError
from pipeline.graph import label
from pipeline.identity import short_repr
from pipeline.program.buffers import expected_bytes
from pipeline.program.flow import Flow
from pipeline.program.program import Program

MAX_WORK = 5
"""A run takes at most so many times the steps of its program."""

EXPONENT = 0.25
"""Of the staleness. DTR takes 1; a long chain takes less time with less."""

MIN_SECONDS = 0.1
"""Quicker steps have equal costs in a first run: a busy machine does not change what it drops."""


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


def run_within(budget: int, flow: Flow, arguments: Sequence[Any]) -> tuple[Any, Program]:
    """The value of a program, and a program that does the same for such arguments in the budget.

    Raises `BudgetError` if this run exceeds the budget.
    """
    run = _Run(flow, arguments)
    first = _Walk(run, budget, is_first=True)
    if first.budget > budget:
        raise _too_small(run, budget, first.budget)
    run.expected = array("d", run.bytes)
    walks = [first, _Walk(run, budget)]
    run.cost = run.typical_seconds()
    walks.append(_Walk(run, budget))
    orders = [flow.useful(walk.steps) for walk in walks if walk.budget == budget]
    best = min(orders, key=lambda steps: sum(run.cost[step] for step in steps))
    return run.results if len(run.results) > 1 else run.results[0], flow.written(best)


def _too_small(run: _Run, budget: int, high: int) -> BudgetError:
    """The error that states the least budget that first runs and others keep, to a percent."""
    while (larger := _Walk(run, high).budget) > high:
        high = larger
    sizes = range(budget, high, max(1, high // 100))
    place = bisect_left(sizes, True, key=lambda size: _Walk(run, size).budget == size)
    least = sizes[place] if place < len(sizes) else high
    error = BudgetError(
        f"memory={budget:,} bytes: the least that a run was found to keep, in at most {MAX_WORK} "
        f"times the steps, is {least:,} bytes ({format_bytes(least)}); give as much"
    )
    error.least = least
    return error


class _Walk:
    """The steps of a run that drops values over its budget, and runs steps again for them.

    is_first: whether the steps really run; otherwise their bytes are known from such a run
    budget: larger than at first if it was too small, for a first run has to learn all bytes
    """

    def __init__(self, run: _Run, budget: int, is_first: bool = False) -> None:
        self.run, self.flow, self.budget, self.is_first = run, run.flow, budget, is_first
        self.held: dict[int, list[int]] = {}  # by owner: the values in its memory
        self.bytes = 0
        self.pins: Counter[int] = Counter()  # operands of steps that are about to run
        self.has_run = bytearray(len(self.flow.sources))
        self.steps = array("q")
        self.most_steps = MAX_WORK * len(self.flow.order)
        for place, number in enumerate(self.flow.order):
            self.now = place
            self.make(number)

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
            self.make_room(step)
            self.step(step)
            self.pins.subtract(sources[stack.pop()])
            if number == self.flow.order[-1]:  # what one result needed may serve the next
                continue
            for owner in {self.run.owner[value] for value in sources[step] if value >= 0}:
                if owner in self.held and self.next_use(owner) == math.inf:
                    self.drop(owner)

    def make_room(self, step: int) -> None:
        """Drop values until a step has room for its value; for an unknown one, half the budget."""
        size: float = self.run.bytes[step]
        if not self.has_run[step]:
            if self.is_first:
                self.run.expect(step)
            size = self.run.expected[step]
        room = self.budget - size if size < math.inf else self.budget / 2
        while self.bytes > room and (owner := self.cheapest()) is not None:
            self.drop(owner)

    def step(self, step: int) -> None:
        """Run a step whose operands are held."""
        if self.is_first:
            self.run.step(step)
        self.has_run[step] = True
        self.steps.append(step)
        owner = self.run.owner[step]
        if owner not in self.held:
            self.held[owner] = []
            self.bytes += self.run.bytes[owner]
        self.held[owner].append(step)
        self.budget = max(self.budget, self.bytes)
        if len(self.steps) > self.most_steps:
            self.budget *= 2
            self.most_steps += MAX_WORK * len(self.flow.order)

    def is_held(self, value: int) -> bool:
        """Whether a value needs no step: arguments and constants never do."""
        return value < 0 or value in self.held.get(self.run.owner[value], ())

    def drop(self, owner: int) -> None:
        """Forget all values in some memory."""
        self.bytes -= self.run.bytes[owner]
        for value in self.held.pop(owner):
            if self.is_first:
                del self.run.values[value]

    def cheapest(self) -> int | None:
        """The memory with the least cost ÷ (bytes × staleness) of those that may be dropped."""
        chosen, least = None, math.inf
        for owner, values in self.held.items():
            staleness = self.next_use(owner) - self.now
            weight = self.run.bytes[owner] * staleness**EXPONENT
            if weight and (cost := self.cost(values, least * weight)) < least * weight:
                chosen, least = owner, cost / weight
        return chosen

    def next_use(self, owner: int) -> float:
        """The place in the order at which some memory is used next: for operands, now."""
        places = math.inf
        for value in self.held[owner]:
            if self.pins[value]:
                return self.now
            uses = self.flow.uses[value]
            place = bisect_right(uses, self.now)
            places = min(places, uses[place] if place < len(uses) else math.inf)
        return places

    def cost(self, values: Sequence[int], limit: float) -> float:
        """That of computing some values again; at least `limit` if it is more."""
        stack, again, cost = list(values), set(values), 0.0
        while stack and cost < limit:
            value = stack.pop()
            cost += self.run.cost[value]
            for source in self.flow.sources[value]:
                if source not in again and not self.is_held(source):
                    again.add(source)
                    stack.append(source)
        return cost


class _Run:
    """A run that is observed: the values that it holds, and what is known of all values.

    owner: of each value: that in whose memory it lies: itself, or another for a view
    bytes: of its memory; 0 if it lies in that of another value
    expected: the bytes before its step ran for the first time; infinite where nothing was known
    seconds: of its step; cost: the same, as a first run takes it
    growth: by function: the bytes of its results ÷ those of its operands, at most
    """

    def __init__(self, flow: Flow, arguments: Sequence[Any]) -> None:
        self.flow = flow
        self.values = dict(zip(flow.arguments, arguments, strict=True)) | flow.constants
        self.results: tuple[Any, ...] = ()
        zero = bytes(8 * len(flow.sources))
        self.owner, self.bytes = array("q", range(len(flow.sources))), array("q", zero)
        self.expected, self.seconds, self.cost = [array("d", zero) for _ in range(3)]
        self.growth: dict[Any, float] = {}

    def expect(self, number: int) -> None:
        """Expect as many bytes of a step's first run as its operands suggest."""
        function = self.flow.instructions[number].function
        if function is None or number == self.flow.order[-1]:
            return
        operands = [self.values[source] for source in self.flow.sources[number]]
        expected: float | None = expected_bytes(function, operands)
        if expected is None:
            expected = self.growth.get(function, math.inf) * self.operand_bytes(number)
        self.expected[number] = expected

    def step(self, number: int) -> None:
        """Run a step. Raises what it raises, with a note that names the call."""
        _, function, operands, _ = self.flow.instructions[number]
        values = [self.values[source] for source in self.flow.sources[number]]
        start = perf_counter()
        try:
            value = operands[0] if function is None else function(*values)
        except Exception as error:
            error.add_note(f"while computing {label(self.flow.key(number))}")
            raise
        self.values[number] = value
        if number == self.flow.order[-1]:
            self.results = value
        elif function is not None and not self.cost[number]:
            self.learn(number, perf_counter() - start)

    def operand_bytes(self, number: int) -> int:
        """Those of all operands of a step; at least 1."""
        sizes = [sizeof(self.values[source]) for source in self.flow.sources[number]]
        return int(sum(sizes)) or 1

    def typical_seconds(self) -> array[float]:
        """Of each step: the median of those with the same function and as many bytes."""
        steps = self.flow.instructions
        kinds = [(steps[number].function, size) for number, size in enumerate(self.bytes)]
        alike = defaultdict(list)
        for number in self.flow.order:
            alike[kinds[number]].append(self.seconds[number])
        medians = {kind: median(seconds) for kind, seconds in alike.items()}
        return array("d", [medians.get(kind, 0.0) for kind in kinds])

    def learn(self, number: int, seconds: float) -> None:
        """Learn what a step costs, and in whose memory its value lies."""
        self.seconds[number] = seconds
        self.cost[number] = 10.0 ** round(math.log10(max(seconds, MIN_SECONDS)))
        sources, memory = self.flow.sources[number], _memory(self.values[number])
        shared = [source for source in sources if _memory(self.values[source]) is memory]
        if not shared:
            self.bytes[number] = sizeof(memory)
        elif shared[0] >= 0:
            self.owner[number] = self.owner[shared[0]]
        function = self.flow.instructions[number].function
        growth = self.bytes[number] / self.operand_bytes(number)
        self.growth[function] = max(growth, self.growth.get(function, 0.0))


def _memory(value: Any) -> Any:
    """The array whose memory a view shows; any other value itself."""
    while isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        value = value.base
    return value
