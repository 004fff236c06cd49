"""A budget of memory: bytes and seconds of the gradient of a deep network, beside √n by hand.

`python -m tests.benchmarks memory`. Seconds are processor time of one thread, in turns.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from math import isqrt
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.apps.memory import binomial_steps
from pipeline.apps.mlp.layers import Layers, gradients, initial, value_of
from pipeline.program import BudgetError

HIDDEN, WIDTH, ROWS = 64, 64, 2_048
VALUE = ROWS * WIDTH * 8
BAR = "30 %: ≤ 1.50"


def by_hand(layers: Layers, arrays: list[Any], every: int) -> Callable[[], object]:
    """The loss and the gradients in NumPy, where each k-th layer is kept and others run again."""
    *parameters, x, y, share = arrays
    weights, biases = parameters[::2], parameters[1::2]
    last = len(weights)

    def layer(a: Any, n: int) -> Any:
        out = a @ weights[n]
        out += biases[n]
        return np.tanh(out, out=out) if n < last - 1 else out

    def step() -> object:
        kept, a = {0: x}, x
        for n in range(last - 1):
            if n % every == 0:
                kept[n] = a
            a = layer(a, n)
        outs = {last - 1: a}
        error = layer(a, last - 1) - y
        loss = np.sum(error * error) * (share / layers.sizes[-1])
        delta, found = error * (2 / layers.sizes[-1] * share), {}
        for n in reversed(range(last)):
            if n not in outs:
                first = n // every * every
                outs[first] = a = kept.pop(first)
                for inner in range(first, n):
                    outs[inner + 1] = a = layer(a, inner)
            a = outs.pop(n)
            found[f"w{n + 1}"], found[f"b{n + 1}"] = a.T @ delta, delta.sum(axis=0)
            if n:
                delta = delta @ weights[n].T
                delta *= 1 - a * a
        return {"L": loss, **found}

    return step


def table() -> None:
    """Peak bytes and seconds for each budget, and by hand."""
    layers = Layers((WIDTH,) * (HIDDEN + 1) + (10,), "tanh", "mse")
    rng = np.random.default_rng(0)
    arrays: list[Any] = [
        *initial(layers, 0).values(),
        rng.normal(size=(ROWS, WIDTH)),
        rng.normal(size=(ROWS, 10)),
        1 / ROWS,
    ]
    graph, inputs = gradients(layers), [value_of(layers)(name) for name in layers.inputs]
    expected = graph.compile(inputs)(*arrays)

    def program(memory: Any) -> Any:
        compiled = graph.compile(inputs, memory=memory)
        return lambda: compiled(*arrays)

    full = _peaks(program("100GB"))[1]
    budgets: dict[str, Any] = {"100 %": full}
    budgets |= {f"{percent} %": full * percent // 100 for percent in (50, 30, 20)}
    try:
        program(1)()
    except BudgetError as error:
        budgets["least"] = error.least
    runs = {name: program(budget) for name, budget in budgets.items()}
    root = isqrt(HIDDEN)
    runs["by hand, all kept"] = by_hand(layers, arrays, 1)
    runs[f"by hand, every {root}th (√n)"] = by_hand(layers, arrays, root)
    runs["no budget: with buffers"] = program(None)
    peaks = {name: _peaks(run) for name, run in runs.items()}
    for run in runs.values():
        for name, value in run().items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-12)
    seconds = _seconds(list(runs.values()))
    print(f"\ngradient of {HIDDEN} hidden layers of {WIDTH}, {ROWS:,} rows, float64; {BAR}")
    print(f"{'':<26}{'MB, at most':>12}{'÷ budget':>10}{'÷ full':>8}{'ms':>8}{'÷ full':>8}"
          f"{'first run: MB':>15}")  # fmt: skip
    for (name, (first, peak)), time in zip(peaks.items(), seconds, strict=True):
        share = f"{peak / budgets[name]:>10.3f}" if name in budgets else f"{'':>10}"
        print(f"{name:<26}{peak / 1e6:>12.2f}{share}{peak / full:>8.3f}{time * 1e3:>8.1f}"
              f"{time / seconds[0]:>8.2f}{first / 1e6:>15.2f}")  # fmt: skip
    print(f"\nbinomial checkpoints (Griewank and Walther), {HIDDEN} layers, values of "
          f"{VALUE / 1e6:.2f} MB")  # fmt: skip
    print(f"{'checkpoints':<26}{'% of layers':>12}{'layers computed again':>24}")
    for checkpoints in (64, 32, 19, 16, 12, 8, 4, 2, 1):
        again = binomial_steps(HIDDEN, checkpoints)
        print(f"{checkpoints:<26}{checkpoints / HIDDEN:>12.0%}{again:>24,}")


def _peaks(run: Callable[[], object]) -> tuple[int, int]:
    """The most bytes allocated in the first run and in a later one, results included."""
    peaks = []
    for _ in range(2):
        tracemalloc.start()
        run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return peaks[0], peaks[1]


def _seconds(runs: list[Callable[[], object]], rounds: int = 9) -> list[float]:
    found: list[list[float]] = [[] for _ in runs]
    with threadpool_limits(1):
        for _ in range(rounds):
            for run, seconds in zip(runs, found, strict=True):
                start = process_time()
                run()
                seconds.append(process_time() - start)
    return list(map(median, found))
