"""The files that a task reads in C, found among its values."""

from __future__ import annotations

import functools
import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import dask.dataframe as dd
import distributed
import fsspec
import h5py  # type: ignore[import-untyped]
import netCDF4
import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.fs
import pytest
import xarray as xr
import zarr
from dask.task_spec import Task

from pipeline import File
from pipeline.cache.running import open_collections
from pipeline.cache.tracking import readers
from pipeline.cache.tracking.readers import Place, Reads, path_places, reads_in_c
from pipeline.graph import function_of, inputs_of
from pipeline.share import Again

# Dask loses its settings if it imports this while it reads statistics of Parquet.
assert distributed.__version__

PARQUET = ("pandas.read_parquet",)


def files(path: Path) -> list[Place]:
    """All in a folder, in the order of their names."""
    return sorted(path_places(str(path)))


def values_of(tasks: dict[Any, Any], node: Any) -> list[Any]:
    """The inputs of a task, which are constants."""
    return [tasks[key]({}) for key in inputs_of(node)]


def task_reads(collection: Any, function: str) -> list[list[Place]]:
    """What each task of a function reads in C."""
    tasks, _ = open_collections([collection])[:2]
    nodes = [node for node in tasks.values() if getattr(node, "func", None) is not None]
    return [
        sorted(reads_in_c(function_of(node), values_of(tasks, node)).places)
        for node in nodes
        if function in str(node.func)
    ]


def write_frames(folder: Path, count: int = 3) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{place}.parquet" for place in range(count)]
    for place, path in enumerate(paths):
        pd.DataFrame({"x": np.arange(5) + place, "y": list("abcab")}).to_parquet(path)
    return paths


@pytest.fixture
def dataset(tmp_path: Path) -> xr.Dataset:
    values = np.arange(24.0).reshape(4, 6)
    return xr.Dataset({"v": (("t", "u"), values)}, {"t": np.arange(4), "u": np.arange(6)})


def test_the_files_of_a_log_are_no_inputs(tmp_path: Path) -> None:
    logger = logging.getLogger("test_readers")
    handler = logging.FileHandler(tmp_path / "ran.log")
    logger.addHandler(handler)
    try:
        assert reads_in_c(partial(repr, logger), [File("x")], PARQUET) == Reads([], [])
    finally:
        logger.removeHandler(handler)
        handler.close()


def test_tasks_that_may_run_again_are_no_values_of_a_task(tmp_path: Path) -> None:
    [path, *_] = write_frames(tmp_path / "parts")
    with path.open() as file:
        tasks = {"x": Task("x", pd.read_parquet, str(path)), "y": Task("y", file.read)}
        again = Again(tasks, "x", frozenset())
        assert reads_in_c(partial(repr, again), [], PARQUET[:0]) == Reads([], [])


# Paths


def test_a_path_denotes_a_file_a_folder_with_its_files_or_all_that_match(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "b.csv", "in/c.csv"):
        (tmp_path / name).touch()
    a, b, c = (Place("file", str(tmp_path / name)) for name in ("a.csv", "b.csv", "in/c.csv"))
    outer, inner = Place("folder", str(tmp_path)), Place("folder", str(tmp_path / "in"))
    assert list(path_places(a.name)) == list(path_places(f"file://{a.name}")) == [a]
    assert list(path_places(str(tmp_path))) == [outer, a, b, inner, c]
    assert list(path_places(f"{tmp_path}/*.csv")) == [outer, a, b]
    assert list(path_places(f"{tmp_path}/gone")) == [Place("file", f"{tmp_path}/gone")]


def test_a_name_with_the_signs_of_a_pattern_is_a_file_where_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a[1].csv"
    path.touch()
    assert list(path_places(str(path))) == [Place("file", str(path))]


# Functions that read in C


def test_strings_are_paths_only_where_a_function_reads_in_c(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.touch()
    assert reads_in_c(len, [str(path)]) == ([], [])
    assert reads_in_c(len, [str(path)], PARQUET) == ([Place("file", str(path))], [])


@pytest.mark.parametrize(
    "wrapped",
    [lambda x: [x], lambda x: {"path": (x,)}, lambda x: {x: 1}, Path, lambda x: [[x] * 2]],
)
def test_paths_are_found_in_containers(tmp_path: Path, wrapped: Any) -> None:
    path = tmp_path / "a.parquet"
    path.touch()
    found = [Place("file", str(path))]
    assert reads_in_c(pd.read_parquet, [wrapped(str(path))], PARQUET).places == found
    assert reads_in_c(partial(print, wrapped(str(path))), [], PARQUET).places == found


class Reader:
    """Reads the file that it has as attribute."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self) -> Any:
        return pd.read_parquet(self.path)


class SlottedReader(Reader):
    __slots__ = ("path",)


@pytest.mark.parametrize("kind", [Reader, SlottedReader])
def test_paths_are_found_in_attributes(tmp_path: Path, kind: type[Reader]) -> None:
    path = tmp_path / "a.parquet"
    path.touch()
    assert reads_in_c(kind(str(path)).read, [], PARQUET).places == [Place("file", str(path))]


HERE = __file__
NESTED = {"here": [HERE]}


def by_constant() -> Any:
    return pd.read_parquet("tests/__init__.py")


def by_global() -> Any:
    return pd.read_parquet(HERE)


def by_helper() -> Any:
    return [by_global(), NESTED]


def by_default(path: str = HERE) -> Any:
    return pd.read_parquet(path)


def by_closure(path: str) -> Any:
    return lambda: pd.read_parquet(path)


@pytest.mark.parametrize("function", [by_global, by_helper, by_default, by_closure(HERE)])
def test_paths_are_found_in_what_the_function_of_a_task_reaches(function: Any) -> None:
    assert Place("file", HERE) in reads_in_c(function, [], PARQUET).places
    assert reads_in_c(function).places == []


def test_paths_are_found_in_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert reads_in_c(by_constant, [], PARQUET).places == [Place("file", "tests/__init__.py")]


def test_a_reader_without_a_path_has_an_effect_that_names_the_remedy() -> None:
    [effect] = reads_in_c(len, ["no such file", 5], PARQUET).effects
    assert "pandas.read_parquet reads a file that cannot be observed" in effect
    assert "File(path)" in effect
    assert "@pure" in effect


def test_a_file_as_argument_is_in_the_digest(tmp_path: Path) -> None:
    assert reads_in_c(len, [File(tmp_path / "a")], PARQUET) == ([], [])


@pytest.mark.parametrize("text", ["", ".", "..", "/", "~", "*", "a\nb", "a\0b", "x" * 5000])
def test_texts_that_mean_no_file_are_not_paths(text: str) -> None:
    assert reads_in_c(len, [text], PARQUET).places == []


def test_a_folder_of_too_many_files_is_an_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    places, [effect] = reads_in_c(len, [str(tmp_path)], PARQUET)
    assert not places
    assert "over 2 files" in effect


def test_too_many_objects_are_an_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_OBJECTS", 3)
    assert reads_in_c(len, [list(range(10))]) == ([], [])
    assert reads_in_c(len, [[["a", 1], ("b",), [], []]]) == ([], [])  # as data has many
    assert reads_in_c(len, [[[[]], [[]], [[]], [[]]]]) == ([], [])
    objects = [[functools.partial(abs)] for _ in range(4)]
    assert "too many objects" in reads_in_c(len, [objects]).effects[0]


def test_a_value_that_contains_itself_is_looked_at_once() -> None:
    value: list[Any] = []
    value.append(value)
    assert reads_in_c(len, [value]) == ([], [])


# Objects that open files


def test_an_open_file_of_fsspec_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    [file] = fsspec.open_files(str(path))
    assert reads_in_c(print, [file]).places == [Place("file", str(path))]
    remote = fsspec.open("memory://a.txt")
    assert "not local" in reads_in_c(print, [remote]).effects[0]


def test_datasets_of_arrow_name_their_files(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "frames")
    found = [Place("file", str(path)) for path in paths]
    dataset = pyarrow.dataset.dataset(str(tmp_path / "frames"))
    assert sorted(reads_in_c(print, [dataset]).places) == found
    fragments = list(dataset.get_fragments())
    assert reads_in_c(print, fragments[1:2]).places == found[1:2]
    bridge = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec.filesystem("file")))
    dataset = pyarrow.dataset.dataset(str(tmp_path / "frames"), filesystem=bridge)
    assert reads_in_c(print, list(dataset.get_fragments())[:1]).places == found[:1]


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_a_partition_of_parquet_names_its_files(tmp_path: Path, filesystem: str) -> None:
    paths = write_frames(tmp_path / "frames")
    frame = dd.read_parquet(str(tmp_path / "frames"), filesystem=filesystem)
    function = {"fsspec": "ParquetFunctionWrapper", "arrow": "_load_multiple_files"}[filesystem]
    reads = task_reads(frame, function) or task_reads(frame, "_table_to_pandas")
    assert sorted(place for places in reads for place in places) == [
        Place("file", str(path)) for path in paths
    ]


def test_files_in_hdf5_and_memory_maps_name_their_path(tmp_path: Path) -> None:
    np.arange(10.0).tofile(tmp_path / "m")
    view = np.memmap(tmp_path / "m", mode="r")[3:5]
    assert reads_in_c(print, [view]).places == [Place("file", str(tmp_path / "m"))]
    with h5py.File(tmp_path / "h", "w") as file:
        file["x"] = np.arange(10)
    with h5py.File(tmp_path / "h", "r") as file:
        found = [Place("file", str(tmp_path / "h"))]
        assert reads_in_c(print, [file["x"]]).places == reads_in_c(print, [file]).places == found
    assert reads_in_c(print, [file]).effects  # it is closed
    with h5py.File(tmp_path / "h", "a") as file:
        assert "mode" in reads_in_c(print, [file["x"]]).effects[0]


def test_data_of_netcdf4_names_its_file(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = str(tmp_path / "n.nc")
    dataset.to_netcdf(path, engine="netcdf4")
    with netCDF4.Dataset(path) as opened:
        assert reads_in_c(print, [opened]).places == [Place("file", path)]
        assert reads_in_c(print, [opened["v"]]).places == [Place("file", path)]


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf", "scipy"])
def test_a_block_of_xarray_names_its_file(tmp_path: Path, dataset: xr.Dataset, engine: Any) -> None:
    path = str(tmp_path / "n.nc")
    dataset.to_netcdf(path, engine=engine)
    opened = xr.open_dataset(path, engine=engine, chunks={"t": 2})
    assert task_reads(opened.v, "getter") == [[Place("file", path)]] * 2


# Zarr


@pytest.mark.parametrize("version", [2, 3])
def test_a_block_of_zarr_names_the_files_of_its_chunks(tmp_path: Path, version: Any) -> None:
    path = str(tmp_path / "a.zarr")
    array = zarr.create_array(
        path, shape=(4, 6), chunks=(2, 3), dtype=float, zarr_format=version, overwrite=True
    )
    array[:2] = 1.0  # the other chunks have no file
    names = ["0.0", "0.1", "1.0", "1.1"] if version == 2 else ["c/0/0", "c/0/1", "c/1/0", "c/1/1"]
    expected = [[Place("file", os.path.join(path, name))] for name in names]
    assert task_reads(da.from_zarr(path), "getter") == expected
    whole = task_reads(da.from_zarr(path, chunks=(4, 3)), "getter")
    assert whole == [expected[0] + expected[2], expected[1] + expected[3]]


def test_sharded_arrays_of_zarr_have_a_file_for_several_chunks(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    array = zarr.create_array(path, shape=(4, 6), chunks=(2, 3), shards=(2, 6), dtype=float)
    array[:] = 1.0
    [*reads] = task_reads(da.from_zarr(path, chunks=(2, 3)), "getter")
    names = [f"{path}/c/0/0", f"{path}/c/0/0", f"{path}/c/1/0", f"{path}/c/1/0"]
    assert reads == [[Place("file", name)] for name in names]


def test_a_block_of_xarrays_zarr_names_the_files_of_its_chunks(
    tmp_path: Path, dataset: xr.Dataset
) -> None:
    path = tmp_path / "a.zarr"
    dataset.chunk({"t": 2}).to_zarr(path, consolidated=False)
    opened = xr.open_zarr(path, consolidated=False)
    expected = [[Place("file", str(path / f"v/c/{place}/0"))] for place in range(2)]
    assert task_reads(opened.v, "getter") == expected
    # Selected before it was cut into blocks: which chunks a block touches is not computed.
    lazy = (
        xr.open_dataset(path, engine="zarr", chunks=None, consolidated=False)
        .isel(t=slice(1, 3))
        .chunk({"t": 1})
    )
    assert task_reads(lazy.v, "getter") == [files(path / "v")] * 2


def test_an_array_of_zarr_names_its_folder_where_a_function_gets_it(tmp_path: Path) -> None:
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(4,), chunks=(2,), dtype=float)
    array[:] = 1.0
    assert sorted(reads_in_c(np.sum, [array]).places) == files(tmp_path / "a.zarr")
    task = Task("key", np.sum, array)
    assert sorted(reads_in_c(function_of(task), []).places) == files(tmp_path / "a.zarr")


def test_an_array_of_zarr_in_memory_has_no_files() -> None:
    array = zarr.create_array({}, shape=(4,), chunks=(2,), dtype=float)
    assert reads_in_c(np.sum, [array]) == ([], [])
