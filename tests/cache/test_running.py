"""Computations through a store, on every scheduler."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pandas as pd
import pytest
import xarray
from dask import delayed
from dask.delayed import Delayed

import pipeline
from pipeline import Store, measure
from pipeline.apps.fibonacci import fib
from pipeline.schedule import SCHEDULERS
from pipeline.store import LostError, StoreWarning
from tests import store_program

ROOT = Path(__file__).parents[2]


def in_another_process(folder: Path) -> Any:
    arguments = [f"{name}={folder / name}" for name in SCHEDULERS]
    command = [sys.executable, "-m", "tests.store_program", *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(process.stdout)


@pytest.mark.slow
def test_the_second_run_runs_nothing_in_another_process_on_every_scheduler(tmp_path: Path) -> None:
    first, second = in_another_process(tmp_path), in_another_process(tmp_path)
    for name in SCHEDULERS:
        tasks, values = first[name]
        assert tasks > 30
        assert values == store_program.expected()
        assert second[name] == [0, values]


def test_what_one_scheduler_stored_another_loads(tmp_path: Path, scheduler: str) -> None:
    store = Store(tmp_path)
    pipeline.compute(*store_program.collections(), store=store, scheduler="sync")
    with measure() as measured:
        values = pipeline.compute(*store_program.collections(), store=str(tmp_path))
    assert measured.tasks == 0
    assert store_program.plain(values) == store_program.expected()


def slow(x: int) -> int:
    time.sleep(0.05)
    return x


def test_inner_results_are_loaded_where_the_tasks_run(tmp_path: Path, scheduler: str) -> None:
    store = Store(tmp_path, keep=[slow])
    parts = [delayed(slow)(x) for x in range(3)]
    assert pipeline.compute(delayed(sum)(parts), store=store) == (3,)
    with measure() as measured:
        assert pipeline.compute(delayed(max)(parts), store=store) == (2,)
    assert set(measured.functions) == {"max"}


def test_the_same_collection_can_be_computed_twice_and_nested(tmp_path: Path) -> None:
    x = delayed(slow)(3)
    for _ in range(2):
        assert pipeline.compute(x, [x, {"x": x}], 7, store=tmp_path) == (3, [3, {"x": 3}], 7)


def test_a_delayed_of_a_number_of_a_bag(tmp_path: Path) -> None:
    """Dask names the task again, by a bare reference."""
    mean = delayed(db.from_sequence(range(9), npartitions=3).mean())
    for _ in range(2):
        assert pipeline.compute(mean + 1, mean, store=tmp_path, scheduler="sync") == (5, 4)
    assert Store(tmp_path).stats().hits == 2


def test_without_collections_nothing_happens(tmp_path: Path) -> None:
    assert pipeline.compute(1, store=tmp_path / "none") == (1,)
    assert not (tmp_path / "none").exists()


def test_impure_tasks_and_their_consumers_run_each_time(tmp_path: Path) -> None:
    @pipeline.impure
    def sensor() -> int:
        return next(numbers)

    numbers = iter(range(10))
    graph = delayed(abs)(delayed(sensor)())
    assert [pipeline.compute(graph, store=tmp_path, scheduler="sync")[0] for _ in range(3)] == [
        0, 1, 2,
    ]  # fmt: skip
    assert len(Store(tmp_path)) == 0


def test_dataframes_are_stored_part_by_part(tmp_path: Path) -> None:
    import dask.dataframe as dd

    def doubled(part: Any) -> Any:
        return part * 2

    table = pd.DataFrame({"a": range(6), "b": 1.5})
    frame = dd.from_pandas(table, npartitions=2).map_partitions(doubled, meta=table)
    for _ in range(2):
        with measure() as measured:
            (value,) = pipeline.compute(frame, store=tmp_path, scheduler="sync")
        pd.testing.assert_frame_equal(value, table * 2)
    assert measured.tasks == 0


def test_what_xarray_computes_is_stored(tmp_path: Path) -> None:
    import xarray

    values = da.arange(10, chunks=5)
    for tasks in (True, False):
        for collection in (
            xarray.DataArray(values, dims="t", name="x").mean("t"),
            xarray.Dataset({"a": (("t",), values), "b": (("t",), np.arange(10))}).max(),
            xarray.Variable(("t",), values),
        ):
            with measure() as measured:
                (value,) = pipeline.compute(collection, store=tmp_path, scheduler="sync")
            assert value.identical(collection.compute())
            assert bool(measured.tasks) == tasks


def test_explaining_changes_nothing(tmp_path: Path) -> None:
    def built() -> Any:
        x = da.from_array(np.arange(1e4).reshape(100, 100), chunks=(25, 100))
        return x.map_blocks(np.abs).sum()

    store = Store(tmp_path)
    pipeline.compute(built(), store=store, scheduler="sync")
    collection = built()
    assert store.explain(collection).count("hit") == 1
    with measure() as measured:
        pipeline.compute(collection, store=store, scheduler="sync")
    assert measured.tasks == 0


def test_values_of_one_run_are_those_of_the_next(tmp_path: Path) -> None:
    """Types, too: what is stored is not what is like it."""
    values = [1, 1.0, True, "1", b"1", None, (1, [2]), {"a": {1}}, np.float32(1), np.arange(3)]

    def identity(value: Any) -> Any:
        return value

    graphs = [delayed(identity)(delayed(value)) for value in values]
    first = pipeline.compute(*graphs, store=tmp_path, scheduler="sync")
    second = pipeline.compute(*graphs, store=tmp_path, scheduler="sync")
    assert list(map(type, first)) == list(map(type, second))
    assert repr(first) == repr(second)


def test_an_unstorable_result_is_returned_with_one_warning(tmp_path: Path) -> None:
    graphs = [delayed(threading.Lock)(), delayed(slow)(1)]
    store = Store(tmp_path)
    with pytest.warns(pipeline.StoreWarning, match="a lock"):
        lock, one = pipeline.compute(*graphs, store=store, scheduler="sync")
    pipeline.compute(*graphs, store=store, scheduler="sync")  # a second warning would be an error
    assert (type(lock), one, len(store)) == (type(threading.Lock()), 1, 1)


def test_errors_of_tasks_come_through(tmp_path: Path, scheduler: str) -> None:
    def broken(x: int) -> float:
        return 1 / x

    with pytest.raises(ZeroDivisionError):
        pipeline.compute(delayed(broken)(0), store=tmp_path)
    assert len(Store(tmp_path)) == 0


def test_an_entry_lost_during_a_run_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    graph = delayed(slow)(5)
    pipeline.compute(graph, store=store, scheduler="sync")
    value = Store.value

    def lost(self: Store, *args: Any) -> Any:
        monkeypatch.setattr(Store, "value", value)
        self.remove(args[0].digest)
        raise LostError("gone")

    monkeypatch.setattr(Store, "value", lost)
    assert pipeline.compute(graph, store=store, scheduler="sync") == (5,)
    assert len(store) == 1


def test_fusing_and_sharing_work_with_a_store(tmp_path: Path) -> None:
    ran = []

    @pipeline.pure
    def counted(x: int) -> int:
        ran.append(x)
        return x

    twice = [delayed(counted)(1), delayed(counted)(1)]
    pipeline.compute(*twice, fib(30), store=tmp_path, share=True, scheduler="sync")
    assert ran == [1]
    with measure() as measured:
        assert pipeline.compute(fib(31), store=tmp_path, fuse=False, scheduler="sync")[0] == 1346269
    assert measured.tasks == 32  # cheap tasks are looked up as outputs alone


def test_equal_tasks_of_one_run_are_computed_once(tmp_path: Path) -> None:
    """One waits for the other, as processes do."""
    ran = []

    @pipeline.pure
    def counted(x: int) -> int:
        ran.append(x)
        time.sleep(0.05)
        return x

    graphs = [delayed(counted)(1) for _ in range(4)]
    assert pipeline.compute(*graphs, store=tmp_path, scheduler="threads") == (1, 1, 1, 1)
    assert ran == [1]


def test_it_counts_what_it_did(tmp_path: Path) -> None:
    store = Store(tmp_path)
    skipped = delayed(pipeline.impure(lambda: 1))()
    pipeline.compute(delayed(slow)(1), skipped, store=store, scheduler="sync")
    counts = store.stats()
    assert (counts.hits, counts.misses, counts.skipped, counts.stored) == (0, 1, 1, 1)
    pipeline.compute(delayed(slow)(1), store=Store(tmp_path), scheduler="sync")
    counts = Store(tmp_path).stats()
    assert (counts.hits, counts.misses) == (1, 1)
    assert counts.saved > 0.04


def test_a_store_that_is_private_to_a_process_is_filled_by_it(scheduler: str) -> None:
    store = Store(f"memory://private-{scheduler}")
    for tasks in (1, 0):
        with measure() as measured:
            assert pipeline.compute(delayed(slow)(1), store=store) == (1,)
        assert measured.tasks == tasks


def test_an_executor_is_a_scheduler_too(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool, dask.config.set(scheduler=pool):
        for tasks in (2, 0):
            with measure() as measured:
                assert pipeline.compute(delayed(sum)([delayed(slow)(1)]), store=tmp_path) == (1,)
            assert measured.tasks == tasks


def test_an_explicit_store_overrides_the_context(tmp_path: Path) -> None:
    outer, inner = Store(tmp_path / "outer"), Store(tmp_path / "inner")
    with outer:
        assert pipeline.compute(delayed(slow)(1), store=inner, scheduler="sync") == (1,)
    assert (len(outer), len(inner)) == (0, 1)


def test_calls_and_dask_agree_without_a_store() -> None:
    assert dask.compute(fib(10), delayed(slow)(1), scheduler="sync") == (55, 1)


def test_several_outputs_are_stored_one_by_one(tmp_path: Path) -> None:
    collection = pipeline.trace({"a": fib(10), "b": [fib(12), 3]})
    store = Store(tmp_path)
    for tasks in (True, False):
        with measure() as measured:
            value = pipeline.compute(collection, store=store, scheduler="sync")
        assert value == ({"a": 55, "b": [144, 3]},)
        assert bool(measured.tasks) == tasks
    assert sorted(entry.call for entry in store.entries()) == ["fib(10)", "fib(12)"]
    with measure() as measured:
        pipeline.compute(fib(12), store=store, scheduler="sync")
    assert measured.tasks == 0


class Guarded:
    """An object that cannot be pickled."""

    def __init__(self, number: int) -> None:
        self.lock = threading.Lock()
        self.number = number


def number_of(guarded: Guarded) -> int:
    return guarded.number


def test_in_processes_a_line_of_tasks_is_one_so_that_only_its_last_value_is_pickled(
    tmp_path: Path, pool: Any
) -> None:
    graph = {"a": (Guarded, 3), "b": (number_of, "a"), "c": (slow, "b"), "d": (max, "b", "c")}
    with dask.config.set(scheduler="processes", pool=pool):
        assert Delayed("d", graph).compute() == 3
        for is_first in (True, False):
            with measure() as measured:
                assert pipeline.compute(Delayed("d", graph), store=tmp_path) == (3,)
            assert bool(measured.tasks) == is_first


def test_a_sum_of_a_frame_of_a_bag_is_an_output_that_is_stored(tmp_path: Path) -> None:
    for is_first in (True, False):
        rows = db.from_sequence([{"a": n} for n in range(6)], npartitions=2)
        with measure() as measured:
            total = pipeline.compute(rows.to_dataframe(meta={"a": int}).a.sum(), store=tmp_path)
        assert total == (15,)
        assert bool(measured.tasks) == is_first


def lazy(unit: str = "K", shift: int = 0, first: int = 0) -> xarray.Dataset:
    blocks = da.arange(6, chunks=3) + shift
    labels = range(first, first + 6)
    return xarray.Dataset({"t": ("x", blocks, {"unit": unit})}, {"x": labels})


def described(values: Any) -> list[Any]:
    array = values.t if isinstance(values, xarray.Dataset) else values
    return [int(array.max()), array.attrs["unit"], int(array.x[0])]


@pytest.mark.parametrize("part", [lambda data: data, lambda data: data.t], ids=["set", "array"])
def test_a_function_of_a_lazy_dataset_is_stored(part: Any, tmp_path: Path) -> None:
    for options, expected, is_new in (
        ({}, [5, "K", 0], True), ({}, [5, "K", 0], False), ({"unit": "C"}, [5, "C", 0], True),
        ({"shift": 1}, [6, "K", 0], True), ({"first": 3}, [5, "K", 3], True),
    ):  # fmt: skip
        with measure() as measured:
            call = delayed(described)(part(lazy(**options)))
            assert pipeline.compute(call, store=tmp_path) == (expected,)
        assert ("described" in measured.functions) == is_new


def test_a_run_of_hits_applies_the_bound_and_says_so(tmp_path: Path) -> None:
    values = [delayed(bytes)(50_000 + size) for size in range(4)]
    pipeline.compute(*values, store=Store(tmp_path), scheduler="sync")
    bounded = Store(tmp_path, max_bytes=160_000)
    with pytest.warns(StoreWarning, match=r"kiB of entries are removed for max_bytes=160000"):
        assert len(pipeline.compute(values[0], store=bounded, scheduler="sync")[0]) == 50_000
    assert bounded.usage().bytes <= 160_000
    with warnings.catch_warnings(action="error"):
        pipeline.compute(values[0], store=bounded, scheduler="sync")
