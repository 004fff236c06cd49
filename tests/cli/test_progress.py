"""Bars on a terminal, of what takes its time; nothing elsewhere."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stderr
from operator import add

import pytest
from dask import delayed

from pipeline.cli import progress
from pipeline.cli.progress import Bar, Tasks


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_DELAY", 0.01)
    monkeypatch.setenv("COLUMNS", "80")


def test_a_bar_tells_what_is_done() -> None:
    with redirect_stderr(Screen()) as screen, Bar("run", 4) as bar:
        bar.begin("first")
        time.sleep(0.1)  # it shows itself in the middle of a step
        bar.begin("second")
        bar.begin("third \x1b[31m" + 100 * "x")
        bar.begin("fourth")
    shown = screen.getvalue()
    for text in ("  0%  first", " 25%  second", " 50%  third", " 75%  fourth", "100%"):
        assert text in shown
    assert "\x1b[31m" not in shown
    assert max(len(line.strip()) for line in shown.replace("\x1b[?25l", "").split("\r")) <= 80
    assert shown.endswith("\x1b[?25h\n")


def test_what_is_over_soon_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_DELAY", 60)
    with redirect_stderr(Screen()) as screen, Bar("run", 2) as bar:
        bar.step()
    assert screen.getvalue() == ""


def test_elsewhere_there_is_no_bar() -> None:
    with redirect_stderr(io.StringIO()) as file, Bar("run", 3) as bar:
        for _ in bar.along([1, 2, 3]):
            time.sleep(0.01)
    assert file.getvalue() == ""


def test_an_error_ends_the_line_and_shows_the_cursor() -> None:
    with redirect_stderr(Screen()) as screen, pytest.raises(KeyboardInterrupt):
        _stop_in_the_middle()
    assert screen.getvalue().endswith("\x1b[?25h\n")
    assert "100%" not in screen.getvalue()


def _stop_in_the_middle() -> None:
    with Bar("run", 3) as bar:
        for _ in bar.along([1, 2, 3]):
            time.sleep(0.1)
            raise KeyboardInterrupt


def test_items_take_steps_of_their_size() -> None:
    with redirect_stderr(Screen()) as screen, Bar("import", 100) as bar:
        for size in bar.along(iter([20, 30]), size=lambda each: each):
            time.sleep(0.1)
            assert size in (20, 30)
    assert " 50%" in screen.getvalue()


def test_items_of_unknown_number_are_no_error() -> None:
    with redirect_stderr(Screen()) as screen, Bar("read") as bar:
        for _ in bar.along(iter(range(3))):
            time.sleep(0.05)
    assert screen.getvalue().startswith("\r\x1b[?25lread")


def test_what_is_before_the_first_task_is_told_and_ends_one_line() -> None:
    with redirect_stderr(Screen()) as screen, Tasks():
        time.sleep(0.1)
    assert screen.getvalue().startswith("\r\x1b[?25lrun")
    assert screen.getvalue().count("\n") == 1


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_the_tasks_of_a_scheduler_are_told(scheduler: str) -> None:
    def slow(n: int) -> int:
        time.sleep(0.05)
        return n

    tasks = [delayed(slow)(n) for n in range(4)]
    total = delayed(add)(delayed(add)(*tasks[:2]), delayed(add)(*tasks[2:]))
    with redirect_stderr(Screen()) as screen, Tasks():
        assert total.compute(scheduler=scheduler) == 6
        with pytest.raises(TypeError):
            delayed(add)(delayed(slow)(1), "a").compute(scheduler=scheduler)
    shown = screen.getvalue()
    assert "100%" in shown
    assert shown.endswith("\x1b[?25h\n")
