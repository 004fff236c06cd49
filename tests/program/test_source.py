"""Tapes as Python source."""

from __future__ import annotations

from operator import add, getitem, invert, neg, pos
from typing import Any

import numpy as np
import pytest
from dask.task_spec import TaskRef
from hypothesis import given

from pipeline.graph import CallTask
from pipeline.program.recorder import record
from pipeline.program.source import LONGEST, compiled
from pipeline.trace import Body, Named, Step
from tests.functions import failing, fib
from tests.graphs import graphs, values_of


@given(graphs())
def test_compiled_a_tape_computes_the_same(graph: Any) -> None:
    tape, _ = record(graph.tasks, list(graph.tasks), list(dict.fromkeys(graph.keys)))
    run = compiled(tape, graph.outputs)
    assert run is not None
    assert run() == values_of(graph)


def test_every_form_of_a_step() -> None:
    functions: list[Any] = [
        (neg, "a", -5), (pos, "a", 5), (invert, "a", -6), (abs, "a", 5), (add, "aa", 10),
        (pow, "aa", 3125), (divmod, "aa", (1, 0)), (Body(), "a", 5), (max, "aaa", 5),
        (Body((list(range(2, 9)),), (Step(getitem, (1, 0)),)), "a", 7),
        (Body((2,), (Step(Named(round, ("ndigits",)), (0, 1)),)), "a", 5),
        (Body((np.add, 1), (Step(lambda f, x, a: f(x, a), (1, 2, 0)),)), "a", 6),
    ]  # fmt: skip
    for function, taken, expected in functions:
        tape, _ = record({"x": CallTask("x", function, tuple(taken))}, ["x"], ["x"])
        run = compiled(tape, TaskRef("x"))
        assert run is not None
        assert run(5) == expected == tape(5)


def test_outputs_are_nested_as_they_were() -> None:
    tasks = {key: CallTask(key, Body((key,), ()), ()) for key in "ab"}
    tape, _ = record(tasks, ["a", "b"], ["a", "b"])
    a, b = TaskRef("a"), TaskRef("b")
    for outputs, expected in (
        (a, "a"), ([a, (b,)], ["a", ("b",)]), ({"x": a, 3: [b, a]}, {"x": "a", 3: ["b", "a"]}),
        ([], []), ((), ()),
    ):  # fmt: skip
        run = compiled(tape, outputs)
        assert run is not None
        assert run() == expected
    assert compiled(tape, {1, 2}) is None


def test_an_error_names_the_call_it_was_in() -> None:
    graph = failing(30).graph()
    tape, _ = record(graph.tasks, list(graph.tasks), graph.keys)
    run = compiled(tape, graph.outputs)
    assert run is not None
    with pytest.raises(ZeroDivisionError, match="no 0") as caught:
        run()
    assert caught.value.__notes__ == ["while computing fail(0)"]
    tasks = {
        "a": CallTask("a", Body((0,), ()), ()),
        "b": CallTask("b", Body((1,), (Step(add, (0, 1)),)), ("a",)),
        "c": CallTask("c", Body((1,), (Step(add, (0, 1)), Step(divmod, (1, 0)))), ("a",)),
    }
    tape, _ = record(tasks, list(tasks), ["b", "c"])
    run = compiled(tape, [TaskRef("b"), TaskRef("c")])
    assert run is not None
    with pytest.raises(ZeroDivisionError) as error:
        run()
    assert error.value.__notes__ == ["while computing c"]


def test_long_tapes_are_not_compiled() -> None:
    graph = fib(LONGEST + 10).graph()
    tape, _ = record(graph.tasks, list(graph.tasks), graph.keys)
    assert compiled(tape, graph.outputs) is None
