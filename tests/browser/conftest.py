"""A browser, and pages in it. Without one the tests are skipped, unless one is required."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.made import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
START = datetime(2026, 1, 1, tzinfo=UTC)
REMEDY = "pip install -e '.[browser]' and a Chromium, or set PIPELINE_BROWSER to the path of one"


def without(reason: str) -> None:
    """Skip what needs a browser; fail where PIPELINE_NEEDS_BROWSER says that there must be one."""
    text = f"{reason}: {REMEDY}"
    if os.environ.get("PIPELINE_NEEDS_BROWSER"):
        pytest.fail(text)
    pytest.skip(text)


def executable() -> str | None:
    """The path of a browser of this machine; without one, Playwright has its own."""
    return os.environ.get("PIPELINE_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


# Of this package, not of the session: while it lives, its event loop is this thread's.
@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        without("Playwright is not installed")
    with sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        except Error as error:
            without(f"no browser starts ({str(error).splitlines()[0]})")
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a page of `PAGES`, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("pages")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        return path if path.exists() else PAGES[name]().save(path)

    return file


@pytest.fixture
def opened(browser: Any, page_file: Callable[[str], Path]) -> Iterator[Callable[..., Any]]:
    """Open a page by its name in `PAGES`; options are those of a browser's context.

    In the end there were no errors, no dialogs, no words on the console, and the network was not
    touched.

    is_clocked: whether time stands still, but for `page.clock.run_for`
    """
    seen: list[str] = []
    with ExitStack() as stack:

        def open_page(name: str, is_clocked: bool = False, **options: Any) -> Any:
            context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(10_000)
            page.on("pageerror", lambda error: seen.append(f"error: {error}"))
            page.on("console", lambda message: seen.append(f"console: {message.text}"))
            page.on("dialog", lambda dialog: _asked(dialog, seen))
            page.on("request", lambda request: _requested(request.url, seen))
            if is_clocked:
                page.clock.install(time=START)
            page.goto(page_file(name).as_uri())
            if is_clocked:
                page.clock.pause_at(START + timedelta(hours=1))
            return page

        yield open_page
    assert seen == []


def _asked(dialog: Any, seen: list[str]) -> None:
    seen.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def _requested(url: str, seen: list[str]) -> None:
    if not url.startswith("file:"):
        seen.append(f"request: {url}")
