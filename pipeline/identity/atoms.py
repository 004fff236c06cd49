"""Values without parts, as parts of a key: numbers, texts, and what stands for itself."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.identity.arrays import content
from pipeline.identity.text import all_digits

if TYPE_CHECKING:
    from dask.typing import Key

KEY_WIDTH = 48
"""Characters of an argument that a key shows whole; a longer one is shortened and hashed."""

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
"""Integers between these stand for themselves; a cluster's messages can hold no others."""


def short_hash(encoded: Key) -> str:
    """24 hexadecimal digits that stand for an encoded value.

    >>> short_hash(("fib-0123456789ab", 5))
    '9680defef6b1412819355b21'
    """
    return blake2b(repr(encoded).encode(errors="surrogatepass"), digest_size=12).hexdigest()


_SINGLE = map(type, (None, ..., NotImplemented))
ATOMS = frozenset({int, bool, float, complex, str, bytes, range, *_SINGLE})
"""Types whose values are encoded by what Python shows of them."""


def atom(value: Any) -> Key:
    """A value of one of these types, as Python shows it."""
    if type(value) is int:
        return value if MIN_INT <= value <= MAX_INT else shortened(all_digits(value))
    if type(value) in (float, complex) and value != value:
        return f"nan {np.asarray(value).tobytes().hex()}"  # there are many
    if type(value) in (str, bytes) and len(value) > _LARGE:
        data = value.encode(errors="surrogatepass") if type(value) is str else value
        hashed = content(np.frombuffer(data, np.uint8))
        return f"{value[: KEY_WIDTH // 2]!r}…#{hashed} of {len(value)}"
    return shortened(repr(value))


_LARGE = 10_000
"""Characters from which on to print a text takes longer than to hash it."""

_NUMBERS = frozenset(np.dtype(code).type for code in "?bBhHiIlLqQefdFD")
"""NumPy's numbers that Python has numbers for."""


def shortened(text: str) -> str:
    """A text that is too long for a key, cut off and with its hash."""
    return text if len(text) <= KEY_WIDTH else f"{text[: KEY_WIDTH // 2]}…#{short_hash(text)}"


def scalar(value: Any) -> str | None:
    """A number of NumPy's; None for what is no number, or has many forms."""
    kind = type(value)
    if kind in _NUMBERS and value == value:  # there are many that are not numbers
        return f"{kind.__name__}({value.item()!r})"
    if isinstance(value, np.longdouble):  # wider than Python's, with bytes that mean nothing
        return f"longdouble({np.format_float_scientific(value)})"
    return None
