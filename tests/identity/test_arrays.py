"""Arrays that nobody can change, hashes of their content, and what tables hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline import digest
from pipeline.identity import freeze_array
from pipeline.identity.arrays import array_content, table_content

MATRIX = np.arange(6.0).reshape(2, 3)


def test_a_frozen_array_is_equal_and_cannot_be_made_writable() -> None:
    frozen = freeze_array(MATRIX)
    np.testing.assert_array_equal(frozen, MATRIX)
    assert frozen.dtype == MATRIX.dtype
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        frozen.flags.writeable = True


def test_freezing_a_frozen_array_or_a_part_of_one_copies_nothing() -> None:
    frozen = freeze_array(MATRIX)
    assert freeze_array(frozen) is frozen
    part = frozen[1:, ::2]
    assert freeze_array(part) is part


@pytest.mark.parametrize(
    "array",
    [
        MATRIX.T,
        MATRIX[:, ::2],
        np.array(3.5),
        np.array([], "i4"),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array(["ab", "c"]),
        MATRIX.astype(">f4"),
    ],
    ids=str,
)
def test_any_kind_of_array_is_frozen_as_it_is(array: np.ndarray) -> None:
    frozen = freeze_array(array)
    assert frozen is not array
    assert (frozen.dtype, frozen.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(frozen, array)
    assert array_content(frozen) == array_content(array)


def test_content_is_of_the_elements_not_of_the_memory() -> None:
    assert array_content(MATRIX) == array_content(np.asfortranarray(MATRIX))
    assert array_content(MATRIX) != array_content(MATRIX + 1)
    changed = MATRIX.copy()
    before = array_content(changed)
    changed[0, 0] = 9
    assert array_content(changed) != before


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
def test_different_tables_differ(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


def test_other_values_have_no_table_content() -> None:
    assert table_content(pd.Timestamp("2020")) is None
    assert table_content(3) is None
