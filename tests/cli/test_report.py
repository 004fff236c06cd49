"""`pipeline report`, as a person uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import run

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
from dask import delayed

def twice(x):
    return 2 * x

result = delayed(sum)([delayed(twice)(4, pure=False), delayed(twice)(4, pure=False)])
number = 5
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured for growth is not measured."""
    from pipeline.apps import growth

    measured = growth.measure_fibonacci(4), growth.measure_gradients(1, 0.01)
    monkeypatch.setattr(growth, "measure_fibonacci", lambda: measured[0])
    monkeypatch.setattr(growth, "measure_gradients", lambda: measured[1])


def test_of_a_script_a_collection_is_run_and_shown(script: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    code, text, error = run("report", f"{script}:result", "--out", str(out))
    assert (code, text, error) == (0, f"saved {out}\n", "")
    page = out.read_text()
    assert f"<h1>{script}:result</h1>" in page
    assert "shared: 2 tasks" in page


def test_with_a_store_the_second_page_shows_what_was_loaded(script: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    arguments = (
        "report",
        f"{script}:result",
        "--store",
        str(tmp_path / "store"),
        "--out",
        str(out),
    )
    assert run(*arguments)[0] == 0
    assert "What the store did" in out.read_text()
    assert run(*arguments)[0] == 0
    assert "looked up and computed: 0" in out.read_text()


@pytest.mark.usefixtures("quick")
def test_of_a_number_it_is_fibonacci_s_page(tmp_path: Path) -> None:
    out = tmp_path / "fib.html"
    code, text, error = run("report", "fib", "40", "--json", "--out", str(out))
    assert (code, error) == (0, "")
    result: dict[str, Any] = json.loads(text)
    assert result["title"] == "fib(40)"
    assert result["files"] == [str(out)]
    assert result["sections"] == ["Why naive Fibonacci is slow", "How Fibonacci grows"]


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_without_more_it_is_fibonacci_and_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, error = run("report", "--weight", "w2_11")
    assert (code, text, error) == (0, "saved outputs/report.html\n", "")
    page = (tmp_path / "outputs/report.html").read_text()
    assert len(page) < 3_000_000
    assert page.index("<option>w2_11") < page.index("<option>w1_11")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fib"], 2, "give fib and a number"),
        (["fib", "six"], 2, "six"),
        (["fib", "6", "--weight", "w1_11"], 2, "--weight names a weight of a network"),
        (["mlp", "2"], 2, "2"),
        (["mlp", "2-1", "--weight", "w9_99"], 2, "w9_99"),
        (["none.py:result"], 2, "none.py"),
        (["fib", "--args", "6"], 2, "--args are those of a recurrence in a script"),
        (["my.py:fib", "6"], 2, "arguments of a recurrence in a script follow --args"),
        (["fib", "6", "--out", "page.txt"], 2, "html"),
        (["fib", "6", "--out", "none/page.html"], 2, "none"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, message: str) -> None:
    status, text, error = run("report", *arguments)
    assert message in error.splitlines()[-1]
    assert text == ""
    assert status == code


OWN = """
from dask import delayed
from pipeline import maximum, recurrence, task

@recurrence
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

@recurrence
def common(one, other, *, weight=1):
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return weight + common(one[1:], other[1:], weight=weight)
    return maximum(common(one[1:], other, weight=weight), common(one, other[1:], weight=weight))

@recurrence
def steps(coins, amount):
    return 1 if amount == 0 else sum(steps(coins, amount - c) for c in coins if c <= amount)

@recurrence
def broken(n):
    return n.nothing

@task
def work(n):
    return n

def naive(n):
    return n if n < 2 else naive(n - 1) + naive(n - 2)

result = delayed(abs)(4)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("name", "args", "title", "tasks"),
    [
        ("fib", ["6"], "fib(6)", (25, 7)),
        ("fib", ["n=6"], "fib(6)", (25, 7)),
        ("common", ["abc, bac"], "common('abc', 'bac', weight=1)", (11, 9)),
        ("common", ["abc", "'bac', weight=2"], "common('abc', 'bac', weight=2)", (11, 9)),
        ("steps", ["(1, 2), 5"], "steps((1, 2), 5)", (20, 6)),
    ],
)
def test_a_recurrence_of_a_user_is_called_and_shown(
    own: Path, tmp_path: Path, name: str, args: list[str], title: str, tasks: tuple[int, int]
) -> None:
    out = tmp_path / "page.html"
    options = [option for text in args for option in ("--args", text)]
    code, text, error = run("report", f"{own}:{name}", *options, "--json", "--out", str(out))
    assert (code, error) == (0, "")
    assert json.loads(text)["title"] == title
    page = out.read_text()
    assert f"tree: {tasks[0]} tasks" in page
    assert f"DAG: {tasks[1]} tasks" in page


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("naive", ["6"], "write @recurrence above its def"),
        ("work", ["6"], "<task work>, and --args are those of a recurrence"),
        ("result", ["6"], "--args are those of a recurrence"),
        ("fib", [], "missing 1 required positional argument: 'n'; give its arguments"),
        ("fib", ["6, 7"], "takes 1 positional argument but 2 were given"),
        ("fib", ["m=6"], "my.py:fib is fib(n): "),
        ("common", ["a-b, c"], "are no values of Python"),
        ("common", ["a b"], "are no values of Python"),
        ("common", ["1) + f(2"], "are no values of Python"),
        ("fib", ["*(6, 7)"], "are no values of Python"),
        ("none", ["6"], "has no 'none'"),
    ],
)
def test_what_cannot_be_called_is_one_line(
    own: Path, tmp_path: Path, name: str, args: list[str], message: str
) -> None:
    out = tmp_path / "page.html"
    options = [option for text in args for option in ("--args", text)]
    code, text, error = run("report", f"{own}:{name}", *options, "--out", str(out))
    assert (code, text) == (2, "")
    assert message in error.splitlines()[-1]
    assert not out.exists()


def test_an_error_in_the_body_of_a_recurrence_is_one_line(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    code, _, error = run("report", f"{own}:broken", "--args", "6", "--out", str(out))
    assert code == 1
    assert f"{own}:broken ended with AttributeError" in error.splitlines()[-1]


def test_what_is_no_collection_is_an_error(script: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    code, _, err = run("report", f"{script}:number", "--out", str(out))
    assert code in (1, 2)
    assert "number" in err
    assert not out.exists()
