"""Collections of any kind, opened: their tasks taken out, and others put in their place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dask._expr import Expr
from dask._task_spec import convert_legacy_task, fuse_linear_task_spec
from dask.base import is_dask_collection, unpack_collections
from dask.core import flatten, istask
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import DataNode, GraphNode, TaskRef

from pipeline.graph import TaskGraph
from pipeline.lazy import Lazy
from pipeline.nest import nest
from pipeline.node import GraphError, inputs
from pipeline.units import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dask.typing import Key

    from pipeline.merge import Merged


class Opened(NamedTuple):
    """The tasks of a collection, the keys that it asks for, and how it is made of other tasks."""

    tasks: Mapping[Key, Any]
    keys: Sequence[Key]
    closed: Callable[[Mapping[Key, Any], Merged], Any]
    is_bound: bool = True  # to its keys
    is_plain: bool = False  # a dict, whose keys nobody has made unique


def opened(collection: Any) -> Opened:
    """What a collection is made of, before Dask fuses it."""
    if isinstance(collection, TaskGraph):
        return Opened(collection.tasks, collection.keys, partial(_graph, collection.outputs), False)
    if isinstance(collection, Lazy):
        # One task per subproblem already.
        graph = collection._traced()
        return Opened(graph.tasks, graph.keys, lambda *_: collection)
    if isinstance(collection, Delayed):
        tasks = plain(collection.__dask_graph__(), [collection.key])
        return Opened(tasks, [collection.key], partial(_delayed, collection), False)
    if isinstance(getattr(collection, "expr", None), Expr):
        return _expression(collection)
    keys = list(flatten([collection.__dask_keys__()]))
    tasks = plain(collection.__dask_graph__(), keys)
    rebuild, arguments = collection.__dask_postpersist__()
    return Opened(tasks, keys, lambda new, _: rebuild(new, *arguments))


def _graph(outputs: Any, tasks: Mapping[Key, Any], merged: Merged) -> TaskGraph:
    def renamed(leaf: Any) -> Any:
        return TaskRef(merged.one_of(leaf.key)) if isinstance(leaf, TaskRef) else leaf

    return TaskGraph(dict(tasks), nest(outputs, renamed))


def _delayed(old: Delayed, tasks: Mapping[Key, Any], merged: Merged) -> Delayed:
    return Delayed(merged.one_of(old.key), tasks, old._length)


def _expression(collection: Any) -> Opened:
    """A dataframe, or another collection that is an expression before it is a graph."""
    if not hasattr(collection, "divisions"):  # an array of Dask's new kind
        keys = list(flatten([collection.__dask_keys__()]))
        rebuild, arguments = collection.__dask_postpersist__()
        tasks = plain(collection.__dask_graph__(), keys)
        return Opened(tasks, keys, lambda new, _: rebuild(new, *arguments))
    from dask.dataframe.dask_expr import from_graph

    frame = collection.optimize(fuse=False)
    keys = list(flatten([frame.__dask_keys__()]))
    name = keys[0][0].rpartition("-")[0]

    def closed(tasks: Mapping[Key, Any], _: Merged) -> Any:
        # Dask fuses expressions, not graphs: what it would have fused is fused here.
        held = {key: node for key, node in tasks.items() if isinstance(node, TaskRef)}
        own = {key: node for key, node in tasks.items() if key not in held}
        graph = {**fuse_linear_task_spec(own, set(keys)), **held}
        return from_graph(graph, frame._meta, frame.divisions, keys, name)

    return Opened(plain(frame.__dask_graph__(), keys), keys, closed)


def unpacked(
    asked: Any, keys: Sequence[Key] | None
) -> tuple[list[Opened], Callable[[list[Any]], Any]]:
    """The collections in an argument, opened, and how the argument is made of others.

    A collection; a nested structure of some; or a dict of tasks, which keeps the keys that are
    named, or else those that no other of its tasks takes.
    """
    if is_dask_collection(asked):
        return [opened(asked)], lambda new: new[0]
    if isinstance(asked, Mapping) and _is_graph(asked):
        tasks = plain(asked)
        if keys is None:
            taken = {each for node in tasks.values() for each in inputs(node)}
            keys = [key for key in tasks if key not in taken]
        elif missing := [key for key in keys if key not in tasks]:
            raise GraphError(f"keys={brief(keys)}: {missing[0]!r} is not in the graph")
        return [Opened(tasks, keys, lambda new, _: dict(new), is_plain=True)], lambda new: new[0]
    found, repack = unpack_collections(asked)
    return list(map(opened, found)), lambda new: repack(new)[0]


def _is_graph(asked: Mapping[Any, Any]) -> bool:
    if isinstance(asked, HighLevelGraph):
        return True
    return any(isinstance(each, GraphNode | TaskRef) or istask(each) for each in asked.values())


def together(found: Sequence[Opened]) -> Mapping[Key, Any]:
    """The tasks of several collections. Raises `GraphError` where dicts use a key for two tasks."""
    if len(found) == 1:
        return found[0].tasks
    tasks: dict[Key, Any] = {}
    for each in found:
        if each.is_plain:
            for key in tasks.keys() & each.tasks.keys():
                if tasks[key] is not each.tasks[key]:
                    raise GraphError(
                        f"two graphs have a task under the key {key!r}: share them one at a time, "
                        "or give their keys a prefix"
                    )
        tasks.update(each.tasks)
    return tasks


def plain(dsk: Mapping[Key, Any], keys: Sequence[Key] | None = None) -> dict[Key, Any]:
    """A graph as one dict of task specifications; what was in Dask's older form is converted."""
    tasks: dict[Key, Any] = {}
    if isinstance(dsk, HighLevelGraph):
        layers = dsk.layers.values()
        made = [each.mapping for each in layers if type(each) is MaterializedLayer]
        if len(made) < len(layers) and keys is not None:
            layers = dsk.cull(set(keys)).layers.values()  # before tasks are made that nobody needs
        for layer in made if len(made) == len(layers) else layers:
            tasks.update(layer)
    else:
        tasks.update(dsk)
    kinds = set(map(type, tasks.values()))
    if all(issubclass(kind, GraphNode | TaskRef) for kind in kinds):
        return tasks
    older = [key for key, node in tasks.items() if not isinstance(node, GraphNode | TaskRef)]
    for key in older:
        node = convert_legacy_task(key, tasks[key], tasks)
        tasks[key] = node if isinstance(node, GraphNode | TaskRef) else DataNode(key, node)
    return tasks
