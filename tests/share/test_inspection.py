"""What code says: which of its arguments a function changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.share.inspection import changed_arguments, changes, changes_its_object


def helper(items: Any) -> None:
    items.append(1)


def by_helper(x: Any) -> Any:
    helper(x)
    return x


def made(body: str, head: str = "def f(x, i=0):") -> Any:
    names: dict[str, Any] = {"np": np, "__name__": "project", "helper": helper}
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    exec(f"{head}\n{lines}", names)  # noqa: S102 - programs of this test
    return names["f"]


@pytest.mark.parametrize(
    "body",
    [
        "x[0] = 1", "x[i] = 1", "x[i + 1] = 1", "x[:] = 0", "x[1:i] = 0", "x[x > 1] = 0",
        "x.a = 1", "x.a.b = 1", "x[0][1] = 2", "x.loc[0, 'a'] = 9", "del x[0]", "del x.a",
        "x += 1", "x[0] += 1", "x[i] += 1", "x.a += 1", "x.append(1)", "x.a.append(1)",
        "y = x\ny.append(1)", "v = x[1:]\nv[:] = 0", "for v in x:\n    v.append(9)", "x.sort()",
        "np.sqrt(x, out=x)", "x.drop(columns='a', inplace=True)",
        "np.random.RandomState(0).shuffle(x)", "helper(x)",
        "if i:\n    x[0] = 1", "while i:\n    x[0] = 1\n    i -= 1",
    ],
)  # fmt: skip
def test_what_changes_its_argument(body: str) -> None:
    found = changed_arguments(made(body))
    assert {0, "x"} <= found


@pytest.mark.parametrize(
    "body",
    [
        "return x + 1", "return x[0]", "y = np.zeros(3)\ny[0] = x\nreturn y",
        "y = x.copy()\ny[0] = 1", "x = x.copy()\nx['z'] = 1", "out = []\nout.append(x)",
        "d = {}\nfor k in x:\n    d[k] = i", "return [v + 1 for v in x]", "return sorted(x)",
        "total = 0\nfor v in x:\n    total += v\nreturn total", "return x.sum()",
        "a, b = x\nreturn a + b",
    ],
)  # fmt: skip
def test_what_does_not(body: str) -> None:
    assert not {0, "x"} & changed_arguments(made(body))


@pytest.mark.parametrize(
    ("body", "outside"),
    [
        ("helper += 1", "helper"), ("y = helper\ny |= x", "helper"),
        ("out = set()\nout |= set(helper(x, i if i else None))\nreturn out", ""),
        ("out = set()\nfor v in x:\n    if v:\n        continue\n    out |= set(v or i)", ""),
        ("out = {}\nwhile True:\n    if x:\n        break\nout |= dict(x)", ""),
    ],
)  # fmt: skip
def test_only_variables_outside_are_changed_outside(body: str, outside: str) -> None:
    head = "def f(x, i=0):\n    global helper" if body.startswith("helper") else "def f(x, i=0):"
    assert changes(made(body, head).__code__).outside == outside


def test_helpers_count() -> None:
    assert changed_arguments(by_helper) == {0, "x"}


class Counter:
    def __init__(self) -> None:
        self.n: Any = 0
        self.seen: list[int] = []

    def count(self) -> int:
        self.n += 1
        return int(self.n)

    def note(self, x: int) -> None:
        self.seen.append(x)

    def total(self, x: int) -> int:
        return int(self.n + x)


def test_methods_may_change_their_object() -> None:
    counter = Counter()
    assert changes_its_object(counter.count)
    assert changes_its_object(counter.note)
    assert not changes_its_object(counter.total)
    assert changed_arguments(counter.note) == frozenset()


def test_libraries_are_not_looked_into() -> None:
    assert changed_arguments(np.fill_diagonal) == frozenset()
