"""Pages for all: reachable by keys, told to readers of screens, readable in both schemes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

PAGES = ["fib(6)", "tour"]
CONTROLS = "a[href], button, input, select, summary, [tabindex='0']"
STOPS = CONTROLS.replace("input", "input:not([type='radio']:not(:checked))")
"""Tab reaches one of the radio buttons of a group; arrows reach the others."""

# Colours as the browser blends them: the letters over all that is behind them, as far as it is
# known; a node's letters stand on its shape.
CONTRAST = """
() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    const most = text.startsWith("color(") ? 255 : 1; // a mixed colour has parts from 0 to 1
    return { rgb: numbers.slice(0, 3).map((each) => each * most), a: numbers[3] ?? 1 };
  };
  const over = ({ rgb, a }, below) => rgb.map((each, n) => each * a + below[n] * (1 - a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((each) => each / 255)
      .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    const shape = element.closest("g.node")?.querySelector("ellipse, polygon")
      ?? element.closest("g.edge")?.querySelector("path:not([fill='none'])");
    if (shape) {
      const style = getComputedStyle(shape);
      if (style.fill !== "none") {
        const { rgb, a } = parse(style.fill);
        layers.push({ rgb, a: a * Number(style.fillOpacity) });
      }
    }
    for (let each = element; each; each = each.parentElement) {
      layers.push(parse(getComputedStyle(each).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!/[\\p{L}\\p{N}]/u.test(text) || element.closest("script, style, .skip, option")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    let opacity = 1;
    for (let each = element; each; each = each.parentElement) {
      opacity *= Number(getComputedStyle(each).opacity);
    }
    const below = behind(element);
    const { rgb, a } = parse(element instanceof SVGElement ? style.fill : style.color);
    const both = [light(over({ rgb, a: a * opacity }, below)), light(below)];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) found.push([text.slice(0, 40), element.className, ratio]);
  }
  return found;
}
"""


@pytest.mark.parametrize("name", PAGES)
def test_letters_stand_out(opened: Opened, name: str) -> None:
    page = opened(name)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for step in ("Home", "End"):
            page.keyboard.press(step)
            assert page.evaluate(CONTRAST) == [], (scheme, step)


# Letters that are small, that stick out of their picture, or that are cut off by a box that hides
# what does not fit. A box that scrolls shows all.
CUT = """
(least) => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!/[\\p{L}\\p{N}]/u.test(text) || element.closest("script, style, .skip, option")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const { a, b } = element.getScreenCTM?.() ?? { a: 1, b: 0 };
    const size = parseFloat(getComputedStyle(element).fontSize) * Math.hypot(a, b);
    if (size < least) found.push([text, size]);
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect();
    for (let each = element; each; each = each.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(each);
      const { left, right, top, bottom } = each.getBoundingClientRect();
      const isWide = box.left < left - 2 || box.right > right + 2;
      const isHigh = box.top < top - 2 || box.bottom > bottom + 2;
      if (overflowX === "hidden" && isWide || overflowY === "hidden" && isHigh) {
        found.push([text, each.tagName]);
      }
      if (overflowX === "auto" || overflowY === "auto") break;
    }
  }
  return found;
}
"""


@pytest.mark.parametrize("width", [400, 1280, 1920])
@pytest.mark.parametrize("name", [*PAGES, "edit-distance"])
def test_nothing_is_cut_off_or_small_and_only_boxes_scroll(
    opened: Opened, name: str, width: int
) -> None:
    page = opened(name, viewport={"width": width, "height": 800})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.keyboard.press("End")
        assert page.evaluate(CUT, 9) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# Boxes that scroll sideways, and show no shadow at the side.
UNHINTED = """
() => [...document.querySelectorAll("nav, .table, dd, [role=img]")]
  .filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .map((box) => [box.className, getComputedStyle(box).backgroundImage.split("gradient").length])
"""


def test_what_scrolls_sideways_says_so(opened: Opened) -> None:
    page = opened("tour", viewport={"width": 400, "height": 800})
    page.select_option("[data-choice] select", "w1_11")
    boxes = page.evaluate(UNHINTED)
    assert len(boxes) >= 3
    assert all(parts == 5 or "pannable" in name for name, parts in boxes)


@pytest.mark.parametrize("name", PAGES)
def test_every_control_has_a_name(opened: Opened, name: str) -> None:
    page = opened(name)
    nameless = page.evaluate(
        "controls => [...document.querySelectorAll(controls)].filter(each => !("
        "each.getAttribute('aria-label') || each.textContent.trim() && each.tagName !== 'SELECT'"
        " || each.labels?.length || [...(each.getAttribute('aria-labelledby') ?? '').split(' ')]"
        ".some(id => document.getElementById(id)?.textContent.trim())))"
        ".map(each => each.outerHTML.slice(0, 120))",
        CONTROLS,
    )
    assert nameless == []


@pytest.mark.parametrize("name", ["fib(6)", "two"])
def test_tab_reaches_every_control_and_focus_is_seen(opened: Opened, name: str) -> None:
    page = opened(name)
    wanted = page.evaluate(
        "controls => { const all = [...document.querySelectorAll(controls)]"
        ".filter(each => each.checkVisibility({visibilityProperty: true}) && each.tabIndex === 0"
        " && !each.disabled);"
        " all.forEach((each, number) => { each.dataset.wanted = number; }); return all.length; }",
        STOPS,
    )
    assert wanted > 8
    reached = {}
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        number, outline = page.evaluate(
            "(each => [each.dataset.wanted, getComputedStyle(each).outlineStyle +"
            " getComputedStyle(each).outlineWidth])(document.activeElement)"
        )
        reached[number] = outline
    assert {str(number) for number in range(wanted)} <= reached.keys()
    assert all(reached[str(number)] in ("solid3px", "solid2px") for number in range(wanted))


@pytest.mark.parametrize("name", [*PAGES, "evil", "built"])
def test_a_page_is_well_built(opened: Opened, name: str) -> None:
    page = opened(name)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    ids = page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    assert len(ids) == len(set(ids))
    levels = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all(
        "all => all.map(each => +each.tagName[1])"
    )
    assert all(after <= before + 1 for before, after in pairwise(levels))
    dangling = page.evaluate(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby], label, a[href]')]"
        ".flatMap(each => ['aria-labelledby', 'aria-describedby', 'for', 'href']"
        ".flatMap(name => (each.getAttribute(name) ?? '').replace('#', '').split(' ')))"
        ".filter(id => id && !document.getElementById(decodeURIComponent(id)))"
    )
    assert dangling == []


def test_the_first_tab_stop_skips_to_the_pictures(opened: Opened) -> None:
    page = opened("fib(6)")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the pictures"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#evaluation")


def test_steps_are_told_to_a_reader_of_screens_but_not_while_playing(opened: Opened) -> None:
    page = opened("fib(6)", is_clocked=True)
    said = page.locator("[data-said]")
    assert said.get_attribute("aria-live") == "polite"
    page.keyboard.press("Space")
    assert said.get_attribute("aria-live") == "off"
    page.keyboard.press("Space")
    assert said.get_attribute("aria-live") == "polite"
