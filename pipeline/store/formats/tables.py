"""Pandas' objects: columns in Arrow's stream format, and a head of plain values beside them.

Arrow has no place for all that pandas knows, and what pandas reads from Arrow's metadata may ask
for anything. So a stream is a schema and one batch of nameless columns, neither compressed nor
nested. The head holds labels, dtypes, frequencies and objects.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.identity import encode
from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.formats.columns import (
    Columns,
    build_column,
    build_frequency,
    check_range,
    column_head,
    frequency_parts,
    localized,
    zone_of,
)
from pipeline.store.formats.streams import is_flat, read_batches, stream_of

_TIMED = ("DatetimeIndex", "TimedeltaIndex")
_TIMED_ARRAYS = ("DatetimeArray", "TimedeltaArray")
_INDEXES = ("Index", "PeriodIndex", "CategoricalIndex", "IntervalIndex", *_TIMED)


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
        shape = _exact_shape(value, head)
        if shape in _unchanged:
            return
        if shape and len(value) > 1:  # then one row is like all others
            value = value.iloc[:1] if hasattr(value, "iloc") else value[:1]
            buffers, head = table_parts(value)
        if encode(build_table(buffers[0], head)) != encode(value):
            raise UnstorableError(noun(value), "it would come back changed; give it plain dtypes")
        if shape:
            if len(_unchanged) >= _MAX_SHAPES:
                _unchanged.clear()
            _unchanged.add(shape)


_MAX_SHAPES = 1000

_unchanged: set[Any] = set()
"""The shapes of tables that come back as they were: a check takes some milliseconds."""


def _exact_shape(value: Any, head: Any) -> tuple[Any, ...] | None:
    """What a table or an index is, but for the elements of its columns and indexes.

    None if a column is not stored bit by bit, whatever it holds.
    """
    if head[0] == "DataFrame":
        _, index, attrs, flag, labels, heads = head
        arrays = [value.iloc[:, place].array for place in range(len(heads))]
        beside: Any = (type(index), type(labels), encode((attrs, flag)))
    elif head[0] == "Series":
        _, index, *others, column = head
        heads, arrays, beside = [column], [value.array], (type(index), encode(others))
    elif head[0] == "Index":
        _, *others, column = head
        heads, arrays, beside = [column], [value.array], encode(others)
    else:
        return None
    if not all(kind[0] in ("numbers", "times", "zoned") or kind[:2] == ("texts", "pyarrow")
               for kind in heads):  # fmt: skip
        return None
    columns = zip(heads, map(_array_type, arrays), strict=True)
    return (head[0], beside, min(len(value), 2), *columns)


def _array_type(array: Any) -> tuple[type, str, str]:
    """What the array of a column is; that of texts is of one of Arrow's types."""
    held = getattr(array, "_pa_array", None)
    return type(array), str(array.dtype), "" if held is None else str(held.type)


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
    kind, pandas = type(value).__name__, sys.modules["pandas"]
    if head := _other_head(value, kind, pandas):
        return head
    if type(value) is getattr(pandas.arrays, kind, None):
        if kind in _TIMED_ARRAYS and getattr(value, "freq", None) is not None:
            raise UnstorableError(noun(value), "it has a frequency; return an Index of it")
        return ("Array", kind, column_head(value, columns))
    if type(value) is not getattr(pandas, kind, None):
        raise UnstorableError(noun(value), "no format for it; return a plain table of pandas")
    if kind in ("DataFrame", "Series"):
        beside = (value.index, dict(value.attrs), bool(value.flags.allows_duplicate_labels))
        if kind == "Series":
            return (kind, *beside, value.name, column_head(value.array, columns))
        arrays = [value.iloc[:, place].array for place in range(value.shape[1])]
        return (kind, *beside, value.columns, [column_head(array, columns) for array in arrays])
    if kind == "RangeIndex":
        return (kind, value.name, value.start, value.stop, value.step)
    if kind == "MultiIndex":
        codes = [np.asarray(level_codes) for level_codes in value.codes]
        return (kind, list(value.names), list(value.levels), codes, value.sortorder)
    if kind in _INDEXES:
        freq = frequency_parts(value.freq) if kind in _TIMED else None
        return ("Index", kind, value.name, freq, column_head(value.array, columns))
    return _scalar_head(value, kind)


def _other_head(value: Any, kind: str, pandas: Any) -> tuple[Any, ...]:
    """The head of a mark of the missing, a dtype or an offset; empty for any other value."""
    if kind in ("NaTType", "NAType"):
        return (kind,)
    if isinstance(value, pandas.api.extensions.ExtensionDtype):
        return ("Dtype", pandas.Series([], dtype=value))
    offset = pandas.offsets.BaseOffset
    return ("Offset", frequency_parts(value)) if isinstance(value, offset) else ()


def _scalar_head(value: Any, kind: str) -> tuple[Any, ...]:
    """The head of a moment or an interval."""
    if kind in ("Timestamp", "Timedelta"):
        zone = (zone_of(value),) if kind == "Timestamp" else ()
        return (kind, value.asm8.view("i8").item(), value.unit, *zone)
    if kind == "Period":
        return (kind, value.ordinal, frequency_parts(value.freq))
    if kind == "Interval":
        return (kind, value.left, value.right, value.closed)
    raise UnstorableError(noun(value), "no format for it; return a Series or an Index of it")


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
            return _build_index(pandas, build_column(pandas, columns, column), kind, name, freq)
        case str("Array"), str(kind), column:
            return _build_array(pandas, build_column(pandas, columns, column), kind)
        case str("RangeIndex"), name, *ends:
            return pandas.RangeIndex(*ends, name=name)
        case str("MultiIndex"), list(names), list(levels), list(codes), order:
            for level, numbers in zip(levels, codes, strict=True):
                _check_level(pandas, level, numbers)
            return pandas.MultiIndex(levels, codes, names=names, sortorder=order)
    return _build_scalar(pandas, head)


def _build_scalar(pandas: Any, head: Any) -> Any:
    match head:
        case str("Timestamp"), number, unit, zone:
            moment = pandas.Timestamp(np.datetime64(number, unit))
            return moment if zone is None else localized(moment, zone)
        case str("Timedelta"), number, unit:
            return pandas.Timedelta(np.timedelta64(number, unit))
        case str("Period"), int(ordinal), freq:
            return pandas.Period(ordinal=ordinal, freq=build_frequency(pandas, freq))
        case str("Interval"), left, right, str(closed):
            return pandas.Interval(left, right, closed)
        case str("Dtype"), pandas.Series() as series:
            return series.dtype
        case str("Offset"), tuple(parts):
            return build_frequency(pandas, parts)
        case (str("NaTType" | "NAType") as kind,):
            return pandas.NaT if kind == "NaTType" else pandas.NA
    raise UnreadableError(f"no table has the head {head!r:.100}: a newer release may know it")


def _build_array(pandas: Any, column: Any, kind: str) -> Any:
    if isinstance(column, np.ndarray):
        is_time = column.dtype.kind in "mM"
        column = pandas.array(column) if is_time else pandas.arrays.NumpyExtensionArray(column)
    if type(column).__name__ != kind:
        raise CodecError(f"{noun(column)} that should be a {kind}")
    return column


def _build_frame(
    pandas: Any, columns: Iterator[Any], index: Any, attrs: Any, flag: Any, labels: Any, heads: Any
) -> Any:
    if not isinstance(index, pandas.Index) or not isinstance(labels, pandas.Index):
        raise CodecError(f"a table with {noun(index)} and {noun(labels)} for indexes")
    if type(attrs) is not dict or type(flag) is not bool:
        raise CodecError("a table with other attributes than a dict")
    arrays = [build_column(pandas, columns, head) for head in heads]
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
        return getattr(pandas, kind)(array, freq=build_frequency(pandas, freq), name=name)
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
    check_range(level, codes.nbytes)


def _stream(columns: Columns) -> memoryview:
    """Columns of one length as a stream of Arrow; no columns as no bytes."""
    if not columns:
        return memoryview(b"")
    import pyarrow

    batch = pyarrow.RecordBatch.from_arrays(columns, [str(n) for n in range(len(columns))])
    return stream_of(batch.schema, [batch])


def read_stream(view: memoryview) -> Columns:
    """The columns of a stream, in its bytes."""
    if not view:
        return []
    schema, batches = read_batches(view)
    if not all(map(is_flat, schema.types)) or len(batches) != 1:
        raise CodecError("a stream of Arrow that is not one batch of flat columns")
    return list(batches[0].columns)
