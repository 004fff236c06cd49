"""What commands print: JSON, tables, colours on terminals, and progress bars."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr
from operator import add
from threading import Event
from typing import TYPE_CHECKING

import click
import pytest
from dask import delayed

import pipeline
from pipeline import Store
from pipeline.cli import screen
from pipeline.cli.screen import Bar, json_text, print_table, task_bar
from tests.command import json_of, run

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
from dask import delayed
result = delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script, and a store of its result."""
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(SCRIPT)
    store = Store("cache", durable=False)
    pipeline.compute(delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)]), store=store)
    return tmp_path


def test_commands_about_programs_and_stores_print_json(folder: Path) -> None:
    shared = json_of("share", "model.py:result")
    assert (shared["before"], shared["after"], shared["factor"]) == (3, 2, 1.5)
    assert shared["merged"] == [{"what": "abs(-1)", "tasks": 2, "now": 1}]
    assert {line["status"] for line in json_of("cache", "explain", "model.py:result")} >= {"hit"}
    verified = json_of("cache", "verify")
    assert (verified["sound"], verified["corrupt"]) == (True, [])
    assert json_of("cache", "verify", "model.py:result")["reruns"][0]["outcome"] == "same"
    entries = verified["entries"]
    assert json_of("cache", "gc") == {"removed": 0, "bytes": 0, "left": entries}
    assert json_of("cache", "rm", "--all", "--yes")["removed"] == entries
    assert json_of("cache", "stats")["entries"] == 0


def test_json_is_as_json_writes_it() -> None:
    value = {"a": [1, 2.5, None, True, "φ"], "b": {}, "c": [], "d": (1, [2])}
    assert json_text(value) == json.dumps(value, indent=2)
    assert json_text([float("nan"), float("-inf")]) == "[\n  null,\n  null\n]"
    with pytest.raises(ValueError, match="limit"):
        str(10**5000)  # after it, too
    assert len(json_text(10**5000)) == 5001


def table(*arguments: object, **options: object) -> list[str]:
    """The lines of a table."""
    with click.Context(click.Command("test")), io.StringIO() as file:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", file)
            print_table(*arguments, **options)  # type: ignore[arg-type]
        return file.getvalue().splitlines()


def test_a_table_has_two_blanks_between_columns_and_none_at_the_end() -> None:
    assert table(("n", "what"), [("1", "[red]one[/red]"), ("10", "")], left=1) == [
        " n  what", " 1  [red]one[/red]", "10",
    ]  # fmt: skip
    assert table(None, [("a", "b"), ("ccc", "d")], left=2) == ["a    b", "ccc  d"]


def test_a_table_wraps_its_last_text_and_cuts_no_number() -> None:
    lines = table(("n", "what"), [("1", "word " * 40)], left=1)
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[1:]).split() == ["1", *["word"] * 40]
    assert table(("n", "m"), [("1" * 300, "2" * 300)])[1] == "1" * 300 + "  " + "2" * 300


def test_colours_are_for_terminals(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    explain = ("cache", "explain", "model.py:result")
    shown = run(*explain, color=True)[1]
    assert re.search(r"^\x1b\[32mhit\x1b\[0m {2,}sum", shown, re.MULTILINE)
    plain = run(*explain)[1]
    assert re.sub(r"\x1b\[\d+m", "", shown) == plain
    assert run("fib", "x", color=True)[2].startswith("\x1b[31mpipeline:\x1b[0m Invalid")
    assert "\x1b" not in run("cache", "stats", "--json", color=True)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(*explain, color=True)[1] == plain


class Screen(io.StringIO):
    """A terminal, which says when it shows a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shows, self._text = Event(), text

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._text in self.plain():
            self.shows.set()
        return written

    def plain(self) -> str:
        """All that was shown, without colours and moves of the cursor."""
        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self.getvalue())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_DELAY", 0.0)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def test_a_bar_shows_its_steps() -> None:
    terminal = Screen("second")
    with redirect_stderr(terminal), Bar("run", 4) as bar:
        bar.step(item="first")
        bar.step(item="second \x1b[31m" + 100 * "x")
        terminal.shows.wait()
    shown = terminal.plain()
    assert re.search(r"run +\S+ +50% second", shown, re.MULTILINE)
    assert "\x1b[31mx" not in terminal.getvalue()
    assert max(map(len, re.split(r"[\r\n]", shown))) <= 80
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is visible again


def test_work_that_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_DELAY", 3600)
    terminal = Screen("")
    with redirect_stderr(terminal), Bar("run", 2) as bar:
        bar.step()
    assert terminal.getvalue() == ""


def test_where_stderr_is_no_terminal_no_bar_appears() -> None:
    with redirect_stderr(io.StringIO()) as file, Bar("run", 3) as bar:
        assert list(bar.along([1, 2, 3])) == [1, 2, 3]
    assert file.getvalue() == ""


def test_an_error_ends_the_line_and_shows_the_cursor() -> None:
    terminal = Screen("run")
    with redirect_stderr(terminal), pytest.raises(KeyboardInterrupt):
        _interrupted(terminal)
    assert terminal.getvalue().endswith("\x1b[?25h")
    assert "100%" not in terminal.plain()


def _interrupted(terminal: Screen) -> None:
    with Bar("run", 3) as bar:
        for _ in bar.along([1, 2, 3]):
            terminal.shows.wait()
            raise KeyboardInterrupt


@pytest.mark.parametrize("items", [[1, 2, 3], iter(range(3))], ids=["list", "iterator"])
def test_a_bar_goes_along_items_whose_number_may_be_unknown(items: list[int]) -> None:
    terminal = Screen("read")
    with redirect_stderr(terminal), Bar("read") as bar:
        for _ in bar.along(items):
            terminal.shows.wait()
    assert "100%" in terminal.plain() or not isinstance(items, list)


def test_before_the_first_task_a_bar_has_no_end() -> None:
    terminal = Screen("tasks")
    with redirect_stderr(terminal), task_bar():
        terminal.shows.wait()
    assert "%" not in terminal.plain()


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_bar_shows_the_tasks_of_a_scheduler(scheduler: str) -> None:
    terminal = Screen("tasks")

    def slow(n: int) -> int:
        terminal.shows.wait()
        return n

    tasks = [delayed(slow)(n) for n in range(4)]
    total = delayed(add)(delayed(add)(*tasks[:2]), delayed(add)(*tasks[2:]))
    with redirect_stderr(terminal), task_bar():
        assert total.compute(scheduler=scheduler) == 6
    assert "100%" in terminal.plain()
    with redirect_stderr(terminal), task_bar(), pytest.raises(TypeError):
        delayed(add)(delayed(slow)(1), "a").compute(scheduler=scheduler)
    assert terminal.getvalue().endswith("\x1b[?25h")
