"""Every way in which Dask runs our graphs fuses them, and nothing else changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import dask
import dask.array as da
import pytest
from dask.callbacks import Callback

from pipeline import compute, measure, task, trace
from pipeline.program import Block, runnable_tasks
from pipeline.program.optimizer import is_fusing
from tests.functions import failing, fib, square


class Seen(Callback):  # type: ignore[misc] # Dask is untyped
    """The tasks that a local scheduler ran."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Any] = []

    def _posttask(self, key: Any, value: Any, dsk: Any, *_: Any) -> None:
        self.nodes.append(dsk[key])


def test_every_way_to_run_a_call_fuses_it() -> None:
    ways: list[Any] = [
        lambda: fib(20).compute(scheduler="sync"),
        lambda: fib(20).graph().compute(scheduler="threads"),
        lambda: dask.compute(fib(20), scheduler="sync")[0],
        lambda: compute(fib(20), scheduler="sync")[0],
        lambda: fib(20).persist(scheduler="sync").compute(scheduler="sync"),
        lambda: dask.optimize(fib(20))[0].compute(scheduler="sync"),
    ]
    for way in ways:
        with Seen() as seen:
            assert way() == 6765
        assert sum(isinstance(node, Block) for node in seen.nodes) == 1
        assert len(seen.nodes) == 1
    with Seen() as seen:
        assert dask.delayed(int)(fib(20)).compute(scheduler="sync") == 6765
    assert len(seen.nodes) <= 3


def test_task_by_task_where_it_is_asked_for(scheduler: str) -> None:
    assert fib(9).compute(fuse=False) == 34
    assert fib(9).graph().compute(fuse=False) == 34
    assert compute(fib(9), [fib(8)], fuse=False) == (34, [21])


def test_unfused_runs_have_a_task_a_subproblem() -> None:
    ways: list[Any] = [
        lambda: fib(9).compute(scheduler="sync", fuse=False),
        lambda: compute(fib(9), scheduler="sync", fuse=False),
        lambda: compute(fib(9), da.ones(2), scheduler="sync", fuse=False),
    ]
    with dask.config.set({"pipeline.fuse": False}):
        assert not is_fusing()
        for way in ways:
            with Seen() as seen:
                way()
            assert sum(str(node.key[0]).startswith("fib-") for node in seen.nodes) == 10
    assert is_fusing()


def test_collections_of_one_computation_are_fused_together(scheduler: str) -> None:
    with measure() as measured:
        assert dask.compute(fib(6), fib(7)) == (8, 13)
    assert measured.tasks == 8
    with measure() as measured:
        assert compute(fib(6), {"a": [fib(7)]}, trace([fib(8), 1])) == (8, {"a": [13]}, [21, 1])
    assert sum(run.key[0] != "finalize" for run in measured.runs if run.key in keys(8)) == 9


def keys(n: int) -> set[Any]:
    return set(fib(n).graph().tasks)


def test_mixed_with_other_collections(scheduler: str) -> None:
    total = da.arange(10, chunks=5).sum()
    delayed = dask.delayed(abs)(-3)
    expected = (8, 45, 13, 3, [5])
    assert compute(fib(6), total, fib(7), delayed, trace([fib(5)])) == expected
    assert dask.compute(fib(6), total, fib(7)) == (8, 45, 13)


def test_batches_are_closed_when_they_are_read_and_forget_what_is_dropped() -> None:
    first, second = fib(6).graph(), fib(7).graph()
    for graph in (first, second):
        optimized = graph.__dask_optimize__(graph.__dask_graph__(), graph.keys)
        assert list(optimized) == graph.keys
        assert len(optimized[graph.keys[0]].function.keys) == len(graph)
    dropped = first.__dask_optimize__(first.tasks, first.keys)
    del dropped
    optimized = second.__dask_optimize__(second.tasks, second.keys)
    assert optimized[second.keys[0]].function.outputs == tuple(second.keys)


def test_optimizing_other_tasks_than_the_collection_has() -> None:
    graph, other = fib(6).graph(), fib(9).graph()
    optimized = graph.__dask_optimize__(dict(other.tasks), [[fib(9).key]])
    assert optimized[fib(9).key]({}) == 34


def test_a_graph_is_fused_once() -> None:
    graph = fib(30).graph()
    graph.compute(scheduler="sync")
    assert runnable_tasks([graph]) is runnable_tasks([graph])
    assert "fused" not in graph.__getstate__()


def test_errors_stay_as_they_are(scheduler: str) -> None:
    with pytest.raises(ZeroDivisionError, match="no 0") as caught:
        (failing(5) + fib(3)).compute()
    assert caught.value.__notes__ == ["while computing fail(0)"]

    @task(cheap=True)
    def wrong(x: int) -> int:
        raise ValueError(f"wrong {x}")

    with pytest.raises(ValueError, match="wrong 2") as error:
        (wrong(fib(3)) + fib(20)).compute()
    assert [note.partition("@")[0] for note in error.value.__notes__] == [
        "while computing wrong(fib(3))"
    ]


def test_an_error_stays_with_the_collection_it_is_of(client: Any) -> None:
    good, bad = client.compute([fib(15), failing(3) + fib(14)])
    assert good.result() == 610
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert fib(15).compute() == 610


@task
def spanned(x: Any) -> tuple[float, float]:
    """When a task started and ended: long enough for another to start."""
    start = time.time()
    time.sleep(0.5)
    return start, time.time()


@pytest.mark.parametrize("name", ["threads", "distributed"])
def test_heavy_branches_of_one_graph_run_at_the_same_time(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name == "distributed":
        request.getfixturevalue("client")
    with dask.config.set(scheduler=name, num_workers=2):
        (left, right), _ = trace([(spanned(1), spanned(2)), (spanned(1) + spanned(2))]).compute()
    assert max(left[0], right[0]) < min(left[1], right[1])


def test_heavy_branches_that_take_from_one_block_run_at_the_same_time() -> None:
    """On a cluster both may be put where the block's values are: that is Dask's to choose."""
    graph = trace([spanned(fib(10)), spanned(fib(9))])
    with dask.config.set(scheduler="threads", num_workers=2):
        left, right = graph.compute()
    assert max(left[0], right[0]) < min(left[1], right[1])


def test_progress_moves_during_a_long_tape() -> None:
    with Seen() as seen:
        fib(50_000).compute(scheduler="sync")
    assert len(seen.nodes) > 10


LONG = """
import time, sys
from pipeline import recurrence, task
@task(cheap=True)
def step(x):
    time.sleep(0.0002)
    return x + 1
@recurrence
def chain(n):
    return 0 if n == 0 else step(chain(n - 1))
graph = chain(100_000).graph()
print("ready", flush=True)
graph.compute(scheduler=sys.argv[1])
"""


@pytest.mark.parametrize("name", ["sync", "threads"])
def test_a_long_tape_can_be_interrupted(name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=15)  # of the 20 s and more that it would take
    assert b"KeyboardInterrupt" in errors


def test_a_graph_of_a_cluster_is_fused_there(client: Any) -> None:
    with measure() as measured:
        assert client.compute([fib(10), trace([fib(11), square(fib(9))])])[1].result() == [89, 1156]
    assert {run.key for run in measured.runs} >= keys(11)
    assert client.persist(fib(12)).compute() == 144
