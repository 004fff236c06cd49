"""Memory as a budget: values over it are dropped, and computed again when they are needed.

The first run with each kind of arguments is observed: then the bytes and the time of each step are
known, and an order of steps is planned in which some run several times. To make space it drops the
value with the least cost ÷ (bytes × staleness), as in Dynamic Tensor Rematerialization (Kirisame et
al., ICLR 2021). The cost is the time to compute the value again, with all dropped values that it
needs. DTR looks back, at the last use of a value; a plan knows its next one, and looks ahead.

Bytes are those of all values that a program holds, its results included, above its arguments and
constants: of an array as NumPy allocates it, once for all its views; of other values as
`dask.sizeof` estimates them. What a function allocates while it runs does not count.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from dask.sizeof import sizeof
from dask.typing import Key
from dask.utils import format_bytes, parse_bytes

from pipeline import PipelineError
from pipeline.graph import label
from pipeline.identity import short_repr
from pipeline.program.buffers import VIEWS
from pipeline.program.program import Program

MAX_WORK = 5
"""A plan runs at most so many times the steps of its program."""

EXPONENTS = 1.0, 0.5, 0.25
"""Of the staleness. DTR takes 1; with less, a long chain takes less time at some budgets."""


class BudgetError(PipelineError, ValueError):
    """A budget of memory that is no number of bytes, or that no plan keeps.

    least: the bytes of a budget that a plan keeps; None where that is not known
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


def run_within(budget: int, program: Program, arguments: tuple[Any, ...]) -> tuple[Any, Program]:
    """The value of a program, and a program that does the same for such arguments in the budget.

    This run keeps to the budget, too, as far as it can without knowing the bytes of results: it
    expects none to be larger than the largest operand. Raises `BudgetError` if no plan keeps to it.
    """
    flow = Flow(program)
    run = _Run(flow, arguments)
    _Walk(flow, run.observed.order(flow), run.observed, budget, run=run).go()
    results = tuple([run.values[value] for value in flow.results])
    steps = plan(flow, run.observed.smooth(flow), budget)
    return results if len(results) > 1 else results[0], _written(flow, steps)


def plan(flow: Flow, observed: Observed, budget: int) -> list[int]:
    """The quickest order of steps, with repetitions, that was found to keep to a budget."""
    order = observed.order(flow)
    if observed.peak(flow, order) <= budget:
        return order
    even = replace(observed, seconds=dict.fromkeys(observed.seconds, 1.0))
    plans = []
    for costs, exponent in product((observed, even), EXPONENTS):
        walk = _Walk(flow, order, costs, budget, exponent)
        if walk.go():
            plans.append(walk.steps)
    if plans:
        return min(plans, key=lambda steps: sum(observed.seconds[number] for number in steps))
    # Even costs: the bytes that the error states are the same in each process.
    low, high = budget, observed.peak(flow, order)
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        is_kept = _Walk(flow, order, even, middle, EXPONENTS[-1]).go()
        low, high = (low, middle) if is_kept else (middle, high)
    error = BudgetError(
        f"memory={budget:,} bytes: the least that a plan was found for, of at most {MAX_WORK} "
        f"times the steps, is {high:,} bytes ({format_bytes(high)}); give as much"
    )
    error.least = high
    raise error


class Flow:
    """A program's steps as values: step n makes the value n.

    Constants are below 0 as the program numbers them, and arguments are below the constants.

    sources: the operands of each step
    results: the values that the program returns
    needed: the steps that a result needs, in the order of the program
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.instructions = list(program.instructions())
        self.arguments = [
            -1 - len(program.constants) - place for place in range(len(program.inputs))
        ]
        held: dict[int, int] = dict(zip(program.inputs, self.arguments, strict=True))
        self.sources: list[tuple[int, ...]] = []
        for number, step in enumerate(self.instructions):
            operands = () if step.function is None else step.operands
            self.sources.append(tuple([held.get(slot, slot) for slot in operands]))
            held[step.result] = number
        self.results = [held.get(slot, slot) for slot in program.results]
        self.needed = self.useful(range(len(self.sources)))

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

    def key(self, number: int) -> Key:
        """The key of a step's task."""
        program = self.program
        return program.task_before(len(program.steps) - self.instructions[number].start - 4)


@dataclass
class Observed:
    """What is known of each value: of a step that has not run, what is expected.

    owner: the value in whose memory it lies: itself, or another for a view; below 0 for memory of
        arguments and constants
    bytes: of its memory
    seconds: to compute it once
    """

    owner: dict[int, int] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def size(self, number: int) -> int:
        """The bytes that a step allocates."""
        return self.bytes[number] if self.owner[number] == number else 0

    def order(self, flow: Flow) -> list[int]:
        """The program's order; or one in which steps that free memory run early, if that is less.

        Such a step follows its last operand. A recursion meets the gradient of a weight long after
        its adjoint, and holds all adjoints until then.
        """
        last = {
            self.owner.get(source): place
            for place, number in enumerate(flow.needed)
            for source in flow.sources[number]
        }
        turn: dict[int, int] = {}
        for place, number in enumerate(flow.needed):
            sources = flow.sources[number]
            owners = {self.owner[source] for source in sources if source >= 0}
            freed = sum(self.size(owner) for owner in owners if owner >= 0 and last[owner] == place)
            steps = [turn[source] for source in sources if source >= 0]
            turn[number] = max(steps) if steps and self.size(number) <= freed else place
        early = sorted(flow.needed, key=lambda number: turn[number])
        return min(flow.needed, early, key=lambda steps: self.peak(flow, steps))

    def peak(self, flow: Flow, steps: Sequence[int]) -> int:
        """The most bytes held at a time, if each value is freed after its last use."""
        ends: list[list[int]] = [[] for _ in steps]  # by place: the values whose last use it is
        used = set(flow.results)
        for place in reversed(range(len(steps))):
            number = steps[place]
            used.discard(number)
            ends[place] = [value for value in {*flow.sources[number]} - used if value >= 0]
            used.update(ends[place])
        held = _Held(self)
        peak = 0
        for number, ended in zip(steps, ends, strict=True):
            held.add(number)
            peak = max(peak, held.bytes)
            for value in ended:
                held.remove(value)
        return peak

    def smooth(self, flow: Flow) -> Observed:
        """The same, where steps with the same function and sizes take the same time."""
        alike: dict[Any, list[int]] = defaultdict(list)
        for number in flow.needed:
            sizes = tuple([self.bytes[source] for source in flow.sources[number]])
            alike[flow.instructions[number].function, self.bytes[number], sizes].append(number)
        seconds = {}
        for steps in alike.values():
            seconds.update(dict.fromkeys(steps, median(self.seconds[step] for step in steps)))
        return replace(self, seconds=seconds)


class _Held:
    """The values that a run holds, by the owner of their memory, and their bytes."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.values: dict[int, set[int]] = {}
        self.bytes = 0

    def __contains__(self, value: int) -> bool:
        return value < 0 or value in self.values.get(self.observed.owner[value], ())

    def add(self, value: int) -> None:
        owner = self.observed.owner[value]
        if owner not in self.values:
            self.values[owner] = set()
            self.bytes += self.observed.bytes[owner] if owner >= 0 else 0
        self.values[owner].add(value)

    def remove(self, value: int) -> None:
        owner = self.observed.owner[value]
        self.values[owner].remove(value)
        if not self.values[owner]:
            del self.values[owner]
            self.bytes -= self.observed.bytes[owner] if owner >= 0 else 0


class _Overrun(Exception):  # noqa: N818 - no error: another plan may do
    """A walk that cannot keep to its budget."""


class _Walk:
    """The steps of a run that drops values over its budget, and runs steps again for them.

    run: where each step really runs, and is observed; it goes on where no value can be dropped
    steps: those that ran and were of use
    """

    def __init__(
        self, flow: Flow, order: Sequence[int], observed: Observed, budget: float,
        exponent: float = 1.0, run: _Run | None = None,
    ) -> None:  # fmt: skip
        self.flow, self.order, self.observed, self.budget = flow, order, observed, budget
        self.exponent, self.run = exponent, run
        self.held = _Held(observed)
        self.pins: Counter[int] = Counter()  # operands of steps that are about to run
        self.uses: dict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(order):
            for source in flow.sources[number]:
                self.uses[source].append(place)
        for value in flow.results:
            self.uses[value].append(len(order))
        self.shown: dict[int, set[int]] = defaultdict(set)  # by owner: all values in its memory
        for value, owner in observed.owner.items():
            self.shown[owner].add(value)
        self.spare: set[int] = set()  # memory that only the steps about to run may use
        self.now = 0
        self.steps: list[int] = []

    def go(self) -> bool:
        """Whether the walk kept to its budget."""
        try:
            for number in self.order:
                self.make(number)
                self.now += 1
            self.pins.update(self.flow.results)
            for value in self.flow.results:
                if value not in self.held:
                    self.make(value)
        except _Overrun:
            return False
        self.steps = self.flow.useful(self.steps)
        return True

    def make(self, number: int) -> None:
        """Run a step, after those of its operands that were dropped."""
        sources = self.flow.sources
        stack = [number]
        self.pins.update(sources[number])
        while stack:
            step = stack[-1]
            missing = next((value for value in sources[step] if value not in self.held), None)
            if missing is not None:
                stack.append(missing)
                self.pins.update(sources[missing])
                continue
            if self.run is not None:
                self.run.expect(step)
            self.make_room(self.observed.size(step))
            if self.run is not None:
                self.run.step(step)
                self.shown[self.observed.owner[step]].add(step)
            self.held.add(step)
            self.steps.append(step)
            if len(self.steps) > MAX_WORK * len(self.order):
                self.overrun()
            stack.pop()
            self.pins.subtract(sources[step])
            owners = {self.observed.owner[value] for value in (*sources[step], step)}
            self.spare.update(owner for owner in owners if self.next_use(owner) == math.inf)
        for owner in self.spare & self.held.values.keys():
            if not self.is_pinned(owner):
                self.drop(owner)
        self.spare.clear()

    def make_room(self, size: int) -> None:
        """Drop values until a result has its bytes: first those without a use after this step."""
        while self.held.bytes + size > self.budget:
            spare = self.spare & self.held.values.keys()
            chosen = next((owner for owner in spare if not self.is_pinned(owner)), None)
            if chosen is None:
                chosen = self.cheapest()
            if chosen is not None:
                self.drop(chosen)
            elif self.run is None:
                raise _Overrun
            else:  # the run goes on, to observe all steps; the budget holds again for the next
                return

    def cheapest(self) -> int | None:
        """The memory with the least cost ÷ (bytes × staleness) of those that may be dropped."""
        chosen, least = None, math.inf
        for owner, values in self.held.values.items():
            if owner < 0 or not self.observed.bytes[owner] or self.is_pinned(owner):
                continue
            weight = self.observed.bytes[owner] * (self.next_use(owner) - self.now) ** self.exponent
            cost = self.cost(values, least * weight)
            if cost < least * weight:
                chosen, least = owner, cost / weight
        return chosen

    def overrun(self) -> None:
        """Give up after too many steps; a run goes on without a budget, to observe all of them."""
        if self.run is None:
            raise _Overrun
        self.budget = math.inf

    def drop(self, owner: int) -> None:
        """Forget all values in some memory."""
        for value in tuple(self.held.values[owner]):
            self.held.remove(value)
            if self.run is not None:
                del self.run.values[value]

    def is_pinned(self, owner: int) -> bool:
        """Whether a value in some memory is about to be used."""
        return any(self.pins[value] for value in self.held.values[owner])

    def next_use(self, owner: int) -> float:
        """When some memory is used next: the place in the order. A view may have been dropped."""
        if owner < 0:
            return 0
        places = math.inf
        for value in self.shown[owner]:
            uses = self.uses[value]
            place = bisect_right(uses, self.now)
            places = min(places, uses[place] if place < len(uses) else math.inf)
        return places

    def cost(self, values: Iterable[int], limit: float) -> float:
        """Seconds to compute some values again; at least `limit` if they are more."""
        stack = list(values)
        again = set(stack)
        cost = 0.0
        while stack and cost < limit:
            value = stack.pop()
            cost += self.observed.seconds[value]
            for source in self.flow.sources[value]:
                if source not in again and source not in self.held:
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
        self.observed = Observed()
        for value in self.values:
            self.observe(value, ())
        for number in flow.needed:
            is_view = flow.instructions[number].function in VIEWS
            source = flow.sources[number][0] if is_view else number
            self.observed.owner[number] = self.observed.owner.get(source, number)
            # Results are held in the end, in whatever order: they do not count as yet.
            self.observed.bytes[number] = number not in flow.results

    def expect(self, number: int) -> None:
        """Expect a step that has not run to make no more bytes than its largest operand has."""
        if number not in self.observed.seconds:
            sizes = [self.observed.bytes[source] for source in self.flow.sources[number]]
            self.observed.bytes[number] = max(sizes, default=0)

    def step(self, number: int) -> None:
        """Run a step. Raises what it raises, with a note that names the call."""
        function, sources = self.flow.instructions[number].function, self.flow.sources[number]
        start = perf_counter()
        if function is None:
            self.values[number] = self.flow.instructions[number].operands[0]
        else:
            try:
                self.values[number] = function(*[self.values[source] for source in sources])
            except Exception as error:
                error.add_note(f"while computing {label(self.flow.key(number))}")
                raise
        seconds = perf_counter() - start
        self.observed.seconds[number] = min(seconds, self.observed.seconds.get(number, seconds))
        self.observe(number, sources)
        if function is None:
            self.observed.owner[number] = -1

    def observe(self, value: int, sources: Iterable[int]) -> None:
        """The bytes of a value, and whose memory it has."""
        memory = _memory(self.values[value])
        shared = (source for source in sources if _memory(self.values[source]) is memory)
        self.observed.owner[value] = self.observed.owner[next(shared, value)] if sources else value
        self.observed.bytes[value] = sizeof(memory)


def _memory(value: Any) -> Any:
    """The array whose memory a view shows; any other value itself."""
    while isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        value = value.base
    return value


class _Slots:
    """The slots of the values that later steps need; as in `lower`, from the last step on."""

    def __init__(self, constants: int) -> None:
        self.constants = constants
        self.slots: dict[int, int] = {}
        self.free: list[int] = []
        self.width = 0

    def slot(self, value: int, spare: list[int]) -> int:
        """The slot of a value: a spare one, if it has none."""
        if -self.constants <= value < 0:
            return value
        if value not in self.slots:
            if not spare and not self.free:
                self.free.append(self.width)
                self.width += 1
            self.slots[value] = (spare or self.free).pop()
        return self.slots[value]


def _written(flow: Flow, order: Sequence[int]) -> Program:
    """The program that runs steps in some order, and frees each value after its last use."""
    slots = _Slots(len(flow.program.constants))
    steps: list[Any] = []
    keys: list[Key] = []
    ends: list[int] = []
    results = tuple([slots.slot(value, []) for value in flow.results])
    for number in reversed(order):
        _, function, operands, _ = flow.instructions[number]
        key = flow.key(number)
        if not keys or keys[-1] != key:
            keys.append(key)
            ends.append(len(steps))
        result = slots.slots.pop(number)
        spare = [result]  # for the operand that has its last use here
        places = []
        for source in flow.sources[number]:
            is_last = source not in slots.slots
            places.append(slots.slot(source, spare))
            if is_last and 0 <= places[-1] != result:
                steps += (places[-1], None, None, None)
        slots.free += spare
        if function is None:
            steps += (result, None, *operands, None)
        elif len(places) == 2:
            steps += (result, places[1], places[0], function)
        else:
            steps += (result, None, places[0] if len(places) == 1 else tuple(places), function)
    inputs = tuple([slots.slot(value, []) for value in flow.arguments])
    return replace(
        flow.program, steps=tuple(reversed(steps)), width=slots.width, inputs=inputs,
        results=results, calls=tuple(keys), ends=array("I", ends),
    )  # fmt: skip
