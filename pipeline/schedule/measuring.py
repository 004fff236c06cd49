"""What a scheduler really ran: tasks, seconds and bytes, from its own callbacks."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.callbacks import Callback
from dask.sizeof import sizeof

from pipeline.graph import function_name
from pipeline.identity import format_duration
from pipeline.schedule.runs import Run, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dask.typing import Key


class Total(NamedTuple):
    """What the tasks of one function took together."""

    tasks: int
    seconds: float
    bytes: int


@dataclass(repr=False)
class Measurement:
    """The executions between the start and the end of a measurement, as they finished.

    seconds: of the whole, on the clock
    """

    runs: list[Run] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tasks(self) -> int:
        """How many tasks were run."""
        return len(self.runs)

    def __repr__(self) -> str:
        return f"<Measurement: {self.tasks:,} tasks, {format_duration(self.seconds)}>"

    @property
    def functions(self) -> dict[str, Total]:
        """Tasks, seconds and bytes by the name of the function, the longest first."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[function_name(run.key)].append(run)
        totals = {
            each: Total(len(runs), sum(run.seconds for run in runs), sum(run.bytes for run in runs))
            for each, runs in found.items()
        }
        return dict(sorted(totals.items(), key=lambda item: -item[1].seconds))


@contextmanager
def measure() -> Iterator[Measurement]:
    """Measure what the schedulers run meanwhile: the local ones, and the cluster of the client.

    Of a block, each task that it runs is told. A cluster is there before a measurement, and after
    it: `with scheduler("distributed"), measure() as measured`. Tasks that failed are not among the runs.
    Dask tells local schedulers' tasks of one computation at a time, not of several in threads.

    >>> import dask
    >>> from pipeline.apps.fibonacci import fib
    >>> with measure() as measured:
    ...     value = fib(12).compute(scheduler="sync")
    >>> measured.tasks, {name: total.tasks for name, total in measured.functions.items()}
    (13, {'fib': 13})
    """
    measured = Measurement()
    start = perf_counter()
    with _cluster(measured), _Recorder(measured):
        try:
            yield measured
        finally:
            measured.seconds = perf_counter() - start


def least_seconds(run: Callable[[], Any], enough: float = 0.05, most: int = 5) -> float:
    """The least time of a run, of up to `most` while they take less than `enough` together.

    The least is what the run itself takes; what is more is the machine's.
    """
    took: list[float] = []
    while not took or (sum(took) < enough and len(took) < most):
        start = perf_counter()
        run()
        took.append(perf_counter() - start)
    return min(took)


class _Recorder(Callback):  # type: ignore[misc] # Dask is untyped
    """Dask's local schedulers tell it of each task."""

    def __init__(self, measured: Measurement) -> None:
        super().__init__()
        self.measured = measured
        self.started: dict[Key, float] = {}

    def _pretask(self, key: Key, *_: Any) -> None:
        self.started[key] = perf_counter()

    def _posttask(self, key: Key, value: Any, dsk: Mapping[Key, Any], *_: Any) -> None:
        seconds = perf_counter() - self.started.pop(key)
        self.measured.runs += runs(dsk.get(key), key, seconds, sizeof(value))


@contextmanager
def _cluster(measured: Measurement) -> Iterator[None]:
    """Have the scheduler of the client, if there is one, tell what its workers run meanwhile."""
    # Without this import there is no client.
    distributed = sys.modules.get("distributed")
    try:
        client = distributed.default_client() if distributed else None
    except ValueError:
        client = None
    if client is None:
        yield
        return
    from pipeline.schedule.listening import listening

    with listening(client, measured.runs):
        yield
