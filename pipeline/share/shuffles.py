"""Dask's shuffles: between their tasks pass more than values.

On the disk, tasks write into one place, and the tasks that return partitions read from it. On a
cluster, workers send parts to each other. In both, a barrier is between the two kinds of task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
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
    module: Any = sys.modules.get("dask.dataframe.shuffle")
    barriers = {key for key, node in tasks.items() if _is_barrier(node, module)}
    if not barriers:
        return Shuffles()
    results = {key for key, node in tasks.items() if not barriers.isdisjoint(inputs_of(node))}
    if not all(_is_result(tasks[key], module) for key in results):
        return Shuffles()
    before = {key for barrier in barriers for key in inputs_of(tasks[barrier])}
    used = (source for key in results for source in inputs_of(tasks[key]))
    places = {source for source in used if is_place(tasks.get(source))}
    ids = {str(tasks[key].spec.id) for key in barriers if hasattr(tasks[key], "spec")}
    return Shuffles(frozenset(barriers | before | places), frozenset(results), frozenset(ids))


def is_place(node: Any) -> bool:
    """Whether a task makes the place on the disk to which others write."""
    function = getattr(node, "func", None)
    return type(function).__module__ == "dask.dataframe.shuffle"


def specification(task: Task, ids: Iterable[str]) -> list[Any]:
    """The arguments of a task of a shuffle that decide its value: not the id of the shuffle."""
    values = (*task.args, *task.kwargs.values(), *_fields(getattr(task, "spec", None)))
    return [value for value in values if not (isinstance(value, str) and value in ids)]


def _fields(spec: Any) -> list[Any]:
    # The names and types of columns come with the data.
    return [] if spec is None else [item for name, item in vars(spec).items() if name != "meta"]


def _is_barrier(node: Any, module: Any) -> bool:
    is_on_disk = module is not None and getattr(node, "func", None) is module.barrier
    return is_on_disk or (
        isinstance(node, Task) and type(node).__module__.startswith("distributed.shuffle.")
    )


def _is_result(node: Any, module: Any) -> bool:
    function: Any = getattr(node, "func", None)
    is_on_disk = module is not None and function is module.collect
    return is_on_disk or str(getattr(function, "__module__", "")).startswith("distributed.shuffle.")
