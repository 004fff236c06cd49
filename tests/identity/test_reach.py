"""A function is read again if anything that it reaches has changed, and only then."""

from __future__ import annotations

import math
import types
from enum import Enum
from typing import Any

import numpy as np
import pytest

from pipeline.identity import Digester, Known, Reach

SCALE = 2
TABLE = {"a": [1, 2]}
ARRAY = np.arange(5)
MODULE = types.ModuleType("tests.made_by_this_test")
vars(MODULE).update(__file__=__file__, factor=3)


class Root:
    pass


class Plain(Root):
    limit = 5
    names = ["a"]  # noqa: RUF012 - that it may change is what is tested

    def method(self) -> int:
        return SCALE


class Colour(Enum):
    RED = 1


HELD = Plain()


def helper(x: Any) -> Any:
    return x * SCALE


vars(helper)["note"] = 0


def by_default(x: Any, limit: Any = (1, [2])) -> Any:
    return x, limit


def user(x: Any) -> Any:
    return helper(x) + TABLE["a"][0] + ARRAY[0] + MODULE.factor + math.floor(2.5)


def of_classes(x: Any) -> Any:
    return Plain.limit, Plain().method(), Colour.RED, HELD, helper.note  # type: ignore[attr-defined]


def by_import(x: Any) -> Any:
    import json

    return json.dumps(x), by_default(x)


def closing(value: Any) -> Any:
    def inner(x: Any) -> Any:
        return x + value

    return inner


CLOSED = closing(1)
ALL = (user, of_classes, by_import, CLOSED)


def reach_of(function: Any) -> tuple[str, Reach]:
    encoder = Digester(known=(known := Known()))
    return str(encoder.encode(function)), Reach(function, known, Digester)


def other(x: Any) -> Any:
    return x


CODE = helper.__code__
METHOD = Plain.method


class Base(Root):
    shared = 1


CHANGES = [
    ("user", "SCALE = 3", "SCALE = 2"),
    ("user", "HELPER = helper; helper = other", "helper = HELPER"),
    ("user", "helper.__code__ = other.__code__", "helper.__code__ = CODE"),
    ("user", "TABLE['a'] = [1, 3]", "TABLE['a'] = [1, 2]"),
    ("user", "TABLE['a'][1] = 7", "TABLE['a'][1] = 2"),
    ("user", "ARRAY[1] = 7", "ARRAY[1] = 1"),
    ("user", "MODULE.factor = 4", "MODULE.factor = 3"),
    ("user", "del MODULE.factor", "MODULE.factor = 3"),
    ("user", "MATH = math; math = MODULE", "math = MATH"),
    ("of_classes", "Plain.limit = 6", "Plain.limit = 5"),
    ("of_classes", "Plain.names[0] = 'b'", "Plain.names[0] = 'a'"),
    ("of_classes", "Plain.method = other", "Plain.method = METHOD"),
    ("of_classes", "Plain.more = 1", "del Plain.more"),
    ("of_classes", "HELD.state = 1", "del HELD.state"),
    ("of_classes", "helper.note = 1", "helper.note = 0"),
    ("of_classes", "Plain.__bases__ = (Base,)", "Plain.__bases__ = (Root,)"),
    ("by_import", "by_default.__defaults__[0][1][0] = 3", "by_default.__defaults__[0][1][0] = 2"),
    ("by_import", "by_default.__defaults__ = (1,)", "by_default.__defaults__ = ((1, [2]),)"),
    (
        "CLOSED",
        "CLOSED.__closure__[0].cell_contents = 2",
        "CLOSED.__closure__[0].cell_contents = 1",
    ),
]


@pytest.mark.parametrize(("name", "change", "undo"), CHANGES)
def test_a_change_of_what_is_reached_is_seen(name: str, change: str, undo: str) -> None:
    before, reach = reach_of(globals()[name])
    assert reach.is_same()
    try:
        exec(change, globals())  # noqa: S102 - statements of this file
        assert not reach.is_same()
        assert reach_of(globals()[name])[0] != before
    finally:
        exec(undo, globals())  # noqa: S102
    assert reach_of(globals()[name])[0] == before


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_what_it_does_not_reach_is_no_change(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reach = reach_of(function)
    monkeypatch.setitem(globals(), "other", user)
    monkeypatch.setitem(globals(), "unused", 1)
    assert reach.is_same()
