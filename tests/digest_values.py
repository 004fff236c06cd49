"""Pairs of values that must differ, and pairs that must agree; also run as a script."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import operator
import pathlib
import sys
import uuid
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import pipeline


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass
class Vector:
    x: Any
    y: Any = 0


class Whole(int):
    pass


class Words(list[Any]):
    pass


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: int) -> None:
        self.a = a


Pair = collections.namedtuple("Pair", "a b")
Couple = collections.namedtuple("Couple", "a b")

MATRIX = np.arange(9.0).reshape(3, 3)
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
UTC = datetime.UTC


def nan(payload: int) -> float:
    return float(np.array([0x7FF8 << 48 | payload], np.uint64).view(np.float64)[0])


def adder(n: int) -> Any:
    return lambda x: x + n


def structured(one: str, other: str, value: float = 2.0) -> Any:
    return np.array([(1, value)], [(one, "i4"), (other, "f8")])


def record(number: int, held: Any, name: str = "a") -> Any:
    """A structured array that holds an object."""
    return np.array([(number, held)], [(name, "i4"), ("o", object)])


def row(items: list[Any]) -> Any:
    """An array of one object, a list."""
    array = np.empty(1, object)
    array[0] = items
    return array


class Tagged(np.ndarray[Any, Any]):
    """An array with an attribute."""


def tagged(tag: str) -> Any:
    array = np.array([1, 2]).view(Tagged)
    array.tag = tag  # type: ignore[attr-defined] # anybody may
    return array


def padded(fill: int) -> Any:
    """A structured array, with another filling between its fields."""
    memory = np.full(32, fill, np.uint8)
    kind = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    array = memory.view(kind)
    array["a"], array["b"] = 1, 2.0
    return array


DIFFER: list[tuple[Any, Any]] = [
    (1, 1.0), (1, True), (1, "1"), ("1", b"1"), (1, np.int64(1)), (np.int64(1), np.int32(1)),
    (1.0, np.float64(1.0)), (0.0, -0.0), (0, False), (0, None), (None, "None"), ("", b""),
    ([1, 2], (1, 2)), ({1, 2}, frozenset({1, 2})), ({1, 2}, [1, 2]), ([], ()), ([], {}),
    ({}, set()), ([[1], 2], [[1, 2]]), ((1, (2,)), (1, 2)), (((),), ()), ({1: 2}, {2: 1}),
    ({"a": 1}, {"a": 1.0}), ({1: "a"}, {"1": "a"}), ([1, 2], [2, 1]), ("ab", ["a", "b"]),
    (("list", 1), [1]), (1 + 0j, 1.0), (2**64, float(2**64)), (10**5000, 10**5000 + 1),
    (range(3), [0, 1, 2]), (range(3), range(4)), (slice(1), slice(0, 1)), (..., None),
    (float("nan"), nan(1)), (nan(1), nan(2)), (np.float64(nan(1)), np.float64(nan(2))),
    (np.array([nan(1)]), np.array([nan(2)])), (complex(0.0, -0.0), complex(0.0, 0.0)),
    (MATRIX, MATRIX.T), (MATRIX, MATRIX.ravel()), (MATRIX, MATRIX.astype("f4")),
    (MATRIX, MATRIX.astype(">f8")), (MATRIX, MATRIX.tolist()), (MATRIX, MATRIX[:, ::-1]),
    (np.zeros((2, 0)), np.zeros((0, 2))), (np.array(1.0), np.array([1.0])),
    (np.array([1], "i8"), np.array([1], "u8")), (np.array([0.0]), np.array([-0.0])),
    (np.array(["a-b", "c"], object), np.array(["a", "b-c"], object)),
    (np.array(["ab", "c"]), np.array(["a", "bc"])), (np.array(["a"], "U1"), np.array(["a"], "U2")),
    (np.array([1], object), np.array([1.0], object)),
    (np.array([1], object), np.array([True], object)),
    (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 2], mask=[True, False])),
    (np.ma.array([1, 2]), np.array([1, 2])), (np.ma.array([1, 2]), np.ma.array([1, 3])),
    (np.ma.array([1, 2], fill_value=7), np.ma.array([1, 2], fill_value=8)),
    (np.ma.array([1, 2], hard_mask=True), np.ma.array([1, 2])),
    (structured("a", "b"), structured("a", "c")),
    (np.array(["2020"], "M8[D]"), np.array(["2020"], "M8[s]")),
    (np.empty((0, 2), object), np.empty((0, 3), object)),
    (np.array([[1, 2]], object), row([1, 2])), (record(1, None), record(2, None)),
    (record(1, None), record(1, 0)), (record(1, None), record(1, None, "b")),
    (structured("a", "b"), structured("a", "b", 3)), (structured("a", "b"), structured("b", "a")),
    (np.array([1, 2], "g"), np.array([2, 1], "g")), (np.array([1j], "G"), np.array([2j], "G")),
    (np.longdouble(1), np.longdouble(2)), (np.longdouble(1), np.float64(1)),
    (np.array([1, 2]).view(Tagged), np.array([1, 2])), (tagged("a"), tagged("b")),
    (np.array([1, 2]).view(Tagged), np.array([1, 3]).view(Tagged)),
    (complex(nan(1), 0), complex(nan(2), 0)), (complex(nan(1), 0), nan(1)),
    (MATRIX.view(np.matrix), MATRIX), (np.dtype("f8"), np.dtype("f4")),
    (Whole(1), 1), (Words([1]), [1]), (Pair(1, 2), (1, 2)), (Pair(1, 2), Couple(1, 2)),
    (Colour.RED, Colour.BLUE), (Colour.RED, Shade.RED), (Colour.RED, 1), (Point(1), Vector(1)),
    (Point(1), Point(1.0)), (Point(1), (1, 0)), (Slotted(1), Slotted(2)),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (functools.partial(max, 1), functools.partial(min, 1)),
    (functools.partial(int, base=2), functools.partial(int, base=3)),
    ([1].count, [2].count), ("a".upper, "a".lower), (Point(1).__eq__, Point(2).__eq__),
    (operator.itemgetter(1), operator.itemgetter(2)), (adder(1), adder(2)), (len, max),
    (np.sin, np.cos), (int, float), (Point, Vector), (lambda x: x, lambda x: -x),
    (datetime.datetime(2020, 1, 1, tzinfo=UTC), datetime.datetime(2020, 1, 1)),
    (datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
     datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))),
    (datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)),
    (datetime.time(1), datetime.time(1, fold=1)), (datetime.timedelta(1), datetime.timedelta(2)),
    (decimal.Decimal("1.0"), decimal.Decimal("1.00")), (fractions.Fraction(1), 1),
    (uuid.UUID(int=1), uuid.UUID(int=2)), (pathlib.PurePosixPath("a"), "a"),
    (FRAME, FRAME.set_index(pd.Index([1, 2]))), (FRAME, FRAME.rename(columns={"a": "c"})),
    (FRAME, FRAME.astype({"a": "int32"})), (FRAME, FRAME.astype({"b": "category"})),
    (FRAME, FRAME[["b", "a"]]), (FRAME, FRAME.iloc[::-1]), (FRAME, FRAME.assign(b=["x", None])),
    (FRAME.a, FRAME.a.rename("z")), (FRAME.a, FRAME[["a"]]), (FRAME.a, FRAME.a.to_numpy()),
    (FRAME.rename_axis("i"), FRAME), (pd.Index([1, 2]), pd.Index([1.0, 2.0])),
    (pd.Categorical(["a"]), pd.Categorical(["a"], ["a", "b"])),
    (pd.Categorical(["a", "b"]), pd.Categorical(["a", "b"], ordered=True)),
    (pd.Series([1, None], dtype="Int64"), pd.Series([1, 0], dtype="Int64")),
    (pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2020")), (pd.NA, pd.NaT),
    (pd.date_range("2020", periods=2), pd.date_range("2020", periods=2, tz="UTC")),
    (pd.MultiIndex.from_tuples([(1, 2)]), pd.MultiIndex.from_tuples([(2, 1)])),
    (pa.array([1, None]), pa.array([1, 0])), (pa.array(["a"]), pa.array([b"a"])),
    (pa.table({"a": [1]}), pa.table({"b": [1]})), (pa.table({"a": [1]}), FRAME),
]  # fmt: skip


def agree() -> list[tuple[Any, Any]]:
    """Pairs of equal values, made twice."""
    memory = np.arange(18.0).reshape(3, 6)
    return [
        (1, 1), (10**5000, 10**5000), ("a" * 1000, "a" * 1000), (1.5, 1.5), (nan(3), nan(3)),
        ({1: 2, 3: 4}, {3: 4, 1: 2}), ({"a", "b", "c"}, {"c", "b", "a"}),
        (frozenset("abc"), frozenset("cba")), ([{"a": {1, 2}}], [{"a": {2, 1}}]),
        (MATRIX, MATRIX.copy()), (MATRIX.T, MATRIX.T.copy()), (MATRIX, np.asfortranarray(MATRIX)),
        (memory[:, ::2], memory[:, ::2].copy()), (np.array(1.0), np.array(1.0)),
        (np.array(["a", "b"], object), np.array(["a", "b"], object)),
        (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 2], mask=[False, True])),
        (structured("a", "b"), structured("a", "b")), (padded(0), padded(255)),
        (np.longdouble(1) / 3, np.longdouble(1) / 3),
        (np.array([1, 2], "g") / 3, np.array([1, 2], "g") / 3), (np.int64(7), np.int64(7)),
        (Colour.RED, Colour(1)), (Point(1, [2]), Point(1, [2])), (Slotted(1), Slotted(1)),
        (Pair(1, 2), Pair(1, 2)), (Words("ab"), Words("ab")),
        (functools.partial(max, 1, key=abs), functools.partial(max, 1, key=abs)),
        (adder(1), adder(1)), (Point, Point), (np.sin, np.sin), (len, len), (np, np),
        (Point(1).__eq__, Point(1).__eq__), (operator.itemgetter(1), operator.itemgetter(1)),
        (datetime.datetime(2020, 1, 1, tzinfo=UTC), datetime.datetime(2020, 1, 1, tzinfo=UTC)),
        (pd.concat([FRAME[["a"]], FRAME[["b"]]], axis=1), FRAME),
        (FRAME.a, FRAME.copy().a), (pd.concat([FRAME, FRAME], ignore_index=True).iloc[:2], FRAME),
        (pd.Series([1, 5], dtype="Int64").where([True, False]),
         pd.Series([1, None], dtype="Int64")),
        (pa.chunked_array([["a"], ["b"]]), pa.chunked_array([["a", "b"]])),
        (pa.array(["x", "a", "b"])[1:], pa.array(["a", "b"])),
        (pipeline.File(__file__), pipeline.File(pathlib.Path(__file__))),
    ]  # fmt: skip


if __name__ == "__main__":
    for pair in (*DIFFER, *agree()):
        sys.stdout.write(" ".join(map(pipeline.digest, pair)) + "\n")
