"""Collections of Dask's and xarray's own readers, each of several files.

By itself, `python -m tests.file_program FOLDER STORE SCHEDULER` computes all of them through a
store, and prints for each how many tasks ran and what came out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import xarray as xr
import zarr

import pipeline
from pipeline import Store, measure
from pipeline import scheduler as on
from pipeline.cache.running import open_collections
from pipeline.cache.saving import task_names

# Dask loses its settings if it imports this while it reads statistics of Parquet.
assert distributed.__version__


class Case(NamedTuple):
    """A collection that is read from files.

    write: writes the file with a number, of a content that depends on another number
    opened: the collection of all files in a folder
    changed, added: of three files, the tasks to run if the second changes, or a fourth is added
    """

    write: Callable[[Path, int, int], object]
    opened: Callable[[Path], Any]
    changed: int
    added: int


def frame(place: int, seed: int) -> pd.DataFrame:
    numbers = np.arange(20) + 100 * place
    words = [f"w{number % 7}" for number in numbers]
    return pd.DataFrame({"n": numbers, "x": numbers * seed / 3, "g": words})


def write_csv(folder: Path, place: int, seed: int) -> None:
    frame(place, seed).to_csv(folder / f"{place:03}.csv", index=False)


def write_parquet(folder: Path, place: int, seed: int) -> None:
    frame(place, seed).to_parquet(folder / f"{place:03}.parquet", row_group_size=10)


def write_hive(folder: Path, place: int, seed: int) -> None:
    (folder / f"part={place}").mkdir(exist_ok=True)
    frame(place, seed).to_parquet(folder / f"part={place}" / "0.parquet")


def write_json(folder: Path, place: int, seed: int) -> None:
    frame(place, seed).to_json(folder / f"{place:03}.json", orient="records", lines=True)


def write_text(folder: Path, place: int, seed: int) -> None:
    lines = [f"line {number} of {place} {seed * 'x'}\n" for number in range(9)]
    (folder / f"{place:03}.txt").write_text("".join(lines))


def write_npy(folder: Path, place: int, seed: int) -> None:
    """A file of a stack, which a file of its own describes."""
    count = max([place, *(int(path.stem) for path in folder.glob("*.npy"))]) + 1
    np.save(folder / f"{place}.npy", np.arange(6.0).reshape(2, 3) * seed + place)
    da.to_npy_stack(str(folder / "all"), da.zeros((2 * count, 3), chunks=(2, 3)))
    (folder / "all" / "info").replace(folder / "info")


def write_zarr(folder: Path, place: int, seed: int) -> None:
    """A chunk of one array."""
    path = str(folder / "a.zarr")
    if not Path(path).exists():
        zarr.create_array(path, shape=(4, 6), chunks=(1, 6), dtype=float)
    array = zarr.open_array(path)
    if place >= array.shape[0]:
        array.resize((place + 1, 6))
    array[place] = np.arange(6.0) * seed + place


def dataset(place: int, seed: int) -> xr.Dataset:
    values = np.arange(12.0).reshape(3, 4) * seed + place
    return xr.Dataset({"v": (("t", "u"), values)}, {"t": np.arange(3) + 3 * place})


def write_with(suffix: str, **options: Any) -> Callable[[Path, int, int], object]:
    def write(folder: Path, place: int, seed: int) -> None:
        path = folder / f"{place:03}{suffix}"
        path.unlink(missing_ok=True)  # else HDF5 takes it for the open file
        dataset(place, seed).to_netcdf(path, **options)

    return write


def write_zarr_dataset(folder: Path, place: int, seed: int) -> None:
    dataset(place, seed).to_zarr(folder / f"{place:03}.zarr", mode="w", consolidated=False)


def read(path: str) -> pd.DataFrame:
    return pd.read_csv(path)


def parquet(**options: Any) -> Callable[[Path], Any]:
    return lambda folder: dd.read_parquet(str(folder), **options)


def of_parquet(use: Callable[[Any], Any], **options: Any) -> Callable[[Path], Any]:
    return lambda folder: use(dd.read_parquet(str(folder), **options))


def of_csv(use: Callable[[Any], Any], **options: Any) -> Callable[[Path], Any]:
    return lambda folder: use(dd.read_csv(str(folder / "*.csv"), **options))


def of_text(use: Callable[[Any], Any], **options: Any) -> Callable[[Path], Any]:
    return lambda folder: use(db.read_text(str(folder / "*.txt"), **options))


def of_many(engine: Any, suffix: str, **options: Any) -> Callable[[Path], Any]:
    def opened(folder: Path) -> Any:
        paths = sorted(folder.glob(f"*{suffix}"))
        return xr.open_mfdataset(
            paths, engine=engine, combine="nested", concat_dim="t", **options
        ).v

    return opened


def of_one(engine: Any, suffix: str) -> Callable[[Path], Any]:
    """All files, each opened by itself."""

    def opened(folder: Path) -> Any:
        paths = sorted(folder.glob(f"*{suffix}"))
        options: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}
        parts = [xr.open_dataset(path, engine=engine, chunks={}, **options).v for path in paths]
        return da.concatenate([part.data for part in parts]) + 1

    return opened


def filtered(frame: Any) -> Any:
    return frame[frame.x > 1].x.sum()


def grouped(frame: Any) -> Any:
    return frame.groupby("g").x.mean()


def merged(frame: Any) -> Any:
    table = pd.DataFrame({"g": [f"w{number}" for number in range(7)], "k": range(7)})
    return frame.merge(table, on="g")


def plain(bag: Any) -> Any:
    return bag


def counted(bag: Any) -> Any:
    return bag.map(str.upper).filter(len).map(len).frequencies()


SELECTED = {"columns": ["x"], "filters": [("n", ">", 5)], "index": "n"}

CASES = {
    "csv": Case(write_csv, of_csv(lambda frame: frame), 3, 3),
    "csv blocks": Case(write_csv, of_csv(filtered, blocksize=300), 7, 7),
    "csv grouped": Case(write_csv, of_csv(grouped), 5, 5),
    "csv merged": Case(write_csv, of_csv(merged), 4, 4),
    "parquet": Case(write_parquet, parquet(), 2, 2),
    "parquet selected": Case(write_parquet, parquet(**SELECTED), 3, 4),
    "parquet nullable": Case(write_parquet, parquet(dtype_backend="numpy_nullable"), 2, 2),
    "parquet filtered": Case(write_parquet, of_parquet(filtered), 7, 12),
    "parquet by rows": Case(write_parquet, parquet(split_row_groups=True), 3, 3),
    "parquet in folders": Case(write_hive, of_parquet(lambda frame: frame.x.sum()), 5, 11),
    "arrow": Case(write_parquet, parquet(filesystem="arrow"), 2, 2),
    "arrow selected": Case(write_parquet, parquet(filesystem="arrow", **SELECTED), 2, 2),
    "arrow types": Case(write_parquet, parquet(filesystem="arrow", dtype_backend="pyarrow"), 2, 2),
    "arrow filtered": Case(write_parquet, of_parquet(filtered, filesystem="arrow"), 4, 4),
    "arrow grouped": Case(write_parquet, of_parquet(grouped, filesystem="arrow"), 4, 4),
    "arrow in folders": Case(
        write_hive, of_parquet(lambda frame: frame.x.sum(), filesystem="arrow"), 4, 7
    ),
    "json": Case(write_json, lambda folder: dd.read_json(str(folder / "*.json")), 3, 9),
    "map": Case(
        write_csv, lambda folder: dd.from_map(read, sorted(map(str, folder.glob("*.csv")))), 3, 3
    ),
    "npy": Case(write_npy, lambda folder: da.from_npy_stack(str(folder)) + 1, 2, 2),
    "zarr": Case(write_zarr, lambda folder: da.from_zarr(str(folder / "a.zarr")).sum(axis=1), 3, 3),
    "text": Case(write_text, of_text(plain), 3, 3),
    "text counted": Case(write_text, of_text(counted), 5, 5),
    "text blocks": Case(write_text, of_text(counted, blocksize=60), 9, 9),
    "text paths": Case(write_text, of_text(plain, blocksize=60, include_path=True), 7, 7),
    "text groups": Case(write_text, of_text(counted, files_per_partition=2), 5, 5),
    "netcdf4": Case(write_with(".nc", engine="netcdf4"), of_one("netcdf4", ".nc"), 2, 2),
    "h5netcdf": Case(write_with(".nc", engine="h5netcdf"), of_one("h5netcdf", ".nc"), 2, 2),
    "scipy": Case(write_with(".nc", engine="scipy"), of_one("scipy", ".nc"), 2, 2),
    "zarr dataset": Case(write_zarr_dataset, of_one("zarr", ".zarr"), 2, 2),
    "many netcdf4": Case(write_with(".nc", engine="netcdf4"), of_many("netcdf4", ".nc"), 1, 1),
    "many h5netcdf": Case(write_with(".nc", engine="h5netcdf"), of_many("h5netcdf", ".nc"), 1, 1),
    "many scipy": Case(write_with(".nc", engine="scipy"), of_many("scipy", ".nc"), 1, 1),
    "many zarr": Case(write_zarr_dataset, of_many("zarr", ".zarr", consolidated=False), 1, 1),
}


def write_all(folder: Path, names: Any = CASES, count: int = 3) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        for place in range(count):
            CASES[name].write(folder / name, place, 1)


def kept(collection: Any) -> set[str]:
    """The names of all tasks of a collection: a store keeps also what is quick to compute."""
    tasks, _ = open_collections([collection])[:2]
    return set().union(*(task_names(key, node) for key, node in tasks.items()))


def text(value: Any) -> str:
    """A value as text that is equal for equal values."""
    if isinstance(value, pd.DataFrame | pd.Series):
        value = value.sort_index().to_csv()
    elif isinstance(value, xr.DataArray):
        value = value.values
    return repr(value.tolist() if hasattr(value, "tolist") else value)


def main(folder: str, store: str, name: str) -> None:
    results = {}
    with on(name):
        for case in CASES:
            collection = CASES[case].opened(Path(folder) / case)
            within = Store(f"{store}/{case}", keep=kept(collection))
            with measure() as measured:
                [value] = pipeline.compute(collection, store=within)
            results[case] = [measured.tasks, text(value)]
    print(json.dumps(results))


if __name__ == "__main__":
    dask.config.set({"distributed.comm.timeouts.connect": "30s"})
    main(*sys.argv[1:])
