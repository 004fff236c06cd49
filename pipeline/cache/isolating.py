"""Consumers of one value, apart: no stored result has what another consumer wrote into its input.

In Dask such a result depends on the order of the tasks. It must not be loaded by a program in which
nobody writes. Dask's own functions do not write into their inputs; all others get copies of what
others use, too.
"""

from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
from dask.task_spec import Task, TaskRef
from dask.typing import Key

from pipeline.cache.task_digests import alias_target
from pipeline.graph import inputs_of
from pipeline.identity import short_hash
from pipeline.share import Again, IsolationError, Trust, isolated

is_uncopied: ContextVar[bool] = ContextVar("is_uncopied", default=False)
"""Whether a task has an input that others use, and that cannot be copied."""

_LITERALS = frozenset({np.ndarray, list, dict, set, bytearray})


def apart(value: Any, again: Again) -> Any:
    """A handle of a value; the value itself if there can be none, and nothing is stored then."""
    try:
        return isolated(value, again)
    except IsolationError:
        is_uncopied.set(True)
        return value


def _apart_once(value: Any, again: Again) -> tuple[Any, bool]:
    """The same for a task that has the value several times; and whether it is a handle."""
    before = is_uncopied.get()
    is_uncopied.set(False)
    handle = apart(value, again)
    is_handle = not is_uncopied.get()
    is_uncopied.set(before)
    return handle, is_handle


def _opened(made: tuple[Any, bool]) -> Any:
    handle, is_handle = made
    if not is_handle:
        is_uncopied.set(True)
    return handle


def with_copies(
    tasks: Mapping[Key, Any], outputs: Collection[Key], unmerged: Container[Key]
) -> dict[Key, Any]:
    """The tasks of a run that get copies of inputs that others use, too.

    tasks: that run, inputs before their consumers
    unmerged: tasks that may give another value when they run again
    """
    origins: dict[Key, Key] = {}
    inputs: dict[Key, Sequence[Key]] = {}
    used: list[Key] = []
    held: list[int] = []
    for key, node in tasks.items():
        if (target := alias_target(node)) is not None:
            origins[key] = origins.get(target, target)
            continue
        inputs[key] = inputs_of(node)
        used += {origins.get(source, source) for source in inputs[key]}
        held += set(_literals(node))
    used += {origins.get(key, key) for key in outputs}
    literals = Counter(held)
    shared = {key for key, times in Counter(used).items() if times > 1}
    changed: dict[Key, Any] = {}
    trust = Trust()
    for key, own_inputs in inputs.items():
        node = tasks[key]
        sources = [source for source in own_inputs if origins.get(source, source) in shared]
        if not sources and all(literals[place] < 2 for place in _literals(node)):
            continue
        is_trusted, is_reading = trust(node)
        if is_trusted:
            if not is_reading:
                shared.add(key)  # it may return a part of them
            continue
        handles: dict[Key, Any] = {}
        for source, times in Counter(sources).items():
            again = Again(tasks, source, unmerged)
            handles[source] = Task(None, apart, TaskRef(source), again)
            if times > 1:  # one object, as without a store
                name = f"apart-{short_hash((repr(key), repr(source)))}"
                handles[source] = Task(None, _opened, TaskRef(name))
                changed[name] = Task(name, _apart_once, TaskRef(source), again)
        own = _own_literals(node, literals)
        changed |= {copy.key: copy for copy in own.values() if copy.key is not None}
        changed[key] = _with_literals(node, own).substitute(handles)
    return changed


def _literals(node: Any) -> list[int]:
    """The constants of a task into which its function may write, by id."""
    values = node.args if type(node) is Task else ()
    return [id(value) for value in values if type(value) in _LITERALS]


def _own_literals(node: Any, uses: Counter[int]) -> dict[int, Task]:
    """Copies of the constants of a task that other tasks have, too, by id.

    A constant that the task has twice stays one object: its copy has a key.
    """
    again = Again({}, node.key, ())
    copies: dict[int, Task] = {}
    for place, times in Counter(_literals(node)).items():
        if uses[place] > 1:
            [value, *_] = [value for value in node.args if id(value) == place]
            name = f"apart-{short_hash((repr(node.key), len(copies)))}" if times > 1 else None
            copies[place] = Task(name, apart if name is None else _apart_once, value, again)
    return copies


def _with_literals(node: Any, copies: Mapping[int, Task]) -> Any:
    """A task with copies of some of its constants."""
    if not copies:
        return node
    handles = {
        place: copy if copy.key is None else Task(None, _opened, TaskRef(copy.key))
        for place, copy in copies.items()
    }
    args = [handles.get(id(value), value) for value in node.args]
    return Task(node.key, node.func, *args, **node.kwargs)
