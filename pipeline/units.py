"""Numbers as a person reads them: integers of any size, and seconds up to many ages of the world."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

_YEAR = Fraction(31_557_600)

_UNITS = (
    (Fraction(1, 1_000), Fraction(1, 1_000_000), "µs"),
    (Fraction(1), Fraction(1, 1_000), "ms"),
    (Fraction(120), Fraction(1), "s"),
    (Fraction(7_200), Fraction(60), "min"),
    (Fraction(172_800), Fraction(3_600), "h"),
    (_YEAR, Fraction(86_400), "days"),
)


def whole(number: int) -> str:
    """All digits, with separators; of integers, too, that `str` refuses to print.

    >>> whole(-204668309)
    '-204,668,309'
    """
    return f"{Decimal(number):,f}"


def digits(number: int) -> int:
    """How many decimal digits a positive integer has.

    >>> digits(999), digits(1000), digits(10**5000)
    (3, 4, 5001)
    """
    guess = int(number.bit_length() * math.log10(2))
    return guess + (number >= 10**guess)


def shorten(number: int, width: int = 15) -> str:
    """An integer in at most `width` characters: digits of its middle are left out.

    >>> shorten(39088169), shorten(354224848179261915075)
    ('39,088,169', '354224848…15075')
    """
    if abs(number) < 10**width and len(text := whole(number)) <= width:
        return text
    sign, number = "-" * (number < 0), abs(number)
    count = digits(number)
    kept = width - len(sign) - 1
    if count <= kept + 1:
        return f"{sign}{number}"
    tail = kept // 3 + 1
    return f"{sign}{number // 10 ** (count - kept + tail)}…{number % 10**tail:0{tail}}"


def size(number: Fraction | int) -> str:
    """A count or a ratio: exact where it is short, else two significant digits.

    >>> size(465), size(204668309), size(Fraction(25, 7)), size(2 * 10**402)
    ('465', '204,668,309', '3.6', '2.0e402')
    """
    if number >= 10**9:
        return _scientific(Fraction(number))
    if number == int(number) or number >= 1000:
        return f"{round(number):,}"
    return f"{float(number):.3g}" if number >= 10 else f"{float(number):.2g}"


def duration(seconds: Fraction | float) -> str:
    """Seconds, in the unit that a person would choose.

    >>> duration(0.0021), duration(3.14), duration(Fraction(10**20)), duration(86400 * 30)
    ('2.1 ms', '3.1 s', '3.2e12 years', '30 days')
    """
    exact = Fraction(seconds)
    for below, unit, name in _UNITS:
        if exact < below:
            value = float(exact / unit)
            return f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"
    years = exact / _YEAR
    return f"{size(years if years < 10 else round(years)) if years < 10**4 else _scientific(years)} years"


def _scientific(number: Fraction) -> str:
    exponent = digits(int(number)) - 1
    mantissa = float(number / 10**exponent)
    if round(mantissa, 1) >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    return f"{mantissa:.1f}e{exponent}"
