"""Columns: the arrays of pandas as arrays of Arrow, and these as one stream of bytes.

A stream is a schema and one batch of nameless columns, neither compressed nor nested. What else a
column is, its time zone say, stands beside, as plain values: its head.
"""

from __future__ import annotations

import struct
import sys
from datetime import timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.store.storables import CodecError, UnstorableError, check_range, noun

if TYPE_CHECKING:
    from collections.abc import Iterator

_OFFSETS = frozenset({
    "Day", "Hour", "Minute", "Second", "Milli", "Micro", "Nano", "BusinessDay", "Week",
    "MonthBegin", "MonthEnd", "BusinessMonthBegin", "BusinessMonthEnd", "SemiMonthBegin",
    "SemiMonthEnd", "QuarterBegin", "QuarterEnd", "BQuarterBegin", "BQuarterEnd", "YearBegin",
    "YearEnd", "BYearBegin", "BYearEnd",
})  # fmt: skip
"""The frequencies that are said by a name and numbers."""

_KINDS = (
    "boolean", "integer", "floating", "decimal", "date", "time", "timestamp", "duration",
    "string", "large_string", "binary", "large_binary",
)  # fmt: skip
"""The types that Arrow's streams may have here: no others are in them, and none is in others."""


def stream(flat: list[Any]) -> memoryview:
    """Arrays of one length as a stream of Arrow; no arrays as no bytes."""
    if not flat:
        return memoryview(b"")
    import pyarrow

    batch = pyarrow.RecordBatch.from_arrays(flat, [str(place) for place in range(len(flat))])
    for kind in batch.schema.types:
        if not _is_flat(kind):
            raise UnstorableError(f"a column of {kind}", "convert it with astype, to object say")
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue()).cast("B")


def read(view: memoryview) -> list[Any]:
    """The arrays of a stream, in its bytes."""
    if not view:
        return []
    import pyarrow

    schema, content, *others = pyarrow.ipc.MessageReader.open_stream(pyarrow.py_buffer(view))
    if others or schema.type != "schema" or content.type != "record batch":
        raise CodecError("a stream of Arrow that is not a schema and one batch")
    # Before anything unpacks it: a few bytes may be the compression of all memory.
    if is_compressed(memoryview(content.metadata).cast("B")):
        raise CodecError("a stream of Arrow that is compressed")
    known = pyarrow.ipc.read_schema(schema)
    if not all(map(_is_flat, known.types)):
        raise CodecError("a stream of Arrow with columns that are not flat")
    batch = pyarrow.ipc.read_record_batch(content, known)
    if batch.num_rows * batch.num_columns > 64 * len(view) + 1024:
        raise CodecError(f"a stream of Arrow with {batch.num_rows} rows in {len(view)} bytes")
    batch.validate(full=True)
    if batch.nbytes > len(view):
        raise CodecError(f"a stream of Arrow with {batch.nbytes} bytes in {len(view)}")
    return list(batch.columns)


def is_compressed(message: memoryview) -> bool:
    """Whether the message of a batch names a compression.

    A message is a flatbuffer: tables whose fields hold a number, or the way to another table. Its
    field 2 is the batch, whose field 3 is the compression.
    """
    (root,) = struct.unpack_from("<I", message)
    batch = _field(message, root, 2)
    if batch is None:
        raise CodecError("a message of Arrow without a batch")
    (way,) = struct.unpack_from("<I", message, batch)
    return _field(message, batch + way, 3) is not None


def _field(message: memoryview, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table stands; None where it has its default."""
    (back,) = struct.unpack_from("<i", message, table)
    fields = table - back
    if fields < 0:  # Python would count from the end
        raise CodecError("a message of Arrow with a table before it")
    (size,) = struct.unpack_from("<H", message, fields)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", message, fields + 4 + 2 * number)
    return table + offset if offset else None


def _is_flat(kind: Any) -> bool:
    import pyarrow

    return any(getattr(pyarrow.types, f"is_{name}")(kind) for name in _KINDS)


def offset_apart(offset: Any) -> tuple[Any, ...] | None:
    """A frequency as its name and numbers."""
    if offset is None:
        return None
    kind = type(offset).__name__
    if kind not in _OFFSETS:
        raise UnstorableError(f"a frequency {kind}", "set freq to None before it is stored")
    return (kind, offset.n, offset.normalize, offset.kwds)


def offset_together(pandas: Any, parts: Any) -> Any:
    """The frequency of this name and these numbers."""
    if parts is None:
        return None
    kind, number, normalize, options = parts
    if kind not in _OFFSETS:
        raise CodecError(f"a table of the frequency {kind!r}")
    return getattr(pandas.offsets, kind)(number, normalize, **options)


def zone(value: Any) -> Any:
    """A time zone: a name of one would make pandas look for a file."""
    if not isinstance(value, timezone | ZoneInfo):
        raise CodecError("a table of times without a time zone")
    return value


def apart(array: Any, flat: list[Any]) -> tuple[Any, ...]:
    """The head of a column; its numbers or texts are added to the arrays of Arrow."""
    dtype = array.dtype
    if isinstance(dtype, np.dtype) or type(array).__name__ == "NumpyExtensionArray":
        return _numpy_apart(np.asarray(array), flat)
    import pyarrow

    match type(dtype).__name__:
        case "DatetimeTZDtype":
            flat.append(pyarrow.array(array.asi8))
            return ("zoned", dtype.unit, dtype.tz)
        case "PeriodDtype":
            flat.append(pyarrow.array(array.asi8))
            return ("periods", offset_apart(dtype.freq))
        case "CategoricalDtype":
            flat.append(pyarrow.array(array.codes))
            return ("categories", dtype.categories, bool(dtype.ordered))
        case "IntervalDtype":
            return ("intervals", dtype.closed, array.left, array.right)
        case "StringDtype":
            flat.append(_whole(pyarrow.array(array, type=pyarrow.large_string())))
            return ("texts", dtype.storage, dtype.na_value is not sys.modules["pandas"].NA)
        case "ArrowDtype":
            flat.append(_whole(array.__arrow_array__()))
            return ("arrow",)
        case "BooleanDtype" | "Float32Dtype" | "Float64Dtype":
            flat.append(pyarrow.array(array._data, mask=array._mask))
            return ("masked",)
        case name if name.endswith(("Int8Dtype", "Int16Dtype", "Int32Dtype", "Int64Dtype")):
            flat.append(pyarrow.array(array._data, mask=array._mask))
            return ("masked",)
    raise UnstorableError(f"a column of {dtype}", "convert it with astype to a plain dtype")


def _numpy_apart(values: np.ndarray[Any, Any], flat: list[Any]) -> tuple[Any, ...]:
    if values.dtype.hasobject:
        return ("objects", values.tolist())
    if values.dtype.kind not in "biufmM" or not values.dtype.isnative:
        return ("array", values)  # Arrow has no such numbers
    import pyarrow

    is_time = values.dtype.kind in "mM"
    flat.append(pyarrow.array(values.view("i8") if is_time else values))
    return ("times", values.dtype.str) if is_time else ("numbers",)


def _whole(column: Any) -> Any:
    """A column of Arrow in one piece."""
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def together(pandas: Any, flat: Iterator[Any], head: Any) -> Any:
    """The column of a head; only arrays of Arrow, which never change, share the bytes of it."""
    match head:  # by type first, here and below: to compare a range with a text makes an array
        case str("objects"), list(values):
            return np.fromiter(values, object, len(values))
        case str("array"), np.ndarray() as values:
            return values.copy()
        case str("intervals"), str(closed), left, right:
            # Others may be lengths without bytes, of which an array would be made.
            if not {type(left), type(right)} <= {
                pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex
            }:  # fmt: skip
                raise CodecError(f"intervals from {noun(left)} to {noun(right)}")
            return pandas.arrays.IntervalArray.from_arrays(left, right, closed)
        case str("texts" | "arrow" | "masked"), *_:
            return _of_arrow(pandas, next(flat), head)
    return _of_numbers(pandas, _numbers(next(flat)), head)


def _of_arrow(pandas: Any, column: Any, head: Any) -> Any:
    match head:
        case str("texts"), str("python" | "pyarrow") as storage, bool(is_nan) if (
            column.type == "large_string"
        ):
            options = {"na_value": np.nan} if is_nan else {}
            return pandas.StringDtype(storage, **options).__from_arrow__(column)
        case (str("arrow"),):
            return pandas.arrays.ArrowExtensionArray(column)
        case (str("masked"),):
            return _masked(pandas.arrays, column)
    raise CodecError(f"no column has the head {head!r:.100}")


def _of_numbers(pandas: Any, numbers: np.ndarray[Any, Any], head: Any) -> Any:
    match head:
        case (str("numbers"),):
            return numbers
        case str("times"), str(code) if code.startswith(("<M8[", "<m8[")):
            return numbers.view(code)
        case str("zoned"), str("s" | "ms" | "us" | "ns") as unit, named:
            moments = pandas.DatetimeIndex(numbers.view(f"M8[{unit}]"))
            return moments.tz_localize("UTC").tz_convert(zone(named)).array
        case str("periods"), freq:
            dtype = pandas.PeriodDtype(offset_together(pandas, freq))
            return pandas.arrays.PeriodArray(numbers, dtype=dtype)
        case str("categories"), pandas.Index() as categories, bool(ordered):
            check_range(categories, numbers.nbytes)
            dtype = pandas.CategoricalDtype(categories, ordered)
            return pandas.Categorical.from_codes(numbers, dtype=dtype)
    raise CodecError(f"no column has the head {head!r:.100}")


def _numbers(column: Any) -> np.ndarray[Any, Any]:
    if column.null_count:
        raise CodecError("a column of numbers that lacks some")
    return np.array(column.to_numpy(zero_copy_only=False))


def _masked(arrays: Any, column: Any) -> Any:
    mask = np.array(column.is_null())
    values = _numbers(column.fill_null(False if str(column.type) == "bool" else 0))
    kinds = {"b": arrays.BooleanArray, "f": arrays.FloatingArray}
    return kinds.get(values.dtype.kind, arrays.IntegerArray)(values, mask)
