"""Speed, beside its peers, in one run: `python -m tests.benchmarks`.

`… caching` prints the tables of the cache, `… recurrences` those of dynamic programming, `… memory`
those of budgets of memory, `… programs` that of twenty programs which other people write,
`… spilling` that of workers with little memory.

The machine may be noisy: what counts is the ratio, within one run.
"""

from __future__ import annotations

import sys
from functools import partial

from pipeline import contrast, count
from tests.benchmarks import caching, fusing, isolating, memory, programs, recurrences, spilling
from tests.benchmarks.clock import medians
from tests.functions import fib


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


def graphs() -> None:
    """All tables but those of the cache."""
    fusing.table()
    fusing.per_task()
    fusing.memory()
    per_task()
    drawing()
    isolating.copying_table()
    isolating.per_task()
    isolating.beside_optimize()


TABLES = {
    "graphs": graphs,
    "caching": caching.main,
    "memory": memory.table,
    "programs": programs.main,
    "recurrences": recurrences.main,
    "spilling": spilling.table,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or ["graphs"]:
        if name not in TABLES:
            sys.exit(f"{name}: no such tables; give {' or '.join(TABLES)}")
        TABLES[name]()
