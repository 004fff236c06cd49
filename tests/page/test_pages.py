"""Report pages: whole, escaped, the same every time; what a store did."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import dask
import pytest
from dask import delayed

from pipeline import Store, StoreWarning, recurrence, report, task, trace
from pipeline.page import Page, Prose, Section
from pipeline.schedule import Observation
from tests.functions import failing, fib

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVIL = "<script>alert(1)</script>"


@task
def named(text: str) -> str:
    return f"{text}</script>"


@recurrence
def longer(text: str, n: int) -> Any:
    return named(text) if n == 0 else longer(text, n - 1) + longer(f"{text}'\"&", n - 1)


class Read(HTMLParser):
    """What stands in a page: its elements with their attributes, its text, its data."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.data: list[Any] = []
        self.within = ""
        self.feed(page.render())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.within = dict(attrs).get("type") or tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within == "application/json":
            self.data.append(json.loads(data, parse_constant=pytest.fail))
        elif self.within not in ("script", "style"):
            self.text += data

    def values(self) -> dict[str, str]:
        return {each["label"]: each["value"] for each in self.data[0]["more"]["subproblems"]}


def test_a_page_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    path = report(fib(6)).save(tmp_path / "fib.html")
    assert [each.name for each in tmp_path.iterdir()] == ["fib.html"]
    assert path.stat().st_size < 150_000
    read = Read(report(fib(6)))
    for tag, attributes in read.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "use", "image")
        assert "src" not in attributes
        assert str(attributes.get("href") or "#").startswith("#")
    assert "url(" not in path.read_text()
    assert "@import" not in path.read_text()


def test_a_page_says_how_to_make_one() -> None:
    assert Read(report(fib(3))).text.count("pip install dask-memo") == 2  # at the top and the end


def test_the_default_page_is_small_even_of_immense_trees() -> None:
    for call in (fib(40), fib(3000)):
        assert len(report(call).render()) < 3_000_000


def test_evil_is_text() -> None:
    page = report(longer(EVIL, 2), title=f"{EVIL}</title>")
    source = page.render()
    assert "<script>alert" not in source
    assert "alert(1)</script>" not in source
    read = Read(page)
    assert sum(tag == "script" for tag, _ in read.elements) == 1 + len(read.data)
    assert all("onerror" not in attributes for _, attributes in read.elements)
    assert read.text.count(f"{EVIL}</title>") == 2
    assert any(EVIL in each["key"] for each in read.data[0]["more"]["subproblems"])
    key = delayed(str)(EVIL, dask_key_name=f"{EVIL}\x00\x1b")
    assert "<script>alert" not in report(key).render()


def test_reasons_of_a_store_are_escaped(tmp_path: Path) -> None:
    call = delayed(str)(delayed(print)(EVIL, dask_key_name=EVIL), dask_key_name=f"{EVIL}2")
    with pytest.warns(StoreWarning, match="not stored: .*print: it has a side effect"):
        page = report(call, store=Store(tmp_path))
    assert "<script>alert" not in page.render()
    assert EVIL in Read(page).text


def test_the_same_run_makes_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def observed(graph: Any, wanted: Any = (), run: Any = None, name: str = "") -> Observation:
        return Observation(dict.fromkeys(graph.tasks, 1e-3), dict.fromkeys(wanted, "1"))

    monkeypatch.setattr("pipeline.page.scenes.observed", observed)
    pages = [report(fib(6), rate=1e7) for _ in range(2)]
    assert pages[0].render() == pages[1].render() == pages[0].render()


def test_pages_are_the_same_on_every_scheduler_but_for_order_and_time(scheduler: str) -> None:
    read = Read(report(fib(6)))
    assert read.values() == {f"fib({n})": str(v) for n, v in enumerate([0, 1, 1, 2, 3, 5, 8])}
    left, right = read.data[0]["sides"]
    assert (left["done"], left["hits"][-1], left["work"][-1]) == (25, 0, 12)
    assert (right["done"], right["hits"][-1], right["work"][-1]) == (7, 4, 5)
    assert all(box["seconds"] for side in (left, right) for box in side["boxes"])


def test_a_store_tells_what_it_did_and_why(tmp_path: Path) -> None:
    store = Store(tmp_path, keep={"fib"})
    report(fib(4), store=store)
    page = report(fib(6), store=store)
    assert [section.name for section in page.sections] == ["evaluation", "store"]
    text = Read(page).text
    assert "Tasks loaded: 2; looked up and computed: 2; computed without a look-up: 0." in text
    assert "argument 1 was 4, is 6" in text
    assert {"hit", "miss", "culled"} <= set(re.findall(r"[a-z ]+", text))
    again = Read(report(fib(6), store=store))
    assert "Tasks loaded: 1; looked up and computed: 0;" in again.text
    assert again.values()["fib(6)"] == "8"


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        (lambda: 5, TypeError, "no tasks"),
        (lambda: fib(5).graph(memoize=False), ValueError, "is a tree already"),
        (lambda: failing(2), ZeroDivisionError, "no 0"),
    ],
)
def test_what_has_no_page_is_an_error(
    asked: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        report(asked())


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        report(fib(2)).save(tmp_path / "none" / "fib.html")


def test_titles_are_those_given_or_those_of_the_calls() -> None:
    assert repr(report(fib(5))) == "<Page: fib(5), 1 sections>"
    assert report(trace([fib(2), fib(3)])).title == "fib(2), fib(3)"
    assert report(fib(5), title="Rabbits").title == "Rabbits"
    assert "<h1>Rabbits</h1>" in report(fib(5), title="Rabbits").render()


def test_sections_are_listed_where_there_are_several() -> None:
    sections = [Section("one", "First", [Prose(["a"])]), Section("two", "Second", [Prose(["b"])])]
    links = [
        attributes["href"] for tag, attributes in Read(Page("", sections)).elements if tag == "a"
    ]
    assert links == ["#one", "#one", "#two"]
    assert "<nav" not in Page("", sections[:1]).render()


def test_an_unset_scheduler_is_left_as_it_is() -> None:
    with dask.config.set(scheduler="sync"):
        report(fib(3))
        assert dask.config.get("scheduler") == "sync"
