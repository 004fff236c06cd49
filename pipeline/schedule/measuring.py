"""What a scheduler really ran: tasks, seconds and bytes, from its own callbacks."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident
from time import perf_counter, time
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from dask.callbacks import Callback
from dask.sizeof import sizeof
from dask.typing import Key, no_default

from pipeline.graph import function_name
from pipeline.identity import format_duration
from pipeline.program import Block, LoadTask, Part
from pipeline.schedule.notes import untimed

T = TypeVar("T")

NO_VALUE = no_default
"""The value of a run whose result stayed on a cluster, or inside a block."""

_EPOCH = time() - perf_counter()


class Run(NamedTuple):
    """One execution of a task.

    worker: its thread or process on a local scheduler, its address on a cluster
    start, end: seconds since 1970; on a local scheduler from hand-over to return, on a cluster of
        the work alone. The tasks of a block share its time equally.
    bytes: of the result, as Dask estimates them; the outputs of a block share its bytes equally,
        its other tasks have 0
    is_loaded: whether the result was loaded from a store, and not computed
    """

    key: Key
    worker: Any
    start: float
    end: float
    bytes: int
    value: Any = NO_VALUE
    is_loaded: bool = False

    @property
    def seconds(self) -> float:
        return self.end - self.start


@contextmanager
def task_runs(handle: Callable[[Run], None]) -> Iterator[None]:
    """Call a function for each task that a scheduler finishes meanwhile.

    Local schedulers call it at once, in the thread that computes the graph. The cluster of the
    current client calls it at the end. Of a block, each task that it ran is a run. Failed tasks are
    none.
    """
    with cluster_tasks(_cluster_runs, handle), _LocalRuns(handle):
        yield


def _runs(node: Any, run: Run) -> list[Run]:
    """The runs that one task of a scheduler consists of, in their order."""
    if isinstance(node, Part):
        return []  # its value is one of a block's
    if isinstance(node, LoadTask):
        return [run._replace(is_loaded=True)]
    if not isinstance(node, Block):
        return [run]
    program = node.function
    step = run.seconds / len(program.keys)
    size = run.bytes // len(program.outputs)
    values = run.value if len(program.outputs) > 1 else (run.value,)
    value_of = {} if run.value is NO_VALUE else dict(zip(program.outputs, values, strict=True))
    return [
        Run(key, run.worker, run.start + place * step, run.start + (place + 1) * step,
            size if key in program.outputs else 0, value_of.get(key, NO_VALUE))
        for place, key in enumerate(reversed(program.keys))
    ]  # fmt: skip


class _LocalRuns(Callback):  # type: ignore[misc] # Dask is untyped
    """Dask's local schedulers call it before and after each task."""

    def __init__(self, handle: Callable[[Run], None]) -> None:
        super().__init__()
        self.handle = handle
        self.started: dict[Key, float] = {}

    def _pretask(self, key: Key, *_: Any) -> None:
        self.started[key] = perf_counter()

    def _posttask(self, key: Key, value: Any, dsk: Mapping[Key, Any], _: Any, worker: Any) -> None:
        end = _EPOCH + perf_counter()
        worker = worker or get_ident()  # None on the synchronous scheduler
        run = Run(key, worker, _EPOCH + self.started.pop(key), end, sizeof(value), value)
        for part in _runs(untimed(dsk.get(key)), run):
            self.handle(part)


def _cluster_runs(task: Any, details: Mapping[str, Any]) -> list[Run]:
    """The runs of a task of a cluster."""
    spans = [span for span in details["startstops"] if span["action"] == "compute"]
    begin = min((span["start"] for span in spans), default=0.0)
    end = begin + sum(span["stop"] - span["start"] for span in spans)
    run = Run(task.key, details.get("worker"), begin, end, details.get("nbytes") or 0)
    return _runs(task.run_spec, run)


def current_client() -> Any:
    """The client that Dask computes with; None if there is none, or one that has to be awaited."""
    # Without this import there is no client.
    distributed = sys.modules.get("distributed")
    try:
        client = distributed.default_client() if distributed else None
    except ValueError:
        return None
    return None if client is None or client.asynchronous else client


@contextmanager
def cluster_tasks(
    describe: Callable[[Any, Mapping[str, Any]], list[T]], handle: Callable[[T], None]
) -> Iterator[None]:
    """Call a function at the end for all that the tasks of the client's cluster are described by.

    describe: called in the scheduler for each finished task, with its state, and with what the
        worker reports; there the task itself says what it is
    """
    client = current_client()
    if client is None:
        yield
        return
    name = f"pipeline-{uuid4().hex}"
    client.register_plugin(_plugin(describe), name=name)
    try:
        yield
    finally:
        # Dask passes the scheduler to a parameter of this name.
        for description in client.run_on_scheduler(
            lambda dask_scheduler: dask_scheduler.plugins[name].descriptions
        ):
            handle(description)
        client.unregister_scheduler_plugin(name)


def _plugin(describe: Callable[[Any, Mapping[str, Any]], list[T]]) -> Any:
    from distributed.diagnostics.plugin import SchedulerPlugin  # half a second to import

    class Listener(SchedulerPlugin):  # type: ignore[misc] # Dask is untyped
        """In the scheduler."""

        def __init__(self) -> None:
            self.descriptions: list[T] = []

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Key, start: str, finish: str, *_: Any, **details: Any) -> None:
            if start == "processing" and finish == "memory":
                self.descriptions += describe(self.scheduler.tasks[key], details)

    return Listener()


class Total(NamedTuple):
    """What the tasks of one function took together."""

    tasks: int
    seconds: float
    bytes: int


@dataclass(repr=False)
class Measurement:
    """The runs between the start and the end of a measurement, as they finished.

    seconds: of the whole, on the clock
    """

    runs: list[Run] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tasks(self) -> int:
        """How many tasks ran."""
        return len(self.runs)

    def __repr__(self) -> str:
        return f"<Measurement: {self.tasks:,} tasks, {format_duration(self.seconds)}>"

    @property
    def functions(self) -> dict[str, Total]:
        """Tasks, seconds and bytes by the name of the function, the longest first."""
        groups: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            groups[function_name(run.key)].append(run)
        totals = {
            name: Total(len(runs), sum(run.seconds for run in runs), sum(run.bytes for run in runs))
            for name, runs in groups.items()
        }
        return dict(sorted(totals.items(), key=lambda item: -item[1].seconds))


@contextmanager
def measure() -> Iterator[Measurement]:
    """Measure what the schedulers run meanwhile: the local ones, and the cluster of the client.

    Failed tasks and results loaded from a store are not among the runs. Start a cluster before the
    measurement: `with scheduler("distributed"), measure() as measured`. Dask reports the tasks of
    local schedulers for one computation at a time, not for several in threads.

    >>> import dask
    >>> from pipeline.apps.fibonacci import fib
    >>> with measure() as measured:
    ...     value = fib(12).compute(scheduler="sync")
    >>> measured.tasks, {name: total.tasks for name, total in measured.functions.items()}
    (13, {'fib': 13})
    """
    measured = Measurement()

    def add(run: Run) -> None:
        if not run.is_loaded:
            measured.runs.append(run._replace(value=NO_VALUE))

    start = perf_counter()
    with task_runs(add):
        try:
            yield measured
        finally:
            measured.seconds = perf_counter() - start
