"""The chain rule of one weight, expanded over the paths and factored: text, LaTeX and MathML.

Expanded, it is a sum over all paths from the weight to the loss, each a product of local
derivatives. Factored, each adjoint has a name and is computed once: that is memoization.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, product
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

from markupsafe import Markup

from pipeline.apps.mlp.networks import Network

TERMS = 64
"""The most paths that the expanded form writes out; it gives the number of more."""

MOST, FEW = 8, 2
"""Of more than `MOST` products of an adjoint, or adjoints of a layer, MathML writes `FEW`."""

LINE = 4
"""The most products in a line: browsers do not break formulas."""

Partial = tuple[str, str]
"""∂c/∂v, as (c, v)."""

_NONE: Mapping[Any, str] = MappingProxyType({})


class Equation(NamedTuple):
    """A derivative as a sum of products of derivatives.

    products: all of them, or only the first if `terms` is larger
    terms: the number of products, exact
    """

    left: Partial
    products: Sequence[Sequence[Partial]]
    terms: int


@dataclass(frozen=True, repr=False)
class Formula:
    """∂L/∂w of one weight.

    terms: paths, exact
    expanded, expanded_latex: the sum of products over the paths
    factored, factored_latex: one equation for each adjoint, inputs before consumers
    """

    weight: str
    terms: int
    expanded: str
    expanded_latex: str
    factored: str
    factored_latex: str

    def __str__(self) -> str:
        return f"{self.expanded}\n\n{self.factored}"

    __repr__ = __str__


def formula(net: Network, weight: str) -> Formula:
    """The chain rule for ∂L/∂v of a weight, or of any other variable of a network.

    Raises `NetworkError` for a name that the network does not have.

    >>> from pipeline.apps.mlp.networks import network
    >>> print(formula(network((1, 1, 1, 1)), "w1_11"))
    ∂L/∂w1_11 = ∂L/∂ŷ · ∂ŷ/∂O2_1 · ∂O2_1/∂O1_1 · ∂O1_1/∂w1_11
    <BLANKLINE>
    ∂L/∂O2_1 = ∂L/∂ŷ · ∂ŷ/∂O2_1
    ∂L/∂O1_1 = ∂L/∂O2_1 · ∂O2_1/∂O1_1
    ∂L/∂w1_11 = ∂L/∂O1_1 · ∂O1_1/∂w1_11
    """
    equations = [expansion(net, weight), *factoring(net, weight)]
    expanded, *factored = (_sum(equation, _text, " · ") for equation in equations)
    latex, *factored_latex = (_sum(equation, _latex, r" \, ") for equation in equations)
    lines = "\n".join(factored), "\n".join(factored_latex)
    return Formula(weight, equations[0].terms, expanded, latex, *lines)


def expansion(net: Network, weight: str) -> Equation:
    """∂L/∂v as the sum over all paths; of more than `TERMS`, its first product alone.

    Raises `NetworkError` for a name that the network does not have.
    """
    terms = path_count(net, weight)
    first = islice(paths(net, weight), terms if terms <= TERMS else 1)
    products = [list(zip(path[1:], path, strict=False))[::-1] for path in first]
    return Equation(("L", weight), products, terms)


def factoring(net: Network, weight: str) -> list[Equation]:
    """∂L/∂v by the adjoints of its consumers, and so on: one equation for each adjoint.

    Raises `NetworkError` for a name that the network does not have.
    """
    equations = [
        Equation(("L", name), [[("L", consumer), (consumer, name)] for consumer in consumers],
                 len(consumers))
        for name in reachable(net, weight) if (consumers := net.consumers(name)) not in ([], ["L"])
    ]  # fmt: skip
    return equations or [Equation(("L", weight), [[("L", weight)]], 1)]


def path_count(net: Network, name: str) -> int:
    """The number of paths from a variable to the loss, exact: counted, not walked."""
    return prod(map(len, _levels(net, name)))


def paths(net: Network, name: str) -> Iterator[tuple[str, ...]]:
    """Every path from a variable to the loss, as the names on it, in the order of the nodes."""
    return product(*_levels(net, name))


def reachable(net: Network, name: str) -> list[str]:
    """The variables on the paths from one to the loss, from the loss to the variable itself.

    Raises `NetworkError` for a name that the network does not have.
    """
    return [variable for level in _levels(net, name)[::-1] for variable in level[::-1]]


def _levels(net: Network, name: str) -> list[list[str]]:
    """A variable, its consumers, their consumers, …: all of a layer have the same ones."""
    levels = [[name]]
    while consumers := net.consumers(levels[-1][0]):
        levels.append(consumers)
    return levels


def symbol(name: str) -> tuple[str, str, str]:
    """A name as it is printed: its letter, the layer above it, and the nodes below.

    >>> symbol("w1_12"), symbol("x2"), symbol("ŷ")
    (('w', '1', '12'), ('x', '', '2'), ('ŷ', '', ''))
    """
    match = re.fullmatch(r"([wbzO])(\d+)_([\d,]+)|([xŷ])(\d*)", name)
    if match is None:
        return name, "", ""
    return (match[1], match[2], match[3]) if match[1] else (match[4], "", match[5])


def _sum(equation: Equation, show: Callable[[Partial], str], times: str) -> str:
    products = [times.join(map(show, factors)) or "1" for factors in equation.products]
    if len(products) < equation.terms:
        products.append(_rest(equation.terms, "products", "path"))
    return f"{show(equation.left)} = {' + '.join(products)}"


def _rest(number: int, what: str, whole: str) -> str:
    return f"… ({number:,} {what}, one for each {whole})"


def _text(pair: Partial) -> str:
    return f"∂{pair[0]}/∂{pair[1]}"


def _latex(pair: Partial) -> str:
    above, below = map(_latex_name, pair)
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def _latex_name(name: str) -> str:
    letter, layer, nodes = symbol(name)
    base = r"\hat{y}" if letter == "ŷ" else letter
    return base + (f"^{{({layer})}}" if layer else "") + (f"_{{{nodes}}}" if nodes else "")


def edges(net: Network, weight: str) -> list[Partial]:
    """The local derivatives ∂c/∂v on the paths of a weight, as (c, v), from the loss on.

    >>> from pipeline.apps.mlp.networks import network
    >>> edges(network((1, 1, 1)), "w1_11")
    [('L', 'ŷ'), ('ŷ', 'O1_1'), ('O1_1', 'w1_11')]
    """
    names = reachable(net, weight)
    return [(consumer, name) for name in names for consumer in net.consumers(name)]


def mathml_expanded(
    net: Network, weight: str, hues: Sequence[str] = (), marks: Mapping[Partial, str] = _NONE
) -> Markup:
    """∂L/∂w as the sum over all paths, one path in a line.

    hues: colours that mark the lines, in the order of the paths
    marks: classes of local derivatives

    Factors of an earlier line have the class `again`. Raises `NetworkError` for a name that the
    network does not have.
    """
    left, products, terms = expansion(net, weight)
    rows: list[list[Markup]] = []
    written: set[Partial] = set()
    for number, factors in enumerate(products):
        row = [_EMPTY, _element("mo", "+")] if number else [derivative(left), _EQUALS]
        row.append(_product(factors, marks, written))
        if number < len(hues) and terms > 1:
            row.append(_element("mtext", "━━", kind="path", style=f"color:{hues[number]}"))
        rows.append(row)
        written.update(factors)
    if terms > len(rows):
        rows.append([_EMPTY, _element("mo", "+"), _mathml_rest(terms, "products", "path")])
    return _table(rows)


def mathml_factored(
    net: Network,
    weight: str,
    values: Mapping[str, str] = _NONE,
    marks: Mapping[Partial, str] = _NONE,
) -> Markup:
    """∂L/∂w by adjoints, one equation for each.

    values: of the adjoints ∂L/∂v, as text, by the name of v
    marks: classes of local derivatives

    Raises `NetworkError` for a name that the network does not have.
    """
    rows: list[list[Markup]] = []
    kinds = groupby(factoring(net, weight), lambda equation: net[equation.left[1]][:2])
    for (_, layer), group in kinds:
        equations = list(group)
        shown = equations if len(equations) <= MOST else equations[:FEW]
        for equation in shown:
            rows += _equation(equation, values.get(equation.left[1]), marks)
        if len(shown) < len(equations):
            rest = _mathml_rest(len(equations), f"adjoints of layer {layer}", "node")
            rows.append([_EMPTY, _EMPTY, rest])
    return _table(rows)


def derivative(pair: Partial, kind: str = "") -> Markup:
    """∂c/∂v of (c, v) as MathML, of a class.

    >>> derivative(("L", "x1"))  # doctest: +ELLIPSIS
    Markup('<mfrac><mrow>...<mi>L</mi></mrow>...<msub><mi>x</mi><mn>1</mn></msub>...</mfrac>')
    """
    above, below = (_element("mrow", _PARTIAL, _name(name)) for name in pair)
    return _element("mfrac", above, below, kind=kind)


def _equation(
    equation: Equation, value: str | None, marks: Mapping[Partial, str]
) -> list[list[Markup]]:
    """The cells of each line: left side, sign, sum; in the last one the value if it is known."""
    products = [_product(product, marks) for product in equation.products]
    if len(products) > MOST:
        products = [*products[:FEW], _mathml_rest(equation.terms, "products", "consumer")]
    rows = [
        [_EMPTY, _element("mo", "+"), _joined(products[start : start + LINE], "+")]
        for start in range(0, len(products), LINE)
    ]
    rows[0][:2] = [derivative(equation.left), _EQUALS]
    if value is not None:
        rows[-1].append(_element("mrow", _EQUALS, _element("mn", value)))
    return rows


def _product(
    pairs: Sequence[Partial], marks: Mapping[Partial, str], written: Collection[Partial] = ()
) -> Markup:
    """Factors with dots between them. ∂L/∂L has none: it is 1."""
    shown = [(pair, derivative(pair, marks.get(pair, ""))) for pair in pairs]
    factors = [
        _element("mrow", factor, kind="again") if pair in written else factor
        for pair, factor in shown
    ]
    return _joined(factors, "⋅") if factors else _element("mn", "1")


def _mathml_rest(number: int, what: str, whole: str) -> Markup:
    return _element("mtext", _rest(number, what, whole), kind="rest")


def _joined(parts: Sequence[Markup], operator: str) -> Markup:
    return _element("mrow", _element("mo", operator).join(parts))


def _table(rows: Iterable[Iterable[Markup]]) -> Markup:
    # Browsers differ in how they align columns: some read the attribute, some only CSS.
    lines = [_element("mtr", *(_element("mtd", cell) for cell in row)) for row in rows]
    table = _element("mtable", *lines, displaystyle="true", columnalign="right center left left")
    return _element("math", table, display="block")


def _name(name: str) -> Markup:
    letter, layer, nodes = symbol(name)
    base = _HAT if letter == "ŷ" else _element("mi", letter)
    below = _element("mn", nodes)
    if layer:
        return _element("msubsup", base, below, _element("mtext", f"({layer})"))
    return _element("msub", base, below) if nodes else base


def _element(name: str, *children: str, kind: str = "", **attributes: str) -> Markup:
    """An element of the class `kind`. Text is escaped, unless it is `Markup`."""
    attributes = {"class": kind, **attributes} if kind else attributes
    written = Markup().join(Markup(' {}="{}"').format(*pair) for pair in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup().join(children))


_PARTIAL = _element("mi", "∂", mathvariant="normal")
_HAT = _element("mover", _element("mi", "y"), _element("mo", "^", stretchy="false"), accent="true")
_EQUALS = _element("mo", "=")
_EMPTY = Markup()
