"""What fusing is worth."""

from __future__ import annotations

import tracemalloc
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from pipeline import fuse, recurrence, task, trace
from pipeline import scheduler as on
from tests.benchmarks import peers
from tests.benchmarks.clock import medians
from tests.functions import fib


def table(n: int = 2000) -> None:
    """Running DAGs of cheap tasks, beside peers."""
    print(f"fusing, fib({n:,})                                        ms   times   bar")
    graph = fib(n).graph()
    again = graph.compile()
    again()
    ours, lecture, rerun, program, loop, unfused, delayed = medians(
        lambda: fib(n).compute(scheduler="sync"),
        lambda: peers.lecture_fib(n),
        lambda: graph.compute(scheduler="sync"),
        again,
        lambda: peers.loop_fib(n),
        lambda: fib(n).compute(scheduler="sync", fuse=False),
        lambda: peers.delayed_fib(n).compute(scheduler="sync"),
    )
    _row("trace + fuse + run ÷ the lecture's dictionary", ours, ours / lecture, "≤ 4")
    _row("dask.delayed, built and run ÷ the same", delayed, delayed / ours, "≥ 100")
    _row("run again on sync ÷ a loop with a dict", rerun, rerun / loop, "≤ 1.5")
    _row("run again, compiled ÷ a loop with a dict", program, program / loop, "≤ 1.5")
    _row("unfused on sync ÷ fused", unfused, unfused / ours, "≥ 10")
    _network()
    _cluster(n)


def _row(what: str, seconds: float, ratio: float | None, bar: str) -> None:
    times = f"{ratio:7.2f}" if ratio is not None else " " * 7
    print(f"{what:<50}{seconds * 1e3:8.2f} {times}   {bar}")


def _network() -> None:
    layers = 3
    values = peers.parameters((4, 3, 3, 2), 4)
    program = peers.tape_step(layers)
    by_hand = peers.hand_step(layers, *values)
    for one, other in zip(program(*values), by_hand, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    tape, hand = medians(
        lambda: [program(*values) for _ in range(100)],
        lambda: [peers.hand_step(layers, *values) for _ in range(100)],
        rounds=25,
    )
    _row("a tanh MLP step, 4-3-3-2, batch 4 ÷ by hand", tape / 100, tape / hand, "≤ 1.2")


def _cluster(n: int) -> None:
    from distributed import default_client

    with on("distributed"):
        workers = len(default_client().scheduler_info()["workers"])
        fib(3).compute()
        # Another n each time: the cluster may still hold the last value.
        numbers = count(n)
        (fused,) = medians(lambda: fib(next(numbers)).compute())
        (unfused,) = medians(lambda: fib(next(numbers)).compute(fuse=False), rounds=1)
    _row(f"on a LocalCluster of {workers}, already up", fused, None, "≤ 100 ms")
    _row("  the same, unfused", unfused, unfused / fused, "")


@task
def heavy(value: int) -> int:
    """A heavy task, for all that fusing knows."""
    return value


@recurrence
def mixed(n: int) -> Any:
    """Every fiftieth task is heavy."""
    if n < 2:
        return n
    return heavy(mixed(n - 1)) if n % 50 == 0 else (mixed(n - 1) + mixed(n - 2)) % peers.MODULUS


def per_task() -> None:
    """All that is done stays linear in the tasks."""
    print("\nµs per task, small values        trace    fuse     run     all")
    found = []
    for n in (1_000, 10_000, 100_000):
        graph = peers.small_fib(n).graph()
        fused = fuse(graph)
        trace_s, fuse_s, run_s, all_s = medians(
            lambda n=n: peers.small_fib(n).graph(),  # type: ignore[misc]
            partial(fuse, graph),
            lambda fused=fused: fused.compute(scheduler="sync", fuse=False),  # type: ignore[misc]
            lambda n=n: peers.small_fib(n).compute(scheduler="sync"),  # type: ignore[misc]
            rounds=5,
        )
        found.append(all_s / n)
        cells = "".join(f"{each / n * 1e6:8.2f}" for each in (trace_s, fuse_s, run_s, all_s))
        print(f"fib({n:>7,}) modulo 10⁹ + 7      {cells}")
    print(f"  largest ÷ smallest: {max(found) / min(found):.2f} (bar 1.5)")
    for name, graph in (
        ("every 50th task is heavy", mixed(20_000).graph()),
        ("two outputs", trace([fib(10_000), fib(9_000)])),
    ):
        (seconds,) = medians(partial(fuse, graph))
        print(f"fuse, {name:<35}{seconds / len(graph) * 1e6:8.2f} (bar 3)")


def memory(n: int = 100_000) -> None:
    """What the values of a run take at their most, in Python's own memory."""
    graph = fib(n).graph()
    fused = fuse(graph)
    tracemalloc.start()
    value = fused.compute(scheduler="sync")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    bits = value.bit_length()
    print(
        f"\nfib({n:,}) runs in {peak / 1e6:.1f} MB; its values add up to {bits * n / 16e6:.0f} MB"
    )
