"""Numbers as a person reads them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from types import MethodType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identity import (
    all_digits,
    cut,
    format_duration,
    format_number,
    format_value,
    mask_passwords,
    printable,
    short_repr,
    shorten,
)
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


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (9_999_999, "9999999"), (-9_999_999, "-9999999"), (10**8, "100…00"), (-(10**9), "-100…00"),
        (123_456_789, "123…89"), (100_000_007, "100…07"),
    ],
)  # fmt: skip
def test_integers_in_eight_characters(number: int, text: str) -> None:
    width = 6 if number > 0 else 7
    assert shorten(number, 8 if abs(number) < 10**8 else width) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.000999, "999 µs"), (0.001, "1.0 ms"), (0.0095, "9.5 ms"), (0.010, "10 ms"),
        (1, "1.0 s"), (120, "2.0 min"), (7199, "120 min"), (7200, "2.0 h"), (172_799, "48 h"),
        (172_800, "2.0 days"), (31_557_599, "365 days"), (31_557_600, "1 years"),
        (31_557_600 * 9.5, "9.5 years"), (31_557_600 * 10, "10 years"),
        (31_557_600 * 10.4, "10 years"), (31_557_600 * 9_999, "9,999 years"),
        (31_557_600 * 10_000, "1.0e4 years"),
    ],
)  # fmt: skip
def test_durations_where_the_unit_changes(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (999_999_999, "999,999,999"), (Fraction(1999, 2), "1e+03"), (Fraction(2001, 2), "1,000"),
        (Fraction(19, 2), "9.5"), (Fraction(21, 2), "10.5"), (Fraction(1234, 100), "12.3"),
        (Fraction(5, 3), "1.7"), (10**10 - 1, "1.0e10"), (94_900_000_000, "9.5e10"),
        (94_400_000_000, "9.4e10"), (-5, "-5"),
    ],
)  # fmt: skip
def test_sizes_where_the_form_changes(number: Fraction, text: str) -> None:
    assert format_number(number) == text


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([10**5000], "a list of very large numbers"), (Unprintable(), "a Unprintable"),
        ("a\nb", r"'a\nb'"), (np.arange(4).reshape(2, 2), "array([[0, 1],        [2, 3]])"),
        ("a" * 58, repr("a" * 58)), ("a" * 59, f"'{'a' * 58}…"),
    ],
    ids=["large", "none", "line", "array", "60", "61"],
)  # fmt: skip
def test_a_short_repr_is_one_line(value: object, text: str) -> None:
    assert short_repr(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"), (np.float32(1.25), "1.25"), (True, "True"), (10**13, "10000000000000"),
        ("a" * 26, repr("a" * 26)), ("a" * 27, f"'{'a' * 26}…"), ([1.0, 2], "[1.0, 2]"),
        (np.arange(6), "[0, 1, 2, 3, 4, 5]"), (np.arange(7), "int64[7]"),
        (np.full(6, 1.23456789), "[1.23456789, 1.23456789, 1.…"), (np.array(5), "5"),
    ],
    ids=str,
)  # fmt: skip
def test_values_are_cut_off_where_they_are_long(value: Any, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("s3://key:secret@host/a", "s3://key:***@host/a"), ("s3://host/a", "s3://host/a"),
        ("http://:secret@host", "http://:***@host"), ("a://b:c@d e://f:g@h", "a://b:***@d e://f:***@h"),
        ("http://host:80/a@b", "http://host:80/a@b"), ("ann:secret@host", "ann:secret@host"),
        ("a://b c:d@e", "a://b c:d@e"), ("a://b:c@d@e/f", "a://b:***@e/f"),
    ],
)  # fmt: skip
def test_passwords_in_urls_are_masked(text: str, masked: str) -> None:
    assert mask_passwords(text) == masked


def test_text_from_anywhere_is_one_printable_line() -> None:
    assert printable("a\tb\r\x07é\u2028") == "a b ·é "


class Shy:
    """An object that must not be printed."""

    def __repr__(self) -> str:
        raise AssertionError("it was printed")


@dataclass
class Box:
    """An object that the standard library prints."""

    inner: object


class Pair(NamedTuple):
    """A tuple that the standard library prints."""

    one: object
    two: object


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Shy(), "a Shy"),
        ([1, {"key": (Shy(),)}], "a list"),
        (Box(Shy()), "a Box"),
        (Pair(1, Shy()), "a Pair"),
        (functools.partial(max, Shy()), "a partial"),
        (np.array([Shy()], object), "a ndarray"),
        (Box([1, {"key": None}]), "Box(inner=[1, {'key': None}])"),
        (Pair(1, Box(2)), "Pair(one=1, two=Box(inner=2))"),
        (functools.partial(max, 1), "functools.partial(<built-in function max>, 1)"),
        (Shy, "<class 'tests.identity.test_text.Shy'>"),
        (np.arange(3), "array([0, 1, 2])"),
    ],
)
def test_a_short_repr_runs_no_repr_of_the_project(value: object, text: str) -> None:
    assert short_repr(value) == text


def test_a_method_of_an_object_of_the_project_is_not_printed() -> None:
    assert short_repr(MethodType(max, Shy())) == "a method"
    assert short_repr(MethodType(max, 3)) == "<bound method max of 3>"


def test_a_value_that_contains_itself_has_a_short_repr() -> None:
    items: list[object] = [1]
    items.append(items)
    assert short_repr(items) == "[1, [...]]"


class Talking:
    """An object whose text is its own."""

    def __repr__(self) -> str:
        return "it ran"

    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Talking(), "a Talking"), ([Talking()], "a list"), ({1: Talking()}, "a dict"),
        ({Talking(): 1}, "a dict"), (Pair(1, Talking()), "a Pair"), (Box(Talking()), "a Box"),
        (functools.partial(max, Talking()), "a partial"), (Talking().method, "a method"),
        (functools.partial(max, key=Talking()), "a partial"), ({Talking()}, "a set"),
        (np.array([Talking()], object), "a ndarray"), (Pair(Box([Talking()]), 1), "a Pair"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_the_text_of_an_object_of_the_project_is_not_shown(value: object, text: str) -> None:
    assert short_repr(value) == text


class Quiet:
    """An object without a `__repr__` of the project's."""


def lazy_module() -> ModuleType:
    module = ModuleType("lazy")
    vars(module)["__getattr__"] = lambda name: pytest.fail(name)
    return module


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: Shy()}, "a dict"), ({Shy(): 1}, "a dict"), (Pair(Box(Shy()), 1), "a Pair"),
        (functools.partial(max, key=Shy()), "a partial"), (lazy_module(), "a module"),
        (SimpleNamespace(__getattr__=1), "namespace(__getattr__=1)"), ({1, 2}, "{1, 2}"),
        (frozenset({(1,)}), "frozenset({(1,)})"), (Fraction(1, 2), "Fraction(1, 2)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_more_short_texts(value: object, text: str) -> None:
    assert short_repr(value) == text


def test_an_object_without_a_repr_is_shown_by_its_class() -> None:
    assert short_repr(Quiet()).startswith(f"<{__name__}.Quiet object at 0x")


@pytest.mark.parametrize("kind", [list, tuple, dict.fromkeys, set])
def test_the_text_of_a_long_container_is_its_beginning(kind: Any) -> None:
    value = kind(range(1000))
    for width in (1, 14, 60):
        assert short_repr(value, width) == cut(repr(value), width)


def test_only_the_items_that_are_shown_are_printed() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise AssertionError

    assert short_repr([1] * 100 + [Silent()], 20) == cut(repr([1] * 100), 20)
    assert short_repr([1, Silent()] * 100, 20) == "a list"
