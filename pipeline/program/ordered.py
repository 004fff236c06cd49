"""Tasks that Dask has fused, run in an order that is found once.

Dask orders the tasks within a fused task anew each time that it runs. For short tasks that takes
longer than the tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dask._task_spec import _execute_subgraph
from dask.task_spec import GraphNode, Task
from dask.typing import Key

from pipeline.graph import toposort


def in_order(tasks: Mapping[Key, Any]) -> dict[Key, Any]:
    """The tasks of a run, in which those that Dask has fused know their order."""
    return {key: _ordered(node) if _is_fused(node) else node for key, node in tasks.items()}


def _is_fused(node: Any) -> bool:
    return type(node) is Task and node.func is _execute_subgraph


def _ordered(node: Any) -> Task:
    inner, output, *others = node.args
    order = toposort(inner, [output])
    return Task(
        node.key, run_in_order, order, output, *others, _data_producer=node.data_producer
    )  # fmt: skip


def run_in_order(
    inner: Mapping[Key, GraphNode], output: Key, names: Sequence[Key], *values: Any
) -> Any:
    """The value of the last of some tasks. Each value is held until its last consumer has run.

    inner: the tasks, inputs before their consumers
    names: of the values of other tasks
    """
    known = dict(zip(names, values, strict=True))
    uses = Counter(key for node in inner.values() for key in node.dependencies)
    uses[output] += 1
    for key, node in inner.items():
        known[key] = node(known)
        for source in node.dependencies:
            uses[source] -= 1
            if not uses[source]:
                del known[source]
    return known[output]
