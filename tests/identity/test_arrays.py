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
from pipeline.store import decoded, encoded

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
    assert array_content(frozen) == array_content(frozen) == array_content(array)


@pytest.mark.parametrize(
    "array",
    [np.array([[1], None], object), np.array([]), MATRIX.view(np.matrix), np.ma.array([1, 2])],
    ids=str,
)
def test_what_bytes_cannot_hold_is_copied(array: np.ndarray) -> None:
    copy = freeze_array(array)
    assert copy is not array
    assert (type(copy), copy.dtype, copy.shape) == (type(array), array.dtype, array.shape)
    assert copy.tolist() == array.tolist()
    assert copy.flags.writeable


def test_a_read_only_view_of_memory_that_can_change_is_copied() -> None:
    view = MATRIX[:]
    view.flags.writeable = False
    assert freeze_array(view) is not view


def test_the_hash_of_an_array_that_can_change_is_computed_each_time() -> None:
    view = MATRIX.copy()
    writable = view[:]
    view.flags.writeable = False
    before = array_content(view)
    writable[0, 0] = 9
    assert array_content(view) != before


WIDE = np.arange(2**20, dtype="f8")  # as large as a block


@pytest.mark.parametrize(
    ("array", "content"),
    [
        (WIDE, "a15e83eac0c9f9654faffce9"),
        (np.arange(2**20 + 1, dtype="f8"), "800def5bcb1257c31c43ef6e"),
        (WIDE.reshape(2**10, 2**10), "a15e83eac0c9f9654faffce9"),
        (np.broadcast_to(WIDE, (3, 2**20)), "383d5bb4123906b969683eaf"),
        (np.arange(2**21, dtype="f8").reshape(1, -1), "6bec39e5e51e512bcf480e41"),
        (np.arange(2**22, dtype="f8"), "2bc8c63d0ac4955a991551cf"),
        (np.arange(2**20 + 2, dtype="f8").reshape(2, -1).T, "23e78b975a534dd3f8a0a214"),
        (np.array(3.0), "c3fe2e882c5d35362f37c753"),
        (np.array([], "f8"), "3db0a6801f3b5ce939201aad"),
    ],
)
def test_the_content_of_large_arrays_does_not_change_from_year_to_year(
    array: np.ndarray, content: str
) -> None:
    assert array_content(array) == content


@pytest.mark.parametrize("kind", ["g", "G"])
def test_wide_floats_differ_in_each_part(kind: str) -> None:
    values = np.array([0, 1, -1, 1j, -1j, 1 + 1j] if kind == "G" else [0, 1, -1, 0.5], kind)
    contents = {array_content(value[None]) for value in values}
    assert len(contents) == len(values)
    assert array_content(values) != array_content(values[::-1])
    assert len(array_content(values)) == 24


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


INT = "NumpyEADtype('int64')"


def plain(content: Any) -> Any:
    """A content whose arrays can be compared."""
    if isinstance(content, np.ndarray):
        return (content.dtype.str, *content.tolist())
    return type(content)(map(plain, content)) if isinstance(content, tuple | list) else content


def ints(*values: int) -> tuple[Any, ...]:
    return ("NumpyExtensionArray", INT, ("<i8", *values))


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (pd.DataFrame({1: [1, 2], 2: [3, 4]}, columns=[1, 2]),
         ("DataFrame", ("Index", None, None, ints(1, 2)), ("RangeIndex", 0, 2, 1, None),
          [ints(1, 2), ints(3, 4)], {}, True)),
        (pd.Series([1, 2], name="n"),
         ("Series", "n", ("RangeIndex", 0, 2, 1, None), ints(1, 2), {}, True)),
        (pd.Index([1, 2], name="i"), ("Index", "i", None, ints(1, 2))),
        (pd.RangeIndex(1, 9, 2, name="r"), ("RangeIndex", 1, 9, 2, "r")),
        (pd.MultiIndex.from_tuples([(1, 5), (2, 5)], names=["m", None]),
         ("MultiIndex", [("Index", "m", None, ints(1, 2)), ("Index", None, None, ints(5))],
          [("|i1", 0, 1), ("|i1", 0, 0)], ["m", None])),
        (pd.date_range("2020", periods=2, freq="D", tz="UTC", unit="s"),
         ("DatetimeIndex", None, pd.offsets.Day(),
          ("DatetimeArray", "datetime64[s, UTC]", ("<i8", 1577836800, 1577923200)))),
        (pd.to_timedelta([1, 2], unit="s").as_unit("s").array,
         ("TimedeltaArray", "dtype('<m8[s]')", ("<i8", 1, 2))),
        (pd.period_range("2020", periods=2, freq="D").array,
         ("PeriodArray", "period[D]", ("<i8", 18262, 18263))),
        (pd.interval_range(0, 2).array,
         ("IntervalArray", "interval[int64, right]", "right", ("Index", None, None, ints(0, 1)),
          ("Index", None, None, ints(1, 2)))),
        (pd.Categorical([3, None], ordered=True),
         ("Categorical",
          "CategoricalDtype(categories=[3], ordered=True, categories_dtype=int64)",
          ("|i1", 0, -1), ("Index", None, None, ints(3)), True)),
        (pd.array([1, None]),
         ("IntegerArray", "Int64Dtype()", ("|b1", False, True), ("<i8", 1, 0))),
        (pd.array([True, None]),
         ("BooleanArray", "BooleanDtype", ("|b1", False, True), ("|b1", True, False))),
        (pd.arrays.SparseArray([0, 1]), ("SparseArray", "Sparse[int64, 0]", [0, 1])),
        (pa.array([1, None]), ("column", "int64", ("|b1", True, False), ("<i8", 1, 0))),
        (pa.array([1, 2], "uint8"), ("column", "uint8", None, ("|u1", 1, 2))),
        (pa.array([1.5, None]), ("column", "double", ("|b1", True, False), ("<f8", 1.5, 0.0))),
        (pa.array([True, None]), ("column", "bool", ("|b1", True, False), ("|b1", True, False))),
        (pa.array(["ab", None, "c"]),
         ("column", "string", ("|b1", True, False, True), ("<i8", 2, 0, 1), ("|u1", 97, 98, 99))),
        (pa.array(["ab", None, "c"])[2:], ("column", "string", None, ("<i8", 1), ("|u1", 99))),
        (pa.array([], "string"), ("column", "string", None, ("<i8",), None)),
        (pa.array([None], "string"), ("column", "string", ("|b1", False), ("<i8", 0), ("|u1",))),
        (pa.array([b"a"]), ("column", "binary", None, ("<i8", 1), ("|u1", 97))),
        (pa.array([b"ab"], pa.binary(2)),
         ("column", "fixed_size_binary[2]", None, ("<i8", 2), ("|u1", 97, 98))),
        (pa.array([1, None], pa.date32()),
         ("column", "date32[day]", ("|b1", True, False), ("<i4", 1, 0))),
        (pa.array([1, None], pa.timestamp("s", "UTC")),
         ("column", "timestamp[s, tz=UTC]", ("|b1", True, False), ("<i8", 1, 0))),
        (pa.array([1], pa.time32("s")), ("column", "time32[s]", None, ("<i4", 1))),
        (pa.array([1], pa.duration("ms")), ("column", "duration[ms]", None, ("<i8", 1))),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
         ("column", "month_day_nano_interval", [(1, 2, 3)])),
        (pa.array([[1], None]), ("column", "list<item: int64>", [[1], None])),
        (pa.array(["a", "b", "a"]).dictionary_encode(),
         ("column", "dictionary<values=string, indices=int32, ordered=0>", "string", None,
          ("<i8", 1, 1, 1), ("|u1", 97, 98, 97))),
        (pa.chunked_array([[1], [2, None]]),
         ("column", "int64", ("|b1", True, True, False), ("<i8", 1, 2, 0))),
        (pa.array([None]), ("column", "null", [None])),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_content_of_a_table_is_plain(value: Any, content: Any) -> None:
    assert plain(table_content(value)) == content


def test_a_table_of_arrow_counts_with_its_schema() -> None:
    table = pa.table({"a": [1], "b": pa.chunked_array([[2]])})
    assert plain(table_content(table)) == (
        "Table", ("|u1", *table.schema.serialize().to_pybytes()),
        [("int64", None, ("<i8", 1)), ("int64", None, ("<i8", 2))],
    )  # fmt: skip
    [batch] = table.to_batches()
    assert digest(batch) != digest(table)
    assert digest(table) != digest(table.replace_schema_metadata({"unit": "m"}))
    assert digest(table) != digest(table.rename_columns(["a", "c"]))


def test_the_attributes_and_flags_of_a_table_count() -> None:
    plain, named, unique = (
        FRAME.copy(),
        FRAME.copy(),
        FRAME.set_flags(allows_duplicate_labels=False),
    )
    named.attrs["unit"] = "m"
    assert len({digest(frame) for frame in (plain, named, unique)}) == 3
    assert len({digest(frame.a) for frame in (plain, named, unique)}) == 3


def test_the_digest_of_a_table_leaves_its_memory_as_it_was() -> None:
    table = pd.Series([1, 2], index=["a", "b"])
    before = table.memory_usage()
    digest(table)
    assert table.memory_usage() == before


def test_other_values_have_no_table_content() -> None:
    assert table_content(pd.Timestamp("2020")) is None
    assert table_content(3) is None


def test_the_order_of_bytes_of_the_machine_has_one_digest() -> None:
    """What zarr reads names the order: `<f8`."""
    named = MATRIX.view(np.dtype("f8").newbyteorder("<"))
    assert repr(named.dtype) == "dtype('<f8')"
    assert digest(named) == digest(MATRIX)
    assert digest(named.astype(">f8")) != digest(MATRIX)


def test_an_index_of_what_zarr_reads_is_stored() -> None:
    index = pd.Index(np.arange(3.0).view(np.dtype("f8").newbyteorder("<")))
    assert decoded(b"".join(encoded(index))).equals(index)
