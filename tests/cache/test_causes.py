"""What a function reaches, part by part."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.cache.causes import argument_changes, described, differences

RATE = 0.5


def helper(x: float) -> float:
    return x * RATE


def makes(offset: int) -> object:
    def made(x: float, power: int = 2) -> float:
        return float(np.sin(helper(x)) ** power + offset)

    return made


def test_a_description_names_all_that_a_digest_covers() -> None:
    found = described(makes(3))
    assert found["its own"]["closure value `offset`"] == "3"
    assert found["its own"]["defaults"] == "(2,)"
    assert found["helper `helper`"]["global `RATE`"] == "0.5"
    assert found["helper `helper`"]["in"] == " in test_causes.py"
    assert found["libraries"]["numpy"] == np.__version__


def test_what_has_no_content_is_described_as_far_as_it_goes() -> None:
    assert described(iter([])) == {}


@pytest.mark.parametrize(
    ("before", "now", "told"),
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
    ],
)  # fmt: skip
def test_differences_are_told_by_name(
    before: dict[str, dict[str, str]], now: dict[str, dict[str, str]], told: list[str]
) -> None:
    assert differences(before, now) == told


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([["1", "a"]], [["1", "a"]], []),
        ([["1", "a"]], [], ["it took 1 arguments, takes 0"]),
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
        ([["[0.5 …]", "a"]], [["[0.5 …]", "b"]], ["argument 1, [0.5 …], has another content"]),
        ([["load('a')", "@a"]], [["load('a')", "@b"]], ["its input load('a') changed"]),
    ],
)
def test_changed_arguments_are_told_by_place_or_name(
    before: list[list[str]], now: list[list[str]], told: list[str]
) -> None:
    assert argument_changes(before, now) == told


def test_many_differences_are_told_by_their_number() -> None:
    before = {f"helper `{each}`": {"code": "1"} for each in "abcdef"}
    now = {f"helper `{each}`": {"code": "2"} for each in "abcdef"}
    assert differences(before, now)[2:] == ["helper `c` changed", "3 more changes"]
