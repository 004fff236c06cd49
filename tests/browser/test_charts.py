"""Charts, sliders and rows of memory in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

TREE_OF_200 = "907,947,388,330,615,906,394,593,939,394,821,238,467,651"  # 2 F(201) - 1


def test_every_chart_has_its_lines_and_ticks(opened: Opened) -> None:
    page = opened("tour")
    charts = page.locator("[data-chart]")
    assert charts.count() >= 8
    for place in range(charts.count()):
        svg = charts.nth(place).locator("[data-plot] svg")
        assert svg.count() == 1
        assert svg.locator(".series .line").count() >= 2
        assert svg.locator(".tick").count() >= 4
    grown = page.locator("#fibonacci-growth [data-plot] svg").first
    assert grown.locator(".series.tree .line").count() == 1
    assert grown.locator(".series.dag .line").count() == 1


def test_the_points_of_a_chart_are_read_by_keys(opened: Opened) -> None:
    page = opened("tour")
    chart = page.locator("[data-chart]").first
    plot, readout = chart.locator("[data-plot]"), chart.locator("[data-readout]")
    rows = chart.locator("tbody th").all_text_contents()
    plot.focus()
    assert f": {rows[-1]}" in readout.inner_text()
    page.keyboard.press("Home")
    assert f": {rows[0]}" in readout.inner_text()
    page.keyboard.press("ArrowRight")
    assert f": {rows[1]}" in readout.inner_text()
    page.keyboard.press("End")
    assert f": {rows[-1]}" in readout.inner_text()
    page.keyboard.press("Escape")
    assert readout.inner_text() == ""


def test_pointing_at_a_chart_reads_the_point_below(opened: Opened) -> None:
    page = opened("tour")
    chart = page.locator("[data-chart]").first
    chart.locator("[data-plot]").hover()
    assert chart.locator("[data-readout]").inner_text().count(":") >= 3
    page.mouse.move(1, 1)
    assert chart.locator("[data-readout]").inner_text() == ""


def test_a_chart_takes_the_width_of_the_window(opened: Opened) -> None:
    page = opened("tour")
    svg = page.locator("[data-chart] [data-plot] svg").first
    before = float(svg.get_attribute("width"))
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function(
        "before => document.querySelector('[data-plot] svg').getAttribute('width') < before",
        arg=before,
    )


def test_a_slider_shows_exact_numbers(opened: Opened) -> None:
    page = opened("tour")
    slider = page.locator("[data-slider]").first
    ranged = slider.locator("input[type=range]")
    ranged.focus()
    page.keyboard.press("End")
    assert ranged.get_attribute("aria-valuetext") == "200"
    assert slider.locator("[data-text]").first.inner_text() == "200"
    assert TREE_OF_200 in slider.inner_text()
    page.keyboard.press("Home")
    assert TREE_OF_200 not in slider.inner_text()


def cells(rows: Any) -> int:
    return int(rows.locator("[data-cells] [data-held]").count())


def test_rows_of_memory_are_filled_step_by_step(opened: Opened) -> None:
    page = opened("tour")
    rows = page.locator("[data-rows]").first
    rows.locator("input").focus()
    page.keyboard.press("Home")
    assert cells(rows) == 0
    page.keyboard.press("End")
    assert cells(rows) == 3
    told = rows.locator("[data-now]").all_inner_texts()
    assert len(told) == 3
    assert all("at most" in each for each in told)


def test_rows_of_memory_run_by_themselves_and_pause(opened: Opened) -> None:
    page = opened("tour", is_clocked=True)
    rows = page.locator("[data-rows]").first
    button, steps = rows.locator("[data-play]"), rows.locator("input")
    steps.fill("0")
    button.click()
    assert button.inner_text() == "Pause"
    page.clock.run_for(2000)
    at = int(steps.input_value())
    assert at > 0
    button.click()
    page.clock.run_for(2000)
    assert int(steps.input_value()) == at
    button.click()
    page.clock.run_for(13_000)
    assert steps.input_value() == steps.get_attribute("max")
    assert button.inner_text() == "Run"


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out_of_charts_and_sliders(opened: Opened, width: int) -> None:
    page = opened("tour", viewport={"width": width, "height": 800})
    assert (
        page.evaluate(
            "[...document.querySelectorAll('[data-chart], [data-slider], [data-rows]')]"
            ".filter(each => each.scrollWidth > each.clientWidth + 1).length"
        )
        == 0
    )
