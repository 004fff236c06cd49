"""What the code of a function says: what it may call, and what it changes outside of it."""

from __future__ import annotations

import enum
import functools
import operator
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.identity import uses_in_code
from pipeline.share.purity.walk import Walk, may_change, names_paths

if TYPE_CHECKING:
    from pathlib import Path


def function(body: str, head: str = "def f(x):", **names: Any) -> Any:
    """The function `f` of a program, and the variables around it."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    names["__name__"] = "__main__"
    exec(f"{head}\n{lines}", names)  # noqa: S102 - each is a program
    return names["f"]


@pytest.mark.parametrize(
    ("body", "variable"),
    [
        ("A[0] += 1", "A"), ("A['n'] += x", "A"), ("A.n += 1", "A"), ("A.n.m[x] -= 1", "A"),
        ("A[x][0] *= 2", "A"), ("b = A\nb[0] += 1", "A"), ("b = A.n\nb.m += 1", "A"),
        ("b = A\nc = b[0]\nc[1] |= x", "A"), ("for b in A:\n    b[0] += 1", "A"),
        ("if x:\n    A[0] += 1", "A"), ("while x:\n    x -= 1\n    A[0] += 1", "A"),
        ("try:\n    A[0] += 1\nexcept E:\n    pass", "A"), ("b = c = A\nc[0] += 1", "A"),
        ("try:\n    x()\nexcept E:\n    A[0] += 1", "A"), ("with x:\n    A[0] += 1", "A"),
        ("try:\n    x()\nfinally:\n    A[0] += 1", "A"),
        ("try:\n    x()\nfinally:\n    x()\nA[0] += 1", "A"),
        ("while x:\n    break\nA[0] += 1", "A"), ("for _ in x: continue\nA[0] += 1", "A"),
        ("return [A[0] for A in x]", ""),
        ("with A as b:\n    A[0] += 1", "A"), ("if x: return 1\nA[0] += 1", "A"),
        ("A[0 if x else 1] += 1", "A"), ("b = x or A\nA[0] += 1", "A"), ("A[x:x] += 1", "A"),
        ("A[f(x, y=1)] += [x for x in x]", "A"), ("a, A[0] = 1, 2\nA[0] += 1", "A"),
        ("A[0] + 1", ""), ("A[0] = 1", ""), ("x += 1", ""), ("x[0] += 1", ""), ("x.n += 1", ""),
        ("b = 1\nb += 1", ""), ("b = {}\nb[0] = A\nb[0] += 1", ""), ("b = dict(A)\nb[0] += 1", ""),
        ("b = A.copy()\nb.n += 1", ""), ("b = [A]\nb[0] += 1", ""), ("b = A + 1\nb += 1", ""),
        ("b = A\nb = 1\nb += 1", ""), ("b, c = A\nb += 1", ""), ("b = A()[0]\nb += 1", ""),
        ("A[x] = A[x] + 1", ""), ("return A[0]", ""), ("b = f'{A}'\nb += 'a'", ""),
    ],
)  # fmt: skip
def test_the_variable_that_code_counts_up(body: str, variable: str) -> None:
    assert uses_in_code(function(body).__code__).changed == variable


def test_a_variable_of_an_enclosing_function_counts() -> None:
    counts, own = [0], [0]

    def outer() -> None:
        counts[0] += 1

    def inner() -> None:
        mine = [own]
        mine[0] = []
        mine[0] += [1]

    assert uses_in_code(outer.__code__).changed == "counts"
    assert uses_in_code(inner.__code__).changed == ""


class Plain:
    """An object with immutable parts."""

    def __init__(self, part: Any = 1) -> None:
        self.part = part

    def read(self) -> Any:
        return self.part


class Setting(Plain):
    def rename(self) -> None:
        self.part = 2


class Deleting(Plain):
    def drop(self) -> None:
        del self.part


class ByName(Plain):
    def rename(self) -> None:
        setattr(self, "part", 2)  # noqa: B010 - as programs do


class ThroughDict(Plain):
    def rename(self) -> None:
        self.__dict__["part"] = 2


class ThroughVars(Plain):
    def rename(self) -> None:
        vars(self)["part"] = 2


class ThroughObject(Plain):
    def rename(self) -> None:
        object.__setattr__(self, "part", 2)


class DeletingByName(Plain):
    def drop(self) -> None:
        delattr(self, "part")


class InAnInner(Plain):
    def rename(self) -> Any:
        def inner() -> None:
            self.part = 2

        return inner


class Inherited(Setting):
    pass


class ByProperty(Plain):
    @property
    def renamed(self) -> int:
        self.part = 2
        return 2


@dataclass(frozen=True)
class Frozen:
    number: int = 1
    items: list[int] = field(default_factory=list)


class Colour(enum.Enum):
    RED = 1


class Counter(enum.Enum):
    ONE = 1

    def count(self) -> None:
        self.times = 1


Pair = namedtuple("Pair", "a b")


class Stack(list[int]):
    """Its items are no attributes."""


class Slotted:
    __slots__ = ("items",)

    def __init__(self, items: Any) -> None:
        self.items = items


class Derived(Slotted):
    """A slot that a base has, and attributes."""


def reads(owner: Any) -> Any:
    return owner.read()


def sets(owner: Any) -> None:
    owner.part = 3


def passes_on(owner: Any) -> None:
    sets(owner)


@pytest.mark.parametrize(
    ("called", "owner", "may"),
    [
        (reads, Plain(), False), (reads, Plain("text"), False), (reads, Plain([1]), True),
        (reads, Plain(Plain()), True), (sets, Plain(), True), (passes_on, Plain(), True),
        (reads, Setting(), True), (reads, Deleting(), True), (reads, ByName(), True),
        (reads, ThroughDict(), True), (reads, ThroughVars(), True), (reads, InAnInner(), True),
        (reads, ThroughObject(), True), (reads, DeletingByName(), True),
        (reads, Plain(int), False),
        (reads, Plain(None), False), (reads, Plain(np.float64(1)), False),
        (reads, Plain(np), False),
        (reads, Plain(np.arange(2)), True), (reads, Plain(1j), False), (reads, Plain(b"a"), False),
        (reads, Inherited(), True), (reads, ByProperty(), True), (reads, Frozen(), True),
        (reads, Colour.RED, False), (sets, Colour.RED, True), (reads, Counter.ONE, True),
        (reads, Stack([1]), True), (reads, Derived([1]), True), (reads, Derived(1), False),
        (reads, Slotted([1]), True), (reads, Slotted(1), False),
        (reads, Pair(1, 2), False), (reads, threading.Lock(), True), (reads, [1], True),
        (operator.attrgetter("part"), Plain(), False), (functools.partial(sets), Plain(), True),
    ],
)  # fmt: skip
def test_what_may_change_an_object(called: Any, owner: Any, may: bool) -> None:
    assert may_change(called, owner, Walk()) is may


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return x.a.b", {"a", "b"}),
        ("return x.a()", {"a"}),
        ("return lambda: x.a", {"a"}),
        ("return helper(x)", {"helper", "inner"}),
        ("return x", set()),
        ("return partial(x)", {"partial", "inner"}),
        ("return cached(x)", {"cached", "inner"}),
    ],
)
def test_the_attributes_that_a_function_names(body: str, names: set[str]) -> None:
    helper = function("return x.inner")
    around = {
        "helper": helper, "partial": functools.partial(helper), "cached": functools.cache(helper),
    }  # fmt: skip
    assert Walk().attributes(function(body, **around)) == names


@pytest.mark.parametrize(
    ("body", "is_named"),
    [
        ("return open('here.txt')", True),
        ("return open('./here.txt')", True),
        ("return lambda: open('here.txt')", True),
        ("return helper(x)", True),
        ("return 's3://bucket/x'", True),
        ("return 'nowhere.txt'", False),
        ("return '.'", False),
        ("return '../'", False),
        ("'here.txt'\nreturn 1", False),
        ("return 3", False),
        ("return f'{x}://{x}'", True),
        ("return b'here.txt'", False),
    ],
)
def test_code_that_names_a_file(
    body: str, is_named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("1")
    helper = function("return open('here.txt')")
    assert names_paths(function(body, helper=helper), Walk()) is is_named
