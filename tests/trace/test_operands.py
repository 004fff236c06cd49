"""Arguments of tasks."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from pipeline import UnkeyableError
from pipeline.trace.operands import encode, freeze
from tests.functions import fib, square


def test_lists_dicts_and_arrays_are_taken_as_they_are() -> None:
    inner, array, queue = [1], np.zeros(2), deque([1])
    frozen = freeze({"a": inner, "b": (array, queue)})
    inner.append(2)
    array[:] = 9
    queue.append(2)
    assert frozen["a"] == [1]
    assert frozen["b"][0].tolist() == [0, 0]
    assert list(frozen["b"][1]) == [1]


def test_calls_stay_themselves() -> None:
    call = fib(3)
    assert freeze([call, 1])[0] is call


@pytest.mark.parametrize("value", [{fib(1)}, [{fib(1), 2}], {"a": (frozenset({fib(1)}),)}])
def test_a_set_of_calls_is_refused(value: Any) -> None:
    with pytest.raises(UnkeyableError, match="it has no order; pass a list"):
        freeze(value)


def test_operands_differ_as_what_they_compute_differs() -> None:
    operands = [
        fib(3), fib(4), fib(3) + 1, 1 + fib(3), fib(3) + 1.0, -fib(3), [fib(3)], (fib(3),),
        {"a": fib(3)}, {"b": fib(3)}, [fib(3), fib(3)], square(fib(3)), square(square(3)), 3,
    ]  # fmt: skip
    assert len({repr(encode(each)) for each in operands}) == len(operands)
    assert encode(fib(3) + 1) == encode(fib(3) + 1)


def test_operands_read_as_python() -> None:
    assert str(encode(fib(3) + 1)).startswith("fib(3) + 1@")
