"""A tape: a straight-line program (a Wengert list) that runs many small tasks as one.

A scheduler spends 30 µs and more on a task; a step of a tape takes a twentieth of one. Values live
in numbered slots. A slot is given to the next value as soon as nothing needs the last one, so that
a tape holds at any time what is still needed, and no more.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from copy import copy
from operator import length_hint
from typing import TYPE_CHECKING, Any

from pipeline.body import Body
from pipeline.keys import label
from pipeline.node import Node, function_of, inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dask.typing import Key


class Tape:
    """A function of some values, run step by step.

    A step is four items of the program: a function, its operands' slots, and the slot of its
    result. `f, a, b, o` is a function of two operands; `f, a, None, o` of one, or where `a` is a
    tuple of any number; `None, value, None, o` puts a constant there, or clears the slot.

    width: slots
    constants: in the slots from the last one down
    taken: the slots of the arguments; of an argument that is a block's tuple, (place, slot) pairs
    given: the slots of the results; a single one is bare, several are a tuple
    outputs: the keys of the results
    keys: of the tasks that it runs, the last one first
    ends: for each of them, the items of the program after its last step
    """

    __slots__ = ("constants", "ends", "given", "keys", "outputs", "program", "taken", "width")

    def __init__(
        self,
        program: tuple[Any, ...],
        width: int,
        constants: tuple[Any, ...],
        taken: tuple[Any, ...],
        given: tuple[int, ...],
        outputs: tuple[Key, ...],
        keys: tuple[Key, ...],
        ends: array[int],
    ) -> None:
        self.program = program
        self.width = width
        self.constants = constants
        self.taken = taken
        self.given = given
        self.outputs = outputs
        self.keys = keys
        self.ends = ends

    def __call__(self, *arguments: Any) -> Any:
        slots = [None] * self.width
        slots += reversed(self.constants)
        for value, place in zip(arguments, self.taken, strict=True):
            if type(place) is int:
                slots[place] = value
            else:
                for inner, slot in place:
                    slots[slot] = value[inner]
        steps = iter(self.program)
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
        if len(self.given) == 1:
            return slots[self.given[0]]
        return tuple([slots[place] for place in self.given])

    def task_before(self, left: int) -> Key:
        """The key of the task whose step has just been taken, by what is left of the program."""
        return self.keys[bisect_right(self.ends, left) - 1]

    def replaced(self, program: tuple[Any, ...], constants: tuple[Any, ...]) -> Tape:
        """The tape with other steps in the place of its own."""
        new = copy(self)
        new.program, new.constants = program, constants
        return new

    def __repr__(self) -> str:
        return f"<Tape: {len(self.keys):,} tasks in {self.width:,} slots>"


def record(
    tasks: Mapping[Key, Any],
    keys: Sequence[Key],
    outputs: Sequence[Key],
    held: Mapping[Key, tuple[Key, int]] | None = None,
) -> tuple[Tape, tuple[Key, ...]]:
    """The tape of some tasks, inputs before their consumers, and the keys of its arguments.

    Tasks that no output needs are left out.

    held: the values that are items of another block's tuple, each by the block and its place there
    """
    recorder = _Recorder()
    given = tuple([recorder.slot(key) for key in outputs])
    recorder.add(tasks, keys)
    blocks: dict[Key, Any] = {}
    for key, slot in recorder.slots.items():  # what none of the tasks makes
        block, place = (held or {}).get(key, (None, None))
        if block is None:
            blocks[key] = slot
        else:
            blocks[block] = (*blocks.get(block, ()), (place, slot))
    recorder.program.reverse()
    tape = Tape(
        tuple(recorder.program),
        recorder.width,
        tuple(recorder.constants),
        tuple(blocks.values()),
        given,
        tuple(outputs),
        tuple(recorder.keys),
        array("I", recorder.ends),
    )
    return tape, tuple(blocks)


class _Constant(int):
    """The slot of a constant."""


class _Recorder:
    """Writes a program from its end to its start.

    The last use of a value is the first that is met: there it gets a slot, which is free again at
    the step that makes the value. No program could do with fewer slots.
    """

    def __init__(self) -> None:
        self.program: list[Any] = []
        self.width = 0
        self.slots: dict[Any, int] = {}  # of the values that are needed from here on
        self.free: list[int] = []
        self.constants: list[Any] = []
        self.known: dict[Any, _Constant] = {}
        self.keys: list[Key] = []
        self.ends: list[int] = []

    def slot(self, value: Any) -> int:
        """The slot of a value that is needed from here on."""
        if value not in self.slots:
            if not self.free:
                self.free.append(self.width)
                self.width += 1
            self.slots[value] = self.free.pop()
        return self.slots[value]

    def add(self, tasks: Mapping[Key, Any], keys: Sequence[Key]) -> None:
        """Write the tasks that are needed."""
        slots, free, write = self.slots, self.free, self.program.extend
        for key in reversed(keys):
            o = slots.pop(key, None)
            if o is None:
                continue
            self.keys.append(key)
            self.ends.append(len(self.program))
            node = tasks[key]
            if type(node) is Node and len(node.inputs) == 2 and type(node.function) is not Body:
                # Two operands, the common case, are written without a call.
                left, right = node.inputs
                a, b = slots.get(left), slots.get(right)
                if a is None:
                    a = slots[left] = o
                    if b is None:
                        b = self.slot(right)
                        if b != o:
                            write((b, None, None, None))
                elif b is None:
                    b = slots[right] = o
                else:
                    free.append(o)
                write((o, b, a, node.function))
                continue
            function = function_of(node)
            if type(function) is Body:
                self.add_body(function, inputs(node), o)
            else:
                self.add_step(function, inputs(node), o)

    def add_step(self, function: Callable[..., Any], operands: Sequence[Any], o: int) -> None:
        """Write one step; a value that it is the last to need gives up its slot."""
        self.free.append(o)
        places = []
        for each in operands:
            if type(each) is not _Constant and each not in self.slots and self.slot(each) != o:
                self.program += (self.slots[each], None, None, None)
            places.append(each if type(each) is _Constant else self.slots[each])
        if len(places) == 2:
            self.program += (o, places[1], places[0], function)
        else:
            self.program += (o, None, places[0] if len(places) == 1 else tuple(places), function)

    def add_body(self, body: Body, taken: Sequence[Key], o: int) -> None:
        """Write the steps of a call's own program."""
        if not body.steps:
            if body.constants:
                self.free.append(o)
                self.program += (o, None, body.constants[-1], None)
            else:
                self.add_step(_itself, taken[-1:], o)
            return
        results = [object() for _ in body.steps]
        values = [*taken, *map(self.constant, body.constants), *results]
        self.slots[results[-1]] = o
        for (function, places), result in zip(reversed(body.steps), reversed(results), strict=True):
            if result in self.slots:
                self.add_step(function, [values[each] for each in places], self.slots.pop(result))

    def constant(self, value: Any) -> _Constant:
        """The slot of a constant, counted from the last one."""
        name = (type(value), value) if type(value) in _NAMED else id(value)
        if name not in self.known:
            self.constants.append(value)
            self.known[name] = _Constant(-len(self.constants))
        return self.known[name]


_NAMED = (int, str, bytes, bool)  # where equal values of a type are the same; 0.0 and -0.0 are not


def _itself(value: Any) -> Any:
    return value
