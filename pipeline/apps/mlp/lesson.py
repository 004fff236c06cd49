"""A lesson on backpropagation: the values, the two memo tables, the chain rule of each weight."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from pipeline.apps.mlp.derivatives import many, of_all, of_one, table, value
from pipeline.apps.mlp.facts import facts
from pipeline.apps.mlp.network import checked
from pipeline.apps.mlp.pictures import style
from pipeline.apps.mlp.quiz import questions
from pipeline.identity import format_number
from pipeline.page import Choice, Prose, Quiz, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.apps.mlp.facts import Facts
    from pipeline.apps.mlp.network import Network
    from pipeline.page import Part

OFFERED = 24
"""Weights and biases that are all offered; of more, the first of each layer."""

ALL = "all weights"


def lesson(net: Network, weights: Iterable[str] | None = None, quiz: bool = False) -> list[Section]:
    """The sections of a page, after a run of both passes on the scheduler that Dask is set to.

    weights: those that are offered first; of a network with over 24 weights and biases, they and
        the first of each layer are offered, of a smaller one all
    quiz: whether there are questions; numbers are then left out where a page could not hide them

    Raises `NetworkError` for a name that is no weight or bias of the network.

    >>> from pipeline.apps.mlp.network import network
    >>> [section.title for section in lesson(network((1, 1)))]
    ['The forward pass', 'The chain rule, weight by weight', 'Two memo tables']
    """
    offered = _offered(net, checked(net, weights or ()))
    known = facts(net)
    sections = [_forward(known), _chain(known, offered, quiz), _memory(known)]
    if quiz:
        asked = [Quiz(questions(net, offered[0]))]
        sections.append(Section("backpropagation-quiz", "Questions on backpropagation", asked))
    return sections


def _offered(net: Network, first: list[str]) -> list[str]:
    names = net.parameters
    if len(names) > OFFERED:
        names = list({net[name].layer: name for name in reversed(names)}.values())[::-1]
    return list(dict.fromkeys([*first, *names]))


def _forward(known: Facts) -> Section:
    net = known.net
    lead = (
        "A network is a recurrence, from the inputs up: a node's output is φ of its weighted sum, "
        "and that takes the outputs of the layer before."
    )
    targets = ", ".join(f"{each:g}" for each in net.y)
    text = (
        f"{net} has {many(net.sizes[0], 'input')} x, {_layers(net)}. φ is {net.activation}, the "
        f"outputs ŷ are linear, and the loss L is {net.loss}: for this example, whose target y is "
        f"{targets}, {value(known.values['L'])}. w1_12 is the weight of layer 1 from input 1 to "
        "node 2, b1_2 that node's bias, z1_2 its weighted sum, O1_2 its output."
    )
    taken = (
        "Each value is computed once, kept, and then asked for: by the next layer, and again by "
        "the local derivatives on the way back. Without the table, each asking would start anew "
        "from the inputs."
    )
    rows = [
        [name, value(known.values[_sum_of(net, name)]), *_kept(known.values, known, "value", name)]
        for layer in range(1, len(net.sizes)) for name in net.nodes(layer)
    ]  # fmt: skip
    head = ("node", "z", "output", "asked for", "evaluated without memory")
    tables = [
        table("What is given", ("", "inputs", "weights", "biases"), _given(known), left=4),
        table("The first memo table: values", head, rows, secret=(1, 2, 3, 4)),
    ]
    return Section("forward", "The forward pass", [Prose([text, taken]), *tables], lead)


def _sum_of(net: Network, output: str) -> str:
    """The name of a node's weighted sum."""
    return net.name(net[output]._replace(kind="z"))


def _layers(net: Network) -> str:
    *hidden, last = net.sizes[1:]
    outputs = f"{many(last, 'output')} ŷ"
    if not hidden:
        return f"and {outputs}, with no hidden layer"
    sizes = ", ".join(many(each, "node") for each in hidden)
    return f"{many(len(hidden), 'hidden layer')} ({sizes}), and {outputs}"


def _given(known: Facts) -> list[list[str]]:
    """Inputs, weights and biases, layer by layer."""
    net = known.net
    rows = []
    for layer in range(1, len(net.sizes)):
        mine = [name for name in net.parameters if net[name].layer == layer]
        kinds = [[name for name in mine if net[name].kind == kind] for kind in "wb"]
        rows.append([f"layer {layer}", *(_listed(each, known) for each in kinds)])
        before = net.nodes(layer - 1)
        rows[-1].insert(1, _listed(before, known) if layer == 1 else _shortened(before))
    return rows


def _listed(names: Sequence[str], known: Facts) -> str:
    # With spaces at which no line breaks.
    return _shortened([f"{name}\xa0=\xa0{value(known.values[name])}" for name in names])


def _shortened(texts: Sequence[str]) -> str:
    shown = texts if len(texts) <= 8 else [*texts[:6], f"… ({len(texts):,})"]
    return ", ".join(shown)


def _kept(numbers: Mapping[str, float], known: Facts, kind: str, name: str) -> list[str]:
    """What a memo table holds of a variable, and how often it is asked for with and without."""
    found = known.asked.get((kind, name), 0), known.anew.get((kind, name), 0)
    return [value(numbers[name]), *map(format_number, found)]


def _memory(known: Facts) -> Section:
    net = known.net
    lead = (
        "Backpropagation is the chain rule and memoization, and it memoizes twice: values on the "
        "way up, adjoints on the way down. Either table can be switched off."
    )
    text = (
        "The adjoint of a variable v is ∂L/∂v = Σ ∂L/∂c · ∂c/∂v, over the consumers c of v: a "
        "recurrence, as Fibonacci's is, from the loss down. It asks for adjoints and, for the "
        "local derivatives ∂c/∂v, for values."
    )
    nodes = [name for name in known.adjoints if net[name].kind == "O"][::-1]
    rows = [[f"∂L/∂{name}", *_kept(known.adjoints, known, "adjoint", name)] for name in nodes]
    head = ("adjoint", "value", "asked for", "evaluated without memory")
    parts: list[Part] = [
        Prose([text]),
        table("The second memo table: adjoints", head, rows, secret=(1, 2, 3)),
        _switches(known),
    ]
    return Section("memory", "Two memo tables", parts, lead)


def _switches(known: Facts) -> Table:
    """Evaluations with both memo tables, with one, and with none."""
    word = {True: "kept", False: "anew"}
    least = known.switched[0].tasks
    rows = []
    for each in known.switched:
        switches = word[each.keeps_values], word[each.keeps_adjoints], each.memoize
        counted = map(format_number, (each.values, each.adjoints, each.tasks))
        rows.append([*switches, *counted, format_number(Fraction(each.tasks, least))])
    head = (
        "values", "adjoints", "memoize=", "values evaluated", "adjoints evaluated", "tasks",
        "times the work",
    )  # fmt: skip
    number = len(known.net.parameters)
    note = f"For all {number:,} weights and biases, exact: gradient(net, memoize=…)."
    return Table("Both tables, switched on and off", head, rows, 3, (3, 4, 5, 6), note)


def _chain(known: Facts, offered: list[str], quiz: bool) -> Section:
    net = known.net
    lead = (
        "An adjoint is ∂L/∂v of a variable v; a local derivative, ∂c/∂v, is that of a consumer c, "
        "which takes v. Expanded, ∂L/∂w is a sum of one product of local derivatives for each path "
        "from the weight to the loss. Factored, each adjoint on the way is computed once."
    )
    text = (
        "In the tree on the left, an adjoint is evaluated again for each consumer (dashed); in the "
        "DAG on the right, it is taken from memory. An edge is one product with a local "
        "derivative. For one weight little is shared; for all weights, the last of the list, it is "
        "most of the work. In the formulas, a name's layer stands above it, in parentheses; what "
        "an earlier line has, too, is pale."
    )
    number = len(net.parameters)
    told = f"Of the {number:,} weights and biases, {len(offered)} can be chosen here."
    look = style(net, numbers=True)
    options: dict[str, Sequence[Part]] = {
        **{name: of_one(known, name, look, quiz) for name in offered},
        ALL: of_all(known, look),
    }
    words = Prose([text, told] if len(offered) < number else [text])
    parts: list[Part] = [words, Choice("The derivative by", options)]
    return Section("chain", "The chain rule, weight by weight", parts, lead)
