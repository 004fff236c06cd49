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

from pipeline.graph import leaves, map_leaves
from pipeline.identity import ATOMS, UnkeyableError, UnknownError, encode
from pipeline.trace.lazy import Expression, Lazy, Operation

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
        return map_leaves(
            self.structure, lambda leaf: values[leaf] if type(leaf) is _Hole else leaf
        )


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
    form = _form(value, calls, _NESTED)
    if form is None or len(set(map(id, calls))) < len(calls):
        return _flatten(value)
    made = _made.get(form)
    if made is None:
        if len(_made) == _MOST:
            _made.clear()
        made = _made[form] = _flatten(value)[0]
    return made, calls


def _form(item: Any, calls: list[Any], deeper: int) -> Any:
    """What an expression is made of but for its calls, which are listed; None if that is not short.

    The bodies of one recurrence have few forms: each is flattened once.
    """
    kind = type(item)
    if kind is Operation and deeper:
        left, right = item.operands
        left, right = _form(left, calls, deeper - 1), _form(right, calls, deeper - 1)
        return None if left is None or right is None else (item.function, left, right)
    if kind in _SHORT:
        return kind, item
    if not isinstance(item, Lazy) or isinstance(item, Expression):
        return None
    calls.append(item)
    return ()


_SHORT = (int, str, bool)
_NESTED, _MOST = 8, 4096
_made: dict[Any, Callable[..., Any]] = {}


def _flatten(value: Any) -> tuple[Callable[..., Any], list[Any]]:
    calls, constants, steps, places = _placed(value)
    taken = [[places[id(each)] for each in step.operands] for step in steps]
    if not constants and taken == [list(range(len(calls)))] and not steps[0].expression.keywords:
        return steps[0].expression.function, calls
    inputs = len(calls)
    shift = inputs + len(constants) - _STEPS
    program = tuple([
        Step(
            _by_position(step.expression),
            tuple([inputs + ~at if at < 0 else at + shift if at >= _STEPS else at for at in found]),
        )
        for step, found in zip(steps, taken, strict=True)
    ])  # fmt: skip
    return Body(tuple(map(_constant, constants)), program), calls


def _placed(value: Any) -> tuple[list[Any], list[Any], list[_Open], dict[int, int]]:
    """Calls, constants and steps, in order; and where each object is: a call from 0 up, a constant
    from -1 down, a step from `_STEPS` up.
    """
    calls: list[Any] = []
    constants: list[Any] = []
    steps: list[_Open] = []
    places: dict[int, int] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is _Open:  # all its operands have places
            if id(item.of) not in places:
                places[id(item.of)] = _STEPS + len(steps)
                steps.append(item)
        elif id(item) in places:
            continue
        elif (expression := item if isinstance(item, Expression) else _filling(item)) is not None:
            operands = expression.operands
            if expression.keywords:
                operands = (*operands, *expression.keywords.values())
            stack.append(_Open(item, expression, operands))
            stack += reversed(operands)
        elif isinstance(item, Lazy):
            places[id(item)] = len(calls)
            calls.append(item)
        else:
            constants.append(item)
            places[id(item)] = -len(constants)
    return calls, constants, steps, places


_STEPS = 2**40


class _Open:
    """An expression whose operands are being placed, of an object in the body."""

    __slots__ = ("expression", "of", "operands")

    def __init__(self, of: Any, expression: Expression, operands: tuple[Any, ...]) -> None:
        self.of, self.expression, self.operands = of, expression, operands


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
    holes = map_leaves(item, lambda leaf: _Hole(next(number)) if isinstance(leaf, Lazy) else leaf)
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
