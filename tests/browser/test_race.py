"""The race plays in a browser, without a script, and stands still for readers who prefer that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline import race
from tests.functions import fib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOWN = """seconds => {
    for (const animation of document.getAnimations()) {
        animation.pause();
        animation.currentTime = 1000 * seconds;
    }
    const shows = element => getComputedStyle(element).opacity === "1";
    const lit = name => [...document.querySelectorAll(`.node[id^="${name}-"]`)].filter(shows);
    const lines = [...document.querySelectorAll(".count")].filter(shows);
    return [lit("tree").length, lit("dag").length, ...lines.map(line => line.textContent.trim())];
}"""


@pytest.fixture(params=["no-preference", "reduce"])
def opened(request: Any, browser: Any, tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """A page with the race of fib(6), and the motion that its reader prefers."""
    context = browser.new_context(reduced_motion=request.param)
    page = context.new_page()
    page.goto(race(fib(6)).save(tmp_path / "race.svg").as_uri())
    yield request.param, page
    context.close()


def test_tasks_light_up_one_a_step_and_the_headings_count_them(opened: tuple[str, Any]) -> None:
    motion, page = opened
    shown, end = race(fib(6)), [
        25, 7, "tree: 25 of 25 tasks", "18 evaluated again", "DAG: 7 of 7 tasks",
        "4 values from memory",
    ]  # fmt: skip
    for step in (0, 1, 5, 7, 12, 24):
        now = page.evaluate(SHOWN, shown.start(step) + 0.1)
        if motion == "reduce":
            assert now == end
            continue
        assert now[:2] == [step, min(step, 7)]
        assert f"tree: {step} of 25 tasks" in now
        assert f"DAG: {min(step, 7)} of 7 tasks" in now
    assert page.evaluate(SHOWN, shown.seconds - 0.1) == end
