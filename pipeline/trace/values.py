"""Lazy values of a trace that goes on: calls, results of steps, and what their keys are made of."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from dask.typing import Key

from pipeline.graph import TaskGraph, label
from pipeline.identity import ATOMS, KEY_WIDTH, MAX_INT, MIN_INT, encode, short_hash
from pipeline.program import BINARY, COMPARISONS
from pipeline.trace.lazy import Lazy, expression_text

if TYPE_CHECKING:
    from pipeline.trace.decorators import LazyFunction
    from pipeline.trace.recording import Recording

NEW, DONE, STARTED = 0, 1, -1
"""States of a call: its body has not run; all that it needs is traced; or something is missing."""


class Call(Lazy):
    """A function with its arguments, not evaluated: a Dask collection of one value.

    function: the recurrence or task
    args, kwargs: as bound to its signature, defaults applied
    key: the Dask key of the subproblem
    """

    __slots__ = ("_key", "args", "function", "kwargs")
    _key: Key | None  # none for a task of lazy values, until somebody needs it

    def __init__(
        self, function: LazyFunction, args: tuple[Any, ...], kwargs: dict[str, Any], key: Key | None
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self._key = key

    @property
    def key(self) -> Key:
        if self._key is None:
            from pipeline.trace.recording import Recording  # which needs this class

            with Recording().open() as recording:
                self._key = recording.replay(self).key
        return self._key

    def __repr__(self) -> str:
        return label(self.key)


def _binary(function: Callable[..., Any]) -> Callable[[Value, Any], Lazy]:
    def method(self: Value, other: Any) -> Lazy:
        recording, kind = self.recording, type(other)
        if kind is Value and other.recording is recording is not None:
            operand = other.number
        elif kind in ATOMS and recording is not None:
            operand = recording.constants.get(id(other)) or recording.constant(other)
        else:
            return self.apply(function, (self, other))
        value = Value()
        value.recording = recording
        steps = recording.steps
        value.number = number = len(steps)
        steps += (function, self.number, operand, number)
        return value

    return method


def _reflected(function: Callable[..., Any]) -> Callable[[Value, Any], Lazy]:
    def method(self: Value, other: Any) -> Lazy:
        recording = self.recording
        if type(other) not in ATOMS or recording is None:
            return self.apply(function, (other, self))
        value = Value()
        value.recording = recording
        operand = recording.constants.get(id(other)) or recording.constant(other)
        steps = recording.steps
        value.number = number = len(steps)
        steps += (function, operand, self.number, number)
        return value

    return method


_OPERATORS = {name: function for name, (function, _) in BINARY.items() if name != "pow"}


class Value(Lazy):
    """A lazy value of a trace that goes on: a call, or the result of a step.

    recording: none when the trace has ended
    number: on the tape of the recording. The rest is known of calls alone
    table: the calls of its function
    parts: its arguments in its key
    arguments: args and kwargs; none where they are the integers in the key
    caller: the call whose body made this one last
    result: the number of what its body returned
    """

    __slots__ = (
        "arguments", "caller", "number", "parts", "recording", "result", "state", "table",
    )  # fmt: skip
    recording: Any  # a `Recording`
    number: int
    parts: Any
    table: Any  # a `Table`; none for the call of an expression
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None
    caller: Any
    result: int
    state: int

    @property
    def is_recorded(self) -> bool:
        return self.recording is not None and self.recording is current_recording()

    def apply(
        self,
        function: Callable[..., Any],
        operands: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
    ) -> Lazy:
        if not self.is_recorded:
            return super().apply(function, operands, keywords)
        return cast("Lazy", self.recording.step(function, operands, keywords))

    locals().update(
        {f"__{name}__": _binary(function) for name, function in _OPERATORS.items()}
        | {f"__r{name}__": _reflected(function) for name, function in _OPERATORS.items()}
        | {f"__{name}__": _binary(function) for name, (function, _) in COMPARISONS.items()}
    )
    minimum_with, maximum_with = _binary(min), _binary(max)
    __hash__ = Lazy.__hash__

    @property
    def key(self) -> Key:
        """The Dask key of a call."""
        parts = self.parts
        if self.table is None:
            if type(parts) is Root:
                self.parts = parts = parts.key()
            return cast("Key", parts)
        if type(parts) is Unresolved:
            self.parts = parts = tuple(map(_resolved, parts))
        elif self.arguments is None and (min(parts) < MIN_INT or max(parts) > MAX_INT):
            self.arguments = parts, {}
            self.parts = parts = tuple(map(encode, parts))
        return (self.table.prefix, *parts)

    @property
    def is_cheap(self) -> bool:
        """Whether a call takes less time than a scheduler spends on a task."""
        return self.table is None or self.table.function.cheap

    def lazy(self) -> Lazy:
        """The same, outside of the trace."""
        if self.number < 0:
            if self.table is None:
                return cast("Lazy", self.parts.value)
            args, kwargs = self.arguments or (self.parts, {})
            key = None if type(self.parts) is Unresolved else self.key
            return Call(self.table.function, args, kwargs, key)
        return cast("Lazy", self.recording.expression(self.number))

    def graph(self, **options: Any) -> TaskGraph:
        return self.lazy().graph(**options)

    def task_graph(self) -> TaskGraph:
        return self.graph()

    def __repr__(self) -> str:
        return label(self.key) if self.number < 0 else expression_text(self.lazy())


CURRENT: ContextVar[Recording | None] = ContextVar("CURRENT", default=None)
"""The recording of the trace that goes on."""

current_recording = CURRENT.get


class Table(dict[tuple[Any, ...], Value]):
    """The calls of a function in a recording, by their arguments as in their keys."""

    __slots__ = ("body", "function", "prefix", "recording")
    recording: Any  # a `Recording`; none when the trace has ended

    def __init__(self, function: LazyFunction, recording: Recording) -> None:
        self.function, self.body = function, function.body
        self.prefix, self.recording = function.prefix, recording

    def __missing__(self, parts: tuple[Any, ...]) -> Value:
        """A new call of integers, which are the parts of its key."""
        call = self[parts] = Value()
        call.table, call.parts = self, parts
        call.recording = recording = self.recording
        call.arguments = call.caller = None
        call.state = NEW
        items = recording.items
        items.append(call)
        call.number = -len(items)
        return call


class Unresolved(tuple[Any, ...]):
    """Parts of a key with lazy values in them, which become text when somebody needs it."""

    __slots__ = ()


class LazyPart:
    """An argument with lazy values in it, in a key.

    identity: equal for equal arguments of one recording
    """

    __slots__ = ("identity", "recording", "value")

    def __init__(self, recording: Recording, value: Any) -> None:
        self.recording, self.value = recording, value
        number = recording.number_of(value)
        function, inputs = recording.body(number) if number >= 0 else (None, [number])
        self.identity = (function, *map(recording.call_number, inputs))

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return type(other) is LazyPart and self.identity == other.identity

    def encoded(self) -> str:
        """The argument in a key of Dask: its text, and a digest of all that it computes."""
        function: Any = self.identity[0]
        numbers: Any = self.identity[1:]
        keys = [self.recording.key(number) for number in numbers]
        if function is None:
            return f"{label(keys[0]):.{KEY_WIDTH}}@{short_hash(keys[0])}"
        value = self.value.lazy() if type(self.value) is Value else self.value
        return f"{expression_text(value):.{KEY_WIDTH}}@{short_hash((encode(function), *keys))}"


def _resolved(part: Any) -> Key:
    if type(part) is tuple:  # a keyword, or a long argument
        return tuple(map(_resolved, part)) if part[:1] == ("kw",) else part
    return part.encoded() if type(part) is LazyPart else part


class Root(NamedTuple):
    """The key of an expression that is an output."""

    recording: Recording
    result: int
    value: Lazy

    def key(self) -> Key:
        """Its text, and a digest of all that it computes."""
        function, inputs = self.recording.body(self.result)
        content = short_hash((encode(function), *map(self.recording.key, inputs)))
        return ("expression", expression_text(self.value)[:KEY_WIDTH], content)
