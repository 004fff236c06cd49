"""The pages that the browser is shown."""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da

from pipeline import Store, recurrence, report, task, trace
from pipeline.apps.gallery import GALLERY, Problem
from pipeline.apps.mlp import network
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.page import Page
from tests.functions import fib

if TYPE_CHECKING:
    from collections.abc import Callable

EVIL = "<script>alert(1)</script>"
RATE = 2.6e7
HUGE = 100_000


@recurrence
def doubled(n: int) -> Any:
    return 1 if n == 0 else doubled(n - 1) + doubled(n - 1)


@recurrence
def halves(n: int) -> Any:
    return n if n < 2 else (halves(n - 1) + halves(n // 2)) % 1000003


@recurrence
def repeated(text: str, n: int) -> Any:
    return task(wrapped)(text) if n == 0 else repeated(text, n - 1) + repeated(f"{text}'\"&", n - 1)


def wrapped(text: str) -> str:
    return f"{text}</script><img src=x onerror=alert(2)>"


def evil() -> Page:
    """Evil in arguments and values, in the title, in names of functions, in a store's reasons."""
    named = dask.delayed(str)(EVIL, dask_key_name=f"{EVIL}</title>", pure=True)
    with TemporaryDirectory() as folder:
        store = Store(folder)
        pages = [report(repeated(EVIL, 3), title=EVIL), report(named, store=store)]
    sections = [
        replace(section, name=f"{section.name}-{place}")
        for place, page in enumerate(pages) for section in page.sections
    ]  # fmt: skip
    return Page(f"{EVIL}</title>", sections, lead=EVIL)


def loaded(n: int, stored: int) -> Page:
    """fib(n) with a store that has fib(stored)."""
    with TemporaryDirectory() as folder:
        store = Store(folder, keep={"fib"})
        report(fib(stored), store=store)
        return report(fib(n), store=store)


def built() -> Page:
    x = da.ones((20, 20), chunks=10)
    return report((x + x.T).sum())


def huge() -> Page:
    with dask.config.set(scheduler="sync"):
        return report(halves(HUGE))


def textbook(problem: Problem) -> Callable[[], Page]:
    return lambda: report(problem.call())


PAGES: dict[str, Callable[[], Page]] = {
    "fib(6)": lambda: report(fib(6)),
    "fib(0)": lambda: report(fib(0)),
    "fib(40)": lambda: report(fib(40), rate=RATE),
    "two": lambda: report(trace([fib(5), fib(6)])),
    "doubled": lambda: report(doubled(5)),
    "built": built,
    "all loaded": lambda: loaded(6, 6),
    "part loaded": lambda: loaded(7, 4),
    "evil": evil,
    "huge": huge,
    "long words": lambda: report(GALLERY["edit-distance"].call("intentions", "executions")),
    "tour": lambda: tour(fibonacci_page(6, RATE), mlp_page(network((2, 2, 2, 1)))),
    **{name: textbook(problem) for name, problem in GALLERY.items()},
}
