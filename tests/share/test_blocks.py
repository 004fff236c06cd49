"""Shared and stored arrays run as few tasks as Dask runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from pipeline import Store, compute, measure, share

VALUES = np.arange(64.0).reshape(8, 8)


def blocks() -> Any:
    return da.from_array(VALUES, chunks=4, name=False)


def chain(start: Any, steps: int = 10) -> Any:
    for step in range(steps):
        start = da.sin(start) + step
    return start


def standardized() -> Any:
    values = blocks()
    return (values - values.mean()) / values.std()


PROGRAMS: dict[str, Callable[[], list[Any]]] = {
    "two equal sums": lambda: [standardized() + standardized()],
    "two chains from equal blocks": lambda: [chain(blocks()) * 2, chain(blocks()) * 3],
    "a product of equal matrices": lambda: [(blocks() + 1) @ (blocks() + 1).T],
    "one program": lambda: [chain(blocks()).sum(), chain(blocks()).mean()],
    "a dataset": lambda: [xr.DataArray(chain(blocks()) + chain(blocks()).mean(axis=0)).sum()],
}


def ran(collections: Any) -> tuple[int, Any]:
    """How many tasks Dask ran, and the values."""
    with measure() as measured:
        values = dask.compute(*collections, scheduler="sync")
    return measured.tasks, values


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_shared_array_program_runs_no_more_tasks(name: str) -> None:
    plain_tasks, plain = ran(PROGRAMS[name]())
    shared_tasks, values = ran(share(PROGRAMS[name]()))
    assert shared_tasks <= plain_tasks
    for value, expected in zip(values, plain, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("is_context", [False, True])
def test_a_chain_stores_one_result_a_block(tmp_path: Path, is_context: bool) -> None:
    if is_context:
        with Store(tmp_path):
            value = chain(blocks()).compute(scheduler="sync")
    else:
        [value] = compute(chain(blocks()), store=Store(tmp_path), scheduler="sync")
    np.testing.assert_array_equal(value, chain(blocks()).compute(scheduler="sync"))
    assert len(Store(tmp_path)) == 4
    assert Store(tmp_path).explain(chain(blocks())).count("hit") == 4


def test_a_longer_chain_goes_on_from_stored_blocks(tmp_path: Path) -> None:
    compute(chain(blocks()), store=tmp_path, scheduler="sync")
    longer = chain(chain(blocks()), 2)
    explanation = Store(tmp_path).explain(longer)
    assert explanation.count("hit") == 4
    with measure() as measured:
        [value] = compute(longer, store=tmp_path, scheduler="sync")
    assert measured.tasks == 4  # and four are loaded
    np.testing.assert_array_equal(value, longer.compute(scheduler="sync"))


def test_operations_with_two_inputs_are_one_task(tmp_path: Path) -> None:
    values = da.sqrt((blocks() + 1) * (da.ones((8, 8), chunks=4) - 2) + 64)
    with measure() as measured:
        compute(values, store=tmp_path, scheduler="sync")
    assert measured.tasks == 4 < ran([values])[0]
    assert len(Store(tmp_path)) == 4


def test_keep_overrules(tmp_path: Path) -> None:
    compute(chain(blocks(), 3), store=Store(tmp_path, keep=["sin"]), scheduler="sync")
    assert len(Store(tmp_path)) == 16
