"""A plugin of pytest: each computation is made by us and by Dask; what differs is recorded.

Loaded by `-p tests.judge.plugin`, before anything imports `dask.compute` by name. It does nothing
unless JUDGE_OUT is set. The environment:

- JUDGE_OUT: a file of JSON lines, one per test
- JUDGE_MODE: `plain` (Dask twice), `share`, `cold`, `warm`, or `alone` (warm, and not by Dask)
- JUDGE_STORE: the folder of the store
- JUDGE_SAMPLE: the fraction of the tests that run, chosen by a checksum of their names
- JUDGE_TESTS: a file with the names of the tests that run, in place of a sample
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache, wraps
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

SECONDS = 600
"""A test that takes longer is stopped."""

_SCHEDULERS = {
    None: None, "sync": "sync", "synchronous": "sync", "single-threaded": "sync",
    "threads": "threads", "threading": "threads", "processes": "processes",
    "multiprocessing": "processes",
}  # fmt: skip
"""The names that `pipeline.compute` has for Dask's schedulers."""


@dataclass
class Record:
    """What happened in one test.

    outcome: passed, failed, skipped, or crashed
    differences: as number of the computation → text
    loaded: results that a store had
    """

    test: str
    outcome: str = "crashed"
    compared: int = 0
    differences: dict[str, str] = field(default_factory=dict)
    error: str = ""
    loaded: int = 0


@dataclass
class Outcome:
    """The value of a computation, or its exception."""

    value: Any = None
    error: Exception | None = None

    @classmethod
    def of(cls, compute: Callable[[], Any]) -> Outcome:
        try:
            return cls(compute())
        except Exception as error:
            return cls(error=error)

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value

    def differs(self, plain: Outcome) -> str:
        from tests.judge.comparing import difference

        if type(self.error) is not type(plain.error):
            return f"raised {self.error!r} for {plain.error!r}"
        try:
            return difference(self.value, plain.value)
        except Exception as error:  # of the comparison
            return repr(error)


def read_records(path: Path) -> dict[str, Record]:
    """The last record of each test."""
    lines = path.read_text().splitlines() if path.exists() else []
    records = (Record(**json.loads(line)) for line in lines)
    return {record.test: record for record in records}


class Judge:
    """Makes computations in one mode, and keeps the record of the test that runs."""

    def __init__(self, mode: str, out: Path) -> None:
        self.mode, self.out = mode, out
        self.record = Record("")
        self.is_busy = False  # a computation within a computation is a part of it

    def judged(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """`dask.compute` or `dask.persist`, made by us and by Dask; the result is ours."""
        from dask.base import unpack_collections

        @wraps(plain)
        def compute(*args: Any, **options: Any) -> Any:
            leaves, _ = unpack_collections(*args, traverse=options.get("traverse", True))
            if self.is_busy or not leaves or _is_asynchronous():
                return plain(*args, **options)
            self.is_busy = True
            try:
                return self.compare(plain, args, options).result()
            finally:
                self.is_busy = False

        return compute

    def compare(self, plain: Callable[..., Any], args: Any, options: Any) -> Outcome:
        """Our outcome. A difference counts if Dask agrees with itself, in all orders of tasks."""
        ours = Outcome.of(lambda: getattr(self, self.mode)(plain, args, options))
        if self.mode == "alone":
            return ours
        _settle()
        theirs = Outcome.of(lambda: plain(*args, **options))
        self.record.compared += 1
        if text := ours.differs(theirs):
            again = (_disturbed(lambda: plain(*args, **options), order) for order in _orders())
            if self.mode == "plain" or not any(theirs.differs(other) for other in again):
                self.record.differences[str(self.record.compared)] = text
        return ours

    def plain(self, plain: Callable[..., Any], args: Any, options: Any) -> Any:
        return plain(*args, **options)

    def share(self, plain: Callable[..., Any], args: Any, options: Any) -> Any:
        from dask.base import unpack_collections

        from pipeline import share_report

        leaves, repack = unpack_collections(*args, traverse=options.get("traverse", True))
        return plain(*repack(share_report(*leaves).collections), **options)

    def cold(self, plain: Callable[..., Any], args: Any, options: Any) -> Any:
        import pipeline

        scheduler = options.get("scheduler")
        is_named = scheduler is None or isinstance(scheduler, str)
        if plain.__name__ == "compute" and is_named and not options.keys() - {"scheduler"}:
            name = _SCHEDULERS.get(scheduler, scheduler)
            return pipeline.compute(*args, store=_store(), scheduler=name)
        with _store():
            return plain(*args, **options)

    warm = cold

    alone = cold
    """The test itself judges. Dask would make up for a write that ours leaves out."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[Any]) -> None:
        done = read_records(self.out)
        chosen = [
            item
            for item in items
            if _is_chosen(_name(item))
            and _name(item) not in done
            and not item.get_closest_marker("network")
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Record the test before it runs, lest it end the process, and after it ran."""
        self.record = Record(_name(item))
        self.write()
        loaded = self.loaded()
        signal.signal(signal.SIGALRM, _stop)
        signal.alarm(SECONDS)
        faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
        try:
            return (yield)
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
            self.record.loaded = self.loaded() - loaded
            self.write()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.record.outcome != "failed":
            self.record.outcome = "failed"
            crash = getattr(report.longrepr, "reprcrash", None)
            self.record.error = " ".join(str(crash or report.longrepr).split())[:400]
        elif self.record.outcome == "crashed" and report.when != "teardown":
            self.record.outcome = "skipped" if report.skipped else "crashed"
            if report.when == "call" and report.passed:
                self.record.outcome = "passed"

    def loaded(self) -> int:
        """Results that this process had from the store."""
        return 0 if self.mode in ("plain", "share") else _store().done.hits

    def write(self) -> None:
        with self.out.open("a") as file:
            file.write(json.dumps(asdict(self.record)) + "\n")


def _name(item: Any) -> str:
    """The name of a test: independent of the folder that it is in."""
    return f"{item.module.__name__}::{item.nodeid.partition('::')[2]}"


def _is_chosen(test: str) -> bool:
    if names := os.environ.get("JUDGE_TESTS"):
        return test in _lines(names)
    return zlib.crc32(test.encode()) % 1000 < 1000 * Fraction(os.environ["JUDGE_SAMPLE"])


@cache
def _lines(path: str) -> set[str]:
    return set(Path(path).read_text().splitlines())


def _orders() -> Iterator[Callable[[str, int], int]]:
    """Priorities of tasks, by key and by Dask's priority: Dask promises no order of its tasks."""
    yield lambda key, priority: priority
    yield lambda key, priority: -priority
    yield lambda key, priority: zlib.crc32(key.encode())


def _disturbed(compute: Callable[[], Any], priority: Callable[[str, int], int]) -> Outcome:
    """A computation, in an order of tasks; memory that nobody initializes holds other bytes."""
    import dask.local
    import numpy as np

    order = dask.local.order

    def reordered(*args: Any, **options: Any) -> dict[Any, int]:
        return {key: priority(str(key), place) for key, place in order(*args, **options).items()}

    blocks = [np.full(2**power, 7, "u1") for power in range(4, 20) for _ in range(8)]
    del blocks
    with mock.patch("dask.local.order", reordered):
        return Outcome.of(compute)


def _settle() -> None:
    """Give a cluster the time to forget the keys of a run: the next run has the same."""
    client = sys.modules.get("distributed.client")
    if client is not None and client._get_global_client() is not None:
        time.sleep(0.2)


def _stop(*_: Any) -> None:
    pytest.fail(f"stopped after {SECONDS} seconds")


def _is_asynchronous() -> bool:
    """Whether this is a coroutine of a cluster's test: it awaits its results."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@cache
def _store() -> Any:
    from pipeline import Store

    return Store(os.environ["JUDGE_STORE"], durable=False)


def pytest_configure(config: pytest.Config) -> None:
    if judge is not None:
        config.pluginmanager.register(judge)


def _installed() -> Judge | None:
    if "JUDGE_OUT" not in os.environ:
        return None
    import dask.base

    found = Judge(os.environ["JUDGE_MODE"], Path(os.environ["JUDGE_OUT"]))
    for name in ("compute", "persist"):
        both = found.judged(getattr(dask.base, name))
        setattr(dask.base, name, both)
        setattr(dask, name, both)
    return found


judge = _installed()
