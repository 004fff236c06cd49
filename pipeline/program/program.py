"""A program: many small tasks as a straight-line list of steps over numbered slots.

A scheduler spends 30 µs and more on a task; a step takes a twentieth of one. A slot is reused as
soon as nothing needs its value, so a running program holds what is still needed, and no more.

`lower` writes a program from its last step to its first. The last use of a value is then the first
that it meets: there the value gets a slot, which is free again at the step that makes the value. No
program could do with fewer slots.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import length_hint
from typing import Any, NamedTuple

from dask.typing import Key

from pipeline.graph import CallTask, function_of, inputs_of, label
from pipeline.trace import Body, Step


class Instruction(NamedTuple):
    """A step of a program.

    start: its first item in the program's steps
    function: None puts a constant, the only operand, into the slot of the result
    operands: slots; those of constants are below 0
    """

    start: int
    function: Callable[..., Any] | None
    operands: tuple[Any, ...]
    result: int


@dataclass(slots=True, eq=False, repr=False)
class Program:
    """A function of some values, run step by step.

    steps: four items each: a function, the slots of its operands, and the slot of its result.
        `f, a, b, o` is a function of two operands; `f, a, None, o` of one, or where `a` is a tuple
        of any number; `None, value, None, o` stores a constant, or clears the slot
    width: how many slots it has
    constants: in the slots from the last one down
    inputs: the slots of the arguments; of an argument that is a block's tuple, (place, slot) pairs
    results: the slots of the results; a single result is returned bare, several as a tuple
    outputs: the keys of the results
    keys: of the tasks that it runs, the last one first
    ends: for each task, how many items of the steps follow its last step
    """

    steps: tuple[Any, ...]
    width: int
    constants: tuple[Any, ...]
    inputs: tuple[Any, ...]
    results: tuple[int, ...]
    outputs: tuple[Key, ...]
    keys: tuple[Key, ...]
    ends: array[int]

    def __call__(self, *arguments: Any) -> Any:
        slots = [None] * self.width
        slots += reversed(self.constants)
        for value, place in zip(arguments, self.inputs, strict=True):
            if type(place) is int:
                slots[place] = value
            else:
                for inner, slot in place:
                    slots[slot] = value[inner]
        steps = iter(self.steps)
        try:
            for f, a, b, o in zip(steps, steps, steps, steps, strict=True):
                if b is not None:
                    slots[o] = f(slots[a], slots[b])
                elif f is None:
                    slots[o] = a
                elif type(a) is tuple:
                    slots[o] = f(*[slots[place] for place in a])
                else:
                    slots[o] = f(slots[a])
        except Exception as error:
            error.add_note(f"while computing {label(self.task_before(length_hint(steps)))}")
            raise
        if len(self.results) == 1:
            return slots[self.results[0]]
        return tuple([slots[place] for place in self.results])

    def task_before(self, remaining: int) -> Key:
        """The key of the task whose step ran last, when so many items of the steps remain."""
        return self.keys[bisect_right(self.ends, remaining) - 1]

    def instructions(self) -> Iterator[Instruction]:
        """The steps, one by one."""
        for start in range(0, len(self.steps), 4):
            f, a, b, o = self.steps[start : start + 4]
            if b is not None:
                operands = (a, b)
            else:
                operands = a if f is not None and type(a) is tuple else (a,)
            yield Instruction(start, f, operands, o)

    def __repr__(self) -> str:
        return f"<Program: {len(self.keys):,} tasks in {self.width:,} slots>"


def lower(
    tasks: Mapping[Key, Any],
    keys: Sequence[Key],
    outputs: Sequence[Key],
    items: Mapping[Key, tuple[Key, int]] | None = None,
) -> tuple[Program, tuple[Key, ...]]:
    """The program of some tasks, inputs before their consumers, and the keys of its arguments.

    Leaves out tasks that no output needs.

    items: values that are items of another block's tuple, by key: the block, and the place there
    """
    writer = _Writer()
    results = tuple([writer.slot(key) for key in outputs])
    writer.add(tasks, keys)
    inputs: dict[Key, Any] = {}
    for key, slot in writer.slots.items():  # values that none of the tasks makes
        block, place = (items or {}).get(key, (None, None))
        if block is None:
            inputs[key] = slot
        else:
            inputs[block] = (*inputs.get(block, ()), (place, slot))
    program = Program(
        tuple(reversed(writer.steps)),
        writer.width,
        tuple(writer.constants),
        tuple(inputs.values()),
        results,
        tuple(outputs),
        tuple(writer.keys),
        array("I", writer.ends),
    )
    return program, tuple(inputs)


class _Writer:
    """The steps written so far, from the last one; and the slots of the values that they need."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.width = 0
        self.slots: dict[Key, int] = {}
        self.free: list[int] = []
        self.constants: list[Any] = []
        self.constant_slots: dict[Any, int] = {}
        self.keys: list[Key] = []
        self.ends: list[int] = []

    def slot(self, key: Key) -> int:
        """The slot of a value that some later step needs."""
        if key not in self.slots:
            self.slots[key] = self.new()
        return self.slots[key]

    def new(self) -> int:
        """A slot that nothing needs."""
        if self.free:
            return self.free.pop()
        self.width += 1
        return self.width - 1

    def add(self, tasks: Mapping[Key, Any], keys: Sequence[Key]) -> None:
        """Write the tasks that are needed."""
        steps, slots = self.steps, self.slots
        add_key, add_end = self.keys.append, self.ends.append
        for key in reversed(keys):
            o = slots.pop(key, None)
            if o is None:
                continue
            add_key(key)
            add_end(len(steps))
            node = tasks[key]
            if type(node) is not CallTask or len(node.inputs) != 2 or type(node.function) is Body:
                self.add_node(node, o)
                continue
            # Two operands and one step, the common case, are written without a call.
            left, right = node.inputs
            a, b = slots.get(left), slots.get(right)
            if a is None:
                a = slots[left] = o
                if b is None:
                    b = self.slot(right)
                    if b != o:
                        steps += (b, None, None, None)
            elif b is None:
                b = slots[right] = o
            else:
                self.free.append(o)
            steps += (o, b, a, node.function)

    def add_node(self, node: Any, o: int) -> None:
        """Write a task of any kind, whose result is in slot `o`."""
        body, inputs = function_of(node), inputs_of(node)
        if type(body) is not Body:
            body = Body((), (Step(body, tuple(range(len(inputs)))),))
        elif not body.steps and body.constants:
            self.free.append(o)
            self.steps += (o, None, body.constants[-1], None)
            return
        elif not body.steps:
            body = Body((), (Step(_identity, (len(inputs) - 1,)),))
        self.add_body(body, inputs, o)

    def add_body(self, body: Body, inputs: Sequence[Key], o: int) -> None:
        """Write the steps of a body, from the last one on."""
        steps, slots, arity = self.steps, self.slots, len(inputs)
        first = arity + len(body.constants)
        number = first + len(body.steps)
        inner = {number - 1: o}  # the slots of results of the body's steps
        for function, operands in reversed(body.steps):
            number -= 1
            spare = inner.pop(number, None)
            if spare is None:
                continue  # nothing needs it
            o = spare
            places = []
            for operand in operands:
                bank: dict[Any, int]
                if operand < arity:
                    bank, value = slots, inputs[operand]
                elif operand >= first:
                    bank, value = inner, operand
                else:
                    places.append(self.constant(body.constants[operand - arity]))
                    continue
                slot = bank.get(value)
                if slot is None:
                    # Its last use: the result takes its slot, or the slot is cleared.
                    slot, spare = (self.new(), None) if spare is None else (spare, None)
                    bank[value] = slot
                    if slot != o:
                        steps += (slot, None, None, None)
                places.append(slot)
            if spare is not None:
                self.free.append(spare)
            if len(places) == 2:
                steps += (o, places[1], places[0], function)
            else:
                steps += (o, None, places[0] if len(places) == 1 else tuple(places), function)

    def constant(self, value: Any) -> int:
        """The slot of a constant, counted from the last one."""
        name = (type(value), value) if type(value) in _EXACT else id(value)
        slot = self.constant_slots.get(name)
        if slot is None:
            self.constants.append(value)
            slot = self.constant_slots[name] = -len(self.constants)
        return slot


_EXACT = frozenset({int, str, bytes, bool})
"""Types whose equal values are the same; 0.0 and -0.0 are not."""


def _identity(value: Any) -> Any:
    return value
