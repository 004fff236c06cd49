"""How the work of the applications grows, as parts of a page: charts, and sliders that count."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pipeline import count
from pipeline.apps.fibonacci import GOLDEN, fib, fitted_base
from pipeline.apps.mlp.counts import backpropagation, call_tree, paths
from pipeline.identity import format_duration, format_number
from pipeline.page import Chart, Drawn, Series, Slider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.apps import fibonacci
    from pipeline.apps.mlp import growth

LARGEST_N = 200
LARGEST_NET = 100


def fibonacci_growth(points: Sequence[fibonacci.Growth], rate: float) -> list[Drawn]:
    """Tasks and seconds of fib(n) against n, and a slider for n.

    points: of `fibonacci.growth()`; rate: naive calls a second, of `fibonacci.naive_rate()`
    """
    tree = [(point.n, point.tree_tasks) for point in points]
    dag = [(point.n, point.dag_tasks) for point in points]
    middle = points[len(points) // 2]
    golden = [(n, middle.tree_tasks * GOLDEN ** (n - middle.n)) for n, _ in tree]
    tasks = Chart(
        "Tasks of fib(n)",
        "n",
        "tasks that ran",
        [
            Series("tree", tree, "tree"),
            Series("DAG", dag, "dag"),
            Series("φⁿ, φ = 1.618", golden, reference=True),
        ],
        log=True,
        note="On an axis of powers of ten, exponential growth is a straight line: the tree's is "
        f"{fitted_base(tree):.3f}ⁿ. The DAG has n + 1 tasks.",
    )
    seconds = Chart(
        "Seconds of fib(n)",
        "n",
        "seconds, task by task",
        [
            Series("tree", [(point.n, point.tree_seconds) for point in points], "tree"),
            Series("DAG", [(point.n, point.dag_seconds) for point in points], "dag"),
        ],
        log=True,
        note="Measured on the machine that made this page, on Dask. Time follows the tasks: "
        "all take about as long.",
        say=format_duration,
    )
    each = points[-1].dag_seconds / points[-1].dag_tasks
    rows = []
    for n in range(LARGEST_N + 1):
        counts = count(fib(n).graph())
        rows.append((
            str(n),
            f"{counts.tree:,}",
            f"{counts.dag:,}",
            format_number(counts.sharing),
            f"~{format_duration(Fraction(counts.tree) / Fraction(rate))}",
            f"~{format_duration(counts.dag * each)}",
        ))  # fmt: skip
    slider = Slider(
        "How long does fib(n) take?",
        "n",
        (
            "n",
            "tasks in the tree, exact",
            "tasks in the DAG",
            "sharing factor",
            "naive time, in Python",
            "time of the DAG, task by task",
        ),
        rows,
        start=40,
        note=f"Times are predicted (~) from {rate:,.0f} naive calls a second and {format_duration(each)} "
        "a task of the DAG, measured for this page. The tree is counted from the DAG.",
    )
    return [slider, tasks, seconds]


def mlp_growth(points: Sequence[growth.Growth]) -> list[Drawn]:
    """The work of a gradient against depth and width, and a slider for each.

    points: of `growth.growth()`
    """
    return [
        part
        for along, of, sizes in (
            ("depth", "hidden layers of width 3", lambda n: (3, *(3,) * n, 1)),
            ("width", "width of 3 hidden layers", lambda n: (n, n, n, n, 1)),
        )
        for part in _grown(along, of, sizes, [each for each in points if each.along == along])
    ]


def _grown(
    along: str, of: str, sizes: Callable[[int], tuple[int, ...]], points: list[growth.Growth]
) -> list[Drawn]:
    timed = [(point.naive, point.naive_seconds) for point in points if point.naive_seconds]
    rate = Fraction(timed[-1][0]) / Fraction(timed[-1][1]) if timed else None
    rows = []
    for n in range(1, LARGEST_NET + 1):
        naive, memoized = call_tree(sizes(n)).total, backpropagation(sizes(n)).total
        rows.append((
            str(n),
            f"{paths(sizes(n)):,}",
            f"{naive:,}",
            f"{memoized:,}",
            format_number(Fraction(naive, memoized)),
            f"~{format_duration(naive / rate)}" if rate else "–",
            f"~{format_duration(memoized / rate)}" if rate else "–",
        ))  # fmt: skip
    told = (
        f"{format_number(round(rate))} of them a second, measured" if rate else "nothing measured"
    )
    slider = Slider(
        f"How much work is the gradient? Along {along}",
        of,
        (
            of,
            "paths from a first-layer weight",
            "naive work, exact",
            "memoized work",
            "naive ÷ memoized",
            "naive time, task by task",
            "memoized time, task by task",
        ),
        rows,
        start=19,
        note="Work is multiplications and additions, for all weights and one example. Naive is the "
        "recursion as it stands, factored; the path sum, written out, is still more. Times are "
        f"predicted (~) from {told} on Dask, task by task, where an operation takes a thousand "
        "times as long as in a loop.",
    )
    work = _pair(
        f"Work of the gradient against {along}", of, "multiplications and additions", points,
        "naive", "memoized", _WORK_NOTES[along],
    )  # fmt: skip
    seconds = _pair(
        f"Seconds of the gradient against {along}", of, "seconds, task by task", points,
        "naive_seconds", "memoized_seconds",
        "Measured on the machine that made this page, on Dask; the naive one only while it is "
        "quick enough.", format_duration,
    )  # fmt: skip
    return [slider, work, seconds]


_WORK_NOTES = {
    "depth": "The width is the base and the depth the exponent: exponential, a straight line on "
    "this axis. Backpropagation grows by the same for each layer.",
    "width": "The naive line bends: for a given depth the work is a power of the width, with "
    "an exponent that grows with the depth.",
}


def _pair(
    title: str,
    x: str,
    y: str,
    points: list[growth.Growth],
    naive: str,
    memoized: str,
    note: str,
    say: Callable[[Any], str] = format_number,
) -> Chart:
    def line(name: str) -> list[tuple[float, float]]:
        return [(each.at, getattr(each, name)) for each in points if getattr(each, name)]

    series = (
        Series("naive, the chain rule without memory", line(naive), "tree"),
        Series("memoized, backpropagation", line(memoized), "dag"),
    )
    return Chart(title, x, y, series, log=True, note=note, say=say)
