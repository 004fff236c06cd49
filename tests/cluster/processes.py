"""A cluster of processes on 127.0.0.1, for tests that kill them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_ROOT = Path(__file__).parents[2]
_PATIENCE = 240.0  # seconds; it is only reached where something hangs
_SETTINGS = {
    # A task may run again, however many of its workers were killed.
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1000",
    "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",  # it starts them sooner
    "PYTHONPATH": str(_ROOT),
}


def until(condition: Callable[[], T]) -> T:
    """Wait for a condition. Returns what is true of it."""
    limit = time.monotonic() + _PATIENCE
    while not (found := condition()):
        assert time.monotonic() < limit, condition
        time.sleep(0.01)
    return found


class Processes:
    """Processes, each the first of its group. At the end these groups are killed."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self.kill(process)

    def start(
        self, *command: object, settings: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start Python with some arguments. settings: environment variables"""
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=os.environ | _SETTINGS | (settings or {}), cwd=_ROOT, text=True,
            start_new_session=True, **options,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a process, and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def send(self, process: int, number: signal.Signals) -> None:
        """Send a signal to a process that one of these started, if it still runs."""
        with suppress(ProcessLookupError):
            if os.getpgid(process) in {started.pid for started in self._processes}:
                os.kill(process, number)


class Cluster:
    """A scheduler and three workers of one thread each. Their nannies start them again.

    folder: for its files; it is made
    worker_ttl: how long the scheduler waits for a sign of life of a worker
    """

    def __init__(self, processes: Processes, folder: Path, worker_ttl: str = "5 minutes") -> None:
        folder.mkdir()
        file = folder / "scheduler.json"
        with open(folder / "output", "w") as output:
            options: dict[str, Any] = {"stdout": output, "stderr": output}
            self.scheduler = processes.start(
                "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0,
                "--no-dashboard", "--scheduler-file", file,
                settings={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": worker_ttl}, **options,
            )  # fmt: skip
            self.address: str = until(lambda: _address_in(file))
            self.workers = [
                processes.start(
                    "-m", "distributed.cli.dask_worker", self.address, "--host", "127.0.0.1",
                    "--nthreads", 1, "--memory-limit", 0, "--no-dashboard", "--name", number,
                    "--local-directory", folder, **options,
                )
                for number in range(3)
            ]  # fmt: skip


def _address_in(file: Path) -> str:
    with suppress(FileNotFoundError, json.JSONDecodeError):
        return str(json.loads(file.read_text())["address"])
    return ""
