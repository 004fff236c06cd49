"""A tape: a straight-line program (a Wengert list) that runs many small tasks as one.

A scheduler spends 30 µs and more on a task; a step of a tape takes a twentieth of one. Values live
in numbered slots. A slot is given to the next value as soon as nothing needs the last one, so that
a tape holds at any time what is still needed, and no more.
"""

from __future__ import annotations

from bisect import bisect_right
from copy import copy
from operator import length_hint
from typing import TYPE_CHECKING, Any

from pipeline.graph import label

if TYPE_CHECKING:
    from array import array

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
