"""Processes that use one store, some of them to be killed: `python -m tests.store_workers …`."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dask import delayed

import pipeline
from pipeline import Store, pure
from pipeline.cache import verify_entries

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE, SMALL = 32 * "a", 32 * "b"


def appended(path: str, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{line}\n".encode())
    os.close(file)


@pure
def logged(path: str, n: int) -> int:
    """A task that says in a file that it ran."""
    appended(path, str(n))
    time.sleep(0.02)
    return n * n


@pure
def longer(path: str, before: Any, n: int) -> Any:
    """A task of a chain, whose result is large enough to be mapped."""
    appended(path, str(n))
    time.sleep(0.02)
    return before + np.full(50_000, float(n))


def chain(path: str, length: int) -> Any:
    step = delayed(longer)
    value: Any = np.zeros(50_000)
    for n in range(length):
        value = step(path, value, n)
    return value


def killed(work: Callable[[], object], wait: Callable[[], object]) -> None:
    """Do some work in a child, which is killed after some wait.

    A child that is forked is there at once, where a new Python takes a second.
    """
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    wait()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def written(folder: str, size: float) -> None:
    """Wait until a temporary file has a size, or is gone."""
    limit = time.monotonic() + 30
    while not (paths := temporary_files(folder)):
        assert time.monotonic() < limit
    with suppress(FileNotFoundError):
        while paths[0].stat().st_size < size and time.monotonic() < limit:
            pass


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same in each run


def temporary_files(folder: str) -> list[Path]:
    return list(Path(folder, "temporary").glob("*"))


def kill_writers(folder: str, rounds: str, size: str) -> dict[str, int]:
    """Kill a process at random points while it writes a large entry."""
    dice, counts = dice_of(6), {"complete": 0, "left": 0}
    value = np.random.default_rng(6).integers(0, 256, int(size), np.uint8)
    for number in range(int(rounds)):
        writer = Store(folder, durable=number % 3 == 0)
        point = dice.uniform(0, 1.3)  # of the bytes; over 1 while they go to the disk

        def wait(point: float = point) -> None:
            written(folder, min(point, 1.0) * int(size))
            time.sleep(max(point - 1, 0) / 4)

        killed(lambda writer=writer: writer.put(LARGE, value), wait)  # type: ignore[misc] # of this round
        counts["left"] += bool(temporary_files(folder))
        store = Store(folder)
        if LARGE in store:
            counts["complete"] += 1
            assert np.array_equal(store.get(LARGE), value)
        store.put(SMALL, number)
        assert (not temporary_files(folder), store.get(SMALL)) == (True, number)
        store.remove(LARGE)
    return counts


def kill_chains(folder: str, log: str, rounds: str) -> dict[str, int]:
    """Kill a process at random points while it runs a chain of tasks; then let one end."""
    dice = dice_of(7)
    pipeline.compute(chain(os.devnull, 3), scheduler="sync", store=Store(f"{folder}-first"))

    def run() -> Any:
        store = Store(folder, keep=["longer"])  # also where storing takes longer than a task
        return pipeline.compute(chain(log, 60), scheduler="sync", store=store)[0]

    def begun() -> int:
        return len(Path(log).read_text().split()) if os.path.exists(log) else 0

    for _ in range(int(rounds)):
        before = begun()

        def wait(before: int = before) -> None:
            """The second task begins when the result of the first is stored."""
            limit = time.monotonic() + 60
            while begun() < before + 2:
                assert time.monotonic() < limit
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.04))

        killed(run, wait)
    kept = {entry.digest for entry in Store(folder).entries()}
    before = begun()
    assert run()[0] == sum(range(60))
    store = Store(folder)
    assert kept <= {entry.digest for entry in store.entries() if store.open(entry.digest)}
    ran = begun() - before
    leases = len(list(Path(folder, "leases").glob("*")))
    return {
        "kept": len(kept),
        "ran": ran,
        "temporary": len(temporary_files(folder)),
        "leases": leases,
    }


def run_twenty(folder: str, log: str) -> list[int]:
    """The same tasks as other processes run at the same time."""
    step = delayed(logged)
    return list(pipeline.compute(*(step(log, n) for n in range(20)), store=Store(folder)))


def put_many(folder: str, seed: str, most: str) -> int:
    """Store entries under a bound, of random sizes."""
    dice = dice_of(int(seed))
    store = Store(folder, max_bytes=int(most), durable=False)
    for _ in range(60):
        store.put(dice.randbytes(16).hex(), dice.randbytes(dice.randrange(50_000)))
    return len(store)


def evict_all_the_time(folder: str, seed: str, kind: str) -> dict[str, float]:
    """Use a store of 3 MB that sixteen others fill. Returns wrong values, and the longest wait."""
    dice, store = dice_of(int(seed)), Store(folder, max_bytes=3_000_000)
    counts = {"wrong": 0.0, "steps": 0.0, "longest": 0.0}
    end = time.monotonic() + 5
    while time.monotonic() < end:
        number = dice.randrange(400)
        digest, value = f"{number * 7919:08x}" * 4, bytes([number % 251])
        start = time.perf_counter()
        match kind:
            case "put":
                store.put(digest, value * dice.randrange(2000, 60_000), behind=dice.random())
            case "gc":
                store.gc()
            case "rm":
                store.remove(digest)
            case _:
                counts["wrong"] += len(verify_entries(store).corrupt)
        counts["longest"] = max(counts["longest"], time.perf_counter() - start)
        counts["steps"] += 1
        with suppress(KeyError):
            loaded = store.get(digest)
            counts["wrong"] += loaded != value * len(loaded)
    return counts


def hold(folder: str, digest: str) -> str:
    """Have a lease until the end, which does not come by itself."""
    lease = Store(folder).lease(digest)
    print("held", flush=True)
    time.sleep(60)
    return repr(lease)


def hold_and_fork(folder: str) -> list[int]:
    """Run a task that leaves a child behind, and does not end by itself."""

    def forking() -> int:
        child = os.fork()
        time.sleep(0 if child else 60)
        print(child, flush=True)
        time.sleep(60)
        return child

    return list(pipeline.compute(delayed(forking)(), store=Store(folder), scheduler="sync"))


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
