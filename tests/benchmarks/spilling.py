"""More results than memory, on a cluster of two processes: `python -m tests.benchmarks spilling`.

Each block is used twice, the second time when the mean of all blocks is known. So the workers free
the memory of blocks, and read them again.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from dask import delayed

from pipeline import Store, pure

LIMIT = 500  # MB of memory of a worker
BLOCKS, SIZE = 60, 40  # MB of a block
ROUNDS = 3


@pure
def block(number: int, size: int) -> Any:
    """Some MB of random numbers."""
    return np.random.default_rng(number).random(size * 125_000)


@pure
def mean(values: Any) -> float:
    return float(values.mean())


@pure
def deviation(values: Any, center: float) -> float:
    return float(np.square(values[::7] - center).sum())


@pure
def combined(values: list[float]) -> float:
    return sum(values) / len(values)


def program(count: int, size: int) -> Any:
    """The mean squared deviation of some blocks."""
    blocks = [delayed(block)(number, size) for number in range(count)]
    center = delayed(combined)([delayed(mean)(values) for values in blocks])
    return delayed(combined)([delayed(deviation)(values, center) for values in blocks])


class Row(NamedTuple):
    """What a run took. MB are of all workers; peak: of the largest worker, at any time."""

    value: float
    seconds: float
    spilled: float
    stored: float
    peak: float


def _spilled(dask_worker: Any) -> int:
    return int(dask_worker.data.cumulative_metrics["disk-write", "bytes"])


def _spill_by_dask() -> None:
    """Have this process spill as without the store."""
    from pipeline.store import spilling

    spilling._LARGE = 1 << 60


@contextmanager
def _peak(processes: list[int]) -> Iterator[Callable[[], float]]:
    """The most MB that one of some processes has had, of memory."""
    import psutil

    watched, is_over, most = [psutil.Process(number) for number in processes], threading.Event(), 0

    def watch() -> None:
        nonlocal most
        while not is_over.wait(0.05):
            most = max(most, *(process.memory_info().rss for process in watched))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: most / 1e6
    finally:
        is_over.set()
        thread.join()


def run(
    folder: Path, count: int, size: int, limit: int, *, is_stored: bool, is_spill: bool = True
) -> Row:
    """Run the program on a new cluster.

    limit: MB of memory of each of two workers
    is_stored: whether it goes through a store; is_spill: whether the store is the workers' spill
    """
    from distributed import Client, LocalCluster

    store = Store(folder / "store", keep=["block"], max_bytes=None) if is_stored else None
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
            memory_limit=f"{limit}MB", local_directory=str(folder), silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        if not is_spill:
            client.run(_spill_by_dask)
        with _peak(list(client.run(os.getpid).values())) as peak:
            start = time.perf_counter()
            with store or nullcontext():
                value = program(count, size).compute()
            seconds = time.perf_counter() - start
        spilled = sum(client.run(_spilled).values()) / 1e6
    stored = store.usage().bytes / 1e6 if store else 0.0
    return Row(value, seconds, spilled, stored, peak())


def table(count: int = BLOCKS, rounds: int = ROUNDS) -> None:
    """Seconds and bytes of the program: plain, and through a store."""
    kinds = {
        "no store: Dask spills": {"is_stored": False},
        "a store, and Dask spills": {"is_stored": True, "is_spill": False},
        "a store, which is the spill": {"is_stored": True},
    }
    rows: dict[str, list[Row]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, options in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                rows[name].append(run(Path(folder), count, SIZE, LIMIT, **options))
    assert len({round(row.value, 6) for found in rows.values() for row in found}) == 1
    print(f"\n{count} blocks of {SIZE} MB on two workers of {LIMIT} MB, medians of {rounds} runs")
    print("| | seconds | MB spilled | MB stored | MB written | largest worker, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, found in rows.items():
        _, seconds, spilled, stored, peak = map(median, zip(*found, strict=True))
        print(f"| {name} | {seconds:.1f} | {spilled:,.0f} | {stored:,.0f} | "
              f"{spilled + stored:,.0f} | {peak:.0f} |")  # fmt: skip
