"""What memory a gradient takes for the time it takes: checkpointing, as parts of a page.

A `memoize` predicate keeps a value for the rest of the run, or not at all. Chen et al. (2016) and
Griewank and Walther (Revolve, 2000) also keep the values of one stretch for a while, and compute
each only once again: less time than here, for more memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

import numpy as np
from dask.typing import Key

from pipeline import Call, Recurrence, page
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
        note=f"One column is one layer, the last the outputs; {examples} examples. With everything "
        "kept, forward values pile up until the backward pass frees them, from the last layer to "
        "the first. With nothing kept, each is computed again from the inputs when its adjoint "
        "needs it. Weights, data, and the gradients of the weights are not shown.",
    )
    note = (
        f"Forward values wait for the backward pass, so a run holds what it keeps. Keeping only "
        f"every {root}th layer reduces the peak from {_kb(everything.peak)} to {_kb(some.peak)}, "
        f"for {some.recomputed:,} tasks computed again; keeping none, to {_kb(nothing.peak)}, for "
        f"{nothing.recomputed:,}. This takes the order of the recursion: Dask's own order runs "
        "the recomputations before it needs them, and gains nothing."
    )
    title = f"Gradient of {hidden} hidden layers: memory against recomputed tasks"
    return [strip, _against_recomputed(title, tradeoffs, note), _over_the_run(kept)]


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
            f"task {n:,} of {tradeoff.tasks:,}: {_kb(size)} held; values: {forward} forward, "
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
        "table": "memo table at the end",
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
