"""The page in a notebook: what Jupyter and VS Code do with its HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline import report
from pipeline.page import Page, Prose, Section
from tests.functions import fib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STRICT = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; child-src https:"
)
"""What VS Code allows in the outputs of a notebook, and no more; Jupyter allows all of it."""

TALL = 20_000
"""Pixels: VS Code's outputs are in one page, which is as high as the notebook."""


@pytest.fixture
def shown(browser: Any) -> Iterator[Callable[[Page], Any]]:
    """Put a page into a notebook's output as front ends do, and return its frame."""
    context = browser.new_context(viewport={"width": 1000, "height": TALL})
    seen: list[str] = []

    def show(page: Page) -> Any:
        host = context.new_page()
        host.set_default_timeout(10_000)
        host.on("pageerror", lambda error: seen.append(f"error: {error}"))
        host.on("console", lambda message: seen.append(f"console: {message.text}"))
        host.on("request", lambda request: seen.append(f"request: {request.url}"))
        host.set_content(
            f'<meta http-equiv="Content-Security-Policy" content="{STRICT}">'
            '<base href="https://notebook.invalid/tree/"><div id="output"></div>'
        )
        html = page._repr_html_()
        host.evaluate("html => { document.querySelector('#output').innerHTML = html }", html)
        return host.locator("iframe")

    yield show
    context.close()
    assert seen == []


def test_a_scene_is_stepped_through_in_a_notebook(shown: Callable[[Page], Any]) -> None:
    outer = shown(report(fib(6)))
    frame = outer.content_frame
    frame.locator('[data-do="next"]').click()
    assert frame.locator("[data-step]").inner_text() == "step 1"
    frame.locator('[data-do="next"]').press("End")
    assert frame.locator("[data-memo] tbody tr:not(.empty)").count() == 7
    assert outer.bounding_box()["height"] < 1000
    assert outer.bounding_box()["width"] > 900


def test_a_link_to_a_section_stays_in_the_frame(shown: Callable[[Page], Any]) -> None:
    text = Prose(["a line"] * 50)
    outer = shown(Page("two", [Section(name, name, [text]) for name in ("first", "second")]))
    frame = outer.content_frame
    frame.locator('a[href="#second"]').last.click()
    frame.locator("body").evaluate("() => new Promise((done) => { onscrollend = done; })")
    top = frame.locator("#second").evaluate("section => section.getBoundingClientRect().top")
    assert 0 <= top < 700
