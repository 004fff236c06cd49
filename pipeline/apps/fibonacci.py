"""Fibonacci: the naive recursion is exponential, memoized it is linear.

The tree of fib(n) has 2 F(n+1) - 1 tasks and grows as φⁿ, φ = 1.618…; its DAG has n + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

from dask import delayed
from dask.delayed import Delayed

from pipeline import Call, count, recurrence, task


@recurrence
def fib(n: int) -> Any:
    """The textbook's function. Each call becomes a task: `fib(6).compute()` runs them."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def naive(n: int) -> int:
    """The same function without memoization, run by Python itself."""
    return n if n < 2 else naive(n - 1) + naive(n - 2)


def fib_call(n: int) -> Call:
    """The call fib(n).

    Raises `ValueError` if n is not a whole number from 0 on.

    >>> fib_call(30).compute()
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
    seconds: to trace and run the DAG on the scheduler that Dask is set to
    naive_seconds: of the naive recursion in Python; predicted if that would take over a second
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
    rows = []
    for n in numbers:
        call = fib_call(n)
        start = perf_counter()
        value = call.compute()
        seconds = perf_counter() - start
        counts = count(call.graph())
        naive_seconds = Fraction(counts.tree) / Fraction(calls_per_second)
        if not (predicted := naive_seconds > 1):
            naive_seconds = Fraction(_naive_seconds(n))
        counted = counts.tree, counts.dag, counts.sharing
        rows.append(Row(n, value, *counted, seconds, naive_seconds, predicted))
    return rows


def _naive_seconds(n: int) -> float:
    start = perf_counter()
    naive(n)
    return perf_counter() - start


def naive_rate(at_least: float = 0.1) -> float:
    """Calls a second of the naive recursion, measured here and now for `at_least` seconds."""
    n, seconds = 16, 0.0
    while seconds < at_least:
        n += 1
        seconds = _naive_seconds(n)
    return count(fib(n).graph()).tree / seconds


@task
def factors(number: int) -> list[int]:
    """The prime factors of a number, the least first: work for a worker.

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
    """The sum of the values of two calls."""
    return one + other


def delayed_naive(n: int) -> Delayed:
    """fib(n) as it is first written with `dask.delayed`: each call is a task.

    >>> delayed_naive(6).compute()
    8
    """
    return leaf(n) if n < 2 else add(delayed_naive(n - 1), delayed_naive(n - 2))


def pictures(folder: Path) -> list[Path]:
    """The contrasts of fib(5), fib(6) and delayed calls, a race, and the blocks of a graph."""
    from pipeline import contrast, race  # late: numbers alone need no pictures

    contrasts = [contrast(fib(n)).save(folder / f"fib-{n}.svg") for n in (5, 6)]
    path = folder / "fib-blocks.svg"
    (factors(fib(6)) + factors(fib(5))).graph().visualize(path, blocks=True)
    shared = contrast(delayed_naive(5)).save(folder / "share-5.svg")
    return [*contrasts, path, shared, race(fib(6)).save(folder / "race.svg")]
