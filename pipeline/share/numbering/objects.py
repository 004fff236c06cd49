"""Which objects a task has: its function may write into each, and may meet one of them twice."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

from pipeline.graph import inputs_of
from pipeline.identity import ATOMS, items_of, library_name
from pipeline.share.copying import IMMUTABLE, isolated, viewed
from pipeline.share.purity.impurities import NAMED

_WRITABLE = frozenset({list, dict, set, bytearray, np.ndarray})
"""The most frequent of the types that others may write into."""


def objects_of(node: Any, origins: Mapping[Key, Key]) -> Iterator[Any]:
    """Of each input of a task, which object it is: a handle is another one each time."""
    if not isinstance(node, Task):
        yield from (origins.get(source, source) for source in inputs_of(node))
        return
    for value in (*node.args, *node.kwargs.values()):
        if isinstance(value, TaskRef):
            yield origins.get(value.key, value.key)
        elif type(value) is Task and value.func in (isolated, viewed):
            yield "handle", id(value)
        elif isinstance(value, GraphNode):
            yield from objects_of(value, origins)


def is_writable(value: Any) -> bool:
    """Whether others may write into a constant, if they have it, too."""
    kind = type(value)
    return kind in _WRITABLE or not (
        kind in IMMUTABLE or isinstance(value, (GraphNode, TaskRef, tuple, frozenset, *NAMED))
    )


def project_objects(value: Any, depth: int = 3) -> list[Any]:
    """The objects of the project's classes in an argument, also inside containers."""
    kind: Any = type(value)
    is_object = is_of_project(kind)
    if is_object is not None or not depth:
        return [value] if is_object and depth else []
    if isinstance(value, DataNode):
        return project_objects(value.value, depth)
    if isinstance(value, NestedContainer):
        value = value.args
    items = items_of(value)
    if all(is_of_project(kind) is False for kind in set(map(type, items))):
        return []  # long lists of numbers
    return [found for item in items for found in project_objects(item, depth - 1)]


@functools.lru_cache(4096)
def is_of_project(kind: Any) -> bool | None:
    """Whether a class is of the project. None for a container, whose items decide."""
    if kind in ATOMS or issubclass(kind, (np.ndarray, ModuleType, TaskRef, *NAMED)):
        return False
    if issubclass(kind, (DataNode, NestedContainer, list, tuple, set, frozenset, dict)):
        return None
    return library_name(kind) is None
