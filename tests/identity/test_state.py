"""What an object is made of."""

from __future__ import annotations

import re
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from pipeline.identity import UnkeyableError, UnknownError
from pipeline.identity.state import state_of
from tests.functions import fib


@pytest.mark.parametrize("value", [Decimal("1.5"), Fraction(1, 3), re.compile("a"), slice(1, 2)])
def test_the_state_of_equal_objects_is_equal(value: Any) -> None:
    assert state_of(value) == state_of(value)


def test_what_an_object_says_of_itself_goes_first() -> None:
    class Tokened:
        lock = threading.Lock()

        def __dask_tokenize__(self) -> tuple[str, int]:
            return ("token", 1)

    assert state_of(Tokened()) == ("token", 1)


def test_items_of_lists_and_dicts_are_told() -> None:
    class Many(list[int]):
        pass

    assert [1, 2] in state_of(Many([1, 2]))


@pytest.mark.parametrize("value", [threading.Lock(), object(), (c for c in "a")], ids=repr)
def test_what_has_no_state_is_refused_with_a_remedy(value: Any) -> None:
    with pytest.raises(UnkeyableError, match=r"no key for a .*; pass what it is made from"):
        state_of(value)


def test_a_call_has_no_state_yet() -> None:
    with pytest.raises(UnknownError, match=r"fib\(3\): its value is not known yet"):
        state_of(fib(3))
