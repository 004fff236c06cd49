"""Tables: pandas' objects as columns in Arrow's stream format, and what stands beside them.

Arrow has no place for all that pandas knows, and what pandas reads from Arrow's metadata may ask
for anything. So the columns go there nameless, flat and uncompressed; labels, dtypes, frequencies
and objects stand beside them as values.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.identity import encode
from pipeline.store import columns
from pipeline.store.columns import offset_apart, offset_together
from pipeline.store.storables import CodecError, UnreadableError, UnstorableError, check_range, noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIMED = ("DatetimeIndex", "TimedeltaIndex")
_INDEXES = ("Index", "PeriodIndex", "CategoricalIndex", "IntervalIndex", *_TIMED)
_MISSING = {"NaTType": "NaT", "NAType": "NA"}


def is_table(kind: type) -> bool:
    """Whether a type is one of pandas'; to ask imports nothing."""
    return f"{kind.__module__}.".startswith("pandas.")


def apart(value: Any) -> tuple[tuple[Any, ...], memoryview]:
    """A table as its head, of plain values and indexes, and a stream of Arrow with its columns."""
    flat: list[Any] = []
    try:
        return _head(value, flat), columns.stream(flat)
    except ImportError as error:
        raise UnstorableError(
            noun(value), "tables are stored by pyarrow; install it: pip install pyarrow"
        ) from error
    except UnstorableError:
        raise
    except Exception as error:  # pandas and Arrow have many for what they cannot convert
        raise UnstorableError(noun(value), f"{error}; give it plain dtypes") from error


def check(value: Any, head: Any, view: memoryview) -> None:
    """Refuse a table that would come back with other content: that pandas made it is no proof."""
    try:
        is_equal = encode(together(head, view)) == encode(value)
    except Exception as error:
        raise UnstorableError(noun(value), f"{error}; give it plain dtypes") from error
    if not is_equal:
        raise UnstorableError(noun(value), "it would come back changed; give it plain dtypes")


def together(head: Any, view: memoryview) -> Any:
    """The table of this head and this stream."""
    import pandas

    if type(head) is not tuple or not head or type(head[0]) is not str:
        raise CodecError("a table without a kind")
    kind, *parts = head
    if kind not in _MADE:
        raise UnreadableError(f"a table of the kind {kind!r}: a newer release may know it")
    flat = iter(columns.read(view))
    made = _MADE[kind](pandas, flat, *parts)
    if next(flat, None) is not None:
        raise CodecError("a table with more columns than it has heads of columns")
    return made


def _head(value: Any, flat: list[Any]) -> tuple[Any, ...]:
    """The head of a table; its columns are added to those given."""
    kind = type(value).__name__
    if kind in _MISSING:
        return (kind,)
    if type(value) is not getattr(sys.modules["pandas"], kind, None):
        raise UnstorableError(noun(value), "no format for it; return a plain table of pandas")
    if kind in ("DataFrame", "Series"):
        beside = (value.index, dict(value.attrs), bool(value.flags.allows_duplicate_labels))
        if kind == "Series":
            return (kind, *beside, value.name, columns.apart(value.array, flat))
        arrays = (value.iloc[:, place].array for place in range(value.shape[1]))
        return (kind, *beside, value.columns, [columns.apart(array, flat) for array in arrays])
    if kind == "RangeIndex":
        return (kind, value.name, value.start, value.stop, value.step)
    if kind == "MultiIndex":
        codes = [np.asarray(each) for each in value.codes]
        return (kind, list(value.names), list(value.levels), codes, value.sortorder)
    if kind in _INDEXES:
        freq = offset_apart(value.freq) if kind in _TIMED else None
        return ("Index", kind, value.name, freq, columns.apart(value.array, flat))
    if kind == "Timestamp":
        return (kind, value.asm8.view("i8").item(), value.unit, value.tzinfo)
    if kind == "Timedelta":
        return (kind, value.asm8.view("i8").item(), value.unit)
    raise UnstorableError(noun(value), "no format for it; return a Series or an Index of it")


def _frame(
    pandas: Any, flat: Iterator[Any], index: Any, attrs: Any, flag: Any, labels: Any, heads: Any
) -> Any:
    _check_indexes(pandas, index, labels)
    arrays = [columns.together(pandas, flat, head) for head in heads]
    if len(arrays) != len(labels) or any(len(array) != len(index) for array in arrays):
        raise CodecError(f"a table of {len(index)} rows, {len(labels)} labels and other columns")
    parts = {place: _column(pandas, array) for place, array in enumerate(arrays)}
    made = pandas.DataFrame(parts, index=None if parts else index)
    made.index, made.columns = index, labels
    return _described(made, attrs, flag)


def _series(
    pandas: Any, flat: Iterator[Any], index: Any, attrs: Any, flag: Any, name: Any, head: Any
) -> Any:
    _check_indexes(pandas, index)
    made = _column(pandas, columns.together(pandas, flat, head))
    made.index, made.name = index, name
    return _described(made, attrs, flag)


def _check_indexes(pandas: Any, *indexes: Any) -> None:
    for index in indexes:
        if not isinstance(index, pandas.Index):
            raise CodecError(f"a table with {noun(index)} for an index")


def _column(pandas: Any, array: Any) -> Any:
    # Left to itself, pandas would make texts of objects that are texts.
    return pandas.Series(array, dtype=array.dtype, copy=False)


def _described(made: Any, attrs: Any, flag: Any) -> Any:
    if type(attrs) is not dict or type(flag) is not bool:
        raise CodecError("a table with other attributes than a dict")
    made.attrs = attrs
    made.flags.allows_duplicate_labels = flag
    return made


def _index(pandas: Any, flat: Iterator[Any], kind: Any, name: Any, freq: Any, head: Any) -> Any:
    if type(kind) is not str:
        raise CodecError(f"an index whose kind is {noun(kind)}")
    array = columns.together(pandas, flat, head)
    if freq is not None and kind in _TIMED and array.dtype.kind in "mM":
        offset = offset_together(pandas, freq)
        return getattr(pandas, kind)(array, freq=offset, name=name)
    made = pandas.Index(array, dtype=array.dtype, name=name, tupleize_cols=False)
    if type(made).__name__ != kind:
        raise CodecError(f"{noun(made)} that should be a {kind}")
    return made


def _multi_index(pandas: Any, names: Any, levels: Any, codes: Any, order: Any) -> Any:
    # By exact types: of a length without bytes, a range say, pandas would make an array.
    if {list} != {type(names), type(levels), type(codes)}:
        raise CodecError("an index whose names, levels and codes are no lists")
    _check_indexes(pandas, *levels)
    for level, each in zip(levels, codes, strict=True):
        if type(each) is not np.ndarray or each.dtype.kind != "i" or each.ndim != 1:
            raise CodecError(f"an index with {noun(each)} for the codes of a level")
        check_range(level, each.nbytes)
    return pandas.MultiIndex(levels, codes, names=names, sortorder=order)


def _timestamp(pandas: Any, number: Any, unit: Any, zone: Any) -> Any:
    made = pandas.Timestamp(np.datetime64(number, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(columns.zone(zone))


_MADE: dict[str, Callable[..., Any]] = {
    "DataFrame": _frame,
    "Series": _series,
    "Index": _index,
    "MultiIndex": lambda pandas, _, *parts: _multi_index(pandas, *parts),
    "RangeIndex": lambda pandas, _, name, *ends: pandas.RangeIndex(*ends, name=name),
    "Timestamp": lambda pandas, _, *parts: _timestamp(pandas, *parts),
    "Timedelta": lambda pandas, _, *parts: pandas.Timedelta(np.timedelta64(*parts)),
    "NaTType": lambda pandas, _: pandas.NaT,
    "NAType": lambda pandas, _: pandas.NA,
}
