"""Tasks that load or save a result, and the details of a task that are saved with it."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from dask._task_spec import NestedContainer
from dask.sizeof import sizeof
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

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
from pipeline.cache.task_digests import TaskDigests, is_of_the_project, task_function
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
from pipeline.graph import (
    CallTask,
    display_key,
    function_name,
    inputs_of,
    label,
    short_label,
    subproblem,
)
from pipeline.identity import display_name, short_repr
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
    files_in,
    is_storable,
    nearby,
    script_classes,
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

So a run that stores all that is worth it takes a tenth longer at most.
"""


@dataclass(frozen=True)
class TaskDetails:
    """What an entry records about a task.

    function, call: the name of the function, and the call as a person writes it
    code: the digest of the function and of all that it reaches; empty if it has none
    arguments: a text and a digest of each argument
    """

    function: str
    call: str
    code: str
    arguments: list[list[str]]


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
                with noting("loaded"):
                    value = self.store.value(*opened)
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

    upstream: the tasks that it depends on, by digest, with the outcomes of those that are loaded
    is_always: saves also results that are quicker to compute than to load
    is_repeated: whether the run has equal tasks
    is_kept: False to observe the task and no more, for those that depend on it
    is_anew: True to compute it although it is stored
    """

    store: Store
    digest: str
    function: Callable[..., Any]
    details: TaskDetails
    run: Run
    watched: Watched
    upstream: Mapping[str, Outcome | None] = field(default_factory=dict)
    arguments: Arguments = field(default_factory=Arguments)
    is_always: bool = False
    is_repeated: bool = False
    is_kept: bool = True
    is_anew: bool = False

    def __call__(self, *values: Any) -> Any:
        store, lease, is_saved = self.store, None, False
        is_quick = not self.is_always and self.details.function in store.quick
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

        return self.store.lease(self.digest, waiting, self.details.call)

    def _found(self, is_looking: bool, key: str) -> tuple[Any, bool] | None:
        """The result that another task has saved."""
        store = self.store
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
        with noting("loaded"):
            value = self.store.value(*opened)
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
                    **vars(self.details),
                )  # fmt: skip

    def _computed(self, values: Sequence[Any], key: str) -> tuple[Any, bool]:
        """The result of the task, and whether it is saved."""
        is_uncopied.set(False)
        before = merged(self._upstream())
        ran = self._observed(values, before.inputs)
        own = ran.outcome
        named = f"{self.details.function}: {own.why}" if own.why else ""
        outcome = merged([own._replace(why=named), before])
        has_files = any(item.kind == "result" for item in own.inputs)
        try:
            if self.is_kept and outcome.why:
                self._refuse(own.why)
            elif self.is_kept and not is_uncopied.get():
                entry = self._save(ran.value, outcome.inputs, ran.seconds, has_files)
                if entry is not None and key:
                    note_content(self.store, key, entry, own.inputs)
                if entry is not None:
                    content = entry.checksum.hex()
                    inputs = passed_on(outcome.inputs, entry.digest, content)
                    outcome = Outcome(inputs, content)
        finally:
            if has_files and not (outcome.content or outcome.why) and self.store.is_written:
                why = f"{self.details.function}: it returned a file that is not stored"
                outcome = outcome._replace(why=why)
            self.run.pass_on(self.store, self.digest, outcome)
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
            returned = files_in(value)
            observer.returns([file.path for file in returned])
        return _Ran(value, watched.outcome(observer, returned, before), seconds)

    def _upstream(self) -> list[Outcome]:
        """What the tasks passed on that this one depends on."""
        return [known or self.run.passed_on(self.store, digest)
                for digest, known in self.upstream.items()]  # fmt: skip

    def _refuse(self, why: str) -> None:
        """Note why the result is not stored; without a reason it is that of an input."""
        details = self.details
        if why:
            reason = f"not stored: {why}"
            self.store.note_call(
                details.function, self.digest, details.code, details.arguments, reason
            )

    def _content_key(self, values: Sequence[Any]) -> str:
        """What the task is and what its inputs are, by content. Empty if that is not known."""
        form, digests = self.arguments
        if not form or len(digests) != len(values):
            return ""
        contents = []
        for digest, value in zip(digests, values, strict=True):
            known = self.upstream.get(digest) or self.run.passed_on(self.store, digest)
            if known.content != digest and brings_code(value):  # the digest of a constant covers it
                return ""
            contents.append(known.content or _small_content(self.store, value))
        return content_key(form, contents, self.store.versions) if all(contents) else ""

    def _save(
        self, value: Any, inputs: tuple[Input, ...], seconds: float, has_files: bool
    ) -> Entry | None:
        store, details = self.store, self.details
        if not (self.is_always or has_files):  # nobody returns a file that is not to be kept
            is_quick = seconds < max(MIN_SECONDS, WORTH * _cost(store, value))
            (store.quick.add if is_quick else store.quick.discard)(details.function)
            if is_quick:
                return None
        behind = self.run.behind + max(time.time() - self.run.begun, seconds)
        return save(store, self.digest, value, details, seconds, behind, inputs)


def _small_content(store: Store, value: Any) -> str:
    """The content of a value as a store would have it, if that is found quickly."""
    if _size(value) <= _MAX_HASHED and not _seconds_of_import(value):
        with suppress(Exception):  # a value's own methods may raise anything
            payload = encoded(value, store.pickle)
            return checksum(payload).hex() if size(payload) <= _MAX_HASHED else ""
    return ""


def save(
    store: Store, digest: str, value: Any, details: TaskDetails,
    seconds: float = 0.0, behind: float = 0.0, inputs: tuple[Input, ...] = (),
) -> Entry | None:  # fmt: skip
    """Save a result. None, and a warning later, if the store cannot take it."""
    loading = store.cost(_size(value))
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
            store.note_cost(_size(value), type(value).__name__, time.perf_counter() - start)
            return entry
        except (UnstorableError, StoreError) as error:
            what = getattr(error, "what", "a result that is too large")
            store.failures.warn_later(
                f"not stored {details.function} {what}", f"{details.call} is not stored: {error}"
            )
            store.note_call(
                details.function, digest, details.code, details.arguments, f"not storable: {what}"
            )
    return None


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


def _size(value: Any) -> int:
    with suppress(Exception):  # a value's own `__sizeof__` may raise anything
        return int(sizeof(value))
    return 0


_SECONDS_OF_CONTAINER, _SECONDS_OF_ITEM = 10e-6, 0.3e-6
"""To encode and decode a list of Python's, and an item of one; arrays and tables are bytes."""

_SAMPLE = 20
"""Items of a container that are looked at."""


_IMPORTS = {"sklearn": ("skops.io", 3.0)}
"""By package: what its format imports, and the seconds that this takes."""


def _cost(store: Store, value: Any) -> float:
    """Seconds to store and load a value once."""
    seconds = store.cost(_size(value), type(value).__name__)
    return seconds + _seconds_of_items(value, 4) + _seconds_of_import(value)


def _seconds_of_import(value: Any) -> float:
    package = type(value).__module__.partition(".")[0]
    module, seconds = _IMPORTS.get(package, ("sys", 0.0))
    return 0.0 if module in sys.modules else seconds


def _seconds_of_items(value: Any, depth: int) -> float:
    if type(value) not in (list, tuple, set, frozenset, dict) or not depth:
        return _SECONDS_OF_ITEM
    items = value.items() if type(value) is dict else value
    sample = [_seconds_of_items(item, depth - 1) for item in islice(items, _SAMPLE)]
    return _SECONDS_OF_CONTAINER + sum(sample) / max(len(sample), 1) * len(value)


# Details

WIDTH = 60
"""Characters of an argument that are kept."""

INPUT = "@"
"""Stands before the digest of an argument that is the result of a task."""


def task_details(key: Key, node: Any, digests: TaskDigests) -> TaskDetails:
    """The details of a task."""
    function = task_function(node)
    code = digests.of_function(function) if function is not None else ""
    arguments = list(map(list, _arguments(key, node, digests)))
    return TaskDetails(task_name(key, node), task_call(key, node)[:200], code, arguments)


def task_name(key: Key, node: Any) -> str:
    """The name of a task's function; that of the key, where the function is a library's."""
    function = task_function(node)
    if not isinstance(node, CallTask) and is_of_the_project(function):
        return str(function.__name__)
    name = function_name(key)
    # Blocks that Dask puts together are known by the function that made them.
    is_finalizing = name.startswith("finalize") and inputs_of(node)
    return function_name(inputs_of(node)[0]) if is_finalizing else name


def task_names(key: Key, node: Any) -> set[str]:
    """All names that a user may know a task by."""
    return {function_name(key), display_name(task_function(node))}


def task_call(key: Key, node: Any) -> str:
    """A task as a person writes it: `fib(5)`, `load('a.csv')`."""
    if isinstance(node, CallTask):
        return label(key, 40)
    if function_name(key).startswith("finalize"):
        return task_name(key, node)
    _, *constants = display_key(key, node, 0)
    return short_label((task_name(key, node), *constants))


def _arguments(key: Key, node: Any, digests: TaskDigests) -> Iterator[tuple[str, str]]:
    """A text and a digest of each argument of a task."""
    if isinstance(node, CallTask):
        yield from _call_arguments(key, node, digests)
    elif type(node) is Task:
        yield from (_argument(value, digests) for value in node.args)
        for name, value in node.kwargs.items():
            text, digest = _argument(value, digests)
            yield f"{name}={text}", digest


def _call_arguments(key: Key, node: CallTask, digests: TaskDigests) -> Iterator[tuple[str, str]]:
    """The arguments in the key of a call, where other calls are `f(1)@…`; then other inputs."""
    inputs = iter(node.inputs)
    own = subproblem(key)
    for part in own[1:] if isinstance(own, tuple) else ():
        is_keyword = isinstance(part, tuple) and part[:1] == ("kw",)
        text = f"{part[1]}={part[2]}" if is_keyword else str(part)
        call, mark, hashed = text.rpartition("@")
        if mark and len(hashed) == 24 and (source := next(inputs, None)) is not None:
            yield call[:WIDTH], _input_digest(source, digests)
        else:
            yield text[:WIDTH], text
    for source in inputs:
        yield label(source, 20)[:WIDTH], _input_digest(source, digests)


def _argument(value: Any, digests: TaskDigests) -> tuple[str, str]:
    if isinstance(value, TaskRef):
        node = digests.tasks.get(value.key)
        if isinstance(node, DataNode):
            return _text(node.value), digests.digest(value.key) or ""
        return task_call(value.key, node)[:WIDTH], _input_digest(value.key, digests)
    if isinstance(value, NestedContainer):
        items = [_argument(item, digests) for item in value.args]
        text = f"[{', '.join(text for text, _ in items)}]"
        return text[:WIDTH], " ".join(digest for _, digest in items)
    if isinstance(value, GraphNode):
        hashes = [_input_digest(key, digests) for key in inputs_of(value)]
        return short_repr(value, WIDTH), " ".join(hashes) or repr(value)[:1000]
    return _text(value), digests.of_value(value)


def _text(value: Any) -> str:
    text = short_repr(value, WIDTH)
    # An address says nothing about the object.
    return f"a {display_name(type(value))}" if " at 0x" in text else text


def _input_digest(key: Key, digests: TaskDigests) -> str:
    return f"{INPUT}{digests.digest(key) or ''}"
