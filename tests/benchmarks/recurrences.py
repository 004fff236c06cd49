"""Dynamic programming beside `functools.cache`: `python -m tests.benchmarks recurrences`.

Each recurrence is one text, decorated twice. The first run traces, fuses and runs it on Dask's
synchronous scheduler; the second runs the compiled program with other inputs.
"""

from __future__ import annotations

import functools
import random
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import pipeline
from tests.benchmarks import peers
from tests.benchmarks.clock import medians
from tests.functions import fib

_STACK = 1 << 30  # bytes: the cached recursion is as deep as its subproblems
_DRAWN = random.Random(0)  # noqa: S311 - no secrets
LEFT, RIGHT = (tuple(_DRAWN.choices("acgt", k=300)) for _ in range(2))
WEIGHTS, VALUES = (tuple(_DRAWN.choices(range(1, 60), k=100)) for _ in range(2))
COINS = (1, 5, 10, 25, 50)


Decorator = Callable[[Callable[..., Any]], Any]


class Case(NamedTuple):
    """A recurrence.

    make: its function, from a decorator and the functions that choose the least and the greatest
    base: the arguments of a base case, an input of the compiled program
    """

    name: str
    make: Callable[[Any, Any, Any], Any]
    arguments: tuple[int, ...]
    base: tuple[int, ...]


def grid_paths(decorate: Decorator, *_: Any, modulus: int = 0) -> Any:
    """Paths from a corner of a grid to the other."""

    @decorate
    def paths(i: int, j: int) -> Any:
        if i == 0 or j == 0:
            return 1
        total = paths(i - 1, j) + paths(i, j - 1)
        return total % modulus if modulus else total

    return paths


def edit_distance(decorate: Decorator, least: Any, _: Any) -> Any:
    """Edits from a prefix of one text to a prefix of another."""

    @decorate
    def distance(i: int, j: int) -> Any:
        if i == 0 or j == 0:
            return i + j
        return least(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (LEFT[i - 1] != RIGHT[j - 1]),
        )

    return distance


def common_subsequence(decorate: Decorator, _: Any, greatest: Any) -> Any:
    """The length of the longest common subsequence of two prefixes."""

    @decorate
    def length(i: int, j: int) -> Any:
        if i == 0 or j == 0:
            return 0
        if LEFT[i - 1] == RIGHT[j - 1]:
            return length(i - 1, j - 1) + 1
        return greatest(length(i - 1, j), length(i, j - 1))

    return length


def knapsack(decorate: Decorator, _: Any, greatest: Any) -> Any:
    """The value of the best of the first items that fit."""

    @decorate
    def best(items: int, room: int) -> Any:
        if items == 0:
            return 0
        without = best(items - 1, room)
        if WEIGHTS[items - 1] > room:
            return without
        return greatest(without, best(items - 1, room - WEIGHTS[items - 1]) + VALUES[items - 1])

    return best


def coin_change(decorate: Decorator, least: Any, _: Any) -> Any:
    """The fewest coins of an amount."""

    @decorate
    def coins(amount: int) -> Any:
        if amount == 0:
            return 0
        fewest = [coins(amount - coin) for coin in COINS if coin <= amount]
        return 1 + (least(*fewest) if len(fewest) > 1 else fewest[0])

    return coins


def partitions(decorate: Decorator, *_: Any) -> Any:
    """Partitions of a number into parts up to a size."""

    @decorate
    def number(n: int, largest: int) -> Any:
        if n == 0:
            return 1
        if n < 0 or largest == 0:
            return 0
        return number(n, largest - 1) + number(n - largest, largest)

    return number


CASES = [
    Case("grid paths 300 × 300", grid_paths, (300, 300), (0, 1)),
    Case("edit distance 300 × 300", edit_distance, (300, 300), (0, 1)),
    Case("common subsequence 300 × 300", common_subsequence, (300, 300), (0, 1)),
    Case("knapsack 100 × 1,000", knapsack, (100, 1000), (0, 1000)),
    Case("coin change 10,000", coin_change, (10_000,), (0,)),
    Case("partitions(300)", partitions, (300, 300), (0, 1)),
]


def on_a_deep_stack(action: Callable[[], Any]) -> Any:
    """What an action returns, with any depth of recursion."""
    results: list[Any] = []
    limit, size = sys.getrecursionlimit(), threading.stack_size(_STACK)
    sys.setrecursionlimit(10**7)
    try:
        thread = threading.Thread(target=lambda: results.append(action()))
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    return results[0]


def cached(case: Case) -> Any:
    """The value, by `functools.cache`."""
    return case.make(functools.cache, min, max)(*case.arguments)


def call_of(case: Case) -> Any:
    """The lazy call."""
    decorated = case.make(pipeline.recurrence, pipeline.minimum, pipeline.maximum)
    return decorated, decorated(*case.arguments)


def first_run(call: Any) -> Any:
    """Trace, fuse and run."""
    return call.graph().compute(scheduler="sync")


def table(rounds: int = 5) -> None:
    """Each recurrence, first and again, ÷ `functools.cache`."""
    print("recurrences                      tasks  cache s  first s  ÷ (≤ 4)  again s  ÷ (≤ 0.7)")
    for case in CASES:
        decorated, call = call_of(case)
        by_cache, first = on_a_deep_stack(
            functools.partial(
                medians,
                functools.partial(cached, case),
                functools.partial(first_run, call),
                rounds=rounds,
            )
        )
        graph = call.graph()
        program = graph.compile([decorated(*case.base)])
        assert call.compute(scheduler="sync") == on_a_deep_stack(functools.partial(cached, case))
        (again,) = medians(functools.partial(program, 7), rounds=rounds)
        print(
            f"{case.name:<30}{len(graph):>8,}{by_cache:9.3f}{first:9.3f}{first / by_cache:9.2f}"
            f"{again:9.3f}{again / by_cache:11.2f}"
        )


def per_subproblem() -> None:
    """Time and memory stay flat, up to a million subproblems."""
    print("\ngrid modulo a prime        s   µs per subproblem   bytes, traced and fused")
    paths = grid_paths(pipeline.recurrence, modulus=1_000_003)
    for side in (31, 100, 316, 999):
        call, tasks = paths(side, side), (side + 1) ** 2
        (seconds,) = medians(functools.partial(first_run, call), rounds=3)
        print(f"{tasks:>13,}{seconds:15.2f}{seconds / tasks * 1e6:20.2f}", end="", flush=True)
        tracemalloc.start()
        graph = call.graph()
        pipeline.fuse(graph)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"{peak / tasks:26.0f}")


def fibonacci(n: int = 2000) -> None:
    """The first row of the project: Fibonacci ÷ the dictionary of the lecture."""
    first, lecture = medians(
        lambda: fib(n).compute(scheduler="sync"),
        lambda: peers.lecture_fib(n),
        rounds=15,
    )
    print(f"\nfib({n:,}) ÷ the lecture's dictionary: {first / lecture:.2f} (bar 3.5)")


def main() -> None:
    """All tables."""
    table()
    per_subproblem()
    fibonacci()
