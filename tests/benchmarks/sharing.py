"""Sharing: what it takes per task, in time and memory, beside Dask's own culling and tokens."""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial
from operator import add
from time import perf_counter
from typing import Any

import numpy as np
from dask.base import tokenize
from dask.optimization import cull
from dask.task_spec import Task, TaskRef

from pipeline import digest, share
from tests.benchmarks.clock import medians
from tests.collections_ import identity, naive


def tree(n: int) -> tuple[dict[Any, Any], str]:
    """The graph that naive delayed calls of fib(n) make, without the delayed objects."""
    tasks: dict[Any, Any] = {}

    def call(n: int) -> str:
        key = f"fib-{len(tasks)}"
        tasks[key] = None
        if n < 2:
            tasks[key] = Task(key, identity, n)
        else:
            tasks[key] = Task(key, add, TaskRef(call(n - 1)), TaskRef(call(n - 2)))
        return key

    root = call(n)
    return tasks, root


def chain(n: int) -> tuple[dict[Any, Any], str]:
    """Each task on the one before."""
    tasks: dict[Any, Any] = {"k0": Task("k0", identity, 0)}
    tasks |= {f"k{i}": Task(f"k{i}", add, TaskRef(f"k{i - 1}"), 1) for i in range(1, n)}
    return tasks, f"k{n - 1}"


def independent(n: int) -> tuple[dict[Any, Any], list[str]]:
    """Nothing to share."""
    return {f"k{i}": Task(f"k{i}", identity, i) for i in range(n)}, [f"k{i}" for i in range(n)]


def per_task() -> None:
    """Time stays flat; memory below 1 kB."""
    print("\nshare, per task                 tasks   left    µs   cull, µs   ÷ cull   bytes")
    delayed = naive(22)
    (seconds,) = medians(partial(share, delayed), rounds=3)
    print(f"naive delayed fib(22)     {57_313:>11,} {23:>6} {seconds / 57_313 * 1e6:5.1f}")
    for name, (tasks, keys) in (
        *((f"tree of fib({n})", tree(n)) for n in (18, 22, 28)),
        ("a chain", chain(100_000)),
        *(("independent tasks", independent(n)) for n in (10_000, 100_000, 1_000_000)),
    ):
        wanted = list(keys) if isinstance(keys, list) else [str(keys)]
        gc.collect()
        rounds = 3 if len(tasks) < 10**6 else 1
        shared, culled = medians(
            partial(share, tasks, keys=wanted), partial(cull, tasks, wanted), rounds=rounds
        )
        left, size = _memory(tasks, wanted)
        each = [seconds / len(tasks) * 1e6 for seconds in (shared, culled)]
        print(
            f"{name:<25} {len(tasks):>11,} {left:>6} {each[0]:5.1f} {each[1]:10.1f} "
            f"{shared / culled:8.2f} {size:7.0f}"
        )


def _memory(tasks: dict[Any, Any], wanted: list[str]) -> tuple[str, float]:
    """Tasks that are left, and bytes per task that sharing takes beyond them, at most."""
    tracemalloc.start()
    left = len(share(tasks, keys=wanted))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (f"{left:,}" if left < 10**5 else f"{left / 10**6:g} M"), peak / len(tasks)


def hashing() -> None:
    """Large arrays are hashed at the speed of the memory, or of the hash."""
    print("\ndigest                   MB      GB/s   Dask's tokenize, GB/s")
    array = np.random.default_rng(0).random((4_000, 3_125))
    for name, each in (
        ("array", array),
        ("its transpose", array.T),
        ("every other row", array[::2]),
    ):
        for_us, for_dask = medians(partial(digest, each), partial(tokenize, each), rounds=3)
        speeds = (each.nbytes / seconds / 1e9 for seconds in (for_us, for_dask))
        print(f"{name:<20} {each.nbytes / 1e6:6.0f} {next(speeds):9.2f} {next(speeds):12.2f}")


if __name__ == "__main__":
    start = perf_counter()
    per_task()
    hashing()
    print(f"\n{perf_counter() - start:.0f} s")
