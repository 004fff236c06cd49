"""Structures of values."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

from dask.task_spec import TaskRef

from pipeline.graph import leaves, map_leaves
from pipeline.graph.nesting import references

Pair = namedtuple("Pair", "left right")


@dataclass
class Point:
    x: Any
    y: Any


STRUCTURE = {"a": [1, (2, {3})], "b": Pair(4, Point(5, [6])), "c": []}


def test_a_structure_is_made_again_with_other_leaves() -> None:
    assert map_leaves(STRUCTURE, lambda leaf: leaf * 10) == {
        "a": [10, (20, {30})],
        "b": Pair(40, Point(50, [60])),
        "c": [],
    }


def test_leaves_stand_in_order() -> None:
    assert list(leaves(STRUCTURE)) == [1, 2, 3, 4, 5, 6]


def test_strings_arrays_and_classes_are_leaves() -> None:
    for leaf in ("text", b"text", Point, range(3), frozenset({1})):
        assert list(leaves(leaf)) == [leaf]


def test_references_are_told_as_often_as_they_stand() -> None:
    assert references([TaskRef("a"), {"x": TaskRef("b")}, TaskRef("a"), 1]) == ["a", "b", "a"]
