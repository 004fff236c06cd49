"""The same work as others do it."""

from __future__ import annotations

import itertools
import operator
import sys
from typing import Any

import dask
import numpy as np

from pipeline import CompiledGraph, recurrence, trace


def delayed_fib(n: int) -> Any:
    """The same DAG of `dask.delayed` objects: each made once, and kept by hand."""
    add, known = dask.delayed(operator.add), {0: dask.delayed(0), 1: dask.delayed(1)}
    for each in range(2, n + 1):
        known[each] = add(known[each - 1], known[each - 2])
    return known[n]


def lecture_fib(n: int) -> int:
    """The dictionary program of the lecture notes, with the recursion limit raised."""
    dic = {0: 0, 1: 1}

    def fib(n: int) -> int:
        if n not in dic:
            dic[n] = fib(n - 1) + fib(n - 2)
        return dic[n]

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 4 * n + 1000))
    try:
        return fib(n)
    finally:
        sys.setrecursionlimit(limit)


def loop_fib(n: int) -> int:
    """A plain loop that stores into a dict."""
    dic: dict[int, int] = {}
    for each in range(n + 1):
        dic[each] = each if each < 2 else dic[each - 1] + dic[each - 2]
    return dic[n]


MODULUS = 10**9 + 7


@recurrence
def small_fib(n: int) -> Any:
    """Fibonacci numbers whose values stay small."""
    return n if n < 2 else (small_fib(n - 1) + small_fib(n - 2)) % MODULUS


@recurrence
def w(layer: int) -> Any:
    """The weights of a layer: given to each run."""
    return None


@recurrence
def b(layer: int) -> Any:
    """The biases of a layer: given to each run."""
    return None


@recurrence
def data(number: int) -> Any:
    """A batch of inputs, and what they should give: given to each run."""
    return None


@recurrence
def activation(layer: int) -> Any:
    """tanh of a layer."""
    if layer == 0:
        return data(0)
    return np.tanh(activation(layer - 1) @ w(layer) + b(layer))


@recurrence
def delta(layer: int, layers: int) -> Any:
    """∂L/∂z of a layer, of a mean squared error."""
    a = activation(layer)
    if layer == layers:
        return (a - data(1)) * 0.5 * (1 - a * a)
    return delta(layer + 1, layers) @ np.transpose(w(layer + 1)) * (1 - a * a)


def tape_step(layers: int) -> CompiledGraph:
    """One step of gradient descent, compiled."""
    each = range(1, layers + 1)
    steps = trace([
        [w(n) - 0.1 * (np.transpose(activation(n - 1)) @ delta(n, layers)) for n in each],
        [b(n) - 0.1 * np.sum(delta(n, layers), axis=0) for n in each],
    ])  # fmt: skip
    program: CompiledGraph = steps.compile([*map(w, each), *map(b, each), data(0), data(1)])
    return program


def hand_step(layers: int, *values: Any) -> list[list[Any]]:
    """The same operations, written by hand."""
    weights, biases, (x, y) = values[:layers], values[layers:-2], values[-2:]
    a = [x]
    for n in range(layers):
        a.append(np.tanh(a[n] @ weights[n] + biases[n]))
    new_weights, new_biases = list(weights), list(biases)
    d = (a[layers] - y) * 0.5 * (1 - a[layers] * a[layers])
    for n in reversed(range(layers)):
        new_weights[n] = weights[n] - 0.1 * (np.transpose(a[n]) @ d)
        new_biases[n] = biases[n] - 0.1 * np.sum(d, axis=0)
        if n:
            d = d @ np.transpose(weights[n]) * (1 - a[n] * a[n])
    return [new_weights, new_biases]


def parameters(sizes: tuple[int, ...], batch: int) -> list[Any]:
    """Weights, biases and data of a network, from a seed."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in itertools.pairwise(sizes)]
    biases = [rng.normal(size=size) for size in sizes[1:]]
    return [
        *weights, *biases, rng.normal(size=(batch, sizes[0])), rng.normal(size=(batch, sizes[-1])),
    ]  # fmt: skip
