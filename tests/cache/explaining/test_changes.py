"""How two descriptions, and two calls, differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.cache.explaining.changes import (
    code_changes,
    constant_change,
    input_changes,
    is_empty_table,
    number_changes,
    pairs,
)
from pipeline.cache.explanation import first_changes
from pipeline.cache.saving import Argument, Part

if TYPE_CHECKING:
    from pipeline.cache.explaining import Change


def texts(changes: list[Change]) -> list[str]:
    return [change.text for change in changes]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"its own": {"code": "a"}}, {"its own": {"code": "a"}}, []),
        ({"helper `f`": {"code": "a"}}, {"helper `f`": {"code": "b"}}, ["helper `f` changed"]),
        ({}, {"helper `f`": {"in": " in a.py"}}, ["helper `f` in a.py is new"]),
        ({"helper `f`": {"in": " in a.py"}}, {"helper `f`": {"in": " in b.py"}}, []),
        ({"helper `f`": {}}, {}, ["helper `f` is no longer used"]),
        ({"its own": {"global `x`": "1"}}, {"its own": {"global `x`": "2"}},
         ["global `x` was 1, is 2"]),
        ({"its own": {"global `x`": "[9]#ab"}}, {"its own": {"global `x`": "[9]#cd"}},
         ["global `x` changed"]),
        ({"libraries": {"numpy": "1"}}, {"libraries": {"numpy": "2"}},
         ["library numpy was 1, is 2"]),
        ({"libraries": {"numpy": "1 #ab"}}, {"libraries": {"numpy": "2 #cd"}},
         ["library numpy was 1, is 2"]),
        ({"libraries": {"numpy": "1 #ab"}}, {"libraries": {"numpy": "1 #cd"}},
         ["library numpy 1 has other code"]),
    ],
)  # fmt: skip
def test_changes_of_code_are_named(
    before: dict[str, dict[str, str]], now: dict[str, dict[str, str]], expected: list[str]
) -> None:
    assert texts(code_changes(before, now)) == expected


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([["1", "a"]], [["1", "a"]], []),
        ([["rate=1", "a"]], [["rate=2", "b"]], ["argument rate was 1, is 2"]),
        (
            [["n=3, rate=0.1, offset=0.0, scale=1.5, x)", "a"]],
            [["n=3, rate=0.1, offset=0.0, scale=2.5, x)", "b"]],
            ["argument n was ….0, scale=1.5, x), is ….0, scale=2.5, x)"],
        ),
        (
            [["Point(x=1)", "a"]],
            [["Point(x=2)", "b"]],
            ["argument 1 was Point(x=1), is Point(x=2)"],
        ),
        ([["[0.5 …]", "a"]], [["[0.5 …]", "b"]], ["argument 1, [0.5 …], has other content"]),
        ([["load('a')", "@a"]], [["load('a')", "@b"]], ["its input load('a') changed"]),
    ],
)
def test_changed_arguments_are_named_or_numbered(
    before: list[list[str]], now: list[list[str]], expected: list[str]
) -> None:
    arguments = [Argument(text, [Part(digest)]) for text, digest in now]
    changes = [constant_change(pair) for pair in pairs(before, arguments) if pair.changed]
    assert texts([*changes, *input_changes(before, now)]) == expected


def test_many_changes_are_counted() -> None:
    before = {f"helper `{name}`": {"code": "1"} for name in "abcdef"}
    now = {f"helper `{name}`": {"code": "2"} for name in "abcdef"}
    changes = first_changes(code_changes(before, now))
    assert changes[2:] == ["helper `c` changed", "3 more changes"]


def test_another_number_of_inputs_is_counted() -> None:
    before, now = [["[f(1), f(2)]", "@a @b"]], [["[f(1)]", "@a"]]
    assert texts(number_changes(before, now)) == ["it has 1 inputs, had 2"]
    assert number_changes(now, now) == []


def test_only_a_table_is_an_empty_table() -> None:
    pandas = pytest.importorskip("pandas")
    assert is_empty_table(pandas.DataFrame({"a": []}))
    others: list[Any] = [pandas.DataFrame({"a": [1]}), pandas.CategoricalDtype(["a.json"]), []]
    assert not any(map(is_empty_table, others))
