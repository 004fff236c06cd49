"""Dask's shuffles: between their tasks pass more than values.

On the disk, tasks write into one place, and the tasks that return partitions read from it; so do
bags that are grouped. On a cluster, workers send parts to each other. In all of them, a barrier is
between the two kinds of task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

from dask.task_spec import Task
from dask.typing import Key

from pipeline.graph import inputs_of


class Shuffles(NamedTuple):
    """The tasks of the shuffles of a graph.

    steps: tasks that only work together: all of a shuffle run, or none
    results: tasks that return a partition, which is a value like any other
    ids: of shuffles between workers
    """

    steps: frozenset[Key] = frozenset()
    results: frozenset[Key] = frozenset()
    ids: frozenset[str] = frozenset()

    def __contains__(self, key: object) -> bool:
        return key in self.steps or key in self.results


def find_shuffles(tasks: Mapping[Key, Any]) -> Shuffles:
    """The shuffles of a graph, as far as Dask has not fused their tasks with others."""
    kinds = {kind for kind in set(map(type, tasks.values())) if _is_between_workers(kind)}
    functions = set(map(id, _functions(_BARRIERS)))
    barriers = {key for key, node in tasks.items()
                if type(node) in kinds or id(getattr(node, "func", None)) in functions}  # fmt: skip
    if not barriers:
        return Shuffles()
    results = {key for key, node in tasks.items() if not barriers.isdisjoint(inputs_of(node))}
    if not all(_is_result(tasks[key]) for key in results):
        return Shuffles()
    before = {key for barrier in barriers for key in inputs_of(tasks[barrier])}
    used = (source for key in results for source in inputs_of(tasks[key]))
    places = {source for source in used if is_place(tasks.get(source))}
    ids = {str(tasks[key].spec.id) for key in barriers if hasattr(tasks[key], "spec")}
    return Shuffles(frozenset(barriers | before | places), frozenset(results), frozenset(ids))


def is_place(node: Any) -> bool:
    """Whether a task makes the place on the disk to which others write."""
    function = getattr(node, "func", None)
    kind = function.func if isinstance(function, partial) else type(function)
    modules = "dask.dataframe.shuffle", "partd."
    return isinstance(kind, type) and kind.__module__.startswith(modules)


def specification(task: Task, ids: Iterable[str]) -> list[Any]:
    """The arguments of a task of a shuffle that decide its value: not the id of the shuffle."""
    values = (*task.args, *task.kwargs.values(), *_fields(getattr(task, "spec", None)))
    return [value for value in values if not (isinstance(value, str) and value in ids)]


def _fields(spec: Any) -> list[Any]:
    # The names and types of columns come with the data.
    return [] if spec is None else [item for name, item in vars(spec).items() if name != "meta"]


def _is_between_workers(kind: type) -> bool:
    """Whether tasks of a class are barriers between workers."""
    return issubclass(kind, Task) and kind.__module__.startswith("distributed.shuffle.")


def _is_result(node: Any) -> bool:
    function = getattr(node, "func", None)
    is_function = isinstance(function, FunctionType)  # an object may do anything
    is_between_workers = is_function and function.__module__.startswith("distributed.shuffle.")
    return is_between_workers or any(function is other for other in _functions(_RESULTS))


_BARRIERS = {"dask.bag.chunk": "barrier", "dask.dataframe.shuffle": "barrier"}
_RESULTS = {"dask.bag.core": "collect", "dask.dataframe.shuffle": "collect"}


def _functions(names: Mapping[str, str]) -> list[Any]:
    """The functions of shuffles on the disk, of modules that are imported."""
    modules = ((sys.modules.get(module), name) for module, name in names.items())
    return [getattr(module, name) for module, name in modules if module]
