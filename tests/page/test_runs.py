"""The runs of a collection over time, on its page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import dask
from dask import delayed

from pipeline import Store, report
from pipeline.page import Page, Plot
from pipeline.page.runs import MOST, time_section
from pipeline.schedule import Recording, Span
from tests.functions import fib

if TYPE_CHECKING:
    from pathlib import Path


def twice() -> list[Any]:
    return [delayed(op)(delayed(sum)([4, 5], pure=False)) for op in (abs, float)]


def plots(page: Page) -> list[Plot]:
    return [
        part
        for section in page.sections
        if section.name == "time"
        for part in section.parts
        if isinstance(part, Plot)
    ]


def test_the_page_of_a_collection_shows_both_runs_over_time() -> None:
    with dask.config.set(scheduler="sync"):
        page = report(twice())
    [plot] = plots(page)
    runs = [row[1] for row in plot.table.rows]
    assert (runs.count("as built"), runs.count("shared")) == (4, 3)
    assert all(text in plot.svg for text in ("as built", "shared", "critical path", "memory"))
    assert "The run over time" in page.render()


def test_if_nothing_is_computed_twice_there_is_one_run() -> None:
    with dask.config.set(scheduler="sync"):
        [plot] = plots(report(delayed(abs)(-1)))
    assert [row[1] for row in plot.table.rows] == ["as built"]


def test_a_call_has_no_run_over_time() -> None:
    with dask.config.set(scheduler="sync"):
        assert not plots(report(fib(5)))


def test_with_a_store_the_run_is_that_with_the_store(tmp_path: Path) -> None:
    with dask.config.set(scheduler="sync"):
        [plot] = plots(report(delayed(sorted)([3, 1]), store=Store(tmp_path)))
    assert [row[1] for row in plot.table.rows] == ["with the store"]


def test_the_table_has_the_longest_tasks_and_says_so() -> None:
    tasks = [Span(f"t{n}", "main", n, n + 1 / (n + 1)) for n in range(MOST + 5)]
    [plot] = time_section([Recording("r", 30.0, ["main"], tasks)]).parts
    assert isinstance(plot, Plot)
    assert [row[0] for row in plot.table.rows] == [f"t{n}" for n in range(MOST)]
    assert "the 20 longest of 25 tasks" in plot.note
    assert [row[-1] for row in plot.table.rows].count("yes") == 1


def test_the_picture_keeps_its_shapes_without_ids() -> None:
    tasks = [Span("a", "main", 0.0, 1.0), Span("b", "main", 1.0, 2.0)]
    [plot] = time_section([Recording("r", 2.0, ["main"], tasks)]).parts
    assert isinstance(plot, Plot)
    assert not re.search(r'<use|id="|url\(', plot.svg)
