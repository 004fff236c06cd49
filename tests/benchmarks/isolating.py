"""What isolation costs: copies and bytes that `share` adds to a run, and its time per task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import dask
import dask.array as da
import numpy as np
import pandas as pd
from dask import delayed
from dask.sizeof import sizeof
from dask.task_spec import Task, TaskRef

from pipeline import share, share_report
from pipeline.share import copying, isolation
from tests.benchmarks.clock import medians
from tests.collections_ import naive

# Programs


def percentile(values: Any, q: int) -> float:
    """A user's function: nobody knows that it does not write."""
    return float(np.percentile(values, q))


def ten_percentiles(function: Callable[..., Any]) -> list[Any]:
    """Of one array of 100 MB, which each of them assembles from its blocks."""
    x = da.random.default_rng(0).random(12_500_000, chunks=1_250_000)
    return [delayed(function)(x, q) for q in range(0, 100, 10)]


def load(n: int) -> Any:
    rows = np.random.default_rng(n).random((200_000, 4))
    return pd.DataFrame(rows, columns=[*"abcd"])


def clean(frame: Any) -> Any:
    frame["a"] = frame["a"].clip(0.1, 0.9)
    return frame


def mean_of(frame: Any, name: str) -> float:
    return float(frame[name].mean())


def four_means() -> list[Any]:
    """Of each column of eight frames, each loaded and cleaned anew."""

    def frames() -> list[Any]:
        return [delayed(clean)(delayed(load)(n)) for n in range(8)]

    return [delayed(mean_of)(frame, name) for name in "abcd" for frame in frames()]


# Copies


@dataclass
class Copies:
    """Handles that a run made.

    copied: of them, how many are copies
    bytes: of the copies
    """

    handles: int = 0
    copied: int = 0
    bytes: int = 0

    def counting(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """A function that makes handles, which counts them."""

        def counted(value: Any, again: Any) -> Any:
            handle = make(value, again)
            is_copy = handle is not value and getattr(handle, "base", None) is not value
            self.handles += 1
            self.copied += is_copy
            self.bytes += sizeof(handle) if is_copy else 0
            return handle

        return counted


def copies_of(outputs: list[Any]) -> Copies:
    """The handles of a shared run."""
    copies = Copies()
    with (
        patch.object(isolation, "isolated", copies.counting(copying.isolated)),
        patch.object(isolation, "viewed", copies.counting(copying.viewed)),
    ):
        dask.compute(*share(outputs), scheduler="sync")
    return copies


def copying_table() -> None:
    """Copies are bounded by the uses of merged tasks; what is saved is larger."""
    print(
        f"\n{'isolation':<34} tasks  shared  handles  copies      MB   run, s   shared, s   ratio"
    )
    programs: dict[str, Callable[[], list[Any]]] = {
        "naive delayed fib(16)": lambda: [naive(16)],
        "np.percentile ×10, 100 MB": partial(ten_percentiles, np.percentile),
        "a user's percentile ×10, 100 MB": partial(ten_percentiles, percentile),
        "means of 8 frames, loaded 4 times": four_means,
    }
    for name, build in programs.items():
        report = share_report(build())
        copies = copies_of(build())
        plain, shared = medians(
            lambda build=build: dask.compute(*build(), scheduler="sync"),  # type: ignore[misc] # of this round
            lambda build=build: dask.compute(*share(build()), scheduler="sync"),  # type: ignore[misc]
            rounds=3,
        )
        print(
            f"{name:<34} {report.before:>5,} {report.after:>7,} {copies.handles:>8,} "
            f"{copies.copied:>7,} {copies.bytes / 1e6:>7.1f} {plain:>8.2f} {shared:>11.2f} "
            f"{shared / plain:>7.2f}"
        )


# Time


def start(n: int) -> Any:
    return [n]


def first(values: Any) -> Any:
    return values[0]


def total(values: Any) -> Any:
    return sum(values)


def pairs(n: int) -> tuple[dict[Any, Any], list[str]]:
    """Tasks of which every other is equal to the one before, each with another consumer."""
    tasks: dict[Any, Any] = {}
    for number in range(n // 4):
        for name, function in (("first", first), ("total", total)):
            source = f"{name}-start-{number}"
            tasks[source] = Task(source, start, number)
            key = f"{name}-{number}"
            tasks[key] = Task(key, function, TaskRef(source))
    return tasks, [key for key in tasks if "start" not in key]


def alone(n: int) -> tuple[dict[Any, Any], list[str]]:
    """Nothing to share."""
    return {f"k{i}": Task(f"k{i}", start, i) for i in range(n)}, [f"k{i}" for i in range(n)]


def per_task() -> None:
    """The time per task as graphs grow, with handles and without."""
    print("\nshare, µs per task      10,000  100,000  1,000,000")
    for name, build in (("independent tasks", alone), ("half of them handles", pairs)):
        found = []
        for size in (10**4, 10**5, 10**6):
            tasks, keys = build(size)
            rounds = 5 if size < 10**6 else 1
            (seconds,) = medians(partial(share, tasks, keys=keys), rounds=rounds)
            found.append(seconds / size * 1e6)
        print(f"{name:<22} {found[0]:7.2f} {found[1]:8.2f} {found[2]:10.2f}")


def beside_optimize() -> None:
    """An array program of 20,000 tasks, beside Dask's own pass over it."""
    x = da.ones((2_000, 2_000), chunks=(40, 40))
    y = (x + x.T) - x.mean(axis=0)
    y = (y * y).sum(axis=0) + y.max(axis=1)
    tasks = len(dict(y.__dask_graph__()))
    shared, optimized = medians(partial(share, y), partial(dask.optimize, y), rounds=5)
    print(f"\nan array program of {tasks:,} tasks: share {shared:.2f} s, dask.optimize "
          f"{optimized:.2f} s, ratio {shared / optimized:.2f}")  # fmt: skip


if __name__ == "__main__":
    copying_table()
    per_task()
    beside_optimize()
