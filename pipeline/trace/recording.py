"""The trace of a graph: bodies run, and their calls and operators write a tape.

While a trace goes on, a call and the result of an operator are a `Value`: a number on the tape of
the `Recording`. Equal calls are one value. A worklist takes the place of the call stack: each body
runs once, and the calls in it wait until it has returned. Depth is no limit, and no value is
computed. The steps of a body stand together on the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np
from dask.base import is_dask_collection

from pipeline import PipelineError
from pipeline.graph import GraphError, cycle_text, label, leaves, map_leaves
from pipeline.identity import (
    ATOMS,
    UnkeyableError,
    UnknownError,
    encode,
)
from pipeline.program import Named, Program, Tape
from pipeline.trace.lazy import Expression, Lazy
from pipeline.trace.values import (
    CURRENT,
    DONE,
    STARTED,
    Call,
    Root,
    Table,
    Value,
    current_recording,
)

if TYPE_CHECKING:
    from pipeline.trace.decorators import LazyFunction


class StaleCallError(PipelineError, ValueError):
    """A call inside another call, made before its function's code or globals changed."""


class Recording(Tape):
    """The tape of a trace, and the calls whose bodies have still to run.

    stack: calls to trace, and calls that wait for those above them
    caller: whose body runs
    constants: the numbers of the constants, by their ids
    calls: all that are traced, inputs before their consumers
    """

    __slots__ = ("caller", "calls", "constants", "outer", "stack", "tables")

    def __init__(self) -> None:
        super().__init__(Value)
        self.stack: list[Value] = []
        self.caller: Any = self
        self.constants: dict[int, int] = {}
        self.calls: list[Value] = []
        self.tables: dict[LazyFunction, Table] = {}
        self.outer: Recording | None = None

    @contextmanager
    def open(self) -> Iterator[Recording]:
        """Make the calls of this context values of this recording."""
        outer = current_recording()
        with closed(outer):
            token = CURRENT.set(self)
            try:
                yield self
            finally:
                CURRENT.reset(token)
                self.close()

    def close(self) -> None:
        """End the trace. Without the cycles of references, its calls are freed with its graph."""
        for function, table in self.tables.items():
            function.table.set(None)
            table.clear()
            table.recording = None
        self.constants.clear()
        for item in self.items:
            if type(item) is Value:
                item.recording = item.caller = None

    def table(self, function: LazyFunction) -> Table:
        table = self.tables.get(function)
        if table is None:
            table = self.tables[function] = Table(function, self)
            function.table.set(table)
        return table

    # Calls

    def made(self, call: Value) -> Value:
        """A call that a body makes. Made twice in one body, it is two values with one result."""
        caller = self.caller
        if call.caller is caller:
            return self.again(call)
        call.caller = caller
        if call.state < DONE:
            self.need(call)
        return call

    def again(self, call: Value) -> Value:
        """Another value with the same result: `fib(2) + fib(2)` has two inputs, `x + x` has one."""
        value = Value()
        value.recording, value.table, value.arguments = self, call.table, call.arguments
        value.parts, value.state, value.caller = call.parts, DONE, None
        value.number = self.add(call)
        self.same[value.number] = call.number
        return value

    def need(self, call: Value) -> None:
        """Trace a call before the one whose body runs."""
        if call.state == STARTED:
            self.refuse_cycle(call)
        self.stack.append(call)

    def need_all(self, arguments: Any) -> None:
        """Trace the calls in the arguments of a task before it."""
        for value in leaves(arguments):
            if type(value) is Value:
                numbers = [value.number] if value.number < 0 else self.body(value.number)[1]
                for number in numbers:
                    call = self.items[~number]
                    if call.state < DONE:
                        self.need(call)

    def refuse_cycle(self, call: Value) -> NoReturn:
        path = [waiting.key for waiting in self.stack if waiting.state == STARTED]
        raise GraphError(
            f"{label(call.key)} needs itself: {cycle_text(path, call.key)}; "
            "every call must come closer to a base case"
        )

    def call_number(self, number: int) -> int:
        """The number of a call, whatever number it was made under."""
        call: Value = self.items[-number - 1]
        return call.number

    # Steps

    def step(
        self,
        function: Callable[..., Any],
        operands: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
    ) -> Value:
        """The result of a function of lazy values and constants."""
        if keywords:
            function = Named(function, tuple(keywords))
            operands = (*operands, *keywords.values())
        numbers = [
            value.number
            if type(value) is Value and value.recording is self
            else self.number_of(value)
            for value in operands
        ]
        value = Value()
        value.recording = self
        value.number = self.write(function, tuple(numbers))
        return value

    def number_of(self, value: Any) -> int:
        """The number of an operand of any kind."""
        if isinstance(value, Lazy):
            return self.replay(value).number
        if type(value) not in ATOMS:
            if lazy := [leaf for leaf in leaves(value) if isinstance(leaf, Lazy)]:
                places = iter(range(len(lazy)))
                structure = map_leaves(
                    value, lambda leaf: Hole(next(places)) if isinstance(leaf, Lazy) else leaf
                )
                return self.step(Fill(structure), tuple(lazy)).number
            _check_constant(value)
        return self.constants.get(id(value)) or self.constant(value)

    def constant(self, value: Any) -> int:
        """The number of a constant that no step has used."""
        number = self.constants[id(value)] = self.add(value)
        return number

    def replay(self, lazy: Lazy) -> Value:
        """A lazy value from outside, in this recording. Its calls are made again, as of now."""
        if type(lazy) is Value and lazy.recording is self:
            return lazy
        values: dict[int, Value] = {}
        stack = [lazy]
        while stack:
            node = stack[-1]
            place = id(node)
            if place not in values and type(node) is Value:
                node = node if node.recording is self else node.lazy()
            if place in values or type(node) is Value:
                values.setdefault(place, cast("Value", node))
                stack.pop()
                continue
            args, kwargs = parts = _parts(node)
            inner = [leaf for leaf in leaves(parts) if isinstance(leaf, Lazy)]
            if missing := [leaf for leaf in inner if id(leaf) not in values]:
                stack += reversed(missing)
                continue
            if inner:  # else a default stays the object that it is
                args, kwargs = map_leaves(
                    parts, lambda leaf: values[id(leaf)] if isinstance(leaf, Lazy) else leaf
                )
            if isinstance(node, Call):
                value = node.function(*args, **kwargs)
                if node is not lazy and node._key is not None and node._key != value.key:
                    raise StaleCallError(
                        f"{node!r} was made before something changed that its function reaches: "
                        "make it again"
                    )
            else:
                value = self.step(cast("Expression", node).function, args, kwargs)
            values[place] = value
            stack.pop()
        return values[id(lazy)]

    def root(self, lazy: Lazy) -> Value:
        """The call of an output: of an expression, one that has no other name."""
        self.caller, outer = lazy, self.stack
        self.stack = []
        value = self.replay(lazy)
        made, self.stack = self.stack, outer
        if value.number < 0:
            self.stack += made
            root: Value = self.items[-value.number - 1]
            return root
        call = Value()
        call.recording, call.table, call.caller, call.state = self, None, lazy, STARTED
        call.result, call.arguments = value.number, ((), {})
        call.number, call.parts = self.add(call), Root(self, value.number, lazy)
        self.stack += (call, *reversed(made))
        return call

    # The tape, read again

    def places(self, number: int) -> tuple[list[int], list[int]]:
        """The steps that a result needs in its body, and its items as they appear in the source."""
        steps, items = set[int](), dict[int, None]()
        stack = [number]
        while stack:
            number = stack.pop()
            if number < 0:
                items[number] = None
            elif number not in steps:
                steps.add(number)
                stack += reversed(self.operands(number))
        return sorted(steps), list(items)

    def expression(self, number: int) -> Expression:
        """A result as a lazy value from outside."""
        made: dict[int, Any] = {}
        for place in self.places(number)[0]:
            function = self.steps[place]
            operands = [made[item] if item >= 0 else self.items[-item - 1]
                        for item in self.operands(place)]  # fmt: skip
            names = function.names if type(function) is Named else ()
            function = function.function if type(function) is Named else function
            first = len(operands) - len(names)
            keywords = dict(zip(names, operands[first:], strict=True))
            made[place] = Expression(function, tuple(operands[:first]), keywords)
        return cast("Expression", made[number])

    def body(self, number: int) -> tuple[Callable[..., Any], list[int]]:
        """A result as a function, and the numbers of the calls whose values are its inputs."""
        steps, items = self.places(number)
        inputs = [item for item in items if type(self.items[-item - 1]) is Value]
        if len(steps) == 1 and inputs and [*self.operands(number)] == inputs:
            function = self.steps[number]
            if type(function) is not Named:
                return function, inputs
        constants = [item for item in items if type(self.items[-item - 1]) is not Value]
        slots = {item: slot for slot, item in enumerate((*inputs, *steps))}
        slots.update({item: -place for place, item in enumerate(constants, 1)})
        written: list[Any] = []
        for place in steps:
            operands = tuple([slots[item] for item in self.operands(place)])
            a, b = operands if len(operands) == 2 else (operands, None)
            if len(operands) == 1:
                (a,) = operands
            written += (self.steps[place], a, b, slots[place])
        values = tuple([self.items[-item - 1] for item in constants])
        if not steps and constants:  # the body returns a constant
            written = [None, values[0], None, 0]
        return _program(tuple(written), len(inputs) + len(steps), values, len(inputs)), inputs


def _parts(node: Lazy) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(node, Call):
        return node.args, node.kwargs
    expression = cast("Expression", node)
    return expression.operands, expression.keywords


def _program(steps: tuple[Any, ...], width: int, constants: Any, arity: int) -> Program:
    """The body of a task. Those of a recurrence have few shapes: each is made once."""
    new = Program(steps, max(width, 1), constants, tuple(range(arity)), (max(width - 1, 0),))
    if not ATOMS.issuperset(map(type, constants)):
        return new
    shape = steps, tuple([(type(value), encode(value)) for value in constants]), arity
    try:
        program = _programs.get(shape)
    except TypeError:  # a function without hash
        return new
    if program is None:
        if len(_programs) == _MAX_PROGRAMS:
            _programs.clear()
        program = _programs[shape] = new
    return program


_MAX_PROGRAMS = 4096
_programs: dict[Any, Program] = {}


@contextmanager
def closed(recording: Recording | None) -> Iterator[None]:
    """Make calls outside of a recording for a while."""
    if recording is None:
        yield
        return
    for function in recording.tables:
        function.table.set(None)
    token = CURRENT.set(None)
    try:
        yield
    finally:
        CURRENT.reset(token)
        for function, table in recording.tables.items():
            function.table.set(table)


class Fill:
    """Puts values into the holes of a nested structure: the list in `task(f)([fib(1), fib(2)])`."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure

    def __call__(self, *values: Any) -> Any:
        return map_leaves(self.structure, lambda leaf: values[leaf] if type(leaf) is Hole else leaf)


class Hole(int):
    """The position of a value that is not known yet."""


def _check_constant(value: Any) -> None:
    """Raise `TypeError` for a value that may hold calls."""
    kind = type(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return
    if is_dask_collection(value):
        raise TypeError(
            f"a {kind.__name__} of Dask stands in a call, where only calls and plain values can: "
            "compute it first, or compute both together with dask.compute"
        )
    hides_calls = isinstance(value, Iterator)
    try:
        encode(value)
    except UnkeyableError as error:  # a constant need not have content
        hides_calls = hides_calls or isinstance(error, UnknownError)
    if hides_calls:
        raise TypeError(
            f"a {kind.__name__} may hold calls that would never be computed: use a list, tuple or "
            "dict of them"
        )
