"""What ran where and when, on all schedulers."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import pytest
from dask import delayed
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Store, compute, measure, record, share
from pipeline.schedule import Interval, Recording, Span, longest_chain
from tests.collections_ import clean, feature, load
from tests.functions import fail, fib, square

if TYPE_CHECKING:
    from pathlib import Path


def pipelines() -> list[Any]:
    """Fifteen tasks in five lines, and two that take the ends of all."""
    rows = [delayed(feature)(delayed(clean)(delayed(load)(n))) for n in range(5)]
    return [delayed(min)(rows), delayed(max)(rows)]


def lanes(run: Recording) -> dict[str, list[Span]]:
    """The tasks of each worker, by their start."""
    found = defaultdict(list)
    for task in run.tasks:
        found[task.worker].append(task)
    return found


def test_every_task_that_ran_has_one_interval_on_one_worker(scheduler: str) -> None:
    collections = pipelines()
    graph: dict[Any, Any] = {}
    for part in collections:
        graph |= dict(part.__dask_graph__())
    with record("both") as run, measure() as measured:
        assert dask.compute(*collections, optimize_graph=False) == (2, 10)
    assert Counter(task.key for task in run.tasks) == Counter(one.key for one in measured.runs)
    assert {task.key for task in run.tasks} >= graph.keys()
    assert len(run.tasks) == len({task.key for task in run.tasks})
    assert run.name == "both"
    kinds = {"sync": "main", "threads": "thread", "processes": "process", "distributed": "worker"}
    assert {worker.split()[0] for worker in run.workers} == {kinds[scheduler]}


def test_the_intervals_of_a_worker_do_not_overlap(scheduler: str) -> None:
    with record() as run:
        dask.compute(*pipelines(), optimize_graph=False)
    assert {*lanes(run)} <= {*run.workers}
    for tasks in lanes(run).values():
        assert all(before.end <= after.start for before, after in pairwise(tasks))
    assert all(0 <= task.start <= task.end <= run.seconds for task in run.tasks)


def test_a_task_starts_after_its_inputs(scheduler: str) -> None:
    with record() as run:
        dask.compute(*pipelines(), optimize_graph=False)
    ends = {task.key: task.end for task in run.tasks}
    for task in run.tasks:
        assert all(ends[key] <= task.start for key in task.inputs if key in ends)
    assert sum(len(set(task.inputs)) for task in run.tasks) == sum(
        task.consumers for task in run.tasks
    )


def test_a_merged_task_has_the_consumers_of_all() -> None:
    apart = [delayed(op)(delayed(bool)(3, pure=False)) for op in (abs, int, float)]
    with record() as run:
        dask.compute(*share(apart), scheduler="sync")
    assert sorted(task.consumers for task in run.tasks) == [0, 0, 0, 3]


def test_the_critical_path_is_a_path_of_the_graph(scheduler: str) -> None:
    with record() as run:
        dask.compute(*pipelines(), optimize_graph=False)
    path = run.critical_path
    assert len(path) > 3
    assert all(before.key in after.inputs for before, after in pairwise(path))
    assert sum(task.seconds for task in path) <= run.seconds


@st.composite
def runs(draw: Any) -> list[Span]:
    """Tasks that ran, each after its inputs; some of them took no time."""
    tasks: list[Span] = []
    for number in range(draw(st.integers(1, 8))):
        inputs = draw(st.sets(st.integers(0, number - 1))) if number else set()
        ready = max((tasks[place].end for place in inputs), default=0.0)
        start = ready + draw(st.integers(1, 3))
        end = start + draw(st.integers(0, 9))
        tasks.append(Span(("t", number), "main", start, end, tuple(("t", i) for i in inputs)))
    permuted: list[Span] = draw(st.permutations(tasks))
    return permuted


def chains(tasks: list[Span]) -> list[list[Span]]:
    """All chains of dependent tasks, one by one."""
    found: list[list[Span]] = []
    for task in sorted(tasks, key=lambda task: task.key[1]):
        before = [chain for chain in found if chain[-1].key in task.inputs]
        found += [[*chain, task] for chain in before] + [[task]]
    return found


@given(runs())
def test_no_chain_is_longer_than_the_critical_path(tasks: list[Span]) -> None:
    path = longest_chain(tasks)
    assert path in chains(tasks)
    lengths = [sum(task.seconds for task in chain) for chain in chains(tasks)]
    assert sum(task.seconds for task in path) == max(lengths)


def test_without_tasks_there_is_no_critical_path() -> None:
    assert longest_chain([]) == []


def test_a_second_run_with_a_store_loads_and_computes_nothing(
    scheduler: str, tmp_path: Path
) -> None:
    results = [delayed(square.__wrapped__)(delayed(sum)([n, 1])) for n in range(4)]
    with record() as first:
        compute(results, store=tmp_path)
    with record() as second:
        assert compute(results, store=tmp_path) == ([1, 4, 9, 16],)
    assert not any(task.is_loaded for task in first.tasks)
    assert sum(task.is_saved for task in first.tasks) == 4
    assert second.tasks
    assert all(task.is_loaded for task in second.tasks)
    assert {task.key for task in second.tasks} <= {task.key for task in first.tasks}
    assert [plan.kind for plan in first.planning + second.planning] == ["planned", "planned"]


def test_loaded_inputs_of_computed_tasks(scheduler: str, tmp_path: Path) -> None:
    store = Store(tmp_path, keep={"fib"})
    compute(fib(6), store=store, fuse=False)
    with record() as run:
        compute(fib(7), store=store, fuse=False)
    assert {task.key[1]: task.is_loaded for task in run.tasks} == {5: True, 6: True, 7: False}


def test_an_equal_task_of_the_run_is_loaded(tmp_path: Path) -> None:
    twice = [delayed(sorted)([3, 1], pure=False), delayed(sorted)([3, 1], pure=False)]
    with record() as run:
        compute(twice, store=tmp_path, scheduler="sync")
    assert [task.is_loaded for task in run.tasks] == [False, True]
    assert [task.is_saved for task in run.tasks] == [True, False]


def test_intervals_of_a_task_are_within_it(scheduler: str, tmp_path: Path) -> None:
    with record() as run:
        compute(delayed(sorted)([3, 1]), store=tmp_path)
    [task] = run.tasks
    [saved] = task.intervals
    assert saved.kind == "saved"
    assert task.start <= saved.start < saved.end <= task.end


def test_fused_tasks_are_counted(scheduler: str) -> None:
    with record() as run:
        fib(6).compute()
    assert [task.fused for task in run.tasks if task.key == fib(6).key] == [7]
    array = da.zeros(6, chunks=3)
    with record() as run:
        (-(array + 1) * 2).compute()
    assert max(task.fused for task in run.tasks) == 4


def hold(megabytes: int) -> int:
    held = b"x" * (megabytes * 1_000_000)
    time.sleep(0.2)
    return len(held)


def test_memory_is_that_of_the_processes_that_work(scheduler: str) -> None:
    with record() as run:
        delayed(hold)(150).compute()
    sizes = [sample.bytes for sample in run.memory]
    assert max(sizes) - sizes[0] > 100_000_000
    assert all(a.seconds <= b.seconds for a, b in pairwise(run.memory))


def test_a_failed_task_has_no_interval(scheduler: str) -> None:
    with record() as run, pytest.raises(ZeroDivisionError):
        fail(1).compute()
    assert run.tasks == []
    assert run.seconds > 0


def test_only_what_runs_meanwhile_is_recorded(scheduler: str) -> None:
    fib(3).compute()
    with record() as run:
        fib(4).compute()
    fib(5).compute()
    assert [task.key for task in run.tasks] == [fib(4).key]


def test_a_task_that_runs_twice_has_two_intervals() -> None:
    one = delayed(abs)(-1)
    with record() as run:
        one.compute(scheduler="sync")
        one.compute(scheduler="sync")
    assert [task.key for task in run.tasks] == [one.key, one.key]


def test_recordings_nest() -> None:
    with record() as outer:
        fib(3).compute(scheduler="sync", fuse=False)
        with record() as inner:
            fib(4).compute(scheduler="sync", fuse=False)
    assert (len(outer.tasks), len(inner.tasks)) == (9, 5)


def test_idle_workers_of_a_cluster_have_a_lane(client: Any) -> None:
    with record() as run:
        delayed(abs)(-1).compute()
    assert run.workers == ["worker 1", "worker 2"]
    assert len(lanes(run)) == 1


def test_workers_in_this_process_note_once(tmp_path: Path) -> None:
    from distributed import Client

    options = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with Client(n_workers=2, threads_per_worker=1, **options), record() as run:
        compute(delayed(sorted)([3, 1]), store=tmp_path)
    [task] = run.tasks
    assert [part.kind for part in task.intervals] == ["saved"]
    assert run.memory


def test_inputs_from_another_worker_are_moved(client: Any) -> None:
    addresses = list(client.scheduler_info()["workers"])
    with record() as run:
        sources = [client.submit(bytes, 1000 + n, workers=[a]) for n, a in enumerate(addresses)]
        assert client.submit(max, sources).result() == bytes(1001)
    moved = [part for task in run.tasks for part in task.intervals if part.kind == "moved"]
    assert len(moved) == 1
    assert isinstance(moved[0], Interval)


def test_a_merged_task_notes_how_many_tasks_it_replaces(scheduler: str) -> None:
    def line() -> Any:
        return delayed(feature)(delayed(load)(1))

    with record() as run:
        compute(line(), line(), delayed(clean)(line()), share=True)
    # Each consumer of a merged task may have a copy of its value, which is a task of that name.
    replaced = {(str(task.key).partition("-")[0], task.replaced) for task in run.tasks}
    assert {("load", 3), ("feature", 3), ("clean", 1)} <= replaced
    assert {number for _, number in replaced} == {1, 3}
    with record() as run:
        compute(line())
    assert {task.replaced for task in run.tasks} == {1}
