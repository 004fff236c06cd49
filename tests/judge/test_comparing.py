"""What the judge calls a difference. Each pair differs in one point alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask import delayed

from tests.judge.comparing import difference

ONES = np.ones(2)
FRAME = pd.DataFrame({"a": [1.0, np.nan]}, index=[3, 4])
LABELLED = xr.DataArray(np.arange(2), dims="x", coords={"x": [5, 6]}, name="n")


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


class Point:
    def __init__(self, x: Any) -> None:
        self.x = x


DIFFERENT = {
    "type": (1, True),
    "type of a number": (np.float64(1), 1.0),
    "sign of zero": (0.0, -0.0),
    "value": (1.0, 1.0 + 1e-15),
    "dtype": (ONES, ONES.astype("f4")),
    "shape": (ONES, ONES.reshape(1, 2)),
    "last bit": (ONES, np.nextafter(ONES, 2)),
    "NaN": (np.array([1, np.nan]), np.array([np.nan, 1])),
    "mask": (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 2], mask=[True, False])),
    "array of objects": (np.array([1, None]), np.array([1, 0], object)),
    "read-only": (read_only(ONES), ONES),
    "index": (FRAME, FRAME.set_axis([3, 5])),
    "name of an index": (FRAME, FRAME.rename_axis("i")),
    "kind of an index": (FRAME.reset_index(drop=True), FRAME.set_axis([0, 1])),
    "order of rows": (FRAME, FRAME.iloc[::-1]),
    "order of columns": (FRAME.assign(b=1)[["a", "b"]], FRAME.assign(b=1)[["b", "a"]]),
    "dtype of a column": (FRAME, FRAME.astype("f4")),
    "name of a series": (FRAME["a"], FRAME["a"].rename("b")),
    "categories": (
        pd.Series(["a"], dtype="category"),
        pd.Series(pd.Categorical(["a"], ["a", "b"])),
    ),
    "labels": (LABELLED, LABELLED.assign_coords(x=[5, 7])),
    "attributes": (LABELLED, LABELLED.assign_attrs(a=1)),
    "dtype of labels": (LABELLED, LABELLED.assign_coords(x=np.array([5, 6], "i4"))),
    "length": ([1], [1, 1]),
    "order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "depth": ([{"a": (1, ONES)}], [{"a": (1, ONES + 1)}]),
    "set": ({1}, {2}),
    "field of an object": (Point(1), Point(2)),
    "chunks": (da.ones(4, chunks=2), da.ones(4, chunks=4)),
    "delayed value": (delayed(1), delayed(2)),
    "lazy value": (da.ones(4, chunks=2), da.zeros(4, chunks=2)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_one_point_is_a_difference(name: str) -> None:
    ours, plain = DIFFERENT[name]
    assert difference(ours, plain)
    assert difference(plain, ours) or name == "read-only"


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_value_does_not_differ_from_its_copy(name: str) -> None:
    for value in DIFFERENT[name]:
        assert not difference(deepcopy(value), deepcopy(value))


def test_equal_fields_make_equal_objects() -> None:
    assert not difference(Point([np.nan, FRAME]), Point([np.nan, FRAME.copy()]))


def test_the_text_has_the_place() -> None:
    assert difference([{"a": 1}], [{"a": 2}]) == "result[0]['a']: 1 for 2"
