"""A worker of Dask that is short of memory does not write what a store has."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.spill import SpillBuffer

import pipeline
from pipeline import Store
from pipeline.store import LostError, note_place
from pipeline.store.backends import files
from tests.store.open_files import has_proc, open_files

ONE, TWO = 32 * "1", 32 * "2"
BLOCK = np.arange(200_000)


class Worker:
    """The values of a worker: that of the task "key", and where Dask writes those it spills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data: Any = SpillBuffer(str(folder), target=10**9)

    def keep(self, store: Store, value: Any, digest: str = ONE) -> None:
        """Keep a value that a task has stored."""
        note_place(store, store.put(digest, value), value)
        self.data["key"] = value

    def spill(self) -> int:
        """Free the memory of the value. Returns how many files Dask has for spilled values."""
        self.data.evict()
        assert ("key" in self.data.fast, "key" in self.data.slow) == (False, True)
        return len(list(self.folder.iterdir()))


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """The worker that runs the tasks of this test."""
    worker = Worker(tmp_path / "spilled")
    monkeypatch.setattr("distributed.worker.get_worker", lambda: worker)
    return worker


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_entry_with_a_long_header_is_loaded(worker: Worker, store: Store) -> None:
    value = BLOCK.copy()
    note_place(store, store.put(ONE, value, arguments=[[100_000 * "a", ""]]), value)
    worker.data["key"] = value
    del value
    assert worker.spill() == 0
    np.testing.assert_array_equal(worker.data["key"], BLOCK)


def test_a_stored_value_is_spilled_without_a_file_and_loaded(worker: Worker, store: Store) -> None:
    worker.keep(store, BLOCK.copy())
    for _ in range(2):
        assert worker.spill() == 0
        assert worker.data.spilled_total == (BLOCK.nbytes, 0)
        assert (len(worker.data), list(worker.data)) == (1, ["key"])
        np.testing.assert_array_equal(worker.data["key"], BLOCK)
        assert worker.data.spilled_total == (0, 0)


@has_proc
def test_a_removed_entry_can_be_loaded_until_its_key_is_deleted(
    worker: Worker, store: Store
) -> None:
    worker.keep(store, BLOCK.copy())
    before = open_files(Path(store.url))
    worker.spill()
    assert open_files(Path(store.url)) == before + 1
    store.remove(ONE)
    np.testing.assert_array_equal(worker.data["key"], BLOCK)
    assert worker.spill() == 1  # nothing holds the entry any more: Dask writes it
    np.testing.assert_array_equal(worker.data["key"], BLOCK)
    worker.keep(store, BLOCK.copy())
    worker.spill()
    del worker.data["key"]
    gc.collect()
    assert open_files(Path(store.url)) == before
    assert not worker.data


def removed(store: Store) -> None:
    store.remove(ONE)


def replaced(store: Store) -> None:
    store.put(ONE, BLOCK + 1)


def truncated(store: Store) -> None:
    [entry] = Path(store.url).glob("entries/*/*")
    entry.write_bytes(b"")


@pytest.mark.parametrize("change", [removed, replaced, truncated])
def test_dask_spills_a_value_whose_entry_is_another_one(
    worker: Worker, store: Store, change: Callable[[Store], None]
) -> None:
    worker.keep(store, BLOCK.copy())
    change(store)
    assert worker.spill() == 1
    np.testing.assert_array_equal(worker.data["key"], BLOCK)


def test_dask_spills_what_has_no_file_or_no_weak_reference(
    worker: Worker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dask_spills(store: Store, value: Any) -> bool:
        worker.keep(store, value)
        return worker.spill() == 1

    assert dask_spills(store, [BLOCK])
    assert dask_spills(store, np.arange(10))
    assert dask_spills(Store("memory://spilling"), BLOCK.copy())
    assert not dask_spills(store, BLOCK.copy())
    monkeypatch.setattr(files, "_most_open", lambda: 0)
    assert dask_spills(store, BLOCK.copy())


def test_a_corrupt_entry_is_an_error_for_which_the_run_is_planned_again(
    worker: Worker, store: Store
) -> None:
    worker.keep(store, BLOCK.copy())
    worker.spill()
    [path] = Path(store.url).glob("entries/*/*")
    with open(path, "r+b") as file:
        file.seek(BLOCK.nbytes // 2)
        file.write(b"corrupt")
    with pytest.raises(LostError, match="corrupt"):
        worker.data["key"]
    assert ONE not in store


def test_the_values_of_two_keys_are_two_values(worker: Worker, store: Store) -> None:
    worker.keep(store, BLOCK.copy())
    other = BLOCK + 1
    note_place(store, store.put(TWO, other), other)
    worker.data["other"] = other
    del other
    worker.spill()
    worker.data.evict()
    np.testing.assert_array_equal(worker.data["other"], BLOCK + 1)
    np.testing.assert_array_equal(worker.data["key"], BLOCK)


def test_the_data_of_a_worker_that_is_something_else_stays_as_it_is(
    worker: Worker, store: Store
) -> None:
    own: Any = type("Own", (SpillBuffer,), {})(str(worker.folder), target=10**9)
    for worker.data in (own, {}):
        worker.keep(store, BLOCK.copy())
    own["key"] = BLOCK
    own.evict()
    assert own.spilled_total.disk >= BLOCK.nbytes


def test_a_worker_of_this_version_of_dask_holds_its_values_as_this_file_expects(
    tmp_path: Path,
) -> None:
    def arranged(number: int) -> Any:
        return np.arange(200_000) + number

    def spilled(dask_worker: Any) -> tuple[int, tuple[int, int]]:
        while dask_worker.data.fast:
            dask_worker.data.evict()
        return len(dask_worker.data.slow), dask_worker.data.spilled_total

    store = Store(tmp_path / "store", keep=["arranged"])
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0",
            memory_limit="1GB", local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client, store,
    ):  # fmt: skip
        futures = [client.compute(pipeline.task(arranged)(number)) for number in range(3)]
        assert len(client.gather(futures)) == 3
        assert list(client.run(spilled).values()) == [(3, (3 * BLOCK.nbytes, 0))]
        sums = client.gather(client.map(np.sum, futures))
    assert sums == [BLOCK.sum() + number * len(BLOCK) for number in range(3)]
