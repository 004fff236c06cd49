"""How two results differ: type, dtype, shape, index, order, values, NaN, names, attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import is_dask_collection

_META = ("dtype", "shape", "chunks", "npartitions", "divisions", "columns")
"""What a lazy collection promises of its value."""


def difference(ours: Any, plain: Any, place: str = "result") -> str:
    """Where ours differs from plain, and how; empty if they are the same."""
    if ours is plain:
        return ""
    if type(ours) is not type(plain):
        return f"{place}: {type(ours).__name__} for {type(plain).__name__}"
    if is_dask_collection(ours) and not isinstance(ours, xr.Dataset | xr.DataArray | xr.Variable):
        return _of_collections(ours, plain, place)
    match ours:
        case np.ndarray() | np.generic():
            return _of_arrays(np.asanyarray(ours), np.asanyarray(plain), place)
        case pd.DataFrame() | pd.Series() | pd.Index() | pd.api.extensions.ExtensionArray():
            return _of_frames(ours, plain, place)
        case xr.Dataset() | xr.DataArray() | xr.Variable():
            return _of_labelled(ours, plain, place)
        case dict() | list() | tuple():
            return _of_containers(ours, plain, place)
        case bool() | int() | float() | complex() | str() | bytes():
            return _said(repr(ours), repr(plain), place)
    return _of_objects(ours, plain, place)


def _said(ours: Any, plain: Any, place: str) -> str:
    return "" if ours == plain else f"{place}: {_short(ours)} for {_short(plain)}"


def _short(value: Any) -> str:
    return " ".join(str(value).split())[:150]


def _first(pairs: Any, place: str) -> str:
    """The first difference in (name, ours, plain)."""
    texts = (difference(ours, plain, f"{place}{name}") for name, ours, plain in pairs)
    return next(filter(None, texts), "")


def _of_arrays(ours: Any, plain: Any, place: str) -> str:
    for name in ("dtype", "shape"):
        if text := _said(getattr(ours, name), getattr(plain, name), f"{place}.{name}"):
            return text
    if ours.flags.writeable < plain.flags.writeable:
        return f"{place}: a read-only array for a writable one"
    if isinstance(ours, np.ma.MaskedArray):
        masks = np.ma.getmaskarray(ours), np.ma.getmaskarray(plain)
        parts = [(".mask", *masks), (".fill_value", ours.fill_value, plain.fill_value)]
        data = (".data", ours.data[~masks[0]], plain.data[~masks[1]])
        return _first(parts, place) or _first([data], place)
    ours, plain = np.asarray(ours), np.asarray(plain)
    if ours.dtype.names:
        return _first(
            ((f"[{name!r}]", ours[name], plain[name]) for name in ours.dtype.names), place
        )
    if ours.dtype.kind in "OT":
        return _of_containers(ours.ravel().tolist(), plain.ravel().tolist(), place)
    if ours.dtype.kind in "fcmM":
        known = ~np.isnan(ours), ~np.isnan(plain)
        is_same = np.array_equal(*known) and ours[known[0]].tobytes() == plain[known[1]].tobytes()
    else:
        is_same = ours.tobytes() == plain.tobytes()
    return "" if is_same else f"{place}: {_short(ours)} for {_short(plain)}"


def _of_frames(ours: Any, plain: Any, place: str) -> str:
    strict = {"check_exact": True}
    try:
        match ours:
            case pd.DataFrame():
                classes = {"check_index_type": True, "check_column_type": True}
                pd.testing.assert_frame_equal(ours, plain, **classes, **strict)
            case pd.Series():
                pd.testing.assert_series_equal(ours, plain, check_index_type=True, **strict)
            case pd.Index():
                pd.testing.assert_index_equal(ours, plain, exact=True, **strict)
            case pd.Categorical():
                pd.testing.assert_categorical_equal(ours, plain)
            case _:
                pd.testing.assert_extension_array_equal(ours, plain, **strict)
    except AssertionError as error:
        return f"{place}: {_short(error)}"
    return difference(getattr(ours, "attrs", {}), getattr(plain, "attrs", {}), f"{place}.attrs")


def _of_labelled(ours: Any, plain: Any, place: str) -> str:
    """Objects of xarray; their data may be lazy."""
    if not ours.identical(plain):
        return f"{place}: {_short(ours)} for {_short(plain)}"
    match ours:
        case xr.Dataset():
            names = ours.variables
            parts = [(f"[{name!r}]", ours.variables[name], plain.variables[name]) for name in names]
        case xr.DataArray():
            parts = [
                (f".{name}", ours[name].variable, plain[name].variable) for name in ours.coords
            ]
            parts.append((".variable", ours.variable, plain.variable))
        case _:
            parts = [(".data", ours.data, plain.data)]
    return _first(parts, place)


def _of_containers(ours: Any, plain: Any, place: str) -> str:
    if len(ours) != len(plain):
        return f"{place}: {len(ours)} items for {len(plain)}: {_short(ours)} for {_short(plain)}"
    if isinstance(ours, Mapping):
        names = difference(list(ours), list(plain), f"{place}.keys()")
        return names or _first(((f"[{key!r}]", ours[key], plain[key]) for key in ours), place)
    pairs = enumerate(zip(ours, plain, strict=True))
    return _first(((f"[{number}]", *pair) for number, pair in pairs), place)


def _of_collections(ours: Any, plain: Any, place: str) -> str:
    """Lazy collections, as `persist` returns them: what they promise, and their values."""
    names = [name for name in _META if hasattr(type(ours), name)]  # a Delayed has any attribute
    parts = [(f".{name}", getattr(ours, name), getattr(plain, name)) for name in names]
    if text := _first(parts, place):
        return text
    return difference(
        ours.compute(scheduler="sync"), plain.compute(scheduler="sync"), f"{place}.compute()"
    )


def _of_objects(ours: Any, plain: Any, place: str) -> str:
    try:
        if ours == plain:
            return ""
    except Exception:  # noqa: S110 – the truth of this equality is not known: pickles decide
        pass
    if fields := getattr(ours, "__dict__", None):
        return difference(fields, vars(plain), place)
    try:
        pickles = cloudpickle.dumps(ours), cloudpickle.dumps(plain)
    except Exception:  # generators, locks, open files: to compare them is to use them up
        return ""
    return "" if pickles[0] == pickles[1] else f"{place}: {_short(ours)} for {_short(plain)}"
