"""Tables by what they hold, not by how they hold it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline import digest
from pipeline.identity.frames import content_of

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [1.5, np.nan, 0.0]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FRAME, FRAME.copy()),
        (FRAME, pd.concat([FRAME[:1], FRAME[1:]])),
        (FRAME[1:], FRAME.copy()[1:]),
        (pa.array([1, None, 3])[:2], pa.array([1, None])),
        (pa.array([True, False, True])[:2], pa.array([True, False])),
        (pa.array(["a", None, "c"])[1:], pa.array([None, "c"])),
        (pa.array(["a", "b"]).dictionary_encode()[1:], pa.array(["b"]).dictionary_encode()),
        (pa.array([[1], [2, 3]])[1:], pa.array([[2, 3]])),
        (pd.MultiIndex.from_product([[1, 2], ["a", "b"]])[:2],
         pd.MultiIndex.from_product([[1], ["a", "b"]])),
        (pd.arrays.SparseArray([0, 1]), pd.arrays.SparseArray([0, 1])),
    ],
    ids=str,
)  # fmt: skip
def test_equal_tables_agree_however_they_are_cut(one: Any, other: Any) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1, None]), pa.array([None, 1])),
        (pa.array(["ab", "c"]), pa.array(["a", "bc"])),
        (pa.array([0], pa.date32()), pa.array([0], pa.int32())),
        (pd.interval_range(0, 2), pd.interval_range(0, 2, closed="left")),
        (pd.period_range("2020", periods=2, freq="D"),
         pd.period_range("2020", periods=2, freq="h")),
        (pd.bdate_range("2020-01-06", periods=2, freq="C"),
         pd.bdate_range("2020-01-06", periods=2, freq="C", holidays=["2021-01-01"])),
        (FRAME, FRAME.assign(c=[1.5, 0.0, 0.0])),
    ],
    ids=str,
)  # fmt: skip
def test_others_differ(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


def test_what_is_no_table_is_not_looked_into() -> None:
    assert content_of(pd.Timestamp("2020")) is None
    assert content_of(3) is None
