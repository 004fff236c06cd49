"""Screenshots: `python -m tests.browser FOLDER` shows the page in three widths and both schemes.

It also makes the picture of the page that the README shows, `outputs/pictures/report.png`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.browser.conftest import ARGUMENTS, executable
from tests.browser.made import PAGES

WIDTHS = (1920, 1280, 400)
README = Path(__file__).parent.parent.parent / "outputs" / "pictures" / "report.png"


def main(folder: Path) -> None:
    from playwright.sync_api import sync_playwright  # of the extra `browser`

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as made, sync_playwright() as playwright:
        place = PAGES["tour"]().save(Path(made) / "tour.html").as_uri()
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    viewport={"width": width, "height": 900}, color_scheme=scheme
                )
                page.goto(place)
                page.screenshot(path=folder / f"tour-{width}-{scheme}.png", full_page=True)
        page = browser.new_page(
            viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
        )  # so that nothing moves while it is measured
        shown(page, place)
        browser.close()


def shown(page: Any, place: str) -> None:
    """Save the first screen at step 12, when the DAG is done, with fib(3) pinned."""
    page.goto(place)
    scene = page.locator("[data-scene]").first
    scene.locator("[data-scrub]").fill("12")
    scene.locator('.tree [data-box][aria-label^="fib(3)"]').first.click()
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=README)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
