"""How the work of the applications grows: measured, drawn, and counted on sliders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from statistics import linear_regression
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

from pipeline import TaskGraph, count, measure, page
from pipeline.apps.fibonacci import fib
from pipeline.apps.mlp.chain import backward
from pipeline.apps.mlp.counts import backpropagation, call_tree, paths
from pipeline.apps.mlp.networks import network

GOLDEN = (1 + math.sqrt(5)) / 2
"""φ, the base of the growth of Fibonacci numbers."""

LARGEST_N = 200
LARGEST_NET = 100

TREE, DAG, GREY = "#aa3377", "#4477aa", "#797979"

SIZES = {"depth": "hidden layers of width 3", "width": "width of 3 hidden layers"}
SHAPES: dict[str, Callable[[int], tuple[int, ...]]] = {
    "depth": lambda n: (3, *(3,) * n, 1),
    "width": lambda n: (n, n, n, n, 1),
}
"""The layers of a network of some depth or width."""


@dataclass(frozen=True)
class FibonacciGrowth:
    """The tasks and the seconds of one n, as a tree and as a DAG."""

    n: int
    tree_tasks: int
    tree_seconds: float
    dag_tasks: int
    dag_seconds: float


@dataclass(frozen=True)
class GradientGrowth:
    """The gradients of all weights of a network: multiply-adds, and seconds to run.

    along: `depth` or `width`, the size that grows; `at` is its value
    naive, memoized: multiplications and additions, exact
    naive_seconds, memoized_seconds: task by task; None where a run would take too long
    """

    along: str
    at: int
    naive: int
    memoized: int
    naive_seconds: float | None
    memoized_seconds: float | None


def measure_fibonacci(up_to: int = 24, seconds: float = 0.5) -> list[FibonacciGrowth]:
    """Run trees and DAGs of growing n task by task, until a tree takes longer than `seconds`."""
    fib(2).compute()  # starts the workers
    points: list[FibonacciGrowth] = []
    for n in range(2, up_to + 1):
        tree, dag = _quickest(fib(n).graph(memoize=False)), _quickest(fib(n).graph())
        points.append(FibonacciGrowth(n, tree.tasks, tree.seconds, dag.tasks, dag.seconds))
        if tree.seconds > seconds and len(points) > 3:
            break
    return points


def measure_gradients(largest: int = 12, seconds: float = 1.0) -> list[GradientGrowth]:
    """Networks of width 3 with 1, 2, … hidden layers, and of 3 hidden layers of width 1, 2, …

    seconds: a graph runs only if the one before took at most a fifth of this
    """
    _quickest(backward(network((1, 1))))  # starts the workers
    points = []
    for along, shape in SHAPES.items():
        last: dict[bool, float | None] = {True: 0.0, False: 0.0}
        for at in range(1, largest + 1):
            sizes = shape(at)
            for memoize, before in last.items():
                is_run = before is not None and 5 * before <= seconds
                graph = backward(network(sizes), memoize=memoize) if is_run else None
                last[memoize] = None if graph is None else _quickest(graph).seconds
            work = call_tree(sizes).total, backpropagation(sizes).total
            points.append(GradientGrowth(along, at, *work, last[False], last[True]))
    return points


def _quickest(graph: TaskGraph, enough: float = 0.05, most: int = 5) -> Any:
    """The quickest run: of up to `most`, while they take less than `enough` seconds together."""
    runs: list[Any] = []
    while not runs or (sum(run.seconds for run in runs) < enough and len(runs) < most):
        with measure() as run:
            graph.compute(fuse=False)
        runs.append(run)
    return min(runs, key=lambda run: run.seconds)


def fitted_base(points: Sequence[tuple[int, float]]) -> float:
    """The base b of the curve c·bⁿ through the upper half of some points: least squares of logs.

    >>> round(fitted_base([(n, 3 * 2**n) for n in range(10)]), 6)
    2.0
    """
    upper = points[len(points) // 2 :]
    logs = [math.log(y) for _, y in upper]
    return math.exp(linear_regression([n for n, _ in upper], logs).slope)


class Line(NamedTuple):
    """A line of a plot, as matplotlib draws it; `mark` is for large figures."""

    label: str
    points: Sequence[tuple[float, float]]
    style: str
    colour: str
    width: float = 1.5
    mark: str = ""


def _draw(
    axes: Axes, x: str, y: str, lines: Iterable[Line], *, is_log: bool = True, marks: bool = True
) -> None:
    for line in lines:
        axes.plot(
            [at for at, _ in line.points], [size for _, size in line.points],
            line.mark * marks + line.style,
            color=line.colour, lw=line.width, ms=4, label=line.label,
        )  # fmt: skip
    axes.set(xlabel=x, ylabel=y, yscale="log" if is_log else "linear")
    if is_log:  # 10 k and 1 ms: an exponent would be too small to read
        axes.yaxis.set_major_formatter(EngFormatter("s" if y.startswith("seconds") else ""))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def line_plot(
    title: str, x: str, y: str, lines: Sequence[Line], note: str, *, is_log: bool = True,
    text: Callable[[Any], Any] = lambda number: number, names: Mapping[Any, str] | None = None,
) -> page.Plot:  # fmt: skip
    """A small plot for a page, and a table of its points.

    text: writes a y in the table
    names: of the points of the first line, by x
    """
    figure = Figure(figsize=(4.6, 3.1), layout="constrained")
    axes = figure.subplots()
    _draw(axes, x, y, lines, is_log=is_log, marks=False)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    columns = [dict(line.points) for line in lines]
    for at, name in (names or {}).items():
        axes.annotate(name, (at, columns[0][at]), (0, 3), textcoords="offset points",
                      rotation=60, fontsize=9.5)  # fmt: skip
    rows = [
        [*([names[at]] if names else []), at,
         *(text(column[at]) if at in column else "–" for column in columns)]
        for at in sorted({at for column in columns for at in column})
    ]  # fmt: skip
    head = (*(["kept"] if names else []), x, *(line.label for line in lines))
    return page.Plot(figure, page.Table(title, head, rows, left=1 + bool(names)), note)


def _fibonacci_lines(points: Sequence[FibonacciGrowth], unit: str) -> list[Line]:
    """Tree and DAG, and two powers through the middle of the tree, to compare their slopes with."""
    tree, dag = (
        [(point.n, getattr(point, f"{side}_{unit}")) for point in points]
        for side in ("tree", "dag")
    )
    n, middle = tree[len(points) // 2]
    powers = [
        Line(text, [(at, middle * base ** (at - n)) for at, _ in tree], style, GREY, 1)
        for base, style, text in ((GOLDEN, "--", "φⁿ, φ = 1.618"), (2, ":", "2ⁿ"))
    ]
    return [
        Line(f"tree, grows as {fitted_base(tree):.3f}ⁿ", tree, "-", TREE, mark="o"),
        Line("DAG", dag, "-", DAG, mark="s"),
        *powers,
    ]


def plot_fibonacci(points: Sequence[FibonacciGrowth]) -> Figure:
    """Tasks and seconds against n."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, unit in zip(figure.subplots(1, 2), ("tasks", "seconds"), strict=True):
        lines = _fibonacci_lines(points, unit)
        _draw(axes, "n", f"{unit} to run fib(n)", lines)
        least, most = min(y for _, y in lines[1].points), max(y for _, y in lines[0].points)
        axes.set(ylim=(least / 2, most * 2))
        axes.legend(frameon=False, fontsize=9)
    return on_any_paper(figure)


def _gradient_lines(points: Sequence[GradientGrowth], along: str, unit: str) -> list[Line]:
    """Naive and memoized; `unit` is `""` for multiply-adds, or `_seconds`."""
    return [
        Line(label, [(point.at, value) for point in points if point.along == along
                     and (value := getattr(point, way + unit)) is not None], "-", hue, mark=mark)
        for way, label, hue, mark in (
            ("naive", "chain rule without memory, memoize=False", TREE, "o"),
            ("memoized", "backpropagation, memoize=True", DAG, "s"),
        )
    ]  # fmt: skip


def plot_gradients(points: Sequence[GradientGrowth]) -> Figure:
    """Multiply-adds and seconds against depth and width."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    rows = {"": "multiplications and additions", "_seconds": "seconds to run, task by task"}
    cases = product(SIZES.items(), rows.items())
    for place, ((along, x), (unit, y)) in zip((1, 3, 2, 4), cases, strict=True):
        axes = figure.add_subplot(2, 2, place)
        _draw(axes, x, y, _gradient_lines(points, along, unit))
        if along == "width":
            axes.set(ylabel="")
    figure.axes[0].legend(frameon=False, fontsize=9)
    return on_any_paper(figure)


def on_any_paper(figure: Figure) -> Figure:
    """The figure, transparent, in greys that can be read on white paper and on dark."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(which="both", color=GREY, labelcolor=GREY)
        for spine in axes.spines.values():
            spine.set_color(GREY)
        legend = axes.get_legend()
        labels = [axes.title, axes.xaxis.label, axes.yaxis.label]
        for text in [*labels, *(legend.texts if legend else ())]:
            text.set_color(GREY)
    return figure


def fibonacci_parts(points: Sequence[FibonacciGrowth], rate: float) -> list[page.Part]:
    """Tasks and seconds of fib(n) against n, and a slider for n.

    rate: naive calls a second, of `fibonacci.naive_rate()`
    """
    task_seconds = points[-1].dag_seconds / points[-1].dag_tasks
    rows = []
    for n in range(LARGEST_N + 1):
        counts = count(fib(n).graph())
        times = Fraction(counts.tree) / Fraction(rate), counts.dag * task_seconds
        predicted = [f"~{page.format_duration(time)}" for time in times]
        rows.append([n, counts.tree, counts.dag, counts.sharing, *predicted])
    head = (
        "n", "tasks in the tree, exact", "tasks in the DAG", "sharing factor",
        "naive time, in plain Python", "time of the DAG, on Dask",
    )  # fmt: skip
    note = (
        f"Times are predicted (~). The naive calls are plain Python, {rate:,.0f} a second. The DAG "
        f"runs on Dask, {page.format_duration(task_seconds)} a task: for a small n, memoization "
        "costs more than it saves. The tasks of the tree are counted without building it."
    )
    return [
        page.Slider("How long does fib(n) take?", "n", head, rows, 40, note),
        line_plot(
            "Tasks of fib(n)", "n", "tasks", _fibonacci_lines(points, "tasks")[:3],
            "On a logarithmic axis, exponential growth is a straight line. The DAG has "
            "n\xa0+\xa01 tasks.",
        ),
        line_plot(
            "Seconds of fib(n)", "n", "seconds, task by task",
            _fibonacci_lines(points, "seconds")[:2],
            "Measured on the machine that made this page; both run on Dask. Time follows the "
            "tasks: all take about as long.", text=page.format_duration,
        ),
    ]  # fmt: skip


def gradient_parts(points: Sequence[GradientGrowth]) -> list[page.Part]:
    """The work of a gradient against depth and width, and a slider for each."""
    parts: list[page.Part] = []
    for along, x in SIZES.items():
        work = line_plot(
            f"Work of the gradient against {along}", x, "multiplications and additions",
            _gradient_lines(points, along, ""), _WORK_NOTES[along],
        )  # fmt: skip
        seconds = line_plot(
            f"Seconds of the gradient against {along}", x, "seconds, task by task",
            _gradient_lines(points, along, "_seconds"),
            "Measured on the machine that made this page, on Dask; the naive one only while it is "
            "quick enough.", text=page.format_duration,
        )  # fmt: skip
        parts += [_gradient_slider(along, points), work, seconds]
    return parts


_WORK_NOTES = {
    "depth": "The width is the base and the depth the exponent: exponential, a straight line on "
    "this axis. Backpropagation grows by the same amount with each layer.",
    "width": "The naive line bends: at a given depth the work is a power of the width, and the "
    "exponent grows with the depth.",
}


def _gradient_slider(along: str, points: Iterable[GradientGrowth]) -> page.Slider:
    rate = speed = None
    for point in points:
        if point.along == along and point.naive_seconds:
            rate = Fraction(point.naive) / Fraction(point.naive_seconds)
    if rate:
        speed = f"{page.format_number(round(rate))} of them a second, measured"
    rows = []
    for n in range(1, LARGEST_NET + 1):
        sizes = SHAPES[along](n)
        works = call_tree(sizes).total, backpropagation(sizes).total
        times = [f"~{page.format_duration(work / rate)}" if rate else "–" for work in works]
        rows.append([n, paths(sizes), *works, Fraction(*works), *times])
    head = (
        SIZES[along], "paths", "naive work, exact", "memoized work", "naive ÷ memoized",
        "naive time", "memoized time",
    )  # fmt: skip
    note = (
        "Paths lead from one weight of the first layer to the loss. Work is multiplications and "
        "additions, for all weights and one example. Naive is the factored recursion; the "
        "expanded path sum is more work still. Times are predicted (~) "
        f"from {speed or 'nothing measured'} on Dask, task by task, where an operation takes a "
        "thousand times as long as in a loop."
    )
    title = f"How much work is the gradient? Along {along}"
    return page.Slider(title, SIZES[along], head, rows, 19, note)
