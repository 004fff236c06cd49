"""The chain rule as MathML says what it says as text."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.apps.mlp import NetworkError, formula, network
from pipeline.apps.mlp.formula import TERMS
from pipeline.apps.mlp.mathml import MOST, derivative, expanded, factored

NET = network((2, 2, 2, 1))


def parsed(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)  # noqa: S314 - our own


def name(element: ElementTree.Element) -> str:
    """A name in MathML, as it is written in text."""
    base, *scripts = list(element) if element.tag in ("msub", "msubsup") else [element]
    letter = "ŷ" if base.tag == "mover" else base.text or ""
    if element.tag == "msubsup":
        nodes, layer = (each.text or "" for each in scripts)
        return f"{letter}{layer.strip('()')}_{nodes}"
    return letter + "".join(each.text or "" for each in scripts)


def text(element: ElementTree.Element) -> str:
    """A line, or a part of it, as text."""
    if element.tag == "mfrac":
        above, below = (name(each[1]) for each in element)
        return f"∂{above}/∂{below}"
    if element.tag == "mo":
        return {"⋅": " · "}.get(element.text or "", f" {element.text} ")
    if element.tag == "mtext" and element.get("class") == "path":
        return ""
    return (element.text or "") + "".join(map(text, element))


def lines(markup: str) -> list[str]:
    return [text(row) for row in parsed(markup).iter("mtr")]


@pytest.mark.parametrize("shape", [(2, 2, 2, 1), (3, 2, 4, 2), (1, 1), (2, 3, 3, 3, 2), (12, 3, 1)])
def test_it_is_the_formula(shape: Any) -> None:
    net = network(shape)
    for weight in [*net.parameters, "L", net.nodes(1)[0]]:
        found = formula(net, weight)
        assert "".join(lines(expanded(net, weight))) == found.expanded
        assert "\n".join(lines(factored(net, weight))) == found.factored


def test_each_product_has_a_line_and_each_derivative_is_a_fraction() -> None:
    whole = parsed(expanded(NET, "w1_11"))
    assert whole.tag == "math"
    assert whole.get("display") == "block"
    assert len(list(whole.iter("mtr"))) == 2
    assert len(list(whole.iter("mfrac"))) == 1 + 2 * 4
    assert len(list(parsed(factored(NET, "w1_11")).iter("mfrac"))) == 3 + 3 + 5 + 3


def test_factors_of_earlier_lines_are_marked() -> None:
    again = [text(each) for each in parsed(expanded(NET, "w1_11")).iter("mrow")
             if each.get("class") == "again"]  # fmt: skip
    assert again == ["∂L/∂ŷ", "∂O1_1/∂w1_11"]


def test_paths_bear_the_colours_of_the_picture() -> None:
    marks = [each.get("style") for each in parsed(expanded(NET, "w1_11", ["#123456"])).iter()
             if each.get("class") == "path"]  # fmt: skip
    assert marks == ["color:#123456"]
    assert "path" not in expanded(NET, "w3_11", ["#123456"])  # there is but one


def test_values_stand_beside_the_adjoints() -> None:
    found = lines(factored(NET, "w1_11", {"w1_11": "0.5", "O2_2": "<b>"}))
    assert found[-1] == "∂L/∂w1_11 = ∂L/∂O1_1 · ∂O1_1/∂w1_11 = 0.5"
    assert found[0].endswith(" = <b>")


def test_long_sums_are_cut_and_tell_their_number() -> None:
    deep = network((2, *(4,) * 30, 1))
    first, rest = lines(expanded(deep, "w1_11"))
    assert TERMS < 4**29
    assert first == formula(deep, "w1_11").expanded.partition(" + …")[0]
    assert rest == f" + … ({4**29:,} products, one for each path)"
    wide = network((2, 20, 2 * MOST, MOST + 1))
    written = lines(factored(wide, "w1_1,1"))
    assert len(written) == 2 + 1 + 1 + 1  # two adjoints of layer 2, how many more, O1_1, the weight
    assert written[0].endswith(f" + … ({MOST + 1} products, one for each consumer)")
    assert written[2] == f"… ({2 * MOST} adjoints of layer 2, one for each node)"


def test_everything_is_escaped() -> None:
    odd = str(derivative(("<script>", "a&b")))
    assert "<script>" not in odd
    assert text(parsed(odd)) == "∂<script>/∂a&b"
    assert "<b>" not in factored(NET, "w1_11", {"w1_11": "<b>"})
    with pytest.raises(NetworkError, match="no variable"):
        expanded(NET, "<b>")
