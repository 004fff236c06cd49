"""Graphs as functions of some of their values."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest

from pipeline import GraphError, Program, recurrence, task, trace
from pipeline.program.program import KINDS
from pipeline.program.source import LONGEST
from tests.functions import fib, square


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
    assert repr(by_key) == "<Program of fib(0), fib(1): 5 tasks>"


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
    found = trace(nested).compile([fib(1)])
    assert repr(found(1)) == repr(found(1)) == "(" * 300 + "2" + ",)" * 300


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
    copies = [each.copy() for each in arrays]
    found = [program(each) for each in arrays]
    for array, copy, value in zip(arrays, copies, found, strict=True):
        np.testing.assert_array_equal(array, copy)
        np.testing.assert_allclose(value, np.tanh(array**4) - array**2)


def test_other_shapes_and_types_get_their_own_buffers() -> None:
    program = np.sum(np.tanh(power(4)) - power(2)).graph().compile([x(0)])
    rng = np.random.default_rng(1)
    for _ in range(2):
        for side in range(50, 50 + 5 * KINDS, 5):
            for kind in (np.float64, np.float32):
                array: Any = rng.normal(size=(side, 100)).astype(kind)
                assert program(array) == np.sum(np.tanh((array * array) * (array * array))
                                                - array * array)  # fmt: skip
    assert len(program.idle) <= KINDS


def test_threads_share_a_program() -> None:
    program = np.tanh(power(8)).graph().compile([x(0)])
    arrays = [np.full((200, 200), value) for value in (0.5, 0.9)]
    wrong: list[int] = []

    def work(place: int) -> None:
        expected = np.tanh(arrays[place] ** 8)
        wrong.extend(1 for _ in range(50) if not np.allclose(program(arrays[place]), expected))

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_a_long_program_runs_uncompiled() -> None:
    program = fib(LONGEST + 100).graph().compile([fib(1), fib(0)])
    assert program(0, 0) == 0 == program(0, 0)
    assert program(1, 0) == fib(LONGEST + 100).compute(scheduler="sync")


def test_a_program_pickles_without_its_buffers() -> None:
    program = fib(12).graph().compile([fib(1)])
    program(1)
    again = pickle.loads(pickle.dumps(program))  # noqa: S301
    assert isinstance(again, Program)
    assert again(1) == again(1) == 144
    assert again.idle != program.__getstate__()["idle"] == {}
