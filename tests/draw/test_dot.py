"""How a task looks, and the text in it."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import pytest

from pipeline.draw import PLAIN, Heading, Picture
from pipeline.draw.dot import PALETTE, STATUS_COLOURS, colour, colours, write
from pipeline.draw.folding import whole_panel
from pipeline.graph import subproblem
from tests.functions import edit_distance, fib


def test_a_panel_is_written_with_its_heading_labels_and_edges() -> None:
    graph = fib(2).graph()
    panel = whole_panel(graph, "dag")
    evaluations = Counter(map(subproblem, graph.tasks))
    headings, title = [Heading("first", "1 task", ("second",))], Heading("title", "2")
    source = write([panel], graph, {fib(2).key: "1"}, evaluations, headings=headings, title=title)
    assert "<b>first: 1 task</b>" in source
    assert "second</font>" in source
    assert "<b>title: 2</b>" in source
    assert 'label=<fib(2)<br/><font point-size="10">= 1</font>' in source
    assert source.count("style=solid]") == 2


def test_long_arguments_are_cut_each_for_itself() -> None:
    graph = edit_distance("kitten and kitten", "sitting and sitting").graph()
    source = write([whole_panel(graph, "graph")], graph, {}, Counter())
    assert "edit_distance(&#x27;kitten and k…, &#x27;sitting and …)" in source


@pytest.mark.parametrize("name", ["dag", "graph"])
def test_a_panel_inside_a_page_has_classes_and_no_paper(name: str) -> None:
    graph = fib(2).graph()
    panel = whole_panel(graph, name)
    places = {box.id: place for place, box in enumerate(panel.boxes)}
    source = write([panel], graph, {fib(2).key: "1"}, Counter(list(graph.tasks)), is_inline=True)
    root = ElementTree.fromstring(Picture(source).render("svg"))  # noqa: S314 - our own
    groups = [element for element in root.iter() if element.get("class")]
    classes = {str(group.get("class")) for group in groups}
    first, *others = (places[fib(n).key] for n in (2, 1, 0))
    count = " has-count" if name == "dag" else ""
    assert {kind for kind in classes if kind.startswith("node")} == {
        f"node box-{first} has-value{count}", *(f"node box-{place}{count}" for place in others),
    }  # fmt: skip
    edges = {kind for kind in classes if kind.startswith("edge")}
    assert edges == {f"edge from-{first} to-{place}" for place in others}
    assert not [element for element in root.iter() if element.get("fill") == "#ffffff"]
    assert "xlink:title" not in Picture(source).render("svg").decode()


def test_colours_go_on_beyond_the_palette() -> None:
    assert colour(0) == PALETTE[0]
    assert len({colour(place) for place in range(500)}) == 500


def test_neighbours_differ_in_grey() -> None:
    grey = [
        0.299 * int(c[1:3], 16) + 0.587 * int(c[3:5], 16) + 0.114 * int(c[5:], 16) for c in PALETTE
    ]
    assert all(abs(a - b) > 30 for a, b in zip(grey, grey[1:] + grey[:1], strict=True))


def test_the_status_of_a_task_overrules_groups() -> None:
    style = PLAIN._replace(group=lambda key: 0, kind="layer")
    assert colours(["a", "b"], style) == {"a": PALETTE[0], "b": PALETTE[0]}
    coloured = style.with_statuses({"a": "hit"})
    assert colours(["a", "b"], coloured) == {"a": STATUS_COLOURS["hit"], "b": PALETTE[2]}
    assert style.legend == "one colour, one layer"
    assert coloured.legend == "hit · miss · skipped · culled"
