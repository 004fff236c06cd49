"""Arrays as bytes: NumPy's own npy format, version 2.0, read where it lies.

The header is text. It is compared with a grammar before anything parses it, so that it names
numbers, texts and times, and nothing else; objects have no format here, in either direction.
"""

from __future__ import annotations

import ast
import math
import re
import struct
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from pipeline.store.storables import CodecError, UnstorableError, noun

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

_ALIGNMENT = 64
_LONGEST = 10_000
"""Characters of a header, at most: what NumPy reads without being told that the file is trusted."""

_MANY = 1000
"""Elements without any bytes, at most, beside those that have some: a number that costs nothing."""

_START = npy.magic(2, 0)
_BEFORE = len(_START) + 4

_TOKENS = re.compile(
    r"(?:'(?:[^'\\\n]|\\(?:[\\'\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}))*'"
    r"|\"(?:[^\"\\\n]|\\(?:[\\'\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}))*\""
    r"|\d+|True|False|[\[\](){},: ])*\n",
    re.ASCII,
)
_CODE = re.compile(r"[<>|][biufcmMSUV]\d{1,9}(\[\d*(?:Y|M|W|D|h|m|s|ms|us|μs|ns|ps|fs|as)\])?")
_SCALAR_CODE = re.compile(rf"{_CODE.pattern}|[<>][mM]8|[bBhHiIlLqQpPgG]")


def buffers(array: Array) -> list[bytes | memoryview]:
    """An array as its header and its elements, which are copied where they lie apart only."""
    check_dtype(array.dtype)
    if (many := array.size * _empty(array.dtype)) > _MANY + 8 * array.nbytes:
        raise UnstorableError(
            f"an array of {array.dtype}", f"it has {many} elements without bytes; store less"
        )
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    contiguous = array if is_fortran else np.ascontiguousarray(array).reshape(array.shape)
    described = {
        "descr": npy.dtype_to_descr(array.dtype), "fortran_order": is_fortran, "shape": array.shape
    }  # fmt: skip
    header = _header(described)
    if not array.nbytes:
        return [header]
    # Through bytes, since times have no buffers of their own.
    return [header, (contiguous.T if is_fortran else contiguous).reshape(-1).view(np.uint8).data]


def _header(described: dict[str, Any]) -> bytes:
    # NumPy would write a name like φ in version 3.0, and warn; escaped it is fine in 2.0.
    text = ascii(described)
    fill = -(_BEFORE + len(text) + 1) % _ALIGNMENT
    if len(text) + fill >= _LONGEST:
        raise UnstorableError(
            "an array", f"its dtype takes more than {_LONGEST} characters; store fewer fields"
        )
    text += " " * fill + "\n"
    return _START + struct.pack("<I", len(text)) + text.encode("ascii")


def read(view: memoryview, is_aligned: bool = False) -> Array:
    """The array of these bytes, and in them: nothing is copied; read-only, if they are.

    That the fields of a structure are aligned is said beside: a header does not say it.
    """
    if bytes(view[: len(_START)]) != _START or len(view) < _BEFORE:
        raise CodecError("an array without a header of npy 2.0")
    (length,) = struct.unpack_from("<I", view, len(_START))
    begin = _BEFORE + length
    if length > _LONGEST or begin > len(view):
        raise CodecError(f"an array with a header of {length} characters")
    text = bytes(view[_BEFORE:begin])
    if not _TOKENS.fullmatch(text.decode("ascii")):
        raise CodecError(f"an array with the header {text[:100]!r}")
    shape, is_fortran, dtype = _parsed(text.decode("ascii"))
    if is_aligned:
        dtype = _aligned(dtype)
    count = math.prod(shape)
    size = len(view) - begin
    if count * dtype.itemsize != size or count * _empty(dtype) > _MANY + 8 * size:
        raise CodecError(f"an array {shape} of {dtype} in {size} bytes")
    array: Array = np.ndarray(shape, dtype, view[begin:], order="F" if is_fortran else "C")
    _check_characters(array)
    return array


def _parsed(text: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What a header says, in NumPy's terms, once its words are known to be such terms."""
    try:
        header = ast.literal_eval(text)
    except MemoryError:  # that is how Python's parser calls what is nested too deep for it
        raise CodecError(f"an array with the header {text[:100]!r}") from None
    match header:
        case {"descr": descr, "fortran_order": bool(order), "shape": tuple(shape), **others} if (
            not others and all(type(each) is int for each in shape) and _is_description(descr)
        ):
            return shape, order, npy.descr_to_dtype(descr)
    raise CodecError(f"an array with the header {text[:100]!r}")


def _is_description(descr: Any) -> bool:
    if type(descr) is str:
        return _CODE.fullmatch(descr) is not None
    return type(descr) is list and all(
        type(field) is tuple and len(field) in (2, 3) and type(field[0]) is str
        and _is_description(field[1])
        and (len(field) == 2 or all(type(each) is int for each in field[2]))
        for field in descr
    )  # fmt: skip


def _empty(dtype: np.dtype[Any]) -> int:
    """How many numbers and texts in each element have no bytes."""
    if dtype.subdtype is not None:
        return math.prod(dtype.shape) * _empty(dtype.base)
    if dtype.names:
        return sum(_empty(dtype[name]) for name in dtype.names)
    return int(not dtype.itemsize)


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse elements that a header would not restore as they are."""
    if dtype.hasobject:
        raise UnstorableError(
            "an array of objects", f"no format for {dtype}; return a list, or give it a dtype"
        )
    try:
        is_exact = _is_exact(dtype) and repr(_restored(dtype)) == repr(dtype)
    except (ValueError, TypeError):  # fields that overlap, or are out of order
        is_exact = False
    if not is_exact:
        raise UnstorableError(
            f"an array of {dtype}", "the npy format does not keep such a dtype; convert it before"
        )


def _restored(dtype: np.dtype[Any]) -> np.dtype[Any]:
    made = npy.descr_to_dtype(npy.dtype_to_descr(dtype))
    return _aligned(made) if dtype.isalignedstruct else made


def _aligned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A structure that says of itself, and of those in it, that their fields are aligned."""
    if dtype.subdtype is not None:
        return np.dtype((_aligned(dtype.base), dtype.shape))
    if dtype.names is None:
        return dtype
    return np.dtype({
        "names": list(dtype.names),
        "formats": [_aligned(dtype[name]) for name in dtype.names],
        "offsets": [dtype.fields[name][1] for name in dtype.names] if dtype.fields else [],
        "itemsize": dtype.itemsize,
        "aligned": True,
    })  # fmt: skip


def _is_exact(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype has nothing beside it: no metadata, no titles, no class of its own."""
    if dtype.metadata is not None or dtype.type.__module__ != "numpy" or dtype.type is np.record:
        return False
    if dtype.subdtype is not None:
        return _is_exact(dtype.base)
    fields = (dtype.fields or {}).values()
    return all(len(field) == 2 and _is_exact(field[0]) for field in fields)


def _check_characters(array: Array) -> None:
    """Python ends with a SystemError where it reads a character that is none."""
    for name in array.dtype.names or ():
        _check_characters(array[name])
    if array.dtype.kind == "U" and array.nbytes:
        number = np.dtype("u4").newbyteorder(array.dtype.byteorder)
        most = np.ravel(array, order="K").view(number).max()
        if most > sys.maxunicode:
            raise CodecError(f"an array of texts with the character {most:#x}")


def scalar(value: np.generic) -> tuple[str, bytes]:
    """A number or a time as the code of its type, and its bytes."""
    # Types of one size have one code, long and long long say; they differ by their letter.
    for code in (value.dtype.str, value.dtype.char):
        if _SCALAR_CODE.fullmatch(code) and np.dtype(code).type is type(value):
            return code, value.tobytes()
    raise UnstorableError(noun(value), "NumPy has no code for its type; return value.item()")


def scalar_of(code: str, data: bytes) -> np.generic:
    """The number or the time of this code, in these bytes."""
    if not _SCALAR_CODE.fullmatch(code) or len(data) != (dtype := np.dtype(code)).itemsize:
        raise CodecError(f"a number of type {code!r} in {len(data)} bytes")
    made: np.generic = np.frombuffer(data, dtype)[0]
    return made


def mask_apart(array: np.ma.MaskedArray[Any, Any]) -> tuple[Any, ...]:
    """A masked array as elements, mask, value to fill with, and whether the mask is hard."""
    elements = array.data
    if type(elements) is not np.ndarray:
        raise UnstorableError(
            "a masked array", f"no format for {type(elements).__qualname__}; mask a plain array"
        )
    mask = None if array.mask is np.ma.nomask else array.mask
    # Of the public fill_value nobody can tell whether it has been set.
    fill = getattr(array, "_fill_value")  # noqa: B009 - no part of NumPy's types
    return elements, mask, fill, bool(array.hardmask)


def mask_together(elements: Array, mask: Array | None, fill: Any, is_hard: bool) -> Any:
    """The masked array, as it was taken apart."""
    kind = np.ma.make_mask_descr(elements.dtype)
    if mask is not None and (mask.shape != elements.shape or mask.dtype != kind):
        raise CodecError(f"an array {elements.shape} with a mask {mask.shape} of {mask.dtype}")
    if fill is not None and (fill.shape or fill.dtype.kind != elements.dtype.kind):
        raise CodecError(f"an array of {elements.dtype} to be filled with {fill.dtype}")
    made = np.ma.MaskedArray(elements, np.ma.nomask if mask is None else mask, hard_mask=is_hard)
    # To set the public one would cut a text to the length of the elements.
    setattr(made, "_fill_value", fill)  # noqa: B010 - no part of NumPy's types
    return made
