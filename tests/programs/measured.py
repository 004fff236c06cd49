"""One of the twenty programs, plain, shared, through an empty store and through a full one.

`python -m tests.programs.measured cold PROGRAM DATA PLACE SCHEDULER`, and then `warm` in place of
`cold`: a new process, with the store that the first one filled below PLACE. Each prints a line of
JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import cloudpickle
import dask
from dask.base import collections_to_expr, unpack_collections

import pipeline
from pipeline import Store, StoreWarning, measure, share_report
from pipeline.cache.explaining.past import NOT_STORED
from tests.judge.comparing import difference
from tests.programs.twenty import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEDULERS = "threads", "cluster"


@dataclass
class Cold:
    """A program in a process with an empty store. Times are in seconds.

    build: to make the collections, which the other times do not contain
    optimize: to optimize the collections, and the shared ones, which Dask does in each run
    tasks: before and after sharing, as Dask runs them
    unfused: the same, before Dask fuses them
    share: to share; shared: to share and to compute
    not_stored: reasons by function
    """

    build: float = 0.0
    plain: float = 0.0
    optimize: tuple[float, float] = (0.0, 0.0)
    tasks: tuple[int, int] = (0, 0)
    unfused: tuple[int, int] = (0, 0)
    share: float = 0.0
    shared: float = 0.0
    cold: float = 0.0
    bytes: int = 0
    entries: int = 0
    not_stored: dict[str, str] = field(default_factory=dict)
    differs: str = ""


@dataclass
class Warm:
    """A program in a new process with a full store. ran: the tasks that were not loaded"""

    warm: float = 0.0
    ran: list[str] = field(default_factory=list)
    differs: str = ""


def collections(name: str, data: Path) -> tuple[Any, ...]:
    made = PROGRAMS[name](data)
    return made if isinstance(made, tuple) else (made,)


def tasks_run(parts: tuple[Any, ...]) -> int:
    """How many tasks Dask runs for some collections, after it has optimized them."""
    leaves, _ = unpack_collections(*parts)
    return len(dict(collections_to_expr(leaves).optimize().__dask_graph__()))


class _Clock:
    seconds = 0.0

    def __enter__(self) -> _Clock:
        self._start = perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = perf_counter() - self._start


def cold(name: str, data: Path, place: Path, options: dict[str, Any]) -> Cold:
    """Run a program plain, shared, and through a store that it fills."""
    row = Cold()
    with _Clock() as build:
        parts = collections(name, data)
    with _Clock() as plain:
        values = dask.compute(*parts, **options)
    row.build, row.plain = build.seconds, plain.seconds
    parts = collections(name, data)
    with _Clock() as optimize:
        tasks = tasks_run(parts)
    parts = collections(name, data)
    with _Clock() as share:
        report = share_report(*parts)
    with _Clock() as shared:
        shared_values = dask.compute(*report.collections, **options)
    row.share, row.shared = share.seconds, share.seconds + shared.seconds
    with _Clock() as again:
        row.tasks = tasks, tasks_run(report.collections)
    row.optimize = optimize.seconds, again.seconds
    row.unfused = report.before, report.after
    parts, store = collections(name, data), Store(place / "store")
    with warnings.catch_warnings(), _Clock() as through:
        warnings.simplefilter("ignore", StoreWarning)
        stored_values = pipeline.compute(*parts, store=store, **options)
    row.cold, row.bytes, row.entries = through.seconds, store.usage().bytes, len(store)
    row.not_stored = not_stored(store, *collections(name, data))
    row.differs = difference(shared_values, values) or difference(stored_values, values)
    (place / "values").write_bytes(cloudpickle.dumps(values))
    return row


def warm(name: str, data: Path, place: Path, options: dict[str, Any]) -> Warm:
    """Run a program through a store that another process has filled."""
    with measure() as measured:
        parts, store = collections(name, data), Store(place / "store")
        with _Clock() as clock:
            values = pipeline.compute(*parts, store=store, **options)
    # By this project's own tests: nobody else has written this file.
    plain = cloudpickle.loads((place / "values").read_bytes())
    ran = [str(run.key) for run in measured.runs if not run.is_loaded]
    return Warm(clock.seconds, ran, difference(values, plain))


def not_stored(store: Store, *parts: Any) -> dict[str, str]:
    """Why results are refused, by function; not those that depend on others of these."""
    reasons = {}
    for line in store.explain(*parts).lines:
        past = (call[3] for call in store.notes.history(line.function))
        whys = [why for why in past if why and why != NOT_STORED]
        if line.status == "skipped" and not line.why.startswith("it depends on"):
            whys.append(line.why)
        reasons.update(dict.fromkeys([line.function] if whys else [], " ".join(whys[:1])))
    return reasons


@contextmanager
def running(scheduler: str) -> Iterator[dict[str, Any]]:
    """The options of a run on a scheduler; a cluster of two processes lives meanwhile."""
    if scheduler != "cluster":
        yield {"scheduler": scheduler}
        return
    from distributed import Client, LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster, Client(cluster):  # fmt: skip
        yield {}


def main(way: str, name: str, data: str, place: str, scheduler: str, tiny: str = "") -> None:
    """tiny: small data, for a run that imports what the program needs."""
    from dask import delayed

    with running(scheduler) as options:
        if tiny:
            dask.compute(*collections(name, Path(tiny)), **options)
            pipeline.compute(delayed(abs)(1), store=Store(Path(place) / "first"), **options)
        run = name, Path(data), Path(place), options
        print(json.dumps(asdict(cold(*run) if way == "cold" else warm(*run))))


if __name__ == "__main__":
    main(*sys.argv[1:])
