"""What the schedulers really ran."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pipeline import Store, compute, measure, task, trace
from pipeline.schedule import Run, task_runs
from pipeline.schedule.measuring import NO_VALUE
from tests.functions import edit_distance, fail, fib, square

if TYPE_CHECKING:
    from pathlib import Path


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


def test_functions_are_sorted_the_longest_first() -> None:
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


def test_a_run_has_its_worker_and_its_time(scheduler: str) -> None:
    runs: list[Run] = []
    before = time.time()
    with task_runs(runs.append):
        fib(5).compute(fuse=False)
    assert len({run.key for run in runs}) == 6
    assert all(run.worker is not None for run in runs)
    assert all(before - 60 < run.start <= run.end < time.time() + 60 for run in runs)


def test_local_schedulers_hand_over_values() -> None:
    runs: list[Run] = []
    graph = trace([fib(9), square(fib(7)), fib(7)])
    with task_runs(runs.append):
        assert graph.compute(scheduler="sync") == [34, 169, 13]
    values = {run.key: run.value for run in runs if run.value is not NO_VALUE}
    assert values == {fib(9).key: 34, fib(7).key: 13, square(fib(7)).key: 169}
    assert len(runs) == 11  # fib(8) and the others stay inside the block


def test_results_of_a_store_are_loaded(tmp_path: Path) -> None:
    store = Store(tmp_path, keep={"fib"})
    compute(fib(6), store=store, scheduler="sync", fuse=False)
    runs: list[Run] = []
    with task_runs(runs.append):
        compute(fib(7), store=store, scheduler="sync", fuse=False)
    assert {run.key[1]: run.value for run in runs if run.is_loaded} == {5: 5, 6: 8}
    assert [run.key[1] for run in runs if not run.is_loaded] == [7]
