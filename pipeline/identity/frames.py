"""Tables as arguments: what pandas' and Arrow's objects hold, without how they hold it.

Which columns share a block, where a slice begins, what stands in the memory of a missing value:
none of it is content, and pickle would store it all.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

KINDS = ("pandas.", "pyarrow.")
"""How the modules begin whose objects may be tables, or parts of them."""


def content_of(value: Any) -> Any | None:
    """What a table or a column is made of: plain values and arrays; None for all else.

    >>> import pandas as pd
    >>> content_of(pd.Series([1, 2], name="n"))[:2]
    ('Series', 'n')
    """
    if (pandas := sys.modules.get("pandas")) is not None:
        if isinstance(value, pandas.DataFrame):
            columns = [_column(value.iloc[:, place].array) for place in range(value.shape[1])]
            labels = (content_of(value.columns), content_of(value.index))
            return ("DataFrame", *labels, columns, value.attrs, _flags(value))
        if isinstance(value, pandas.Series):
            column = _column(value.array)
            return (
                "Series",
                value.name,
                content_of(value.index),
                column,
                value.attrs,
                _flags(value),
            )
        if isinstance(value, pandas.Index):
            return _index(value, pandas)
        if isinstance(value, pandas.api.extensions.ExtensionArray):
            return _column(value)
    if (arrow := sys.modules.get("pyarrow")) is not None:
        if isinstance(value, arrow.Array | arrow.ChunkedArray):
            return ("column", *_arrow(value))
        if isinstance(value, arrow.Table | arrow.RecordBatch):
            schema = np.frombuffer(value.schema.serialize(), np.uint8)
            return (type(value).__name__, schema, [_arrow(column) for column in value.columns])
    return None


def _flags(value: Any) -> bool:
    return bool(value.flags.allows_duplicate_labels)


def _index(index: Any, pandas: Any) -> tuple[Any, ...]:
    kind = type(index).__name__
    if isinstance(index, pandas.RangeIndex):
        return (kind, index.start, index.stop, index.step, index.name)
    if isinstance(index, pandas.MultiIndex):
        index = index.remove_unused_levels()
        levels = [content_of(level) for level in index.levels]
        return (kind, levels, [np.asarray(codes) for codes in index.codes], list(index.names))
    return (kind, index.name, getattr(index, "freq", None), _column(index.array))


def _column(array: Any) -> tuple[Any, ...]:
    """A column by its type and its values, those of missing ones aside."""
    head = (type(array).__name__, repr(array.dtype))
    if hasattr(array, "codes") and hasattr(array, "categories"):
        return (*head, np.asarray(array.codes), content_of(array.categories), array.ordered)
    if hasattr(array, "_pa_array"):
        return (*head, *_arrow(array._pa_array))
    if hasattr(array, "_mask") and hasattr(array, "_data"):
        values = array._data.copy()
        values[array._mask] = values.dtype.type()
        return (*head, np.asarray(array._mask), values)
    if hasattr(array, "left") and hasattr(array, "right"):
        return (*head, array.closed, content_of(array.left), content_of(array.right))
    if hasattr(array, "asi8"):  # times, by their number of units
        return (*head, array.asi8)
    if isinstance(array.dtype, np.dtype) or type(array).__name__ == "NumpyExtensionArray":
        return (*head, array.to_numpy())
    return (*head, np.asarray(array, dtype=object).tolist())


def _arrow(column: Any) -> tuple[Any, ...]:
    """A column of Arrow, however it is cut: its type, what is missing, and the values."""
    arrow = sys.modules["pyarrow"]
    kinds = arrow.types
    joined = column.combine_chunks() if isinstance(column, arrow.ChunkedArray) else column
    kind = joined.type
    if kinds.is_dictionary(kind):
        return (str(kind), *_arrow(joined.dictionary_decode()))
    valid = np.asarray(joined.is_valid()) if joined.null_count else None
    if kinds.is_boolean(kind) or kinds.is_integer(kind) or kinds.is_floating(kind):
        filled = joined.fill_null(False if kinds.is_boolean(kind) else 0)
        return (str(kind), valid, filled.to_numpy(zero_copy_only=False))
    if kinds.is_temporal(kind) and not kinds.is_interval(kind):
        number = arrow.int32() if kind.bit_width == 32 else arrow.int64()
        return (str(kind), valid, joined.view(number).fill_null(0).to_numpy())
    if "string" in str(kind) or "binary" in str(kind):
        texts = joined.cast(arrow.large_binary()).fill_null(b"")
        _, ends, data = texts.buffers()
        ends = np.frombuffer(ends, np.int64)[texts.offset :][: len(texts) + 1]
        text = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]] if len(texts) else None
        return (str(kind), valid, np.diff(ends), text)
    return (str(kind), joined.to_pylist())
