"""A run over time: which task ran where and when, what was loaded and saved, and memory."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from tempfile import TemporaryDirectory
from threading import main_thread
from time import time
from typing import Any, NamedTuple

from dask.callbacks import Callback
from dask.task_spec import Task
from dask.typing import Key

from pipeline.graph import inputs_of
from pipeline.identity import format_duration
from pipeline.program import Block
from pipeline.schedule.measuring import cluster_tasks, current_client
from pipeline.schedule.notes import (
    Journal,
    Note,
    Sampler,
    Samples,
    Timed,
    WorkerNotes,
    open_journal,
    stop_noting,
    untimed,
    worker_plugin,
)


class Interval(NamedTuple):
    """A while in which a result was `loaded` or `saved`, the inputs of a task were `moved` from
    another worker or from the disk, or a store `planned` a run.

    start, end: seconds since the start of the recording
    """

    kind: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Span(NamedTuple):
    """A task that ran, from its start to its end on its worker.

    start, end: seconds since the start of the recording
    inputs: keys of the tasks whose values it took
    fused: how many tasks ran as this one
    consumers: how many tasks of the run took its value
    intervals: when something was loaded, saved or moved for it
    replaced: how many tasks these were before `share` merged equal ones, during the recording
    """

    key: Key
    worker: str
    start: float
    end: float
    inputs: tuple[Key, ...] = ()
    fused: int = 1
    consumers: int = 0
    intervals: tuple[Interval, ...] = ()
    replaced: int = 1

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def is_loaded(self) -> bool:
        """Whether its value was loaded from a store, and not computed."""
        return sum(part.kind == "loaded" for part in self.intervals) >= self.fused

    @property
    def is_saved(self) -> bool:
        """Whether its value, or one of a task that was fused with it, was stored."""
        return any(part.kind == "saved" for part in self.intervals)


class Sample(NamedTuple):
    """The memory of the processes of a run, in bytes, at a time of the recording."""

    seconds: float
    bytes: int


@dataclass(repr=False)
class Recording:
    """What ran between the start and the end of a recording.

    seconds: from start to end
    workers: in the order of their names; those of a cluster also if they were idle
    tasks: by their start
    planning: when a store planned what to load and what to compute
    memory: of the processes that run tasks, together, as the operating system reports it
    """

    name: str = ""
    seconds: float = 0.0
    workers: list[str] = field(default_factory=list)
    tasks: list[Span] = field(default_factory=list)
    planning: list[Interval] = field(default_factory=list)
    memory: list[Sample] = field(default_factory=list)

    @property
    def critical_path(self) -> list[Span]:
        """The chain of tasks that took longest, each an input of the next one.

        More workers do not make a run quicker than this.
        """
        return longest_chain(self.tasks)

    def __repr__(self) -> str:
        workers = f"{len(self.workers)} worker{'s' * (len(self.workers) != 1)}"
        name = f"{self.name}, " if self.name else ""
        seconds = format_duration(self.seconds)
        return f"<Recording: {name}{len(self.tasks):,} tasks on {workers}, {seconds}>"


def longest_chain(tasks: Sequence[Span]) -> list[Span]:
    """The chain of dependent tasks that took longest together, in their order.

    A task that ran several times is followed by the consumers that started after each run of it.
    """
    latest: dict[Key, int] = {}
    before: dict[int, int | None] = {}
    lengths: dict[int, float] = {}
    order = sorted(range(len(tasks)), key=lambda place: (tasks[place].start, tasks[place].end))
    for place in order:
        task = tasks[place]
        sources = [latest[key] for key in task.inputs if key in latest]
        longest = max(sources, key=lengths.__getitem__, default=None)
        before[place] = longest
        lengths[place] = task.seconds + (0.0 if longest is None else lengths[longest])
        latest[task.key] = place
    chain: list[Span] = []
    current = max(lengths, key=lengths.__getitem__, default=None)
    while current is not None:
        chain.append(tasks[current])
        current = before[current]
    return chain[::-1]


@contextmanager
def record(name: str = "") -> Iterator[Recording]:
    """Record what the schedulers run meanwhile: the local ones, and the cluster of the client.

    name: of the run, for its picture

    Start a cluster before: `with scheduler("distributed"), record() as run`. Its workers need this
    package. Failed tasks are not recorded. `timeline` draws the recording.

    >>> from pipeline.apps.fibonacci import fib
    >>> with record() as run:
    ...     value = fib(4).compute(scheduler="sync", fuse=False)
    >>> [task.key[1] for task in run.tasks], run.workers
    ([0, 1, 2, 3, 4], ['main'])
    """
    recording = Recording(name)
    with TemporaryDirectory(prefix="pipeline-") as folder:
        recorder = _Recorder(Journal(folder))
        begin = end = time()
        try:
            with recorder.listening():
                begin = time()
                try:
                    yield recording
                finally:
                    end = time()
        finally:
            recorder.write(recording, begin, end)


class _Ran(NamedTuple):
    """A task that ran.

    home: the process of its worker, or its address on a cluster
    start, end: seconds since 1970
    parts: the keys of the tasks that ran as this one
    moved: when its inputs came from elsewhere
    """

    key: Key
    home: str
    thread: int
    start: float
    end: float
    inputs: tuple[Key, ...] = ()
    parts: tuple[Key, ...] = ()
    moved: tuple[tuple[float, float], ...] = ()

    def at(self, note: Note) -> _Ran:
        """The task with the times that its worker noted."""
        ahead = self.start - note.start
        moved = tuple((start - ahead, end - ahead) for start, end in self.moved)
        return self._replace(start=note.start, end=note.end, moved=moved)


class _Graph(NamedTuple):
    """What the graph says of a task."""

    inputs: tuple[Key, ...]
    parts: tuple[Key, ...]


class _Recorder(Callback):  # type: ignore[misc] # Dask is untyped
    """Collects what local schedulers run, and the client's cluster.

    workers: of the cluster, by their addresses
    merged: how many equal tasks a task replaces
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.graph: dict[Key, _Graph] = {}
        self.ran: list[_Ran] = []
        self.notes: list[Note] = []
        self.samples: dict[str, Samples] = {}
        self.workers: dict[str, WorkerNotes] = {}
        self.merged: dict[Key, int] = {}

    def _pretask(self, key: Key, dsk: dict[Key, Any], _: Any) -> None:
        node = untimed(dsk[key])
        self.graph[key] = _Graph(tuple(inputs_of(node)), _parts(key, node))
        dsk[key] = Timed(dsk[key], self.journal)  # a copy of the graph, made for this run

    @contextmanager
    def listening(self) -> Iterator[None]:
        client = current_client()
        memory = self._memory_here() if client is None else self._workers(client)
        _recorders.append(self)
        try:
            with self, open_journal(self.journal), memory, cluster_tasks(_ran, self.ran.append):
                yield
        finally:
            _recorders.remove(self)

    @contextmanager
    def _memory_here(self) -> Iterator[None]:
        sampler = Sampler(has_children=True)
        sampler.start()
        try:
            yield
        finally:
            self.samples = sampler.stop()

    @contextmanager
    def _workers(self, client: Any) -> Iterator[None]:
        """The notes and the memory of the workers of a cluster."""
        name = self.journal.name
        client.register_plugin(worker_plugin(name), name=name)
        try:
            yield
        finally:
            self.workers = client.run(stop_noting, name)
            client.unregister_worker_plugin(name)
            for worker in self.workers.values():
                self.samples |= worker.samples
                if worker.process != self.journal.process:  # whose journal has them
                    self.notes += worker.notes

    def write(self, recording: Recording, begin: float, end: float) -> None:
        """Complete a recording that lasted from `begin` to `end`."""
        notes = [*self.notes, *self.journal.of_all_processes()]
        ran = self._tasks([note for note in notes if note.kind == "ran"])
        parts = _Parts([note for note in notes if note.kind in ("loaded", "saved")], begin)
        lanes = {(task.home, task.thread) for task in ran}
        idle = self.workers.keys() - {home for home, _ in lanes}
        names = self._names({*lanes, *((address, 0) for address in idle)})
        consumers = Counter(key for task in ran for key in {*task.inputs})
        spans = [
            Span(
                task.key, names[task.home, task.thread], task.start - begin, task.end - begin,
                task.inputs, len(task.parts), consumers[task.key],
                parts.within(task, self._process(task.home)),
                sum(self.merged.get(part, 1) for part in task.parts),
            )
            for task in ran
        ]  # fmt: skip
        spans += parts.alone()
        used = {span.worker for span in spans}
        recording.seconds = end - begin
        recording.workers = [*({"main"} & used - {*names.values()}), *names.values()]
        recording.tasks = sorted(spans, key=lambda span: (span.start, span.end))
        recording.planning = [
            Interval("planned", note.start - begin, note.end - begin)
            for note in notes if note.kind == "planned"
        ]  # fmt: skip
        recording.memory = _together(self.samples, begin, end)

    def _process(self, home: str) -> str:
        """The process of a worker."""
        worker = self.workers.get(home)
        return home if worker is None else worker.process

    def _tasks(self, notes: Iterable[Note]) -> list[_Ran]:
        """The tasks of the cluster, at the times of their notes, and those of local schedulers."""
        times: dict[tuple[str, int, Key | None], list[Note]] = defaultdict(list)
        for note in notes:
            times[note.process, note.thread, note.key].append(note)
        tasks = []
        for task in self.ran:
            own = times[self._process(task.home), task.thread, task.key]
            tasks.append(task.at(own.pop(0)) if own else task)
        for process, thread, key in times:
            for note in times[process, thread, key]:
                if key is not None and key in self.graph:
                    place = process, thread, note.start, note.end
                    tasks.append(_Ran(key, *place, *self.graph[key]))
        return tasks

    def _names(self, lanes: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """The names of workers, by process or address, and thread: `process 2`, `worker 1`."""
        names: dict[tuple[str, int], str] = {}
        numbers: Counter[str] = Counter()
        threads: dict[str, list[int]] = defaultdict(list)
        for home, thread in sorted(lanes):
            threads[home].append(thread)
        for home, own in threads.items():
            if home == self.journal.process:
                own.sort(key=lambda thread: thread != main_thread().ident)
                named = [thread for thread in own if thread != main_thread().ident]
                for thread in own:
                    is_main = thread == main_thread().ident
                    names[home, thread] = "main" if is_main else f"thread {named.index(thread) + 1}"
                continue
            kind = "worker" if home in self.workers else "process"
            numbers[kind] += 1
            for place, thread in enumerate(own, 1):
                suffix = f", thread {place}" if len(own) > 1 else ""
                names[home, thread] = f"{kind} {numbers[kind]}{suffix}"
        return names


_recorders: list[_Recorder] = []  # those that record now


def note_merged(times: Mapping[Key, int]) -> None:
    """Note for the recordings how many equal tasks each of these replaces."""
    for recorder in _recorders:
        recorder.merged.update(times)


def _ran(task: Any, details: Mapping[str, Any]) -> list[_Ran]:
    """A task of a cluster, as its scheduler knows it."""
    times = [span for span in details["startstops"] if span["action"] == "compute"]
    if not times:
        return []
    start, end = min(span["start"] for span in times), max(span["stop"] for span in times)
    moved = tuple(
        (span["start"], span["stop"])
        for span in details["startstops"]
        if span["action"] in ("transfer", "disk-read")
    )
    inputs = tuple(source.key for source in task.dependencies)
    home, thread = str(details.get("worker")), int(details.get("thread") or 0)
    return [
        _Ran(task.key, home, thread, start, end, inputs, _parts(task.key, task.run_spec), moved)
    ]


def _parts(key: Key, node: Any) -> tuple[Key, ...]:
    """The keys of the tasks that run as one."""
    if isinstance(node, Block):
        return tuple(node.function.keys)
    if isinstance(node, Task) and node.has_subgraph():
        return tuple(part for own, inner in node.args[0].items() for part in _parts(own, inner))
    return (key,)


class _Parts:
    """What was loaded and saved, by the thread that did it.

    begin: when the recording began
    """

    def __init__(self, notes: Iterable[Note], begin: float) -> None:
        self.begin = begin
        self.notes: dict[tuple[str, int], list[Note]] = defaultdict(list)
        for note in sorted(notes, key=attrgetter("start")):
            self.notes[note.process, note.thread].append(note)
        self.used: set[Note] = set()

    def within(self, task: _Ran, process: str) -> tuple[Interval, ...]:
        """What a task did, and what moved for it."""
        notes = self.notes[process, task.thread]
        first = bisect_left(notes, task.start, key=attrgetter("start"))
        found = [Interval("moved", start - self.begin, end - self.begin)
                 for start, end in task.moved]  # fmt: skip
        for note in notes[first:]:
            if note.start > task.end:
                break
            self.used.add(note)
            found.append(Interval(note.kind, note.start - self.begin, note.end - self.begin))
        return tuple(found)

    def alone(self) -> list[Span]:
        """The outputs that were loaded before the run, without a task."""
        return [
            Span(note.key, "main", start, end, intervals=(Interval("loaded", start, end),))
            for notes in self.notes.values()
            for note in notes
            if note.key is not None and note not in self.used
            for start, end in [(note.start - self.begin, note.end - self.begin)]
        ]


def _together(samples: Mapping[str, Samples], begin: float, end: float) -> list[Sample]:
    """The memory of several processes in a recording, each as at its last sample."""
    changes = [(at, process, size) for process, own in samples.items() for at, size in own]
    sizes: dict[str, int] = {}
    together: dict[float, int] = {}
    for at, process, size in sorted(changes):
        sizes[process] = size
        together[min(max(at, begin), end) - begin] = sum(sizes.values())
    return [Sample(at, size) for at, size in together.items()]
