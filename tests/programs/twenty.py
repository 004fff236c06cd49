"""Twenty programs in the shapes that other people write, each a function of a folder of data.

The shapes are those of dask-examples, dask-tutorial, coiled/benchmarks and pangeo's gallery.
`tests.programs.data` makes the data. A program returns a collection, or a tuple of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import xarray as xr
from dask import delayed
from dask.delayed import Delayed
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Program = Callable[[Path], Any]

PROGRAMS: dict[str, Program] = {}
"""All programs, by name."""


def _program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def _paths(folder: Path) -> list[str]:
    return sorted(map(str, folder.iterdir()))


def _trips(folder: Path) -> Any:
    return dd.read_parquet(folder / "trips")


def _matrix(folder: Path) -> Any:
    return da.from_zarr(folder / "matrix.zarr")


def _air(folder: Path) -> Any:
    return xr.open_zarr(folder / "air.zarr", consolidated=False).air


# Delayed functions, bags and graphs


def clean(drivers: pd.DataFrame) -> pd.DataFrame:
    return drivers.dropna().query("age < 65")


def by_licence(drivers: pd.DataFrame) -> pd.DataFrame:
    return drivers.groupby("licence").agg({"age": "sum", "rating": "count"})


@_program
def delayed_pipeline(folder: Path) -> Any:
    """Read, clean and count each file; add the counts."""
    frames = [delayed(pd.read_csv)(path) for path in _paths(folder / "drivers")]
    counts = [delayed(by_licence)(delayed(clean)(frame)) for frame in frames]
    return delayed(sum)(counts[1:], counts[0])


@_program
def word_count(folder: Path) -> Any:
    """The ten most frequent words."""
    words = db.read_text(folder / "text" / "*.txt").map(str.lower).map(str.split).flatten()
    return words.frequencies(sort=True).topk(10, key=1)


def read_numbers(path: str) -> pd.Series:
    return pd.read_csv(path, usecols=["rating"])["rating"].dropna()


def histogram(numbers: pd.Series) -> np.ndarray:
    return np.histogram(numbers, bins=50, range=(0, 1))[0]


def mode(*counts: np.ndarray) -> int:
    return int(np.argmax(np.sum(counts, axis=0)))


@_program
def custom_graph(folder: Path) -> Any:
    """A graph as a dictionary."""
    graph: dict[str, Any] = {}
    for number, path in enumerate(_paths(folder / "drivers")):
        graph[f"read-{number}"] = (read_numbers, path)
        graph[f"histogram-{number}"] = (histogram, f"read-{number}")
    graph["mode"] = (mode, *(key for key in graph if key.startswith("histogram")))
    return Delayed("mode", graph)


def features(trips: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    columns = np.column_stack([trips["distance"], trips["fare"], trips["time"].dt.hour])
    return columns, (trips["tip"] > 450).to_numpy()


def fold(data: tuple[np.ndarray, np.ndarray], number: int, of: int) -> tuple[np.ndarray, ...]:
    """The rows to train with, and those to test with."""
    columns, target = data
    is_test = np.arange(len(target)) % of == number
    return columns[~is_test], target[~is_test], columns[is_test], target[is_test]


def fit(parts: tuple[np.ndarray, ...], depth: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=depth, random_state=0))
    return model.fit(*parts[:2])


def score(model: Any, parts: tuple[np.ndarray, ...]) -> float:
    return float(model.score(*parts[2:]))


def best(scores: dict[int, list[float]]) -> tuple[int, float]:
    return max((float(np.mean(own)), depth) for depth, own in scores.items())[::-1]


@_program
def grid_search(folder: Path) -> Any:
    """Cross-validation for each depth of a tree, as people write it: folds are made each time."""
    scores: dict[int, list[Any]] = {}
    for depth in (2, 4, 6):
        data = delayed(features)(delayed(pd.read_parquet)(_paths(folder / "trips")[0]))
        folds = [delayed(fold)(data, number, 3) for number in range(3)]
        scores[depth] = [delayed(score)(delayed(fit)(parts, depth), parts) for parts in folds]
    return delayed(best)(scores)


# Arrays


@_program
def svd_exact(folder: Path) -> Any:
    """Principal components of a matrix with many rows."""
    matrix = _matrix(folder)
    _, values, vectors = da.linalg.svd(matrix - matrix.mean(axis=0))
    return values, vectors[:5]


@_program
def svd_compressed(folder: Path) -> Any:
    """The five largest singular values, by a random projection."""
    seed = da.random.RandomState(0)
    return da.linalg.svd_compressed(_matrix(folder), k=5, n_power_iter=2, seed=seed)[1]


@_program
def rechunk(folder: Path) -> Any:
    """Correlations of columns, which lie in one chunk."""
    matrix = _matrix(folder).rechunk((-1, 20))
    standard = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    product = standard[:, :50].T @ standard[:, 50:] / len(matrix)
    return product.round(12)  # the last bits depend on how blocks lie in a worker's memory


@_program
def fft(folder: Path) -> Any:
    """The power of each frequency."""
    matrix = _matrix(folder)
    return (abs(da.fft.rfft(matrix - matrix.mean())) ** 2).mean(axis=0)


@_program
def percentiles(folder: Path) -> Any:
    """Some of Dask's, and ten of NumPy's that are delayed: each takes the whole array."""
    matrix = _matrix(folder)[:, :10]
    own = [delayed(np.percentile)(matrix, percent) for percent in range(5, 100, 10)]
    return da.percentile(matrix[:, 0], [25, 50, 75]), *own


@_program
def overlap(folder: Path) -> Any:
    """Images that are made smooth over time, too."""
    images = da.from_zarr(folder / "images.zarr").astype("f4")
    smooth = images.map_overlap(ndimage.gaussian_filter, depth=4, boundary="nearest", sigma=1)
    return (images - smooth).std(axis=(1, 2))


def edges(images: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter(images.astype("f4"), (0, 2, 2))
    edge: np.ndarray = np.hypot(ndimage.sobel(smooth, 1), ndimage.sobel(smooth, 2))
    return edge


@_program
def images(folder: Path) -> Any:
    """The share of each image that is an edge."""
    found = da.from_zarr(folder / "images.zarr").map_blocks(edges, dtype="f4")
    return (found > 20).mean(axis=(1, 2)), found.max()


@_program
def climatology(folder: Path) -> Any:
    """The mean of each month, and its standard deviation."""
    months = _air(folder).groupby("time.month")
    return xr.Dataset({"mean": months.mean("time"), "std": months.std("time")})


@_program
def anomalies(folder: Path) -> Any:
    """The differences from the mean of each day of the year, by season."""
    days = _air(folder).groupby("time.dayofyear")
    return (days - days.mean("time")).groupby("time.season").std("time")


# Frames


@_program
def groupby(folder: Path) -> Any:
    """Aggregations by one column and by two."""
    trips = _trips(folder)
    trips = trips[trips.distance > 1]
    by_city = trips.groupby("city", sort=True).agg({"fare": ["mean", "std"], "tip": ["min", "max"]})
    by_driver = trips.groupby(["city", "driver"], sort=True).agg({"fare": "sum", "time": "max"})
    return by_city, by_driver.fare.nlargest(10), by_driver.time.min()


def _merged(folder: Path, method: str | None) -> Any:
    drivers = dd.read_csv(folder / "drivers" / "*.csv", dtype={"rating": float})
    merged = _trips(folder).merge(drivers, on="driver", shuffle_method=method, broadcast=False)
    by = merged.groupby(["city", "licence"], sort=True)
    return by.agg({"age": "sum", "tip": "max", "time": "min"})


@_program
def merge_tasks(folder: Path) -> Any:
    """A merge of two large tables, shuffled by tasks."""
    return _merged(folder, "tasks")


@_program
def merge(folder: Path) -> Any:
    """The same, shuffled as Dask decides: on disk, or between the workers of a cluster."""
    return _merged(folder, None)


@_program
def rolling(folder: Path) -> Any:
    """The largest mean of an hour, by day."""
    trips = dd.read_parquet(folder / "trips", index="time", calculate_divisions=True)
    return trips.fare.rolling("1h").mean().resample("1D").max()


def _tables(folder: Path, *names: str) -> list[Any]:
    return [dd.read_parquet(folder / "tpch" / name) for name in names]


@_program
def tpch_1(folder: Path) -> Any:
    """Pricing summary."""
    [items] = _tables(folder, "lineitem")
    items = items[items.shipdate <= datetime(1998, 9, 2)]
    items["discounted"] = items.price * (100 - items.discount)
    items["charge"] = items.discounted * (100 + items.tax)
    total = items.groupby(["returnflag", "linestatus"]).agg(
        {"quantity": ["sum", "mean"], "price": ["sum", "mean"], "discounted": "sum",
         "charge": "sum", "discount": "mean", "tax": "count"}
    )  # fmt: skip
    return total.reset_index().sort_values(["returnflag", "linestatus"])


@_program
def tpch_3(folder: Path) -> Any:
    """The orders with the largest revenue that are not shipped."""
    items, orders, customers = _tables(folder, "lineitem", "orders", "customer")
    day = datetime(1995, 3, 15)
    customers = customers[customers.segment == "BUILDING"]
    orders = orders[orders.orderdate < day].merge(customers, on="custkey")
    items = items[items.shipdate > day].merge(orders, on="orderkey")
    items["revenue"] = items.price * (100 - items.discount)
    total = items.groupby(["orderkey", "orderdate"]).revenue.sum().reset_index()
    return total.sort_values(["revenue", "orderkey"], ascending=[False, True]).head(
        10, compute=False
    )


@_program
def tpch_5(folder: Path) -> Any:
    """The revenue of the suppliers of a region within it."""
    names = "region", "nation", "customer", "orders", "lineitem", "supplier"
    region, nation, customers, orders, items, suppliers = _tables(folder, *names)
    nation = nation.merge(region[region.region == "ASIA"], on="regionkey")
    orders = orders[
        (orders.orderdate >= datetime(1994, 1, 1)) & (orders.orderdate < datetime(1995, 1, 1))
    ]
    items = items.merge(
        orders.merge(customers.merge(nation, on="nationkey"), on="custkey"), on="orderkey"
    )
    items = items.merge(suppliers, on=["suppkey", "nationkey"])
    items["revenue"] = items.price * (100 - items.discount)
    return (
        items.groupby("nation").revenue.sum().reset_index().sort_values("revenue", ascending=False)
    )
