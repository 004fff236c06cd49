"""Sparse arrays and matrices of SciPy, by the arrays that they consist of; what it optimized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, is_of, parts_of

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords"),
    "dia": ("data", "offsets"),
}
_STORED_AS = {"lil": "csr", "dok": "coo"}  # these consist of lists and dicts
_FLAGS = {"has_canonical_format", "_has_canonical_format", "_has_sorted_indices"}


def _dump(matrix: Any) -> Any:
    # Attributes of the user. SciPy finds the flags again.
    if extra := vars(matrix).keys() - vars(type(matrix)(matrix)).keys() - _FLAGS:
        raise UnstorableError(noun(matrix), f"no format for its attributes {', '.join(extra)}")
    stored = _STORED_AS.get(matrix.format, matrix.format)
    parts = matrix.asformat(stored)
    return list(matrix.shape), *(getattr(parts, name) for name in _PARTS[stored])


def _loading(form: str, kind: str) -> Callable[[Any], Any]:
    """The function that loads sparse values of a type."""
    stored = _STORED_AS.get(form, form)

    def load(tree: Any) -> Any:
        from scipy import sparse

        if type(tree) is not tuple or len(tree) != 1 + len(_PARTS[stored]):
            raise CodecError("a sparse matrix with other parts")
        shape, *arrays = tree
        _check_arrays(shape, _flat(arrays))
        make = getattr(sparse, f"{stored}_{kind}")
        made = make(tuple(arrays), shape=tuple(shape))
        _check_places(made)
        for name, array in zip(_PARTS[stored], arrays, strict=True):
            setattr(made, name, array)  # SciPy may have narrowed the indices
        return made.asformat(form)

    return load


def _flat(arrays: list[Any]) -> list[Any]:
    return [item for part in arrays for item in (part if type(part) is tuple else (part,))]


def _check_arrays(shape: Any, arrays: list[Any]) -> None:
    if any(type(array) is not np.ndarray or array.dtype.hasobject for array in arrays):
        raise CodecError("a sparse matrix without arrays")
    if any(array.dtype.kind not in "iu" for array in arrays[1:]):
        raise CodecError("a sparse matrix with places that are no integers")
    if not is_of(shape, int):
        raise CodecError("a sparse matrix without a shape")


def _check_places(made: Any) -> None:
    """Refuse places outside: SciPy's loops, which are in C, would read and write there."""
    if made.format in ("csr", "csc", "bsr"):
        made.check_format(full_check=True)
    elif made.format == "coo":
        for places, length in zip(made.coords, made.shape, strict=True):
            if len(places) and not 0 <= places.min() <= places.max() < length:
                raise CodecError("a sparse matrix with elements outside")


def _load_result(tree: Any) -> Any:
    from scipy.optimize import OptimizeResult

    return OptimizeResult(*parts_of(tree, dict))


def _load_inverse(tree: Any) -> Any:
    from scipy.optimize import LbfgsInvHessProduct

    return LbfgsInvHessProduct(*parts_of(tree, np.ndarray, np.ndarray))


FORMATS = {
    **{
        f"scipy.sparse.{form}_{kind}": LibraryFormat(_dump, _loading(form, kind))
        for form in (*_PARTS, *_STORED_AS)
        for kind in ("array", "matrix")
    },
    "scipy.optimize.OptimizeResult": LibraryFormat(lambda value: (dict(value),), _load_result),
    "scipy.optimize.LbfgsInvHessProduct": LibraryFormat(
        lambda value: (value.sk, value.yk), _load_inverse
    ),
}
