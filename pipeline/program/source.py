"""A tape as Python source: what runs thousands of times is worth compiling.

Compiled, a step takes what the same line takes in a function that somebody wrote by hand.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline.graph import label
from pipeline.trace import BINARY, COMPARISONS, SYMBOLS, Named

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.program.tape import Tape

LONGEST = 10_000
"""Steps that are compiled; longer tapes run as they are, for a compiler takes 5 µs a step."""

_INFIX = dict((*BINARY.values(), *COMPARISONS.values()))
_FILE = "<tape>"


def compiled(tape: Tape, outputs: Any) -> Callable[..., Any] | None:
    """The outputs as a function of the tape's arguments; None where they are nested unusually.

    Raises what a step raises, with a note that names the call.
    """
    if len(tape.program) > 4 * LONGEST:
        return None
    writer = _Writer(tape)
    result = writer.structure(outputs)
    if result is None:
        return None
    lines = [f"def run({', '.join(f's{slot}' for slot in tape.taken)}):"]
    lines += [f" {writer.step(start)}" for start in range(0, len(tape.program), 4)]
    lines += [f" return {result}"]
    exec(compile("\n".join(lines), _FILE, "exec"), writer.names)  # noqa: S102 - our own source
    run: Callable[..., Any] = writer.names["run"]

    def named(*arguments: Any) -> Any:
        try:
            return run(*arguments)
        except Exception as error:
            _tell(error, tape)
            raise

    return named


def _tell(error: Exception, tape: Tape) -> None:
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != _FILE:
        frame = frame.tb_next
    if frame is not None:
        key = tape.task_before(len(tape.program) - 4 * (frame.tb_lineno - 1))
        error.add_note(f"while computing {label(key)}")


class _Writer:
    """Writes steps as lines: a slot is a local variable, all else has a name of the module."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.names: dict[str, Any] = {f"c{n}": each for n, each in enumerate(tape.constants, 1)}
        self.known: dict[int, str] = {}
        self.outputs = dict(zip(tape.outputs, tape.given, strict=True))

    def name(self, value: Any) -> str:
        """The name of a function or a constant."""
        if id(value) not in self.known:
            self.known[id(value)] = f"v{len(self.known)}"
            self.names[self.known[id(value)]] = value
        return self.known[id(value)]

    def slot(self, place: int) -> str:
        """The name of a slot; those of constants are counted from the last one."""
        return f"s{place}" if place >= 0 else f"c{-place}"

    def step(self, start: int) -> str:
        """The line of a step."""
        f, a, b, o = self.tape.program[start : start + 4]
        if f is None:
            return f"s{o} = {self.name(a)}"
        places = (a, b) if b is not None else a if type(a) is tuple else (a,)
        operands = [self.slot(place) for place in places]
        if len(operands) == 2 and _INFIX.get(f) is not None:
            return f"s{o} = {operands[0]} {_INFIX[f]} {operands[1]}"
        if f is operator.getitem:
            return f"s{o} = {operands[0]}[{operands[1]}]"
        if len(operands) == 1 and SYMBOLS.get(f) is not None:
            return f"s{o} = {SYMBOLS[f]}{operands[0]}"
        if isinstance(f, Named):
            first = len(operands) - len(f.names)
            pairs = zip(f.names, operands[first:], strict=True)
            operands[first:] = [f"{name}={value}" for name, value in pairs]
            f = f.function
        return f"s{o} = {self.name(f)}({', '.join(operands)})"

    def structure(self, outputs: Any, deeper: int = 50) -> str | None:
        """Outputs in lists, tuples and dicts, as they are written; None for other structures."""
        kind = type(outputs)
        if isinstance(outputs, TaskRef):
            return self.slot(self.outputs[outputs.key])
        if kind not in (list, tuple, dict) or not deeper:
            return None
        parted = outputs.values() if kind is dict else outputs
        inner = [self.structure(each, deeper - 1) for each in parted]
        if any(each is None for each in inner):
            return None
        parts = [str(each) for each in inner]
        if kind is dict:
            pairs = zip(map(self.name, outputs), parts, strict=True)
            return f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"
        return f"[{', '.join(parts)}]" if kind is list else f"({''.join(f'{p}, ' for p in parts)})"
