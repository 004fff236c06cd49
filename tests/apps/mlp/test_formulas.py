"""The chain rule as text gives the gradient when it is evaluated; MathML says the same."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from pipeline.apps.mlp import NetworkError, formula, gradient, network
from pipeline.apps.mlp.chain import local_values
from pipeline.apps.mlp.formulas import (
    MOST,
    TERMS,
    derivative,
    mathml_expanded,
    mathml_factored,
    path_count,
    paths,
)

if TYPE_CHECKING:
    from pipeline.apps.mlp.networks import Network


def evaluated(text: str, known: dict[tuple[str, str], float]) -> float:
    """A sum of products of ∂c/∂v, evaluated."""
    total = 0.0
    for product in text.split(" + "):
        factors = re.findall(r"∂([^/∂ ]+)/∂([^/∂ ]+)", product)
        total += math.prod(known[pair] for pair in factors)
    return total


def locals_of(net: Network) -> dict[tuple[str, str], float]:
    local = local_values(net)
    return {(c, v): local(c, v) for v in net.variables for c in net.consumers(v)}


@pytest.mark.parametrize("shape", [(2, 2, 2, 1), (3, 2, 4, 2), (1, 1), (2, 3, 3, 3, 2)])
def test_the_printed_formula_gives_the_gradient(shape: Any) -> None:
    net = network(shape, "tanh", seed=2)
    known, expected = locals_of(net), gradient(net).compute(scheduler="sync")
    for name in net.parameters:
        found = formula(net, name)
        right = found.expanded.partition(" = ")[2]
        assert evaluated(right, known) == pytest.approx(expected[name], rel=1e-12)
        assert right.count(" + ") + 1 == found.terms == path_count(net, name)
        table = dict(known)
        for line in found.factored.splitlines():
            left, _, right = line.partition(" = ")
            (pair,) = re.findall(r"∂([^/∂ ]+)/∂([^/∂ ]+)", left)
            table[pair] = evaluated(right, table)
        assert table["L", name] == pytest.approx(expected[name], rel=1e-12)


def test_each_adjoint_is_computed_once_in_the_factored_form() -> None:
    lines = formula(network((2, 3, 3, 1)), "w1_11").factored.splitlines()
    left = [line.partition(" = ")[0] for line in lines]
    assert len(left) == len(set(left)) == 3 + 1 + 1
    for place, line in enumerate(lines):
        for adjoint in re.findall(r"∂L/∂O\S+", line.partition(" = ")[2]):
            assert adjoint in left[:place]


def test_the_formula_of_the_lecture_notes() -> None:
    found = formula(network((2, 2, 2, 1)), "w1_11")
    assert found.expanded == (
        "∂L/∂w1_11 = ∂L/∂ŷ · ∂ŷ/∂O2_1 · ∂O2_1/∂O1_1 · ∂O1_1/∂w1_11"
        " + ∂L/∂ŷ · ∂ŷ/∂O2_2 · ∂O2_2/∂O1_1 · ∂O1_1/∂w1_11"
    )
    assert found.factored_latex.splitlines()[-1] == (
        r"\frac{\partial L}{\partial w^{(1)}_{11}} = \frac{\partial L}{\partial O^{(1)}_{1}} \, "
        r"\frac{\partial O^{(1)}_{1}}{\partial w^{(1)}_{11}}"
    )
    assert r"\partial \hat{y}" in found.expanded_latex


def test_many_paths_are_counted_and_not_written_out() -> None:
    net = network((2, 9, 9, 1))
    assert formula(net, "w1_11").terms == 9
    deep = network((2, *(4,) * 30, 1))
    found = formula(deep, "w1_11")
    assert found.terms == 4**29 > TERMS
    assert found.expanded.endswith(f"+ … ({4**29:,} products, one for each path)")
    assert (
        len(found.factored.splitlines()) == 29 * 4 + 2
    )  # of all later nodes, of O1_1 and of the weight


def test_paths_are_those_that_are_counted() -> None:
    net = network((3, 2, 4, 2))
    for name in net.variables:
        found = list(paths(net, name))
        assert len(found) == len(set(map(tuple, found))) == path_count(net, name)
        assert all(path[0] == name and path[-1] == "L" for path in found)


def test_other_variables_and_unknown_names() -> None:
    net = network((2, 2, 1))
    assert str(formula(net, "ŷ")).splitlines()[0] == "∂L/∂ŷ = ∂L/∂ŷ"
    with pytest.raises(NetworkError, match="no variable 'v'"):
        formula(net, "v")


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
        assert "".join(lines(mathml_expanded(net, weight))) == found.expanded
        assert "\n".join(lines(mathml_factored(net, weight))) == found.factored


def test_each_product_has_a_line_and_each_derivative_is_a_fraction() -> None:
    whole = parsed(mathml_expanded(NET, "w1_11"))
    assert whole.tag == "math"
    assert whole.get("display") == "block"
    assert len(list(whole.iter("mtr"))) == 2
    assert len(list(whole.iter("mfrac"))) == 1 + 2 * 4
    assert len(list(parsed(mathml_factored(NET, "w1_11")).iter("mfrac"))) == 3 + 3 + 5 + 3


def test_factors_of_earlier_lines_are_marked() -> None:
    again = [text(each) for each in parsed(mathml_expanded(NET, "w1_11")).iter("mrow")
             if each.get("class") == "again"]  # fmt: skip
    assert again == ["∂L/∂ŷ", "∂O1_1/∂w1_11"]


def test_paths_bear_the_colours_of_the_picture() -> None:
    marks = [each.get("style") for each in parsed(mathml_expanded(NET, "w1_11", ["#123456"])).iter()
             if each.get("class") == "path"]  # fmt: skip
    assert marks == ["color:#123456"]
    assert "path" not in mathml_expanded(NET, "w3_11", ["#123456"])  # there is but one


def test_values_stand_beside_the_adjoints() -> None:
    found = lines(mathml_factored(NET, "w1_11", {"w1_11": "0.5", "O2_2": "<b>"}))
    assert found[-1] == "∂L/∂w1_11 = ∂L/∂O1_1 · ∂O1_1/∂w1_11 = 0.5"
    assert found[0].endswith(" = <b>")


def test_long_sums_are_cut_and_tell_their_number() -> None:
    deep = network((2, *(4,) * 30, 1))
    first, rest = lines(mathml_expanded(deep, "w1_11"))
    assert TERMS < 4**29
    assert first == formula(deep, "w1_11").expanded.partition(" + …")[0]
    assert rest == f" + … ({4**29:,} products, one for each path)"
    wide = network((2, 20, 2 * MOST, MOST + 1))
    written = lines(mathml_factored(wide, "w1_1,1"))
    assert len(written) == 2 + 1 + 1 + 1  # two adjoints of layer 2, how many more, O1_1, the weight
    assert written[0].endswith(f" + … ({MOST + 1} products, one for each consumer)")
    assert written[2] == f"… ({2 * MOST} adjoints of layer 2, one for each node)"


def test_a_long_sum_has_four_products_in_a_line() -> None:
    net = network((1, 2, 6, 1))
    written = lines(mathml_factored(net, "w1_11", {"O1_1": "0.5"}))
    assert [line.count("∂L/∂O2") for line in written[-3:]] == [4, 2, 0]
    assert written[-2].startswith(" + ∂L/∂O2_5 · ")
    whole = "".join(written[-3:-1]).removesuffix(" = 0.5")
    assert whole == formula(net, "w1_11").factored.splitlines()[-2]


def test_everything_is_escaped() -> None:
    odd = str(derivative(("<script>", "a&b")))
    assert "<script>" not in odd
    assert text(parsed(odd)) == "∂<script>/∂a&b"
    assert "<b>" not in mathml_factored(NET, "w1_11", {"w1_11": "<b>"})
    with pytest.raises(NetworkError, match="no variable"):
        mathml_expanded(NET, "<b>")
