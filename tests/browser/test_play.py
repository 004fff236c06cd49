"""Stepping through an evaluation: played, paused, scrubbed, by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.scenes import Seen

if TYPE_CHECKING:
    from tests.browser.scenes import Opened


def test_playing_at_full_speed_comes_to_the_end(opened: Opened) -> None:
    page = opened("fib(6)")
    seen = Seen(page)
    seen.press("End")
    before = seen.memo()
    seen.press("Home")
    seen.root.locator("[data-speed]").select_option("100")
    seen.do("play")
    page.wait_for_function("document.querySelector('.playing')")
    assert seen.root.locator('[data-do="play"]').get_attribute("aria-label") == "Pause"
    page.wait_for_function("!document.querySelector('.playing')")
    assert seen.step == "step 25"
    assert seen.said == "Both are done: 25 evaluations in the tree, 7 in the DAG."
    assert seen.memo() == before
    assert seen.root.locator('[data-do="play"]').get_attribute("aria-label") == "Play"


@pytest.mark.parametrize(("speed", "steps"), [("1", 1), ("2", 2), ("5", 5), ("20", 20)])
def test_speed_is_steps_a_second(opened: Opened, speed: str, steps: int) -> None:
    page = opened("fib(6)", is_clocked=True)
    seen = Seen(page)
    seen.root.locator("[data-speed]").select_option(speed)
    seen.do("play")
    page.clock.run_for(1010)
    assert seen.step == f"step {steps}"


def test_a_pause_holds_the_step_and_playing_goes_on_from_it(opened: Opened) -> None:
    page = opened("fib(6)", is_clocked=True)
    seen = Seen(page)
    seen.do("play")
    page.clock.run_for(2100)
    seen.do("play")
    page.clock.run_for(5000)
    assert seen.step == "step 4"
    seen.do("play")
    page.clock.run_for(1100)
    assert seen.step == "step 6"
    seen.do("next")
    page.clock.run_for(5000)
    assert seen.step == "step 7"


def test_scrubbing_shows_the_step_and_ends_playing(opened: Opened) -> None:
    page = opened("fib(6)", is_clocked=True)
    seen = Seen(page)
    seen.do("play")
    page.clock.run_for(600)
    scrub = seen.root.locator("[data-scrub]")
    scrub.fill("3")
    page.clock.run_for(3000)
    assert seen.step == "step 3"
    assert scrub.get_attribute("aria-valuetext") == "step 3"
    assert len(seen.with_class("tree", "done")) == 3
    box = scrub.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert seen.step in ("step 12", "step 13")
    seen.press("ArrowRight", "End", "ArrowLeft")
    assert seen.step == "step 24"
    seen.press("Space")
    page.clock.run_for(600)
    assert seen.step == "step 25"


def test_keys_step_jump_and_play(opened: Opened) -> None:
    page = opened("fib(6)", is_clocked=True)
    seen = Seen(page)
    seen.press("Home")
    assert seen.step == "step 0"
    seen.press("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft")
    assert seen.step == "step 2"
    seen.press("End")
    assert seen.step == "step 25"
    seen.press("Home", "Space")
    page.clock.run_for(1600)
    seen.press("Space")
    page.clock.run_for(3000)
    assert seen.step == "step 3"
    seen.root.locator("[data-speed]").focus()
    seen.press("End")
    assert seen.step == "step 3"
    assert page.evaluate("scrollY") == 0


def test_arrows_move_between_nodes_and_enter_pins(opened: Opened) -> None:
    page = opened("fib(6)")
    seen = Seen(page)
    focused = "document.activeElement.getAttribute('aria-label')"
    node = seen.root.locator('.dag [data-box][tabindex="0"]')
    assert node.get_attribute("aria-label") == "fib(6), = 8, ×1"
    node.focus()
    assert seen.with_class("dag", "same") == ["fib(6)"]
    seen.press("ArrowDown")
    assert page.evaluate(focused) == "fib(5), = 5, ×1"
    seen.press("ArrowDown", "Enter", "ArrowUp")
    assert page.evaluate(focused) == "fib(5), = 5, ×1"
    assert seen.node("dag", "fib(4)").get_attribute("aria-pressed") == "true"
    seen.press("Escape")
    assert not seen.is_lit
    seen.press("ArrowUp", "ArrowUp", "ArrowUp", "Space")
    assert page.evaluate(focused) == "fib(6), = 8, ×1"
    assert seen.node("dag", "fib(6)").get_attribute("aria-pressed") == "true"
    assert seen.root.locator('.dag [data-box][tabindex="0"]').count() == 1


def test_escape_lets_go_from_everywhere_and_the_focus_stays(opened: Opened) -> None:
    page = opened("fib(6)")
    seen = Seen(page)
    focused = "document.activeElement.getAttribute('aria-label')"
    for place in ("[data-scrub]", "[data-speed]", ".memo .table"):
        seen.node("dag", "fib(3)").click()
        seen.root.locator(place).focus()
        before = page.evaluate(focused)
        page.mouse.move(1, 1)
        assert seen.with_class("dag", "same") == ["fib(3)"]
        seen.press("Escape")
        assert not seen.is_lit
        assert page.evaluate(focused) == before
    seen.root.locator("[data-memo] tbody tr").nth(2).click()  # the table has the focus
    page.mouse.move(1, 1)
    seen.press("Escape")
    assert not seen.is_lit


def test_tab_comes_back_to_the_node_that_had_the_focus(opened: Opened) -> None:
    page = opened("fib(6)")
    seen = Seen(page)
    seen.node("tree", "fib(3)").click()
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    seen.press("Tab", "Shift+Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == label
    assert seen.root.locator('.tree [data-box][tabindex="0"]').count() == 1


def test_before_the_first_step_each_side_says_in_which_order_it_is_evaluated(
    opened: Opened,
) -> None:
    for name, left in (("fib(6)", "of the recursion"), ("built", "in which it was built")):
        seen = Seen(opened(name))
        for side, order in (("tree", left), ("dag", "in which Dask ran it")):
            assert seen.text(f".{side} [data-note]") == f"Evaluated in the order {order}."
        seen.press("End", "Home")
        assert seen.text(".dag [data-note]") == "Evaluated in the order in which Dask ran it."


def test_the_step_under_way_is_marked_and_told(opened: Opened) -> None:
    seen = Seen(opened("fib(6)"))
    seen.press("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    [now] = seen.with_class("dag", "now")
    assert now == "fib(3)"
    assert seen.text(".dag [data-note]") == "fib(3) = 2, from fib(2) and fib(1) (from memory)."
    rows = seen.root.locator("[data-memo] tbody tr")
    found = rows.evaluate_all("all => all.map(row => row.className)")
    kinds = dict(zip(seen.memo(), found, strict=True))
    assert (kinds["fib(3)"], kinds["fib(2)"], kinds["fib(1)"]) == ("now", "read", "hit")
    stroke = "node => getComputedStyle(node).strokeWidth"
    assert seen.root.locator(".dag .now ellipse").evaluate(stroke) == "4px"


def test_the_naive_side_is_told_how_long_it_would_still_take(opened: Opened) -> None:
    page = opened("fib(40)")
    seen = Seen(page)
    seen.press("End")
    assert seen.counters("dag")[:2] == ["41 of 41", "38"]
    assert seen.counters("tree")[0] == f"{seen.frames} of 331,160,281"
    assert f"has {331_160_281 - seen.frames:,} of 331,160,281 calls to go" in seen.said
    assert "10 years at a step a second" in seen.said
    assert "13 s in Python's own recursion" in seen.said
    seen.do("first")
    seen.root.locator("[data-speed]").select_option("100")
    seen.do("play")
    page.wait_for_function("!document.querySelector('.playing')", timeout=60_000)
    assert "calls to go" in seen.said


def test_a_memory_table_has_every_value_of_a_long_recursion(opened: Opened) -> None:
    seen = Seen(opened("fib(40)"))
    seen.press("End")
    memo = seen.memo()
    assert len(memo) == 41
    assert memo["fib(40)"] == ("102334155", "")
    assert memo["fib(38)"] == ("39088169", "2")


def test_nothing_moves_for_who_prefers_it_so(opened: Opened) -> None:
    page = opened("tour", reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(each => { const style = getComputedStyle(each);"
        " return style.animationName !== 'none'"
        " || style.transitionDuration.split(', ').some(time => parseFloat(time) > 0)"
        " || style.scrollBehavior === 'smooth'; }).length"
    )
    assert moving == 0
