"""Tables: pandas' objects as their columns in Arrow's stream format, and what stands beside.

Arrow has no place for all that pandas knows, and pandas reads from Arrow's metadata what may ask
for anything. So the columns go there nameless, numbers and texts only, in one batch that is not
compressed; labels, dtypes and frequencies stand beside them, as plain values.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pipeline.encode import encode
from pipeline.storable import CodecError, UnstorableError, noun

_OFFSETS = frozenset(
    [
        "Day",
        "Hour",
        "Minute",
        "Second",
        "Milli",
        "Micro",
        "Nano",
        "BusinessDay",
        "Week",
        "MonthBegin",
        "MonthEnd",
        "BusinessMonthBegin",
        "BusinessMonthEnd",
        "SemiMonthBegin",
        "SemiMonthEnd",
        "QuarterBegin",
        "QuarterEnd",
        "BQuarterBegin",
        "BQuarterEnd",
        "YearBegin",
        "YearEnd",
        "BYearBegin",
        "BYearEnd",
    ]
)
"""The frequencies that are said by a name and numbers."""

_INDEXES = frozenset(
    [
        "Index",
        "RangeIndex",
        "MultiIndex",
        "DatetimeIndex",
        "TimedeltaIndex",
        "PeriodIndex",
        "CategoricalIndex",
        "IntervalIndex",
    ]
)
_MOMENTS = frozenset(["Timestamp", "Timedelta", "NaTType", "NAType"])


def is_table(kind: type) -> bool:
    """Whether a type is one of pandas'; to ask imports nothing."""
    return f"{kind.__module__}.".startswith("pandas.")


def apart(value: Any) -> tuple[tuple[Any, ...], Any]:
    """A table as plain values and indexes, and a stream of Arrow that holds its columns."""
    try:
        columns: list[Any] = []
        head = _head(value, columns)
        stream = _stream(columns)
        if encode(together(head, memoryview(stream))) != encode(value):
            raise ValueError("it would come back changed")
    except ImportError as error:
        raise UnstorableError(
            noun(value), "tables are stored by pyarrow; install it: pip install pyarrow"
        ) from error
    except UnstorableError:
        raise
    except Exception as error:
        raise UnstorableError(
            noun(value), f"{error}; give its columns plain dtypes, or use Store(pickle=True)"
        ) from error
    return head, memoryview(stream)


def together(head: Any, view: memoryview) -> Any:
    """The table of these values and this stream."""
    import pandas

    kind, *parts = head
    columns = iter(_columns(view))
    made = _MADE[kind](pandas, columns, *parts)
    if next(columns, None) is not None:
        raise CodecError("a table with more columns than it has labels")
    return made


def _flags(value: Any) -> bool:
    return bool(value.flags.allows_duplicate_labels)


def _head(value: Any, columns: list[Any]) -> tuple[Any, ...]:
    """A table as a kind and plain values; its columns are added to those given."""
    kind = type(value).__name__
    pandas = sys.modules["pandas"]
    if type(value) is not getattr(pandas, kind, None) and kind not in ("NaTType", "NAType"):
        raise UnstorableError(noun(value), "it derives from a table of pandas; return that")
    if kind == "DataFrame":
        labels = (value.columns, value.index, dict(value.attrs), _flags(value))
        arrays = (value.iloc[:, place].array for place in range(value.shape[1]))
        return (kind, *labels, [_column(array, columns) for array in arrays])
    if kind == "Series":
        beside = (value.name, value.index, dict(value.attrs), _flags(value))
        return (kind, *beside, _column(value.array, columns))
    if kind == "RangeIndex":
        return (kind, value.name, value.start, value.stop, value.step)
    if kind == "MultiIndex":
        codes = [np.asarray(each) for each in value.codes]
        return (kind, list(value.names), list(value.levels), codes, value.sortorder)
    if kind in _INDEXES:
        freq = _frequency(getattr(value, "freq", None)) if kind in _TIMED else None
        return ("Index", kind, value.name, freq, _column(value.array, columns))
    if kind == "Timestamp":
        return (kind, value.unit, value.tz, value.asm8.view("i8").item())
    if kind == "Timedelta":
        return (kind, value.unit, value.asm8.view("i8").item())
    if kind in ("NaTType", "NAType"):
        return (kind,)
    raise UnstorableError(noun(value), "return a DataFrame, a Series or an Index of it")


def _frequency(offset: Any) -> tuple[Any, ...] | None:
    if offset is None:
        return None
    kind = type(offset).__name__
    if kind not in _OFFSETS:
        raise UnstorableError(f"a frequency {kind}", "set freq to None before it is stored")
    return (kind, offset.n, offset.normalize, offset.kwds)


def _offset(pandas: Any, frequency: Any) -> Any:
    if frequency is None:
        return None
    kind, number, normalize, options = frequency
    if kind not in _OFFSETS:
        raise CodecError(f"a table of the frequency {kind!r}")
    return getattr(pandas.offsets, kind)(number, normalize, **options)


def _column(array: Any, columns: list[Any]) -> tuple[Any, ...]:
    """What a column is beside its numbers or texts, which are added to the columns of Arrow."""
    import pyarrow

    dtype = array.dtype
    kind = type(dtype).__name__
    if isinstance(dtype, np.dtype):
        values = np.asarray(array)
        if dtype.hasobject:
            return ("objects", values.tolist())
        if dtype.kind in "mM":
            columns.append(pyarrow.array(values.view("i8")))
        elif dtype.kind not in "biuf" or not dtype.isnative:
            return ("array", values)
        else:
            columns.append(pyarrow.array(values))
        return ("numbers", dtype.str)
    if kind == "DatetimeTZDtype":
        columns.append(pyarrow.array(array.asi8))
        return ("zoned", dtype.unit, dtype.tz)
    if kind == "PeriodDtype":
        columns.append(pyarrow.array(array.asi8))
        return ("periods", _frequency(dtype.freq))
    if kind == "CategoricalDtype":
        columns.append(pyarrow.array(array.codes))
        return ("categories", dtype.categories, bool(dtype.ordered))
    if kind == "IntervalDtype":
        return ("intervals", dtype.closed, array.left, array.right)
    if kind == "StringDtype":
        columns.append(_whole(pyarrow.array(array, type=pyarrow.large_string())))
        return ("texts", dtype.storage, dtype.na_value is not sys.modules["pandas"].NA)
    if kind == "ArrowDtype":
        columns.append(_whole(pyarrow.chunked_array(array.__arrow_array__())))
        return ("arrow",)
    if hasattr(array, "_mask") and hasattr(array, "_data"):
        columns.append(pyarrow.array(array._data, mask=array._mask))
        return ("masked", array._data.dtype.str)
    raise UnstorableError(f"a column of {dtype}", "convert it to a plain dtype with astype")
