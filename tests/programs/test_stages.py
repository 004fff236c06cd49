"""Rounds of edits: the calls that run again are those that must, and no other."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.programs import stages
from tests.programs.data import FILES, trips

if TYPE_CHECKING:
    from pathlib import Path


def write_trips(path: Path, seed: int) -> None:
    times = pd.date_range("2025-01-01", periods=50, freq="h").as_unit("us")
    trips(np.random.default_rng(seed), times).to_parquet(path)


@pytest.fixture
def pipeline_of_trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stages.Project:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trips").mkdir()
    for number in range(FILES):
        write_trips(tmp_path / "trips" / f"{number:02}.parquet", number)
    texts = {"stages_of_trips": stages.STAGES, "helpers": stages.HELPERS}
    return stages.write(tmp_path, texts, ("clean", "features", "split", "fit", "judge"))


MODEL = {"split": 1, "fit": 1, "judge": 1}
ONE_FILE = {"clean": 1, "features": 1, **MODEL}


@pytest.mark.slow  # storing a model imports all of scikit-learn
def test_edits_of_six_stages(pipeline_of_trips: stages.Project) -> None:
    pytest.importorskip("skops", reason="models are stored by skops")
    project, folder = pipeline_of_trips, pipeline_of_trips.folder / "trips"
    first = {"clean": FILES, "features": FILES, **MODEL}
    value, ran = project.run()
    assert ran == first
    assert project.run() == (value, {})

    project.edit("helpers", "np.ptp(values)", "np.ptp(values) + 1")  # of the last stage
    assert project.run() == (pytest.approx(value + 1), {"judge": 1})
    project.edit("helpers", "left / right", "left / right + 0")  # with the same result
    assert project.run()[1] == {"features": FILES}
    project.edit("helpers", "left / right + 0", "left / (right + 1)")
    assert project.run()[1] == {"features": FILES, **MODEL}

    os.utime(folder / "03.parquet")
    assert project.run()[1] == {}
    shutil.copy(folder / "03.parquet", project.folder / "before")
    write_trips(folder / "03.parquet", 103)
    assert project.run()[1] == ONE_FILE
    write_trips(folder / "07b.parquet", 107)
    assert project.run()[1] == ONE_FILE
    os.remove(folder / "07b.parquet")
    shutil.copy(project.folder / "before", folder / "03.parquet")
    assert project.run()[1] == {}


@pytest.fixture
def climatology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stages.Project:
    monkeypatch.chdir(tmp_path)
    write_air(tmp_path / "air.zarr", 2022)
    return stages.write(tmp_path, {"climate_of_air": stages.CLIMATE}, ("corrected",))


def write_air(path: Path, last: int) -> None:
    """Two years or more; a chunk is some 30 days of a quarter of the places."""
    times = pd.date_range("2021-01-01", f"{last}-12-31")
    numbers = np.random.default_rng(0).random((len(times), 8, 8), "f4")  # more days, same first
    array = xr.DataArray(numbers, {"time": times}, ("time", "lat", "lon"), name="air")
    chunks = {"air": {"chunks": (73, 4, 4)}}
    array.to_dataset().to_zarr(path, encoding=chunks, consolidated=False)


@pytest.mark.slow
def test_edits_of_a_climatology(climatology: stages.Project) -> None:
    project = climatology
    assert project.run()[1] == {"corrected": 5}
    assert project.run()[1] == {}
    project.edit("climate_of_air", "slice(0, 4), ", "slice(2, 6), ")  # half of it is new
    assert project.run()[1] == {"corrected": 5}
    project.edit("climate_of_air", '"lon": slice(0, 4)', '"lon": slice(1, 3)')
    assert project.run()[1] == {}
    project.edit("climate_of_air", "2021-12-31", "2022-12-31")  # twice as long
    assert project.run()[1] == {"corrected": 10}
    shutil.rmtree(project.folder / "air.zarr")
    write_air(project.folder / "air.zarr", 2023)  # the same, and another year
    assert project.run()[1] == {}
    project.edit("climate_of_air", "2022-12-31", "2023-12-31")
    assert project.run()[1] == {"corrected": 10}
    project.edit("climate_of_air", "1.01", "1.02")
    assert project.run()[1] == {"corrected": 30}
