"""Collections of Dask's and xarray's readers are stored, and their files are tracked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pipeline
from pipeline import Store, measure
from pipeline.cache.explanation import Explanation
from pipeline.schedule import SCHEDULERS
from tests.file_program import CASES, SELECTED, dataset, filtered, kept, text, write_all

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")  # Dask's

ROOT = Path(__file__).parents[3]

EACH_READER = ["csv", "parquet selected", "arrow filtered", "npy", "zarr", "text", "many netcdf4"]


def explained(store: Path, collection: Any) -> Explanation:
    explanation: Explanation = Store(store, keep=kept(collection)).explain(collection)
    return explanation


def computed(store: Path, collection: Any, **options: Any) -> str:
    """The value through a store, which is that without a store."""
    [value] = pipeline.compute(collection, store=Store(store, keep=kept(collection)), **options)
    [plain] = dask.compute(collection, scheduler="sync")
    assert text(value) == text(plain)
    return text(value)


def is_stored(store: Path, collection: Any) -> bool:
    explanation = explained(store, collection)
    return explanation.count("hit") > 0 == explanation.count("miss") + explanation.count("skipped")


def noted(trips: pd.DataFrame) -> pd.DataFrame:
    with open("notes", "a") as file:
        file.write("x")
    return trips


@pipeline.pure
def declared(trips: pd.DataFrame) -> pd.DataFrame:
    with open("notes", "a") as file:
        file.write("y")
    return trips


@pytest.mark.parametrize(("functions", "is_found"), [([declared], True), ([noted], False),
                                                     ([declared, noted], False)])  # fmt: skip
def test_a_declared_function_counts_where_dask_calls_it(
    functions: list[Any], is_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"a": [1, 2]}).to_parquet("a.parquet")
    frame = dd.read_parquet("a.parquet")
    for function in functions:
        frame = frame.map_partitions(function, meta=frame._meta)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pipeline.StoreWarning)
        pipeline.compute(frame, store="store", scheduler="sync")
    assert is_stored(Path("store"), frame) is is_found


# Each reader


@pytest.mark.filterwarnings("ignore:.*is not stored")  # memory maps, as such, are not
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in EACH_READER else pytest.mark.slow) for name in CASES],
)
def test_a_changed_file_reruns_its_partition_and_one_more_adds_one(
    tmp_path: Path, name: str
) -> None:
    case, folder, store = CASES[name], tmp_path / "files" / name, tmp_path / "store"
    write_all(tmp_path / "files", [name])
    first = computed(store, case.opened(folder), scheduler="sync")
    assert is_stored(store, case.opened(folder))

    case.write(folder, 1, 5)
    assert explained(store, case.opened(folder)).count("miss") == case.changed
    assert computed(store, case.opened(folder), scheduler="sync") != first
    assert is_stored(store, case.opened(folder))

    case.write(folder, 3, 1)
    assert explained(store, case.opened(folder)).count("miss") == case.added
    computed(store, case.opened(folder), scheduler="sync")
    assert is_stored(store, case.opened(folder))

    if name == "zarr":  # its array has four rows from the beginning
        return
    remove(next(path for path in folder.iterdir() if "3" in path.stem))
    case.write(folder, 1, 1)
    assert is_stored(store, case.opened(folder))  # as it was first


def remove(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    path.rmdir() if path.is_dir() else path.unlink()


def in_another_process(folder: Path, store: Path, scheduler: str) -> Any:
    command = [sys.executable, "-W", "ignore", "-m", "tests.file_program"]
    arguments = [str(folder), str(store), scheduler]
    process = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return json.loads(process.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_another_process_runs_nothing(tmp_path: Path, scheduler: str) -> None:
    write_all(tmp_path / "files")
    first = in_another_process(tmp_path / "files", tmp_path / "store", scheduler)
    second = in_another_process(tmp_path / "files", tmp_path / "store", scheduler)
    for name in CASES:
        assert first[name][0] > 1
        assert second[name] == [0, first[name][1]]


# Twenty files, on each scheduler


@pytest.mark.parametrize(
    "name",
    [
        "csv",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("parquet", "text", "many h5netcdf")
        ),
    ],
)
@pytest.mark.usefixtures("scheduler")
def test_one_changed_file_of_twenty(tmp_path: Path, name: str) -> None:
    case, folder, store = CASES[name], tmp_path / "files" / name, tmp_path / "store"
    write_all(tmp_path / "files", [name], 20)
    computed(store, case.opened(folder))
    assert is_stored(store, case.opened(folder))
    case.write(folder, 7, 5)
    lines = explained(store, case.opened(folder)).lines
    assert sum(line.status == "hit" for line in lines) == 19
    assert sum(line.status == "miss" for line in lines) == case.changed
    assert any("007" in line.why and "is new" not in line.why for line in lines)
    computed(store, case.opened(folder))
    case.write(folder, 20, 5)
    lines = explained(store, case.opened(folder)).lines
    assert sum(line.status == "hit" for line in lines) == 20
    assert sum(line.status == "miss" for line in lines) == case.added


# How files change


@pytest.mark.parametrize("name", ["csv", "parquet selected", "arrow", "many scipy", "text"])
def test_a_file_that_is_touched_stays_the_same(tmp_path: Path, name: str) -> None:
    case, folder, store = CASES[name], tmp_path / "files" / name, tmp_path / "store"
    write_all(tmp_path / "files", [name])
    computed(store, case.opened(folder), scheduler="sync")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    assert is_stored(store, case.opened(folder))


@pytest.mark.parametrize("name", ["csv", "text"])
def test_a_change_of_the_same_length_and_time_is_seen(tmp_path: Path, name: str) -> None:
    case, folder, store = CASES[name], tmp_path / "files" / name, tmp_path / "store"
    write_all(tmp_path / "files", [name])
    computed(store, case.opened(folder), scheduler="sync")
    [path, *_] = sorted(folder.iterdir())
    stat, data = path.stat(), path.read_bytes()
    path.write_bytes(data.replace(b"w", b"v").replace(b"line", b"LINE"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert explained(store, case.opened(folder)).count("miss") == case.changed


@pytest.mark.parametrize("name", ["csv", "text", "many scipy", "many zarr"])
def test_another_current_folder_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The paths in Dask's tasks are absolute, and covered by their digests."""
    case, folder, store = CASES[name], tmp_path / "files" / name, tmp_path / "store"
    write_all(tmp_path / "files", [name])
    monkeypatch.chdir(tmp_path)
    computed(store, case.opened(folder), scheduler="sync")
    monkeypatch.chdir(folder)
    assert is_stored(store, case.opened(folder))


@pytest.mark.slow
def test_what_is_pushed_down_to_the_files_counts(tmp_path: Path) -> None:
    write_all(tmp_path, ["parquet"])
    folder, store = str(tmp_path / "parquet"), tmp_path / "store"
    options: list[dict[str, Any]] = [
        {}, SELECTED, {**SELECTED, "filters": [("n", ">", 6)]}, {"columns": ["x"]},
        {"columns": ["n"]}, {"index": "n"}, {"dtype_backend": "pyarrow"},
        {"dtype_backend": "numpy_nullable"}, {"split_row_groups": True},  # not with Arrow's
    ]  # fmt: skip
    for filesystem in ("fsspec", "arrow"):
        for option in options[: 9 if filesystem == "fsspec" else 8]:
            frame = dd.read_parquet(folder, filesystem=filesystem, **option)
            is_same = filesystem == "arrow" and option == {"index": "n"}  # Dask ignores it there
            assert explained(store, frame).count("hit") == is_same
            computed(store, frame, scheduler="sync")
            assert is_stored(store, dd.read_parquet(folder, filesystem=filesystem, **option))
    for bound in (1, 2):
        frame = dd.read_parquet(folder, filesystem="arrow")
        frame = frame[frame.x > bound].x.sum()
        assert explained(store, frame).count("miss") > 0
        computed(store, frame, scheduler="sync")


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_how_strings_are_converted_counts(tmp_path: Path, filesystem: str) -> None:
    write_all(tmp_path, ["parquet"])
    for is_converted in (True, False):
        with dask.config.set({"dataframe.convert-string": is_converted}):
            frame = dd.read_parquet(str(tmp_path / "parquet"), filesystem=filesystem)
            assert explained(tmp_path / "store", frame).count("hit") == 0
            store = Store(tmp_path / "store", keep=kept(frame))
            for _ in range(2):
                [value] = pipeline.compute(frame, store=store, scheduler="sync")
                [plain] = dask.compute(frame, scheduler="sync")
                pd.testing.assert_frame_equal(value, plain)
            assert is_stored(tmp_path / "store", frame)


def test_folders_are_categories(tmp_path: Path) -> None:
    write_all(tmp_path, ["parquet in folders"])
    frame = dd.read_parquet(str(tmp_path / "parquet in folders"))
    [value] = pipeline.compute(frame, store=tmp_path / "store", scheduler="sync")
    [again] = pipeline.compute(frame, store=tmp_path / "store", scheduler="sync")
    [plain] = dask.compute(frame, scheduler="sync")
    pd.testing.assert_frame_equal(value, plain)
    pd.testing.assert_frame_equal(again, plain)
    assert list(value.part.cat.categories) == list(plain.part.cat.categories)


def test_frames_of_two_readers_are_merged(tmp_path: Path) -> None:
    write_all(tmp_path, ["csv", "parquet"])

    def opened() -> Any:
        left = dd.read_csv(str(tmp_path / "csv" / "*.csv"))
        right = dd.read_parquet(str(tmp_path / "parquet" / "000.parquet"))
        return left.merge(right[["n", "x"]], on="n")

    computed(tmp_path / "store", opened(), scheduler="sync")
    assert is_stored(tmp_path / "store", opened())
    CASES["parquet"].write(tmp_path / "parquet", 0, 5)
    statuses = explained(tmp_path / "store", opened())
    assert statuses.count("miss") > 0
    assert statuses.count("hit") > 0
    computed(tmp_path / "store", opened(), scheduler="sync")


def test_a_file_in_one_of_two_collections_that_are_computed_together(tmp_path: Path) -> None:
    write_all(tmp_path, ["zarr", "text"])

    def opened() -> list[Any]:
        return [CASES[name].opened(tmp_path / name) for name in ("zarr", "text")]

    def counts() -> list[int]:
        store = Store(tmp_path / "store", keep=set().union(*map(kept, opened())))
        return [store.explain(*opened()).count(status) for status in ("miss", "hit")]

    keep = set().union(*map(kept, opened()))
    pipeline.compute(*opened(), store=Store(tmp_path / "store", keep=keep), scheduler="sync")
    assert counts()[0] == 0
    CASES["text"].write(tmp_path / "text", 1, 5)
    assert counts() == [3, 6]


@pytest.mark.parametrize("engine", ["netcdf4", "scipy", "zarr"])
def test_a_dataset_is_stored_whole(tmp_path: Path, engine: Any) -> None:
    path, store = tmp_path / "a", tmp_path / "store"
    options: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}

    def opened() -> Any:
        return xr.open_dataset(path, engine=engine, chunks={}, **options) * 2

    def write(seed: int) -> None:
        if engine == "zarr":
            dataset(0, seed).to_zarr(path, mode="w", **options)
        else:
            path.unlink(missing_ok=True)
            dataset(0, seed).to_netcdf(path, engine=engine)

    for seed in (1, 5):
        write(seed)
        for ran in (True, False):
            with measure() as measured:
                [value] = pipeline.compute(opened(), store=store, scheduler="sync")
            assert bool(measured.tasks) == ran
            xr.testing.assert_identical(value, opened().compute(scheduler="sync"))


def test_a_folder_of_zarr_in_parts(tmp_path: Path) -> None:
    """A task counts by the chunks that it reads, not by the rest of its array."""
    path, store = tmp_path / "a", tmp_path / "store"
    dataset(0, 1).chunk({"t": 1}).to_zarr(path, consolidated=False)

    def opened() -> Any:
        return xr.open_zarr(path, consolidated=False).v.data.map_blocks(np.negative)

    computed(store, opened(), scheduler="sync")
    chunk = path / "v" / "c" / "1" / "0"
    before = chunk.read_bytes()
    chunk.write_bytes((path / "v" / "c" / "2" / "0").read_bytes())
    assert explained(store, opened()).count("miss") == 2
    chunk.unlink()
    assert explained(store, opened()).count("miss") == 2
    chunk.write_bytes(before)
    assert is_stored(store, opened())


def test_frames_within_a_store(tmp_path: Path) -> None:
    """With `with store:` Dask fuses what it reads, as it does without one."""
    write_all(tmp_path, ["parquet"])

    def opened() -> Any:
        return filtered(dd.read_parquet(str(tmp_path / "parquet")))

    for seed in (1, 5):
        CASES["parquet"].write(tmp_path / "parquet", 1, seed)
        for ran in (True, False):
            with Store(tmp_path / "store"), measure() as measured:
                value = opened().compute(scheduler="sync")
            assert bool(measured.tasks) == ran
            assert value == opened().compute(scheduler="sync")
