"""What the schedulers really ran."""

from __future__ import annotations

import time

import pytest

from pipeline import measure, task
from tests.functions import edit_distance, fail, fib


def test_tree_and_dag_run_as_many_tasks_as_they_have(scheduler: str) -> None:
    with measure() as tree:
        assert fib(12).graph(memoize=False).compute() == 144
    with measure() as dag:
        assert fib(12).compute() == 144
    assert (tree.tasks, dag.tasks) == (465, 13)
    assert {run.key for run in dag.runs} == {fib(n).key for n in range(13)}
    assert dag.seconds > 0
    assert all(run.seconds >= 0 for run in tree.runs)
    assert [run.key for run in tree.runs if run.bytes > 0] == [(fib(12).key, 1)]


def test_task_by_task_each_result_has_a_size(scheduler: str) -> None:
    with measure() as measured:
        fib(5).compute(fuse=False)
    assert measured.tasks == 6
    assert all(run.bytes > 0 for run in measured.runs)


def test_totals_by_function(scheduler: str) -> None:
    with measure() as measured:
        edit_distance("abc", "abd").compute()
    tasks = {name: total.tasks for name, total in measured.functions.items()}
    assert tasks == {"edit_distance": 16, "min": 9}
    assert sum(total.bytes for total in measured.functions.values()) > 0


def test_functions_are_told_the_longest_first() -> None:
    with measure() as measured:
        task(time.sleep)(0.1).compute(scheduler="sync")
        fib(3).compute(scheduler="sync")
    assert list(measured.functions) == ["sleep", "fib"]


def test_seconds_are_of_the_work(scheduler: str) -> None:
    @task
    def sleep(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    with measure() as measured:
        (sleep(0.2) + fib(3)).compute()
    assert measured.functions["sleep"].seconds >= 0.2
    assert measured.seconds >= 0.2


def test_only_what_runs_meanwhile_is_counted(scheduler: str) -> None:
    edit_distance("ab", "a").compute()
    with measure() as measured:
        fib(3).compute()
    edit_distance("ab", "b").compute()
    assert measured.tasks == 4


def test_a_failed_task_is_no_run(scheduler: str) -> None:
    with measure() as measured, pytest.raises(ZeroDivisionError):
        fail(1).compute()
    assert measured.tasks == 0
    assert measured.seconds > 0


def test_what_ran_before_an_error_is_counted(scheduler: str) -> None:
    def run_and_fail() -> None:
        fib(5).compute()
        raise KeyError

    with pytest.raises(KeyError), measure() as measured:
        run_and_fail()
    assert measured.tasks == 6


def test_measurements_nest() -> None:
    with measure() as outer:
        fib(3).compute(scheduler="sync")
        with measure() as inner:
            fib(4).compute(scheduler="sync")
    assert (outer.tasks, inner.tasks) == (9, 5)
