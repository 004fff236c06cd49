"""NumPy's values as bytes: arrays in the npy format, version 2.0; scalars, texts, masked arrays.

NumPy reads the header, which runs no code. Objects have no format here, in either direction.
"""

from __future__ import annotations

import io
import math
import struct
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib import format as npy

from pipeline.store.entry import CodecError, UnstorableError, noun

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

_ALIGNMENT = 64
_MAX_HEADER = 10_000  # characters: NumPy's own limit
_MAX_EMPTY = 1000  # elements without bytes, in addition to 8 for each byte: little memory
_START = npy.magic(2, 0)
_NUMBERS = frozenset("biufcmM")
_OF_MASKED = frozenset(vars(np.ma.array([0])))


def array_parts(array: Array) -> tuple[Any, ...]:
    """Header and elements of an array, copied only where not contiguous; True if aligned."""
    if reason := _why_not_kept(array.dtype):
        raise UnstorableError(f"an array of {array.dtype}", reason)
    if (many := array.size * _empty(array.dtype)) > _MAX_EMPTY + 8 * array.nbytes:
        raise UnstorableError(
            f"an array of {array.dtype}", f"it has {many} elements without bytes; store less"
        )
    buffers: list[Any] = [_header(array)]
    if array.nbytes:  # through bytes, since times have no buffers of their own
        flat = np.ravel(array, order="F" if np.isfortran(array) else "C")
        buffers.append(flat.view(np.uint8).data)
    return (buffers, True) if array.dtype.isalignedstruct else (buffers,)


def _header(array: Array) -> bytes:
    descr, is_fortran = npy.dtype_to_descr(array.dtype), np.isfortran(array)
    # NumPy would write a name like φ in version 3.0, and warn; escaped it is fine in 2.0.
    text = ascii({"descr": descr, "fortran_order": is_fortran, "shape": array.shape})
    text += " " * (-(len(_START) + 4 + len(text) + 1) % _ALIGNMENT) + "\n"
    if len(text) > _MAX_HEADER:
        raise UnstorableError(
            "an array", f"its dtype takes more than {_MAX_HEADER} characters; store fewer fields"
        )
    return _START + struct.pack("<I", len(text)) + text.encode("ascii")


def build_array(view: memoryview, is_aligned: bool = False) -> Array:
    """The array in these bytes, not copied; read-only, if they are.

    The header does not record whether the fields of a structure are aligned.
    """
    file = io.BytesIO(view[: len(_START) + 4 + _MAX_HEADER])
    try:
        is_known = npy.read_magic(file) == (2, 0)
        shape, is_fortran, dtype = npy.read_array_header_2_0(file, _MAX_HEADER)
    except Exception:  # a MemoryError, too: Python's parser raises it for what is nested too deep
        is_known = False
    if not is_known:
        raise CodecError("an array without a header of npy 2.0")
    dtype = _aligned(dtype) if is_aligned else dtype
    if reason := _why_not_kept(dtype):
        raise CodecError(f"an array of {dtype}: {reason}")
    data = view[file.tell() :]
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) or count * _empty(dtype) > _MAX_EMPTY + 8 * len(data):
        raise CodecError(f"an array {shape} of {dtype} in {len(data)} bytes")
    array: Array = np.ndarray(shape, dtype, data, order="F" if is_fortran else "C")
    _check_characters(array)
    return array


def _nodes(dtype: DType, many: int = 1) -> Iterator[tuple[DType, int]]:
    """A dtype and all dtypes in it, with the number of each in one element."""
    yield dtype, many
    inner = [dtype[name] for name in dtype.names or ()]
    if dtype.subdtype is not None:
        inner, many = [dtype.base], many * math.prod(dtype.shape)
    for part in inner:
        yield from _nodes(part, many)


def _empty(dtype: DType) -> int:
    """The number of values in one element that have no bytes."""
    nodes = _nodes(dtype)
    return sum(many for node, many in nodes if not (node.itemsize or node.names or node.subdtype))


def _why_not_kept(dtype: DType) -> str:
    """Why a header would not restore a dtype as it is; nothing, if it would."""
    if dtype.hasobject:
        return f"no format for {dtype}; return a list, or give it a dtype"
    is_kept = all(_is_plain(node) for node, _ in _nodes(dtype))
    if is_kept and dtype.kind == "V":  # structures, whose fields may overlap or be out of order
        try:
            restored = npy.descr_to_dtype(npy.dtype_to_descr(dtype))
            restored = _aligned(restored) if dtype.isalignedstruct else restored
            is_kept = repr(restored) == repr(dtype)
        except (ValueError, TypeError):
            is_kept = False
    return "" if is_kept else "the npy format does not keep such a dtype; convert it before"


def _is_plain(dtype: DType) -> bool:
    """Whether a dtype is NumPy's, without metadata and titles."""
    has_titles = any(len(field) > 2 for field in (dtype.fields or {}).values())
    is_numpy = dtype.type.__module__ == "numpy" and dtype.type is not np.record
    return is_numpy and not has_titles and dtype.metadata is None


def _aligned(dtype: DType) -> DType:
    """The same structure, marked as aligned at every depth."""
    if dtype.subdtype is not None:
        return np.dtype((_aligned(dtype.base), dtype.shape))
    if dtype.names is None:
        return dtype
    fields: Any = dtype.fields
    return np.dtype({
        "names": list(dtype.names),
        "formats": [_aligned(dtype[name]) for name in dtype.names],
        "offsets": [fields[name][1] for name in dtype.names],
        "itemsize": dtype.itemsize,
        "aligned": True,
    })  # fmt: skip


def _check_characters(array: Array) -> None:
    """Refuse code points above Unicode's, for which Python raises a SystemError."""
    for name in array.dtype.names or ():
        _check_characters(array[name])
    if array.dtype.kind == "U" and array.nbytes:
        number = np.dtype("u4").newbyteorder(array.dtype.byteorder)
        most = np.ravel(array, order="K").view(number).max()
        if most > sys.maxunicode:
            raise CodecError(f"an array of texts with the character {most:#x}")


def scalar_parts(value: np.generic) -> tuple[str, bytes]:
    """A number or a time as the code of its type, and its bytes."""
    # Types of one size have one code, long and long long say; they differ by their letter.
    for code in (value.dtype.str, value.dtype.char):
        if value.dtype.kind in _NUMBERS and np.dtype(code).type is type(value):
            return code, value.tobytes()
    raise UnstorableError(noun(value), "NumPy has no code for its type; return value.item()")


def build_scalar(code: str, data: bytes) -> np.generic:
    """The number or the time of this code, in these bytes."""
    dtype = np.dtype(code)
    if dtype.kind not in _NUMBERS or len(data) != dtype.itemsize:
        raise CodecError(f"a number of type {code!r} in {len(data)} bytes")
    made: np.generic = np.frombuffer(data, dtype)[0]
    return made


def text_parts(array: Any) -> tuple[Any, ...]:
    """Texts of any length: shape, order, coercion, mark of the missing, and the texts."""
    dtype: Any = array.dtype
    missing = [dtype.na_object] if hasattr(dtype, "na_object") else []
    if not all(map(_is_missing, missing)):
        raise UnstorableError(
            f"an array of {dtype}", "its mark of the missing has no format; use nan or None"
        )
    texts = array.reshape(-1).tolist()
    return list(array.shape), np.isfortran(array), bool(dtype.coerce), missing, texts


def build_texts(
    shape: list[int], is_fortran: bool, coerce: bool, missing: list[Any], texts: list[Any]
) -> Any:
    """The array of these texts."""
    if not all(map(_is_missing, missing)) or not all(
        type(text) is str or (missing and _is_missing(text)) for text in texts
    ):
        raise CodecError("an array of texts that holds something else")
    options = {"na_object": missing[0]} if missing else {}
    dtype = np.dtypes.StringDType(coerce=coerce, **options)
    array = np.array(texts, dtype=dtype).reshape(shape)
    return np.asfortranarray(array) if is_fortran else array


def _is_missing(value: Any) -> bool:
    return value is None or (type(value) is float and value != value)


def mask_parts(array: np.ma.MaskedArray[Any, Any]) -> tuple[Any, ...]:
    """A masked array as elements, mask, value to fill with, and whether the mask is hard."""
    elements = array.data
    if type(elements) is not np.ndarray:
        raise UnstorableError(
            "a masked array", f"no format for {type(elements).__qualname__}; mask a plain array"
        )
    if own := sorted(vars(array).keys() - _OF_MASKED - {"_optinfo"}) or vars(array)["_optinfo"]:
        why = f"no format for its attributes {', '.join(own)}; return them beside it"
        raise UnstorableError("a masked array", why)
    mask = None if array.mask is np.ma.nomask else array.mask
    # The public fill_value does not show whether it has been set.
    fill = getattr(array, "_fill_value")  # noqa: B009 - no part of NumPy's types
    return elements, mask, fill, bool(array.hardmask)


def build_masked(elements: Array, mask: Array | None, fill: Any, is_hard: bool) -> Any:
    """The masked array of these parts."""
    kind = np.ma.make_mask_descr(elements.dtype)
    if mask is not None and (mask.shape != elements.shape or mask.dtype != kind):
        raise CodecError(f"an array {elements.shape} with a mask {mask.shape} of {mask.dtype}")
    if fill is not None and (fill.shape or fill.dtype.kind != elements.dtype.kind):
        raise CodecError(f"an array of {elements.dtype} to be filled with {fill.dtype}")
    made = np.ma.MaskedArray(elements, np.ma.nomask if mask is None else mask, hard_mask=is_hard)
    # To set the public one would cut a text to the length of the elements.
    setattr(made, "_fill_value", fill)  # noqa: B010 - no part of NumPy's types
    return made
