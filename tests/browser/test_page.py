"""Pages as files: whole in themselves, escaped, quick to open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.made import EVIL, HUGE
from tests.browser.scenes import Seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.browser.scenes import Opened

MEGABYTE = 1_000_000


def test_a_page_is_whole_in_itself_and_small(
    opened: Opened, page_file: Callable[[str], Path]
) -> None:
    # That nothing was fetched is what `opened` asserts.
    page = opened("tour")
    assert page_file("tour").stat().st_size < 3 * MEGABYTE
    assert page_file("fib(6)").stat().st_size < MEGABYTE / 5
    outside = "[src], link, image, use, iframe, object, embed, [style*='url'], [href^='http']"
    assert page.locator(outside).count() == 0
    assert not re.search(r"@import|url\(", page_file("tour").read_text())


def test_evil_arguments_values_names_and_reasons_are_text(opened: Opened) -> None:
    page = opened("evil")
    assert page.evaluate("document.querySelectorAll('img, [onerror]').length") == 0
    own = "document.querySelectorAll('script:not([type=\"application/json\"])').length"
    assert page.evaluate(own) == 1
    assert page.title().startswith(f"{EVIL}</title>")
    assert page.locator("h1").inner_text() == f"{EVIL}</title>"
    assert page.locator("header .lead").inner_text() == EVIL
    seen = Seen(page)
    seen.press("End")
    root = seen.root.locator(".dag [data-box]").first
    root.hover()
    card = seen.card()
    assert EVIL in card["key"]
    assert card["arguments"].startswith(f"'{EVIL}")
    assert card["value"].startswith(f"'{EVIL}")
    assert root.locator("text").first.text_content().startswith("repeated('<script>")
    assert any(EVIL in value for value, _ in seen.memo().values())
    assert EVIL in page.locator("#store-1 table").inner_text()
    second = Seen(page, 1)
    second.do("last")
    assert EVIL in repr(second.memo())


def test_a_page_of_a_hundred_thousand_tasks_opens_in_two_seconds(opened: Opened) -> None:
    page = opened("huge")
    [time] = page.evaluate("performance.getEntriesByType('navigation').map(e => e.loadEventEnd)")
    assert 0 < time < 2000
    seen = Seen(page)
    assert seen.text(".dag h3").startswith(f"DAG: {HUGE:,} tasks")
    assert 10 < page.locator("[data-box]").count() <= 200
    assert "⋯" in seen.root.locator(".dag svg").text_content()
    seen.press("End")
    # All but halves(1) take two values, and all but the last are taken: once for the first time.
    assert seen.counters("dag")[1] == f"{2 * (HUGE - 1) - (HUGE - 1):,}"
    started = page.evaluate("performance.now()")
    seen.press("Home", "ArrowRight", "ArrowRight")
    assert page.evaluate("performance.now()") - started < 1000
    assert seen.step == f"step {2 * page.evaluate(STRIDE):,}"
    seen.press("End")
    assert seen.memo()["halves(1)"] == ("1", "3")
    assert all(re.fullmatch(r"((≥ )?\d+)?", reads) for _, reads in seen.memo().values())


STRIDE = "JSON.parse(document.querySelector('[data-scene] script').textContent).more.stride"


@pytest.mark.parametrize("name", ["fib(6)", "fib(40)", "built", "evil", "tour"])
def test_a_page_is_no_wider_than_the_window(opened: Opened, name: str) -> None:
    page = opened(name, viewport={"width": 1280, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    over = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, p, button, select, .counters, .card, summary')]"
        ".filter(each => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)"
        ".filter(each => !each.closest('.view, .table, dd'))"
        ".map(each => each.outerHTML.slice(0, 80))"
    )
    assert over == []


def test_pictures_fit_side_by_side_where_there_is_room_and_stand_below_where_not(
    opened: Opened,
) -> None:
    def tops(width: int) -> list[float]:
        page = opened("fib(6)", viewport={"width": width, "height": 800})
        found: list[float] = page.locator(".side").evaluate_all(
            "all => all.map(each => each.getBoundingClientRect().top)"
        )
        return found

    left, right = tops(1280)
    assert left == right
    left, right = tops(400)
    assert left < right


def test_zooming_makes_a_picture_larger(opened: Opened) -> None:
    page = opened("fib(40)")
    svg = page.locator(".tree svg")
    before = svg.bounding_box()["width"]
    page.locator('.tree [data-zoom="1.43"]').click()
    assert svg.bounding_box()["width"] > 1.3 * before


def test_dark_and_light_differ(opened: Opened) -> None:
    shades = []
    for scheme in ("light", "dark"):
        page = opened("fib(6)", color_scheme=scheme)
        shades.append(
            page.evaluate("(s => s.color + s.backgroundColor)(getComputedStyle(document.body))")
        )
    assert shades[0] != shades[1]
