"""Plots, sliders, memory strips and choices in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.mlp import network
from pipeline.apps.mlp.lessons import ALL
from tests.browser.scenes import Seen

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

TREE_OF_200 = "907,947,388,330,615,906,394,593,939,394,821,238,467,651"  # 2 F(201) - 1


def shown(root: Any, selector: str) -> list[bool]:
    visible: list[bool] = root.locator(selector).evaluate_all(
        "all => all.map(element => element.checkVisibility({visibilityProperty: true}))"
    )
    return visible


def test_every_plot_has_its_picture_and_its_table(opened: Opened) -> None:
    page = opened("tour")
    plots = page.locator(".plot")
    assert plots.count() == 9
    for plot in plots.all():
        picture = plot.locator('[role="img"]')
        assert picture.get_attribute("aria-label")
        assert picture.locator("svg path").count() > 4
        assert picture.locator("svg").bounding_box()["width"] > 200
        plot.locator("summary").click()
        assert plot.locator("tbody tr").count() > 1


def test_a_plot_takes_the_width_of_the_window(opened: Opened) -> None:
    page = opened("tour")
    svg = page.locator(".plot svg").first
    page.set_viewport_size({"width": 400, "height": 800})
    assert svg.bounding_box()["width"] < 400
    size = "text => text.getBoundingClientRect().height"
    assert svg.locator("text").first.evaluate(size) >= 9


def test_the_lines_of_a_plot_have_the_colours_of_the_scheme(opened: Opened) -> None:
    strokes = []
    for scheme in ("light", "dark"):
        line = opened("tour", color_scheme=scheme).locator('.plot [style*="#aa3377"]').first
        strokes.append(line.evaluate("line => getComputedStyle(line).stroke"))
    assert strokes[0] != strokes[1]


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


def test_a_memory_strip_is_filled_step_by_step(opened: Opened) -> None:
    page = opened("tour")
    strip = page.locator("[data-strip]").first
    held = strip.locator("[data-cells] [data-held]")
    strip.locator("input").focus()
    page.keyboard.press("Home")
    assert held.count() == 0
    page.keyboard.press("End")
    assert held.count() == 3
    notes = strip.locator("[data-now]").all_inner_texts()
    assert len(notes) == 3
    assert all("at most" in note for note in notes)


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out_of_panels(opened: Opened, width: int) -> None:
    page = opened("tour", viewport={"width": width, "height": 800})
    assert (
        page.evaluate(
            "[...document.querySelectorAll('.panel')]"
            ".filter(panel => panel.scrollWidth > panel.clientWidth + 1).length"
        )
        == 0
    )


def test_the_weight_is_chosen_from_a_list(opened: Opened) -> None:
    page = opened("tour")
    select = page.locator("[data-choice] > select")
    names = select.locator("option").all_inner_texts()
    assert names == [ALL, *network((2, 2, 2, 1)).parameters]
    for name in ("w2_12", ALL):
        select.select_option(name)
        assert shown(page, "[data-option]") == [name == option for option in names]
        seen = Seen(page, 1 + names.index(name))
        width = seen.root.locator(".tree svg").bounding_box()["width"]
        assert width > 100
        seen.do("first")
        assert seen.step == "step 0"
    assert "w2_12" in page.locator("[data-option]").nth(names.index("w2_12")).text_content()


def test_a_weight_has_its_network_its_formulas_and_its_scene(opened: Opened) -> None:
    page = opened("tour")
    page.locator("[data-choice] > select").select_option("w1_11")
    option = page.locator("[data-option]").nth(1)
    assert option.locator("figure svg").count() == 1
    assert option.locator("math").count() == 2
    assert option.locator("math mfrac").count() > 10
    assert option.locator("math").first.bounding_box()["height"] > 30
    assert option.locator("[data-scene]").count() == 1


def test_keys_go_to_the_scene_in_view(opened: Opened) -> None:
    page = opened("tour")
    first, second = Seen(page), Seen(page, 1)
    second.root.scroll_into_view_if_needed()
    second.root.locator(".legend").click()
    first_step = first.root.locator("[data-step]").text_content()
    page.keyboard.press("Home")
    assert second.step == "step 0"
    assert first.root.locator("[data-step]").text_content() == first_step
    page.locator("[data-choice] > select").select_option("b3_1")
    page.locator("h1").click()
    page.keyboard.press("Home")
    assert first.step == "step 0"
