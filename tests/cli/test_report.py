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
        (["fib", "6", "--out", "page.txt"], 2, "html"),
        (["fib", "6", "--out", "none/page.html"], 2, "none"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, message: str) -> None:
    status, text, error = run("report", *arguments)
    assert message in error.splitlines()[-1]
    assert text == ""
    assert status == code


def test_what_is_no_collection_is_an_error(script: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    code, _, err = run("report", f"{script}:number", "--out", str(out))
    assert code in (1, 2)
    assert "number" in err
    assert not out.exists()
