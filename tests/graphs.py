"""Random graphs for the laws: tasks on the numbers of those before them, some of them heavy."""

from __future__ import annotations

from operator import add, mul, neg
from typing import Any

from dask.task_spec import TaskRef
from hypothesis import strategies as st

from pipeline import TaskGraph
from pipeline.graph import CallTask
from pipeline.program import Program


def three(a: int, b: int, c: int) -> int:
    return (a * b - c) % 1009


def modulo(a: int, b: int) -> int:
    return (a + 2 * b) % 1009


def body(arity: int, constants: tuple[Any, ...], *steps: tuple[Any, ...]) -> Program:
    """The program of a task, of steps of a function and its operands.

    Slots are those of the inputs, then of the steps; those of constants are -1, -2, and so on.
    """
    written: list[Any] = []
    for slot, (function, *operands) in enumerate(steps, arity):
        a, b = operands if len(operands) == 2 else (tuple(operands), None)
        written += (function, a, b, slot)
    width = arity + len(steps)
    return Program(tuple(written), width, constants, tuple(range(arity)), (width - 1,))


def constant(value: Any) -> Program:
    """The program of a task that returns a constant."""
    return Program((None, value, None, 0), 1, (value,), (), (0,))


TWICE = body(1, (2,), (mul, 0, -1), (add, 1, 0))  # 3x, in two steps
BY_ARITY: dict[int, list[Any]] = {
    0: [constant(7), constant(3), lambda: 5],
    1: [neg, TWICE, body(1, ())],
    2: [modulo, add, body(2, (), (modulo, 1, 0), (neg, 2))],
    3: [three],
}


@st.composite
def graphs(draw: Any, most: int = 40) -> TaskGraph:
    """Up to `most` tasks, cheap or heavy, with one or several outputs."""
    size = draw(st.integers(1, most))
    tasks: dict[Any, Any] = {}
    for number in range(size):
        arity = draw(st.integers(0, min(3, number)))
        taken = tuple(("n", draw(st.integers(0, number - 1))) for _ in range(arity))
        function = draw(st.sampled_from(BY_ARITY[arity]))
        tasks["n", number] = CallTask(("n", number), function, taken, cheap=draw(st.booleans()))
    places = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=4))
    return TaskGraph(tasks, [TaskRef(("n", place)) for place in places])


def values_of(graph: TaskGraph) -> list[Any]:
    """What the graph computes, task by task and without a scheduler."""
    values: dict[Any, Any] = {}
    for key, node in graph.tasks.items():
        values[key] = node(values)
    return [values[key] for key in graph.keys]
