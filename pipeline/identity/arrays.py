"""Arrays as arguments: copies that nobody can change, and hashes of their content."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    Array = np.ndarray[Any, Any]


def freeze_array(array: Array) -> Array:
    """A copy that nobody can change; the array itself, if it is one already.

    Of a subclass, an array of objects or an empty one, a plain copy.
    """
    if _is_immutable(array):
        return array
    if type(array) is not np.ndarray or array.dtype.hasobject or not array.size:
        return array.copy()
    flat: Array = np.frombuffer(array.tobytes(), array.dtype)
    return flat.reshape(array.shape)


def _is_immutable(array: Array) -> bool:
    # A read-only array can be made writable by its owner; one that lies in bytes cannot.
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, bytes)


_known: dict[int, tuple[ref[Array], str]] = {}

BLOCK = 2**23
"""Bytes that are hashed as one; larger arrays are hashed in several threads."""


def content(array: Array) -> str:
    """24 hexadecimal digits of the elements, in C order; not for arrays of objects.

    What is contiguous is not copied; any other layout is, a block at a time. Of an array that
    nobody can change the digits are computed once.
    """
    identity = id(array)
    if (known := _known.get(identity)) is not None and known[0]() is array:
        return known[1]
    digits = blake2b(b"".join(_hashes(array)), digest_size=12).hexdigest()
    if _is_immutable(array):
        _known[identity] = (ref(array, lambda _: _known.pop(identity, None)), digits)
    return digits


def _hashes(array: Array) -> Iterator[bytes]:
    """Hashes of the array's blocks."""
    if array.dtype.fields is not None:
        # Between fields, and after the last, may lie bytes that mean nothing.
        for name in array.dtype.names or ():
            yield from _hashes(array[name])
    elif array.dtype.char in "gG":
        # Wider than Python's numbers, and filled up with bytes that mean nothing.
        parts = (array.real, array.imag) if array.dtype.char == "G" else (array,)
        for part in parts:
            yield from (np.format_float_scientific(each).encode() for each in part.flat)
    elif array.nbytes < 4 * BLOCK:
        yield from map(_hash, _blocks(array))
    else:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:  # it frees the GIL
            yield from threads.map(_hash, _blocks(array))


def _blocks(array: Array) -> Iterator[Array]:
    """The array in parts that hang on its shape alone, not on its layout."""
    if array.nbytes <= BLOCK or not array.ndim:
        yield array
        return
    rows = BLOCK * len(array) // array.nbytes
    if not rows:
        for row in array:
            yield from _blocks(row)
    else:
        for start in range(0, len(array), rows):
            yield array[start : start + rows]


def _hash(block: Array) -> bytes:
    flat = np.ascontiguousarray(block).reshape(-1).view(np.uint8)
    return sha256(flat.data).digest()
