"""Columns of pandas: a head of plain values, and numbers or texts in a stream of Arrow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta, tzinfo
from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.streams import is_flat

Columns = list[Any]  # arrays of Arrow

_HOLLOW = 1024  # places of a sparse column for each byte of its values
_MAX_RANGE = 1 << 20  # numbers without bytes, in addition to one for each byte


def column_head(array: Any, columns: Columns) -> tuple[Any, ...]:
    """The head of a column; appends its numbers or texts to `columns`."""
    dtype = array.dtype
    if isinstance(dtype, np.dtype) or type(array).__name__ == "NumpyExtensionArray":
        return _numpy_head(np.asarray(array), columns)
    if head := _composed_head(array, dtype):
        return head
    import pyarrow

    pandas = sys.modules["pandas"]
    match type(dtype).__name__:
        case "DatetimeTZDtype":
            head, column = ("zoned", dtype.unit, dtype.tz), pyarrow.array(array.asi8)
        case "PeriodDtype":
            head, column = ("periods", frequency_parts(dtype.freq)), pyarrow.array(array.asi8)
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


def _composed_head(array: Any, dtype: Any) -> tuple[Any, ...]:
    """The head of a column that consists of other values, and not of numbers or texts."""
    match type(dtype).__name__:
        case "IntervalDtype":
            return ("intervals", dtype.closed, array.left, array.right)
        case "SparseDtype":
            places = array.sp_index.to_int_index().indices
            return ("sparse", array.kind, len(array), places, array.sp_values, array.fill_value)
        case "ArrowDtype" if not is_flat(dtype.pyarrow_dtype):
            column = array.__arrow_array__()
            is_chunked = hasattr(column, "combine_chunks")
            return ("nested", column.combine_chunks() if is_chunked else column)
    return ()


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


def build_column(pandas: Any, columns: Iterator[Any], head: Any) -> Any:
    """The column of a head; only immutable arrays of Arrow share the bytes of the stream."""
    if (made := _composed(pandas, head)) is not None:
        return made
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
            return _build_texts(pandas, next(columns), storage, is_nan)
        case (str("arrow"),):
            return pandas.arrays.ArrowExtensionArray(next(columns))
        case (str("masked"),):
            return _build_masked(pandas, next(columns))
    return _build_numbers(pandas, _numbers(next(columns)), head)


def _composed(pandas: Any, head: Any) -> Any:
    """The column of a head that holds other values; None if it is in the stream."""
    match head:
        case str("intervals"), str(closed), left, right:
            return _build_intervals(pandas, closed, left, right)
        case str("sparse"), str(kind), int(length), places, np.ndarray() as values, fill:
            return _build_sparse(pandas, kind, length, places, values, fill)
        case str("nested"), column if type(column).__module__ == "pyarrow.lib":
            return pandas.arrays.ArrowExtensionArray(column)
    return None


def _build_intervals(pandas: Any, closed: str, left: Any, right: Any) -> Any:
    # Others may be lengths without bytes, from which pandas would make an array.
    if not {type(left), type(right)} <= {
        pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex
    }:  # fmt: skip
        raise CodecError(f"intervals from {noun(left)} to {noun(right)}")
    return pandas.arrays.IntervalArray.from_arrays(left, right, closed)


def _build_masked(pandas: Any, column: Any) -> Any:
    numbers = _numbers(column.fill_null(False if str(column.type) == "bool" else 0))
    integers, floats, booleans = _masked_arrays(pandas)
    kind = {"b": booleans, "f": floats}.get(numbers.dtype.kind, integers)
    return kind(numbers, np.array(column.is_null()))


def _build_sparse(pandas: Any, kind: str, length: int, places: Any, values: Any, fill: Any) -> Any:
    if type(places) is not np.ndarray or places.dtype != np.int32 or values.ndim != 1:
        raise CodecError("a sparse column without places")
    if length > _MAX_RANGE + _HOLLOW * values.nbytes:
        raise CodecError(f"a sparse column of {length} in {values.nbytes} bytes")
    if len(places) and not 0 <= places.min() <= places.max() < length:
        raise CodecError("a sparse column with elements outside")
    sparse = pandas.arrays.SparseArray
    if hasattr(sparse, "from_indices"):  # since pandas 3.1
        return sparse.from_indices(values, places, length, fill, kind, values.dtype)
    from pandas.core.arrays.sparse.array import make_sparse_index

    index = make_sparse_index(length, places, kind)
    return sparse(values, index, dtype=pandas.SparseDtype(values.dtype, fill))


def _build_numbers(pandas: Any, numbers: np.ndarray[Any, Any], head: Any) -> Any:
    match head:
        case (str("numbers"),):
            return numbers
        case str("times"), str(code) if code.startswith(("<M8[", "<m8[")):
            return numbers.view(code)
        case str("zoned"), str("s" | "ms" | "us" | "ns") as unit, zone:
            return localized(pandas.DatetimeIndex(numbers.view(f"M8[{unit}]")), zone).array
        case str("periods"), freq:
            dtype = pandas.PeriodDtype(build_frequency(pandas, freq))
            return pandas.arrays.PeriodArray(numbers, dtype=dtype)
        case str("categories"), pandas.Index() as categories, bool(ordered):
            check_range(categories, numbers.nbytes)
            dtype = pandas.CategoricalDtype(categories, ordered)
            return pandas.Categorical.from_codes(numbers, dtype=dtype)
    raise CodecError(f"no column has the head {head!r:.100}")


def _build_texts(pandas: Any, column: Any, storage: str, is_nan: bool) -> Any:
    if column.type != "large_string":
        raise CodecError(f"a column of texts that holds {column.type}")
    dtype = pandas.StringDtype(storage, **({"na_value": np.nan} if is_nan else {}))
    if storage == "python" and is_nan:  # of which pandas 2 would make another class
        return pandas.array(column.to_numpy(zero_copy_only=False), dtype=dtype)
    return dtype.__from_arrow__(column)


def _numbers(column: Any) -> np.ndarray[Any, Any]:
    if column.null_count:
        raise CodecError("a column of numbers with missing ones")
    return np.array(column.to_numpy(zero_copy_only=False))


def zone_of(moment: Any) -> Any:
    """The time zone of a moment: that of pytz, as pandas 2 has it, knows one offset alone."""
    zone = moment.tzinfo
    pytz: Any = sys.modules.get("pytz")
    is_offset = pytz is not None and isinstance(zone, pytz.tzinfo.DstTzInfo)
    return pytz.timezone(zone.zone) if is_offset else zone


def localized(moments: Any, zone: Any) -> Any:
    if not isinstance(zone, tzinfo):  # pandas would open a file by its name
        raise CodecError("a table of times without a time zone")
    return moments.tz_localize("UTC").tz_convert(zone)


def check_range(index: Any, size: int) -> None:
    """Refuse an index that is a long range beside few bytes: pandas may make an array of it."""
    if type(index).__name__ == "RangeIndex" and len(index) > _MAX_RANGE + size:
        raise CodecError(f"a range of {len(index)} beside {size} bytes")


def frequency_parts(freq: Any) -> tuple[Any, ...] | None:
    if freq is None:
        return None
    kind = type(freq).__name__
    if not _are_numbers(freq.kwds):
        raise UnstorableError(f"a frequency {kind}", "set freq to None before it is stored")
    return (kind, freq.n, freq.normalize, freq.kwds)


def build_frequency(pandas: Any, parts: Any) -> Any:
    if parts is None:
        return None
    kind, number, normalize, options = parts
    made = getattr(pandas.offsets, kind)
    if not issubclass(made, pandas.offsets.BaseOffset) or not _are_numbers(options):
        raise CodecError(f"a table of the frequency {kind!r}")
    return made(number, normalize, **options)


def _are_numbers(options: Any) -> bool:
    return type(options) is dict and {*map(type, options.values())} <= {int, timedelta, type(None)}
