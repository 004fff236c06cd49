"""What Dask's optimizer of arrays runs as one task: results within it are not worth storing."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dask._expr import HLGExpr
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task
from dask.typing import Key
from dask.utils import ensure_dict

from pipeline.graph import CallTask, inputs_of, toposort


def graphs_of(dsk: Any) -> list[HighLevelGraph]:
    """The high-level graphs in what a scheduler gets."""
    if isinstance(dsk, HighLevelGraph):
        return [dsk]
    nodes = dsk.walk() if hasattr(dsk, "walk") else ()
    return [node.hlg for node in nodes if isinstance(node, HLGExpr)]


def inner_keys(graphs: Iterable[HighLevelGraph], outputs: Collection[Key]) -> set[Key]:
    """The tasks that Dask would run inside others: the operations of a block but for the last.

    graphs: of arrays, and of all else; those without elementwise operations are left as they are
    outputs: the keys whose values are requested
    """
    every: set[Key] = set()
    kept: set[Key] = set(outputs)
    for graph in graphs:
        if any(isinstance(layer, Blockwise) for layer in graph.layers.values()):
            tasks = ensure_dict(graph)
            every |= tasks.keys()
            names = [key for key in outputs if key in tasks]
            kept |= sys.modules["dask.array"].optimization.optimize(graph, names).keys()
    return every - kept


def fuse_inner(
    tasks: Mapping[Key, Any], inner: Collection[Key], outputs: Iterable[Key]
) -> dict[Key, Any]:
    """The tasks, where each inner one with one consumer runs within it."""
    uses = Counter(key for node in tasks.values() for key in set(inputs_of(node)))
    order = toposort(tasks, outputs)
    whole: dict[Key, Key] = {}  # the task within which an inner one runs
    for key in reversed(order):
        for source in inputs_of(order[key]) if _is_fusable(order[key]) else ():
            if source in inner and uses[source] == 1 and _is_fusable(order.get(source)):
                whole[source] = whole.get(key, key)
    parts: dict[Key, list[Any]] = {}
    for key, node in order.items():
        parts.setdefault(whole.get(key, key), []).append(node)
    fused = {key: Task.fuse(*nodes, key=key) if len(nodes) > 1 else nodes[0]
             for key, nodes in parts.items()}  # fmt: skip
    return toposort(fused, outputs)


def _is_fusable(node: Any) -> bool:
    return type(node) is Task or type(node) is CallTask
