"""Execution on each scheduler, by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import pytest

from pipeline import SchedulerError, compute, measure, trace
from pipeline import scheduler as on
from tests.functions import edit_distance, fail, failing, fib

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL = ("sync", "threads", "processes", "distributed")


@pytest.mark.parametrize("scheduler", LOCAL)
def test_all_schedulers_agree(scheduler: str) -> None:
    with on(scheduler):
        assert compute(fib(12), {"a": edit_distance("kitten", "sitting")}, 1) == (144, {"a": 3}, 1)
        with measure() as measured:
            assert fib(12).graph(memoize=False).compute() == 144
        assert measured.tasks == 465


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a scheduler with one worker, both processes of their own."""
    command = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True}
    scheduler = subprocess.Popen(
        [*command, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"], **quiet
    )
    worker = None
    try:
        found = _address(scheduler)
        worker = subprocess.Popen(
            [*command, "worker", found, "--host", "127.0.0.1", "--no-dashboard", "--no-nanny"],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            stderr=subprocess.DEVNULL,
        )
        yield found
    finally:
        for process in (worker, scheduler):
            if process is not None:
                process.terminate()
                process.wait(20)
        if scheduler.stderr is not None:
            scheduler.stderr.close()


def _address(scheduler: subprocess.Popen[str]) -> str:
    assert scheduler.stderr is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = scheduler.stderr.readline()
        if "tcp://" in line:
            return "tcp://" + line.split("tcp://")[1].split()[0]
    raise TimeoutError("the scheduler told no address")


def test_a_running_cluster_computes_and_is_left_running(address: str) -> None:
    for _ in range(2):
        with on(address), measure() as measured:
            assert compute(fib(12)) == (144,)
        assert measured.tasks == 13
    assert compute(fib(10), scheduler=address) == (55,)


def test_the_command_uses_a_running_cluster(address: str) -> None:
    command = [sys.executable, "-m", "pipeline", "fib", "12", "--scheduler", address]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[1].split()[:4] == ["12", "144", "465", "13"]


def test_a_scheduler_within_another_is_the_inner_one() -> None:
    with on("processes"), on("threads"):
        assert dask.delayed(lambda: os.getpid())().compute() == os.getpid()


@pytest.mark.parametrize(
    "scheduler", ["", "thread", "tcp", "http://127.0.0.1:1", "tls://127.0.0.1:9"]
)
def test_an_unknown_scheduler_is_refused(scheduler: str) -> None:
    with pytest.raises(SchedulerError, match="it is one of sync, threads, processes, distributed"):
        compute(fib(3), scheduler=scheduler)


def test_a_silent_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.schedulers.CONNECT_TIMEOUT", 1.0)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConnectionError, match=r"no scheduler answers at tcp://127.0.0.1:9"),
    ):
        compute(fib(3), scheduler="tcp://127.0.0.1:9")


def test_an_error_names_the_call_and_keeps_its_type(scheduler: str) -> None:
    with pytest.raises(ZeroDivisionError, match="no 3") as caught:
        (fail(3) + 1).compute()
    assert "while computing fail(3)" in caught.value.__notes__
    with pytest.raises(ZeroDivisionError) as caught:
        failing(4).compute()
    assert "while computing fail(0)" in caught.value.__notes__


def test_values_keep_their_places_among_other_collections(scheduler: str) -> None:
    def add(x: int, y: int) -> int:
        return x + y

    x = da.arange(10, chunks=5)
    y = dask.delayed(add)
    mixed = (fib(6), y(1, 2), x.sum(), [fib(7).graph()], y(3, 4), {"a": trace([fib(5)])})
    assert compute(*mixed) == (8, 3, 45, [[13]][0], 7, {"a": [5]})
    # Ours never make Dask mix up the results, however they stand.
    assert dask.compute(fib(6), y(1, 2), fib(7), x.sum(), [fib(8).graph()], fib(5)) == (
        8, 3, 13, 45, [21], 5,
    )  # fmt: skip


def test_any_mixture_of_collections_keeps_its_order() -> None:
    """Dask 2026.8 gives `dask.compute(one, three, two)` as 1, 2, 3: see `OwnOptimizer`."""
    one, two = (dask.delayed(int)(n) for n in (1, 2))
    three = da.ones(3).sum()
    assert compute(one, three, two) == (1, 3, 2)
    pair = dask.delayed((4, 5))
    bag = db.from_sequence([-1, 2])
    mixed = one, fib(6), two, three, pair[0], bag.sum(), fib(5), bag.map(abs), three + 1, pair
    assert compute(*mixed, scheduler="sync") == (1, 8, 2, 3, 4, 1, 5, [1, 2], 4, (4, 5))


def test_collections_with_other_default_schedulers() -> None:
    assert compute(db.from_sequence([1, 2]).sum(), fib(6), scheduler="sync") == (3, 8)


def test_without_collections_nothing_runs() -> None:
    assert compute(1, [2], scheduler="never looked at") == (1, [2])
