"""Tasks that load or save a result, and the details of a task that are saved with it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

from dask._task_spec import NestedContainer
from dask.sizeof import sizeof
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

from pipeline.cache.isolating import is_uncopied
from pipeline.cache.task_digests import TaskDigests, describe_code, unwrapped
from pipeline.graph import (
    CallTask,
    display_key,
    function_name,
    inputs_of,
    label,
    short_label,
    subproblem,
)
from pipeline.identity import cut, display_name, library_name, short_repr
from pipeline.store import (
    Entry,
    LostError,
    Store,
    StoreError,
    UnstorableError,
    is_storable,
    script_classes,
)
from pipeline.trace import Body

MIN_SECONDS = 1e-3
"""An inner task that takes less time is not stored: writing a file takes as long."""


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

    opened: the verified entry and its payload, which stay readable after the entry is removed
    recompute: computes the result if it cannot be loaded; without it `LostError` is raised, for
        the caller to plan the run again
    classes: the storable classes of the script, which other processes have to know
    """

    store: Store
    digest: str
    opened: tuple[Entry, memoryview] | None = None
    recompute: Callable[[], Any] | None = None
    classes: tuple[type, ...] = ()

    def __call__(self) -> Any:
        with suppress(LostError):
            if opened := self.opened or self.store.open(self.digest):
                return self.store.value(*opened)
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
        return Load, (self.store, self.digest, None, self.recompute, script_classes())


@dataclass(frozen=True, eq=False)
class Save:
    """Computes the result of a task, and saves it if that is worth it.

    One process or thread computes at a time; those that waited for it load what it saved, as do
    equal tasks that run later. What is saved is the result before any consumer has it.

    source: the function that a user wrote, of which `details.code` is the digest
    is_always: saves also results that are quicker to compute than to load
    is_repeated: whether the run has equal tasks
    begun: when the run began, in seconds since 1970
    behind: the most seconds that a loaded result of this run took from nothing
    """

    store: Store
    digest: str
    function: Callable[..., Any]
    details: TaskDetails
    source: Any
    is_always: bool
    is_repeated: bool
    begun: float
    behind: float

    def __call__(self, *values: Any) -> Any:
        store, lease, is_saved = self.store, None, False
        is_quick = not self.is_always and self.details.function in store.quick
        if not is_quick:
            with store.tolerating("written") as is_reachable:
                lease = store.lease(self.digest, _waiting) if is_reachable else None
        # Other calls of the function may be quick. To look for a file takes microseconds.
        is_likely = self.is_repeated and (not is_quick or store.backend.is_local)
        try:
            with suppress(LostError):
                if (lease is not None or is_likely) and (opened := store.open(self.digest)):
                    value = store.value(*opened)
                    is_saved = True
                    store.count_load(opened[0])
                    return value
            start = time.perf_counter()
            is_uncopied.set(False)
            value = self.function(*values)
            if not is_uncopied.get():
                is_saved = self._save(value, time.perf_counter() - start)
            return value
        finally:
            if lease is not None:
                lease.end(is_saved)

    def _save(self, value: Any, seconds: float) -> bool:
        store, details = self.store, self.details
        if not self.is_always:
            is_quick = seconds < MIN_SECONDS or seconds < store.cost(_size(value))
            (store.quick.add if is_quick else store.quick.discard)(details.function)
            if is_quick:
                return False
        behind = self.behind + max(time.time() - self.begun, seconds)
        is_saved = save(store, self.digest, value, details, seconds, behind)
        if is_saved and details.code:
            store.note_once(f"code-{details.code}", partial(describe_code, self.source))
        return is_saved


def save(
    store: Store, digest: str, value: Any, details: TaskDetails,
    seconds: float = 0.0, behind: float = 0.0,
) -> bool:  # fmt: skip
    """Save a result. False, and a warning later, if the store cannot take it."""
    loading = store.cost(_size(value))
    with store.tolerating("written") as is_reachable:
        if not is_reachable:
            return False
        try:
            store.put(
                digest, value, loading=loading, seconds=seconds, behind=behind, **vars(details)
            )
        except (UnstorableError, StoreError) as error:
            what = getattr(error, "what", "a result that is too large")
            store.warn_later(
                f"not stored {details.function} {what}", f"{details.call} is not stored: {error}"
            )
            store.note_call(
                details.function, digest, details.code, details.arguments, f"not storable: {what}"
            )
            return False
        return True
    return False


@contextmanager
def _waiting() -> Iterator[None]:
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


def task_function(node: Any) -> Any:
    """The function that a user wrote and a task calls. None for an operator and the like."""
    function = node.func if type(node) is Task else getattr(node, "function", None)
    if not isinstance(function, Body):
        return unwrapped(function)
    functions = [unwrapped(getattr(step.function, "function", step.function))
                 for step in function.steps]  # fmt: skip
    own = list(filter(_is_of_the_project, functions))
    return own[-1] if own else (functions[0] if len(functions) == 1 else None)


def _is_of_the_project(function: Any) -> bool:
    return isinstance(function, FunctionType) and library_name(function) is None


def task_name(key: Key, node: Any) -> str:
    """The name of a task's function; that of the key, where the function is a library's."""
    function = task_function(node)
    if not isinstance(node, CallTask) and _is_of_the_project(function):
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
    text = short_repr(value, sys.maxsize)
    # An address says nothing about the object.
    return f"a {display_name(type(value))}" if " at 0x" in text else cut(text, WIDTH)


def _input_digest(key: Key, digests: TaskDigests) -> str:
    return f"{INPUT}{digests.digest(key) or ''}"
