"""What memory a gradient takes for the time it takes: checkpointing, as parts of a page.

A `memoize` predicate keeps a value for the rest of the run, or not at all. Chen et al. (2016) and
Griewank and Walther (Revolve, 2000) also keep the values of one stretch for a while, and compute
each only once again: less time than here, for more memory.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from itertools import count, pairwise
from math import comb, isqrt
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from dask.typing import Key
from matplotlib.figure import Figure

from pipeline import BudgetError, Call, Recurrence, page, recurrence, task, trace
from pipeline.apps.growth import DAG, GREY, TREE, Line, line_plot
from pipeline.apps.mlp.layers import Layers, adjoint_of, initial, value_of

PERIODS = (2, 3, 4, 5, 6, 8)


def gradient_memory(hidden: int = 16, width: int = 16, examples: int = 256) -> list[page.Part]:
    """Bytes of the gradient of a deep network against recomputed tasks, and over the run.

    hidden: layers, of equal width. A run keeps the values of every k-th of them, and all adjoints.

    Raises `ValueError` for fewer than 4 hidden layers.
    """
    if hidden < 4:
        raise ValueError(f"hidden={hidden}: give 4 or more, so that a run can keep every second")
    root = isqrt(hidden)
    network = _Deep(hidden, width, examples)
    periods = sorted({*PERIODS, root} - {1})
    tradeoffs = {
        "all": page.tradeoff(network.outputs),
        **{f"k = {k}": page.tradeoff(network.outputs, network.every(k)) for k in periods},
        "none": page.tradeoff(network.outputs, network.every(hidden + 1)),
    }
    names = "Everything kept", f"Every {root}th layer kept (√n)", "Nothing kept"
    chosen = "all", f"k = {root}", "none"
    kept = {name: tradeoffs[key] for name, key in zip(names, chosen, strict=True)}
    everything, some, nothing = kept.values()
    strip = page.MemoryStrip(
        "Memory, filled as the run goes",
        ("forward", "backward"),
        hidden + 1,
        [network.run(name, tradeoff) for name, tradeoff in kept.items()],
        start=max(range(everything.tasks), key=everything.memory.curve().__getitem__),
        note="A column is a layer, the outputs last. A cell is filled while memory holds arrays of "
        f"its layer for {examples} examples: `forward` its weighted sums or outputs, `backward` "
        "their adjoints. With everything kept, forward values pile up until the backward pass "
        "frees them, last layer first. With nothing kept, each is computed again from the inputs "
        "when its adjoint needs it. Weights, data, and gradients of weights are not shown.",
    )
    note = (
        f"Forward values wait for the backward pass, so a run holds what it keeps. Keeping only "
        f"every {root}th layer (k = {root}) reduces the peak from {_kb(everything.peak)} to "
        f"{_kb(some.peak)}, for {some.recomputed:,} tasks computed again; keeping none, to "
        f"{_kb(nothing.peak)}, for {nothing.recomputed:,}. This takes the order of the "
        "recursion: Dask's own order runs the recomputations before it needs them, and gains "
        "nothing."
    )
    title = f"Gradient of {hidden} hidden layers: memory against recomputed tasks"
    return [
        strip,
        budget_plot(2 * hidden, width, 4 * examples),
        _against_recomputed(title, tradeoffs, note),
        _over_the_run(kept),
    ]


class Budget(NamedTuple):
    """A budget of memory for a gradient, and what it was measured to cost.

    peak: the most bytes of a run; again: hidden layers that it computed again
    seconds: of the quickest run
    """

    name: str
    peak: int
    again: int
    seconds: float


PERCENT = 50, 30, 20, 15


class DeepGradient:
    """The gradient of a deep network, run with budgets of memory, and by hand."""

    def __init__(self, hidden: int, width: int, examples: int) -> None:
        self.hidden, self.value_bytes = hidden, width * examples * 8
        self.layers = 0  # that ran

        @task
        def activation(z: Any) -> Any:
            self.layers += 1
            return np.tanh(z)

        @recurrence
        def weights(_layer: int) -> Any:
            return None

        @recurrence
        def output(layer: int) -> Any:
            return weights(0) if layer == 0 else activation(output(layer - 1) @ weights(layer))

        @recurrence
        def adjoint(layer: int) -> Any:
            back = output(hidden)
            if layer < hidden:
                back = adjoint(layer + 1) @ np.transpose(weights(layer + 1))
            return back * (1 - output(layer) * output(layer))

        rng = np.random.default_rng(0)
        places = range(hidden + 1)
        self.inputs = [weights(layer) for layer in places]
        self.arguments = [rng.normal(size=(examples if layer == 0 else width, width)) / width**0.5
                          for layer in places]  # fmt: skip
        self.graph = trace(
            lambda: [np.transpose(output(layer - 1)) @ adjoint(layer) for layer in places[1:]]
        )

    def by_hand(self) -> list[Any]:
        """The same in NumPy: every √n-th layer is kept, and those in between run again."""
        x, *weights = self.arguments
        places = [*range(0, self.hidden, isqrt(self.hidden)), self.hidden]

        def forward(output: Any, start: int, end: int) -> dict[int, Any]:
            outputs = {start: output}
            for layer in range(start, end):
                output = outputs[layer + 1] = np.tanh(output @ weights[layer])
                self.layers += 1
            return outputs

        kept = {0: x}
        for start, end in pairwise(places):
            kept[end] = forward(kept[start], start, end)[end]
        delta, gradients = kept.pop(self.hidden), list[Any]()
        for end, start in pairwise(reversed(places)):
            outputs = forward(kept.pop(start), start, end)
            for layer in reversed(range(start + 1, end + 1)):
                output = outputs.pop(layer)
                delta = delta * (1 - output * output)
                gradients.append(outputs[layer - 1].T @ delta)
                delta = delta @ weights[layer - 1].T
        return gradients[::-1]

    def cost(self, name: str, run: Callable[[], object], rounds: int = 5) -> Budget:
        """What a run costs."""
        peaks, seconds = [], []
        for _round in range(6):  # other threads may allocate, too
            self.layers = 0
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            run()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
            tracemalloc.stop()
        again = self.layers - self.hidden
        for _ in range(rounds):
            start = perf_counter()
            run()
            seconds.append(perf_counter() - start)
        return Budget(name, min(peaks), again, min(seconds))

    def budget(self, name: str, memory: Any) -> Budget:
        """What a budget costs. Raises `BudgetError` if it is too small."""
        program = self.graph.compile(self.inputs, memory=memory)
        program(*self.arguments)
        return self.cost(name, lambda: program(*self.arguments))

    def budgets(self) -> list[Budget]:
        """Everything kept, budgets in between, and the least that a plan keeps."""
        budgets = [self.budget("everything kept", "1TB")]
        try:
            for percent in (*PERCENT, 0.1):
                memory = budgets[0].peak * percent / 100
                budgets.append(self.budget(f"{percent} %", memory))
        except BudgetError as error:
            budgets.append(self.budget("as little as possible", error.least))
        return budgets


def budget_plot(hidden: int = 32, width: int = 16, examples: int = 1024) -> page.Plot:
    """Layers that budgets of memory compute again, measured, beside the fewest possible."""
    network = DeepGradient(hidden, width, examples)
    budgets = network.budgets()
    by_hand = network.cost("√n by hand", network.by_hand)
    full, value = budgets[0].peak, network.value_bytes
    curve = [
        (100 * (full - (hidden - held) * value) / full, 1 + binomial_steps(hidden, held) / hidden)
        for held in range(1, hidden + 1)
    ]
    figure = Figure(figsize=(4.9, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*curve, strict=True), color=GREY, lw=1.2, zorder=1)
    rows = []
    for budget in (*budgets, by_hand):
        at, runs = 100 * budget.peak / full, 1 + budget.again / hidden
        is_first, is_hand = budget is budgets[0], budget is by_hand
        # A point is a line of almost no length: a page takes no markers, which are named by ids.
        axes.plot((at - 0.1, at + 0.1), (runs, runs), color=TREE if is_hand else DAG, lw=7,
                  solid_capstyle="round", zorder=2)  # fmt: skip
        place = (0, 16) if is_first else (-6, -13) if budget in budgets[1:3] else (7, 4)
        axes.annotate(
            budget.name, (at, runs), place, textcoords="offset points",
            ha="left" if place == (7, 4) else "right",
        )  # fmt: skip
        held = min(hidden, max(1, round(hidden - (full - budget.peak) / value)))
        rows.append([
            budget.name, budget.peak / 1e6, f"{at:.0f} %", budget.again,
            binomial_steps(hidden, held), budget.seconds / budgets[0].seconds,
        ])  # fmt: skip
    axes.set(xlabel="bytes held at most, % of everything kept", ylabel="runs of each layer",
             yscale="log", xlim=(0, 105), ylim=(0.9, 24))  # fmt: skip
    axes.set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    head = ("budget", "MB at most", "of everything", "layers computed again", "fewest possible",
            "time ÷ everything kept")  # fmt: skip
    note = (
        f"Points are measured: the gradient of {hidden} hidden layers, compiled with a budget of "
        "bytes, `compile(inputs, memory=…)`. Values over the budget are dropped, and computed "
        f"again when they are needed. Half of the memory costs {budgets[1].again} more runs of a "
        f"layer. By hand, every {isqrt(hidden)}th layer is kept (√n), for {by_hand.again} more. "
        "The curve is the fewest runs that any choice of kept layers (checkpoints) needs: "
        "Griewank and Walther, Revolve, 2000."
    )
    table = page.Table("Space and time: budgets of memory", head, rows, 1, note)
    return page.Plot(figure, table, note)


def binomial_steps(layers: int, checkpoints: int) -> int:
    """Layers that a gradient computes again at the least, if it holds so many of their values.

    Griewank and Walther, Revolve (2000): with s checkpoints and at most r runs of each layer, a
    gradient reaches C(s + r, s) layers.

    >>> [binomial_steps(64, checkpoints) for checkpoints in (64, 32, 8, 1)]
    [0, 31, 74, 1953]
    """
    runs = next(r for r in count(1) if comb(checkpoints + r, checkpoints) >= layers)
    return runs * layers - comb(checkpoints + runs, runs - 1) - (layers - 1)


class _Deep:
    """A network of equal layers, its data, and the places of its values in rows of memory."""

    def __init__(self, hidden: int, width: int, examples: int) -> None:
        self.layers = Layers((*(width,) * (hidden + 1), 4), activation="tanh", loss="mse")
        rng = np.random.default_rng(0)
        inputs: dict[str, Any] = {
            **initial(self.layers, seed=0),
            "x": rng.normal(size=(examples, width)),
            "y": rng.normal(size=(examples, 4)),
            "share": 1 / examples,
        }
        self.value: Recurrence = value_of(self.layers, inputs)
        self.adjoint: Recurrence = adjoint_of(self.layers, self.value)
        names = [(f"{kind}{layer}", layer - 1) for kind in "zO" for layer in range(1, hidden + 1)]
        self.places: dict[Key, tuple[int, int]] = {
            function(name).key: (row, column)
            for row, function in enumerate((self.value, self.adjoint))
            for name, column in [*names, ("ŷ", hidden)]
        }

    def outputs(self) -> dict[str, Any]:
        """The loss and all gradients, the last layer first.

        A run in the order of the recursion then needs only the adjoints of the current layer and
        of the one before it. The first layer first, it would hold all adjoints on the way back.
        """
        names = reversed(self.layers.parameters)
        return {"L": self.value("L"), **{name: self.adjoint(name) for name in names}}

    def every(self, k: int) -> Callable[[Call], bool]:
        """Keep all values but those of hidden layers, of which keep each k-th."""

        def memoize(call: Call) -> bool:
            name = call.args[0]
            hidden = call.function is self.value and name[0] in "zO"
            return not hidden or int(name[1:]) % k == 0

        return memoize

    def run(self, name: str, tradeoff: page.Tradeoff) -> page.MemoryRun:
        """What a run held, step by step."""
        held = [value for value in tradeoff.memory.held if value.subproblem in self.places]
        cells = [
            (*self.places[value.subproblem], value.first, value.last, value.again) for value in held
        ]
        filled = np.zeros((2, tradeoff.tasks), int)
        for row, _, first, last, _ in cells:
            filled[row, first : last + 1] += 1
        sizes = enumerate(zip(tradeoff.memory.curve(), *filled, strict=True), 1)
        notes = [
            f"task {n:,} of {tradeoff.tasks:,}: {_kb(size)} held; arrays: {forward} forward, "
            f"{backward} backward"
            for n, (size, forward, backward) in sizes
        ]
        notes[-1] += f"; at most {_kb(tradeoff.peak)}"
        return page.MemoryRun(name, cells, notes)


def _against_recomputed(title: str, tradeoffs: Mapping[str, page.Tradeoff], note: str) -> page.Plot:
    """A point for each predicate: bytes against recomputed tasks."""
    fields = {
        "peak": "peak in recursion order",
        "dask_peak": "peak in Dask's order",
        "table": "if nothing is released",
    }
    lines = [
        Line(label, [(run.recomputed, getattr(run, field) / 1000) for run in tradeoffs.values()],
             *look)
        for (field, label), look in zip(fields.items(), _LOOKS, strict=True)
    ]  # fmt: skip
    names = {run.recomputed: name for name, run in tradeoffs.items()}
    return line_plot(
        title, "recomputed tasks", "kB", lines, note, is_log=False, text=_rounded, names=names
    )


def _over_the_run(kept: Mapping[str, page.Tradeoff], points: int = 100) -> page.Plot:
    """Bytes held as the run goes, in about so many points: each is the most of several tasks."""
    curves = {name: tradeoff.memory.curve() for name, tradeoff in kept.items()}
    every = -(-max(map(len, curves.values())) // points)
    lines = [
        Line(name, [(start + every, max(curve[start : start + every]) / 1000)
                    for start in range(0, len(curve), every)], *look)
        for (name, curve), look in zip(curves.items(), _LOOKS, strict=True)
    ]  # fmt: skip
    title, note = "Memory held as the gradient runs", f"Each point is the most in {every} tasks."
    return line_plot(title, "tasks that ran", "kB held", lines, note, is_log=False, text=_rounded)


_LOOKS = (("-", DAG), ("--", GREY), (":", TREE))


def _rounded(size: float) -> str:
    return f"{size:,.0f} kB"


def _kb(number: int) -> str:
    return _rounded(number / 1000)
