"""Speed, beside its peers, in one run: `python -m tests.benchmarks`.

Medians of several rounds, in which the contestants take turns: the machine may be noisy, and what
counts is the ratio.
"""

from __future__ import annotations

import operator
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import dask

from pipeline import contrast, count
from tests.functions import fib

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7


def medians(*contestants: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Median seconds of each contestant."""
    seconds: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        for contestant, found in zip(contestants, seconds, strict=True):
            start = perf_counter()
            result = contestant()
            found.append(perf_counter() - start)
            del result  # freed outside of the clock
    return [median(found) for found in seconds]


def delayed_fib(n: int) -> Any:
    """The same DAG of `dask.delayed` objects: each made once, and kept by hand."""
    add, known = dask.delayed(operator.add), {0: dask.delayed(0), 1: dask.delayed(1)}
    for each in range(2, n + 1):
        known[each] = add(known[each - 1], known[each - 2])
    return known[n]


def against_delayed(n: int = 2000) -> None:
    """Building and running the DAG, beside `dask.delayed`, on Dask's synchronous scheduler."""
    graph = fib(n).graph()
    build, both, ours, run = medians(
        lambda: delayed_fib(n),
        lambda: delayed_fib(n).compute(scheduler="sync"),
        lambda: fib(n).compute(scheduler="sync"),
        lambda: graph.compute(scheduler="sync"),
        rounds=3,
    )
    print(f"fib({n}) on sync             ms   times ours")
    print(f"dask.delayed, built     {build * 1e3:7.0f} {build / ours:12.1f}")
    print(f"dask.delayed, and run   {both * 1e3:7.0f} {both / ours:12.1f}")
    print(f"pipeline, traced + run  {ours * 1e3:7.0f} {1:12.1f}")
    print(f"  of which Dask runs it {run * 1e3:7.0f} {run / ours:12.1f}")


def traced(n: int) -> object:
    """The DAG of fib(n), from the call."""
    return fib(n).graph()


def drawn(n: int) -> object:
    """The picture of fib(n), from the call to the bytes of the file."""
    return contrast(fib(n)).render("svg")


def per_task() -> None:
    """Tracing and counting stay linear in the subproblems."""
    print("\nµs per subproblem     trace   count")
    for n in (1_000, 10_000, 50_000, 100_000):
        graph = fib(n).graph()
        trace, counted = medians(partial(traced, n), partial(count, graph))
        print(f"fib({n:>7,})        {trace / n * 1e6:7.2f} {counted / n * 1e6:7.2f}")


def drawing() -> None:
    """Pictures stay cheap, however large the graph."""
    print("\ncontrast, to SVG           s")
    for n in (6, 10, 100, 1_000, 100_000):
        (seconds,) = medians(partial(drawn, n), rounds=3)
        print(f"fib({n:>7,})          {seconds:7.2f}")


if __name__ == "__main__":
    against_delayed()
    per_task()
    drawing()
