"""Two programs that people edit and run again: six stages on parquet files, and a climatology.

`write` puts the modules of one into a folder; `Project.run` imports them anew, runs what `build`
returns through a store, and counts the calls of each function.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import pipeline
from pipeline import Store

if TYPE_CHECKING:
    from pathlib import Path

HELPERS = """
import numpy as np


def ratio(left, right):
    return left / right


def spread(values):
    return float(np.ptp(values))
"""
STAGES = """
import dask.dataframe as dd
from dask import delayed
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import helpers
from tests.programs.tracing import traced

COLUMNS = ["rate", "distance"]


@traced("ran.log")
def clean(trips):
    return trips[trips["distance"] > 1]


@traced("ran.log")
def features(trips):
    return trips.assign(rate=helpers.ratio(trips["fare"], trips["distance"]))


@traced("ran.log")
def split(trips):
    return train_test_split(trips, test_size=0.25, random_state=0)


@traced("ran.log")
def fit(parts):
    model = make_pipeline(StandardScaler(), Ridge())
    return model.fit(parts[0][COLUMNS], parts[0]["tip"])


@traced("ran.log")
def judge(model, parts):
    return helpers.spread(model.predict(parts[1][COLUMNS]))


def build():
    trips = dd.read_parquet("trips")
    table = trips.map_partitions(clean, meta=trips._meta)
    table = table.map_partitions(features, meta=table._meta.assign(rate=1.0))
    parts = delayed(split)(table)
    return delayed(judge)(delayed(fit)(parts), parts)
"""
CLIMATE = """
import xarray as xr

from tests.programs.tracing import traced

REGION = {"lat": slice(0, 4), "lon": slice(0, 4)}
UNTIL = "2021-12-31"


@traced("ran.log")
def corrected(block):
    return block * 1.01


def build():
    air = xr.open_zarr("air.zarr", consolidated=False).air
    data = air.data.map_blocks(corrected, meta=air.data)
    air = air.copy(data=data)
    air = air.sel(time=slice(None, UNTIL)).isel(REGION)
    return air.groupby("time.month").mean("time")
"""


class Project(NamedTuple):
    """Modules in a folder, which is the current one, and the functions whose results are kept."""

    folder: Path
    modules: tuple[str, ...]
    keep: tuple[str, ...]

    def edit(self, module: str, old: str, new: str) -> None:
        """Replace a text in a module."""
        path = self.folder / f"{module}.py"
        text = path.read_text()
        assert text.count(old) == 1, (module, old)
        path.write_text(text.replace(old, new))

    def run(self) -> tuple[Any, dict[str, int]]:
        """The value of the program, and how often each function ran."""
        (log := self.folder / "ran.log").write_text("")
        for name in self.modules:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        with mock.patch.object(sys, "path", [str(self.folder), *sys.path]), mock.patch.object(
            sys, "dont_write_bytecode", True
        ):  # fmt: skip
            built = importlib.import_module(self.modules[0]).build()
            store = Store(self.folder / "store", keep=self.keep, durable=False)
            (value,) = pipeline.compute(built, store=store, scheduler="threads")
            ran = dict(Counter(log.read_text().split()))
            expected = built.compute(scheduler="threads")
        assert str(value) == str(expected)
        return value, ran


def write(folder: Path, texts: dict[str, str], keep: tuple[str, ...]) -> Project:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return Project(folder, tuple(texts), keep)
