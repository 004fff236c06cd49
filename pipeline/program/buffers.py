"""Buffers: results of NumPy operations go into memory that is no longer needed.

A program that runs again and again with arrays of the same shapes makes the same large results each
time. One run is observed. Then results that never leave the program get buffers, and the operations
write into them: a further run allocates nothing large but its outputs.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from pipeline.program.flow import VIEWS, Flow
from pipeline.program.program import Named, Program

MIN_BYTES = 16_384
"""Smaller results get no buffer."""

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
"""The ufunc of each operator: it can write its result into an array."""

SHAPED = VIEWS | {
    np.sum, np.mean, np.max, np.min, np.prod, np.dot, np.zeros_like, np.ones_like,
}  # fmt: skip
"""Functions whose result has a shape that depends on shapes and constants alone."""

REDUCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: np.add.reduce,
    np.prod: np.multiply.reduce,
    np.max: np.maximum.reduce,
    np.min: np.minimum.reduce,
}
"""What NumPy's functions call in the end for an array, after microseconds of Python."""

MAX_COLUMNS = 32
"""The largest values of many rows so short are found column by column: a loop per row is slow."""


@dataclass(frozen=True)
class _Layout:
    """How an array lies in memory."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def buffer(self) -> np.ndarray[Any, Any]:
        """Memory for such an array, in the same order of its axes."""
        axes = sorted(range(len(self.shape)), key=lambda axis: -self.strides[axis])
        memory = np.empty([self.shape[axis] for axis in axes], self.dtype)
        return memory.transpose(np.argsort(axes))


class _Observed(NamedTuple):
    """A step in the run that was observed.

    is_plain: whether all its operands were numbers and arrays of numbers
    shape: of the first operand, if that was an array of numbers
    layout: of its result, if that is large enough for a buffer
    """

    is_plain: bool
    shape: tuple[int, ...] | None
    layout: _Layout | None


def run_and_plan(program: Program, arguments: tuple[Any, ...]) -> tuple[Any, Program]:
    """The value of a program, and a program that does the same for such arguments with buffers."""
    observed: dict[int, _Observed] = {}
    steps = list(program.steps)
    flow = Flow(program)
    for number, (start, function, _, _) in enumerate(flow.instructions[:-1]):
        if function is not None:
            steps[start] = _observing(function, number, observed)
    value = replace(program, steps=tuple(steps))(*arguments)
    return value, _with_buffers(flow, observed)


def expected_bytes(function: Any, operands: Sequence[Any]) -> int | None:
    """The bytes of a result before it is computed; None where only the function knows them."""
    base = function.function if isinstance(function, Named) else function
    if not operands or not all(map(_is_plain, operands)):
        return None
    ufunc, shapes = _ufunc(base, len(operands)), list(map(np.shape, operands))
    if ufunc is None:
        return None
    if not any(shapes):
        return sys.getsizeof(0.0)
    empty = [
        np.empty((0,) * len(shape), value.dtype) if shape else value
        for value, shape in zip(operands, shapes, strict=True)
    ]
    try:
        itemsize, matrix = ufunc(*empty).itemsize, ()
        if ufunc is np.matmul:
            matrix = *shapes[0][-2:-1], *shapes[1][1:][-1:]
            shapes = [shape[:-2] for shape in shapes]
        return int(prod((*np.broadcast_shapes(*shapes), *matrix)) * itemsize)
    except (TypeError, ValueError):  # the step raises it
        return 0


def _observing(
    function: Callable[..., Any], number: int, observed: dict[int, _Observed]
) -> Callable[..., Any]:
    def observe(*operands: Any) -> Any:
        value = function(*operands)
        is_plain = all(map(_is_plain, operands))
        has_array = bool(operands) and type(operands[0]) is np.ndarray and _is_plain(operands[0])
        is_large = type(value) is np.ndarray and value.nbytes >= MIN_BYTES and _is_plain(value)
        layout = _Layout(value.dtype, value.shape, value.strides) if is_plain and is_large else None
        observed[number] = _Observed(is_plain, operands[0].shape if has_array else None, layout)
        return value

    return observe


def _is_plain(value: Any) -> bool:
    """Whether a value is a number or an array of numbers: its type says all but shape and bits."""
    kind = type(value)
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype.kind in "biufc" and kind.__module__ == "numpy"
    return kind in (bool, int, float, complex)


def _with_buffers(flow: Flow, observed: Mapping[int, _Observed]) -> Program:
    program, lives = flow.program, _lives(flow, observed)
    steps, constants = list(program.steps), list(program.constants)
    buffers: dict[_Layout, dict[int, int]] = {}  # by slot: the last step that needs a buffer
    for number, (start, function, operands, _) in enumerate(flow.instructions):
        if number not in lives.fixed:
            continue
        values = [constants[-slot - 1] if slot < 0 else None for slot in operands]
        steps[start] = function = _quick(function, values, observed[number].shape)
        ufunc, layout = _ufunc(function, len(operands)), observed[number].layout
        if ufunc is None or layout is None or number in lives.leaving:
            continue
        # An elementwise result may replace an operand in its last use.
        end = number + 1 if ufunc.signature is None else number
        last_uses = buffers.setdefault(layout, {})
        free = [slot for slot, last in last_uses.items() if last < end]
        # In place is best: that memory is in the processor's cache.
        slot = next(reversed(free), None)
        if slot is None:
            constants.append(layout.buffer())
            slot = -len(constants)
        last_uses.pop(slot, None)
        last_uses[slot] = lives.last_use[number]
        steps[start : start + 3] = Named(ufunc, ("out",)), (*operands, slot), None
    return replace(program, steps=tuple(steps), constants=tuple(constants))


def _quick(function: Any, operands: Sequence[Any], shape: tuple[int, ...] | None) -> Any:
    """A function that does the same to an array of a shape.

    operands: the values of constants, None for what is computed
    """
    base, names = function, tuple[str, ...]()
    if isinstance(function, Named):
        base, names = function.function, function.names
    reduction = REDUCTIONS.get(base)
    if base is np.transpose and not names:
        return np.ndarray.transpose
    if reduction is None:
        return function
    if len(operands) == 1:
        return partial(reduction, axis=None)
    if "axis" not in names:
        return function
    axis = operands[len(operands) - len(names) + names.index("axis")]
    is_short = shape is not None and len(shape) == 2 and shape[1] <= MAX_COLUMNS < shape[0]
    if is_short and axis in (1, -1) and base in (np.max, np.min):
        reduction = partial(_by_columns, reduction)
    return Named(reduction, names)


def _by_columns(reduction: Callable[..., Any], array: np.ndarray[Any, Any], **named: Any) -> Any:
    return reduction(array.copy("F"), **named)


def _ufunc(function: Any, arity: int) -> np.ufunc | None:
    ufunc = UFUNCS.get(function, function)
    if isinstance(ufunc, np.ufunc) and (ufunc.nin, ufunc.nout) == (arity, 1):
        return ufunc
    return None


@dataclass
class _Lives:
    """Which steps need which values, and until when.

    last_use: the last step that needs the value, itself or through a view of its memory
    leaving: values that somebody may hold when the program has ended
    fixed: values whose shape and type depend on those of the arguments, and on nothing else
    """

    last_use: dict[int, int] = field(default_factory=dict)
    leaving: set[int] = field(default_factory=set)
    fixed: set[int] = field(default_factory=set)


def _lives(flow: Flow, observed: Mapping[int, _Observed]) -> _Lives:
    lives = _Lives()
    memory: dict[int, set[int]] = {}  # by value: the values whose memory it may share
    for number, (_, function, operands, _) in enumerate(flow.instructions):
        inputs = [source for source in flow.sources[number] if source in memory]
        shared = set().union(*(memory[source] for source in inputs))
        if number not in observed:  # it stores a constant, or returns the results
            lives.leaving |= shared
            continue
        base = function.function if isinstance(function, Named) else function
        is_ufunc = _ufunc(function, len(operands)) is not None
        lives.last_use.update(dict.fromkeys((*shared, number), number))
        if not is_ufunc and base not in SHAPED:
            lives.leaving |= shared  # it may keep its operands
        # An axis, a shape or an index that is computed has no fixed value; a constant has.
        is_shaped = base in SHAPED and all(slot < 0 for slot in operands[1:])
        seen = observed[number]
        is_fixed = seen.is_plain if is_ufunc else is_shaped and seen.shape is not None
        if is_fixed and lives.fixed.issuperset(inputs):
            lives.fixed.add(number)
        is_fresh = is_ufunc or base in SHAPED - VIEWS
        memory[number] = {number} if is_fresh else {number, *shared}
    return lives
