"""What values are made of: a table of their types, with what takes them apart and together.

The parts of a value are values. What puts them together checks them, since they may come from a
file that anyone wrote, and makes nothing that is larger than they are.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from pickle import PicklingError
from types import EllipsisType, NoneType
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.store import npy
from pipeline.store.storables import (
    CodecError,
    UnstorableError,
    is_storable,
    object_apart,
    object_together,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence


class Form(NamedTuple):
    """How the values of a type are taken apart, and made from their parts again."""

    tag: int
    kind: type
    apart: Callable[[Any], Sequence[Any]]
    together: Callable[..., Any]
    types: Collection[type] | None
    """The types that parts may have; None for all."""


def _set(*parts: Any) -> set[Any]:
    if len(made := set(parts)) != len(parts):
        raise CodecError("a set that has an element twice")
    return made


def _dict(*parts: Any) -> dict[Any, Any]:
    made = dict(zip(parts[::2], parts[1::2], strict=True))
    if 2 * len(made) != len(parts):
        raise CodecError("a dict that has a key twice")
    return made


def _clock(*parts: Any) -> Any:
    """A time, or a date and a time, by how many parts there are."""
    kind: Any = time if len(parts) == 6 else datetime
    return kind(*parts[:-1], fold=parts[-1])


def _clock_parts(value: Any) -> tuple[Any, ...]:
    day = (value.year, value.month, value.day) if type(value) is datetime else ()
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return (*day, *clock, value.tzinfo, value.fold)


def _zone_parts(zone: ZoneInfo) -> tuple[str]:
    try:
        zone.__reduce__()
    except PicklingError as error:  # of a file, which may say anything, whatever its name
        raise UnstorableError(
            "a time zone from a file", "its name may stand for another; use ZoneInfo(name)"
        ) from error
    return (zone.key,)


def strings_apart(array: Any) -> tuple[Any, ...]:
    """Texts of any length: shape, order, how they are coerced, what is missing, and the texts."""
    dtype: Any = array.dtype
    missing = [dtype.na_object] if hasattr(dtype, "na_object") else []
    if missing and not _is_missing(missing[0]):
        raise UnstorableError(
            f"an array of {dtype}", "no format for what is missing in it; use nan or None for that"
        )
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    shape = list(array.shape)
    return shape, bool(is_fortran), bool(dtype.coerce), missing, array.reshape(-1).tolist()


def strings_together(
    shape: list[int], is_fortran: bool, coerce: bool, missing: list[Any], texts: list[Any]
) -> Any:
    """The array of texts, as it was taken apart."""
    if not all(map(_is_missing, missing)) or not all(
        type(each) is str or (missing and _is_missing(each)) for each in texts
    ):
        raise CodecError("an array of texts that holds something else")
    options = {"na_object": missing[0]} if missing else {}
    dtype = np.dtypes.StringDType(coerce=coerce, **options)
    array = np.array(texts, dtype=dtype).reshape(shape)
    return np.asfortranarray(array) if is_fortran else array


def _is_missing(value: Any) -> bool:
    return value is None or (type(value) is float and value != value)


_ZONES = {NoneType, timezone, ZoneInfo, int}
BIG = Form(
    10, int,
    lambda value: (value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True),),
    lambda data: int.from_bytes(data, "little", signed=True), {bytes},
)  # fmt: skip
NUMBER = Form(11, np.generic, npy.scalar, npy.scalar_of, {str, bytes})
STRINGS = Form(12, np.dtypes.StringDType, strings_apart, strings_together, {list, bool})
OBJECT = Form(13, object, object_apart, object_together, None)
_FORMS = (
    BIG, NUMBER, STRINGS, OBJECT,
    Form(20, list, list, lambda *parts: list(parts), None),
    Form(21, tuple, list, lambda *parts: parts, None),
    Form(22, dict, lambda value: list(chain.from_iterable(value.items())), _dict, None),
    Form(23, set, list, _set, None),
    Form(24, frozenset, list, lambda *parts: frozenset(_set(*parts)), None),
    Form(30, complex, lambda value: (value.real, value.imag), complex, {float}),
    Form(31, range, lambda value: (value.start, value.stop, value.step), range, {int, bool}),
    Form(32, slice, lambda value: (value.start, value.stop, value.step), slice, None),
    Form(33, bytearray, lambda value: (bytes(value),), bytearray, {bytes}),
    Form(34, EllipsisType, lambda _: (), lambda: ..., ()),
    Form(35, Decimal, lambda value: (str(value),), Decimal, {str}),
    Form(36, Fraction, lambda value: (value.numerator, value.denominator), Fraction, {int}),
    Form(40, date, lambda value: (value.year, value.month, value.day), date, {int}),
    Form(41, time, _clock_parts, _clock, _ZONES),
    Form(42, datetime, _clock_parts, _clock, _ZONES),
    Form(43, timedelta, lambda value: (value.days, value.seconds, value.microseconds), timedelta,
         {int}),
    Form(44, timezone, lambda value: value.__getinitargs__(), timezone, {timedelta, str}),
    Form(45, ZoneInfo, _zone_parts, ZoneInfo, {str}),
    # NumPy's own conversion would drop the zeros at their ends.
    Form(50, np.str_, lambda value: (str.__str__(value),), np.str_, {str}),
    Form(51, np.bytes_, lambda value: (bytes(memoryview(value)),), np.bytes_, {bytes}),
    Form(52, np.void, lambda value: (np.asarray(value),), lambda array: array.copy()[()],
         {np.ndarray}),
    Form(53, np.ma.MaskedArray, npy.mask_apart, npy.mask_together, {np.ndarray, NoneType, bool}),
    Form(54, type(np.ma.masked), lambda _: (), lambda: np.ma.masked, ()),
)  # fmt: skip
BY_TAG = {form.tag: form for form in _FORMS}
BY_KIND = {form.kind: form for form in _FORMS[4:]}
"""The forms of exact types."""


def form_of(kind: type, value: Any) -> Form | None:
    """The form of a value, if it has one."""
    form = BY_KIND.get(kind)
    if form is None:
        if issubclass(kind, np.generic):
            return NUMBER
        if kind is np.ndarray and isinstance(value.dtype, np.dtypes.StringDType):
            return STRINGS
        if is_storable(kind):
            return OBJECT
    return form
