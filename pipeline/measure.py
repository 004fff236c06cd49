"""What a scheduler really ran: tasks, seconds and bytes, from its own callbacks."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.callbacks import Callback
from dask.sizeof import sizeof

from pipeline.keys import name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from dask.typing import Key


class Run(NamedTuple):
    """One execution of a task.

    seconds: on a local scheduler from hand-over to return, on a cluster of the work alone
    bytes: of the result, as Dask estimates them
    """

    key: Key
    seconds: float
    bytes: int


class Total(NamedTuple):
    """What the tasks of one function took together."""

    tasks: int
    seconds: float
    bytes: int


@dataclass
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

    @property
    def functions(self) -> dict[str, Total]:
        """Tasks, seconds and bytes by the name of the function, the longest first."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[name(run.key)].append(run)
        totals = {
            each: Total(len(runs), sum(run.seconds for run in runs), sum(run.bytes for run in runs))
            for each, runs in found.items()
        }
        return dict(sorted(totals.items(), key=lambda item: -item[1].seconds))


@contextmanager
def measure() -> Iterator[Measurement]:
    """Measure what the schedulers run meanwhile: the local ones, and the cluster of the client.

    A cluster is asked at the end for its task stream; it keeps the last 100,000 tasks, unless its
    configuration says otherwise. So a cluster is there before a measurement, and after it:
    `with on("distributed"), measure() as measured`. Tasks that failed are not among the runs.
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
    stream: Any = None
    try:
        with _task_stream() as stream, _Recorder(measured):
            try:
                yield measured
            finally:
                measured.seconds = perf_counter() - start
    finally:
        measured.runs += _runs(getattr(stream, "data", ()))


def _runs(stream: Iterable[Any]) -> Iterator[Run]:
    """The tasks in a cluster's stream that gave a result."""
    for record in stream:
        if "exception" not in record:
            spans = [each for each in record["startstops"] if each["action"] == "compute"]
            seconds = sum(each["stop"] - each["start"] for each in spans)
            yield Run(record["key"], seconds, record["nbytes"])


class _Recorder(Callback):  # type: ignore[misc] # Dask is untyped
    """Dask's local schedulers tell it of each task."""

    def __init__(self, measured: Measurement) -> None:
        super().__init__()
        self.measured = measured
        self.started: dict[Key, float] = {}

    def _pretask(self, key: Key, *_: Any) -> None:
        self.started[key] = perf_counter()

    def _posttask(self, key: Key, value: Any, *_: Any) -> None:
        seconds = perf_counter() - self.started.pop(key)
        self.measured.runs.append(Run(key, seconds, sizeof(value)))


def _task_stream() -> AbstractContextManager[Any]:
    # Without the import there is no client, and the import takes half a second.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return nullcontext()
    try:
        client = distributed.default_client()
    except ValueError:
        return nullcontext()
    stream: AbstractContextManager[Any] = distributed.get_task_stream(client)
    return stream
