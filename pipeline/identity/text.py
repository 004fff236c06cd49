"""Numbers and values as text for people: integers of any size, seconds up to ages of the world."""

from __future__ import annotations

import functools
import math
import re
from decimal import Decimal
from fractions import Fraction
from itertools import chain, islice
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from pipeline.identity.attributes import display_name, is_library_class, member_of
from pipeline.identity.code.modules import is_library, namespace

_YEAR = 31_557_600
_UNITS = (
    (Fraction(1, 1_000), Fraction(1, 1_000_000), "µs"),
    (1, Fraction(1, 1_000), "ms"),
    (120, 1, "s"),
    (7_200, 60, "min"),
    (172_800, 3_600, "h"),
    (_YEAR, 86_400, "days"),
)
"""Units of time: seconds below which to use the unit, its length in seconds, its name."""


def all_digits(number: int) -> str:
    """All digits, also of integers that `str` refuses to print."""
    return f"{Decimal(number):f}"


def digits(number: int) -> int:
    """How many decimal digits a positive integer has."""
    guess = int(number.bit_length() * math.log10(2))
    return guess + int(number >= 10**guess)


def shorten(number: int, width: int = 14) -> str:
    """An integer in at most `width` characters, without digits of its middle.

    >>> shorten(39088169), shorten(354224848179261915075)
    ('39088169', '35422484…15075')
    """
    if number < 0:
        return f"-{shorten(-number, width - 1)}"
    if (count := digits(number)) <= width:
        return str(number)
    tail = (width - 1) * 3 // 7
    head = width - 1 - tail
    return f"{number // 10 ** (count - head)}…{number % 10**tail:0{tail}}"


def short_repr(value: object, width: int = 60) -> str:
    """The `repr` of a value, in one line, cut off where it is long.

    `__repr__` of the project does not run: of its objects only the type is shown, unless a library
    made the method, as for dataclasses.
    """
    value = _beginning(value, width)
    try:
        text = repr(value) if _is_shown(value) else f"a {display_name(type(value))}"
    except ValueError:  # an integer in it has more digits than Python prints
        text = f"a {type(value).__name__} of very large numbers"
    except Exception:  # `__repr__` of any object may fail
        text = f"a {type(value).__name__}"
    return cut(text.replace("\n", " "), width)


def _beginning(value: Any, width: int) -> Any:
    """The first items of a long container: as many as a text has characters."""
    kind = type(value)
    if kind in (list, tuple) and len(value) > width:
        return value[:width]
    return dict(islice(value.items(), width)) if kind is dict and len(value) > width else value


def _is_shown(value: Any, depth: int = 20) -> bool:
    """Whether printing a value runs no code of the project."""
    kind = type(value)
    if kind in _CONTAINERS and depth:
        items = [*value.keys(), *value.values()] if kind is dict else value
        return _PLAIN.issuperset(map(type, items)) or all(
            _is_shown(item, depth - 1) for item in items
        )
    if is_library_class(kind):
        inner: Any = ()
        if kind in (MethodType, functools.partial):  # they print what they hold
            inner = (value.__self__,) if kind is MethodType else (value.args, value.keywords)
        is_lazy = issubclass(kind, ModuleType) and "__getattr__" in namespace(value)
        is_opaque = is_lazy or (issubclass(kind, np.ndarray) and value.dtype.hasobject)
        return not is_opaque and all(_is_shown(item, depth - 1) for item in inner)
    method = member_of(kind, "__repr__")
    if isinstance(method, FunctionType):
        is_generated = is_library(str(method.__globals__.get("__name__")))
        items = chain(namespace(value).values(), value if issubclass(kind, tuple) else ())
        return is_generated and all(_is_shown(item, depth - 1) for item in items)
    return method is member_of(object, "__repr__")


_CONTAINERS = {tuple, list, set, frozenset, dict}
_PLAIN = {int, float, complex, bool, str, bytes, type(None)}


def cut(text: str, width: int) -> str:
    """A text in at most `width` characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def format_value(value: Any) -> str:
    """A value, cut off where it is long.

    >>> format_value(0.1 + 0.2), format_value(np.float64(2) / 3), format_value(10**30)
    ('0.3', '0.666667', '10000000…00000')
    """
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    if type(value) is int:
        return shorten(value)
    if isinstance(value, np.ndarray):
        shape = "×".join(map(str, value.shape))
        return short_repr(value.tolist(), 28) if value.size <= 6 else f"{value.dtype}[{shape}]"
    return short_repr(value, 28)


def printable(text: str) -> str:
    """A text from anywhere, in one line, without characters that control a terminal.

    >>> printable("\\x1b[31mred\\n\\tblue")
    '·[31mred  blue'
    """
    return "".join(char if char.isprintable() else " " if char.isspace() else "·" for char in text)


def mask_passwords(text: str) -> str:
    """A text without the passwords in its URLs.

    >>> mask_passwords("ftp://ann:secret@host/cache is down")
    'ftp://ann:***@host/cache is down'
    """
    return re.sub(r"(://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)


def format_number(number: Fraction | int) -> str:
    """A count or a ratio: exact where it is short, else two significant digits.

    >>> format_number(204668309), format_number(2 * 10**402), format_number(Fraction(25, 7))
    ('204,668,309', '2.0e402', '3.6')
    """
    if number >= 10**9:
        return _scientific(Fraction(number))
    if number == int(number) or number >= 1000:
        return f"{round(number):,}"
    return f"{float(number):.3g}" if number >= 10 else f"{float(number):.2g}"


def format_duration(seconds: Fraction | float) -> str:
    """Seconds, in the unit that a person would choose; `dask.utils.format_time` ends at hours.

    >>> format_duration(0.0021), format_duration(3.14), format_duration(86400 * 30)
    ('2.1 ms', '3.1 s', '30 days')
    """
    exact = Fraction(seconds)
    for below, unit, name in _UNITS:
        if exact < below:
            value = float(exact / unit)
            return f"{value:.{int(value < 10)}f} {name}"
    years = exact / _YEAR
    if years < 10**4:
        return f"{format_number(years if years < 10 else round(years))} years"
    return f"{_scientific(years)} years"


def _scientific(number: Fraction) -> str:
    # In integers: reducing a fraction of thousands of digits takes milliseconds.
    top, bottom = number.numerator, number.denominator
    exponent = digits(top // bottom) - 1
    mantissa = round(top * 1000 // (bottom * 10**exponent), -2) / 1000
    if mantissa == 10:
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:.1f}e{exponent}"
