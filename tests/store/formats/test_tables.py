"""Tables come back as they were, index, labels and all; streams of Arrow hold flat columns only."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline import digest
from pipeline.store import CodecError, UnstorableError, encoded
from pipeline.store.formats import tables
from pipeline.store.formats.codec import decoded
from tests.fuzz import DAY, FRAME, back, packed, payload, same, unpacked
from tests.names import shown


def described(**attrs: Any) -> pd.DataFrame:
    frame = FRAME.copy()
    frame.attrs = attrs
    return frame


def streamed(*arrays: Any, **options: Any) -> memoryview:
    sink = io.BytesIO()
    batch = pa.record_batch(list(arrays), [str(place) for place in range(len(arrays))])
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_batch(batch)
    return memoryview(sink.getvalue())


UUID = b"0123456789abcdef"
SERIES: list[Any] = [
    pd.Series([1, 2], dtype=dtype) for dtype in ("i1", "u8", "f2", "f4", "c8", "bool", "M8[s]")
] + [
    pd.Series(np.array([1, 2], ">i4")),
    pd.Series([0.0, -0.0, np.nan, np.inf]),
    pd.Series(np.array([0x7FF8_0000_0000_0007], np.uint64).view("f8")),
    pd.Series(["a", None, ""], dtype="str"),
    pd.Series(["a", None], dtype="string[pyarrow]"),
    pd.Series(["a", None], dtype=pd.StringDtype("python", na_value=np.nan)),
    pd.Series(["a", None, np.nan, 1, Decimal("1.0"), [1], pd.NA], dtype=object),
    pd.Series([1.5, None], dtype="Float64"),
    pd.Series([True, None], dtype="boolean"),
    pd.Series(pd.arrays.FloatingArray(np.array([np.nan, 1]), np.array([False, True]))),
    pd.Series([1, None], dtype="UInt16"),
    pd.Series(["2020", None], dtype="M8[ms, Asia/Tokyo]"),
    pd.Series(["2020", None], dtype="timestamp[us, tz=UTC][pyarrow]"),
    pd.Series([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
    pd.Series([b"a"], dtype=pd.ArrowDtype(pa.large_binary())),
    pd.Series(["b", "a", None], dtype=pd.CategoricalDtype(["c", "b", "a"], ordered=True)),
    pd.Series([1.5, 2.5], dtype="category"),
    pd.Series(pd.interval_range(0.0, 2.0)),
    pd.Series(pd.period_range("2020", periods=2, freq="W-TUE")),
    pd.Series([], dtype=object),
    pd.Series(pd.to_timedelta([1, None]), name=3.5),
    pd.Series([1], name=("a", DAY)),
    pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    pd.Series([{"a": [1]}, None], dtype=pd.ArrowDtype(pa.struct([("a", pa.list_(pa.int8()))]))),
    pd.Series(["a", None, "a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    pd.Series([None], dtype=pd.ArrowDtype(pa.null())),
    pd.Series([[("a", 1)]], dtype=pd.ArrowDtype(pa.map_(pa.string(), pa.int8()))),
    pd.Series(pd.arrays.SparseArray([0, 1, 0])),
    pd.Series(pd.arrays.SparseArray([True, False])),
    pd.Series(pd.arrays.SparseArray([1.5, np.nan, 2.5], kind="block")),
    pd.Series(pd.arrays.SparseArray([1, 1, 5], fill_value=1)),
]

COLUMNS: list[Any] = [
    pd.Categorical(["a", "b"], ordered=True), pd.array([1, None]), pd.array(["a", None]),
    pd.array(["a"], dtype="string[python]"), pd.array([1.5]), pd.array([True, None]),
    pd.array(np.array(["2020"], "M8[s]")), pd.array(np.array([1], "m8[ns]")),
    pd.arrays.NumpyExtensionArray(np.arange(2)), pd.arrays.SparseArray([0, 1]),
    pd.period_range("2020", periods=2, freq="M").array, pd.interval_range(0, 2).array,
    pd.DatetimeIndex(["2020", "2021"], tz="UTC").array,
    pd.array([[1]], pd.ArrowDtype(pa.list_(pa.int8()))),
]  # fmt: skip

SCALARS: list[Any] = [
    pd.Period("2020-01", "M"),
    pd.Period("2020-01-05", "W-TUE"),
    pd.Interval(0, 1.5, "both"),
    pd.Interval(DAY, DAY + pd.Timedelta("1D"), closed="left"),
]

INDEXES: list[Any] = [
    pd.RangeIndex(3), pd.RangeIndex(9, 0, -2, name="n"), pd.Index([3, 1]), pd.Index([True, False]),
    pd.Index([("a", 1), ("b", 2)], tupleize_cols=False), pd.Index(["a", None], dtype=object),
    pd.Index(["a", "b"], dtype="string"), pd.Index([1, None], dtype="Int8"), pd.Index([1j]),
    pd.date_range("2020", periods=4, freq="2h", tz=ZoneInfo("America/New_York"), name="when"),
    pd.date_range("2020", periods=3, freq="YE-MAR"), pd.DatetimeIndex(["2020", None], freq=None),
    pd.date_range("2020", periods=0, freq="D"), pd.date_range("2020", periods=3, freq="SME"),
    pd.date_range("2020", periods=2).as_unit("s"), pd.timedelta_range("1D", periods=3, freq="36h"),
    pd.period_range("2020-01", periods=3, freq="M", name="p"), pd.interval_range(DAY, periods=2),
    pd.CategoricalIndex(["a", "b"], categories=["b", "a", "c"], name="kind"),
    pd.MultiIndex.from_arrays([[1, 1], pd.date_range("2020", periods=2)], names=["a", ("b", 1)]),
    pd.MultiIndex.from_product([[1, 2], [*"ab"]])[:2],
    pd.MultiIndex.from_tuples([], names=["a", "b"]),
    pd.MultiIndex.from_arrays([[None, 1.5], ["a", None]]),
]  # fmt: skip

FRAMES: list[Any] = [
    FRAME, FRAME[::2], FRAME.T, FRAME.set_index("day"), FRAME[["kind", "kind"]], FRAME.iloc[:0],
    pd.DataFrame(index=["a", "b"]), pd.DataFrame(columns=["a", "b"]), described(unit="m", n=[1]),
    FRAME.set_flags(allows_duplicate_labels=False), pd.DataFrame({1: [1], "a": [2], None: [3]}),
    FRAME.rename_axis(columns="labels"), pd.DataFrame(np.eye(3), columns=pd.RangeIndex(3)),
    FRAME.pivot_table(values="real", index="whole", columns="kind", observed=True),
    pd.concat([FRAME, FRAME], keys=["x", "y"], axis=1), FRAME.groupby("kind", observed=True).size(),
    pd.DataFrame(np.arange(30_000).reshape(-1, 3)),
]  # fmt: skip


@pytest.mark.parametrize("value", SERIES + INDEXES + FRAMES, ids=lambda value: type(value).__name__)
def test_a_table_comes_back_as_it_was(value: Any) -> None:
    made = back(value)
    assert same(made, value)
    match value:
        case pd.DataFrame():
            pd.testing.assert_frame_equal(made, value, check_flags=True, check_exact=True)
        case pd.Series():
            pd.testing.assert_series_equal(made, value, check_flags=True, check_exact=True)
        case _:
            pd.testing.assert_index_equal(made, value, exact=True)
            assert getattr(made, "freq", None) == getattr(value, "freq", None)


@pytest.mark.parametrize("value", COLUMNS, ids=lambda value: type(value).__name__)
def test_a_column_alone_comes_back_as_it_was(value: Any) -> None:
    made = back(value)
    assert type(made) is type(value)
    pd.testing.assert_extension_array_equal(made, value, check_exact=True)
    assert same(made, value)


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_a_period_or_an_interval_comes_back_as_it_was(value: Any) -> None:
    assert repr(back(value)) == repr(value)


def test_a_sparse_column_keeps_its_places_and_its_kind() -> None:
    for kind in ("integer", "block"):
        array = pd.arrays.SparseArray([0, 0, 3, 4], kind=kind)
        made = back(pd.Series(array)).array
        assert (made.kind, made.fill_value, made.density) == (kind, 0, 0.5)
        assert made.sp_index.equals(array.sp_index)


def test_a_table_that_was_loaded_may_be_changed() -> None:
    frame = back(FRAME)
    frame.loc[0, "whole"] = 9
    frame["real"] += 1
    frame.loc[1, "maybe"] = 5
    assert frame.whole.tolist() == [9, 2, 3]


class Derived(pd.DataFrame):  # type: ignore[misc] # pandas has no types here
    pass


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (pd.Series([UUID], dtype=pd.ArrowDtype(pa.uuid())), "a column of extension"),
        (pd.bdate_range("2020", periods=2, freq="C"), "a frequency CustomBusinessDay: set freq"),
        (pd.Series(["\ud800"], dtype="string[python]"), "a Series: .*surrogates"),
        (pd.Series([object()]), "an object: no format"),
        (described(lock=object()), "an object: no format"),
        (Derived(FRAME), "a Derived"),
        (FRAME.groupby("kind", observed=True), "a DataFrameGroupBy: no format"),
        (pd.Grouper(key="a"), "a Grouper: no format"),
    ],
    ids=shown,
)
def test_other_tables_are_refused_with_a_reason(value: Any, why: str) -> None:
    with pytest.raises(UnstorableError, match=why):
        encoded(value)


@pytest.mark.parametrize(
    "value",
    [pd.offsets.MonthEnd(2), pd.DateOffset(months=1), pd.CategoricalDtype(["b", "a"], ordered=True),
     pd.Int64Dtype(), pd.StringDtype("pyarrow"), pd.DatetimeTZDtype("us", "Europe/Paris"),
     pd.Series([1, "a", None]).to_frame("a").convert_dtypes().dtypes],
    ids=shown,
)  # fmt: skip
def test_offsets_and_dtypes_come_back_as_they_were(value: Any) -> None:
    made = back(value)
    assert type(made) is type(value)
    assert made.equals(value) if isinstance(value, pd.Series) else made == value


def test_a_table_without_a_format_is_pickled_if_pickle_is_allowed() -> None:
    value = pd.Series([1.5, 2.5], index=pd.bdate_range("2020", periods=2, freq="C"))
    data = payload([value], pickle=True)
    assert decoded(data, pickle=True)[0].equals(value)
    with pytest.raises(CodecError, match="a pickle"):
        decoded(data)


def test_without_pyarrow_a_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnstorableError, match=r"a Series: .* pip install pyarrow"):
        encoded(pd.Series([1]))


def test_the_codec_imports_no_pandas_and_no_pyarrow() -> None:
    code = (
        "import sys; import pipeline.store.formats.codec as codec; codec.encoded([1, 'a'])\n"
        "sys.exit(bool({'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def table(head: Any, stream: bytes | memoryview = b"") -> bytes:
    """The payload of a table with this head and this stream."""
    tree, buffers = unpacked(payload(head))
    return packed([2, tree], *buffers, bytes(stream))


NUMBERS = pa.array(range(1000))
TEXTS = pa.array(["a" * 50] * 1000)
VALID = streamed(NUMBERS)


def test_a_stream_holds_what_was_written() -> None:
    assert tables.read_stream(streamed(NUMBERS, TEXTS)) == [NUMBERS, TEXTS]
    assert tables.read_stream(memoryview(b"")) == []


def test_a_missing_column_does_not_end_a_list_early() -> None:
    series = table(("Series", pd.RangeIndex(1), {}, True, None, ("numbers",)))
    tree, buffers = unpacked(series)
    with pytest.raises(CodecError, match="StopIteration"):
        decoded(packed([20, 1, tree, 3], *buffers))


@pytest.mark.parametrize(
    "options",
    [{"compression": "lz4"}, {"compression": "zstd"},
     {"metadata_version": pa.ipc.MetadataVersion.V4}],
    ids=shown,
)  # fmt: skip
def test_a_stream_that_may_be_compressed_is_refused_before_it_is_unpacked(options: Any) -> None:
    with pytest.raises(CodecError, match="compressed"):
        tables.read_stream(streamed(TEXTS, **options))


@pytest.mark.parametrize(
    "view",
    [
        streamed(TEXTS.dictionary_encode()),
        streamed(pa.array([[1]])),
        streamed(pa.array([{"a": 1}])),
        streamed(pa.array([None])),
        streamed(pa.array(["a"], pa.string_view())),
        streamed(pa.RunEndEncodedArray.from_arrays([1000], [1])),
        streamed(pa.array([b""], pa.binary(0))),
        streamed(pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16], pa.binary(16)))),
        VALID[:-8].tobytes() + VALID.tobytes(),
        VALID.tobytes()[:200],
        VALID[200:],
        memoryview(b"\0"),
        memoryview(b"\xff" * 64),
    ],
    ids=lambda view: f"{len(view)}",
)
def test_other_streams_are_refused(view: Any) -> None:
    with pytest.raises((CodecError, ValueError, pa.ArrowException, OSError)):
        tables.read_stream(memoryview(view))
    with pytest.raises(CodecError):
        decoded(table(("Series", 0j, {}, True, None, ("numbers",)), view))


def test_columns_of_a_stream_do_not_share_their_bytes() -> None:
    array = pa.array(range(1000))
    data = streamed(array, array).tobytes()
    begin = data.index(struct.pack("<4q", 0, 1, 2, 3))
    places = struct.pack("<5q", 8000, 8000, 0, 8000, 8000)
    head = data[:begin].replace(places, struct.pack("<5q", 8000, 0, 0, 0, 8000))
    head = head.replace(struct.pack("<q", 16_000), struct.pack("<q", 8000))
    assert head != data[:begin]
    with pytest.raises(CodecError, match="16000 bytes in"):
        tables.read_stream(memoryview(head + data[begin : begin + 8000] + data[begin + 16_000 :]))


def test_a_long_range_beside_few_numbers_is_refused() -> None:
    for many in (2**20, 2**20 + 17):
        level = pd.RangeIndex(many)
        for value in (
            pd.MultiIndex([level], [[0, 1]], verify_integrity=False),
            pd.Series(pd.Categorical.from_codes([0, 1], level)),
        ):
            if many == 2**20:
                assert same(back(value), value)
                continue
            with pytest.raises(UnstorableError, match="a range of 1048593 beside"):
                encoded(value)


def test_texts_in_a_stream_that_are_not_utf_8_are_refused() -> None:
    data = streamed(pa.array(["abc", "def"])).tobytes().replace(b"abcdef", b"abc\xff\xfe\xfd")
    with pytest.raises(pa.ArrowInvalid, match="UTF"):
        tables.read_stream(memoryview(data))


@pytest.mark.parametrize(
    "head",
    [
        (), ("Nothing",), ("DataFrame",), ("Series", None, {}, True, None, ("objects", [1])),
        ("Series", pd.RangeIndex(2), {}, True, None, ("objects", [1])),
        ("Series", pd.RangeIndex(1), [], True, None, ("objects", [1])),
        ("Series", pd.RangeIndex(1), {}, True, [1], ("objects", [1])),
        ("Series", pd.RangeIndex(1), {}, True, None, ("numbers",)),
        ("DataFrame", pd.RangeIndex(10**15), {}, True, pd.RangeIndex(1), [("objects", [1])]),
        ("DataFrame", pd.RangeIndex(1), {}, True, pd.RangeIndex(10**15), [("objects", [1])]),
        ("DataFrame", pd.RangeIndex(1), {}, False, pd.Index([1, 1]), [("objects", [1])] * 2),
        ("Index", "system", None, None, ("objects", [1])),
        ("Index", "DatetimeIndex", None, ("system", 1, False, {}), ("array", np.zeros(1, "M8[s]"))),
        ("Index", "DatetimeIndex", None, ("Day", 2**62, False, {}),
         ("array", np.zeros(3, "M8[s]"))),
        ("Index", "DatetimeIndex", None, ("Day", 1, False, {"a": 1}), ("objects", [])),
        ("MultiIndex", [None], [[1]], [[0]], None),
        ("MultiIndex", [None], [pd.Index([1])], [[7]], None),
        ("RangeIndex", None, 0, 1, 0), ("RangeIndex", None, "a"),
        ("Timestamp", 1, "x", None), ("Timestamp", 1, "s", "Europe/Paris"),
        ("Timestamp", 2**70, "s", None), ("Timedelta", 1, "x"), ("NaTType", 1),
    ],
    ids=lambda head: f"{head!s:.60}",
)  # fmt: skip
def test_other_heads_are_refused(head: Any) -> None:
    with pytest.raises(CodecError):
        decoded(table(head))


@pytest.mark.parametrize(
    ("array", "head"),
    [
        (NUMBERS, ("times", "O")), (NUMBERS, ("times", "<M8[x]")), (NUMBERS, ("texts", "os", True)),
        (NUMBERS, ("zoned", "ns", "dateutil//etc/passwd")), (NUMBERS, ("zoned", "Y", None)),
        (NUMBERS, ("periods", None)), (NUMBERS, ("categories", pd.Index([1]), False)),
        (NUMBERS, ("categories", pd.Index([1, 1]), False)), (TEXTS, ("masked",)), (NUMBERS, ()),
        (pa.array([1, None]), ("numbers",)), (NUMBERS, ("texts", "python", True)),
        (NUMBERS, ("nested", [1])), (NUMBERS, ("sparse", "block", 2, None, np.ones(1), 0)),
        (NUMBERS, ("sparse", "block", 10**15, np.array([1], "i4"), np.ones(1), 0)),
        (NUMBERS, ("sparse", "integer", 3, np.array([7], "i4"), np.ones(1), 0)),
        (NUMBERS, ("sparse", "integer", 3, np.array([-1], "i4"), np.ones(1), 0)),
        (NUMBERS, ("sparse", "integer", 3, np.array([1], "i4"), np.ones(2), 0)),
        (NUMBERS, ("sparse", "integer", 3, np.array([1, 1], "i4"), np.ones(2), 0)),
        (NUMBERS, ("sparse", "none", 3, np.array([1], "i4"), np.ones(1), 0)),
    ],
    ids=shown,
)  # fmt: skip
def test_columns_with_heads_of_other_columns_are_refused(array: Any, head: Any) -> None:
    index = pd.RangeIndex(len(array))
    with pytest.raises(CodecError) as caught:
        decoded(table(("Series", index, {}, True, None, head), streamed(array)))
    assert not isinstance(caught.value.__cause__, StopIteration | SystemError)


def test_a_table_is_checked_although_one_like_it_was() -> None:
    """Two types of texts of Arrow have one name in pandas."""
    texts = [
        pa.chunked_array([pa.array(["a", "b"], kind)]) for kind in (pa.large_string(), pa.string())
    ]
    frames = [pd.DataFrame({"x": pd.arrays.ArrowStringArray(column)}) for column in texts]
    names = pd.Index(["x"], name=(1, 2.0)), pd.Index(["x"], name=(1, 2))
    for value in [*frames, *frames[::-1], *names]:
        assert digest(back(value)) == digest(value)
    odd = pd.Series([1, 2], name="n")
    odd.attrs = {"unit": "m"}
    assert back(odd).attrs == odd.attrs
    odd.attrs = {"unit": 1}
    assert back(odd).attrs == odd.attrs
