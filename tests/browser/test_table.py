"""The memo table as a grid: it fills, in two orders, and lights up with the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.gallery import GALLERY
from pipeline.draw import PLAIN, compare
from pipeline.graph import label
from pipeline.page.tables import Grid, grid
from pipeline.schedule import observed
from tests.browser.scenes import Seen
from tests.functions import fib

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

CELLS = """
() => [...document.querySelectorAll("[data-grid] [data-cell]")].map((cell) =>
  [cell.textContent, [...cell.classList], Number(cell.dataset.rank)])
"""

# For each step, the texts of all cells and the number of the cell of the step.
STEPS = """
() => {
  const scene = document.querySelector("[data-scene]");
  const cells = [...scene.querySelectorAll("[data-cell]")];
  const steps = [];
  for (let step = 1; step <= Number(scene.querySelector("[data-scrub]").max); step += 1) {
    scene.querySelector('[data-do="next"]').click();
    const now = cells.findIndex((cell) => cell.classList.contains("now"));
    const arrows = scene.querySelector("[data-grid] path").getAttribute("d").split("Q").length - 1;
    const sources = cells.flatMap((cell, at) => cell.classList.contains("input") ? [at] : []);
    steps.push([cells.map((cell) => cell.textContent), now, arrows, sources]);
  }
  return steps;
}
"""

IS_FRAMED = """
(node) => {
  const box = node.getBoundingClientRect();
  const frame = node.closest(".view").getBoundingClientRect();
  const isAcross = box.left >= frame.left && box.right <= frame.right;
  return isAcross && box.top >= frame.top && box.bottom <= frame.bottom;
}
"""


def table_of(call: Any) -> Grid:
    table = grid(compare(call, PLAIN, 100))
    assert table is not None
    return table


def values_of(call: Any) -> dict[Any, str]:
    graph = call.graph()
    return observed(graph, graph.tasks).values


@pytest.mark.parametrize("name", ["binomial", "knapsack", "hofstadter-female"])
@pytest.mark.parametrize("order", ["run", "loop"])
def test_cells_fill_in_the_order_of_the_switch_with_arrows_from_their_sources(
    opened: Opened, name: str, order: str
) -> None:
    call = GALLERY[name].call()
    table, values = table_of(call), values_of(call)
    ran = [*observed(call.graph()).seconds]
    numbers = {cell.key: number for number, cell in enumerate(table.cells)}
    turns = [numbers[key] for key in ran] if order == "run" else [*table.order.numbers]
    page = opened(name)
    switch = page.locator("[data-grid] input")
    assert switch.is_hidden() == (name == "hofstadter-female")  # a loop has the order of the run
    if switch.is_visible():
        switch.set_checked(order == "loop")
    steps = page.evaluate(STEPS)
    for count, (texts, now, arrows, sources) in enumerate(steps[: len(turns) - 1], 1):
        done = set(turns[:count])
        assert texts == [
            values[cell.key] if number in done else "" for number, cell in enumerate(table.cells)
        ]
        assert now == turns[count - 1]
        assert arrows == len(sources) == len(table.cells[now].sources)
        assert sources == sorted(table.cells[now].sources)
        assert done.issuperset(sources)
    ranks = [rank for *_, rank in page.evaluate(CELLS)]
    assert [turns[rank - 1] for rank in ranks] == [*range(len(turns))]


def test_what_the_result_does_not_need_stays_empty_and_is_hatched_bottom_up(
    opened: Opened,
) -> None:
    page = opened("binomial")
    page.keyboard.press("End")
    unused = page.locator("[data-grid] .unused")
    assert unused.count() == 9
    assert set(unused.all_text_contents()) == {""}
    hatched = "cells => cells.filter(c => getComputedStyle(c).backgroundImage !== 'none').length"
    assert unused.evaluate_all(hatched) == 0
    assert page.locator("[data-order]").inner_text().endswith("needs 15 of 24 cells.")
    page.locator("[data-grid] input").check()
    assert unused.evaluate_all(hatched) == 9
    assert page.locator("[data-order]").inner_text().endswith("fills the 9 hatched cells.")
    assert set(unused.all_text_contents()) == {""}


@pytest.mark.parametrize("name", ["fib(6)", "edit-distance", "coins"])
def test_pointing_at_a_cell_lights_its_subproblem_and_the_other_way_round(
    opened: Opened, name: str
) -> None:
    call = fib(6) if name == "fib(6)" else GALLERY[name].call()
    compared = compare(call, PLAIN, 100, None, 2000)
    table, labels = table_of(call), compared.labels.texts
    seen = Seen(opened(name))
    cells = seen.root.locator("[data-cell]")
    arrows = seen.root.locator("[data-grid] path")
    for number in (0, len(table.cells) // 2, len(table.cells) - 1):
        cell = table.cells[number]
        cells.nth(number).hover()
        assert seen.with_class("dag", "same") == [labels[cell.key]]
        tree = seen.with_class("tree", "same")
        assert tree
        assert all(text.startswith(labels[cell.key]) for text in tree)
        assert seen.card()["call"] == label(cell.key)
        assert arrows.get_attribute("d").count("Q") == len(cell.sources)
        seen.page.mouse.move(1, 1)
        assert not seen.is_lit
        assert arrows.get_attribute("d") == ""
        seen.node("dag", labels[cell.key]).dispatch_event("pointerover")
        lit = [at for at, (_, kinds, _) in enumerate(seen.page.evaluate(CELLS)) if "same" in kinds]
        assert lit == [number]
        seen.node("dag", labels[cell.key]).dispatch_event("pointerout")


def test_pointing_at_a_cell_brings_its_nodes_into_both_pictures(opened: Opened) -> None:
    page = opened("matrix-chain", viewport={"width": 1280, "height": 800})
    seen = Seen(page)
    seen.press("ArrowRight")

    result = page.locator("[data-cell]").nth(4)
    for act in (result.hover, result.click):
        act()
        for side in ("tree", "dag"):
            assert seen.root.locator(f".{side} .same").first.evaluate(IS_FRAMED)
        page.mouse.move(1, 1)
        # What is pinned stays in view.
        where = ".same" if act == result.click else ".now"
        for side in ("tree", "dag"):
            assert seen.root.locator(f".{side} {where}").first.evaluate(IS_FRAMED)


def test_a_cell_that_is_folded_away_has_arrows(opened: Opened) -> None:
    page = opened("long words")
    table = table_of(GALLERY["edit-distance"].call("intentions", "executions"))
    folded = page.locator("[data-cell]:not([data-of])")
    assert folded.count() > 20
    numbers = page.locator("[data-cell]").evaluate_all(
        "cells => cells.flatMap((cell, at) => cell.dataset.of ? [] : [at])"
    )
    folded.nth(5).hover()
    arrows = page.locator("[data-grid] path").get_attribute("d").count("Q")
    assert arrows == len(table.cells[numbers[5]].sources) == 3
    page.mouse.move(1, 1)
    assert page.locator("[data-grid] path").get_attribute("d") == ""


def test_in_the_end_the_path_of_the_result_is_shown(opened: Opened) -> None:
    page = opened("edit-distance")
    path = {number for pair in table_of(GALLERY["edit-distance"].call()).path for number in pair}
    assert not page.locator("[data-cell].path").count()
    page.keyboard.press("End")
    shown = {at for at, (_, kinds, _) in enumerate(page.evaluate(CELLS)) if "path" in kinds}
    assert shown == path
    assert page.locator("[data-grid] path").get_attribute("d").count("Q") == len(path) - 1
    assert "Arrows show the choices" in page.locator("[data-order]").inner_text()
    page.keyboard.press("Home")
    assert not page.locator("[data-cell].path").count()
    assert "Arrows" not in page.locator("[data-order]").inner_text()


def test_what_a_store_loaded_is_in_its_cell_before_the_first_step(opened: Opened) -> None:
    page = opened("part loaded")
    before = [text for text, *_ in page.evaluate(CELLS)]
    assert [text for text in before if text] == ["2", "3"]
    page.keyboard.press("End")
    after = [text for text, *_ in page.evaluate(CELLS)]
    assert after[3:] == ["2", "3", "5", "8", "13"]


def test_a_step_leaves_the_table_where_it_is_seen(opened: Opened) -> None:
    page = opened("edit-distance", viewport={"width": 400, "height": 800})
    page.locator("[data-grid]").evaluate(
        "grid => grid.scrollIntoView({ block: 'center', behavior: 'instant' })"
    )
    before = page.evaluate("scrollY")
    assert before > 100
    page.locator('[data-do="next"]').click()
    assert page.evaluate("scrollY") == before
    page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
    page.locator('[data-do="next"]').click()
    assert page.evaluate("scrollY") < before


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", [*GALLERY, "fib(40)", "long words"])
def test_texts_of_cells_are_whole_and_a_wide_table_scrolls_in_its_panel(
    opened: Opened, name: str, width: int
) -> None:
    page = opened(name, viewport={"width": width, "height": 800})
    page.keyboard.press("End")
    cells = page.locator("[data-grid] :is(th, td)")
    cut = "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent)"
    assert cells.evaluate_all(cut) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    panel = page.locator("[data-grid] .table")
    box = panel.bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    # The cell of the last step is in the panel.
    last = page.locator("[data-cell]").last.bounding_box()
    assert box["x"] <= last["x"] < last["x"] + last["width"] <= box["x"] + box["width"] + 1
    assert box["y"] <= last["y"] < last["y"] + last["height"] <= box["y"] + box["height"] + 1


def test_pages_without_a_grid_have_none(opened: Opened) -> None:
    assert opened("built").locator("[data-grid]").count() == 0
    page = opened("huge")
    assert page.locator("[data-grid]").inner_text().endswith("too many to show.")
    assert page.locator("[data-cell]").count() == 0
