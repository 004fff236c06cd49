"""Parts of a page that are drawn from numbers: their data, and the templates that show them."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import pipeline
from pipeline.page import Cell, Chart, Drawn, Filling, Rows, Series, Slider

PAGE = Path(pipeline.__file__).parent / "page" / "templates"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7 * 7 }}"


def shown(part: Drawn) -> str:
    """The HTML of a part, as a page includes it."""
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(part.template).render(part=part, id="one")


def embedded(html: str) -> Any:
    """The data in the HTML, as JavaScript reads them: without NaN or Infinity."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Tags(HTMLParser):
    """Finds tags, ids, and what refers to ids."""

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


def chart(text: str = "text") -> Chart:
    series = Series(text, [(1, 1), (2, 10**400), (4, Fraction(1, 1000))], "tree", [text] * 3)
    return Chart(text, text, text, [series], log=True, note=text)


def slider(text: str = "text") -> Slider:
    return Slider(text, text, (text, text), [("0", text), ("1", text)], start=1, note=text)


def rows(text: str = "text") -> Rows:
    runs = [Filling(text, [Cell(0, 1, 0, 1), Cell(1, 2, 1, 1, again=True)], [text, text])]
    return Rows(text, (text, text), 3, runs, note=text)


PARTS = pytest.mark.parametrize("make", [chart, slider, rows])


@PARTS
def test_what_is_given_is_escaped(make: Any) -> None:
    plain, hostile = shown(make()), shown(make(HOSTILE))
    assert "alert(1)" in hostile
    assert Tags(hostile).tags == Tags(plain).tags
    assert "<script>alert(1)</script>" not in hostile
    assert "{{ 7 * 7 }}" in hostile
    assert embedded(hostile) == make(HOSTILE).data


@PARTS
def test_ids_are_one_of_a_kind_and_what_refers_to_them_finds_them(make: Any) -> None:
    tags = Tags(shown(make()))
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.referred <= set(tags.ids)
    assert all(each.startswith("one-") for each in tags.ids)


def test_a_logarithmic_chart_carries_logarithms_of_numbers_of_any_size() -> None:
    points = embedded(shown(chart()))["series"][0]["points"]
    assert points == [[1, 0], [2, 400], [4, pytest.approx(-3)]]
    assert all(math.isfinite(each) for point in points for each in point)


def test_texts_are_exact_or_short_and_made_by_what_says_them() -> None:
    assert chart().data["series"][0]["texts"] == ["1", "1.0e400", "0.001"]
    said = Chart("t", "x", "y", [Series("s", [(1, 2)])], say=lambda y: f"{y} bytes")
    assert said.data["series"][0]["texts"] == ["2 bytes"]


@pytest.mark.parametrize(
    ("log", "y"), [(True, 0), (True, -1), (False, 10**400), (False, math.inf), (True, math.nan)]
)
def test_a_point_without_a_place_is_refused(log: bool, y: float) -> None:
    with pytest.raises(ValueError, match="'s' has a point at x = 3 that has no place"):
        Chart("t", "x", "y", [Series("s", [(1, 1), (3, y)])], log=log)


def test_names_are_for_all_points_or_for_none() -> None:
    with pytest.raises(ValueError, match="2 points and 1 names"):
        Chart("t", "x", "y", [Series("s", [(1, 1), (2, 2)], names=["one"])])


def test_the_table_has_a_row_for_each_x_and_a_column_for_each_line() -> None:
    both = Chart(
        "t", "x", "y", [Series("a", [(2, 20), (1, 10)]), Series("b", [(1, 11), (3.5, 30)])]
    )
    assert both.table == [("1", ["10", "11"]), ("2", ["20", "–"]), ("3.5", ["–", "30"])]
    named = Chart("t", "x", "y", [Series("a", [(5, 1), (5, 2)], names=["p", "q"])])
    assert named.table == [("p: 5", ["1"]), ("q: 5", ["2"])]
    html = shown(both)
    assert html.count('<th scope="row">') == 3
    assert html.count("<td>") == 6


def test_a_slider_shows_its_row_without_javascript() -> None:
    html = shown(Slider("t", "n", ("n", "tree"), [("0", "1"), ("30", f"{10**30:,}")], start=1))
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


def test_rows_have_their_cells_and_their_steps() -> None:
    part = rows()
    assert part.steps == 2
    html = shown(part)
    assert html.count("<i></i>") == 2 * 3
    assert embedded(html)["runs"][0]["cells"] == [[0, 1, 0, 1, 0], [1, 2, 1, 1, 1]]


@pytest.mark.parametrize("name", ["chart", "slider", "rows"])
def test_javascript_writes_texts_and_fetches_nothing(name: str) -> None:
    text = (PAGE.parent / "static" / f"{name}.js").read_text()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in text
    assert re.findall(r"https?://[^\"]*", text) in ([], ["http://www.w3.org/2000/svg"])
    assert len(text.splitlines()) <= 250
