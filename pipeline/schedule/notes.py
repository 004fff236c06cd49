"""What a process notes while it works: when tasks ran, when results were loaded and saved; memory.

A process notes only while it is recorded. Threads add to a list. Worker processes of a pool write
files, for Dask returns their results alone; workers of a cluster hand over their list at the end.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from pathlib import Path
from threading import Event, Thread, get_ident
from time import time
from typing import Any, NamedTuple

from dask.task_spec import GraphNode
from dask.typing import Key

SECONDS_BETWEEN_SAMPLES = 0.02

Samples = list[tuple[float, int]]
"""Times, and bytes at these times."""


class Note(NamedTuple):
    """Something that a thread of a process did for a while.

    kind: ran, loaded, saved, or planned
    start, end: seconds since 1970
    key: of the task; None within a task, and of a plan
    """

    kind: str
    process: str
    thread: int
    start: float
    end: float
    key: Key | None = None


def process_name() -> str:
    """The name of this process, different from those of all others on all machines."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Journal:
    """The notes of one recording. Worker processes have a copy, which writes to the same folder.

    name: of the folder; on a cluster, whose workers may be elsewhere, just a name
    process: the one that holds the notes in a list
    """

    def __init__(self, name: str, process: str = "") -> None:
        self.name = name
        self.process = process or process_name()
        self.notes: list[Note] = []
        self.sampler: Sampler | None = None

    def add(self, note: Note) -> None:
        if note.process == self.process:
            self.notes.append(note)
        else:
            # A worker of a cluster, elsewhere, may start processes, too.
            with suppress(OSError), open(os.path.join(self.name, str(os.getpid())), "ab") as file:
                file.write(pickle.dumps(note))

    def of_all_processes(self) -> list[Note]:
        """The notes of this process, and of those that wrote files."""
        notes = [*self.notes]
        for path in sorted(Path(self.name).iterdir()):
            with path.open("rb") as file, suppress(EOFError):
                while True:
                    notes.append(pickle.load(file))  # noqa: S301 - our own workers wrote it
        return notes

    def __reduce__(self) -> tuple[Any, ...]:
        return Journal, (self.name, self.process)


_journals: dict[str, Journal] = {}
"""The recordings that this process notes for, by name."""


@contextmanager
def noting(kind: str, key: Key | None = None) -> Iterator[None]:
    """Note that this thread does something meanwhile, for all recordings of this process."""
    if not _journals:
        yield
        return
    start = time()
    yield
    note = Note(kind, process_name(), get_ident(), start, time(), key)
    for journal in [*_journals.values()]:
        journal.add(note)


@contextmanager
def open_journal(journal: Journal) -> Iterator[None]:
    """Add the notes of this process to a journal meanwhile."""
    if journal.name in _journals:  # of the process that is recorded
        yield
        return
    _journals[journal.name] = journal
    try:
        yield
    finally:
        _journals.pop(journal.name, None)


class Timed(GraphNode):  # type: ignore[misc] # Dask is untyped
    """A task that notes when it ran, in the thread or process that runs it."""

    __slots__ = ("journal", "node")

    def __init__(self, node: Any, journal: Journal) -> None:
        self.key, self._dependencies = node.key, node.dependencies  # type: ignore[misc]
        self.node, self.journal = node, journal

    def __call__(self, values: Any = ()) -> Any:
        with open_journal(self.journal):
            start = time()
            value = self.node(values)
            note = Note("ran", process_name(), get_ident(), start, time(), self.key)
        self.journal.add(note)
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return Timed, (self.node, self.journal)


def untimed(node: Any) -> Any:
    """The task itself."""
    while isinstance(node, Timed):
        node = node.node
    return node


class Sampler(Thread):
    """Samples the memory of this process, and of the processes that it started, until `stop`.

    samples: by the name of the process
    """

    def __init__(self, *, has_children: bool) -> None:
        super().__init__(daemon=True)
        self.samples: dict[str, Samples] = defaultdict(list)
        self.has_children = has_children
        self.is_over = Event()
        self.sample()

    def run(self) -> None:
        while not self.is_over.wait(SECONDS_BETWEEN_SAMPLES):
            self.sample()

    def sample(self) -> None:
        import psutil

        host, own = process_name().split(":")
        children = active_children() if self.has_children else ()
        for number in (int(own), *(child.pid for child in children if child.pid)):
            with suppress(psutil.Error):  # it has ended
                size = psutil.Process(number).memory_info().rss
                self.samples[f"{host}:{number}"].append((time(), size))

    def stop(self) -> dict[str, Samples]:
        """All samples; the last one is of now."""
        self.is_over.set()
        self.join()
        self.sample()
        return dict(self.samples)


class WorkerNotes(NamedTuple):
    """What a worker of a cluster noted. Workers in one process have the notes of the process."""

    process: str
    notes: list[Note]
    samples: dict[str, Samples]


def worker_plugin(name: str) -> Any:
    """A plugin for the workers of a cluster, which has them note what they do.

    The times that workers report to their scheduler contain a guess of how far their clocks are
    apart. On a busy machine it is wrong by a tenth of a second, and changes all the time.
    """
    from distributed.diagnostics.plugin import WorkerPlugin  # half a second to import

    class Noting(WorkerPlugin):  # type: ignore[misc] # Dask is untyped
        """In each worker."""

        def setup(self, worker: Any) -> None:
            self.tasks = worker.state.tasks
            self.journal = start_noting(name)

        def transition(self, key: Key, start: str, finish: str, **_: Any) -> None:
            task = self.tasks.get(key)
            if task is None or task.run_spec is None or task.run_spec.is_coro:
                return
            if finish == "executing":
                task.run_spec = Timed(task.run_spec, self.journal)
            elif start == "executing":
                task.run_spec = untimed(task.run_spec)

    return Noting()


def start_noting(name: str) -> Journal:
    """Have this process note, and sample its memory, until `stop_noting`."""
    journal = _journals.setdefault(name, Journal(name))
    if journal.sampler is None:
        journal.sampler = Sampler(has_children=False)
        journal.sampler.start()
    return journal


def stop_noting(name: str) -> WorkerNotes:
    """On a cluster, each worker does it at the end."""
    journal = _journals.pop(name, None)
    if journal is None or journal.sampler is None:
        return WorkerNotes(process_name(), [], {})
    return WorkerNotes(process_name(), journal.notes, journal.sampler.stop())
