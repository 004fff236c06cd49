"""The store: hits and misses, small and large, beside joblib.Memory and diskcache.

Run by `python -m tests.benchmarks.storing`; the peers come with the extra `bench`.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import count
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.task_spec import Task, TaskRef

import pipeline
from pipeline import Store, TaskGraph
from pipeline.cache.task_digests import TaskDigests
from pipeline.store import Entry, encoded
from pipeline.store.entry import packed, size
from tests import fuzz
from tests.benchmarks.clock import medians

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = 32 * "0"


def numbered() -> Callable[[], str]:
    """Digests, each for once."""
    numbers = count(1)
    return lambda: f"{next(numbers):032x}"


def identity(x: Any) -> Any:
    return x


def many(times: int, function: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(times):
            function()

    return repeated


def small(folder: Path) -> None:
    """An int: microseconds."""
    import diskcache
    import joblib

    new, arguments = numbered(), count(1)
    durable, quick = Store(folder / "durable", durable=True), Store(folder / "quick", durable=False)
    told = {"function": "identity", "call": "identity(1)", "code": DIGEST,
            "arguments": [["1", DIGEST]], "seconds": 0.1}  # fmt: skip
    for each in (durable, quick):
        each.put(DIGEST, 12345, **told)
    memory = joblib.Memory(folder / "joblib", verbose=0).cache(identity)
    memory(0)
    disk = diskcache.Cache(folder / "diskcache")
    disk[DIGEST] = 12345
    times = 200
    hits = medians(
        many(times, lambda: quick.get(DIGEST)),
        many(times, lambda: memory(0)),
        many(times, lambda: disk[DIGEST]),
    )
    misses = medians(
        many(times, lambda: quick.put(new(), 12345, **told)),
        many(times, lambda: durable.put(new(), 12345, **told)),
        many(times, lambda: memory(next(arguments))),
        many(times, lambda: disk.__setitem__(new(), 12345)),
        rounds=5,
    )
    print("\nan int, µs                       hit    miss")
    rows = (
        ("pipeline, durable=False", hits[0], misses[0]),
        ("pipeline, with fsync", hits[0], misses[1]),
        ("joblib.Memory (no fsync)", hits[1], misses[2]),
        ("diskcache (SQLite, no fsync)", hits[2], misses[3]),
    )
    for name, hit, miss in rows:
        print(f"{name:<30} {hit / times * 1e6:5.0f} {miss / times * 1e6:7.0f}")


def written(path: Path, array: Any) -> None:
    """What storing an array takes at the least: its bytes on the disk, and a digest of them."""
    with path.open("wb") as file:
        file.write(array)
        file.flush()
        os.fsync(file.fileno())
    pipeline.digest(array)


def large(folder: Path) -> None:
    """100 MB of float64: milliseconds."""
    import diskcache
    import joblib

    array, new, places = np.random.default_rng(0).random(12_500_000), numbered(), count(1)
    place = folder / "large"
    Store(place, durable=True).put(DIGEST, array)
    memory = joblib.Memory(folder / "joblib-large", verbose=0)
    cached = memory.cache(partial_of(array))
    cached(0)
    disk = diskcache.Cache(folder / "diskcache-large", size_limit=2**34)
    disk[DIGEST] = array
    hits = medians(
        lambda: Store(place).get(DIGEST),  # a new store has verified nothing yet
        lambda: Store(place).get(DIGEST).sum(),
        lambda: cached(0),
        lambda: cached(0).sum(),
        lambda: disk[DIGEST],
    )
    store = Store(place, durable=True)
    misses = medians(
        lambda: store.put(new(), array),
        lambda: written(folder / f"plain-{new()}", array),  # a new file, as an entry is
        lambda: cached(next(places)),
        rounds=5,
    )
    print("\n100 MB of float64                 ms")
    for name, seconds in (
        ("hit, verified", hits[0]),
        ("hit, verified, and summed", hits[1]),
        ("joblib, mmap off: hit", hits[2]),
        ("joblib: hit, and summed", hits[3]),
        ("diskcache: hit", hits[4]),
        ("miss, with fsync", misses[0]),
        ("write, fsync and digest", misses[1]),
        ("joblib: miss (no fsync)", misses[2]),
    ):
        print(f"{name:<28} {seconds * 1e3:7.1f}")
    print(f"hit ÷ joblib's {hits[0] / hits[2]:.2f} (bar 0.5), "
          f"miss ÷ writing and digesting {misses[0] / misses[1]:.2f} (bar 1.2)")  # fmt: skip


def partial_of(array: Any) -> Callable[[int], Any]:
    def loaded(number: int) -> Any:
        return array

    return loaded


def tasks(n: int) -> TaskGraph:
    """A chain of n tasks, and one more that takes the last."""
    found: dict[Any, Any] = {"k0": Task("k0", identity, 0)}
    found |= {f"k{i}": Task(f"k{i}", add, TaskRef(f"k{i - 1}"), i) for i in range(1, n)}
    return TaskGraph(found, TaskRef(f"k{n - 1}"))


def warm(folder: Path) -> None:
    """A graph of 10,000 tasks whose output is stored."""
    store, graph = Store(folder / "warm", durable=False), tasks(10_000)
    pipeline.compute(graph, store=store, scheduler="sync")

    def digested() -> None:
        TaskDigests(graph.tasks).add(graph.keys)

    run, digests = medians(
        lambda: pipeline.compute(graph, store=store, scheduler="sync"), digested, rounds=5
    )
    print(f"\nwarm run of 10,000 tasks: {run * 1e3:.0f} ms, of which their digests "
          f"{digests * 1e3:.0f}: {(run - digests) * 1e3:.0f} ms more (bar 100)")  # fmt: skip


def deciding(folder: Path) -> None:
    """Whether digests are stored: half of those asked for are."""
    print("\nentries    digests asked   seconds   µs a digest")
    store, made = Store(folder / "many", durable=False), 0
    rng = random.Random(0)  # noqa: S311 - names of files
    names: list[str] = []
    for n in (10_000, 100_000, 1_000_000):
        while made < n:
            digest = f"{rng.getrandbits(128):032x}"
            place = folder / "many" / "entries" / digest[:2]
            place.mkdir(parents=True, exist_ok=True)
            os.close(os.open(place / digest, os.O_CREAT | os.O_WRONLY, 0o600))
            names.append(digest)
            made += 1
        asked = [
            *rng.sample(names, n // 2),
            *(f"{rng.getrandbits(128):032x}" for _ in range(n // 2)),
        ]
        start = time.perf_counter()
        found = store.known(asked)
        seconds = time.perf_counter() - start
        assert len(found) == n // 2
        print(f"{n:>9,} {n:>13,} {seconds:9.2f} {seconds / n * 1e6:9.1f}")


def flushed(folder: Path, n: int = 10_000) -> None:
    """Small outputs by the three ways to flush them, with the flush at the end."""
    print(f"\n{n:,} ints: durable    µs a put, with the flush    of processor time")
    for durable in (False, "end", True):
        store, new = Store(folder / f"flushed-{durable}", durable=durable), numbered()
        start, used = time.perf_counter(), time.process_time()
        for _ in range(n):
            store.put(f"{int(new(), 16) * 0x9E3779B97F4A7C15 % 2**128:032x}", 12345, function="f")
        store.flush()
        wall, used = time.perf_counter() - start, time.process_time() - used
        print(f"{durable!s:>21} {wall / n * 1e6:27.0f} {used / n * 1e6:20.0f}")


def indexed(folder: Path, n: int = 100_000) -> None:
    """A store of many entries whose index was lost."""
    store, rng = Store(folder / "indexed", durable=False), random.Random(0)  # noqa: S311 - no secret
    store.put(DIGEST, 12345)
    payload = encoded(12345)
    for number in range(n):
        digest = f"{rng.getrandbits(128):032x}"
        entry = Entry(digest, function=f"f{number % 7}", behind=rng.random(), bytes=size(payload))
        place = folder / "indexed" / "entries" / digest[:2]
        place.mkdir(exist_ok=True)
        (place / digest).write_bytes(b"".join(packed(entry, payload)))
    seconds = {}

    def clock(name: str, action: Callable[[], object], times: int = 1) -> None:
        start = time.perf_counter()
        many(times, action)()
        seconds[name] = (time.perf_counter() - start) / times

    clock("made again", store.usage)
    clock("opened", lambda: Store(store.url))
    clock("stats", lambda: (store.usage(), store.stats()))
    clock("ls", lambda: store.newest(40))
    clock("hit", lambda: store.get(DIGEST), 200)
    clock("miss", lambda: store.known(["f" * 32]), 200)
    bound, new = Store(store.url, max_bytes=store.usage().bytes), numbered()
    clock("first eviction, 5 %", lambda: bound.put(new(), 1))
    clock("put that evicts at times", lambda: bound.put(new(), 1), 200)
    print(f"\n{n:,} entries: ms")
    for name, duration in seconds.items():
        print(f"{name:<28} {duration * 1e3:9.2f}")


def crowded(folder: Path) -> None:
    """Sixteen processes that evict all the time, beside gc, rm and verify."""
    command = [sys.executable, "-m", "tests.store_workers", "evict_all_the_time"]
    kinds = [*["put"] * 16, "gc", "rm", "verify"]
    processes = [subprocess.Popen([*command, folder / "crowded", str(seed), kind],
                                  stdout=subprocess.PIPE, text=True)
                 for seed, kind in enumerate(kinds)]  # fmt: skip
    counts = [json.loads(process.communicate()[0]) for process in processes]
    puts = counts[:16]
    print(f"\nsixteen processes, 3 MB: {sum(count['steps'] for count in puts):,.0f} puts, the "
          f"longest took {max(count['longest'] for count in puts):.2f} s (bar 1), "
          f"{sum(count['wrong'] for count in counts):.0f} wrong values")  # fmt: skip


def fuzzed(cases: int = 100_000) -> None:
    """Payloads that were changed at random: each is refused, or a value."""
    start, rng = time.perf_counter(), random.Random(0)  # noqa: S311 - no secret
    payloads = [b"".join(map(bytes, encoded(each))) for each in fuzz.VALUES]
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(cases):
            refused += not fuzz.survives(fuzz.mutated(payloads[number % len(payloads)], rng))
    seconds = time.perf_counter() - start
    print(f"\n{cases:,} hostile payloads: {refused:,} refused, no other error; {seconds:.0f} s")


if __name__ == "__main__":
    begun, where = time.perf_counter(), Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
    try:
        small(where)
        large(where)
        warm(where)
        flushed(where)
        indexed(where)
        crowded(where)
        deciding(where)
        fuzzed()
    finally:
        shutil.rmtree(where)
    print(f"\n{time.perf_counter() - begun:.0f} s")
