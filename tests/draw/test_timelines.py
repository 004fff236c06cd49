"""Runs over time as pictures: every task is in its place, the same bytes for the same runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import timeline
from pipeline.draw.timelines import bars_of, hues_of, scale_of, summary, thinned
from pipeline.schedule import Interval, Recording, Sample, Span

if TYPE_CHECKING:
    from pathlib import Path


def span(name: str, worker: str, start: float, end: float, **more: Any) -> Span:
    return Span((f"{name}-0123456789ab", start), worker, start, end, **more)


def saved(start: float, end: float) -> tuple[Interval, ...]:
    return (Interval("saved", start, end),)


FIRST = Recording("first run", 2.0, ["thread 1", "thread 2"], [
    span("load", "thread 1", 0.1, 0.5, consumers=2),
    span("load", "thread 2", 0.2, 0.9, fused=3, intervals=saved(0.8, 0.9)),
    span("mean", "thread 1", 0.9, 1.9, inputs=(("load-0123456789ab", 0.1),), replaced=4),
], memory=[
    Sample(0.0, 100_000_000), Sample(1.0, 300_000_000), Sample(2.0, 200_000_000),
])  # fmt: skip
SECOND = Recording("second run", 0.25, ["main"], [
    span("mean", "main", 0.1, 0.2, intervals=(Interval("loaded", 0.1, 0.2),)),
], memory=[Sample(0.0, 100_000_000)])  # fmt: skip


def texts(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    return [
        "".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")
    ]


def test_two_runs_are_on_one_time_axis() -> None:
    lanes = [axes for axes in timeline(FIRST, SECOND).figure().axes if axes.get_yticks().size]
    assert len({axes.get_xlim() for axes in lanes}) == 1
    assert len(lanes) == 4
    assert lanes[0].get_xlim()[1] >= 2.0


def test_the_picture_names_what_it_shows() -> None:
    shown = texts(timeline(FIRST, SECOND).render("svg"))
    for text in ("first run", "second run", "thread 1", "main", "seconds", "load [3]", "load →2",
                 "mean ×4", "mean 1.1 s", "load 1.1 s", "100 MB", "300 MB"):  # fmt: skip
        assert text in shown
    assert "250 ms · 8.0 times as quick · 1 loaded" in shown
    marks = " ".join(shown)
    assert all(
        mark in marks
        for mark in ("critical path", "loaded", "saved", "3 tasks, fused", "for 3 tasks, merged")
    )
    assert "moved" not in marks


def test_a_run_in_a_line() -> None:
    assert summary(FIRST) == ("2.0 s · 3 computed, 5 before fusing · 1 saved · critical path 1.4 s")
    assert summary(SECOND) == "250 ms · 1 loaded"


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_runs_give_the_same_bytes(kind: str, tmp_path: Path) -> None:
    path = timeline(FIRST, SECOND).save(tmp_path / f"run.{kind}")
    assert path.read_bytes() == timeline(FIRST, SECOND).render(kind)
    assert [path.name for path in tmp_path.iterdir()] == [f"run.{kind}"]


def test_the_paper_is_transparent_and_texts_outside_of_bars_are_grey() -> None:
    svg = timeline(FIRST, SECOND).render("svg").decode()
    colours = set(re.findall(r"<text[^>]*fill: (#\w+)", svg))
    assert colours <= {"#797979", "#ffffff", "#1a1a1a"}
    assert not re.search(r"<text(?![^>]*fill: #)", svg)
    assert not re.search(r"<path[^>]*style=\"fill: #ffffff", svg)


def test_names_are_text() -> None:
    task = span("<b>$x^2$&\x00", "main", 0.0, 1.0)
    shown = texts(timeline(Recording("$a$ <i>", 1.0, ["main"], [task])).render("svg"))
    assert "$a$ <i>" in shown
    assert any("<b>$x^2$&" in text for text in shown)


def test_an_empty_run_is_drawn() -> None:
    assert texts(timeline(Recording()).render("svg"))
    with pytest.raises(ValueError, match="give a recording"):
        timeline()
    with pytest.raises(ValueError, match=r"cannot draw as 'gif': a file name ends in \.svg"):
        timeline(FIRST).render("gif")


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 40), st.sampled_from("ab"))))
def test_every_task_is_within_a_bar_of_its_lane(places: list[tuple[int, int, str]]) -> None:
    tasks = sorted(
        (span("t", worker, start, start + length) for start, length, worker in places),
        key=lambda task: task.start,
    )
    bars = bars_of(Recording("", 1000, ["a", "b"], tasks), 7.0)
    for task in tasks:
        assert any(
            bar.start <= task.start and task.end <= bar.end
            for bar in bars
            if "ab"[bar.lane] == task.worker
        )
    for bar in bars:
        assert bar.task in tasks


def test_ten_thousand_short_tasks_are_a_small_picture() -> None:
    tasks = [span("t", "main", n / 1e3, (n + 0.9) / 1e3) for n in range(10_000)]
    run = Recording("", 10.0, ["main"], tasks)
    assert len(bars_of(run, 10 / 800)) <= 1000
    assert len(timeline(run).render("svg")) < 200_000


def test_memory_keeps_its_peak() -> None:
    samples = [Sample(n / 100, n % 17) for n in range(1000)]
    few = thinned(samples, 0.5)
    assert len(few) == 20
    assert max(few, key=lambda sample: sample.bytes).bytes == 16


def test_the_longest_functions_have_colours_of_their_own() -> None:
    tasks = [span(f"f{n}", "main", n, n + 1 / (n + 1)) for n in range(12)]
    hues = hues_of([Recording("", 12.0, ["main"], tasks)])
    assert [*hues] == [f"f{n}" for n in range(6)]
    assert len({*hues.values()}) == 6
    assert len(hues_of([FIRST, SECOND])) == 2


def test_the_unit_is_that_of_the_longest_run() -> None:
    assert [scale_of([Recording("", seconds)]).unit for seconds in (0.2, 20, 2000)] == [
        "milliseconds", "seconds", "minutes",
    ]  # fmt: skip
    assert scale_of([FIRST, SECOND]).end == 2.0
