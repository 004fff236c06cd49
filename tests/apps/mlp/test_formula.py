"""The chain rule in words: what is printed gives the gradient when it is evaluated."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.mlp import NetworkError, formula, gradient, network
from pipeline.apps.mlp.chain import local_values
from pipeline.apps.mlp.formula import TERMS, path_count, paths

if TYPE_CHECKING:
    from pipeline.apps.mlp.network import Network


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
