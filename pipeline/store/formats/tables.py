"""Pandas' objects: columns in Arrow's stream format, and a head of plain values beside them.

Arrow has no place for all that pandas knows, and what pandas reads from Arrow's metadata may ask
for anything. So a stream is a schema and one batch of nameless columns, neither compressed nor
nested. The head holds labels, dtypes, frequencies and objects.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.identity import encode
from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun

Columns = list[Any]  # arrays of Arrow

_TIMED = ("DatetimeIndex", "TimedeltaIndex")
_INDEXES = ("Index", "PeriodIndex", "CategoricalIndex", "IntervalIndex", *_TIMED)

_MAX_RANGE = 1 << 20  # numbers without bytes, in addition to one for each byte


def is_table(kind: type) -> bool:
    """Whether a type is one of pandas'; this imports nothing."""
    return f"{kind.__module__}.".startswith("pandas.")


@contextmanager
def _errors_of(value: Any) -> Iterator[None]:
    """Turn the errors of pandas and Arrow, for values that they cannot convert, into ours."""
    try:
        yield
    except UnstorableError:
        raise
    except ImportError as error:
        raise UnstorableError(
            noun(value), "tables are stored by pyarrow; install it: pip install pyarrow"
        ) from error
    except Exception as error:
        raise UnstorableError(noun(value), f"{error}; give it plain dtypes") from error


def table_parts(value: Any) -> tuple[list[memoryview], tuple[Any, ...]]:
    """A stream of Arrow with the columns of a table, and its head: plain values and indexes."""
    columns: Columns = []
    with _errors_of(value):
        head = _head(value, columns)
        return [_stream(columns)], head


def check_table(value: Any, buffers: list[memoryview], head: Any) -> None:
    """Refuse a table that would come back with other content: pandas may have changed it."""
    with _errors_of(value):
        if encode(build_table(buffers[0], head)) != encode(value):
            raise UnstorableError(noun(value), "it would come back changed; give it plain dtypes")


def build_table(view: memoryview, head: Any) -> Any:
    """The table of this stream and this head."""
    import pandas

    columns = iter(read_stream(view))
    table = _build(pandas, columns, head)
    if next(columns, None) is not None:
        raise CodecError("a table with more columns than it has heads of columns")
    return table


def _head(value: Any, columns: Columns) -> tuple[Any, ...]:
    """The head of a table; appends its columns to `columns`."""
    kind = type(value).__name__
    if kind in ("NaTType", "NAType"):
        return (kind,)
    if type(value) is not getattr(sys.modules["pandas"], kind, None):
        raise UnstorableError(noun(value), "no format for it; return a plain table of pandas")
    if kind in ("DataFrame", "Series"):
        beside = (value.index, dict(value.attrs), bool(value.flags.allows_duplicate_labels))
        if kind == "Series":
            return (kind, *beside, value.name, _column_head(value.array, columns))
        arrays = [value.iloc[:, place].array for place in range(value.shape[1])]
        return (kind, *beside, value.columns, [_column_head(array, columns) for array in arrays])
    if kind == "RangeIndex":
        return (kind, value.name, value.start, value.stop, value.step)
    if kind == "MultiIndex":
        codes = [np.asarray(level_codes) for level_codes in value.codes]
        return (kind, list(value.names), list(value.levels), codes, value.sortorder)
    if kind in _INDEXES:
        freq = _frequency_parts(value.freq) if kind in _TIMED else None
        return ("Index", kind, value.name, freq, _column_head(value.array, columns))
    if kind in ("Timestamp", "Timedelta"):
        zone = (value.tzinfo,) if kind == "Timestamp" else ()
        return (kind, value.asm8.view("i8").item(), value.unit, *zone)
    raise UnstorableError(noun(value), "no format for it; return a Series or an Index of it")


def _column_head(array: Any, columns: Columns) -> tuple[Any, ...]:
    """The head of a column; appends its numbers or texts to `columns`."""
    dtype = array.dtype
    if isinstance(dtype, np.dtype) or type(array).__name__ == "NumpyExtensionArray":
        return _numpy_head(np.asarray(array), columns)
    if type(dtype).__name__ == "IntervalDtype":
        return ("intervals", dtype.closed, array.left, array.right)
    import pyarrow

    pandas = sys.modules["pandas"]
    head: tuple[Any, ...]
    match type(dtype).__name__:
        case "DatetimeTZDtype":
            head, column = ("zoned", dtype.unit, dtype.tz), pyarrow.array(array.asi8)
        case "PeriodDtype":
            head, column = ("periods", _frequency_parts(dtype.freq)), pyarrow.array(array.asi8)
        case "CategoricalDtype":
            head = ("categories", dtype.categories, bool(dtype.ordered))
            column = pyarrow.array(array.codes)
        case "StringDtype":
            head = ("texts", dtype.storage, dtype.na_value is not pandas.NA)
            column = pyarrow.array(array, type=pyarrow.large_string())
        case "ArrowDtype":
            head, column = ("arrow",), array.__arrow_array__()
        case _ if isinstance(array, _masked_arrays(pandas)):
            head, column = ("masked",), pyarrow.array(array)
        case _:
            raise UnstorableError(f"a column of {dtype}", "convert it with astype to a plain dtype")
    is_chunked = isinstance(column, pyarrow.ChunkedArray)
    columns.append(column.combine_chunks() if is_chunked else column)
    return head


def _numpy_head(values: np.ndarray[Any, Any], columns: Columns) -> tuple[Any, ...]:
    if values.dtype.hasobject:
        return ("objects", values.tolist())
    if values.dtype.kind not in "biufmM" or not values.dtype.isnative:
        return ("array", values)  # Arrow has no such numbers
    import pyarrow

    is_time = values.dtype.kind in "mM"
    columns.append(pyarrow.array(values.view("i8") if is_time else values))
    return ("times", values.dtype.str) if is_time else ("numbers",)


def _masked_arrays(pandas: Any) -> tuple[type, ...]:
    arrays = pandas.arrays
    return (arrays.IntegerArray, arrays.FloatingArray, arrays.BooleanArray)


def _build_column(pandas: Any, columns: Iterator[Any], head: Any) -> Any:
    """The column of a head; only immutable arrays of Arrow share the bytes of the stream."""
    match head:  # type first, here and below: comparing a range with a text makes an array
        case str("objects"), list(values):
            return np.fromiter(values, object, len(values))
        case str("array"), np.ndarray() as values:
            return values.copy()
        case str("intervals"), str(closed), left, right:
            # Others may be lengths without bytes, from which pandas would make an array.
            if not {type(left), type(right)} <= {
                pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex
            }:  # fmt: skip
                raise CodecError(f"intervals from {noun(left)} to {noun(right)}")
            return pandas.arrays.IntervalArray.from_arrays(left, right, closed)
        case str("texts"), str("python" | "pyarrow") as storage, bool(is_nan):
            if (column := next(columns)).type != "large_string":
                raise CodecError(f"a column of texts that holds {column.type}")
            options = {"na_value": np.nan} if is_nan else {}
            return pandas.StringDtype(storage, **options).__from_arrow__(column)
        case (str("arrow"),):
            return pandas.arrays.ArrowExtensionArray(next(columns))
        case (str("masked"),):
            column = next(columns)
            numbers = _numbers(column.fill_null(False if str(column.type) == "bool" else 0))
            integers, floats, booleans = _masked_arrays(pandas)
            kind = {"b": booleans, "f": floats}.get(numbers.dtype.kind, integers)
            return kind(numbers, np.array(column.is_null()))
    return _build_numbers(pandas, _numbers(next(columns)), head)


def _build_numbers(pandas: Any, numbers: np.ndarray[Any, Any], head: Any) -> Any:
    match head:
        case (str("numbers"),):
            return numbers
        case str("times"), str(code) if code.startswith(("<M8[", "<m8[")):
            return numbers.view(code)
        case str("zoned"), str("s" | "ms" | "us" | "ns") as unit, zone:
            return _localized(pandas.DatetimeIndex(numbers.view(f"M8[{unit}]")), zone).array
        case str("periods"), freq:
            dtype = pandas.PeriodDtype(_build_frequency(pandas, freq))
            return pandas.arrays.PeriodArray(numbers, dtype=dtype)
        case str("categories"), pandas.Index() as categories, bool(ordered):
            _check_range(categories, numbers.nbytes)
            dtype = pandas.CategoricalDtype(categories, ordered)
            return pandas.Categorical.from_codes(numbers, dtype=dtype)
    raise CodecError(f"no column has the head {head!r:.100}")


def _numbers(column: Any) -> np.ndarray[Any, Any]:
    if column.null_count:
        raise CodecError("a column of numbers with missing ones")
    return np.array(column.to_numpy(zero_copy_only=False))


def _localized(moments: Any, zone: Any) -> Any:
    if not isinstance(zone, timezone | ZoneInfo):  # pandas would open a file by its name
        raise CodecError("a table of times without a time zone")
    return moments.tz_localize("UTC").tz_convert(zone)


def _check_range(index: Any, size: int) -> None:
    """Refuse an index that is a long range beside few bytes: pandas may make an array of it."""
    if type(index).__name__ == "RangeIndex" and len(index) > _MAX_RANGE + size:
        raise CodecError(f"a range of {len(index)} beside {size} bytes")


def _frequency_parts(freq: Any) -> tuple[Any, ...] | None:
    if freq is None:
        return None
    kind = type(freq).__name__
    if not _are_numbers(freq.kwds):
        raise UnstorableError(f"a frequency {kind}", "set freq to None before it is stored")
    return (kind, freq.n, freq.normalize, freq.kwds)


def _build_frequency(pandas: Any, parts: Any) -> Any:
    if parts is None:
        return None
    kind, number, normalize, options = parts
    made = getattr(pandas.offsets, kind)
    if not issubclass(made, pandas.offsets.BaseOffset) or not _are_numbers(options):
        raise CodecError(f"a table of the frequency {kind!r}")
    return made(number, normalize, **options)


def _are_numbers(options: Any) -> bool:
    return type(options) is dict and {*map(type, options.values())} <= {int, timedelta, type(None)}


def _build(pandas: Any, columns: Iterator[Any], head: Any) -> Any:
    match head:
        case str("DataFrame"), index, attrs, flag, labels, list(heads):
            return _build_frame(pandas, columns, index, attrs, flag, labels, heads)
        case str("Series"), index, attrs, flag, name, column:
            label = pandas.RangeIndex(1)
            series = _build_frame(pandas, columns, index, attrs, flag, label, [column])[0]
            series.name = name
            return series
        case str("Index"), str(kind), name, freq, column:
            return _build_index(pandas, _build_column(pandas, columns, column), kind, name, freq)
        case str("RangeIndex"), name, *ends:
            return pandas.RangeIndex(*ends, name=name)
        case str("MultiIndex"), list(names), list(levels), list(codes), order:
            for level, numbers in zip(levels, codes, strict=True):
                _check_level(pandas, level, numbers)
            return pandas.MultiIndex(levels, codes, names=names, sortorder=order)
        case str("Timestamp"), number, unit, zone:
            moment = pandas.Timestamp(np.datetime64(number, unit))
            return moment if zone is None else _localized(moment, zone)
        case str("Timedelta"), number, unit:
            return pandas.Timedelta(np.timedelta64(number, unit))
        case (str("NaTType" | "NAType") as kind,):
            return pandas.NaT if kind == "NaTType" else pandas.NA
    raise UnreadableError(f"no table has the head {head!r:.100}: a newer release may know it")


def _build_frame(
    pandas: Any, columns: Iterator[Any], index: Any, attrs: Any, flag: Any, labels: Any, heads: Any
) -> Any:
    if not isinstance(index, pandas.Index) or not isinstance(labels, pandas.Index):
        raise CodecError(f"a table with {noun(index)} and {noun(labels)} for indexes")
    if type(attrs) is not dict or type(flag) is not bool:
        raise CodecError("a table with other attributes than a dict")
    arrays = [_build_column(pandas, columns, head) for head in heads]
    if len(arrays) != len(labels) or any(len(array) != len(index) for array in arrays):
        raise CodecError(f"a table of {len(index)} rows, {len(labels)} labels and other columns")
    # Without a dtype, pandas would convert a column of objects that are texts.
    series = [pandas.Series(array, dtype=array.dtype, copy=False) for array in arrays]
    is_wide = len(series) > 1  # the columns are copied into blocks
    frame = pandas.DataFrame(dict(enumerate(series)), index=None if series else index, copy=is_wide)
    frame.index, frame.columns, frame.attrs = index, labels, attrs
    frame.flags.allows_duplicate_labels = flag
    return frame


def _build_index(pandas: Any, array: Any, kind: str, name: Any, freq: Any) -> Any:
    if freq is not None and kind in _TIMED and array.dtype.kind in "mM":
        return getattr(pandas, kind)(array, freq=_build_frequency(pandas, freq), name=name)
    index = pandas.Index(array, dtype=array.dtype, name=name, tupleize_cols=False)
    if type(index).__name__ != kind:
        raise CodecError(f"{noun(index)} that should be a {kind}")
    return index


def _check_level(pandas: Any, level: Any, codes: Any) -> None:
    # Exact types: from a length without bytes, such as a range, pandas would make an array.
    if type(codes) is not np.ndarray or codes.dtype.kind != "i" or codes.ndim != 1:
        raise CodecError(f"an index with {noun(codes)} for the codes of a level")
    if not isinstance(level, pandas.Index):
        raise CodecError(f"an index with {noun(level)} for a level")
    _check_range(level, codes.nbytes)


def _stream(columns: Columns) -> memoryview:
    """Columns of one length as a stream of Arrow; no columns as no bytes."""
    if not columns:
        return memoryview(b"")
    import pyarrow

    batch = pyarrow.RecordBatch.from_arrays(columns, [str(n) for n in range(len(columns))])
    for kind in batch.schema.types:
        if not _is_flat(kind):
            raise UnstorableError(f"a column of {kind}", "convert it with astype, to object say")
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue()).cast("B")


def read_stream(view: memoryview) -> Columns:
    """The columns of a stream, in its bytes."""
    if not view:
        return []
    import pyarrow

    schema, content, *others = pyarrow.ipc.MessageReader.open_stream(pyarrow.py_buffer(view))
    if others or schema.type != "schema" or content.type != "record batch":
        raise CodecError("a stream of Arrow that is not a schema and one batch")
    # Checked before Arrow unpacks: a few bytes may fill all memory. Version 4 hides it elsewhere.
    is_known = content.metadata_version == pyarrow.ipc.MetadataVersion.V5
    if not is_known or _is_compressed(memoryview(content.metadata).cast("B")):
        raise CodecError("a stream of Arrow that is compressed, or of another version")
    kinds = pyarrow.ipc.read_schema(schema)
    if not all(map(_is_flat, kinds.types)):
        raise CodecError("a stream of Arrow with columns that are not flat")
    batch = pyarrow.ipc.read_record_batch(content, kinds)
    if batch.num_rows * batch.num_columns > 64 * len(view) + 1024:
        raise CodecError(f"a stream of Arrow with {batch.num_rows} rows in {len(view)} bytes")
    batch.validate(full=True)
    if batch.nbytes > len(view):
        raise CodecError(f"a stream of Arrow with {batch.nbytes} bytes in {len(view)}")
    return list(batch.columns)


def _is_compressed(message: memoryview) -> bool:
    """Whether field 3 of a message's batch, its compression, is set. The batch is field 2.

    A message is a flatbuffer, which PyArrow does not show: a table begins with the distance back
    to the offsets of its fields; an offset of 0 is a field that is not set.
    """
    (table,) = struct.unpack_from("<I", message)
    for number in (2, 3):
        fields = table - struct.unpack_from("<i", message, table)[0]
        if fields < 0:  # Python would count from the end
            raise CodecError("a message of Arrow with a table before it")
        (size,) = struct.unpack_from("<H", message, fields)
        if size <= 4 + 2 * number:
            return False
        (offset,) = struct.unpack_from("<H", message, fields + 4 + 2 * number)
        if not offset:
            return False
        table += offset + struct.unpack_from("<I", message, table + offset)[0]
    return True


def _is_flat(kind: Any) -> bool:
    import pyarrow

    texts = pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.large_binary()
    return pyarrow.types.is_primitive(kind) or pyarrow.types.is_decimal(kind) or kind in texts
