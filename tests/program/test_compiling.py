"""Graphs as functions of some of their values."""

from __future__ import annotations

import pickle
import threading
from operator import add, getitem, invert, neg, pos
from typing import Any

import numpy as np
import pytest
from dask.task_spec import TaskRef
from hypothesis import given

from pipeline import CompiledGraph, GraphError, recurrence, task, trace
from pipeline.graph import CallTask
from pipeline.program import Named
from pipeline.program.compiling import MAX_KINDS, MAX_STEPS, compiled
from pipeline.program.program import program_of
from tests.functions import failing, fib, square
from tests.graphs import body, constant, graphs, values_of


@recurrence
def x(n: int) -> Any:
    return 0


@recurrence
def power(n: int) -> Any:
    return x(0) if n == 1 else power(n // 2) * power(n - n // 2)


def test_a_program_takes_values_in_the_order_of_its_inputs() -> None:
    program = fib(6).graph().compile([fib(1), fib(0)])
    for _ in range(3):
        assert program(1, 0) == 8
        assert program(0, 1) == 5
    by_key = fib(6).graph().compile([fib(0).key, fib(1).key])
    assert by_key(0, 1) == 8
    assert repr(by_key) == "<CompiledGraph of fib(0), fib(1): 5 tasks>"


def test_a_program_without_inputs_and_one_that_gives_an_input_back() -> None:
    assert fib(10).graph().compile()() == 55
    program = trace([fib(3), fib(4)]).compile([fib(4), fib(3)])
    assert program("four", "three") == ["three", "four"] == program("four", "three")


def test_inputs_may_stand_anywhere_and_need_not_be_needed() -> None:
    program = fib(8).graph().compile([fib(5), fib(4), fib(0)])
    assert program(5, 3, None) == 21 == program(5, 3, None)


def test_outputs_are_nested_as_those_of_the_graph() -> None:
    graph = trace({"a": fib(6), "b": [fib(7), 3]})
    for _ in range(2):
        assert graph.compile()() == {"a": 8, "b": [13, 3]}
    program = trace([{1: fib(6)}, slice(fib(3), 2)]).compile([fib(1)])
    assert program(1) == program(1) == [{1: 8}, slice(2, 2)]


def test_heavy_tasks_run_too() -> None:
    program = trace([square(fib(5)) + fib(4), square(fib(5))]).compile([fib(5)])
    assert [program(5), program(6)] == [[28, 25], [39, 36]]


def test_an_expression_may_be_an_input() -> None:
    total = fib(4) + fib(5)
    assert trace([total, fib(5)]).compile([total])(100) == [100, 5]


def test_what_is_not_in_the_graph_is_no_input() -> None:
    with pytest.raises(GraphError, match=r"fib\(9\) is not in <TaskGraph: 7 tasks"):
        fib(6).graph().compile([fib(9)])
    program = fib(6).graph().compile([fib(1), fib(0)])
    with pytest.raises(TypeError, match=r"1 values for 2 inputs: .* fib\(1\), fib\(0\)"):
        program(1)


def test_an_input_is_named_once() -> None:
    with pytest.raises(GraphError, match=r"named twice: fib\(1\), fib\(1\)"):
        fib(6).graph().compile([fib(1), fib(1)])


def test_a_value_that_a_cluster_holds_is_given(client: Any) -> None:
    held = client.persist(fib(30))
    with pytest.raises(GraphError, match=r"fib\(30\) is a value that a cluster holds"):
        held.compile()
    assert held.compile([fib(30)])(5) == 5


def test_deeply_nested_outputs() -> None:
    nested: Any = fib(3)
    for _ in range(300):
        nested = (nested,)
    program = trace(nested).compile([fib(1)])
    assert repr(program(1)) == repr(program(1)) == "(" * 300 + "2" + ",)" * 300


def test_errors_name_the_call_in_every_run() -> None:
    @task
    def inverse(value: float) -> float:
        return 1 / value

    program = (inverse(x(0)) + fib(5)).graph().compile([x(0)])
    for good, bad in ((1, 0), (2, 0.0), (4, 0)):
        assert program(good) == 1 / good + 5
        with pytest.raises(ZeroDivisionError) as caught:
            program(bad)
        assert [note.partition("@")[0] for note in caught.value.__notes__] == [
            "while computing inverse(x(0))"
        ]


def test_no_run_changes_what_it_was_given_or_what_another_gave() -> None:
    program = (np.tanh(power(4)) - power(2)).graph().compile([x(0)])
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(100, 100)) for _ in range(4)]
    copies = [array.copy() for array in arrays]
    values = [program(array) for array in arrays]
    for array, copy, value in zip(arrays, copies, values, strict=True):
        np.testing.assert_array_equal(array, copy)
        np.testing.assert_allclose(value, np.tanh(array**4) - array**2)


def test_other_shapes_and_types_get_their_own_buffers() -> None:
    program = np.sum(np.tanh(power(4)) - power(2)).graph().compile([x(0)])
    rng = np.random.default_rng(1)
    for _ in range(2):
        for side in range(50, 50 + 5 * MAX_KINDS, 5):
            for kind in (np.float64, np.float32):
                array: Any = rng.normal(size=(side, 100)).astype(kind)
                assert program(array) == np.sum(np.tanh((array * array) * (array * array))
                                                - array * array)  # fmt: skip
    assert len(program.idle) <= MAX_KINDS


def test_threads_share_a_program() -> None:
    program = np.tanh(power(8)).graph().compile([x(0)])
    arrays = [np.full((200, 200), value) for value in (0.5, 0.9)]
    wrong: list[int] = []

    def work(place: int) -> None:
        expected = np.tanh(arrays[place] ** 8)
        wrong.extend(1 for _ in range(50) if not np.allclose(program(arrays[place]), expected))

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_long_program_runs_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.program.compiling.MAX_STEPS", 50)
    program = fib(100).graph().compile([fib(1), fib(0)])
    assert program(0, 0) == 0 == program(0, 0)
    assert program(1, 0) == program(1, 0) == fib(100).compute(scheduler="sync")


def test_a_program_pickles_without_its_buffers() -> None:
    program = fib(12).graph().compile([fib(1)])
    program(1)
    again = pickle.loads(pickle.dumps(program))  # noqa: S301
    assert isinstance(again, CompiledGraph)
    assert again(1) == again(1) == 144
    assert again.idle != program.__getstate__()["idle"] == {}


# Programs as Python source


@given(graphs())
def test_compiled_a_program_computes_the_same(graph: Any) -> None:
    program, _ = program_of(graph.tasks, list(graph.tasks), list(dict.fromkeys(graph.keys)))
    run = compiled(program, graph.outputs)
    assert run is not None
    assert run() == values_of(graph)


def test_every_form_of_a_step() -> None:
    functions: list[Any] = [
        (neg, "a", -5), (pos, "a", 5), (invert, "a", -6), (abs, "a", 5), (add, "aa", 10),
        (pow, "aa", 3125), (divmod, "aa", (1, 0)), (body(1, ()), "a", 5), (max, "aaa", 5),
        (body(1, (list(range(2, 9)),), (getitem, -1, 0)), "a", 7),
        (body(1, (2,), (Named(round, ("ndigits",)), 0, -1)), "a", 5),
        (body(1, (np.add, 1), (lambda f, x, a: f(x, a), -1, -2, 0)), "a", 6),
    ]  # fmt: skip
    for function, inputs, expected in functions:
        program, _ = program_of({"x": CallTask("x", function, tuple(inputs))}, ["x"], ["x"])
        run = compiled(program, TaskRef("x"))
        assert run is not None
        assert run(5) == expected == program(5)


def test_source_nests_outputs_as_they_were() -> None:
    tasks = {key: CallTask(key, constant(key), ()) for key in "ab"}
    program, _ = program_of(tasks, ["a", "b"], ["a", "b"])
    a, b = TaskRef("a"), TaskRef("b")
    for outputs, expected in (
        (a, "a"), ([a, (b,)], ["a", ("b",)]), ({"x": a, 3: [b, a]}, {"x": "a", 3: ["b", "a"]}),
        ([], []), ((), ()),
    ):  # fmt: skip
        run = compiled(program, outputs)
        assert run is not None
        assert run() == expected
    assert compiled(program, {1, 2}) is None


def test_an_error_in_source_names_the_call_it_was_in() -> None:
    graph = failing(30).graph()
    program, _ = program_of(graph.tasks, list(graph.tasks), graph.keys)
    run = compiled(program, graph.outputs)
    assert run is not None
    with pytest.raises(ZeroDivisionError, match="no 0") as caught:
        run()
    assert caught.value.__notes__ == ["while computing fail(0)"]
    tasks = {
        "a": CallTask("a", constant(0), ()),
        "b": CallTask("b", body(1, (1,), (add, 0, -1)), ("a",)),
        "c": CallTask("c", body(1, (1,), (add, 0, -1), (divmod, -1, 0)), ("a",)),
    }
    program, _ = program_of(tasks, list(tasks), ["b", "c"])
    run = compiled(program, [TaskRef("b"), TaskRef("c")])
    assert run is not None
    with pytest.raises(ZeroDivisionError) as error:
        run()
    assert error.value.__notes__ == ["while computing c"]


def test_long_programs_are_not_compiled() -> None:
    graph = fib(MAX_STEPS + 10).graph()
    program, _ = program_of(graph.tasks, list(graph.tasks), graph.keys)
    assert compiled(program, graph.outputs) is None
