"""A cluster that loses workers, a client or its scheduler loses no result.

`program.py` has 200 tasks. Here they run in processes that are killed, stopped or retired.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.processes import Cluster, Processes, until
from tests.cluster.program import TASKS, VALUE, ended, notes, store_of, value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

RETURNED = {"value": VALUE}


class Place:
    """A cluster, a store, and the file in which the tasks note that they ran."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes, self.folder = processes, folder
        self.store, self.log = folder / "store", folder / "log"

    def cluster(self, name: str = "cluster", **settings: str) -> Cluster:
        return Cluster(self.processes, self.folder / name, **settings)

    def program(self, where: str) -> subprocess.Popen[str]:
        """Start the program: see `run` in `program.py`."""
        return self.processes.start(
            "-m", "tests.cluster", self.store, self.log, where,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def wait_for(self, tasks: int) -> None:
        """Wait until some tasks have ended."""
        until(lambda: len(ended(self.log)) >= tasks)

    def check(self) -> None:
        """All is stored and sound, no lease is left, and a rerun computes nothing."""
        store, before = store_of(self.store), notes(self.log)
        assert (len(store), store.verify().corrupt) == (TASKS, [])
        assert not list((self.store / "leases").iterdir())
        assert value(self.store, self.log, "sync") == VALUE
        assert notes(self.log) == before


@contextmanager
def quick(before: float = 0) -> Iterator[None]:
    """Nobody waits for over 30 seconds here; before: seconds that pass before the wait."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < before + 30


def returned(program: subprocess.Popen[str]) -> Any:
    """What a program prints at its end."""
    output, errors = program.communicate(timeout=240)
    assert program.returncode == 0, errors
    return json.loads(output)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Processes() as processes:
        yield Place(processes, tmp_path)


def test_a_worker_killed_every_700_milliseconds_costs_few_tasks(place: Place) -> None:
    program, killed, read = place.program(place.cluster().address), set[int](), 0
    limit = time.monotonic() + 120  # then a slow machine may finish the run

    def began() -> set[int]:
        """Processes in which a task began since the last kill: so the run makes progress."""
        return {note.process for note in notes(place.log)[read:]} - killed

    while program.poll() is None and time.monotonic() < limit:
        for process in list(began())[:1]:
            place.processes.send(process, signal.SIGKILL)
            killed.add(process)
            read = len(notes(place.log))
        time.sleep(0.7)
    assert returned(program) == RETURNED
    twice = sum(count > 1 for count in ended(place.log).values())
    print(f"{len(killed)} workers killed, {twice} of {TASKS} tasks computed twice")
    assert len(killed) >= 5
    assert twice <= len(killed) / 2
    place.check()


def stopped(place: Place) -> int:
    """Stop a worker within a task, of which it has the lease."""

    def stop() -> int:
        process = notes(place.log)[-1].process
        place.processes.send(process, signal.SIGSTOP)
        if [note.what for note in notes(place.log) if note.process == process][-1] == "began":
            return process
        place.processes.send(process, signal.SIGCONT)
        return 0

    place.wait_for(20)
    return until(stop)


def test_a_worker_stopped_for_ten_seconds_holds_up_nobody_for_longer(place: Place) -> None:
    cluster_program = place.program(place.cluster().address)
    process, end = stopped(place), time.monotonic() + 10
    other_program = place.program("threads")  # it waits for the lease
    time.sleep(max(end - time.monotonic(), 0))
    assert cluster_program.poll() is other_program.poll() is None
    place.processes.send(process, signal.SIGCONT)
    with quick():
        assert returned(cluster_program) == returned(other_program) == RETURNED
    assert set(ended(place.log).values()) == {1}
    place.check()


def test_a_worker_that_stays_stopped_is_restarted_and_blocks_no_lease(place: Place) -> None:
    program = place.program(place.cluster(worker_ttl="5s").address)
    stopped(place)
    with quick(5):
        assert returned(program) == RETURNED
    place.check()


def test_a_worker_that_stays_stopped_holds_up_no_other_program(place: Place) -> None:
    place.program(place.cluster().address)
    process = stopped(place)
    other_program = place.program("threads")  # it waits for the lease
    with quick(20):
        assert returned(other_program) == RETURNED
    assert set(ended(place.log).values()) == {1}
    assert [note.what for note in notes(place.log) if note.process == process][-1] == "began"


def test_a_killed_client_is_started_again_and_computes_the_rest(place: Place) -> None:
    cluster = place.cluster()
    program = place.program(cluster.address)
    place.wait_for(60)
    place.processes.kill(program)
    assert len(ended(place.log)) < TASKS
    assert returned(place.program(cluster.address)) == RETURNED
    assert set(ended(place.log).values()) == {1}  # also those that ran when the client was killed
    place.check()


def test_a_lost_scheduler_is_an_error_that_says_what_a_rerun_computes(place: Place) -> None:
    cluster = place.cluster()
    program = place.program(cluster.address)
    place.wait_for(60)
    place.processes.kill(cluster.scheduler)
    with quick():
        [_, note] = returned(program)["error"]
    assert f"Results stored in {place.store} are kept" in note
    for worker in cluster.workers:
        place.processes.kill(worker)
    stored, before = len(store_of(place.store)), len(notes(place.log))
    assert returned(place.program(place.cluster("another").address)) == RETURNED
    reran = [note.task for note in notes(place.log)[before:] if note.what == "ended"]
    assert (len(reran), len(set(reran))) == (TASKS - stored, TASKS - stored)
    place.check()


def test_retired_workers_lose_no_result(place: Place) -> None:
    from distributed import Client

    cluster = place.cluster()
    program = place.program(cluster.address)
    with Client(cluster.address, timeout="100s") as client:
        for tasks in (40, 80):
            place.wait_for(tasks)
            address = sorted(client.scheduler_info(n_workers=-1)["workers"])[0]
            assert address in client.retire_workers([address])
    assert returned(program) == RETURNED
    assert ended(place.log).total() <= TASKS + 2  # a worker has one task at a time
    place.check()


def test_a_cluster_that_grows_and_shrinks_loses_no_result(place: Place) -> None:
    assert returned(place.program("adaptive")) == RETURNED
    processes = [note.process for note in notes(place.log)]
    assert len(set(processes)) >= 3
    assert len(set(processes[-10:])) == 1
    assert ended(place.log).total() <= TASKS + 2
    place.check()


def test_two_clients_of_a_cluster_compute_each_task_once(place: Place) -> None:
    cluster = place.cluster()
    programs = [place.program(cluster.address) for _ in range(2)]
    assert [returned(program) for program in programs] == [RETURNED, RETURNED]
    assert store_of(place.store).stats().misses > TASKS  # of both: they ran at the same time
    assert set(ended(place.log).values()) == {1}
    place.check()
