"""What Dask's optimizers run as one task: results within it are not worth storing."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from types import MethodDescriptorType
from typing import Any

import numpy as np
from dask._expr import Expr, HLGExpr
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Alias, Task, TaskRef
from dask.typing import Key
from dask.utils import ensure_dict

from pipeline.graph import CallTask, inputs_of, toposort
from pipeline.identity import ATOMS, library_name
from pipeline.share.copying import isolated, viewed

_QUICK = (isolated, viewed, np.transpose, np.reshape, np.expand_dims, np.broadcast_to)


def graphs_of(dsk: Any) -> list[HighLevelGraph]:
    """The high-level graphs in what a scheduler gets."""
    if isinstance(dsk, HighLevelGraph):
        return [dsk]
    graphs, stack = [], [dsk] if isinstance(dsk, Expr) else []
    while stack:
        node = stack.pop()
        if isinstance(node, HLGExpr):
            graphs.append(node.hlg)  # with those that it depends on
        else:
            stack += node.dependencies()
    return graphs


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
    tasks: Mapping[Key, Any],
    inner: Collection[Key],
    outputs: Iterable[Key],
    is_repeated: bool = False,
) -> dict[Key, Any]:
    """The tasks, where each inner one with one consumer runs within it.

    is_repeated: whether an elementwise one with several consumers runs within each of them, as it
        would in Dask; else it is a task
    """
    order = toposort(tasks, outputs)
    uses = Counter(key for node in order.values() for key in set(inputs_of(node)))
    wholes: dict[Key, dict[Key, None]] = {}  # the tasks within which an inner one runs
    for key in reversed(order):
        for source in inputs_of(order[key]) if _is_fusable(order[key]) else ():
            node, own = order.get(source), wholes.get(key, {key: None})
            is_once = uses[source] == 1 and len(own) == 1
            is_within = is_once or (is_repeated and _is_elementwise(node))
            if source in inner and is_within and _is_fusable(node):
                wholes.setdefault(source, {}).update(own)
    parts: dict[Key, list[Any]] = {}
    for key, node in order.items():
        for whole in wholes.get(key, (key,)):
            parts.setdefault(whole, []).append(node)
    fused = {key: Task.fuse(*nodes, key=key) if len(nodes) > 1 else nodes[0]
             for key, nodes in parts.items()}  # fmt: skip
    return toposort(fused, outputs)


def fuse_as_dask(
    tasks: Mapping[Key, Any], graphs: Sequence[HighLevelGraph], outputs: Sequence[Key]
) -> Mapping[Key, Any]:
    """Merged tasks of arrays: at most as many as Dask runs of the graphs that they come from.

    There are more where a function of the user's would run twice.
    """
    inner = inner_keys(graphs, outputs)
    if not inner:
        return tasks
    every = set().union(*(ensure_dict(graph) for graph in graphs))
    inner |= tasks.keys() - every  # what merging has added: handles, and tasks behind them
    shared = fuse_inner(tasks, inner, outputs)
    is_more = len(shared) > len(every - inner)
    return fuse_inner(tasks, inner, outputs, is_repeated=True) if is_more else shared


def fuse_bags(tasks: dict[Key, Any], outputs: Collection[Key]) -> dict[Key, Any]:
    """The tasks, where one of a bag that calls libraries alone runs within its only consumer.

    Its lists are then read as they are made, as in Dask. What a function of the user's returns
    stays a result: it may have taken long.
    """
    bag: Any = sys.modules.get("dask.bag.core")
    nodes = {key: node for key, node in tasks.items() if bag and type(node) is Task}
    makers = {key for key, node in nodes.items() if node.func is bag.reify or node.func is list}
    if not any(nodes[key].func is bag.reify for key in makers):
        return tasks
    uses = Counter(key for node in tasks.values() for key in inputs_of(node))
    inner = {
        key for key in makers.difference(outputs) if uses[key] == 1 and _is_of_libraries(nodes[key])
    }
    whole = dict(tasks)
    for key in toposort(tasks, outputs):
        node, sources = whole[key], inputs_of(tasks[key])
        if len(sources) != 1 or sources[0] not in inner or key not in nodes:
            continue
        if key in makers or getattr(node.func, "__module__", "") == bag.__name__:
            own = whole.pop(sources[0])
            task = Task(None, own.func, *own.args, **own.kwargs)
            whole[key] = bag.lazify_task(node.substitute({sources[0]: task}))
    return whole


def _is_of_libraries(value: Any) -> bool:
    """Whether a part of a task calls nothing of the user's."""
    if isinstance(value, Task | partial):
        named = value.kwargs if isinstance(value, Task) else value.keywords
        return all(map(_is_of_libraries, (value.func, *value.args, *named.values())))
    kinds = {*ATOMS, TaskRef, Alias, MethodDescriptorType}
    return type(value) in kinds or library_name(value) is not None


def _is_elementwise(node: Any) -> bool:
    """Whether a task is an operator of NumPy, a view, or a handle of its value."""
    function = getattr(node, "func", None)
    function = getattr(function, "func", function)  # of a partial
    is_operator = getattr(function, "__module__", "") == "_operator"
    return is_operator or isinstance(function, np.ufunc) or function in _QUICK


def _is_fusable(node: Any) -> bool:
    return type(node) is Task or type(node) is CallTask
