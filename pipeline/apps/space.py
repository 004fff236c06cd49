"""What space the applications take for the time they take, as parts of a page.

A `memoize` predicate keeps a value for the rest of the run, or not at all. Chen et al. and Revolve
also keep, for a while, the values of the stretch at hand, so that each is computed only once again:
less time than here, for more space.
"""

from __future__ import annotations

from collections import Counter
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.apps.fibonacci import fib
from pipeline.apps.mlp.layers import Layers, adjoint_of, initial, value_of
from pipeline.page import Cell, Chart, Drawn, Filling, Kind, Rows, Series
from pipeline.schedule import Tradeoff, tradeoffs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dask.typing import Key

    from pipeline import Call, Recurrence

EVERYTHING, NOTHING = "all", "none"
PERIODS = (2, 3, 4, 5, 6, 8)
POINTS = 150
"""About how many points a line may have; longer runs are told by the most of every few tasks."""


def fibonacci_space(n: int = 64) -> list[Drawn]:
    """Bytes of fib(n) against recomputed tasks, and over the run.

    Kept are calls in pairs, fib(ik) and fib(ik + 1): two neighbours are what all later ones need.

    Raises `ValueError` for n below 9, of which there are no such pairs.
    """
    if n < 9:
        raise ValueError(f"n={n}: give one of 9 or more, for every third pair to be kept")
    root = isqrt(n)
    periods = sorted({*PERIODS, root} - {1, 2})  # every second pair is everything
    found, skipped = tradeoffs(
        fib(n), {EVERYTHING: True, **{str(k): _pairs(k) for k in periods}, NOTHING: False}
    )
    why = (
        f" With nothing kept it was not run: {skipped[NOTHING].split(', over')[0]}."
        if skipped
        else ""
    )
    everything, at_root = found[EVERYTHING], found[str(root)]
    curve = _against_recomputed(
        f"fib({n}): bytes against recomputed tasks",
        found,
        1,
        "bytes",
        f"A table that keeps all results holds {everything.table:,} bytes in the end. A graph "
        "knows who takes each value last, and drops it then: three at a time are enough. So there "
        f"is nothing to trade. With only every {root}th pair kept, fib({root}i) and fib({root}i + "
        f"1), {at_root.recomputed:,} tasks are computed again, and more values are under way."
        + why,
    )
    shown = {EVERYTHING: "everything kept", str(root): f"every {root}th pair kept"}
    over = _over_the_run(f"fib({n}): bytes held as it runs", found, shown, 1, "bytes")
    return [curve, over]


def _pairs(k: int) -> Callable[[Call], bool]:
    return lambda call: call.args[0] % k < 2


def mlp_space(hidden: int = 16, width: int = 16, examples: int = 256) -> list[Drawn]:
    """Bytes of the gradient of a deep network against recomputed tasks, and over the run.

    hidden: layers, of equal width. Kept are the values of every k-th of them, and all adjoints.

    Raises `ValueError` for less than 4 hidden layers.
    """
    if hidden < 4:
        raise ValueError(f"hidden={hidden}: give 4 or more, for every second one to be kept")
    root = isqrt(hidden)
    network = _Deep(hidden, width, examples)
    periods = sorted({*PERIODS, root} - {1})
    predicates = {str(k): network.every(k) for k in periods}
    found, _ = tradeoffs(
        network.outputs, {EVERYTHING: True, **predicates, NOTHING: network.every(hidden + 1)}
    )
    everything, at_root, nothing = found[EVERYTHING], found[str(root)], found[NOTHING]
    curve = _against_recomputed(
        f"Gradient of {hidden} hidden layers: memory against recomputed tasks",
        found,
        1000,
        "kB",
        "Forward values wait for the backward pass, so what is kept is what is held: keeping only "
        f"every {root}th layer takes the peak from {_kb(everything.peak)} to {_kb(at_root.peak)}, "
        f"for {at_root.recomputed:,} tasks computed again; keeping none, to {_kb(nothing.peak)}, "
        f"for {nothing.recomputed:,}. It takes the order of the recursion: Dask's own order runs "
        "the recomputations before it needs them, and gains nothing.",
    )
    shown = {
        EVERYTHING: "everything kept",
        str(root): f"every {root}th layer kept (√n)",
        NOTHING: "nothing kept",
    }
    over = _over_the_run("Memory held as the gradient runs", found, shown, 1000, "kB")
    rows = Rows(
        "Memory, filled as the run goes",
        ("forward", "backward"),
        hidden + 1,
        [network.filling(f"{name[0].upper()}{name[1:]}", found[each])
         for each, name in shown.items()],
        start=max(range(everything.tasks), key=everything.memory.curve().__getitem__),
        note=f"One column for each layer, the last for the outputs; {examples} examples. All kept, "
        "forward values pile up until the backward pass frees them, from the last layer to the "
        "first. Nothing kept, each is computed from the inputs again when its adjoint needs it. "
        "Weights, data, and the gradients of the weights are not shown.",
    )  # fmt: skip
    return [rows, curve, over]


class _Deep:
    """A network of equal layers, its data, and where its values stand in rows of memory."""

    def __init__(self, hidden: int, width: int, examples: int) -> None:
        self.layers = Layers((*(width,) * (hidden + 1), 4), activation="tanh", loss="mse")
        rng = np.random.default_rng(0)
        given: dict[str, Any] = {
            **initial(self.layers, seed=0),
            "x": rng.normal(size=(examples, width)),
            "y": rng.normal(size=(examples, 4)),
            "share": 1 / examples,
        }
        self.value: Recurrence = value_of(self.layers, given)
        self.adjoint: Recurrence = adjoint_of(self.layers, self.value)
        names = [(f"{kind}{layer}", layer - 1) for kind in "zO" for layer in range(1, hidden + 1)]
        self.places: dict[Key, tuple[int, int]] = {
            of(name).key: (row, column)
            for row, of in enumerate((self.value, self.adjoint))
            for name, column in [*names, ("ŷ", hidden)]
        }

    def outputs(self) -> dict[str, Any]:
        """The loss and all gradients, the last layer first.

        A run in the order of the recursion then needs each adjoint for the layer at hand and the
        one before it. The first layer first, it would hold all adjoints on the way back.
        """
        names = reversed(self.layers.parameters)
        return {"L": self.value("L"), **{name: self.adjoint(name) for name in names}}

    def every(self, k: int) -> Callable[[Call], bool]:
        """Keep the values of each k-th hidden layer, and all that is no value of a hidden layer."""

        def memoize(call: Call) -> bool:
            name = call.args[0]
            hidden = call.function is self.value and name[0] in "zO"
            return not hidden or int(name[1:]) % k == 0

        return memoize

    def filling(self, name: str, tradeoff: Tradeoff) -> Filling:
        cells = [
            Cell(*self.places[each.subproblem], each.first, each.last, each.again)
            for each in tradeoff.memory.held
            if each.subproblem in self.places
        ]
        steps, curve = tradeoff.tasks, tradeoff.memory.curve()
        filled: list[Counter[int]] = [Counter() for _ in range(steps)]
        for cell in cells:
            for step in range(cell.first, cell.last + 1):
                filled[step][cell.row] += 1
        notes = [
            f"task {n:,} of {steps:,}: {_kb(size)} held; values: {by[0]} forward, {by[1]} backward"
            for n, (size, by) in enumerate(zip(curve, filled, strict=True), 1)
        ]
        notes[-1] += f"; at most {_kb(tradeoff.peak)}"
        return Filling(name, cells, notes)


def _against_recomputed(
    title: str, found: Mapping[str, Tradeoff], unit: int, label: str, note: str
) -> Chart:
    names = [f"k = {name}" if name.isdigit() else name for name in found]

    def line(of: Callable[[Tradeoff], int]) -> list[tuple[float, float]]:
        return [(each.recomputed, of(each) / unit) for each in found.values()]

    series = (
        Series("peak in recursion order", line(lambda each: each.peak), "dag", names),
        Series("peak in Dask's order", line(lambda each: each.dask_peak), "other", names),
        Series("memo table at the end", line(lambda each: each.table), "other", names),
    )
    return Chart(title, "recomputed tasks", label, series, note=note, say=_saying(label))


def _over_the_run(
    title: str, found: Mapping[str, Tradeoff], shown: Mapping[str, str], unit: int, label: str
) -> Chart:
    kinds = Counter(shown.values())
    looks: tuple[Kind, ...] = ("dag", "other", "tree")
    kind = dict(zip(kinds, looks, strict=False))
    every = -(-max(found[name].tasks for name in shown) // POINTS)
    series = []
    for each, name in shown.items():
        curve = found[each].memory.curve()
        points = [
            (min(place + every, len(curve)), max(curve[place : place + every]) / unit)
            for place in range(0, len(curve), every)
        ]
        series.append(Series(name, points, kind[name]))
    note = "" if every == 1 else f"Each point is the most in {every} tasks."
    return Chart(title, "tasks that ran", f"{label} held", series, note=note, say=_saying(label))


def _saying(label: str) -> Callable[[float], str]:
    return lambda number: f"{number:,.4g} {label}" if number < 1000 else f"{number:,.0f} {label}"


def _kb(number: int) -> str:
    return f"{number / 1000:,.0f} kB"
