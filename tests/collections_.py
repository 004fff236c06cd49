"""Dask programs in which something is computed twice, each with the tasks before and after."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask import delayed


def identity(n: int) -> int:
    return n


def add(a: int, b: int) -> int:
    return a + b


def naive(n: int) -> Any:
    """Fibonacci as everybody writes it first: every call a task of its own."""
    if n < 2:
        return delayed(identity)(n)
    return delayed(add)(naive(n - 1), naive(n - 2))


def load(i: int) -> int:
    return i


def clean(x: int) -> int:
    return x + 1


def feature(x: int) -> int:
    return 2 * x


def pipelines() -> list[Any]:
    """Two questions about the same fifty inputs, each with a pipeline of its own."""

    def rows() -> Any:
        each = [delayed(feature)(delayed(clean)(delayed(load)(i))) for i in range(50)]
        return delayed(sorted)(each)

    return [delayed(min)(rows()), delayed(max)(rows())]


def percentiles() -> list[Any]:
    x = da.random.default_rng(0).random(180, chunks=10) ** 2
    return [delayed(np.percentile)(x, p) for p in range(0, 100, 10)]


def standardized(matrix: Any) -> Any:
    x = da.from_array(matrix, chunks=(143, 5), name=False)
    return (x - x.mean(axis=0)) / x.std(axis=0)
