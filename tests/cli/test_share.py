"""`pipeline share`, as a person uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.command import run

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import random, sys
from dask import delayed
sys.argv[1:] == [] or sys.exit("arguments are not for the script")

@delayed
def leaf(n):
    return n

@delayed
def add(a, b):
    return a + b

def naive(n):
    return leaf(n) if n < 2 else add(naive(n - 1), naive(n - 2))

tree = naive(6)
several = [tree, naive(7), delayed(random.random)()]
number = 3

def made():
    return {"a": naive(5)}

def broken():
    raise ValueError("no data")

if __name__ == "__main__":
    raise SystemExit("this must not run")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(SCRIPT)
    return str(path)


def test_it_shows_what_a_script_computes_twice(script: str, tmp_path: Path) -> None:
    code, text, error = run("share", f"{script}:tree", "--save", str(tmp_path / "tree.svg"))
    assert (code, error) == (0, "")
    lines = text.splitlines()
    assert lines[0] == "25 tasks before, 7 after: sharing factor 3.57"
    assert [line.split() for line in lines[2:6]] == [
        ["tasks", "now", "merged"], ["10", "3", "add"], ["8", "1", "leaf(1)"],
        ["5", "1", "leaf(0)"],
    ]  # fmt: skip
    assert "tree: 25 tasks" in (tmp_path / "tree.svg").read_text()
    assert max(map(len, lines[:-1])) <= 80


def test_it_takes_lists_and_functions(script: str) -> None:
    several = run("share", f"{script}:several")[1]
    assert several.startswith("67 tasks before, 9 after")
    assert "not merged: impure" in several
    assert "random.Random.random: it is random" in several
    assert run("share", f"{script}:made")[1].startswith("15 tasks before, 6 after")


@pytest.mark.parametrize(
    ("place", "message", "code"),
    [
        ("{}:nothing", "has no 'nothing'; its collections: add, leaf, several, tree", 2),
        ("{}:number", "is 3, which has no tasks: name a Dask collection", 2),
        ("{}:broken", "broken() in", 1),
        ("{}", "names no collection: give a script and a name in it", 2),
        ("missing.py:x", "there is no script missing.py", 2),
    ],
)
def test_a_mistake_is_one_line(script: str, place: str, message: str, code: int) -> None:
    status, _, error = run("share", place.format(script))
    assert status == code
    assert message in error
    assert len(error.splitlines()) == 1
