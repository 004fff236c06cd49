"""A full-batch training step (forward, backward, SGD) of tanh and cross-entropy, beside peers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.task_spec import DataNode
from threadpoolctl import threadpool_limits

from pipeline import TaskGraph, trace
from pipeline.apps.mlp.layers import Layers, adjoint_of, initial, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CASES = {
    "a": (1797, (64, 32, 16, 10)),
    "b": (256, (784, 256, 128, 10)),
    "c": (64, (64, *(64,) * 20, 10)),
    "t": (4, (4, 3, 3, 2)),
}
RATE = 0.1


def ours(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """The step as a graph, compiled."""
    names = layers.parameters[::-1]  # the last layer first, as by hand
    graph, inputs = _graph(layers, names)
    program = graph.compile(inputs)
    return lambda: program(*arrays, share)


def our_jax(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """The same graph on the backend jax."""
    jax = _jax()
    graph, inputs = _graph(layers, layers.parameters)
    program = graph.compile(inputs, backend="jax")
    values = [jax.numpy.asarray(array) for array in arrays]
    return lambda: jax.block_until_ready(program(*values, share))


def our_torch(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """The same graph on the backend torch."""
    import torch

    graph, inputs = _graph(layers, layers.parameters)
    program = graph.compile(inputs, backend="torch")
    values = [torch.tensor(array) for array in arrays]
    return lambda: program(*values, share)


def naive(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """The same step as the sum over all paths: only what is given is shared."""
    graph, inputs = _graph(layers, layers.parameters, lambda call: call.args[0] in layers.inputs)
    program = graph.compile(inputs)
    return lambda: program(*arrays, share)


def _graph(layers: Layers, names: Sequence[str], memoize: Any = True) -> Any:
    """The loss and the new parameters. Their order is that in which a library computes them."""
    value = value_of(layers)
    adjoint = adjoint_of(layers, value)
    graph = trace(
        lambda: [value("L"), *(value(name) - RATE * adjoint(name) for name in names)],
        memoize=memoize,
    )
    return graph, [value(name) for name in layers.inputs]


def unfused(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """The same graph, task by task on Dask's synchronous scheduler."""
    given = dict(zip(layers.inputs, [*arrays, share], strict=True))
    graph, inputs = _graph(layers, layers.parameters)
    keys = {call.key: given[name] for call, name in zip(inputs, given, strict=True)}
    tasks = {
        key: DataNode(key, keys[key]) if key in keys else node for key, node in graph.tasks.items()
    }
    whole = TaskGraph(tasks, graph.outputs)
    return lambda: whole.compute(scheduler="sync", fuse=False)


def by_hand(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """NumPy with preallocated buffers; the new parameters are new arrays."""
    last = len(layers.sizes) - 1
    *parameters, x, y = arrays
    weights, biases = parameters[::2], parameters[1::2]
    rows = len(x)
    outs = [np.empty((rows, size), x.dtype) for size in layers.sizes[1:]]
    deltas = [np.empty((rows, size), x.dtype) for size in layers.sizes[1:]]
    slopes = [np.empty((rows, size), x.dtype) for size in layers.sizes[1:]]
    grads = [np.empty_like(w) for w in weights]

    def step() -> object:
        a = x
        for n in range(last):
            np.matmul(a, weights[n], out=outs[n])
            np.add(outs[n], biases[n], out=outs[n])
            if n < last - 1:
                np.tanh(outs[n], out=outs[n])
            a = outs[n]
        shifted, exp = outs[-1], slopes[-1]
        np.subtract(shifted, shifted.max(axis=1, keepdims=True), out=shifted)
        np.exp(shifted, out=exp)
        total = exp.sum(axis=1, keepdims=True)
        np.subtract(shifted, np.log(total), out=shifted)
        np.multiply(shifted, y, out=shifted)
        loss = -shifted.sum() * share
        delta = deltas[-1]
        np.divide(exp, total, out=delta)
        np.subtract(delta, y, out=delta)
        np.multiply(delta, share, out=delta)
        new = []
        for n in reversed(range(last)):
            before = outs[n - 1] if n else x
            np.matmul(before.T, delta, out=grads[n])
            np.multiply(grads[n], RATE, out=grads[n])
            new.append((weights[n] - grads[n], biases[n] - RATE * delta.sum(axis=0)))
            if n:
                np.matmul(delta, weights[n].T, out=deltas[n - 1])
                np.multiply(before, before, out=slopes[n - 1])
                np.subtract(1, slopes[n - 1], out=slopes[n - 1])
                np.multiply(deltas[n - 1], slopes[n - 1], out=deltas[n - 1])
                delta = deltas[n - 1]
        return loss, new

    return step


def pytorch(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """PyTorch, eager."""
    import torch

    *parameters, x, y = (torch.tensor(each) for each in arrays)
    leaves = [each.requires_grad_() for each in parameters]

    def step() -> object:
        a = x
        for n in range(0, len(leaves), 2):
            a = torch.addmm(leaves[n + 1], a, leaves[n])
            a = torch.tanh(a) if n < len(leaves) - 2 else a
        loss = torch.nn.functional.cross_entropy(a, y)
        grads = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            return loss, [leaf - RATE * grad for leaf, grad in zip(leaves, grads, strict=True)]

    return step


def autograd(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """HIPS autograd."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    *parameters, x, y = arrays
    of = value_and_grad(lambda values: _loss(anp, values, x, y, share))

    def step() -> object:
        loss, grads = of(parameters)
        return loss, [w - RATE * g for w, g in zip(parameters, grads, strict=True)]

    return step


def jax(layers: Layers, arrays: list[Any], share: float) -> Callable[[], object]:
    """JAX, jitted."""
    jax = _jax()
    *parameters, x, y = (jax.numpy.asarray(each) for each in arrays)

    def run(values: Any, x: Any, y: Any, share: Any) -> Any:
        loss, grads = jax.value_and_grad(lambda each: _loss(jax.numpy, each, x, y, share))(values)
        return loss, [w - RATE * g for w, g in zip(values, grads, strict=True)]

    compiled: Any = jax.jit(run)
    return lambda: jax.block_until_ready(compiled(parameters, x, y, share))


def _jax() -> Any:
    import jax
    import jax.numpy

    settings: Any = jax.config
    settings.update("jax_enable_x64", True)
    return jax


def _loss(np_: Any, values: Any, x: Any, y: Any, share: float) -> Any:
    a = x
    for n in range(0, len(values), 2):
        a = np_.matmul(a, values[n]) + values[n + 1]
        a = np_.tanh(a) if n < len(values) - 2 else a
    shifted = a - np_.max(a, axis=1, keepdims=True)
    total = np_.sum(np_.exp(shifted), axis=1, keepdims=True)
    return -np_.sum(y * (shifted - np_.log(total))) * share


PEERS = {"NumPy by hand": by_hand, "PyTorch": pytorch, "JAX jit": jax, "autograd": autograd,
         "unfused": unfused, "naive": naive}  # fmt: skip


BACKENDS = {"NumPy": (ours, by_hand), "JAX": (our_jax, jax), "PyTorch": (our_torch, pytorch)}
"""Our program on each backend, and the same step by hand."""


def backends(rounds: int = 50) -> None:
    """A step on each backend, and how many times the same by hand it takes; first calls, too."""
    print("\na training step on each backend, 1 thread; ours, and ours ÷ by hand")
    print(f"{'':<12}" + "".join(f"{name + ', ms':>14}{'÷ hand':>8}" for name in BACKENDS)
          + f"{'first call of JAX, s':>24}{'by hand':>9}")  # fmt: skip
    for name, dtype, case in _cases():
        steps = _made([make for pair in BACKENDS.values() for make in pair], case)
        first = [_seconds(step) if step else 0.0 for step in steps]
        seconds = _medians(steps, rounds, 1)
        cells = [
            f"{ours * 1e3:>14.4f}{ours / hand:>8.2f}" if hand else f"{'–':>14}{'–':>8}"
            for ours, hand in zip(seconds[::2], seconds[1::2], strict=True)
        ]
        print(f"{name}, {dtype:<9}{''.join(cells)}{first[2]:>24.2f}{first[3]:>9.2f}", flush=True)


def table(threads: int, rounds: int = 15) -> None:
    """Seconds of a step, ours, and how many times longer the peers take."""
    print(f"\na training step, {threads} thread{'s' * (threads > 1)}; peers ÷ ours")
    print(f"{'':<12}{'ours, ms':>10}" + "".join(f"{name:>15}" for name in PEERS))
    for name, dtype, case in _cases():
        seconds = _medians(_made([ours, *PEERS.values()], case), rounds, threads)
        cells = "".join(
            f"{each / seconds[0]:>15.2f}" if each else f"{'–':>15}" for each in seconds[1:]
        )
        print(f"{name}, {dtype:<9}{seconds[0] * 1e3:>10.3f}{cells}", flush=True)


def _cases() -> Iterator[tuple[str, str, Any]]:
    for name, (rows, sizes) in CASES.items():
        for dtype in ("float32", "float64"):
            layers = Layers(sizes, "tanh")
            rng = np.random.default_rng(0)
            x = rng.normal(size=(rows, sizes[0])).astype(dtype)
            y = np.eye(sizes[-1], dtype=dtype)[rng.integers(0, sizes[-1], rows)]
            yield name, dtype, (layers, [*initial(layers, 0, dtype).values(), x, y], 1 / rows)


def _made(makers: list[Any], case: Any) -> list[Any]:
    """The steps; None where a library is not installed."""
    steps: list[Any] = []
    for make in makers:
        try:
            steps.append(make(*case))
        except ImportError:
            steps.append(None)
    return steps


def _seconds(step: Callable[[], object]) -> float:
    start = perf_counter()
    step()
    return perf_counter() - start


def _medians(steps: list[Any], rounds: int, threads: int) -> list[float]:
    try:
        import torch

        torch.set_num_threads(threads)
    except ImportError:
        pass
    # With one thread, what else the machine does is not counted.
    clock = process_time if threads == 1 else perf_counter
    found: list[list[float]] = [[] for _ in steps]
    order = [place for place, step in enumerate(steps) if step is not None]
    shuffle = random.Random(0).shuffle  # noqa: S311 - no secrets
    with threadpool_limits(threads):
        for place in order:
            for _ in range(3):
                steps[place]()
        for _ in range(rounds):
            shuffle(order)  # what ran before leaves its caches behind
            for place in order:
                step = steps[place]
                start = clock()
                step()
                number = max(1, int(0.01 / max(clock() - start, 1e-6)))
                start = clock()
                for _ in range(number):
                    step()
                found[place].append((clock() - start) / number)
    return [median(each) if each else 0.0 for each in found]


ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}
"""Some libraries read the number of threads once, when they are imported."""


def main(tables: list[str]) -> None:
    """Print the tables `backends`, `1` and `2`, all of them by default; each in a process."""
    if len(tables) == 1:
        backends() if tables[0] == "backends" else table(int(tables[0]))
        return
    for name in tables or ["backends", "1", "2"]:
        command = [sys.executable, "-m", "tests.benchmarks.training", name]
        environment = os.environ | ({} if name == "2" else ONE_THREAD)
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
