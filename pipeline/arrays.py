"""Arrays as arguments: copies that nobody can change, and hashes of their content."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

if TYPE_CHECKING:
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


def content(array: Array) -> str:
    """24 hexadecimal digits of the elements, in C order; not for arrays of objects.

    Of an array that nobody can change they are computed once.
    """
    identity = id(array)
    if (known := _known.get(identity)) is not None and known[0]() is array:
        return known[1]
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    digits = blake2b(flat.data, digest_size=12).hexdigest()
    if _is_immutable(array):
        _known[identity] = (ref(array, lambda _: _known.pop(identity, None)), digits)
    return digits
