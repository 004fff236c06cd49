"""Planning: what it takes to decide, before a run, what is stored and what is equal.

Run by `python -m tests.benchmarks.planning`. Seconds of this process, for nothing else counts.
"""

from __future__ import annotations

import tempfile
from functools import partial
from operator import add
from pathlib import Path
from time import process_time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dask import delayed
from dask.task_spec import Task, TaskRef

from pipeline import Store, TaskGraph, compute, share
from pipeline.cache.plan import make_plan
from pipeline.cache.running import open_collections

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS, NUMBERS, SHARED = 200, 200_000, 20


def seconds(function: Callable[[], object]) -> float:
    """Seconds of this process that a call takes."""
    start = process_time()
    result = function()
    taken = process_time() - start
    del result  # freed outside of the clock
    return taken


def project(functions: int = FUNCTIONS, group: int = FUNCTIONS) -> list[Any]:
    """Functions that call two of the others of their group, and two helpers each."""
    module = ModuleType("project")
    lines = ["import numpy as np", "TABLE = {'a': [1, 2, 3]}", "class Model:", "    rate = 2.0",
             "    def predict(self, x):", "        return x * self.rate"]  # fmt: skip
    for number in range(functions // 4):
        lines += [f"SCALE{number} = {number} / 7", f"def helper{number}(x):",
                  f"    return np.sqrt(x) * SCALE{number}"]  # fmt: skip
    for number in range(functions):
        start = number // group * group
        others = [start + (number * 7 + 3) % group, start + (number + 1) % group]
        helpers = [number % (functions // 4), (number * 5) % (functions // 4)]
        lines += [f"def step{number}(x, depth=0):", "    if depth:"]
        lines += [f"        x = x + step{other}(x, depth - 1)" for other in others]
        lines += [f"    x = helper{helper}(x) + len(TABLE)" for helper in helpers]
        lines += ["    return Model().predict(x)"]
    exec("\n".join(lines), vars(module))  # noqa: S102 - the program of a benchmark
    return [vars(module)[f"step{number}"] for number in range(functions)]


def plan(store: Store, *collections: Any) -> object:
    return make_plan(store, *open_collections(collections)[:2])


def functions(folder: Path) -> None:
    """Functions that reach each other, each the function of a task."""
    store = Store(folder)
    for group in (20, FUNCTIONS):
        collections = [delayed(step)(1.0) for step in project(group=group)]
        first, *later = [seconds(partial(plan, store, *collections)) for _ in range(4)]
        shared = min(seconds(partial(share, *collections)) for _ in range(3))
        print(f"{FUNCTIONS} functions, each reaches {group}: plan {first:.2f} s, "
              f"again {min(later):.2f}; share, again {shared:.2f}")  # fmt: skip


def literals(folder: Path) -> None:
    """A literal list that many tasks share."""
    store, numbers = Store(folder), [number / 3 for number in range(NUMBERS)]
    collections = [delayed(add)(numbers, [number]) for number in range(SHARED)]
    tasks, outputs = open_collections(collections)[:2]
    node = delayed(numbers)
    planned = seconds(lambda: make_plan(store, tasks, outputs))
    whole = seconds(lambda: plan(store, *[delayed(add)(node, [number]) for number in range(20)]))
    shared = seconds(lambda: share(*collections))
    print(f"a list of {NUMBERS:,} numbers in {SHARED} tasks: plan {planned:.2f} s, "
          f"with `delayed(list)` {whole:.2f}, share {shared:.2f}")  # fmt: skip


def twice(folder: Path) -> None:
    """`compute(share=True, store=…)` beside either alone."""
    numbers = list(range(NUMBERS))
    steps = project(group=20)
    for title, collections in (
        ("functions", [delayed(step)(1.0) for step in steps]),
        ("a list", [delayed(add)(numbers, [number]) for number in range(SHARED)]),
    ):
        for name, options in (
            ("share", {"share": True}),
            ("store", {"store": Store(folder / f"{title} one")}),
            ("both", {"share": True, "store": Store(folder / f"{title} both")}),
        ):
            taken = seconds(partial(compute, *collections, scheduler="sync", **options))
            print(f"compute {title}, {name}: {taken:.2f} s")


def chain(n: int) -> TaskGraph:
    """A chain of small tasks."""
    tasks: dict[Any, Any] = {"k0": Task("k0", abs, -1)}
    tasks |= {f"k{i}": Task(f"k{i}", add, TaskRef(f"k{i - 1}"), i) for i in range(1, n)}
    return TaskGraph(tasks, TaskRef(f"k{n - 1}"))


def warm(folder: Path) -> None:
    """The plan of a graph whose output is stored."""
    print("\nwarm plan                 tasks      µs a task")
    for n in (10_000, 100_000):
        store, graph = Store(folder / str(n), durable=False), chain(n)
        compute(graph, store=store, scheduler="sync")
        taken = min(seconds(lambda: make_plan(store, graph.tasks, graph.keys)) for _ in range(3))  # noqa: B023
        print(f"chain                 {n:>9,} {taken / n * 1e6:14.1f}")


def explained(folder: Path) -> None:
    """Misses beside a history of as many results."""
    print("\nexplain                  misses     µs a miss")
    for n in (250, 500, 1_000, 2_000):
        store = Store(folder / str(n), keep=[scaled], durable=False)
        compute([delayed(scaled)(number, 1.0) for number in range(n)], store=store,
                scheduler="sync")  # fmt: skip
        changed = [delayed(scaled)(number, 2.0) for number in range(n)]
        taken = seconds(lambda: str(store.explain(changed)))  # noqa: B023
        print(f"a changed argument    {n:>9,} {taken / n * 1e6:13.0f}")


def scaled(x: float, factor: float) -> float:
    return x * factor


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for part in (functions, literals, twice, warm, explained):
            (Path(place) / part.__name__).mkdir()
            part(Path(place) / part.__name__)
