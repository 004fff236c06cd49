"""A lesson on backpropagation: the values, the chain rule of each weight, the two memo tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

from pipeline import count, occurrences, page, trace
from pipeline.apps.mlp.chain import adjoint_of, backward, local_of, value_of, values
from pipeline.apps.mlp.counts import Work, backpropagation, call_tree, expanded
from pipeline.apps.mlp.formulas import (
    Partial,
    edges,
    mathml_expanded,
    mathml_factored,
    path_count,
    reachable,
)
from pipeline.apps.mlp.networks import Network, NetworkError, Variable, checked
from pipeline.apps.mlp.pictures import HUES, diagram, last_first, name_of, style

OFFERED = 24
"""A network with more weights and biases offers only the first of each layer."""

ALL = "all weights"

EDGES = 200
"""A weight with more edges on its paths has a step for the first ones, from the loss on."""

ROWS = 30
"""A longer table shows its first rows."""


class Memo(NamedTuple):
    """An entry of a memo table.

    reads: by consumers, where values and adjoints are kept
    anew: how often it is evaluated where neither is kept, exact
    """

    value: float
    reads: int
    anew: int


class Switched(NamedTuple):
    """The gradient of all weights and biases, with each memo table switched on or off.

    memoize: the argument of `gradient`, as Python code
    values, adjoints: evaluations, exact
    """

    keeps_values: bool
    keeps_adjoints: bool
    memoize: str
    values: int
    adjoints: int

    @property
    def tasks(self) -> int:
        """All evaluations."""
        return self.values + self.adjoints


@dataclass(frozen=True)
class Facts:
    """A forward and a backward pass, and the work of both for all weights and biases.

    local: the local derivative ∂c/∂v of a consumer c of v
    values: the first memo table; adjoints: the second one, of weights, biases and nodes
    switched: both tables on, the first alone, the second alone, none
    """

    net: Network
    local: Callable[[str, str], Any]
    values: dict[str, Memo]
    adjoints: dict[str, Memo]
    switched: list[Switched]


def facts(net: Network) -> Facts:
    """The facts of a network, after a run on the scheduler that Dask is set to.

    It counts trees without building them: the time is linear in the weights.

    >>> from pipeline.apps.mlp.networks import network
    >>> facts(network((2, 2, 2, 1))).adjoints["O2_1"][1:]
    (5, 9)
    """
    value = value_of(net)
    adjoint = adjoint_of(net, local_of(net, value))
    graph = trace(lambda: {name: adjoint(name) for name in net.parameters})
    inputs = Counter(source for key in graph.tasks for source in graph.inputs(key))
    evaluations = occurrences(graph)
    forward = values(net)
    local = local_of(net, forward.__getitem__)
    names = [name for name, variable in net.variables.items() if variable.kind in "wbO"]
    slopes = backward(net, names, local=local).compute()

    def memos(function: Any, results: Mapping[str, Any]) -> dict[str, Memo]:
        return {
            name: Memo(float(result), inputs[key := function(name).key], evaluations.get(key, 0))
            for name, result in results.items()
        }

    keys = {adjoint(name).key for name in names} & graph.tasks.keys()
    kept, kept_values = len(keys), len(graph) - len(keys)
    anew = sum(evaluations[key] for key in keys)  # no value needs an adjoint
    values_anew = count(graph, shared=keys).tree - kept
    switched = [
        Switched(True, True, "True", kept_values, kept),
        Switched(True, False, "forward", kept_values, anew),
        Switched(False, True, "lambda call: not forward(call)", values_anew, kept),
        Switched(False, False, "False", count(graph).tree - anew, anew),
    ]
    return Facts(net, local, memos(value, forward), memos(adjoint, slopes), switched)


class Needing(NamedTuple):
    """The weights and biases whose derivatives need an adjoint.

    layers: the number of layers, from the first, whose weights all need it
    own: the weights and biases of the next layer that need it
    number: the number of both together
    """

    layers: int
    own: list[str]
    number: int

    def __str__(self) -> str:
        layers = {0: [], 1: ["layer 1"]}.get(self.layers, [f"layers 1 to {self.layers}"])
        own = self.own if len(self.own) <= 4 else [self.own[0], "…", self.own[-1]]
        return "; ".join([*layers, ", ".join(own)])


def needing(net: Network, name: str) -> Needing:
    """The weights and biases that need ∂L/∂v: those into a node, and all of earlier layers.

    >>> from pipeline.apps.mlp.networks import network
    >>> print(needing(network((2, 2, 2, 1)), "O2_1"))
    layer 1; w2_11, w2_21, b2_1
    """
    kind, layer, node, _ = net[name]
    if kind != "O":
        return Needing(0, [name], 1)
    own = [*net.incoming(layer, node), net.name(Variable("b", layer, node))]
    below = sum(net.sizes[n] * (net.sizes[n - 1] + 1) for n in range(1, layer))
    return Needing(layer - 1, own, below + len(own))


def lesson(net: Network, weights: Iterable[str] | None = None) -> list[page.Section]:
    """The sections of a page, after a run of both passes on the scheduler that Dask is set to.

    weights: the first ones to offer; without them, all weights together are the first. A network
        with over 24 weights and biases offers them and the first of each layer; a smaller one
        offers all

    Raises `NetworkError` for a name that is not a weight or bias of the network.

    >>> from pipeline.apps.mlp.networks import network
    >>> [section.title for section in lesson(network((1, 1)))]
    ['The forward pass', 'The chain rule', 'Two memo tables']
    """
    offered = checked(net, weights or ())
    names = net.parameters
    if len(names) > OFFERED:
        names = list({net[name].layer: name for name in reversed(names)}.values())[::-1]
    known = facts(net)
    return [
        _forward(known),
        _chain(known, list(dict.fromkeys([*offered, *names])), bool(offered)),
        _memory(known),
    ]


def _forward(known: Facts) -> page.Section:
    net = known.net
    lead = (
        "A network is a recurrence, from the inputs up: a node's output is φ of its weighted sum, "
        "which takes the outputs of the layer before."
    )
    loss = page.format_value(known.values["L"].value)
    hidden = [_many(size, "node") for size in net.sizes[1:-1]]
    layers = f"{_many(len(hidden), 'hidden layer')} ({', '.join(hidden)}), " if hidden else ""
    outputs = f"and {_many(net.sizes[-1], 'output')} ŷ{', with no hidden layer' * (not hidden)}"
    mse = "the mean squared error"
    targets = " and ".join(f"{target:g}" for target in net.y)
    is_one = len(net.y) == 1
    text = (
        f"{net} has {_many(net.sizes[0], 'input')} x, {layers}{outputs}. φ is {net.activation}, "
        f"the outputs ŷ are linear, and the loss is {mse if net.loss == 'mse' else net.loss}. "
        f"In this example the target{'s' * (not is_one)} y {'is' if is_one else 'are'} {targets}. "
        f"Its loss is L = {loss}. w1_12 is the weight of layer 1 from input 1 to node 2, "
        "b1_2 that node's bias, z1_2 its weighted sum, O1_2 its output."
    )
    reuse = (
        "Each value is computed once and kept. The next layer reads it, and the local derivatives "
        "read it again on the way back. Without the table, each reader would start again from the "
        "inputs."
    )
    rows = [
        [*_outputs(known, name), *known.values[name][1:]]
        for layer in range(1, len(net.sizes))
        for name in net.nodes(layer)
    ]
    head = ("node", "z", "output", "reads", "evaluations without memory")
    tables = [
        _cut(page.Table("What is given", ("", "inputs", "weights", "biases"), _given(known), 4)),
        _cut(page.Table("The first memo table: values", head, rows, note=_counted(net))),
    ]
    return page.Section("forward", "The forward pass", [page.Prose([text, reuse]), *tables], lead)


def _counted(net: Network) -> str:
    """What the columns of a memo table count."""
    return (
        f"Counted for the gradient of all {len(net.parameters):,} weights and biases. Reads: by "
        "the tasks that need it, if both tables are kept. Evaluations without memory: if neither "
        "is kept."
    )


def _given(known: Facts) -> list[list[str]]:
    """Inputs, weights and biases, layer by layer."""
    net = known.net

    def listed(names: Sequence[str]) -> str:
        # With spaces at which no line breaks; the inputs of later layers are computed.
        shown = [
            f"{name}\xa0=\xa0{page.format_value(known.values[name].value)}"
            if net[name].kind in "xwb" else name
            for name in (names if len(names) <= 8 else names[:6])
        ]  # fmt: skip
        return ", ".join(shown if len(names) <= 8 else [*shown, f"… ({len(names):,})"])

    parameters: dict[tuple[str, int], list[str]] = {}
    for name in net.parameters:
        parameters.setdefault(net[name][:2], []).append(name)
    return [
        [f"layer {layer}", listed(net.nodes(layer - 1)), listed(parameters["w", layer]),
         listed(parameters["b", layer])]
        for layer in range(1, len(net.sizes))
    ]  # fmt: skip


def _chain(known: Facts, offered: Sequence[str], is_chosen: bool) -> page.Section:
    lead = (
        "An adjoint is ∂L/∂v, the derivative of the loss by a variable v. A local derivative is "
        "∂c/∂v, of a consumer c, which is computed from v."
    )
    forms = (
        "Expanded, ∂L/∂w is a sum of one product of local derivatives for each path from the "
        "weight to the loss. Factored, products that meet are added before they are multiplied "
        "on, as in both pictures."
    )
    text = (
        "∂L/∂v needs the adjoints of v's consumers, which are nearer to the loss. So the pass goes "
        "backward, and finds what earlier layers share in memory. The tree evaluates "
        "an adjoint again for each consumer (dashed); the DAG reads it from memory. "
        "An edge is one product with a local derivative. All weights share most of the work, one "
        "weight of the list little or nothing. In the formulas, a name's layer stands "
        "above it, in parentheses; factors of an earlier line are pale."
    )
    number = len(known.net.parameters)
    offer = f"Of the {number:,} weights and biases, {len(offered)} can be chosen here."
    each = {name: _of_one(known, name) for name in offered}
    every = {ALL: _of_all(known)}
    options = {**each, **every} if is_chosen else {**every, **each}
    words = page.Prose([forms, text, offer] if len(offered) < number else [forms, text])
    parts = [page.Choice("The derivative by", options), words]
    return page.Section("chain", "The chain rule", parts, lead)


def _of_one(known: Facts, weight: str) -> list[page.Part]:
    """The scene, and a step for each edge: the network, the formulas, and both memo tables."""
    net, layer = known.net, known.net[weight].layer
    graph = backward(net, weight, local=known.local)
    look = style(net, known.local)
    evaluations = {name_of(key): number for key, number in occurrences(graph).items()}
    products = _many(path_count(net, weight), "product")
    adjoints = {name: page.format_value(memo.value) for name, memo in known.adjoints.items()}
    every = edges(net, weight)
    taken = every[:EDGES]
    first = f", the first {len(taken)} of {len(every):,}" if len(taken) < len(every) else ""
    marks = {pair: f"step-{number}" for number, pair in enumerate(taken)}
    formulas = page.Equations([
        (f"Expanded: {products}, {_work(expanded(net.sizes, layer))}",
         mathml_expanded(net, weight, HUES, marks)),
        (f"Factored: {_work(backpropagation(net.sizes, layer))}",
         mathml_factored(net, weight, adjoints, marks)),
    ])  # fmt: skip
    rows = _marks_by_row(marks)
    tables = [_read(known, weight, rows), _reused(known, weight, evaluations, rows)]
    steps = page.Steps(
        f"An edge at a time{first}",
        [_step(known, pair) for pair in taken],
        [_network(net, weight, marks), formulas, *tables],
    )
    return [page.scene(graph, f"∂L/∂{weight}, tree and DAG", style=look), steps]


def _marks_by_row(marks: Mapping[Partial, str]) -> dict[str, str]:
    """The classes of the edges that read a row of the memo tables, by its variable.

    ∂c/∂v reads the values of c, and ∂L/∂c is its factor. The loss is in no table: ∂L/∂ŷ reads ŷ.
    """
    rows: dict[str, str] = {}
    for (consumer, name), mark in marks.items():
        row = name if consumer == "L" else consumer
        rows[row] = f"{rows.get(row, '')} {mark}".strip()
    return rows


def _step(known: Facts, pair: Partial) -> page.Step:
    """An edge in words: the product of what both tables hold."""
    consumer, name = pair
    slope = page.format_value(float(known.local(consumer, name)))
    if consumer == "L":
        text = f"∂L/∂{name} = {slope}: the backward pass starts here."
    else:
        adjoint = page.format_value(known.adjoints[consumer].value)
        text = (
            f"∂L/∂{consumer} · ∂{consumer}/∂{name} = {adjoint} · {slope}, added to ∂L/∂{name}. "
            f"The first table has {consumer}, the second ∂L/∂{consumer}."
        )
    return page.Step(text, f"∂L/∂{name}")


def _of_all(known: Facts) -> list[page.Part]:
    """The scene of all weights and biases, the last layer first, and the work of three ways."""
    net = known.net
    order = last_first(net)
    text = (
        "All weights at once, from the loss back. One colour is one layer: the one "
        "that needs an adjoint first, if the last layer comes first. An adjoint in the colour of a "
        "later layer is then in memory before an earlier layer needs it. Dask runs the DAG in an "
        "order of its own: it finishes what it has begun, so that memory is free again early. "
        "Each adjoint is evaluated once in any order."
    )
    look = style(net, known.local, len(order))
    graph = backward(net, order, local=known.local)
    scene = page.scene(graph, "∂L/∂w of all weights, tree and DAG", style=look)
    ways = {"path sum": expanded, "recursion": call_tree, "backpropagation": backpropagation}
    work = page.Table(
        f"The work for all {len(order):,} weights and biases",
        ("", "multiplications", "additions", "both"),
        [[name, *(work := way(net.sizes)), work.total] for name, way in ways.items()],
        note="Path sum: expanded, one product for each path. Recursion, the tree: factored, an "
        "adjoint evaluated for each consumer. Backpropagation, the DAG: each adjoint once. The "
        "counters above both pictures end at these sums. The local derivatives are known.",
    )
    return [scene, page.Prose([text]), work]


def _network(net: Network, weight: str, marks: Mapping[Partial, str]) -> page.Part:
    text = f"The network, and the paths from {weight} to the loss"
    try:
        picture = diagram(net, weight, numbers=True, marks=marks)
    except NetworkError as error:  # too large to draw
        return page.Prose([f"{error}."])
    return page.Figure(picture, text, f"{text}: one colour, one path. Numbers are values.")


def _read(known: Facts, weight: str, marks: Mapping[str, str]) -> page.Table:
    """The nodes on the paths of a weight, from the loss on."""
    net = known.net
    names = [name for name in reachable(net, weight) if net[name].kind == "O"]
    rows = [_outputs(known, name) for name in names]
    shown = [marks.get(name, "") for name in names]
    head = ("node", "z", "output")
    return _cut(page.Table("First memo table: values", head, rows, marks=shown))


def _outputs(known: Facts, name: str) -> list[Any]:
    """A node, its weighted sum, and its output."""
    net = known.net
    z = net.name(net[name]._replace(kind="z"))
    return [name, known.values[z].value, known.values[name].value]


def _reused(
    known: Facts, weight: str, evaluations: Mapping[str, int], marks: Mapping[str, str]
) -> page.Table:
    """The adjoints on the paths of a weight, and the weights that need them, too."""
    names = [name for name in reachable(known.net, weight) if name in evaluations]
    rows: list[list[Any]] = []
    for name in names:
        users = needing(known.net, name)
        rows.append([
            f"∂L/∂{name}",
            "no" if users.own[0] == weight else f"yes, for {users.own[0]}",
            str(users) if users.number > 1 else "",
            known.adjoints[name].value, evaluations[name], users.number,
        ])  # fmt: skip
    new = sum(row[1] == "no" for row in rows)
    note = (
        f"If the last layer comes first, {len(names) - new:,} of these {len(names):,} adjoints are "
        f"in memory when {weight} needs them, and {new:,} must be evaluated."
    )
    head = ("adjoint", "in memory before?", "needed by", "value", "evaluated in the tree",
            "weights that need it")  # fmt: skip
    title = "Second memo table: adjoints, and which of them are reused"
    return _cut(page.Table(title, head, rows, 3, note, [marks.get(name, "") for name in names]))


def _memory(known: Facts) -> page.Section:
    net = known.net
    lead = (
        "Backpropagation is the chain rule and memoization, and it memoizes twice: values on the "
        "way to the loss, adjoints on the way back. Either table can be switched off."
    )
    text = (
        "The adjoint of a variable v is ∂L/∂v = Σ ∂L/∂c · ∂c/∂v, over the consumers c of v: a "
        "recurrence, as Fibonacci's is, from the loss back. It needs adjoints and, for the local "
        "derivatives ∂c/∂v, values."
    )
    nodes = [name for name in reversed(known.adjoints) if net[name].kind == "O"]
    rows = [[f"∂L/∂{name}", *known.adjoints[name]] for name in nodes]
    head = ("adjoint", "value", "reads", "evaluations without memory")
    adjoints = page.Table("The second memo table: adjoints", head, rows, note=_counted(net))
    switches = page.Table(
        "Both tables, switched on and off",
        ("values", "adjoints", "values evaluated", "adjoints evaluated", "tasks",
         "÷ both kept"),
        [
            [_KEPT[run.keeps_values], _KEPT[run.keeps_adjoints], run.values, run.adjoints,
             run.tasks, Fraction(run.tasks, known.switched[0].tasks)]
            for run in known.switched
        ],
        2,
        f"For all {len(net.parameters):,} weights and biases, exact. In Python, the rows are "
        f"`gradient(net, memoize=…)` with {_listed([run.memoize for run in known.switched])}.",
    )  # fmt: skip
    parts = [page.Prose([text]), _cut(adjoints), switches]
    return page.Section("memory", "Two memo tables", parts, lead)


_KEPT = {True: "kept", False: "anew"}


def _listed(codes: Sequence[str]) -> str:
    *first, last = (f"`{code}`" for code in codes)
    return f"{', '.join(first)} and {last}"


def _cut(table: page.Table) -> page.Table:
    """The table, with its first rows alone and a note if it is long."""
    if len(table.rows) <= ROWS:
        return table
    note = f"{table.note} The first {ROWS} of {len(table.rows):,} rows.".strip()
    return replace(table, rows=table.rows[:ROWS], note=note, marks=table.marks[:ROWS])


def _work(work: Work) -> str:
    return f"{_many(work.multiplications, 'multiplication')} + {_many(work.additions, 'addition')}"


def _many(number: int, noun: str) -> str:
    return f"{page.format_number(number)} {noun}{'s' * (number != 1)}"
