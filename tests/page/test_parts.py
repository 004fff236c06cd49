"""Parts of a page: their numbers as text, and the templates that show them."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import pipeline
from pipeline.page import MemoryRun, MemoryStrip, Page, Part, Plot, Section, Slider, Table

STATIC = Path(pipeline.__file__).parent / "page" / "static"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7 * 7 }}"


def shown(part: Part) -> str:
    """The HTML of a part, as a page includes it."""
    html = Page("page", [Section("only", "section", [part])]).render()
    return html[html.index("<main>") : html.index("</main>")]


def embedded(html: str) -> Any:
    """The data in the HTML, as JavaScript reads them: without NaN or Infinity."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Tags(HTMLParser):
    """Finds tags, ids, and references to ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.referred: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{name}={value}"
            if name == "id":
                self.ids.append(value or "")
            if name in ("for", "aria-labelledby", "aria-describedby"):
                self.referred |= set((value or "").split())


def table(text: str = "text") -> Table:
    return Table(text, (text, text), [(text, 10**400), (text, Fraction(1, 1000))], note=text)


def plot(text: str = "text") -> Plot:
    figure = Figure()
    axes = figure.subplots()
    axes.semilogy([1, 2], [1, 1000], label=text)
    axes.set(xlabel=text)
    axes.legend(frameon=False)
    return Plot(figure, table(text), note=text)


def slider(text: str = "text") -> Slider:
    return Slider(text, text, (text, text), [(0, text), (1, text)], start=1, note=text)


def strip(text: str = "text") -> MemoryStrip:
    run = MemoryRun(text, [(0, 1, 0, 1, False), (1, 2, 1, 1, True)], [text, text])
    return MemoryStrip(text, (text, text), 3, [run], note=text)


PARTS = pytest.mark.parametrize("make", [table, plot, slider, strip])


@PARTS
def test_texts_are_escaped(make: Any) -> None:
    plain, hostile = shown(make()), shown(make(HOSTILE))
    assert "alert(1)" in hostile
    assert Tags(hostile).tags == Tags(plain).tags
    assert "<script>alert(1)</script>" not in hostile
    assert "{{ 7 * 7 }}" in hostile


@pytest.mark.parametrize("make", [slider, strip])
def test_data_come_to_javascript_as_they_are(make: Any) -> None:
    for text in ("text", HOSTILE):
        assert embedded(shown(make(text))) == json.loads(json.dumps(make(text).data))


@PARTS
def test_ids_are_unique_and_references_find_them(make: Any) -> None:
    tags = Tags(shown(make()))
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.referred <= set(tags.ids)


def test_a_table_writes_numbers_as_a_person_reads_them() -> None:
    cells = (25, 10**400, Fraction(25, 7), 1 / 3, -0.0, "text")
    assert Table("t", [""] * 6, [cells]).texts == [
        ["25", "1.0e400", "3.6", "0.333333", "0", "text"]
    ]


def test_a_plot_is_a_picture_in_the_page_with_a_text_and_a_table() -> None:
    html = shown(plot("tree"))
    assert html.count("<svg ") == 1
    assert 'role="img" aria-label="tree: tree by tree. The table has the numbers."' in html
    assert html.count("<td") == 4
    for forbidden in ("<?xml", "<style", "url(", "<use", "<image", "fill: #ffffff"):
        assert forbidden not in html


def test_a_slider_shows_its_row_without_javascript() -> None:
    html = shown(Slider("t", "n", ("n", "tree"), [(0, 1), (30, 10**30)], start=1))
    assert 'max="1"' in html
    assert 'value="1"' in html
    assert f"<span data-text>{10**30:,}</span>" in html
    assert embedded(html) == {"rows": [["0", "1"], ["30", f"{10**30:,}"]]}


@pytest.mark.parametrize("start", [-1, 2])
def test_a_slider_starts_at_a_row(start: int) -> None:
    with pytest.raises(ValueError, match="there are 2 rows"):
        Slider("t", "n", ("n",), [("0",), ("1",)], start=start)


def test_rows_of_a_slider_fit_its_head() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Slider("t", "n", ("n", "tree"), [("0",)])


def test_a_strip_has_its_cells_and_its_steps() -> None:
    part = strip()
    assert part.tasks == 2
    html = shown(part)
    assert html.count("<i></i>") == 2 * 3
    assert embedded(html)["runs"][0]["cells"] == [[0, 1, 0, 1, False], [1, 2, 1, 1, True]]


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_javascript_writes_texts_and_fetches_nothing(path: Path) -> None:
    text = path.read_text()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                      "fetch(", "XMLHttpRequest", "import "):  # fmt: skip
        assert forbidden not in text
    assert not re.findall(r"https?://", text)
    assert len(text.splitlines()) <= 250
