"""What a call does with the values of the calls in its body, as one function.

The body of a recurrence returns an expression of lazy calls. Flattened, its operators are a short
straight-line program: the function of the call's task, whose inputs are the values of those calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from dask.base import is_dask_collection

from pipeline.encode import ATOMS, encode
from pipeline.lazy import Expression, Lazy
from pipeline.nest import leaves, nest
from pipeline.state import UnkeyableError, UnknownError

if TYPE_CHECKING:
    from collections.abc import Callable


class Step(NamedTuple):
    """One operation: its function, and the places of its operands among the values before it."""

    function: Callable[..., Any]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """A function whose last operands are passed by name."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, *operands: Any) -> Any:
        first = len(operands) - len(self.names)
        named = dict(zip(self.names, operands[first:], strict=True))
        return self.function(*operands[:first], **named)


class Body:
    """A straight-line program: inputs, constants, then the result of each step. The last counts.

    Without steps its value is its one constant or its one input.
    """

    __slots__ = ("constants", "steps")

    def __init__(self, constants: tuple[Any, ...] = (), steps: tuple[Step, ...] = ()) -> None:
        self.constants = constants
        self.steps = steps

    def __call__(self, *inputs: Any) -> Any:
        values = [*inputs, *self.constants]
        for function, places in self.steps:
            values.append(function(*[values[place] for place in places]))
        return values[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Body, (self.constants, self.steps)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (self.constants, tuple(map(tuple, self.steps)))

    def __repr__(self) -> str:
        functions = [getattr(step.function, "function", step.function) for step in self.steps]
        names = [getattr(each, "__name__", str(each)) for each in functions]
        return f"<Body: {', '.join(names) or 'constant'}>"


class Fill:
    """Puts values into the holes of a nested structure: the list in `task(f)([fib(1), fib(2)])`."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure

    def __call__(self, *values: Any) -> Any:
        return nest(self.structure, lambda leaf: values[leaf] if type(leaf) is _Hole else leaf)


class _Hole(int):
    """The place of a value that is yet to come."""


def flatten(value: Any) -> tuple[Callable[..., Any], list[Any]]:
    """The function that computes a lazy value, and the calls whose values it takes.

    Each call object is one input, in the order in which they stand: `fib(2) + fib(2)` has two,
    `x + x` has one. Nothing here recurses, so a sum may have any number of terms.

    >>> body, calls = flatten(Expression(max, (3, Expression(min, (2, 5)))))
    >>> body(), calls
    (3, [])
    """
    if not isinstance(value, Lazy) and _filling(value) is None:
        return Body((_constant(value),)), []
    calls: list[Any] = []
    constants: list[Any] = []
    steps: list[tuple[Expression, list[tuple[str, int]]]] = []
    places: dict[int, tuple[str, int]] = {}  # of each object: which of the lists, and where in it
    fills: dict[int, Expression | None] = {}  # of each structure: the expression that fills it
    stack = [value]
    while stack:
        item = stack[-1]
        if id(item) in places:
            stack.pop()
            continue
        if isinstance(item, Expression):
            expression: Expression | None = item
        else:
            if id(item) not in fills:
                fills[id(item)] = _filling(item)
            expression = fills[id(item)]
        if expression is None:
            bank, found = ("call", calls) if isinstance(item, Lazy) else ("constant", constants)
            places[id(item)] = (bank, len(found))
            found.append(item)
            continue
        operands = [*expression.operands, *(expression.keywords or {}).values()]
        missing = [each for each in operands if id(each) not in places]
        if missing:
            stack.extend(reversed(missing))
            continue
        places[id(item)] = ("step", len(steps))
        steps.append((expression, [places[id(each)] for each in operands]))
    start = {"call": 0, "constant": len(calls), "step": len(calls) + len(constants)}
    program = tuple(
        Step(_by_position(expression), tuple(start[bank] + place for bank, place in operands))
        for expression, operands in steps
    )
    if len(program) == 1 and not constants:
        function, taken = program[0]
        if taken == tuple(range(len(calls))):
            return function, calls
    return Body(tuple(map(_constant, constants)), program), calls


def _by_position(expression: Expression) -> Callable[..., Any]:
    if not expression.keywords:
        return expression.function
    return Named(expression.function, tuple(expression.keywords))


def _filling(item: Any) -> Expression | None:
    """The expression that builds a structure with lazy values in it; None if there are none."""
    if type(item) in ATOMS or isinstance(item, Lazy):
        return None
    lazy = [leaf for leaf in leaves(item) if isinstance(leaf, Lazy)]
    if not lazy:
        return None
    number = iter(range(len(lazy)))
    holes = nest(item, lambda leaf: _Hole(next(number)) if isinstance(leaf, Lazy) else leaf)
    return Expression(Fill(holes), tuple(lazy))


def _constant(value: Any) -> Any:
    kind = type(value)
    if kind in ATOMS:
        return value
    if is_dask_collection(value):
        raise TypeError(
            f"a {kind.__name__} of Dask stands in a call, where only calls and plain values can: "
            "compute it first, or compute both together with dask.compute"
        )
    if isinstance(value, Iterator) or _hides_calls(value):
        raise TypeError(
            f"a {kind.__name__} may hold calls that would never be computed: use a list, tuple or "
            "dict of them"
        )
    return value


def _hides_calls(value: Any) -> bool:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return False
    try:
        encode(value)
    except UnknownError:
        return True
    except UnkeyableError:
        pass  # a constant need not have content
    return False
