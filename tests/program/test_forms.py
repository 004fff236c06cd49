"""Laws for all forms of a graph: they give equal values, and an error in any form names its call.

The forms: tree, DAG, fused, task by task, compiled with and without inputs, within a budget of
memory, and on each backend.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import (
    BudgetError,
    CompiledGraph,
    TaskGraph,
    maximum,
    minimum,
    recurrence,
    task,
    trace,
    where,
)

Function = Callable[..., Any]


def shifted(x: Any, by: Any = 1) -> Any:
    return x - by


def together(values: list[Any], scale: Any = 1) -> Any:
    return sum(values) * scale


FUNCTIONS: list[tuple[int, Function]] = [
    (2, operator.add),
    (2, operator.sub),
    (2, operator.mul),
    (2, operator.mod),
    (2, operator.floordiv),
    (2, operator.matmul),
    (2, operator.lt),
    (2, operator.ge),
    (2, operator.eq),
    (2, lambda a, b: a / (1 + abs(b))),
    (2, lambda a, b: a - b * (a > b)),
    (2, lambda a, b: abs(a) ** 2 + -b),
    (1, lambda a: a[0]),
    (1, lambda a: a[..., 1:]),
    (2, minimum),
    (3, maximum),
    (3, where),
    (2, lambda a, b: where(a > b, a, b)),
    (1, np.tanh),
    (2, np.maximum),
    (2, np.minimum),
    (3, np.where),
    (2, lambda a, b: np.where(a < b, a, 0.5)),
    (1, np.sum),
    (1, lambda a: np.sum(a, axis=0, keepdims=True)),
    (1, lambda a: np.max(a, axis=-1)),
    (1, np.std),
    (1, lambda a: np.reshape(a, (-1, 1))),
    (1, np.transpose),
    (2, lambda a, b: np.clip(a, -1, 1) * b),
    (2, np.logaddexp),
]
"""Functions of values that are lazy or not, and how many values they take."""

TASKS: list[tuple[int, Function]] = [
    (2, lambda call, a, b: call(shifted)(a, by=b)),
    (1, lambda call, a: call(shifted)(x=a)),
    (2, lambda call, a, b: call(together)([a, b, 2])),
    (2, lambda call, a, b: call(together)([a], scale=b)),
    (2, lambda call, a, b: call(operator.add)(a, b)),
]

KINDS = {"plain": None, "cheap": task(cheap=True), "heavy": task}
"""How a step calls its function: as it is, or as a task."""

CONSTANTS = (0, 1, -3, 0.25, True, np.array([0.5, -1.0, 2.0]))

VALUES = st.sampled_from([
    2,
    -0.75,
    1.5,
    np.arange(9.0).reshape(3, 3) / 8 - 0.4,
    np.array([[0.3, -1.2, 0.7]]),
    np.linspace(-1, 1, 3),
])  # fmt: skip


class Step(NamedTuple):
    """A step of a body.

    sources: of each operand: "call", "step" or "constant", and its number
    """

    kind: str
    function: Function
    sources: tuple[tuple[str, int], ...]


Body = list[Step]


def run(body: Body, value: Function, kinds: Mapping[str, Any]) -> Any:
    """The body of a call of the recurrence `value`."""
    results: list[Any] = []
    for kind, function, sources in body:
        operands = [] if kind == "plain" else [kinds[kind]]
        for source, number in sources:
            if source == "call":
                operands.append(value(number))
            else:
                operands.append(results[number] if source == "step" else CONSTANTS[number])
        results.append(function(*operands))
    return results[-1]


def recurrence_of(bodies: list[Body], inputs: tuple[Any, Any]) -> Any:
    """A recurrence that starts with two inputs."""

    @recurrence
    def value(n: int) -> Any:
        return inputs[n] if n < 2 else run(bodies[n - 2], value, KINDS)

    return value


class BodyError(Exception):
    """An error in the body of a call."""

    def __init__(self, n: int) -> None:
        self.n = n


@dataclass
class Drawn:
    """A random recurrence."""

    bodies: list[Body]
    outputs: list[int]
    inputs: tuple[Any, Any]

    @cached_property
    def plain(self) -> list[Any]:
        """All values by Python's own evaluation; a `BodyError` for one that cannot be computed."""
        values: list[Any] = [*self.inputs]
        kinds = dict.fromkeys(("cheap", "heavy"), lambda function: function)

        def value(n: int) -> Any:
            if isinstance(values[n], BodyError):
                raise values[n]
            return values[n]

        for n, body in enumerate(self.bodies, 2):
            try:
                values.append(run(body, value, kinds))
            except BodyError as error:
                values.append(error)
            except Exception:  # whatever a body raises, each form must raise
                values.append(BodyError(n))
        return values

    @property
    def expected(self) -> list[Any]:
        return [self.plain[n] for n in self.outputs]

    @property
    def fails(self) -> bool:
        return any(isinstance(value, BodyError) for value in self.expected)

    def graph(self, memoize: Any) -> TaskGraph:
        value = recurrence_of(self.bodies, self.inputs)
        return trace(lambda: [value(n) for n in self.outputs], memoize=memoize)

    @cached_property
    def function(self) -> TaskGraph:
        """The graph of a function of the inputs, which are its first outputs."""
        value = recurrence_of(self.bodies, (None, None))
        return trace(lambda: [value(n) for n in (0, 1, *self.outputs)])

    def compiled(self, **options: Any) -> CompiledGraph:
        program: CompiledGraph = self.function.compile(self.function.keys[:2], **options)
        return program


@st.composite
def drawings(draw: st.DrawFn) -> Drawn:
    """Two inputs, up to four bodies of up to three steps, and up to three outputs."""
    bodies = []
    for n in range(2, draw(st.integers(3, 6))):
        body: Body = []
        for place in range(draw(st.integers(1, 3))):
            kind = draw(st.sampled_from(["plain"] * 4 + ["cheap", "heavy"]))
            arity, function = draw(st.sampled_from(FUNCTIONS if kind == "plain" else TASKS))
            sources = [st.tuples(st.just("call"), st.integers(0, n - 1))] * 2
            sources.append(st.tuples(st.just("constant"), st.integers(0, len(CONSTANTS) - 1)))
            if place:
                sources.append(st.tuples(st.just("step"), st.integers(0, place - 1)))
            operands = draw(st.lists(st.one_of(sources), min_size=arity, max_size=arity))
            if place:  # each step is needed
                operands[draw(st.integers(0, arity - 1))] = "step", place - 1
            body.append(Step(kind, function, tuple(operands)))
        bodies.append(body)
    last = len(bodies) + 1
    outputs = [last, *draw(st.lists(st.integers(0, last), max_size=2))]
    return Drawn(bodies, outputs, (draw(VALUES), draw(VALUES)))


def forms(drawn: Drawn) -> Iterator[tuple[str, Function]]:
    """Each form that runs on NumPy."""
    memoize: dict[str, Any] = {
        "tree": False,
        "DAG": True,
        "tree of tasks": lambda call: call.function.__name__ == "value",
    }
    for name, shared in memoize.items():
        graph = cache(partial(drawn.graph, shared))
        yield name, partial(computed, graph)
        yield f"{name}, task by task", partial(computed, graph, fuse=False)
        yield f"{name}, compiled", partial(compiled, graph)
    yield "compiled", lambda: drawn.compiled()(*drawn.inputs)[2:]
    yield "compiled, third run", lambda: third_run(drawn.compiled(), drawn.inputs)[2:]
    yield "in a large budget", lambda: drawn.compiled(memory="1GB")(*drawn.inputs)[2:]
    yield "in the least budget", lambda: in_least_budget(drawn)[2:]


def computed(graph: Callable[[], TaskGraph], **options: Any) -> Any:
    return graph().compute(scheduler="sync", **options)


def compiled(graph: Callable[[], TaskGraph]) -> Any:
    return graph().compile()()


def third_run(program: CompiledGraph, inputs: tuple[Any, Any]) -> Any:
    """After the first run, which is observed, and one that fills the buffers with other values."""
    with suppress(Exception):
        program(*inputs)
        program(*[value + 1 for value in inputs])
    return program(*inputs)


def in_least_budget(drawn: Drawn) -> Any:
    """The second run in the least budget that a plan was found for."""
    try:
        return drawn.compiled(memory=1)(*drawn.inputs)
    except BudgetError as error:
        program = drawn.compiled(memory=error.least)
    program(*drawn.inputs)
    return program(*drawn.inputs)


@np.errstate(all="ignore")
def check(drawn: Drawn) -> None:
    for name, form in forms(drawn):
        if drawn.fails:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - of any kind
                form()
            check_note(drawn, caught.value)
            continue
        for value, right in zip(form(), drawn.expected, strict=True):
            assert type(value) is type(right), name
            np.testing.assert_array_equal(value, right, name, strict=isinstance(right, np.ndarray))


def check_note(drawn: Drawn, error: Exception) -> None:
    """The first note names a call whose body has an error, or a task in such a body."""
    (first, *_) = error.__notes__
    failures = {value.n for value in drawn.plain if isinstance(value, BodyError)}
    has_task = any(step.kind != "plain" for n in failures for step in drawn.bodies[n - 2])
    names = [f"value({n})" for n in failures] + ["shifted(", "together(", "add("] * has_task
    starts = [f"while {verb} {name}" for verb in ("computing", "tracing") for name in names]
    assert first.startswith(tuple(starts))


@np.errstate(all="ignore")
def check_backend(backend: str, drawn: Drawn) -> None:
    pytest.importorskip(backend, reason=f"an extra: pip install 'dask-memo[{backend}]'")
    try:
        program = drawn.compiled(backend=backend)
        with program.in_64_bits():
            values = program(*drawn.inputs)[2:]
    except Exception as error:
        if not drawn.fails and not any(text in str(error) for text in REFUSED):
            raise
        note = error.__notes__[0]
    else:
        note = "while computing"
        for value, right in zip(map(np.asarray, values), drawn.expected, strict=True):
            if not drawn.fails:  # JAX and PyTorch divide by zero
                assert value.shape == np.shape(right)
                rounding = 1e3 * rounding_of(right)
                np.testing.assert_allclose(value, right, rounding, rounding)
    assert note.startswith(("while computing", "while tracing"))


def rounding_of(value: Any) -> float:
    """Of NumPy's type: `np.logaddexp(True, True)` has 16 bits."""
    dtype = np.result_type(value)
    return float(np.finfo(dtype if dtype.kind == "f" else float).eps)


REFUSED = (
    "is out of bounds for array of dimension 0",
    "depends on a value, which JAX does not support",
    "compares numbers, not arrays",
    "a bool tensor",
    "not implemented for",
    "only support floating point",
)
"""What one of the libraries refuses, and NumPy does not."""

others = pytest.mark.parametrize("backend", ["jax", "torch"])


@given(drawings())
@settings(max_examples=40)
def test_all_forms_give_equal_values_and_their_errors_name_a_call(drawn: Drawn) -> None:
    check(drawn)


@others
@given(drawings())
@settings(max_examples=10)
def test_each_backend_gives_the_values_of_numpy(backend: str, drawn: Drawn) -> None:
    check_backend(backend, drawn)


@pytest.mark.slow
@given(drawings())
@settings(max_examples=2000)
def test_all_forms_of_many_programs(drawn: Drawn) -> None:
    check(drawn)


@pytest.mark.slow
@others
@given(drawings())
@settings(max_examples=300)
def test_each_backend_on_many_programs(backend: str, drawn: Drawn) -> None:
    check_backend(backend, drawn)
