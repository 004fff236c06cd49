"""A cache of plain functions beside its peers, in one run: `python -m tests.benchmarks caching`.

Peers: joblib.Memory, diskcache, cachau (extra `bench`). functools.cache is the floor: it keeps the
values themselves in memory. Each time is the median of several rounds, in which all take turns. A
peer that is not installed has no times. Only cachau and `pipeline` flush what they write to the
disk: cachau each result, `pipeline` those of a second together. Entries lie where the variable
`BENCH_DIR` says, or in a temporary folder.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dask import delayed

from pipeline import Store, compute, digest
from tests.benchmarks import edits
from tests.benchmarks.caches import (
    DURABLE,
    FLOOR,
    IN_MEMORY,
    NAMES,
    ON_DISK,
    OURS,
    SMALL,
    Column,
    Function,
)
from tests.benchmarks.clock import medians


class Sizes(NamedTuple):
    """How much is measured.

    calls: of a small function, in one round
    rounds: for each median
    arrays: bytes of arrays, by what a row says
    argument: bytes of an array that is an argument
    """

    calls: int = 1000
    rounds: int = 7
    arrays: tuple[tuple[str, int], ...] = (("10 MB", 10**7), ("100 MB", 10**8))
    argument: int = 10**7


class Row(NamedTuple):
    """Seconds by the name of the column."""

    label: str
    unit: str
    seconds: dict[str, float]
    bar: str = ""


CONFIGURATION = {"rate": 0.1, "layers": [64, 32, 10], "name": "small"}

# The functions: each takes next to no time


def double(number: int) -> int:
    return 2 * number


def filled(number: int, size: int) -> Any:
    return np.full(size // 8, float(number))


def kind(value: Any) -> str:
    return type(value).__name__


def empty(number: int) -> None:
    pass


class Bench:
    """Measures, in new folders below one."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder, self.sizes = folder, sizes
        self._numbers = count()

    def caches(self, columns: tuple[Column, ...], function: Function) -> dict[str, Function]:
        """The function in each cache that is installed, all of them empty."""
        place = self.folder / str(next(self._numbers))
        made = {}
        for number, column in enumerate(columns):
            if column.is_installed:
                (folder := place / str(number)).mkdir(parents=True)
                made[column.name] = column.new(folder)(function)
        return made

    def times(self, contestants: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        found = medians(*contestants.values(), rounds=self.sizes.rounds)
        return dict(zip(contestants, found, strict=True))

    def calls(
        self, functions: dict[str, Function], arguments: Callable[[], Iterator[Any]]
    ) -> dict[str, float]:
        """Seconds for one of many calls."""
        calls = self.sizes.calls
        contestants = {
            name: functools.partial(_call, function, arguments(), calls)
            for name, function in functions.items()
        }
        return {name: seconds / calls for name, seconds in self.times(contestants).items()}

    # The rows

    def ints(self) -> Iterator[Row]:
        """Hits and misses of an int."""
        for label, columns, bar in (
            ("hit of an int, from the disk", SMALL, "≤ 30"),
            ("hit of an int, from memory", IN_MEMORY, "≤ 5"),
        ):
            functions = self.caches(columns, double)
            for function in functions.values():
                function(3)
            yield Row(label, "µs", self.calls(functions, lambda: repeat(3)), bar)
        misses = self.calls(self.caches(SMALL, double), count)
        yield Row("miss of an int", "µs", misses)
        yield from self._different()

    def _different(self) -> Iterator[Row]:
        """Ints that differ: all stored, and on the disk; then all loaded by another store."""
        calls = self.sizes.calls

        def store(column: Column, numbers: Iterator[int]) -> None:
            function = column.new(self.folder / f"{column.name}-{next(numbers)}")(double)
            _call(function, iter(range(calls)), calls)
            if column.name == OURS:
                function.store.flush()  # type: ignore[attr-defined]

        def load(column: Column) -> None:
            _call(column.new(self.folder / f"{column.name}-0")(double), iter(range(calls)), calls)

        columns = [column for column in SMALL if column.is_installed]
        stores = {column.name: functools.partial(store, column, count()) for column in columns}
        loads = {column.name: functools.partial(load, column) for column in columns}
        label = f"{calls:,} different ints"
        yield Row(f"{label}: stored and flushed", "ms", self.times(stores))
        yield Row(f"{label}: loaded, by a new store", "ms", self.times(loads))

    def arrays(self) -> Iterator[Row]:
        """Hits and misses of arrays."""
        for size_name, size in self.sizes.arrays:
            functions, numbers = self.caches(ON_DISK, filled), count(1)
            hits = {
                name: functools.partial(function, 0, size) for name, function in functions.items()
            }
            for hit in hits.values():
                hit()
            yield Row(f"hit of {size_name}", "ms", self.times(hits))
            sums = {name: functools.partial(_sum, hit) for name, hit in hits.items()}
            yield Row(f"hit of {size_name}, and its sum", "ms", self.times(sums))
            misses = {
                name: functools.partial(_next_call, function, numbers, size)
                for name, function in functions.items()
            }
            misses["the call"] = functools.partial(_next_call, filled, numbers, size)
            yield Row(f"miss of {size_name}", "ms", self.times(misses))
            shutil.rmtree(self.folder)
            self.folder.mkdir()

    def arguments(self) -> Iterator[Row]:
        """Hits with other arguments than an int. Of an array: how much more, and the hash alone."""
        array = np.random.default_rng(0).random(self.sizes.argument // 8)
        small, functions = self.caches(SMALL, kind), self.caches(SMALL, kind)
        for name, function in functions.items():
            function(array)
            for value in (3, CONFIGURATION):
                small[name](value)
        dicts = self.calls(small, lambda: repeat(CONFIGURATION))
        yield Row("hit, a small dict as argument", "µs", dicts)
        hits = {name: functools.partial(function, array) for name, function in functions.items()}
        hits["the hash"] = functools.partial(digest, array)
        large, ints = self.times(hits), self.calls(small, lambda: repeat(3))
        more = {name: seconds - ints.get(name, 0) for name, seconds in large.items()}
        label = f"hit, {self.sizes.argument / 1e6:g} MB as argument: more than an int"
        yield Row(label, "ms", more, "≥ 5 GB/s")

    def durable(self) -> Row:
        """Misses of an int, by when the results are on the disk."""
        return Row("miss of an int", "µs", self.calls(self.caches(DURABLE, double), count))

    def graph(self) -> tuple[float, float]:
        """Seconds of a hit in a graph, and of a graph of one empty function without a store."""
        store = Store(self.folder / "graph")
        compute(delayed(double)(3), store=store, scheduler="sync")
        calls = self.sizes.calls // 5

        def hit() -> None:
            for _ in range(calls):
                compute(delayed(double)(3), store=store, scheduler="sync")

        def nothing() -> None:
            for _ in range(calls):
                delayed(empty)(3).compute(scheduler="sync")

        taken, least = medians(hit, nothing, rounds=self.sizes.rounds)
        return taken / calls, least / calls


def _call(function: Function, arguments: Iterator[Any], calls: int) -> None:
    for _ in range(calls):
        function(next(arguments))


def _next_call(function: Function, numbers: Iterator[int], size: int) -> object:
    return function(next(numbers), size)


def _sum(hit: Callable[[], Any]) -> float:
    return float(hit().sum())


# The tables

_PER = {"µs": 1e6, "ms": 1e3}


def _show(cells: Sequence[str]) -> None:
    print(f"| {cells[0]:<45} |" + "|".join(f"{cell:>13} " for cell in cells[1:]) + "|", flush=True)


def _cells(row: Row) -> list[str]:
    times = [_short(row.seconds[name] * _PER[row.unit]) if name in row.seconds else "–"
             for name in NAMES]  # fmt: skip
    peers = [row.seconds[name] for name in NAMES if name in row.seconds.keys() - {OURS, FLOOR}]
    ratio = f"{row.seconds[OURS] / min(peers):.2f}" if peers else "–"
    return [f"{row.label}, {row.unit}", *times, ratio, row.bar]


def _short(number: float) -> str:
    """A number with three digits, or all before the point."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def main(sizes: Sizes = Sizes()) -> None:  # noqa: B008 - it is immutable
    """Print all tables."""
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
    try:
        _tables(Bench(folder / "bench", sizes))
        edits.table(folder / "edits")
    finally:
        shutil.rmtree(folder)


def _tables(bench: Bench) -> None:
    bench.folder.mkdir()
    for column in SMALL:
        if not column.is_installed:
            print(f"{column.name}: not installed (pip install -e '.[bench]')")
    _show(["", *NAMES, "÷ best peer", "bar"])
    _show(["---"] * (len(NAMES) + 3))
    notes = []
    for row in chain(bench.ints(), bench.arrays(), bench.arguments()):
        _show(_cells(row))
        if "the call" in row.seconds:
            notes.append(
                f"{row.label}: the call alone takes {row.seconds['the call'] * 1e3:.3g} ms"
            )
        if "the hash" in row.seconds:
            size = bench.sizes.argument / 1e9
            notes.append(
                f"{row.label}: {size / row.seconds[OURS]:.1f} GB/s; "
                f"the hash alone: {size / row.seconds['the hash']:.1f} GB/s"
            )
    print("", *notes, sep="\n")
    row = bench.durable()
    times = ", ".join(f"durable={name} {time * 1e6:.0f}" for name, time in row.seconds.items())
    print(f"{row.label}, µs: {times}")
    hit, least = bench.graph()
    print(
        f"a hit in a graph of one task {hit * 1e6:.0f} µs ÷ Dask with an empty function "
        f"{least * 1e6:.0f} µs: {hit / least:.2f} (bar 1.3)"
    )


if __name__ == "__main__":
    sys.exit("run it as: python -m tests.benchmarks caching")
