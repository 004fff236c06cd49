"""A program: many small tasks as a straight-line list of steps over numbered slots.

A scheduler spends 30 µs and more on a task; a step takes a twentieth of one. There is one form of
steps. A `Tape` holds them as they are written, each result in another slot. `lower` makes a
`Program` of some calls of a tape, in which a slot is reused as soon as nothing needs its value: a
running program holds what is still needed, and no more.

`lower` goes from the last step to the first. The last use of a value is then the first that it
meets: there the value gets a slot, which is free again at the step that makes the value. No program
could do with fewer slots.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any, NamedTuple, TypeGuard

from dask.typing import Key

from pipeline.graph import function_of, inputs_of, label


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


class Item(NamedTuple):
    """A value in the tuple of a block."""

    block: Key
    place: int


@dataclass(frozen=True)
class Named:
    """A function whose last operands are passed by name."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, *operands: Any) -> Any:
        first = len(operands) - len(self.names)
        keywords = dict(zip(self.names, operands[first:], strict=True))
        return self.function(*operands[:first], **keywords)


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
    calls: the keys of the tasks that it runs, or their calls, the last one first; none where it is
        the body of a task
    ends: for each task, how many items of the steps follow its last step
    """

    steps: tuple[Any, ...]
    width: int
    constants: tuple[Any, ...]
    inputs: tuple[Any, ...]
    results: tuple[int, ...]
    outputs: tuple[Key, ...] = ()
    calls: Sequence[Any] = ()
    ends: array[int] = field(default_factory=lambda: array("I"))

    def __call__(self, *arguments: Any) -> Any:  # noqa: C901 - it runs each step
        slots = [None] * self.width
        slots += reversed(self.constants)
        for value, place in zip(arguments, self.inputs, strict=True):
            if type(place) is int:
                slots[place] = value
            else:
                for inner, slot in place:
                    slots[slot] = value[inner]
        steps, value_of = iter(self.steps), slots.__getitem__
        try:
            for f, a, b, o in zip(steps, steps, steps, steps, strict=True):
                if b is not None:
                    slots[o] = f(slots[a], slots[b])
                elif f is None:
                    slots[o] = a
                elif type(a) is tuple:
                    slots[o] = f(*map(value_of, a))
                else:
                    slots[o] = f(slots[a])
        except Exception as error:
            if self.calls:
                error.add_note(f"while computing {label(self.task_before(length_hint(steps)))}")
            raise
        if len(self.results) == 1:
            return slots[self.results[0]]
        return tuple([slots[place] for place in self.results])

    def task_before(self, remaining: int) -> Key:
        """The key of the task whose step ran last, when so many items of the steps remain."""
        return _key(self.calls[bisect_right(self.ends, remaining) - 1])

    def bind(self, slots: Mapping[Any, int]) -> tuple[Key, ...]:
        """Give the program its arguments; their keys.

        slots: by key, or by a block and the place in its tuple
        """
        inputs: dict[Key, Any] = {}
        for source, slot in slots.items():
            if type(source) is Item:
                inputs[source.block] = (*inputs.get(source.block, ()), (source.place, slot))
            else:
                inputs[source] = slot
        self.inputs = tuple(inputs.values())
        return tuple(inputs)

    def instructions(self) -> Iterator[Instruction]:
        """The steps, one by one."""
        for start in range(0, len(self.steps), 4):
            f, a, b, o = self.steps[start : start + 4]
            if b is not None:
                operands = (a, b)
            else:
                operands = a if f is not None and type(a) is tuple else (a,)
            yield Instruction(start, f, operands, o)

    @property
    def keys(self) -> list[Key]:
        """The keys of the tasks that it runs, the last one first."""
        return list(map(_key, self.calls))

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The functions of its steps, without the names of their arguments."""
        return [
            function.function if type(function) is Named else function
            for function in self.steps[::4]
            if function is not None
        ]

    def __getstate__(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in self.__slots__}
        return {**state, "calls": self.keys}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return self.steps, self.constants, self.inputs, self.results

    def __repr__(self) -> str:
        if self.calls:
            return f"<Program: {len(self.calls):,} tasks in {self.width:,} slots>"
        names = [getattr(function, "__name__", str(function)) for function in self.functions]
        return f"<Program: {', '.join(names) or 'constant'}>"


def is_body(function: Any) -> TypeGuard[Program]:
    """Whether a function is the program of one task; not that of a block."""
    return type(function) is Program and not function.calls


def _key(call: Any) -> Key:
    """The key of a task: that of a traced call is made when it is needed."""
    key: Key = getattr(call, "key", call)
    return key


class Tape:
    """Steps as they are written, and the items that they refer to.

    steps: as in a program. A result has the number of its first item here
    items: calls and constants; the number of the first is -1, of the next -2, and so on
    kind: the type of the calls. A call has the number of an item, and that of its result: of a
        step, or of another item
    same: the numbers of calls that have two, by the other one
    """

    __slots__ = ("items", "kind", "same", "steps")

    def __init__(self, kind: Any) -> None:
        self.steps: list[Any] = []
        self.items: list[Any] = []
        self.same: dict[int, int] = {}
        self.kind: Any = kind

    def add(self, item: Any) -> int:
        """The number of a new item."""
        self.items.append(item)
        return -len(self.items)

    def key(self, number: int) -> Key:
        """The key of a call."""
        return _key(self.items[-number - 1])

    def write(self, function: Callable[..., Any] | None, operands: tuple[int, ...]) -> int:
        """The number of the result of a new step."""
        steps = self.steps
        number = len(steps)
        if len(operands) == 2:
            steps += (function, *operands, number)
        else:
            steps += (function, operands, None, number)
        return number

    def operands(self, number: int) -> tuple[int, ...]:
        """The numbers of the operands of a step."""
        _, a, b, _ = self.steps[number : number + 4]
        return a if b is None else (a, b)


class Traced(NamedTuple):
    """The calls of a graph on the tape of their trace.

    calls: inputs before their consumers; some may not be needed
    roots: those of the outputs
    is_cheap: whether all are worth less than a scheduler's time
    """

    tape: Tape
    calls: Sequence[Any]
    roots: Sequence[Any]
    is_cheap: bool


class _Written:
    """A task on a tape."""

    __slots__ = ("key", "number", "result")

    def __init__(self, key: Key, number: int) -> None:
        self.key = key
        self.number = self.result = number


def tape_of(
    tasks: Mapping[Key, Any], keys: Iterable[Key], outputs: Iterable[Key]
) -> tuple[Tape, dict[Key, _Written]]:
    """Tasks on a tape, inputs before their consumers; values from outside are calls, too."""
    tape = Tape(_Written)
    calls: dict[Key, _Written] = {}

    def call_of(key: Key) -> _Written:
        if key not in calls:
            calls[key] = call = _Written(key, -len(tape.items) - 1)
            tape.add(call)
        return calls[key]

    for key in keys:
        node = tasks[key]
        function: Any = function_of(node)
        inputs = tuple([call_of(source).number for source in inputs_of(node)])
        if not is_body(function):
            call_of(key).result = tape.write(function, inputs)
            continue
        slots = dict(zip(function.inputs, inputs, strict=True))
        for step in function.instructions():
            if step.function is None:
                slots[step.result] = tape.add(step.operands[0])
                continue
            operands = [
                slots[slot] if slot >= 0 else tape.add(function.constants[-slot - 1])
                for slot in step.operands
            ]
            slots[step.result] = tape.write(step.function, tuple(operands))
        call_of(key).result = slots[function.results[0]]
    for key in outputs:
        call_of(key)
    return tape, calls


def program_of(
    tasks: Mapping[Key, Any],
    keys: Sequence[Key],
    outputs: Sequence[Key],
    items: Mapping[Key, Item] | None = None,
) -> tuple[Program, tuple[Key, ...]]:
    """The program of some tasks, inputs before their consumers, and the keys of its arguments.

    items: the values among its inputs that are items of another block, by key
    """
    tape, calls = tape_of(tasks, keys, outputs)
    written = [calls[key] for key in keys]
    program, slots = lower(tape, written, [calls[key] for key in outputs])
    sources = {key: (items or {}).get(key, key) for key in map(tape.key, slots)}
    return program, program.bind(dict(zip(sources.values(), slots.values(), strict=True)))


def lower(
    tape: Tape, calls: Sequence[Any], outputs: Sequence[Any]
) -> tuple[Program, dict[int, int]]:
    """The program of some calls, inputs before their consumers.

    Leaves out calls that no output needs. Returns as well the slots of the values that none of the
    calls makes, by number: `bind` makes arguments of them.
    """
    writer = _Writer(tape)
    for call in outputs:
        if call.number not in writer.slots:
            writer.slots[call.number] = writer.new_slot()
    results = tuple([writer.slots[call.number] for call in outputs])
    writer.add(calls)
    program = Program(
        tuple(reversed(writer.steps)),
        writer.width,
        tuple(writer.constants),
        (),
        results,
        tuple(map(_key, outputs)),
        writer.keys,
        array("I", writer.ends),
    )
    return program, {number: slot for number, slot in writer.slots.items() if slot >= 0}


class _Writer:
    """The steps written so far, from the last one; and the slots of the values that they need.

    slots: of calls and constants, by number; constants have those below 0
    inner: the slots of results of steps, by number
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.steps: list[Any] = []
        self.width = 0
        self.slots: dict[int, int] = {}
        self.inner: dict[int, int] = {}
        self.free: list[int] = []
        self.constants: list[Any] = []
        self.keys: list[Any] = []
        self.ends: list[int] = []

    def new_slot(self) -> int:
        """A slot that nothing needs, for a value that some later step needs."""
        if self.free:
            return self.free.pop()
        self.width += 1
        return self.width - 1

    def constant(self, number: int) -> int:
        """The slot of a constant."""
        self.constants.append(self.tape.items[~number])
        slot = self.slots[number] = -len(self.constants)
        return slot

    def add(self, calls: Sequence[Any]) -> None:  # noqa: C901 - each step passes here
        """Write the calls that are needed, from the last one on."""
        steps, slots, inner, free = self.steps, self.slots, self.inner, self.free
        tape, items, kind = self.tape.steps, self.tape.items, self.tape.kind
        same = self.tape.same
        add_key, add_end = self.keys.append, self.ends.append
        for call in reversed(calls):
            o = slots.pop(call.number, None)
            if o is None:
                continue
            add_key(call)
            add_end(len(steps))
            number = call.result
            if number < 0:
                self.add_item(number, o)
                continue
            while True:
                # At the last use of a value, the result takes its slot, or the slot is cleared.
                function, a, b, _ = tape[number : number + 4]
                is_taken = False
                if b is None:
                    first, is_taken = self.places(a, o)
                    steps += (o, None, first, function)
                else:
                    if same:
                        a, b = same.get(a, a), same.get(b, b)
                    bank = inner if a >= 0 else slots
                    first = bank.get(a)
                    if first is None:
                        if a < 0 and type(items[~a]) is not kind:
                            first = self.constant(a)
                        else:
                            first = bank[a] = o
                            is_taken = True
                    bank = inner if b >= 0 else slots
                    second = bank.get(b)
                    if second is None:
                        if b < 0 and type(items[~b]) is not kind:
                            second = self.constant(b)
                        elif is_taken:
                            second = bank[b] = self.new_slot()
                            steps += (second, None, None, None)
                        else:
                            second = bank[b] = o
                            is_taken = True
                    steps += (o, second, first, function)
                if not is_taken:
                    free.append(o)
                if not inner:
                    break
                number -= 4
                if number not in inner:  # this step is not needed, or another body's
                    number = max(inner)
                o = inner.pop(number)

    def places(self, operands: Sequence[int], o: int) -> tuple[Any, bool]:
        """The slots of any number of operands, and whether one takes that of the result."""
        is_taken = False
        places = []
        for operand in operands:
            number = self.tape.same.get(operand, operand)
            bank = self.inner if number >= 0 else self.slots
            slot = bank.get(number)
            if slot is None and number < 0 and type(self.tape.items[~number]) is not self.tape.kind:
                slot = self.constant(number)
            elif slot is None and is_taken:
                slot = bank[number] = self.new_slot()
                self.steps += (slot, None, None, None)
            elif slot is None:
                slot = bank[number] = o
                is_taken = True
            places.append(slot)
        return places[0] if len(places) == 1 else tuple(places), is_taken

    def add_item(self, number: int, o: int) -> None:
        """Write a body that returns a constant, or the value of another call."""
        number = self.tape.same.get(number, number)
        if type(self.tape.items[~number]) is not self.tape.kind:
            self.free.append(o)
            self.steps += (o, None, self.tape.items[~number], None)
        elif number in self.slots:
            self.free.append(o)
            self.steps += (o, None, self.slots[number], _identity)
        else:
            self.slots[number] = o


def _identity(value: Any) -> Any:
    return value
