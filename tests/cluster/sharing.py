"""A program that two clients of one cluster share: `python -m tests.cluster.sharing ADDRESS FILE`.

It prints what it computes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from dask import delayed

import pipeline


def grid(n: int) -> Any:
    return np.ones((n, n))


def total(array: Any) -> float:
    return float(array.sum())


def without_diagonal(array: Any) -> float:
    """It writes into its argument."""
    np.fill_diagonal(array, 0)
    return float(array.sum())


def pair(one: float, other: float) -> list[float]:
    return [one, other]


def words(path: str) -> int:
    return len(Path(path).read_text().split())


def sums() -> Any:
    """A sum over an array, and a sum over what another task has written into an equal one."""
    return delayed(pair)(
        delayed(total)(delayed(grid)(3)), delayed(without_diagonal)(delayed(grid)(3))
    )


def main(address: str, path: str) -> None:
    from distributed import Client

    with Client(address, timeout="100s"):
        print(json.dumps(pipeline.compute(sums(), delayed(words)(path), share=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
