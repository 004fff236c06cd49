"""Data for the twenty programs: parquet, CSV, zarr and text, all by one function."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
import zarr

if TYPE_CHECKING:
    from pathlib import Path

FILES = 20
"""Of the table of trips; other data have fewer."""


def make(folder: Path, megabytes: float) -> Path:
    """Write all data into a new folder; each of its parts holds about so many megabytes."""
    random, size = np.random.default_rng(7), int(megabytes * 1e6)
    folder.mkdir(parents=True)
    _text(folder / "text", random, size)
    _trips(folder / "trips", random, size // 44)
    _drivers(folder / "drivers", random, size // 40)
    _tpch(folder / "tpch", random, size // 64)
    rows = size // 800
    matrix = random.normal(size=(rows, 100)) + np.linspace(0, 3, 100)
    _zarr(folder / "matrix.zarr", matrix, (rows // 8 + 1, 100))
    images = random.integers(0, 255, (max(size // 2**14, 8), 128, 128)).astype("u1")
    _zarr(folder / "images.zarr", images, (len(images) // 8 + 1, 128, 128))
    _air(folder / "air.zarr", random, size)
    return folder


def _text(folder: Path, random: np.random.Generator, size: int) -> None:
    words = np.array([f"{chr(97 + number % 26)}word{number}" for number in range(500)])
    folder.mkdir()
    for part in range(8):
        lines = words[(random.random((size // 8 // 72, 9)) ** 3 * 500).astype(int)]
        text = "\n".join(map(" ".join, lines.tolist()))
        (folder / f"{part}.txt").write_text(text + "\n")


def _trips(folder: Path, random: np.random.Generator, rows: int) -> None:
    """Rides of a taxi, in the order of their times."""
    folder.mkdir()
    times = pd.date_range("2025-01-01", "2025-03-01", rows).as_unit("us")
    for part, chosen in enumerate(np.array_split(np.arange(rows), FILES)):
        trips(random, times[chosen]).to_parquet(folder / f"{part:02}.parquet")


def trips(random: np.random.Generator, times: pd.DatetimeIndex) -> pd.DataFrame:
    """Rides at some times."""
    rows = len(times)
    return pd.DataFrame({
        "time": times,
        "driver": random.integers(0, 20_000, rows),
        "city": random.choice(["Bonn", "Kiel", "Köln", "Ulm"], rows),
        "distance": random.gamma(2.0, 3.0, rows),
        "fare": random.integers(300, 9_000, rows),
        "tip": random.integers(0, 900, rows),
    })  # fmt: skip


def _drivers(folder: Path, random: np.random.Generator, rows: int) -> None:
    """A table as CSV, in which some values are missing."""
    folder.mkdir()
    for part, chosen in enumerate(np.array_split(np.arange(rows), 8)):
        rating = np.where(random.random(len(chosen)) < 0.1, np.nan, random.random(len(chosen)))
        columns = {
            "driver": chosen,
            "age": random.integers(18, 70, len(chosen)),
            "rating": rating.round(3),
            "licence": random.choice(list("ABC"), len(chosen)),
        }
        pd.DataFrame(columns).to_csv(folder / f"{part}.csv", index=False)


def _tpch(folder: Path, random: np.random.Generator, rows: int) -> None:
    """The tables of TPC-H that its queries 1, 3 and 5 use; prices are whole numbers of cents."""
    orders, customers, suppliers = rows // 4 + 1, rows // 40 + 25, rows // 200 + 25
    start = datetime(1992, 1, 1)
    days = pd.Timestamp(start).as_unit("s") + pd.to_timedelta(np.arange(2_500), "D").as_unit("s")
    tables = {
        "lineitem": {
            "orderkey": random.integers(0, orders, rows),
            "suppkey": random.integers(0, suppliers, rows),
            "quantity": random.integers(1, 50, rows),
            "price": random.integers(90_000, 9_000_000, rows),
            "discount": random.integers(0, 10, rows),
            "tax": random.integers(0, 8, rows),
            "shipdate": days[random.integers(0, 2_500, rows)],
            "returnflag": random.choice(list("ANR"), rows),
            "linestatus": random.choice(list("FO"), rows),
        },
        "orders": {
            "orderkey": np.arange(orders),
            "custkey": random.integers(0, customers, orders),
            "orderdate": days[random.integers(0, 2_500, orders)],
        },
        "customer": {
            "custkey": np.arange(customers),
            "nationkey": random.integers(0, 25, customers),
            "segment": random.choice(["AUTOMOBILE", "BUILDING", "MACHINERY"], customers),
        },
        "supplier": {
            "suppkey": np.arange(suppliers),
            "nationkey": random.integers(0, 25, suppliers),
        },
        "nation": {
            "nationkey": np.arange(25),
            "nation": [f"nation {number}" for number in range(25)],
            "regionkey": np.arange(25) % 5,
        },
        "region": {
            "regionkey": np.arange(5),
            "region": ["AFRICA", "AMERICA", "ASIA", "EUROPE", "OTHER"],
        },
    }  # fmt: skip
    for name, columns in tables.items():
        (folder / name).mkdir(parents=True)
        table, parts = pd.DataFrame(columns), {"lineitem": 8, "orders": 4}.get(name, 1)
        for part, chosen in enumerate(np.array_split(np.arange(len(table)), parts)):
            table.iloc[chosen].to_parquet(folder / name / f"{part}.parquet", index=False)


def _air(path: Path, random: np.random.Generator, size: int) -> None:
    """Temperatures by day and place, of three years if they are large; a chunk is a quarter."""
    times = pd.date_range("2021-01-01", periods=min(size // 10**4, 1095))
    side = int((size / 4 / len(times)) ** 0.5)
    season = 10 * np.sin(2 * np.pi * times.day_of_year.to_numpy() / 365)
    air = (280 + season[:, None, None] + random.normal(size=(len(times), side, side))).astype("f4")
    places = {"lat": np.linspace(30, 60, side), "lon": np.linspace(0, 30, side)}
    array = xr.DataArray(air, {"time": times, **places}, ("time", *places), name="air")
    chunks = {"air": {"chunks": (92, side, side)}}
    array.to_dataset().to_zarr(path, encoding=chunks, consolidated=False)


def _zarr(path: Path, array: np.ndarray, chunks: tuple[int, ...]) -> None:
    whole = zarr.create_array(path, shape=array.shape, chunks=chunks, dtype=array.dtype)
    whole[:] = array
