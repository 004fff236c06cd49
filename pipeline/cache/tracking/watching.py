"""How a task is observed: decided for its node when a run is planned, judged after it has run."""

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import PurePath
from threading import Lock
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
from dask._task_spec import NestedContainer
from dask.task_spec import Alias, DataNode, Task, TaskRef
from dask.typing import Key

from pipeline.cache.task_digests import (
    TaskDigests,
    is_of_the_project,
    task_function,
    unwrapped,
)
from pipeline.cache.tracking.inputs import Input, changed, result_input
from pipeline.cache.tracking.observer import Observer
from pipeline.cache.tracking.outcomes import Outcome
from pipeline.cache.tracking.readers import Holding
from pipeline.graph import CallTask
from pipeline.identity import ATOMS, File, Versions
from pipeline.program import Named, Program
from pipeline.share import (
    Readings,
    cached_function,
    caches_of_files,
    mark_of,
    needs_of_task,
    partial_signature,
    signature,
)
from pipeline.store import Store

_MAX_LOOKED_AT = 1000
"""Items of a list among which paths are looked for."""


class Watched(NamedTuple):
    """How a task is observed while it runs.

    variables, contexts, readers, seeded, keepers: see `Needs`
    caches: keepers that `functools.cache` has wrapped, and that may read files
    given: absolute paths among its arguments
    files: its arguments that count by the content of a file, with their digests
    versions: how far versions of libraries count in these digests
    is_pure: whether it is declared pure
    holds_files: whether the function or a constant may hold objects that read files in C
    is_observed: False for the results of a shuffle, which lie in files of this run
    """

    variables: frozenset[str] = frozenset()
    contexts: tuple[str, ...] = ()
    readers: frozenset[str] = frozenset()
    seeded: frozenset[str] = frozenset()
    keepers: frozenset[str] = frozenset()
    caches: frozenset[str] = frozenset()
    given: tuple[str, ...] = ()
    files: tuple[tuple[File, str], ...] = ()
    versions: Versions = "minor"
    is_pure: bool = False
    holds_files: bool = True
    is_observed: bool = True

    def begin(self, observer: Observer) -> None:
        """Note which caches have results already that nobody has seen the files of."""
        for name in self.caches - _kept.keys() | self.caches & _unseen:
            function = cached_function(name)
            is_filled = function is not None and function.cache_info().currsize
            (_unseen.add if is_filled else _unseen.discard)(name)
        with _lock:
            for name in self.keepers:
                _kept.setdefault(name, {})
                _running.setdefault(name, WeakSet()).add(observer)

    def outcome(
        self, observer: Observer, returned: Iterable[File] = (), before: Iterable[Input] = ()
    ) -> Outcome:
        """What a task read, and why its result may not be stored.

        returned: the files in its result
        before: what all tasks before it pass on
        """
        made = {os.path.abspath(item.name): item for item in before if item.kind == "made"}
        results = [item for file in returned if (item := result_input(file.path))]
        read, changes = self._read(observer, made)
        new = [item for item in results if os.path.abspath(item.name) not in made]
        inputs = tuple(sorted({*self._with_kept(read, observer), *new}))
        if changes:
            return Outcome(inputs, "", f"{changes[0]} changed while it ran")
        if unseen := sorted(self.caches & _unseen):
            name = unseen[0].rpartition(":")[2]
            why = f"{name} was called before, outside of tasks, and may have read files"
            return Outcome(inputs, "", f"{why}; call {name}.cache_clear() before the run")
        if self.keepers and (change := changed(inputs, {})):
            return Outcome(inputs, "", f"{change}, and a cache of this process may have it")
        if observer.effects and not self.is_pure:
            effect = observer.effects[0]
            remedy = _FILE_REMEDY if effect.startswith("it wrote ") else _REMEDY
            return Outcome(inputs, "", effect if "@pure" in effect else f"{effect}; {remedy}")
        for result in results:
            earlier = made.get(os.path.abspath(result.name), result)
            if earlier.content != result.content:
                why = f"it overwrote {result.name}, which a task before it returned"
                return Outcome(inputs, "", f"{why}; return another path")
        return Outcome(inputs)

    def _read(
        self, observer: Observer, made: Mapping[str, Input]
    ) -> tuple[tuple[Input, ...], list[str]]:
        """What a task read that no digest covers; and which files changed while it ran.

        made: the files that tasks before it made, by absolute path
        """
        own = [os.path.abspath(file) for file, _ in self.files]
        read, changes = [], list(observer.changes)
        for item in observer.inputs:
            path = os.path.abspath(item.name) if own or made else ""
            if any(_is_below(path, place) for place in own):
                continue
            if item.kind != "file" or path not in made:
                read.append(item)
            elif item.content != made[path].content:
                changes.append(item.name)
        changes += [file.path for file, before in self.files if self._digest(file) != before]
        return tuple(read), changes

    def _digest(self, file: File) -> str:
        return TaskDigests({}, readings=Readings(self.versions)).of_value(file)

    def _with_kept(self, inputs: tuple[Input, ...], observer: Observer) -> tuple[Input, ...]:
        """The inputs, and what other tasks of this process read for a cache that this one has.

        Nobody knows which of them it took from the cache.
        """
        if not self.keepers:
            return inputs
        found = {item[:2]: item for item in inputs}
        with _lock:
            others = {other for name in self.keepers for other in _running[name]} - {observer}
            for name in self.keepers:
                _kept[name].update(found)
            kept = [item for name in self.keepers for item in _kept[name].values()]
        kept += [item for other in others for item in other.so_far()]
        return tuple(sorted(({item[:2]: item for item in kept} | found).values()))


_kept: dict[str, dict[tuple[str, str], Input]] = {}
"""What tasks of this process read, by the functions with a cache that they call."""

_running: dict[str, WeakSet[Observer]] = {}
"""The observers of tasks that run now, by these functions: what they have read is in the cache."""

_lock = Lock()

_unseen: set[str] = set()
"""Caches that had results before their first task in this process."""

_REMEDY = "declare it @pure to store it anyway"
_FILE_REMEDY = f"return File(path) to store the file, too, or {_REMEDY}"


class Watcher:
    """Decides how the tasks of a graph are observed."""

    def __init__(self, store: Store, digests: TaskDigests) -> None:
        self._store = store
        self._digests = digests
        self._holds_files = Holding()
        self._known: dict[Hashable, Watched] = {}
        self._functions: dict[int, tuple[Any, Hashable]] = {}  # by id, with the function

    def __call__(self, node: Any) -> Watched:
        """How a task is observed: as any other of its functions, if its arguments are plain."""
        if getattr(node, "key", None) in self._digests.shuffles.results:
            return Watched(is_observed=False)
        if (functions := self._functions_of(node)) is None:
            return self._watched(node)
        if functions not in self._known:
            self._known[functions] = self._watched(node)
        return self._known[functions]

    def _functions_of(self, value: Any) -> Hashable:
        """The functions of a task, if all else in it is plain; else None."""
        if type(value) is TaskRef:
            node = self._digests.tasks.get(value.key)
            value = node.value if isinstance(node, DataNode) else None
        kind = type(value)
        if kind in ATOMS:
            return None if kind is str and os.path.isabs(value) else ()
        if kind is np.ndarray:
            return None if value.dtype.hasobject else ()
        if kind is slice:
            return None if signature(value) is None else ()
        if kind is Alias:
            return ()
        if kind is type or kind is FunctionType or kind is BuiltinFunctionType:
            return (self._function(value),)
        functions: tuple[Hashable, ...] = ()
        if kind is Task:
            functions = (self._function(value.func),)
            parts = *value.args, *value.kwargs.values()
        elif kind is tuple or isinstance(value, NestedContainer):
            parts = value if kind is tuple else value.args
        else:
            return None
        found = list(map(self._functions_of, parts))
        return None if None in found else (*functions, *filter(None, found))

    def _function(self, function: Any) -> Hashable:
        if id(function) not in self._functions:
            is_partial = type(function) is partial
            alike = partial_signature(function) if is_partial else None
            self._functions[id(function)] = function, alike or id(function)
        return self._functions[id(function)][1]

    def _watched(self, node: Any) -> Watched:
        digests = self._digests
        constants = list(_constants(node, digests.tasks))
        files = [(value, digests.of_value(value)) for value in constants if isinstance(value, File)]
        needs = needs_of_task(node, digests.walk)
        is_pure = self._store.purity == "declared" or _is_declared(node, constants)
        return Watched(
            needs.variables, tuple(context.name for context in needs.contexts), needs.readers,
            needs.seeded, needs.keepers, caches_of_files(needs, digests.walk),
            absolute_paths(constants), tuple(files), self._store.versions, is_pure,
            self._holds_files([node, *constants]),
        )  # fmt: skip


def _is_declared(node: Any, constants: Iterable[Any]) -> bool:
    """Whether the functions of a user that a task calls are declared pure.

    constants: also the functions that it passes to one of a library, as `map_partitions` does
    """
    function = task_function(node)
    own = [function, *constants] if is_of_the_project(function) else constants
    marks = [mark_of(item) for item in own if is_of_the_project(item)]
    return mark_of(function) is True or (bool(marks) and all(mark is True for mark in marks))


def _constants(node: Any, tasks: Mapping[Key, Any], depth: int = 4) -> Iterator[Any]:
    """The functions and constants of a task, also inside of containers."""
    if isinstance(node, TaskRef):
        node = tasks.get(node.key)
        parts = [node.value] if isinstance(node, DataNode) else []
    elif isinstance(node, DataNode):
        parts = [node.value]
    elif isinstance(node, CallTask):
        parts = [node.function]
    elif isinstance(node, Program):
        parts = [*node.functions, *node.constants]
    elif isinstance(node, Named):
        parts = [node.function]
    elif isinstance(node, Task):
        parts = [node.func, *node.args, *node.kwargs.values()]
    elif isinstance(node, partial):
        parts = [node.func, *node.args, *node.keywords.values()]
    elif type(node) in (list, tuple, dict):
        parts = [*node.values()] if type(node) is dict else [*node[:_MAX_LOOKED_AT]]
    else:
        yield unwrapped(node)
        return
    for part in parts if depth else ():
        yield from _constants(part, tasks, depth - 1)


def absolute_paths(values: Iterable[Any]) -> tuple[str, ...]:
    texts = (os.fspath(value) for value in values if isinstance(value, str | PurePath))
    return tuple(text for text in texts if os.path.isabs(text))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
