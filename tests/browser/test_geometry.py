"""Where things stand: what is evaluated is seen at every step, and can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.gallery import GALLERY
from tests.browser.scenes import Seen

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

SCREENS = {"desk": (1280, 800), "phone": (400, 800)}
PAGES = [
    "fib(6)", "fib(40)", "two", "built", "part loaded", "tour", "binomial", "catalan", "knapsack",
    "edit-distance", "matrix-chain", "bell",
]  # fmt: skip
screens = pytest.mark.parametrize("screen", SCREENS)
LEAST = 9
"""Pixels: the least height of letters."""

# The pictures of the first scene: for every step, boxes of the step that are not in their frame, or
# not on the screen. The edge of a node may touch that of the frame.
UNSEEN = """
() => {
  const scene = document.querySelector("[data-scene]");
  const scrub = scene.querySelector("[data-scrub]");
  const unseen = [];
  const step = (number) => {
    scrub.value = number;
    scrub.dispatchEvent(new Event("input", { bubbles: true }));
    for (const node of scene.querySelectorAll(".side .now")) {
      const box = node.getBoundingClientRect();
      const frame = node.closest(".view").getBoundingClientRect();
      const low = [Math.max(frame.left, 0), Math.max(frame.top, 0)];
      const high = [Math.min(frame.right, innerWidth), Math.min(frame.bottom, innerHeight)];
      if (box.left < low[0] || box.top < low[1] || box.right > high[0] || box.bottom > high[1]) {
        unseen.push([number, node.textContent.trim()]);
      }
    }
  };
  const last = Number(scrub.max);
  for (let number = 1; number <= last; number += 1) step(number);
  for (let number = last; number >= 0; number -= 1) step(number);
  return unseen;
}
"""

SMALL = """
(least) => [...document.querySelectorAll("[data-scene] svg text, figure svg text")]
  .filter((text) => text.checkVisibility())
  .map((text) => [text, text.getScreenCTM()]) // which is turned, perhaps
  .map(([text, { a, b }]) => parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b))
  .filter((size) => size < least)
"""


def screen_of(opened: Opened, name: str, screen: str, **options: Any) -> Any:
    width, height = SCREENS[screen]
    return opened(name, viewport={"width": width, "height": height}, **options)


@screens
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_before_the_first_step_and_shows_every_step(
    opened: Opened, name: str, screen: str
) -> None:
    width, height = SCREENS[screen]
    page = opened(name, viewport={"width": width, "height": height})
    seen = Seen(page)
    assert seen.step == "step 0"
    assert seen.with_class("tree", "now") == seen.with_class("dag", "now") == []
    frames = seen.root.locator(".view")
    for part in [seen.root.locator('[data-do="play"]'), *frames.all()]:
        box = part.bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= height
    assert all(frame.bounding_box()["height"] > 100 for frame in frames.all())
    for zoom in ("", "0.7", "0.7", "1.43", "1.43") if screen == "desk" else ("", "0.7"):
        for button in seen.root.locator(f'[data-zoom="{zoom}"]:visible').all():
            button.click()
        assert page.evaluate(SMALL, LEAST) == []
    assert page.evaluate(UNSEEN) == []


def test_the_first_screen_has_the_legend(opened: Opened) -> None:
    page = opened("tour", viewport={"width": 1280, "height": 900})
    for what in (".legend", ".below", "[data-memo]", "header code"):
        box = page.locator(what).first.bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= 900


FIRST = """
() => {
  const scene = document.querySelector("[data-scene]");
  const { boxes } = JSON.parse(scene.querySelector("script").textContent).sides[0];
  const [scrub, seen, shown] = [scene.querySelector("[data-scrub]"), new Set(), []];
  for (let step = 1; step <= Number(scrub.max); step += 1) {
    scrub.value = step;
    scrub.dispatchEvent(new Event("input", { bubbles: true }));
    const node = scene.querySelector(".tree .now");
    const { of } = boxes[node.dataset.box];
    const isSolid = !node.querySelector("ellipse, polygon").hasAttribute("stroke-dasharray");
    shown.push([!seen.has(of), isSolid, node.querySelector("text:last-of-type").textContent]);
    seen.add(of);
  }
  return shown;
}
"""


@pytest.mark.parametrize("name", GALLERY)
def test_what_is_evaluated_first_is_drawn_solid(opened: Opened, name: str) -> None:
    steps = opened(name).evaluate(FIRST)
    assert len(steps) > 10
    for is_first, is_solid, count in steps:
        assert is_first == is_solid == count.startswith("1 of ")


@pytest.mark.parametrize("name", [*GALLERY, "built", "evil"])
def test_the_memo_table_is_as_wide_as_its_texts(opened: Opened, name: str) -> None:
    page = opened(name)
    page.keyboard.press("End")
    narrow = page.locator("[data-memo] :is(th, td)").evaluate_all(
        "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1"
        " || cell.getBoundingClientRect().height > 34).map(cell => cell.textContent)"
    )
    assert narrow == []


def test_zooming_keeps_the_point_below_the_pointer(opened: Opened) -> None:
    page = opened("fib(40)")
    seen = Seen(page)
    seen.press("ArrowRight")
    node = seen.root.locator(".tree .now")
    before = node.bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    page.wait_for_function(
        "width => document.querySelector('.tree .now').getBoundingClientRect().width > width",
        arg=1.2 * before["width"],
    )
    after = node.bounding_box()
    assert abs(after["x"] + after["width"] / 2 - x) < 25
    assert abs(after["y"] + after["height"] / 2 - y) < 25


def test_a_picture_is_dragged_and_fits_again(opened: Opened) -> None:
    page = opened("fib(40)")
    frame = page.locator(".tree .view")
    width = frame.locator("svg").bounding_box()["width"]
    page.locator('.tree [data-zoom="1.43"]').click()
    box = frame.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    scrolled = "view => [view.scrollLeft, view.scrollTop]"
    left, top = frame.evaluate(scrolled)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y - 60, steps=4)
    page.mouse.up()
    assert frame.evaluate(scrolled) == [
        pytest.approx(left + 30, abs=2),
        pytest.approx(top + 60, abs=2),
    ]
    assert not Seen(page).is_lit or page.locator('[aria-pressed="true"]').count() == 0
    page.locator('.tree [data-zoom=""]').click()
    assert frame.locator("svg").bounding_box()["width"] == pytest.approx(width)


def test_two_fingers_zoom_a_picture_and_not_the_page(opened: Opened) -> None:
    page = opened("fib(40)", has_touch=True)
    frame = page.locator(".tree .view")
    width = frame.locator("svg").bounding_box()["width"]
    box = frame.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, apart in [("touchStart", 20), ("touchMove", 30), ("touchMove", 40), ("touchEnd", 0)]:
        points = [{"x": x - apart, "y": y}, {"x": x + apart, "y": y}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert frame.locator("svg").bounding_box()["width"] == pytest.approx(2 * width, rel=0.02)
    assert page.evaluate("visualViewport.scale") == 1


def test_pointing_at_a_node_does_not_move_the_page(opened: Opened) -> None:
    page = opened("fib(6)")
    height = "document.documentElement.scrollHeight"
    before = page.evaluate(height)
    Seen(page).node("dag", "fib(3)").hover()
    assert Seen(page).is_lit
    assert page.evaluate(height) == before
