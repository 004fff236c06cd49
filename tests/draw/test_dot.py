"""How a task looks, and what is written in it."""

from __future__ import annotations

from collections import Counter

from pipeline.draw import dot
from pipeline.draw.folding import as_it_is
from pipeline.graph import subproblem
from tests.functions import edit_distance, fib


def test_a_panel_is_written_with_its_heading_labels_and_edges() -> None:
    graph = fib(2).graph()
    panel = as_it_is(graph, "dag")
    evaluations = Counter(map(subproblem, graph.tasks))
    source = dot.write({"first|second": panel}, graph, {fib(2).key: "1"}, evaluations, "title")
    assert "<b>first</b>" in source
    assert "second</font>" in source
    assert "<b>title</b>" in source
    assert 'label=<fib(2)<br/><font point-size="10">= 1</font>' in source
    assert source.count("style=solid]") == 2


def test_long_arguments_are_cut_each_for_itself() -> None:
    graph = edit_distance("kitten and kitten", "sitting and sitting").graph()
    panel = as_it_is(graph, "graph")
    source = dot.write({"": panel}, graph, {}, Counter())
    assert "edit_distance(&#x27;kitten and k…, &#x27;sitting and …)" in source
