"""How the work of a gradient grows with depth and width, counted and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.apps.mlp.chain import backward
from pipeline.apps.mlp.counts import backpropagation, call_tree
from pipeline.apps.mlp.network import network
from pipeline.draw import atomic_write
from pipeline.schedule import least_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.apps.mlp.network import Network


@dataclass(frozen=True)
class Growth:
    """The gradients of all weights of a network: multiply-adds, and seconds to run.

    along: depth or width, whichever grows, and `at` its size
    naive, memoized: multiplications and additions, exact
    naive_seconds, memoized_seconds: task by task, on the scheduler at hand; None where that would
        take too long
    """

    along: str
    at: int
    naive: int
    memoized: int
    naive_seconds: float | None
    memoized_seconds: float | None


def growth(largest: int = 12, seconds: float = 1.0) -> list[Growth]:
    """Networks of width 3 with 1, 2, … hidden layers, and of 3 hidden layers of width 1, 2, …

    seconds: a graph is run while the one before took no longer than a fifth of this
    """
    _seconds(network((1, 1)), memoize=True)  # so that no point pays for the workers' start
    deep = [("depth", n, (3, *(3,) * n, 1)) for n in range(1, largest + 1)]
    wide = [("width", n, (n, n, n, n, 1)) for n in range(1, largest + 1)]
    return [*_measured(deep, seconds), *_measured(wide, seconds)]


def _measured(
    cases: Iterable[tuple[str, int, tuple[int, ...]]], seconds: float
) -> Iterable[Growth]:
    last: dict[bool, float | None] = {True: 0.0, False: 0.0}
    for along, at, sizes in cases:
        net = network(sizes)
        for memoize in (True, False):
            before = last[memoize]
            if before is not None:
                last[memoize] = _seconds(net, memoize) if 5 * before <= seconds else None
        yield Growth(
            along, at, call_tree(sizes).total, backpropagation(sizes).total, last[False], last[True]
        )


def _seconds(net: Network, memoize: bool) -> float:
    graph = backward(net, memoize=memoize)
    return least_seconds(lambda: graph.compute(fuse=False))


def plot_growth(points: Iterable[Growth], path: Path) -> Path:
    """Draw multiply-adds and seconds against depth and width; save and return the path."""
    found = list(points)
    figure = Figure(figsize=(9, 6), layout="constrained")
    for column, along in enumerate(("depth", "width")):
        here = [point for point in found if point.along == along]
        for row, (naive, memoized, unit) in enumerate((
            ("naive", "memoized", "multiplications and additions"),
            ("naive_seconds", "memoized_seconds", "seconds to run, task by task"),
        )):  # fmt: skip
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            for name, style, colour, text in (
                (naive, "o-", "#aa3377", "chain rule without memory, memoize=False"),
                (memoized, "s-", "#4477aa", "backpropagation, memoize=True"),
            ):
                pairs = [(point.at, getattr(point, name)) for point in here]
                shown = [pair for pair in pairs if pair[1] is not None]
                axes.semilogy(*zip(*shown, strict=True), style, color=colour, ms=4, label=text)
            of = "hidden layers of width 3" if along == "depth" else "width of 3 hidden layers"
            axes.set(xlabel=of, ylabel=unit if column == 0 else "")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.spines[["top", "right"]].set_visible(False)
            if row == column == 0:
                axes.legend(frameon=False, fontsize=9)
    with (
        rc_context({"svg.hashsalt": "pipeline", "svg.fonttype": "none"}),
        atomic_write(path) as file,
    ):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(file, format=path.suffix[1:], metadata=metadata)
    return path
