"""Pictures inside a page."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pipeline import contrast
from pipeline.draw import Picture
from pipeline.page import inline_svg
from tests.functions import fib

DOT = """digraph {
  a [id="one", label=<first<br/>= 1<br/>×1>, tooltip="t"]
  b [id="two", label=<&lt;script&gt;>]
  a -> b
}"""
SVG = "{http://www.w3.org/2000/svg}"


def read(numbers: dict[str, int] | None) -> ElementTree.Element:
    return ElementTree.fromstring(inline_svg(Picture(DOT), "a & <b>", numbers))  # noqa: S314 - our own


def test_known_nodes_are_buttons_with_names() -> None:
    root = read({"one": 3, "two": 0})
    found = {each.get("data-box"): each for each in root.iter() if each.get("data-box")}
    assert found.keys() == {"3", "0"}
    assert {each.get("role") for each in found.values()} == {"button"}
    assert found["3"].get("aria-label") == "first, = 1, ×1"
    assert found["0"].get("aria-label") == "<script>"
    texts = [(text.text, text.get("class")) for text in found["3"].iter(f"{SVG}text")]
    assert texts == [("first", None), ("= 1", "value"), ("×1", "count")]


def test_without_numbers_nothing_can_be_pointed_at() -> None:
    root = read(None)
    assert not any(each.get("data-box") or each.get("role") == "button" for each in root.iter())


def test_there_are_no_ids_titles_or_white_paper() -> None:
    root = read({"one": 0})
    assert all("id" not in each.attrib for each in root.iter())
    assert not list(root.iter(f"{SVG}title"))
    assert not any("title" in name for each in root.iter() for name in each.attrib)
    assert not any(each.get("stroke") == "none" for each in root.iter(f"{SVG}polygon"))


def test_a_reader_of_screens_is_told_what_it_is() -> None:
    root = read(None)
    assert (root.get("role"), root.get("aria-label")) == ("group", "a & <b>")
    assert float(root.get("width", "")) > 0


@pytest.mark.parametrize("n", [1, 5])
def test_edges_between_known_nodes_bear_their_ends(n: int) -> None:
    picture = contrast(fib(n))
    root = ElementTree.fromstring(picture.render("svg"))  # noqa: S314 - our own
    ids = [str(each.get("id")) for each in root.iter(f"{SVG}g") if each.get("class") == "node"]
    numbers = {each: place for place, each in enumerate(ids) if each.startswith("dag-")}
    text = str(inline_svg(picture, "", numbers))
    assert text.count("data-ends=") == len([1 for k in range(2, n + 1) for _ in (1, 2)])
    assert text.count("data-box=") == len(numbers) - ("dag-" in numbers)
