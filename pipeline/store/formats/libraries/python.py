"""Dicts with an order, which may have attributes, views of memory, arrays of objects, dtypes; what
functions of `numpy.linalg` and Dask's shuffles return."""

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


def _named_tuple(kind: Any) -> LibraryFormat:
    def load(tree: Any) -> Any:
        return kind(*parts_of(tree, *[np.ndarray] * len(kind._fields)))

    return LibraryFormat(tuple, load)


def _load_groups(tree: Any) -> Any:
    from dask.dataframe.backends import ShuffleGroupResult

    if type(tree) is not dict:
        raise CodecError("groups that are no dict")
    return ShuffleGroupResult(tree)


_LINALG = {type(np.linalg.qr(np.eye(1))), type(np.linalg.svd(np.eye(1))),
           type(np.linalg.eigh(np.eye(1)))}  # fmt: skip
"""Their module is private: they are found by what returns them."""

FORMATS = {
    **{f"{kind.__module__}.{kind.__name__}": _named_tuple(kind) for kind in _LINALG},
    "dask.dataframe.backends.ShuffleGroupResult": LibraryFormat(dict, _load_groups),
    "builtins.memoryview": LibraryFormat(_dump_view, _load_view),
    "collections.OrderedDict": LibraryFormat(_dump_ordered, _load_ordered),
    "numpy.ndarray": LibraryFormat(_dump_objects, _load_objects),
    "numpy.dtype": LibraryFormat(_dump_dtype, _load_dtype, is_family=True),
}
