"""An edge of a network at a time: it is lit in the network, the formulas and both memo tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.mlp import network
from pipeline.apps.mlp.formulas import edges

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

NET = network((2, 2, 2, 1))

# What is lit, as a reader sees it: an edge by the circles at its ends, a factor by its names, a row
# by its first cell. `seen` also has all factors and rows, lit or not.
LIT = """
(steps) => {
  const shown = [...document.querySelectorAll(".steps")].find((each) => each.checkVisibility());
  const circles = [...shown.querySelectorAll("svg .node:has(ellipse)")];
  const nearest = (x, y) => {
    const far = (node) => {
      const { left, top, width, height } = node.getBoundingClientRect();
      return Math.hypot(left + width / 2 - x, top + height / 2 - y) - width / 2;
    };
    const [one] = [...circles].sort((one, other) => far(one) - far(other));
    return far(one) < 15 ? one.querySelector("text").textContent : "";
  };
  const ends = (edge) => {
    const path = edge.querySelector("path[stroke]");
    const at = (long) => path.getPointAtLength(long).matrixTransform(path.getScreenCTM());
    const [one, other] = [at(0), at(path.getTotalLength())];
    return [nearest(one.x, one.y), nearest(other.x, other.y)].join(" ");
  };
  const name = (row) => {
    const texts = [...row.querySelectorAll("mi, mn, mtext")].map((each) => each.textContent);
    return row.querySelector("mover") ? "ŷ" : texts.slice(1).join(" ");
  };
  const factors = (root) => [...root.querySelectorAll("mfrac")]
    .map((each) => [each.classList.contains("on"), [...each.children].map(name).join(" / "), each]);
  const rows = (table) => [...table.querySelectorAll("tbody tr")]
    .filter((row) => row.classList.contains("on")).map((row) => row.cells[0].textContent);
  const [expanded, factored] = shown.querySelectorAll(".equations math");
  return {
    edges: [...shown.querySelectorAll(".edge.on")].map(ends),
    formulas: [expanded, factored].map((root) => factors(root).map(([on, text]) => [on, text])),
    tables: [...shown.querySelectorAll("table")].map(rows),
  };
}
"""


def written(name: str) -> str:
    """A name as the formulas show it: the letter, the nodes below, the layer above."""
    kind, layer, node, source = NET[name]
    if name in ("L", "ŷ"):
        return name
    return f"{kind} {source or ''}{node} ({layer})"


def expected(pair: tuple[str, str], weight: str) -> tuple[list[str], str, list[list[str]]]:
    """The edge by its ends, its factor, and the rows of both tables."""
    consumer, name = pair
    _, layer, _, source = NET[name]
    start = NET.nodes(layer - 1)[source - 1] if NET[name].kind == "w" else name
    # The name of a bias stands in no circle.
    ends = f"{'' if NET[name].kind == 'b' else start} {consumer}"
    row = name if consumer == "L" else consumer
    return [ends], f"{written(consumer)} / {written(name)}", [[row], [f"∂L/∂{row}"]]


def check(lit: dict[str, Any], pair: tuple[str, str], weight: str) -> None:
    ends, factor, rows = expected(pair, weight)
    assert lit["edges"] == ends
    assert lit["tables"] == rows
    for formula in lit["formulas"]:
        # On the left, ∂L/∂ŷ is an adjoint; there is none of it.
        assert [text for is_on, text in formula if is_on] == [factor] * len(
            [text for _, text in formula if text == factor]
        )
        assert factor in [text for is_on, text in formula if is_on]


@pytest.mark.parametrize("weight", ["w1_11", "w2_12", "b1_2", "w3_21"])
def test_a_step_lights_one_edge_in_the_network_the_formulas_and_both_tables(
    opened: Opened, weight: str
) -> None:
    page = opened("tour", viewport={"width": 1280, "height": 800})
    page.select_option("[data-choice] select", weight)
    shown = page.locator(".steps:visible")
    assert shown.bounding_box()["height"] < 900  # about a screen
    pairs = edges(NET, weight)
    for place, pair in enumerate(pairs):
        check(page.evaluate(LIT), pair, weight)
        note = shown.locator("[data-text]").inner_text()
        assert f"∂{pair[0]}/∂{pair[1]}" in note
        if place < len(pairs) - 1:
            shown.locator('[data-by="1"]').click()
    for pair in reversed(pairs):
        check(page.evaluate(LIT), pair, weight)
        shown.locator('[data-by="-1"]').click()


def test_pointing_at_an_edge_a_factor_or_a_row_lights_it_everywhere(opened: Opened) -> None:
    page = opened("tour", viewport={"width": 1280, "height": 1000})
    page.select_option("[data-choice] select", "w1_11")
    shown = page.locator(".steps:visible")
    for number, pair in enumerate(edges(NET, "w1_11")):
        for what in (f".edge.step-{number} path", f"mfrac.step-{number}"):
            for one in shown.locator(what).all()[:2]:
                one.hover(force=True)
                check(page.evaluate(LIT), pair, "w1_11")
        page.mouse.move(1, 1)
        check(page.evaluate(LIT), ("L", "ŷ"), "w1_11")
    shown.locator("tr", has_text="∂L/∂O2_1").hover()
    lit = page.evaluate(LIT)
    assert lit["edges"] == ["O1_1 O2_1"]
    assert lit["tables"] == [["O2_1"], ["∂L/∂O2_1"]]


def test_a_click_on_the_label_of_a_weight_goes_to_its_step(opened: Opened) -> None:
    page = opened("tour", viewport={"width": 1280, "height": 1000})
    page.select_option("[data-choice] select", "w1_11")
    shown = page.locator(".steps:visible")
    shown.locator(".edge text", has_text="w1_11").click()
    page.mouse.move(1, 1)
    check(page.evaluate(LIT), ("O1_1", "w1_11"), "w1_11")
    assert "∂O1_1/∂w1_11" in shown.locator("[data-text]").inner_text()


def test_a_step_of_the_scene_lights_the_edges_of_its_adjoint(opened: Opened) -> None:
    page = opened("tour", viewport={"width": 1280, "height": 800})
    page.select_option("[data-choice] select", "w1_11")
    pairs = edges(NET, "w1_11")
    for adjoint in ("ŷ", "O2_2", "O2_1", "O1_1", "w1_11"):
        page.locator('#chain [data-do="next"]:visible').click()
        own = [expected(pair, "w1_11") for pair in pairs if pair[1] == adjoint]
        lit = page.evaluate(LIT)
        assert sorted(lit["edges"]) == sorted(ends for [ends], _, _ in own)
        for formula in lit["formulas"]:
            assert {text for is_on, text in formula if is_on} == {factor for _, factor, _ in own}
        for table, column in zip(lit["tables"], (0, 1), strict=True):
            assert sorted(table) == sorted(rows[column][0] for _, _, rows in own)
