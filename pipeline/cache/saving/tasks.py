"""Tasks that load or save a result."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.cache.isolating import is_uncopied
from pipeline.cache.records import (
    Found,
    Run,
    brings_code,
    content_key,
    find,
    find_by_content,
    free_variant,
    listed,
    note_content,
    put_back,
)
from pipeline.cache.saving.details import Later, TaskDetails, made_now
from pipeline.cache.tracking import (
    Input,
    Outcome,
    Watched,
    absolute_paths,
    add_inputs,
    merged,
    observing,
    passed_on,
    reads_in_c,
)
from pipeline.identity import is_data
from pipeline.schedule import noting
from pipeline.store import (
    Entry,
    Lease,
    LostError,
    Store,
    StoreError,
    UnstorableError,
    checksum,
    encoded,
    estimated_bytes,
    files_in,
    is_storable,
    nearby,
    note_place,
    script_classes,
    seconds_of_import,
    size,
)

_MAX_HASHED = 1 << 20
"""Bytes of an input that is hashed, at most, if the store does not know its content."""

computing: ContextVar[str] = ContextVar("computing", default="")
"""The digest of the task whose result is computed."""

MIN_SECONDS = 1e-3
"""An inner task that takes less time is not stored: writing a file takes as long."""


WORTH = 10
"""How many times as long as to store it an inner result must take to compute.

It is measured after each task, with what it took to compute its inputs since the last results that
are stored. An input that several tasks use counts in parts. So all seconds count once, and a run
that stores all that is worth it takes a tenth longer at most. Declared by `@task(cheap=True)`, a
task is not even looked up.
"""


@dataclass(frozen=True, eq=False)
class Load:
    """Loads the result of a task.

    checksum: of the result; another variant may have taken its place since the plan was made
    opened: the verified entry and its payload, which stay readable after the entry is removed
    recompute: computes the result if it cannot be loaded; without it `LostError` is raised, for
        the caller to plan the run again
    inputs: what the result depends on, for a task in which this run is nested
    classes: the storable classes of the script, which other processes have to know
    """

    store: Store
    digest: str
    checksum: bytes
    opened: tuple[Entry, memoryview] | None = None
    recompute: Callable[[], Any] | None = None
    inputs: tuple[Input, ...] = ()
    classes: tuple[type, ...] = ()

    def __call__(self) -> Any:
        with suppress(LostError):
            put_back(self.store, self.inputs)
            opened = self.opened or self.store.open(self.digest)
            if opened and opened[0].checksum == self.checksum:  # not another variant in its place
                value = _value(self.store, *opened)
                add_inputs(passed_on(self.inputs, self.digest, self.checksum.hex()))
                return value
        add_inputs(self.inputs)
        if self.recompute is not None:
            return self.recompute()
        raise LostError(
            f"{self.digest} was in {self.store.url} when the run began, and cannot be loaded "
            "here: run it again; on a cluster every worker must reach the store"
        )

    def __post_init__(self) -> None:
        for kind in self.classes:
            is_storable(kind)

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.store, self.digest, self.checksum, None, self.recompute, self.inputs
        return Load, (*own, script_classes())


class Arguments(NamedTuple):
    """The inputs of a task, for its content key.

    form: the digest of the task without its inputs; empty if it has no content key
    digests: of each input; empty where there is none
    """

    form: str = ""
    digests: tuple[str, ...] = ()


class _Ran(NamedTuple):
    """A task that ran: its value, what it read and did itself, and how long it took."""

    value: Any
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, eq=False)
class Save:
    """Computes the result of a task, and saves it if that is worth it.

    One process or thread computes at a time; those that waited for it load what it saved, as do
    equal tasks that run later. What is saved is the result before any consumer has it.

    name: of the function
    details, arguments: needed for what is kept alone
    upstream: the tasks that it depends on, by digest, with the outcomes of those that are loaded
    is_always: saves also results that are quicker to compute than to load
    is_repeated: whether the run has equal tasks
    is_kept: False to observe the task and no more, for those that depend on it
    is_anew: True to compute it although it is stored
    consumers: how many tasks use the result
    """

    store: Store
    digest: str
    function: Callable[..., Any]
    name: str
    details: Later[TaskDetails]
    run: Run
    watched: Watched
    upstream: Mapping[str, Outcome | None] = field(default_factory=dict)
    arguments: Later[Arguments] = field(default_factory=lambda: made_now(Arguments()))
    is_always: bool = False
    is_repeated: bool = False
    is_kept: bool = True
    is_anew: bool = False
    consumers: int = 1

    def __call__(self, *values: Any) -> Any:
        store, lease, is_saved = self.store, None, False
        is_quick = not self.is_always and self.name in store.quick
        if self.is_kept and not is_quick:
            with store.failures.tolerating("written") as is_reachable:
                lease = self._lease() if is_reachable else None
        # Other calls of the function may be quick. To look for a file takes microseconds.
        is_likely = self.is_kept and self.is_repeated and (not is_quick or store.backend.is_local)
        try:
            key = self._content_key(values) if self.is_kept and not is_quick else ""
            is_looking = lease is not None or is_likely
            found = None if self.is_anew else self._found(is_looking, key)
            value, is_saved = found or self._computed(values, key)
            return value
        finally:
            if lease is not None:
                lease.end(is_saved)

    def _lease(self) -> Lease | None:
        """Wait for the right to compute, no longer than the run lasts."""

        @contextmanager
        def waiting() -> Iterator[Callable[[], bool]]:
            with _seceded():
                yield self.run.is_interrupted

        return self.store.lease(self.digest, waiting, self.details().call)

    def _found(self, is_looking: bool, key: str) -> tuple[Any, bool] | None:
        """The result that another task has saved."""
        store = self.store
        if not (is_looking or key):
            return None
        with suppress(LostError), store.failures.tolerating("read") as is_reachable:
            if not is_reachable:
                return None
            with nearby():  # the plan has looked upstream
                found = find(store, self.digest, {})[0] if is_looking else None
            if found:
                value = self._loaded(found)
                self.run.pass_on(store, self.digest, found.outcome)
                return value, True
            if key and (found := find_by_content(store, key, {})):
                value = self._loaded(found)
                outcome = merged([Outcome(found.inputs), *self._upstream()])
                if not outcome.why:
                    self._link(found.entry, outcome.inputs)
                content = found.entry.checksum.hex()
                inputs = passed_on(outcome.inputs, found.entry.digest, content)
                self.run.pass_on(store, self.digest, Outcome(inputs, content, outcome.why))
                return value, True
        return None

    def _loaded(self, found: Found) -> Any:
        """The value in an entry. Raises `LostError`."""
        opened = self.store.open(found.entry.digest)
        if opened is None or opened[0].checksum != found.entry.checksum:
            raise LostError(found.entry.digest)
        value = _value(self.store, *opened)
        self.store.count_load(opened[0])
        add_inputs(found.outcome.inputs)
        return value

    def _link(self, entry: Entry, inputs: tuple[Input, ...]) -> None:
        """Store that the result is in another entry."""
        store = self.store
        with store.failures.tolerating("written") as is_reachable:
            if is_reachable:
                name = free_variant(store, self.digest, inputs)
                store.link(
                    name, entry, inputs=listed(store, inputs),
                    seconds=entry.seconds, behind=entry.behind, loading=entry.loading,
                    **vars(self.details()),
                )  # fmt: skip

    def _computed(self, values: Sequence[Any], key: str) -> tuple[Any, bool]:
        """The result of the task, and whether it is saved."""
        is_uncopied.set(False)
        before = merged(self._upstream())
        ran = self._observed(values, before.inputs)
        own = ran.outcome
        named = f"{self.name}: {own.why}" if own.why else ""
        outcome = merged([own._replace(why=named, seconds=ran.seconds), before])
        has_files = any(item.kind == "result" for item in own.inputs)
        try:
            if self.is_kept and outcome.why:
                self._refuse(own.why)
            elif self.is_kept and not is_uncopied.get():
                entry = self._save(ran, outcome, has_files)
                if entry is not None and key:
                    note_content(self.store, key, entry, own.inputs)
                if entry is not None:
                    note_place(self.store, entry, ran.value)
                    content = entry.checksum.hex()
                    inputs = passed_on(outcome.inputs, entry.digest, content)
                    outcome = Outcome(inputs, content)
        finally:
            if has_files and not (outcome.content or outcome.why) and self.store.is_written:
                why = f"{self.name}: it returned a file that is not stored"
                outcome = outcome._replace(why=why)
            part = outcome.seconds / max(self.consumers, 1)
            self.run.pass_on(self.store, self.digest, outcome._replace(seconds=part))
        return ran.value, bool(outcome.content)

    def _observed(self, values: Sequence[Any], before: Sequence[Input]) -> _Ran:
        """Run the task, and observe it. before: what all tasks before it pass on"""
        watched = self.watched
        if not watched.is_observed:
            start = time.perf_counter()
            value = self.function(*values)
            return _Ran(value, Outcome(), time.perf_counter() - start)
        reads = reads_in_c(
            self.function, values, watched.readers, may_hold_files=watched.holds_files
        )
        held = tuple(place.name for place in reads.places)  # by its values, wherever it runs
        given = watched.given + absolute_paths(values) + held
        is_after_files = any(item.kind == "made" for item in before)
        with observing(given, watched, seeds=watched.seeded, versions=watched.versions) as observer:
            watched.begin(observer)
            for file in files_in([*values]) if is_after_files else ():
                observer.read(file.path)  # it may be read in C
            for place in reads.places:
                observer.read(place.name, place.kind)
            for effect in reads.effects:
                observer.effect(effect)
            start, outer = time.perf_counter(), computing.set(self.digest)
            try:
                value = self.function(*values)
            finally:
                computing.reset(outer)
            seconds = time.perf_counter() - start  # without what observing takes
            returned = [] if is_data(value) else files_in(value)
            observer.returns([file.path for file in returned])
        return _Ran(value, watched.outcome(observer, returned, before), seconds)

    def _upstream(self) -> list[Outcome]:
        """What the tasks passed on that this one depends on."""
        return [known or self.run.passed_on(self.store, digest)
                for digest, known in self.upstream.items()]  # fmt: skip

    def _refuse(self, why: str) -> None:
        """Note why the result is not stored; without a reason it is that of an input."""
        if why:
            details = self.details()
            reason = f"not stored: {why}"
            self.store.notes.add_call(
                details.function, self.digest, details.code, details.arguments, reason
            )

    def _content_key(self, values: Sequence[Any]) -> str:
        """What the task is and what its inputs are, by content. Empty if that is not known."""
        form, digests = self.arguments()
        if not form or len(digests) != len(values):
            return ""
        contents = []
        for digest, value in zip(digests, values, strict=True):
            known = self.upstream.get(digest) or self.run.passed_on(self.store, digest)
            if known.content != digest and brings_code(value):  # the digest of a constant covers it
                return ""
            contents.append(known.content or _small_content(self.store, value))
        return content_key(form, contents, self.store.versions) if all(contents) else ""

    def _save(self, ran: _Ran, outcome: Outcome, has_files: bool) -> Entry | None:
        """Save a result if that is worth it. outcome: with all seconds that are not stored"""
        store, length = self.store, None
        if not (self.is_always or has_files):  # nobody returns a file that is not to be kept
            is_quick = outcome.seconds < max(MIN_SECONDS, WORTH * store.costs.of(0))
            if not is_quick:
                length = estimated_bytes(ran.value)
                least = WORTH * store.costs.of_value(ran.value, length)
                # Here and in a process that loads it.
                is_quick = outcome.seconds < least + 2 * seconds_of_import(ran.value)
            (store.quick.add if is_quick else store.quick.discard)(self.name)
            if is_quick:
                return None
        behind = self.run.behind + max(time.time() - self.run.begun, ran.seconds)
        details, seconds = self.details(), ran.seconds
        return save(store, self.digest, ran.value, details, seconds, behind, outcome.inputs, length)


def _small_content(store: Store, value: Any) -> str:
    """The content of a value as a store would have it, if that is found quickly."""
    if estimated_bytes(value) <= _MAX_HASHED and not seconds_of_import(value):
        with suppress(Exception):  # a value's own methods may raise anything
            payload = encoded(value, store.pickle)
            return checksum(payload).hex() if size(payload) <= _MAX_HASHED else ""
    return ""


def save(
    store: Store, digest: str, value: Any, details: TaskDetails,
    seconds: float = 0.0, behind: float = 0.0, inputs: tuple[Input, ...] = (),
    length: int | None = None,
) -> Entry | None:  # fmt: skip
    """Save a result. None, and a warning later, if the store cannot take it.

    length: its estimated bytes, if they are known
    """
    length = estimated_bytes(value) if length is None else length
    loading = store.costs.of(length)
    with store.failures.tolerating("written") as is_reachable:
        if not is_reachable:
            return None
        try:
            start = time.perf_counter()
            with noting("saved"):
                entry = store.put(
                    free_variant(store, digest, inputs), value, inputs=listed(store, inputs),
                    loading=loading, seconds=seconds, behind=behind, **vars(details),
                )  # fmt: skip
            store.costs.note(value, length, time.perf_counter() - start)
            return entry
        except (UnstorableError, StoreError) as error:
            what = getattr(error, "what", "a result that is too large")
            store.failures.warn_later(
                f"not stored {details.function} {what}", f"{details.call} is not stored: {error}"
            )
            store.notes.add_call(
                details.function, digest, details.code, details.arguments, f"not storable: {what}"
            )
    return None


def _value(store: Store, entry: Entry, payload: memoryview) -> Any:
    """The result in an entry. Raises `LostError`."""
    with noting("loaded"):
        value = store.value(entry, payload)
    note_place(store, entry, value)
    return value


@contextmanager
def _seceded() -> Iterator[None]:
    """On a cluster, let the worker run other tasks, on which the awaited one may depend."""
    distributed: Any = sys.modules.get("distributed")
    try:
        distributed.secede()
    except Exception:  # this thread is not a worker's
        yield
        return
    try:
        yield
    finally:
        distributed.rejoin()
