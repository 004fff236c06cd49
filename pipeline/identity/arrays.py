"""Arrays and tables as arguments: immutable copies, and what they hold.

The content of a table is what it holds, not how pandas or Arrow hold it. Which columns share a
block, where a slice begins, which bytes lie under a missing value: pickle would store it all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from operator import itemgetter
from typing import Any
from weakref import ref

import numpy as np
from dask.base import is_dask_collection
from xxhash import xxh3_128_digest

Array = np.ndarray[Any, Any]


def freeze_array(array: Array) -> Array:
    """An immutable copy; the array itself, if it is immutable already.

    Of a subclass, an array of objects or an empty one, a plain copy.
    """
    if _is_immutable(array):
        return array
    if type(array) is not np.ndarray or array.dtype.hasobject or not array.size:
        return array.copy()
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _is_immutable(array: Array) -> bool:
    # The owner of a read-only array can make it writable; bytes stay as they are.
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, bytes)


_hashed: dict[int, tuple[ref[Array], str]] = {}
"""Hashes of immutable arrays, by id."""

BLOCK = 2**23
"""Bytes that are hashed as one; larger arrays are hashed in several threads."""


def array_content(array: Array) -> str:
    """24 hexadecimal digits of the elements, in C order; not for arrays of objects.

    A contiguous array is not copied; any other is, one block at a time. The digits of an immutable
    array are computed once.
    """
    identity = id(array)
    reference, digits = _hashed.get(identity, (None, ""))
    if reference is not None and reference() is array:
        return digits
    digits = blake2b(b"".join(_block_hashes(array)), digest_size=12).hexdigest()
    if _is_immutable(array):
        _hashed[identity] = (ref(array, lambda _: _hashed.pop(identity, None)), digits)
    return digits


def _block_hashes(array: Array) -> Iterator[bytes]:
    if array.dtype.fields is not None:  # bytes between fields mean nothing
        for name in array.dtype.names or ():
            yield from _block_hashes(array[name])
    elif array.dtype.char in "gG":  # wide floats are padded with bytes that mean nothing
        for part in (array.real, array.imag) if array.dtype.char == "G" else (array,):
            yield from (np.format_float_scientific(number).encode() for number in part.flat)
    elif array.nbytes < 4 * BLOCK:
        yield from map(_hash, _blocks(array))
    else:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:  # hashing frees the GIL
            yield from threads.map(_hash, _blocks(array))


def _blocks(array: Array) -> Iterator[Array]:
    """The array in blocks that depend on its shape alone, not on its layout."""
    if array.nbytes <= BLOCK or not array.ndim:
        yield array
    elif rows := BLOCK * len(array) // array.nbytes:
        for start in range(0, len(array), rows):
            yield array[start : start + rows]
    else:
        for row in array:
            yield from _blocks(row)


def _hash(block: Array) -> bytes:
    return xxh3_128_digest(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)


TABLE_MODULES = ("pandas.", "pyarrow.")
"""How the names of modules begin whose objects may be tables or columns."""


def table_content(value: Any) -> tuple[Any, ...] | None:
    """The content of a table or column, as plain values and arrays; None for any other value.

    >>> import pandas as pd
    >>> table_content(pd.Series([1, 2], name="n"))[:2]
    ('Series', 'n')
    """
    if (pandas := sys.modules.get("pandas")) is not None:
        if isinstance(value, pandas.DataFrame | pandas.Series):
            extras = (value.attrs, bool(value.flags.allows_duplicate_labels))
            index = _index(value.index, pandas)
        if isinstance(value, pandas.DataFrame):
            columns = [_column(column.array) for _, column in value.items()]
            return ("DataFrame", _index(value.columns, pandas), index, columns, *extras)
        if isinstance(value, pandas.Series):
            return ("Series", value.name, index, _column(value.array), *extras)
        if isinstance(value, pandas.Index):
            return _index(value, pandas)
        if isinstance(value, pandas.api.extensions.ExtensionArray):
            return _column(value)
    if (arrow := sys.modules.get("pyarrow")) is not None:
        if isinstance(value, arrow.Array | arrow.ChunkedArray):
            return ("column", *_arrow_column(value))
        if isinstance(value, arrow.Table | arrow.RecordBatch):
            schema = np.frombuffer(value.schema.serialize(), np.uint8)
            return (type(value).__name__, schema, [_arrow_column(each) for each in value.columns])
    return None


def tensor_content(value: Any) -> tuple[Any, ...] | None:
    """The content of a dense tensor of PyTorch; None for any other value.

    Its pickle names the address of its storage.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return None
    plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    head = (str(value.dtype), str(value.device), list(value.shape), value.requires_grad)
    return (*head, plain.view(torch.uint8).numpy(), vars(value))


_FINISHING = ("_dask_postcompute", "_dask_finalize")


def without_blocks(method: Any) -> tuple[Any, ...] | None:
    """A value of xarray without its blocks, if this method makes it of computed blocks; else None.

    Such a method belongs to a value that is not computed. The blocks are arguments of its call.
    """
    owner = method.__self__
    module = getattr(type(owner), "__module__", "")
    is_finishing = method.__name__ in _FINISHING and module.startswith("xarray.")
    return _without_blocks(owner) if is_finishing else None


def _without_blocks(value: Any) -> tuple[Any, ...]:
    head = (type(value), value._attrs, value._encoding)
    if not hasattr(value, "_variables"):
        return (*head, value._dims, None if is_dask_collection(value) else value)
    parts = {repr(name): _without_blocks(part) for name, part in value._variables.items()}
    kinds = {repr(name): type(index) for name, index in value._indexes.items()}
    # What is read from zarr has coordinates in any order.
    order = [name for name in value._variables if name not in value._coord_names]
    return (
        *head,
        sorted(parts.items(), key=itemgetter(0)),
        order,
        sorted(kinds.items(), key=itemgetter(0)),
    )


def _index(index: Any, pandas: Any) -> tuple[Any, ...]:
    kind = type(index).__name__
    if isinstance(index, pandas.RangeIndex):
        return (kind, index.start, index.stop, index.step, index.name)
    if isinstance(index, pandas.MultiIndex):
        index = index.remove_unused_levels()
        levels = [_index(level, pandas) for level in index.levels]
        return (kind, levels, [np.asarray(codes) for codes in index.codes], list(index.names))
    return (kind, index.name, getattr(index, "freq", None), _column(index.array))


def _column(array: Any) -> tuple[Any, ...]:
    """A column by its type and values, without what lies under missing ones."""
    head = (type(array).__name__, repr(array.dtype))
    if hasattr(array, "codes") and hasattr(array, "categories"):
        return (*head, np.asarray(array.codes), table_content(array.categories), array.ordered)
    if hasattr(array, "_pa_array"):
        return (*head, *_arrow_column(array._pa_array))
    if hasattr(array, "_mask") and hasattr(array, "_data"):
        values = array._data.copy()
        values[array._mask] = values.dtype.type()
        return (*head, np.asarray(array._mask), values)
    if hasattr(array, "left") and hasattr(array, "right"):
        return (*head, array.closed, table_content(array.left), table_content(array.right))
    if hasattr(array, "asi8"):  # times, as numbers of units
        return (*head, array.asi8)
    if type(array).__name__ == "NumpyExtensionArray":
        return (*head, array.to_numpy())
    return (*head, np.asarray(array, dtype=object).tolist())


def _arrow_column(column: Any) -> tuple[Any, ...]:
    """A column of Arrow, however it is chunked: its type, its missing values, and the others."""
    arrow = sys.modules["pyarrow"]
    joined = column.combine_chunks() if isinstance(column, arrow.ChunkedArray) else column
    types, kind = arrow.types, joined.type
    if types.is_dictionary(kind):
        return (str(kind), *_arrow_column(joined.dictionary_decode()))
    valid = np.asarray(joined.is_valid()) if joined.null_count else None
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        filled = joined.fill_null(False if types.is_boolean(kind) else 0)
        return (str(kind), valid, filled.to_numpy(zero_copy_only=False))
    if types.is_temporal(kind) and not types.is_interval(kind):
        number = arrow.int32() if kind.bit_width == 32 else arrow.int64()
        return (str(kind), valid, joined.view(number).fill_null(0).to_numpy())
    if not types.is_nested(kind) and ("string" in str(kind) or "binary" in str(kind)):
        texts = joined.cast(arrow.large_binary()).fill_null(b"")
        _, ends, data = texts.buffers()
        ends = np.frombuffer(ends, np.int64)[texts.offset :][: len(texts) + 1]
        text = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]] if len(texts) else None
        return (str(kind), valid, np.diff(ends), text)
    return (str(kind), joined.to_pylist())
