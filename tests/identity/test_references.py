"""What a function reaches, and where the project ends."""

from __future__ import annotations

import collections
import json
import operator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import pipeline
from pipeline.identity import definition_parts, library_name
from tests.functions import fib

if TYPE_CHECKING:
    from types import FunctionType


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (len, "builtins.len"),
        (operator.add, "_operator.add"),
        (json.dumps, "json.dumps"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (np.sum, "numpy.sum"),
        (np.sin, "numpy.sin"),
        (np.ndarray, "numpy.ndarray"),
        (str.upper, None),  # a method descriptor: encoded by what pickle makes of it
        (pipeline.contrast, "pipeline.contrast"),
        (pipeline.task, "pipeline.task"),
    ],
)
def test_the_values_of_a_library_have_its_name(value: Any, name: str | None) -> None:
    assert library_name(value) == name


@pytest.mark.parametrize("value", ["a".upper, [].append, fib, library_name.__code__, 3, lambda: 1])
def test_other_values_have_no_library_name(value: Any) -> None:
    assert library_name(value) is None


def test_the_parts_of_a_function() -> None:
    closed = 7

    def f(x: int, y: int = 5, *, z: int = 6) -> object:
        return closed, operator, [x for _ in (1, 2)]

    parts = list(definition_parts(cast("FunctionType", f)))
    assert (5,) in parts
    assert {"z": 6} in parts
    assert 7 in parts
    assert ("operator", operator) in parts


def test_the_parts_of_a_class() -> None:
    class Base:
        pass

    class Derived(Base):
        """Documentation says nothing of what a class does."""

        size = 3

        @property
        def area(self) -> int:
            return 9

    members: Any = list(definition_parts(Derived))[2:]  # after its bases and its metaclass
    named = dict(members)
    assert next(iter(definition_parts(Derived))) == (Base,)
    assert named["size"] == 3
    assert callable(named["area"][0])
    assert "__doc__" not in named
