"""Where results of NumPy operations go into memory that is no longer needed.

A tape that runs again and again with arrays of the same shapes makes the same large results each
time. After one run that is watched, those that never leave the tape get buffers, and the operations
write into them: a further run allocates nothing large but its outputs.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.trace import Named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipeline.program.tape import Tape

LARGE = 16_384
"""Bytes from which on a buffer is worth its while."""

UFUNCS: dict[Callable[..., Any], np.ufunc] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.matmul: np.matmul,
    operator.truediv: np.true_divide,
    operator.floordiv: np.floor_divide,
    operator.mod: np.remainder,
    operator.lshift: np.left_shift,
    operator.rshift: np.right_shift,
    operator.and_: np.bitwise_and,
    operator.or_: np.bitwise_or,
    operator.xor: np.bitwise_xor,
    operator.lt: np.less,
    operator.le: np.less_equal,
    operator.gt: np.greater,
    operator.ge: np.greater_equal,
    operator.neg: np.negative,
    operator.pos: np.positive,
    operator.invert: np.invert,
    abs: np.absolute,
}
"""What operators do with arrays, as functions that take the array to write into."""

VIEWS = frozenset(
    {
        operator.getitem, np.transpose, np.reshape, np.ravel, np.swapaxes, np.expand_dims,
        np.broadcast_to,
    }
)  # fmt: skip
"""Functions whose result may show the memory of their operand."""

SHAPED = VIEWS | {
    np.sum, np.mean, np.max, np.min, np.prod, np.dot, np.zeros_like, np.ones_like,
}  # fmt: skip
"""Functions whose result has a shape that hangs on shapes and constants alone."""


QUICK: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: np.add.reduce,
    np.prod: np.multiply.reduce,
    np.max: np.maximum.reduce,
    np.min: np.minimum.reduce,
}
"""What NumPy's functions call in the end, after microseconds of Python, where they get an array."""


@dataclass(frozen=True)
class _Array:
    """What a buffer for an array must be like."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def buffer(self) -> np.ndarray[Any, Any]:
        """Memory for such an array, in the same order of its axes."""
        axes = sorted(range(len(self.shape)), key=lambda axis: -self.strides[axis])
        memory = np.empty([self.shape[axis] for axis in axes], self.dtype)
        return memory.transpose(np.argsort(axes))


class _Seen(NamedTuple):
    """A step in the run that was watched.

    plain: whether numbers and arrays of numbers are all that it took
    of_array: whether the first that it took is an array of numbers
    large: the array that it made, if that is worth a buffer
    """

    plain: bool
    of_array: bool
    large: _Array | None


def watched(tape: Tape, arguments: tuple[Any, ...]) -> tuple[Any, Tape]:
    """The value of a tape, and a tape that does the same for such arguments, with buffers."""
    seen: dict[int, _Seen] = {}
    program = list(tape.program)
    for step in range(0, len(program), 4):
        if program[step] is not None:
            program[step] = _spy(program[step], step, seen)
    value = tape.replaced(tuple(program), tape.constants)(*arguments)
    return value, _planned(tape, seen)


def _spy(function: Callable[..., Any], step: int, seen: dict[int, _Seen]) -> Callable[..., Any]:
    def spy(*operands: Any) -> Any:
        value = function(*operands)
        plain = all(map(_is_plain, operands))
        is_large = type(value) is np.ndarray and value.nbytes >= LARGE and _is_plain(value)
        large = _Array(value.dtype, value.shape, value.strides) if plain and is_large else None
        is_array = bool(operands) and type(operands[0]) is np.ndarray and _is_plain(operands[0])
        seen[step] = _Seen(plain, is_array, large)
        return value

    return spy


def _is_plain(value: Any) -> bool:
    """Whether a value is a number or an array of numbers: its type says all but shape and bits."""
    kind = type(value)
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype.kind in "biufc" and kind.__module__ == "numpy"
    return kind in (bool, int, float, complex)


def _planned(tape: Tape, seen: Mapping[int, _Seen]) -> Tape:
    flow = _Flow()
    flow.follow(tape, seen)
    program, constants = list(tape.program), list(tape.constants)
    idle: dict[_Array, list[tuple[int, int]]] = {}  # buffers, with the last step that needs each
    for step, places, _ in _steps(tape):
        if step in flow.fixed:
            program[step] = _quick(program[step])
        ufunc, like = _ufunc(program[step], len(places)), seen[step].large
        if ufunc is None or like is None or step in flow.leaving or step not in flow.fixed:
            continue
        # Element by element, a result may take the place of an operand that is used up.
        end = step + 1 if ufunc.signature is None else step
        buffers = idle.setdefault(like, [])
        slot = next((slot for slot, last in buffers if last < end), None)
        if slot is None:
            constants.append(like.buffer())
            slot = -len(constants)
        idle[like] = [each for each in buffers if each[0] != slot] + [(slot, flow.last[step])]
        program[step : step + 3] = Named(ufunc, ("out",)), (*places, slot), None
    return tape.replaced(tuple(program), tuple(constants))


def _quick(function: Any) -> Any:
    """A function that does the same to an array; a reduction needs its axis to be named."""
    if isinstance(function, Named) and "axis" in function.names:
        return Named(QUICK.get(function.function, function.function), function.names)
    return np.ndarray.transpose if function is np.transpose else function


def _ufunc(function: Any, operands: int) -> np.ufunc | None:
    found = UFUNCS.get(function, function)
    if isinstance(found, np.ufunc) and (found.nin, found.nout) == (operands, 1):
        return found
    return None


def _steps(tape: Tape) -> Iterator[tuple[int, tuple[int, ...], int]]:
    """Each step that calls a function: its start in the program, its operands' slots, its own."""
    program = tape.program
    for step in range(0, len(program), 4):
        f, a, b, o = program[step : step + 4]
        if f is not None:
            yield step, (a, b) if b is not None else a if type(a) is tuple else (a,), o


class _Flow:
    """Who needs which result, and until when. A result is named by its step.

    last: the last step that needs it, itself or through a view of its memory
    leaving: those that somebody may hold when the tape has ended
    fixed: those whose shape and type hang on those of the arguments, and on nothing else
    """

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.leaving: set[int] = set()
        self.fixed: set[int] = set()

    def follow(self, tape: Tape, seen: Mapping[int, _Seen]) -> None:
        """Go through a tape from start to end."""
        holds: dict[int, int] = {}  # of each slot: the step whose result is in it
        memory: dict[int, set[int]] = {}  # of each step: those whose memory its result may show
        made = {step: o for step, _, o in _steps(tape)}
        called = {step: places for step, places, _ in _steps(tape)}
        for step in range(0, len(tape.program), 4):
            if step not in made:  # a constant, or nothing
                holds.pop(tape.program[step + 3], None)
                continue
            places, function = called[step], _plain(tape.program[step])
            taken = [holds[place] for place in places if place in holds]
            shown = set().union(*(memory[each] for each in taken))
            is_ufunc = _ufunc(tape.program[step], len(places)) is not None
            for each in shown:
                self.last[each] = step
            if not is_ufunc and function not in SHAPED:
                self.leaving |= shown  # it may keep what it was given
            # Of an array, and of constants: an axis, a shape or an index that is computed is none.
            is_shaped = function in SHAPED and all(place < 0 for place in places[1:])
            known = seen[step].plain if is_ufunc else is_shaped and seen[step].of_array
            if known and self.fixed.issuperset(taken):
                self.fixed.add(step)
            self.last[step] = step
            is_fresh = is_ufunc or function in SHAPED - VIEWS
            memory[step] = {step} if is_fresh else {step, *shown}
            holds[made[step]] = step
        for place in tape.given:
            self.leaving |= memory[holds[place]] if place in holds else set()


def _plain(function: Any) -> Any:
    return function.function if isinstance(function, Named) else function
