"""Collections of any kind, opened: their tasks taken out, and others put in their place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dask._expr import Expr
from dask._task_spec import convert_legacy_task, fuse_linear_task_spec
from dask.base import collections_to_expr, is_dask_collection
from dask.core import flatten, istask
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Alias, DataNode, GraphNode, TaskRef

from pipeline.graph import GraphError, TaskGraph, inputs_of, map_leaves, subproblem, toposort
from pipeline.identity import short_repr
from pipeline.trace import Lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dask.typing import Key

    from pipeline.share.merging import Merged


class Opened(NamedTuple):
    """The tasks of a collection, the keys that it asks for, and how it is made of other tasks."""

    given: Any
    tasks: Mapping[Key, Any]
    keys: Sequence[Key]
    closed: Callable[[Mapping[Key, Any], Any], Any]  # of other tasks, and how they were merged
    is_bound: bool = True  # to its keys
    is_plain: bool = False  # a dict, whose keys nobody has made unique
    is_tree: bool = False  # of calls, whose keys become those of the DAG
    is_frame: bool = False
    note: str = ""  # why it is left as it is


def opened(collection: Any, seen: set[int] | None) -> Opened:
    """What a collection is made of, before Dask fuses it.

    seen: layers of other collections, by id, whose tasks need not be taken again
    """
    if isinstance(collection, TaskGraph):
        rebuild = partial(_graph, collection.outputs)
        is_tree = any(subproblem(key) is not key for key in collection.keys)
        tasks, keys = collection.tasks, collection.keys
        return Opened(collection, tasks, keys, rebuild, is_bound=False, is_tree=is_tree)
    if isinstance(collection, Lazy):
        # One task per subproblem already.
        graph = collection.task_graph()
        return Opened(collection, graph.tasks, graph.keys, lambda *_: collection)
    if isinstance(collection, Delayed):
        tasks = task_dict(collection.__dask_graph__(), None, seen)
        return Opened(collection, tasks, [collection.key], partial(_delayed, collection), False)
    keys = list(flatten([collection.__dask_keys__()]))
    tasks = task_dict(collection.__dask_graph__(), keys)
    rebuild, arguments = collection.__dask_postpersist__()
    return Opened(collection, tasks, keys, lambda new, _: rebuild(new, *arguments))


def is_annotated(collection: Any) -> bool:
    """Whether some tasks are to run in a way of their own, as `dask.annotate` says."""
    layers: Mapping[str, Any] = getattr(getattr(collection, "dask", None), "layers", {})
    return any(layer.annotations for layer in layers.values())


def _graph(outputs: Any, tasks: Mapping[Key, Any], merged: Merged) -> TaskGraph:
    def renamed(leaf: Any) -> Any:
        return TaskRef(merged.one_of(leaf.key)) if isinstance(leaf, TaskRef) else leaf

    return TaskGraph(dict(tasks), map_leaves(outputs, renamed))


def _delayed(old: Delayed, tasks: Mapping[Key, Any], merged: Merged) -> Delayed:
    layer = next(iter(tasks.layers)) if isinstance(tasks, HighLevelGraph) else None
    return Delayed(merged.one_of(old.key), tasks, old._length, layer=layer)


def is_frame(collection: Any) -> bool:
    """Whether this is a dataframe, or a part of one: an expression before it is a graph."""
    return hasattr(collection, "divisions") and isinstance(getattr(collection, "expr", None), Expr)


def frames(collections: Sequence[Any]) -> list[Opened]:
    """Dataframes, optimized together: else two that read other columns would read twice."""
    if not collections:
        return []
    together = collections_to_expr(list(collections)).optimize(fuse=False)
    return [_frame(*pair) for pair in zip(collections, together.operands, strict=True)]


def _frame(collection: Any, expression: Any) -> Opened:
    from dask.dataframe.dask_expr import from_graph

    keys = list(flatten([expression.__dask_keys__()]))
    name = keys[0][0].rpartition("-")[0]

    def closed(tasks: Mapping[Key, Any], _: Any) -> Any:
        return from_graph(dict(tasks), expression._meta, expression.divisions, keys, name)

    tasks = task_dict(expression.__dask_graph__(), keys)
    return Opened(collection, tasks, keys, closed, is_frame=True)


def unfused(collection: Any) -> Any:
    """A collection each of whose operations is a task, and whose tasks do not hold collections."""
    if is_frame(collection):
        [found] = frames([collection])
        return found.closed(found.tasks, None)
    if isinstance(collection, Delayed | Lazy | TaskGraph) or hasattr(collection, "expr"):
        return collection
    finish, arguments = collection.__dask_postcompute__()
    return Blocks(collection) if _has_collection((finish, *arguments)) else collection


def _has_collection(parts: Iterable[Any]) -> bool:
    return any(is_dask_collection(getattr(each, "__self__", each)) for each in parts)


class Blocks:
    """The blocks of a collection, as a collection; what puts them together holds it itself.

    A task that does so, of xarray's, has no content: it takes what is to be computed.
    """

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        self.__dask_scheduler__ = whole.__dask_scheduler__

    def __dask_graph__(self) -> Any:
        return self.whole.__dask_graph__()

    def __dask_keys__(self) -> list[Any]:
        return list(self.whole.__dask_keys__())

    def __dask_tokenize__(self) -> Any:
        return ("Blocks", self.whole.__dask_tokenize__())

    def __dask_postcompute__(self) -> Any:
        return list, ()

    def assemble(self, blocks: Any) -> Any:
        """The value of the collection, put together."""
        finish, arguments = self.whole.__dask_postcompute__()
        return finish(blocks, *arguments)


def fuse_lines(tasks: Mapping[Key, Any], keys: Iterable[Key]) -> dict[Key, Any]:
    """The tasks, those in line as one. Dask fuses expressions, not graphs: this is in its place."""
    held = {key: node for key, node in tasks.items() if isinstance(node, TaskRef)}
    own = {key: node for key, node in tasks.items() if key not in held}
    return {**fuse_linear_task_spec(own, set(keys)), **held}


def task_dict(
    dsk: Mapping[Key, Any], keys: Sequence[Key] | None = None, seen: set[int] | None = None
) -> dict[Key, Any]:
    """A graph as one dict of task specifications; what was in Dask's older form is converted."""
    tasks: dict[Key, Any] = {}
    if isinstance(dsk, HighLevelGraph):
        layers = _layers(dsk, keys)
        if seen is not None:
            layers = [each for each in layers if id(each) not in seen]
            seen.update(map(id, layers))
        for layer in layers:
            tasks.update(layer.mapping if type(layer) is MaterializedLayer else layer)
    else:
        tasks.update(dsk)
    kinds = set(map(type, tasks.values()))
    if all(issubclass(kind, GraphNode | TaskRef) for kind in kinds):
        return tasks
    older = [key for key, node in tasks.items() if not isinstance(node, GraphNode | TaskRef)]
    for key in older:
        node = convert_legacy_task(key, tasks[key], tasks)
        tasks[key] = node if isinstance(node, GraphNode | TaskRef) else DataNode(key, node)
        if isinstance(tasks[key], Alias) and tasks[key].target == key:
            del tasks[key]  # as Dask does: it is held elsewhere
    return tasks


def _layers(dsk: HighLevelGraph, keys: Sequence[Key] | None) -> Iterable[Any]:
    layers: Iterable[Any] = dsk.layers.values()
    if keys is None or all(type(layer) is MaterializedLayer for layer in layers):
        return layers
    needed: Iterable[Any] = dsk.cull(set(keys)).layers.values()  # before tasks are made in vain
    return needed


def dict_of_tasks(asked: Mapping[Key, Any], keys: Any) -> Opened:
    """A plain graph. It keeps the keys that are named, or else those that no other task takes.

    Raises `GraphError` for a cycle, and for a key that is not there.
    """
    tasks = task_dict(asked)
    if keys is None:
        toposort(tasks, tasks)  # which tells a cycle, of which nothing would be left
        taken = {each for node in tasks.values() for each in inputs_of(node)}
        wanted = [key for key in tasks if key not in taken]
    else:
        wanted = list(flatten([keys if isinstance(keys, list) else [keys]]))
        if missing := [key for key in wanted if key not in tasks]:
            raise GraphError(f"keys={short_repr(keys)}: {missing[0]!r} is not in the graph")
    return Opened(asked, tasks, wanted, lambda new, _: dict(new), is_plain=True)


def is_graph(asked: Any) -> bool:
    """Whether this is a graph as a plain dict."""
    if not isinstance(asked, Mapping) or is_dask_collection(asked):
        return False
    return isinstance(asked, HighLevelGraph) or any(
        isinstance(each, GraphNode | TaskRef) or istask(each) for each in asked.values()
    )


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
