"""Fibonacci: the naive recursion is exponential, memoized it is linear.

The tree of fib(n) has 2 F(n+1) - 1 tasks and grows as φⁿ, φ = 1.618…; its DAG has n + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dask import delayed
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline import contrast, count, measure, recurrence, task
from pipeline.draw import atomic_write
from pipeline.schedule import least_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dask.delayed import Delayed

    from pipeline import Call

GOLDEN = (1 + math.sqrt(5)) / 2
"""φ, the base of the growth of Fibonacci numbers."""


@recurrence
def fib(n: int) -> Any:
    """The textbook's function. Lazy: `fib(6).compute()` is 8."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def naive(n: int) -> int:
    """The same function without memoization, run by Python itself."""
    return n if n < 2 else naive(n - 1) + naive(n - 2)


def fibonacci(n: int) -> Call:
    """The call fib(n).

    Raises `ValueError` where n is not a whole number from 0 on.

    >>> fibonacci(30).compute()
    832040
    """
    if type(n) is not int or n < 0:
        raise ValueError(f"fib({n!r}): n must be a whole number from 0 on; give one like 6")
    call: Call = fib(n)
    return call


@dataclass(frozen=True)
class Row:
    """fib(n), counted and measured.

    tree, dag: tasks
    seconds: to trace and run the DAG on the scheduler at hand
    naive_seconds: of the naive recursion in Python; predicted where that would take over a second
    """

    n: int
    value: int
    tree: int
    dag: int
    sharing: Fraction
    seconds: float
    naive_seconds: Fraction
    predicted: bool


def table(numbers: Sequence[int], calls_per_second: float) -> list[Row]:
    """Rows for some n, computed on the scheduler that Dask is set to."""
    return [_row(n, calls_per_second) for n in numbers]


def _row(n: int, calls_per_second: float) -> Row:
    call = fibonacci(n)
    start = perf_counter()
    value = call.compute()
    seconds = perf_counter() - start
    counts = count(call.graph())
    naive_seconds = Fraction(counts.tree) / Fraction(calls_per_second)
    predicted = naive_seconds > 1
    if not predicted:
        start = perf_counter()
        naive(n)
        naive_seconds = Fraction(perf_counter() - start)
    return Row(n, value, counts.tree, counts.dag, counts.sharing, seconds, naive_seconds, predicted)


def naive_rate(at_least: float = 0.1) -> float:
    """Calls a second of the naive recursion, measured here and now for `at_least` seconds."""
    n, seconds = 16, 0.0
    while seconds < at_least:
        n += 1
        start = perf_counter()
        naive(n)
        seconds = perf_counter() - start
    return count(fib(n).graph()).tree / seconds


@dataclass(frozen=True)
class Growth:
    """Tasks and seconds of one n, as a tree and as a DAG."""

    n: int
    tree_tasks: int
    tree_seconds: float
    dag_tasks: int
    dag_seconds: float


def growth(up_to: int = 24, seconds: float = 0.5) -> list[Growth]:
    """Run trees and DAGs of growing n task by task, until a tree takes longer than some seconds.

    Tasks are those that the scheduler ran.
    """
    fib(2).compute()  # so that no point pays for the workers' start
    found: list[Growth] = []
    for n in range(2, up_to + 1):
        graphs = fib(n).graph(memoize=False), fib(n).graph()
        measured = []
        for graph in graphs:
            with measure() as run:
                took = least_seconds(partial(graph.compute, fuse=False))
            # Each repetition ran all of them.
            tasks = len({each.key for each in run.runs})
            measured.append((tasks, took))
        found.append(Growth(n, *measured[0], *measured[1]))
        if found[-1].tree_seconds > seconds and len(found) > 3:
            break
    return found


def fitted_base(points: Sequence[tuple[int, float]]) -> float:
    """The base b of the curve c·bⁿ through the upper half of some points, by least squares of logs.

    >>> round(fitted_base([(n, 3 * 2**n) for n in range(10)]), 6)
    2.0
    """
    upper = points[len(points) // 2 :]
    middle = sum(n for n, _ in upper) / len(upper)
    slope = sum((n - middle) * math.log(y) for n, y in upper)
    return math.exp(slope / sum((n - middle) ** 2 for n, _ in upper))


def plot_growth(points: Sequence[Growth], path: Path) -> dict[str, float]:
    """Draw tasks and seconds against n; give the fitted bases of the tree's growth."""
    numbers = [point.n for point in points]
    series: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "tasks": ([point.tree_tasks for point in points], [point.dag_tasks for point in points]),
        "seconds": (
            [point.tree_seconds for point in points],
            [point.dag_seconds for point in points],
        ),
    }
    bases, middle = {}, len(points) // 2
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (unit, (tree, dag)) in zip(figure.subplots(1, 2), series.items(), strict=True):
        bases[unit] = base = fitted_base(list(zip(numbers, tree, strict=True)))
        axes.semilogy(
            numbers, tree, "o-", color="#aa3377", ms=4, label=f"tree, grows as {base:.3f}ⁿ"
        )
        axes.semilogy(numbers, dag, "s-", color="#4477aa", ms=4, label="DAG")
        for reference, style, text in ((GOLDEN, "--", "φⁿ, φ = 1.618"), (2, ":", "2ⁿ")):
            # Through the tree's middle, so that the slopes can be compared.
            line = [tree[middle] * reference ** (n - numbers[middle]) for n in numbers]
            axes.semilogy(numbers, line, style, color="#777777", lw=1, label=text)
        axes.set(xlabel="n", ylabel=f"{unit} to run fib(n)", ylim=(min(dag) / 2, max(tree) * 2))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    with (
        rc_context({"svg.hashsalt": "pipeline", "svg.fonttype": "none"}),
        atomic_write(path) as file,
    ):
        figure.savefig(file, format=path.suffix[1:], metadata={"Date": None})
    return bases


@task
def factors(number: int) -> list[int]:
    """The prime factors of a number, the least first: work that is worth a worker's time.

    >>> factors(fib(12)).compute()
    [2, 2, 2, 2, 3, 3]
    """
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return [*found, number] if number > 1 else found


@delayed  # type: ignore[untyped-decorator] # Dask is untyped
def leaf(n: int) -> int:
    """A base case."""
    return n


@delayed  # type: ignore[untyped-decorator] # Dask is untyped
def add(one: int, other: int) -> int:
    """What the naive recursion does with the values of two calls."""
    return one + other


def delayed_naive(n: int) -> Delayed:
    """fib(n) as it is first written with `dask.delayed`: each call is a task of its own.

    >>> delayed_naive(6).compute()
    8
    """
    return leaf(n) if n < 2 else add(delayed_naive(n - 1), delayed_naive(n - 2))


def pictures(folder: Path) -> list[Path]:
    """The contrasts of fib(5), fib(6) and delayed calls, and the blocks of a graph."""
    contrasts = [contrast(fib(n)).save(folder / f"fib-{n}.svg") for n in (5, 6)]
    path = folder / "fib-blocks.svg"
    (factors(fib(6)) + factors(fib(5))).graph().visualize(path, blocks=True)
    return [*contrasts, path, contrast(delayed_naive(5)).save(folder / "share-5.svg")]
