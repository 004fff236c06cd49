"""Medians of several rounds, in which the contestants take turns: what counts is the ratio."""

from __future__ import annotations

import gc
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def medians(*contestants: Callable[[], object], rounds: int = 7) -> list[float]:
    """Median seconds of each contestant."""
    seconds: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        for contestant, found in zip(contestants, seconds, strict=True):
            gc.collect()  # the garbage of one contestant is no work of the next
            start = perf_counter()
            result = contestant()
            found.append(perf_counter() - start)
            del result  # freed outside of the clock
    return [median(found) for found in seconds]
