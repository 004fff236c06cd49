"""From tasks to a tape: which steps, in which slots.

A program is written from its end to its start. The last use of a value is then the first that is
met: there it gets a slot, which is free again at the step that makes the value. No program could do
with fewer slots.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.graph import CallTask, function_of, inputs_of
from pipeline.program.tape import Tape
from pipeline.trace import Body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dask.typing import Key


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


class _Step(NamedTuple):
    """A step of a task: its name, which is -1 for the last one, and the places of its operands.

    A place below 0 is a constant's slot, then come those of the inputs and the names of steps.
    """

    name: int
    function: Callable[..., Any]
    places: tuple[int, ...]


class _Recorder:
    """A program under way, and the slots of the values that are needed in what is written."""

    def __init__(self) -> None:
        self.program: list[Any] = []
        self.width = 0
        self.slots: dict[Key, int] = {}  # of the values that are needed from here on
        self.free: list[int] = []
        self.constants: list[Any] = []
        self.known: dict[Any, int] = {}  # the slots of constants
        self.known_steps: dict[int, list[_Step]] = {}
        self.keys: list[Key] = []
        self.ends: list[int] = []

    def slot(self, value: Key) -> int:
        """The slot of a value that is needed from here on."""
        if value not in self.slots:
            self.slots[value] = self.new()
        return self.slots[value]

    def new(self) -> int:
        """A slot that nothing needs."""
        if self.free:
            return self.free.pop()
        self.width += 1
        return self.width - 1

    def add(self, tasks: Mapping[Key, Any], keys: Sequence[Key]) -> None:
        """Write the tasks that are needed."""
        program, slots = self.program, self.slots
        name, end = self.keys.append, self.ends.append
        for key in reversed(keys):
            o = slots.pop(key, None)
            if o is None:
                continue
            name(key)
            end(len(program))
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
                        program += (b, None, None, None)
            elif b is None:
                b = slots[right] = o
            else:
                self.free.append(o)
            program += (o, b, a, node.function)

    def add_node(self, node: Any, o: int) -> None:
        """Write a task of any kind, whose result is in slot `o`."""
        function, taken = function_of(node), inputs_of(node)
        if type(function) is Body and not function.steps and function.constants:
            self.free.append(o)
            self.program += (o, None, function.constants[-1], None)
            return
        steps = self.known_steps.get(id(function))
        if steps is None:
            steps = self.read(function, len(taken))
            if type(function) is Body:  # which many tasks share, and all of them keep alive
                self.known_steps[id(function)] = steps
        self.write(steps, taken, o)

    def write(self, steps: Iterable[_Step], taken: Sequence[Key], o: int) -> None:
        """Write the steps of a task, from the last one on; `taken` are the values it takes."""
        program, slots, arity = self.program, self.slots, len(taken)
        inner = {-1: o}
        for name, function, places in steps:
            spare = inner.pop(name, None)
            if spare is None:
                continue  # nothing needs it
            o = spare
            found = []
            for place in places:
                if place >= 0:
                    bank: dict[Any, int] = slots if place < arity else inner
                    value = taken[place] if place < arity else place
                    slot = bank.get(value)
                    if slot is None:
                        # It dies here: the result takes its slot, or the slot is cleared.
                        slot, spare = (self.new(), None) if spare is None else (spare, None)
                        bank[value] = slot
                        if slot != o:
                            program += (slot, None, None, None)
                    place = slot
                found.append(place)
            if spare is not None:
                self.free.append(spare)
            if len(found) == 2:
                program += (o, found[1], found[0], function)
            else:
                program += (o, None, found[0] if len(found) == 1 else tuple(found), function)

    def read(self, function: Callable[..., Any], taken: int) -> list[_Step]:
        """The steps of a task's function, from the last one on."""
        if type(function) is not Body:
            return [_Step(-1, function, tuple(range(taken)))]
        if not function.steps:
            return [_Step(-1, _itself, (taken - 1,))]
        constants = map(self.constant, function.constants)
        first = taken + len(function.constants)
        places = [*range(taken), *constants, *range(first, first + len(function.steps))]
        steps = [
            _Step(first + number, step.function, tuple([places[each] for each in step.places]))
            for number, step in enumerate(function.steps)
        ]
        steps[-1] = steps[-1]._replace(name=-1)
        return steps[::-1]

    def constant(self, value: Any) -> int:
        """The slot of a constant, counted from the last one."""
        name = (type(value), value) if type(value) in _NAMED else id(value)
        if name not in self.known:
            self.constants.append(value)
            self.known[name] = -len(self.constants)
        return self.known[name]


_NAMED = (int, str, bytes, bool)  # where equal values of a type are the same; 0.0 and -0.0 are not


def _itself(value: Any) -> Any:
    return value
