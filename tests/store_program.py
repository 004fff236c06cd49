"""A program with a store, run by itself: `python -m tests.store_program SCHEDULER=FOLDER …`.

Prints, for each scheduler, how many tasks ran and what came out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import dask.array as da
import dask.bag as db
import numpy as np
from dask import delayed

import pipeline
from pipeline import Store, measure, recurrence, task
from pipeline import scheduler as on


@task
def square(x: int) -> int:
    return x * x


@recurrence
def total(n: int) -> Any:
    return square(0) if n == 0 else total(n - 1) + square(n)


def load(name: str) -> Any:
    return np.arange(float(len(name)))


def shifted(block: Any) -> Any:
    return block + 1


def collections() -> list[Any]:
    """One of each kind."""
    x = da.from_array(np.arange(12.0), chunks=4)
    return [
        delayed(sum)(delayed(load)("abcdef")),
        total(20),
        x.map_blocks(shifted, dtype=x.dtype),
        db.from_sequence(range(6), npartitions=2).map(shifted),
        {"nested": [delayed(load)("ab")]},
    ]


def expected() -> list[Any]:
    return [15.0, 2870, list(range(1, 13)), list(range(1, 7)), {"nested": [[0.0, 1.0]]}]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def main(arguments: list[str]) -> None:
    results = {}
    for argument in arguments:
        scheduler, folder = argument.split("=")
        with on(scheduler), measure() as measured:
            values = pipeline.compute(*collections(), store=Store(folder))
        results[scheduler] = [measured.tasks, plain(values)]
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
