"""Numbers as a person reads them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identity import all_digits, format_duration, format_number, format_value, shorten
from pipeline.identity.text import digits


@given(st.integers(0, 10**200))
def test_digits(number: int) -> None:
    assert digits(number) == (len(str(number)) if number else 1) or number == 0


@given(st.integers(-(10**100), 10**100), st.integers(8, 30))
def test_shortened_integers_keep_head_and_tail(number: int, width: int) -> None:
    text = shorten(number, width)
    assert len(text) <= width
    if "…" in text:
        head, tail = text.split("…")
        assert str(number).startswith(head)
        assert str(number).endswith(tail)
    else:
        assert int(text) == number


def test_integers_of_any_size() -> None:
    number = 10**30_000 + 7
    assert len(all_digits(number)) == 30_001
    assert shorten(number) == "10000000…00007"
    assert format_number(number) == "1.0e30000"
    assert digits(10**30_000 - 1) == 30_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 µs"), (5e-6, "5.0 µs"), (0.012, "12 ms"), (0.9996, "1000 ms"), (3.14159, "3.1 s"),
        (119, "119 s"), (180, "3.0 min"), (3600 * 5, "5.0 h"), (86400 * 40, "40 days"),
        (31557600 * 3, "3 years"), (31557600 * 1234, "1,234 years"),
        (31557600 * 240_000_000, "2.4e8 years"), (Fraction(10) ** 420, "3.2e412 years"),
    ],
)  # fmt: skip
def test_durations(seconds: Fraction, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"), (0, "0"), (465, "465"), (204668309, "204,668,309"), (10**9, "1.0e9"),
        (Fraction(25, 7), "3.6"), (Fraction(177, 11), "16.1"), (Fraction(10**6, 3), "333,333"),
        (9_999_999_999, "1.0e10"), (Fraction(10**20, 3), "3.3e19"),
    ],
)  # fmt: skip
def test_sizes(number: Fraction, text: str) -> None:
    assert format_number(number) == text


def test_arrays_are_shown_by_elements_or_shape() -> None:
    assert format_value(np.arange(3)) == "[0, 1, 2]"
    assert format_value(np.zeros((3, 4))) == "float64[3×4]"
