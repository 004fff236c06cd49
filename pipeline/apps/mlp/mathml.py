"""The chain rule of one weight as MathML, which browsers set without a library.

Each product of the expanded sum stands in a line of its own, for browsers do not break lines in
mathematics; and so the lines are the paths.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipeline.apps.mlp.formula import Equation, expansion, factoring, symbol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.apps.mlp.formula import Partial
    from pipeline.apps.mlp.network import Network

MOST = 8
"""Products of an adjoint, and adjoints of a layer, that are written out; of more, two."""

_KEPT = 2


def expanded(net: Network, weight: str, hues: Sequence[str] = ()) -> Markup:
    """∂L/∂w as the sum over all paths, a path in each line; of over 64, the first alone.

    hues: colours that mark the lines, in the order of the paths

    Factors that an earlier line has, too, are of the class `again`. Raises `NetworkError` for a
    name that the network does not have.
    """
    whole = expansion(net, weight)
    rows: list[list[Markup]] = []
    written: set[Partial] = set()
    for number, product in enumerate(whole.products):
        row = [derivative(whole.left), _sign("=")] if not number else [_EMPTY, _sign("+")]
        row.append(_product(product, written))
        if number < len(hues) and whole.terms > 1:
            row.append(_element("mtext", "━━", kind="path", style=f"color:{hues[number]}"))
        rows.append(row)
        written.update(product)
    if whole.terms > len(rows):
        rest = f"… ({whole.terms:,} products, one for each path)"
        rows.append([_EMPTY, _sign("+"), _element("mtext", rest, kind="rest")])
    return _table(rows)


def factored(net: Network, weight: str, values: Mapping[str, str] | None = None) -> Markup:
    """∂L/∂w by adjoints, each of which is computed once: an equation for each of them.

    values: of the adjoints ∂L/∂v, as text, by the name of v

    Of a layer with over `MOST` adjoints two are written, and so of a sum of as many products.
    Raises `NetworkError` for a name that the network does not have.
    """
    equations = factoring(net, weight)
    layers = Counter(_layer(net, each) for each in equations)
    shown: Counter[tuple[str, int]] = Counter()
    rows = []
    for equation in equations:
        layer = _layer(net, equation)
        shown[layer] += 1
        if layers[layer] <= MOST or shown[layer] <= _KEPT:
            rows.append(_equation(equation, values))
        elif shown[layer] == layers[layer]:
            rest = f"… ({layers[layer]:,} adjoints of layer {layer[1]}, one for each node)"
            rows.append([_EMPTY, _EMPTY, _element("mtext", rest, kind="rest")])
    return _table(rows)


def derivative(pair: Partial) -> Markup:
    """∂c/∂v of (c, v).

    >>> derivative(("L", "x1"))  # doctest: +ELLIPSIS
    Markup('<mfrac><mrow>...<mi>L</mi></mrow>...<msub><mi>x</mi><mn>1</mn></msub>...</mfrac>')
    """
    above, below = (_element("mrow", _PARTIAL, _name(each)) for each in pair)
    return _element("mfrac", above, below)


def _layer(net: Network, equation: Equation) -> tuple[str, int]:
    kind, layer, *_ = net[equation.left[1]]
    return kind, layer


def _equation(equation: Equation, values: Mapping[str, str] | None) -> list[Markup]:
    """The cells of a line: left side, sign, sum, and value where it is known."""
    products = [_product(product) for product in equation.products]
    if len(products) > MOST:
        rest = f"… ({equation.terms:,} products, one for each consumer)"
        products = [*products[:_KEPT], _element("mtext", rest, kind="rest")]
    row = [derivative(equation.left), _sign("="), _joined(products, "+")]
    value = (values or {}).get(equation.left[1])
    if value is not None:
        row.append(_element("mrow", _sign("="), _element("mn", value)))
    return row


def _product(product: Sequence[Partial], written: Iterable[Partial] = ()) -> Markup:
    """Factors with dots between them. There is none in ∂L/∂L, which is 1."""
    before = set(written)
    factors = [
        _element("mrow", derivative(each), kind="again") if each in before else derivative(each)
        for each in product
    ]
    return _joined(factors, "⋅") if factors else _element("mn", "1")


def _joined(parts: Sequence[Markup], operator: str) -> Markup:
    def alternating() -> Iterator[Markup]:
        for number, part in enumerate(parts):
            if number:
                yield _sign(operator)
            yield part

    return _element("mrow", *alternating())


def _table(rows: Iterable[Iterable[Markup]]) -> Markup:
    # Browsers differ in how they align columns: some read the attribute, some only CSS.
    lines = [_element("mtr", *(_element("mtd", cell) for cell in row)) for row in rows]
    table = _element("mtable", *lines, displaystyle="true", columnalign="right center left left")
    return _element("math", table, display="block")


def _name(name: str) -> Markup:
    """w1_12 as w with the layer above it, in parentheses, and the nodes below."""
    letter, layer, nodes = symbol(name)
    base = _HAT if letter == "ŷ" else _element("mi", letter)
    below = _element("mn", nodes)
    if layer:
        return _element("msubsup", base, below, _element("mtext", f"({layer})"))
    return _element("msub", base, below) if nodes else base


def _sign(operator: str) -> Markup:
    return _element("mo", operator)


def _element(name: str, *children: str, kind: str = "", **attributes: str) -> Markup:
    """An element; what is no markup in it is escaped.

    kind: its class
    """
    given = {"class": kind, **attributes} if kind else attributes
    written = Markup().join(Markup(' {}="{}"').format(*each) for each in given.items())
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup().join(children))


_PARTIAL = _element("mi", "∂", mathvariant="normal")
_HAT = _element("mover", _element("mi", "y"), _element("mo", "^", stretchy="false"), accent="true")
_EMPTY = Markup()
