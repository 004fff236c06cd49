"""Execution on each scheduler, by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import dask
import pytest

from pipeline import SchedulerError, compute, measure
from pipeline import scheduler as on
from tests.functions import edit_distance, fib

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
        address = _address(scheduler)
        worker = subprocess.Popen(
            [*command, "worker", address, "--host", "127.0.0.1", "--no-dashboard", "--no-nanny"],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            stderr=subprocess.DEVNULL,
        )
        yield address
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
    raise TimeoutError("the scheduler printed no address")


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


def test_a_silent_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.schedulers.CONNECT_TIMEOUT", 1.0)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConnectionError, match=r"no scheduler answers at tcp://127.0.0.1:9"),
    ):
        compute(fib(3), scheduler="tcp://127.0.0.1:9")
