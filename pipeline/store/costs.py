"""What it takes to store a result and to load it, as measured on this store."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from itertools import islice
from typing import Any

from dask.sizeof import sizeof

from pipeline.store.backends import Backend
from pipeline.store.entry import Entry, packed, unpacked
from pipeline.store.failures import Failures
from pipeline.store.formats import encoded

_LARGE = 1 << 16  # bytes of a result from which on its storing says what a byte takes
_NEVER = 1e10  # seconds that storing takes where it fails: more than any task

_SECONDS_OF_CONTAINER, _SECONDS_OF_ITEM = 10e-6, 0.3e-6
"""To encode and decode a list of Python's, and an item of one; arrays and tables are bytes."""

_SAMPLE = 20
"""Items of a container that are looked at."""

_IMPORTS = {"sklearn": ("skops.io", 1.0)}
"""By package: what its format imports, and the seconds that this takes."""


class Costs:
    """Seconds to store and load results: a trial at the first call, then what results took."""

    def __init__(self, backend: Backend, failures: Failures) -> None:
        self._backend, self._failures = backend, failures
        self._trials: tuple[float, float] | None = None
        self._rates: dict[str, float] = {}  # seconds for a byte, by kind
        self._small: dict[str, float] = {}  # the least seconds of a small value, by kind

    def of(self, length: int, kind: str = "bytes") -> float:
        """Seconds to store and load a result of some bytes once.

        kind: of the value; some kinds take longer than their bytes
        """
        if self._trials is None:
            # The least of several: another program on the machine makes nothing slower.
            tries = range(3 if self._backend.is_local else 1)
            small, large = (min(self._trial(n) for _ in tries) for n in (64, 1 << 20))
            self._trials = small, max(large - small, 0.0) / 2**20
        small, rate = self._trials
        small = max(small, self._small.get(kind, 0.0))
        return small + length * max(rate, self._rates.get(kind, 0.0))

    def of_value(self, value: Any, length: int) -> float:
        """Seconds to store and load a value of some bytes once, without imports."""
        return self.of(length, _kind(value)) + _seconds_of_items(value, 4)

    def note(self, value: Any, length: int, seconds: float) -> None:
        """Note how long it took to store a value of some bytes."""
        kind = _kind(value)
        if length >= _LARGE:
            before = self._rates.get(kind, seconds / length)
            self._rates[kind] = (before + seconds / length) / 2  # the machine's load may change
        elif kind in self._small:
            self._small[kind] = min(self._small[kind] or seconds, seconds)
        else:
            self._small[kind] = 0.0  # the first one may have imported its format

    def _trial(self, length: int) -> float:
        """Seconds to store and load some bytes."""
        with self._failures.tolerating("written") as is_reachable:
            if is_reachable:
                entry, payload = Entry(os.urandom(16).hex()), encoded(bytes(length))
                start = time.perf_counter()
                view = self._backend.trial(entry.digest, packed(entry, payload))
                unpacked(view, entry.digest)
                return time.perf_counter() - start
        return _NEVER


def _kind(value: Any) -> str:
    """The type of a value, with that of the first item of a container: a dict of tables, say."""
    name = type(value).__name__
    if type(value) in (list, tuple, dict) and value:
        item = next(iter(value.values() if type(value) is dict else value))
        return f"{name} of {type(item).__name__}"
    return name


def estimated_bytes(value: Any) -> int:
    """The memory of a value, as Dask estimates it. 0 if that fails."""
    with suppress(Exception):  # a value's own `__sizeof__` may raise anything
        return int(sizeof(value))
    return 0


def seconds_of_import(value: Any) -> float:
    """Seconds to import what the format of a value needs, if this process has not yet."""
    package = type(value).__module__.partition(".")[0]
    module, seconds = _IMPORTS.get(package, ("sys", 0.0))
    return 0.0 if module in sys.modules else seconds


def _seconds_of_items(value: Any, depth: int) -> float:
    if type(value) not in (list, tuple, set, frozenset, dict) or not depth:
        return _SECONDS_OF_ITEM
    items = value.items() if type(value) is dict else value
    sample = [_seconds_of_items(item, depth - 1) for item in islice(items, _SAMPLE)]
    return _SECONDS_OF_CONTAINER + sum(sample) / max(len(sample), 1) * len(value)
