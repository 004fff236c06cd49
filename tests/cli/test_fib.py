"""`pipeline fib`, as a person uses it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from pipeline.apps.fibonacci import fib
from pipeline.identity import all_digits
from tests.command import pipeline_process, process, run

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "422469633339230487"


def test_the_table_of_the_lecture() -> None:
    code, text, error = run("fib", "38", "40", "100", "2000")
    assert (code, error) == (0, "")
    head, *rows, note = text.splitlines()
    assert head.split() == [
        "n", "value", "tree", "tasks", "DAG", "sharing", "DAG", "time", "naive", "time",
    ]  # fmt: skip
    cells = [row.split() for row in rows]
    assert [row[0] for row in cells] == ["38", "40", "100", "2000"]
    assert [row[1] for row in cells][:3] == ["39088169", "102334155", "35422484…15075"]
    assert cells[3][1] == "42246963…17125"
    assert [row[2] for row in cells][:3] == ["126491971", "331160281", "11462956…68201"]
    assert [row[3] for row in cells] == ["39", "41", "101", "2001"]
    assert all("~" in row for row in rows)
    assert re.search(r"~\d\.\de40\d years$", rows[3])
    assert note.startswith("~ predicted from ")
    assert max(map(len, text.splitlines())) <= 80


def test_full_integers() -> None:
    value = run("fib", "2000", "--full")[1].splitlines()[1].split()[1]
    assert len(value) == 418
    assert value.startswith(HEAD)
    assert value.endswith("17125")


def test_small_numbers_are_measured_not_predicted() -> None:
    text = run("fib", "10", "0", "1")[1]
    assert "~" not in text
    assert [line.split()[1] for line in text.splitlines()[1:]] == ["55", "0", "1"]


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes", "distributed"])
def test_every_scheduler_leaves_a_clean_screen(scheduler: str) -> None:
    arguments = ["fib", "30", "--scheduler", scheduler]
    if scheduler in ("sync", "threads"):
        code, text, error = run(*arguments)
    else:  # the end of our process ends theirs
        done = pipeline_process(*arguments)
        code, text, error = done.returncode, done.stdout, done.stderr
    assert (code, error) == (0, "")
    assert text.splitlines()[1].split()[:4] == ["30", "832040", "2692537", "31"]


def test_pictures_are_saved(tmp_path: Path) -> None:
    for suffix, start in [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"di")]:
        path = tmp_path / f"fib.{suffix}"
        text = run("fib", "5", "6", "--save", str(path))[1]
        assert text.splitlines()[-1] == f"saved {path}"
        assert path.read_bytes().startswith(start)


@pytest.mark.slow
def test_long_integers_have_all_digits_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, _ = run("fib", "25000", "10", "--save", "fib.dot", "--store", "other", "--json")
    assert code == 0
    value = all_digits(fib(25000).compute(scheduler="sync"))
    assert len(value) > 5000
    assert f'"value": {value},' in text
    result = json.loads(text, parse_int=str)
    assert [row["n"] for row in result["rows"]] == ["25000", "10"]
    assert result["rows"][0]["value"] == value
    assert result["rows"][1]["tree"] == "177"
    assert (result["files"], result["store"]["url"]) == (["fib.dot"], "other")


def test_a_number_imports_no_more_than_it_uses() -> None:
    code = (
        "import sys\nfrom pipeline.cli import main\ntry: main(['fib', '10'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    modules = set(process("-c", code).stdout.split())
    assert "pipeline.apps.fibonacci" in modules
    heavy = {"matplotlib", "pandas", "distributed", "rich.progress", "pipeline.store"}
    assert not heavy & modules


def test_a_race_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "race.svg"
    assert run("fib", "6", "--race", str(path))[1].splitlines()[-1] == f"saved {path}"
    assert "tree: 25 of 25 tasks" in path.read_text()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [(["40"], "nodes=100 at most"), (["5", "6"], "--race shows one N: give one")],
)
def test_what_cannot_race_is_one_line(numbers: list[str], message: str) -> None:
    code, text, error = run("fib", *numbers, "--race", "race.svg")
    assert (code, text) == (2, "")
    assert message in error.splitlines()[-1]
