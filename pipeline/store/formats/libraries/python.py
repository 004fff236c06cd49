"""Dicts with an order, which may have attributes, views of memory, arrays of objects, dtypes."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError
from pipeline.store.formats.libraries import LibraryFormat, is_of, parts_of


def _dump_ordered(value: OrderedDict[Any, Any]) -> Any:
    # A state dict of PyTorch has its versions in an attribute.
    return dict(value), vars(value)


def _load_ordered(tree: Any) -> OrderedDict[Any, Any]:
    items, attributes = parts_of(tree, dict, dict)
    made = OrderedDict(items)
    vars(made).update(attributes)
    return made


def _dump_objects(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.metadata is not None:
        raise UnstorableError("an array", "its dtype has metadata; convert it before")
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return list(array.shape), is_fortran, array.reshape(-1).tolist()


def _load_objects(tree: Any) -> np.ndarray[Any, Any]:
    shape, is_fortran, items = parts_of(tree, list, bool, list)
    if not is_of(shape, int) or math.prod(shape) != len(items):
        raise CodecError(f"an array {shape} of {len(items)} objects")
    array = np.fromiter(items, object, len(items)).reshape(shape)
    return np.asfortranarray(array) if is_fortran else array


def _dump_dtype(dtype: np.dtype[Any]) -> Any:
    if dtype.metadata is not None or (dtype.hasobject and dtype.names):
        raise UnstorableError(f"a dtype {dtype}", "it has fields of objects, or metadata")
    return None if dtype.char == "O" else np.empty(0, dtype)


def _load_dtype(tree: Any) -> np.dtype[Any]:
    if tree is not None and type(tree) is not np.ndarray:
        raise CodecError("a dtype without an array")
    return np.dtype(object) if tree is None else tree.dtype


def _dump_view(view: memoryview) -> Any:
    array = np.asarray(view)
    if array.data.format != view.format:
        raise UnstorableError("a memoryview", f"NumPy has no items {view.format!r}; cast it")
    return array, view.readonly


def _load_view(tree: Any) -> memoryview:
    array, is_readonly = parts_of(tree, np.ndarray, bool)
    return memoryview(array).toreadonly() if is_readonly else memoryview(array)


FORMATS = {
    "builtins.memoryview": LibraryFormat(_dump_view, _load_view),
    "collections.OrderedDict": LibraryFormat(_dump_ordered, _load_ordered),
    "numpy.ndarray": LibraryFormat(_dump_objects, _load_objects),
    "numpy.dtype": LibraryFormat(_dump_dtype, _load_dtype, is_family=True),
}
