"""A program of 200 tasks that goes through a store.

188 tasks take 50 to 100 ms, six make 50 MB each, and six add these up. Each task notes in a file
that it began, and that it ended.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from dask import delayed

import pipeline
from pipeline import Store, pure

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS, _LENGTH, _LARGE = 47, 4, 6
_ITEMS = 50_000_000 // 8

TASKS = _ROWS * _LENGTH + 2 * _LARGE
VALUE = _ROWS * _LENGTH + sum(range(_LARGE)) * _ITEMS


class Note(NamedTuple):
    """What a task notes: in which process it began or ended."""

    process: int
    what: str
    task: str


def notes(log: str | Path) -> list[Note]:
    """All that tasks have noted, in order."""
    lines = Path(log).read_text().splitlines() if os.path.exists(log) else []
    return [Note(int(process), what, task) for process, what, task in map(str.split, lines)]


def ended(log: str | Path) -> Counter[str]:
    """How often each task ended."""
    return Counter(note.task for note in notes(log) if note.what == "ended")


@contextmanager
def _noting(log: str, task: str) -> Iterator[None]:
    def note(what: str) -> None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{os.getpid()} {what} {task}\n".encode())
        os.close(file)

    note("began")
    yield
    note("ended")


@pure
def step(log: str, row: int, place: int, before: int) -> int:
    """The next task of a row."""
    with _noting(log, f"step-{row}-{place}"):
        time.sleep(0.05 + 0.005 * (row % 11))
        return before + 1


@pure
def large(log: str, number: int) -> Any:
    """An array of 50 MB."""
    with _noting(log, f"large-{number}"):
        time.sleep(0.05)
        return np.full(_ITEMS, float(number))


@pure
def summed(log: str, number: int, values: Any) -> int:
    with _noting(log, f"summed-{number}"):
        time.sleep(0.05)
        return int(values.sum())


def collections(log: str) -> list[Any]:
    """The ends of 47 rows of four tasks, and the sums of six large arrays."""
    sums = [delayed(summed)(log, number, delayed(large)(log, number)) for number in range(_LARGE)]
    rows: list[Any] = [0] * _ROWS
    for place in range(_LENGTH):
        rows = [delayed(step)(log, row, place, before) for row, before in enumerate(rows)]
    return sums + rows


def store_of(folder: str | Path) -> Store:
    """The store of each run. It keeps each result, on however slow a machine."""
    return Store(folder, keep=["step", "large", "summed"])


def value(folder: str | Path, log: str | Path, scheduler: str | None = None) -> int:
    return sum(
        pipeline.compute(*collections(str(log)), store=store_of(folder), scheduler=scheduler)
    )


def run(folder: str, log: str, where: str) -> dict[str, Any]:
    """Run the program. Returns its value, or its error.

    where: the address of a cluster, "adaptive" or "threads"
    """
    from distributed import Client

    try:
        match where:
            case "threads":
                return {"value": value(folder, log, "threads")}
            case "adaptive":
                return {"value": _value_of_adaptive_cluster(folder, log)}
            case address:
                with Client(address, timeout="100s"):
                    return {"value": value(folder, log)}
    except Exception as error:
        return {"error": [str(error), *getattr(error, "__notes__", [])]}


def _value_of_adaptive_cluster(folder: str, log: str) -> int:
    """The value from a cluster that grows to three workers, and shrinks to one in mid-run."""
    from distributed import Client, LocalCluster

    options = {"minimum": 1, "interval": "100ms", "wait_count": 1}
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        cluster.adapt(maximum=3, target_duration="1s", **options)
        is_over = threading.Event()

        def shrink() -> None:
            while len({note.process for note in notes(log)}) < 3 and not is_over.wait(0.05):
                pass
            cluster.adapt(maximum=1, **options)

        thread = threading.Thread(target=shrink)
        thread.start()
        try:
            return value(folder, log)
        finally:
            is_over.set()
            thread.join()
