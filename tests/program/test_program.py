"""Straight-line programs: what they compute, how many slots they take, and what they say."""

from __future__ import annotations

import pickle
import weakref
from operator import add, mul, sub
from typing import Any

import pytest
from hypothesis import given

from pipeline.graph import CallTask
from pipeline.program import Program
from pipeline.program.program import Item, program_of
from tests.functions import failing, fib
from tests.graphs import body, constant, graphs, values_of


def nodes(**tasks: tuple[Any, str]) -> dict[Any, Any]:
    return {
        key: CallTask(key, function, tuple(inputs)) for key, (function, inputs) in tasks.items()
    }


@given(graphs())
def test_a_program_computes_what_its_tasks_compute(graph: Any) -> None:
    outputs = list(dict.fromkeys(graph.keys))
    program, inputs = program_of(graph.tasks, list(graph.tasks), outputs)
    value = program()
    assert inputs == ()
    values = dict(zip(graph.keys, values_of(graph), strict=True))
    assert (value,) if len(outputs) == 1 else value == tuple(values[key] for key in outputs)


def test_a_chain_of_any_length_takes_as_many_slots_as_it_has_values_at_a_time() -> None:
    graph = fib(10_000).graph()
    program, _ = program_of(graph.tasks, list(graph.tasks), graph.keys)
    assert program.width == 2
    assert program() == graph.compute(scheduler="sync", fuse=False)


def test_tasks_that_no_output_needs_are_left_out() -> None:
    tasks = nodes(a=(constant(1), ""), x=(constant(5), ""), y=(abs, "x"), b=(abs, "a"))
    program, inputs = program_of(tasks, list(tasks), ["b"])
    assert (program(), inputs, program.keys) == (1, (), ["b", "a"])


def test_values_from_outside_are_arguments() -> None:
    tasks = nodes(c=(sub, "ab"), d=(mul, "ca"))
    program, inputs = program_of(tasks, list(tasks), ["d", "c"])
    values = {"a": 10, "b": 4}
    assert program(*[values[key] for key in inputs]) == (60, 6)


def test_an_argument_may_be_the_tuple_of_another_block() -> None:
    tasks = nodes(c=(sub, "ab"), d=(mul, "cx"))
    program, inputs = program_of(
        tasks, list(tasks), ["d"], {"a": Item("block", 1), "b": Item("block", 0)}
    )
    arguments = {"block": (4, 10), "x": 2}
    assert set(inputs) == {"block", "x"}
    assert program(*[arguments[key] for key in inputs]) == 12


def test_an_output_may_be_an_argument_a_constant_or_taken_twice() -> None:
    tasks = nodes(one=(constant(1), ""), same=(body(1, ()), "a"), sum=(add, "aa"))
    program, inputs = program_of(tasks, list(tasks), ["a", "one", "same", "sum"])
    assert inputs == ("a",)
    assert program(5) == (5, 1, 5, 10)


def test_constants_of_any_type_are_kept_distinct() -> None:
    pairs = [(0.0, -0.0), (1, True), (1, 1.0), ("1", 1), (b"1", "1"), ([], [])]
    for left, right in pairs:
        both = body(0, (left, right), (lambda a, b: (a, b), -1, -2))
        program, _ = program_of(nodes(x=(both, "")), ["x"], ["x"])
        assert repr(program()) == repr((left, right))


class Value:
    """Something that a weak reference can watch."""


def test_a_value_is_freed_after_its_last_use() -> None:
    seen: list[Any] = []
    watched: list[weakref.ref[Value]] = []

    def make() -> Value:
        value = Value()
        watched.append(weakref.ref(value))
        return value

    def alive(*_: Any) -> Value:
        seen.append([ref() is not None for ref in watched])
        return make()

    # a and b die in c, c in d; e and f need nothing of them.
    tasks = nodes(a=(make, ""), b=(make, ""), c=(alive, "ab"), d=(alive, "c"), e=(alive, "d"))
    program, _ = program_of(tasks, list(tasks), ["e"])
    program()
    assert seen == [[True, True], [False, False, True], [False, False, False, True]]


def test_an_error_names_the_call_it_was_in() -> None:
    graph = failing(30).graph()
    program, _ = program_of(graph.tasks, list(graph.tasks), graph.keys)
    with pytest.raises(ZeroDivisionError, match="no 0") as caught:
        program()
    assert caught.value.__notes__ == ["while computing fail(0)"]
    assert caught.traceback[-1].name == "fail"


@pytest.mark.parametrize("place", range(6))
def test_an_error_names_its_task_wherever_it_stands(place: int) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("lost")

    two = body(1, (), (abs, 0), (abs, 1))
    functions: list[Any] = [constant(3), two, abs, two, two, abs]
    functions[place] = fail if place != 3 else body(1, (), (abs, 0), (fail, 1))
    tasks = {
        n: CallTask(n, function, (n - 1,) if n else ()) for n, function in enumerate(functions)
    }
    program, _ = program_of(tasks, list(tasks), [5])
    with pytest.raises(KeyError) as caught:
        program()
    assert caught.value.__notes__ == [f"while computing {place}"]


def test_a_program_pickles_small() -> None:
    graph = fib(4000).graph()
    program, _ = program_of(graph.tasks, list(graph.tasks), graph.keys)
    again = pickle.loads(pickle.dumps(program))  # noqa: S301
    assert isinstance(again, Program)
    assert again() == program()
    assert len(pickle.dumps(program)) < 30 * 4000
    assert repr(program) == "<Program: 4,001 tasks in 2 slots>"
