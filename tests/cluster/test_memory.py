"""A cluster with less memory than its results need."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask import delayed
from distributed import Client, LocalCluster, get_worker

from pipeline import Store, StoreWarning, compute, pure
from tests.benchmarks.spilling import program, run

COUNT, SIZE, LIMIT = 30, 20, 300


@pytest.mark.slow
def test_workers_short_of_memory_write_each_result_once(tmp_path: Path) -> None:
    value = program(COUNT, SIZE).compute(scheduler="sync")
    plain = run(tmp_path / "plain", COUNT, SIZE, LIMIT, is_stored=False)
    stored = run(tmp_path / "stored", COUNT, SIZE, LIMIT, is_stored=True)
    assert plain.value == stored.value == value
    assert plain.spilled > SIZE
    assert stored.spilled < plain.spilled / 2  # a worker may spill a block that another one stored
    assert COUNT * SIZE <= stored.stored < COUNT * SIZE * 1.01
    assert Store(tmp_path / "stored" / "store").verify().corrupt == []


@pure
def items(log: str) -> Any:
    with open(log, "a") as file:
        file.write("x")
    return np.arange(200_000)


@pure
def spoiled(values: Any, folder: str) -> int:
    """Spill the inputs of this task, and spoil the files of the store once."""
    mark = Path(folder, "spoiled")
    if not mark.exists():
        while get_worker().data.fast:
            get_worker().data.evict()
        assert not get_worker().data.spilled_total.disk
        for path in Path(folder).glob("entries/*/*"):
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"?")
        mark.touch()
    return len(values)


@pure
def freed(length: int) -> int:
    """The length, when nothing of the worker holds a spilled value: it would not be loaded."""
    for _ in range(3000):
        if not get_worker().data.slow.cache:
            return length
        time.sleep(0.01)
    raise TimeoutError("a value is held for 30 s")


@pure
def total(values: Any, length: int) -> int:
    return int(values[:length].sum())


@pytest.mark.slow
def test_what_is_spoiled_while_it_is_spilled_is_computed_again(tmp_path: Path) -> None:
    log, store = tmp_path / "log", Store(tmp_path / "store", keep=["items"])
    values = delayed(items)(str(log))
    length = delayed(freed)(delayed(spoiled)(values, store.url))
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0",
            memory_limit="1GB", local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster), pytest.warns(StoreWarning, match="corrupt"),
    ):  # fmt: skip
        assert compute(delayed(total)(values, length), store=store) == (sum(range(200_000)),)
    assert log.read_text() == "xx"
