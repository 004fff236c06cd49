"""Collections of any kind: their tasks, and the same collections rebuilt from merged tasks."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from dask._expr import Expr
from dask._task_spec import convert_legacy_graph, fuse_linear_task_spec
from dask.base import collections_to_expr, get_scheduler, is_dask_collection
from dask.core import flatten, istask
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Alias, GraphNode, List, Task, TaskRef
from dask.tokenize import normalize_token
from dask.typing import Key

from pipeline.graph import (
    GraphCollection,
    GraphError,
    TaskGraph,
    inputs_of,
    map_leaves,
    toposort,
)
from pipeline.identity import short_hash, short_repr
from pipeline.share.blocks import fuse_as_dask
from pipeline.share.merging import Merged
from pipeline.share.purity.verdicts import is_used_up

_MANY_DELAYED = 8
"""More delayed objects than these share one graph; else each would hold a copy."""


class Opened(NamedTuple):
    """A collection, its tasks and outputs, and how it is rebuilt.

    rebuild: the collection from merged tasks
    keeps_keys: whether the outputs keep their keys
    note: why the collection is left as it is
    """

    collection: Any
    tasks: Mapping[Key, Any]
    keys: Sequence[Key]
    rebuild: Callable[[Mapping[Key, Any], Merged], Any]
    keeps_keys: bool = True
    note: str = ""


def open_all(collections: Sequence[Any], keys: Any) -> list[Opened]:
    """The tasks of collections and dicts, before Dask fuses them.

    keys: the outputs of dicts
    """
    if keys is not None and not any(map(is_graph, collections)):
        raise TypeError(
            f"keys={short_repr(keys)}: only a dict of tasks needs keys; collections have them"
        )
    seen: set[int] | None = set() if len(collections) > 1 else None
    frames = iter(_open_frames([part for part in collections if _is_frame(part)]))
    return [next(frames) if _is_frame(part) else _open(part, keys, seen) for part in collections]


def _open(collection: Any, keys: Any, seen: set[int] | None) -> Opened:
    if is_graph(collection):
        return open_dict(collection, keys)
    if is_annotated(collection):
        note = "a collection with annotations, which is left as it is"
        return Opened(collection, {}, [], lambda *_: None, note=note)
    if isinstance(collection, GraphCollection):
        graph = collection.task_graph()
        if graph is not collection:  # a call has one task per subproblem already
            return Opened(collection, graph.tasks, graph.keys, lambda *_: collection)

        def rebuild_graph(tasks: Mapping[Key, Any], merged: Merged) -> TaskGraph:
            return TaskGraph(dict(tasks), map_leaves(graph.outputs, merged.renamed))

        return Opened(graph, graph.tasks, graph.keys, rebuild_graph, False)
    if isinstance(collection, Delayed):
        tasks = task_dict(collection.__dask_graph__(), None, seen)
        rebuild = partial(_rebuild_delayed, collection)
        return Opened(collection, tasks, [collection.key], rebuild, False)
    keys = list(flatten([collection.__dask_keys__()]))
    tasks = task_dict(collection.__dask_graph__(), keys)
    rebuild, arguments = collection.__dask_postpersist__()
    return Opened(collection, tasks, keys, lambda tasks, _: rebuild(tasks, *arguments))


def _rebuild_delayed(old: Delayed, tasks: Mapping[Key, Any], merged: Merged) -> Delayed:
    layer = next(iter(tasks.layers)) if isinstance(tasks, HighLevelGraph) else None
    return Delayed(merged.output_key(old.key), tasks, old._length, layer=layer)


def is_annotated(collection: Any) -> bool:
    """Whether `dask.annotate` says how some tasks are to run."""
    layers: Mapping[str, Any] = getattr(getattr(collection, "dask", None), "layers", {})
    return any(layer.annotations for layer in layers.values())


def _is_frame(collection: Any) -> bool:
    """Whether this is a dataframe, or a part of one: an expression before it is a graph."""
    # Of the class: the divisions of some collections raise, before Dask says what is wrong.
    is_divided = hasattr(type(collection), "divisions")
    return is_divided and isinstance(getattr(collection, "expr", None), Expr)


def _open_frames(collections: Sequence[Any]) -> list[Opened]:
    """Dataframes, optimized together: else two that use different columns read their data twice."""
    if not collections:
        return []
    # It imports distributed. Where Dask reads statistics of Parquet, that would lose its settings.
    get_scheduler()
    optimized = collections_to_expr(list(collections)).optimize(fuse=False)
    return [_open_frame(*pair) for pair in zip(collections, optimized.operands, strict=True)]


def _open_frame(collection: Any, expression: Any) -> Opened:
    from dask.dataframe.dask_expr import from_graph

    keys = list(flatten([expression.__dask_keys__()]))
    name = keys[0][0].rpartition("-")[0]

    def rebuild(tasks: Mapping[Key, Any], _: Any) -> Any:
        layer = _Layer(tasks, expression._name)
        return from_graph(layer, expression._meta, expression.divisions, keys, name)

    tasks = task_dict(expression.__dask_graph__(), keys)
    return Opened(collection, tasks, keys, rebuild)


class _Layer(dict[Key, Any]):
    """The tasks of a dataframe, by the name of its expression: Dask would hash each of them."""

    def __init__(self, tasks: Mapping[Key, Any], name: str) -> None:
        super().__init__(tasks)
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


normalize_token.register(_Layer, lambda layer: ("shared", layer.name, repr(list(layer))))


def task_dict(
    dsk: Mapping[Key, Any], keys: Sequence[Key] | None = None, seen: set[int] | None = None
) -> dict[Key, Any]:
    """A graph as one dict of task specifications; legacy tasks are converted.

    keys: the outputs, which decide the tasks that layers need to create
    seen: layers of other collections, by id, which are skipped
    """
    layers: Iterable[Any] = [dsk]
    if isinstance(dsk, HighLevelGraph):
        layers = dsk.layers.values()
        if keys is not None and any(type(layer) is not MaterializedLayer for layer in layers):
            layers = dsk.cull(set(keys)).layers.values()
    if seen is not None:
        layers = [layer for layer in layers if id(layer) not in seen]
        seen.update(map(id, layers))
    tasks: dict[Key, Any] = {}
    for layer in layers:
        tasks.update(layer.mapping if type(layer) is MaterializedLayer else layer)
    found, kinds = set(map(type, tasks.values())), GraphNode | TaskRef
    if TaskRef in found:  # it is an alias, or data on a cluster
        refs = {key: node.key for key, node in tasks.items() if type(node) is TaskRef}
        tasks |= {key: Alias(key, ref) for key, ref in refs.items() if ref in tasks and ref != key}
    if all(issubclass(kind, kinds) for kind in found):
        return tasks
    legacy = {key: node for key, node in tasks.items() if not isinstance(node, kinds)}
    converted = convert_legacy_graph(legacy, tasks)
    for key in legacy.keys() - converted.keys():  # aliases of themselves
        del tasks[key]
    tasks.update(converted)
    return tasks


def open_dict(dsk: Mapping[Key, Any], keys: Any) -> Opened:
    """A plain graph. Its outputs are the given keys, or else the tasks without consumers.

    Raises `GraphError` for a cycle, and for a missing key.
    """
    tasks = task_dict(dsk)
    if keys is None:
        toposort(tasks, tasks)  # raises for a cycle, which would have no output
        sources = {source for node in tasks.values() for source in inputs_of(node)}
        outputs = [key for key in tasks if key not in sources]
    else:
        outputs = list(flatten([keys if isinstance(keys, list) else [keys]]))
        if missing := [key for key in outputs if key not in tasks]:
            raise GraphError(f"keys={short_repr(keys)}: {missing[0]!r} is not in the graph")
    return Opened(dsk, tasks, outputs, lambda tasks, _: dict(tasks))


def is_graph(value: Any) -> bool:
    """Whether this is a graph as a plain dict."""
    if not isinstance(value, Mapping) or is_dask_collection(value):
        return False
    return isinstance(value, HighLevelGraph) or any(
        isinstance(node, GraphNode | TaskRef) or istask(node) for node in value.values()
    )


def joined(opened: Sequence[Opened]) -> Mapping[Key, Any]:
    """The tasks of several collections. Raises `GraphError` if dicts use a key for two tasks."""
    if len(opened) == 1:
        return opened[0].tasks
    tasks: dict[Key, Any] = {}
    for part in opened:
        # The keys of a dict are not unique, as those of a collection are.
        for key in tasks.keys() & part.tasks.keys() if is_graph(part.collection) else ():
            if tasks[key] is not part.tasks[key]:
                raise GraphError(
                    f"two graphs have a task under the key {key!r}: share them one at a time, "
                    "or give their keys a prefix"
                )
        tasks.update(part.tasks)
    return tasks


def rebuild_all(opened: Sequence[Opened], merged: Merged) -> Iterator[Any]:
    """The collections, from merged tasks. Those in which nothing is merged stay as they are."""
    is_many = sum(isinstance(part.collection, Delayed) for part in opened) > _MANY_DELAYED
    one_graph = _one_layer(merged.tasks) if is_many else {}
    kept = [key for part in opened if part.keeps_keys for key in part.keys]
    is_any_frame = any(_is_frame(part.collection) for part in opened)
    lines = fuse_lines(merged.tasks, kept) if is_any_frame else {}

    @cache
    def blocks() -> Mapping[Key, Any]:
        arrays = [part.collection for part in opened if _is_array(part.collection)]
        return fuse_as_dask(merged.tasks, [part.__dask_graph__() for part in arrays], kept)

    for part in opened:
        names = part.keys if part.keeps_keys else [merged.output_key(key) for key in part.keys]
        is_one = is_many and isinstance(part.collection, Delayed)
        tasks = one_graph if is_one else merged.tasks
        if not is_one and len(opened) > 1:
            tasks = toposort(tasks, names)
        is_same = all(node is merged.original.get(key) for key, node in tasks.items())
        if is_same and names == part.keys and not is_graph(part.collection):
            yield part.collection
        elif _is_array(part.collection):
            yield part.rebuild(toposort(blocks(), names), merged)
        else:
            yield part.rebuild(
                toposort(lines, names) if _is_frame(part.collection) else tasks, merged
            )


def _one_layer(tasks: Mapping[Key, Any]) -> HighLevelGraph:
    """A graph of one layer, whose name shows Dask that it is the same graph."""
    name = f"shared-{short_hash(tuple(map(str, tasks)))}"
    return HighLevelGraph({name: MaterializedLayer(tasks)}, {name: set()})


def fuse_lines(tasks: Mapping[Key, Any], keys: Iterable[Key]) -> dict[Key, Any]:
    """The tasks, with each line of them as one. Dask fuses expressions, but not their graphs."""
    futures = {key: node for key, node in tasks.items() if isinstance(node, TaskRef)}
    own = {key: node for key, node in tasks.items() if key not in futures}
    return {**fuse_linear_task_spec(own, set(keys)), **futures}


def _is_array(collection: Any) -> bool:
    """Whether Dask optimizes a collection as arrays; those of xarray, too."""
    array = sys.modules.get("dask.array")
    optimize = getattr(collection, "__dask_optimize__", None)
    return array is not None and optimize is array.Array.__dask_optimize__


# For a run through a store, which needs every task


def unfused(collection: Any) -> Any:
    """A collection with one task per operation, and no task that contains a collection."""
    if _is_frame(collection):
        [frame] = _open_frames([collection])
        rebuild: Any = frame.rebuild
        return rebuild(_file_by_file(frame.tasks), None)
    if isinstance(collection, Delayed | GraphCollection) or hasattr(collection, "expr"):
        return collection
    finish, arguments = collection.__dask_postcompute__()
    parts = [getattr(part, "__self__", part) for part in (finish, *arguments)]
    return Blocks(collection) if any(map(is_dask_collection, parts)) else collection


def _file_by_file(tasks: Mapping[Key, Any]) -> dict[Key, Any]:
    """The tasks of a frame, where no task depends on files that it does not need.

    Dask reads several files in one task, where few of their columns are used. With one more file,
    other files are together. So each file has a task, and another one puts them together.
    """
    from dask.dataframe.dispatch import concat

    apart: dict[Key, Any] = {}
    readers: dict[int, Any] = {}
    for key, node in tasks.items():
        function: Any = getattr(node, "func", None)
        parts = node.args[0] if function is concat else None
        if isinstance(parts, List) and {*map(type, parts)} == {Task} and not inputs_of(node):
            name, *place = key
            files = [(f"file-{name}", *place, number) for number, _ in enumerate(parts)]
            apart |= {file: _named(file, part) for file, part in zip(files, parts, strict=True)}
            node = Task(key, concat, List(*map(TaskRef, files)), *node.args[1:], **node.kwargs)
        elif type(node) is Task and getattr(function, "func", None) is _csv_reader():
            reader = readers.setdefault(id(function), _without_rows(function))
            node = Task(key, reader, *node.args, **node.kwargs)
        apart[key] = node
    return apart


def _named(key: Key | None, task: Task) -> Task:
    """A task under another key; without a key, as a part of another task."""
    return Task(key, task.func, *task.args, **task.kwargs)


def _csv_reader() -> Any:
    module = sys.modules.get("dask.dataframe.io.csv")
    return getattr(module, "_read_csv", module)


def _without_rows(reader: partial[Any]) -> partial[Any]:
    """Dask's reader of CSV. It has the first rows of the first file, and uses their types alone."""
    head = reader.keywords["head"].iloc[:0]
    return partial(reader.func, *reader.args, **{**reader.keywords, "head": head})


def with_iterators(tasks: dict[Key, Any], outputs: Collection[Key]) -> dict[Key, Any]:
    """The tasks, where one that returns an iterator runs within its only consumer.

    An iterator changes as it is read, and cannot be stored or sent; the call that makes it can be
    repeated. One with several consumers stays a task: the order in which they read it counts.
    """
    functions = {id(node.func): node.func for node in tasks.values() if type(node) is Task}
    used_up = {place for place, function in functions.items() if is_used_up(function)}
    if not used_up:
        return tasks
    makers = {key for key, node in tasks.items() if type(node) is Task and id(node.func) in used_up}
    uses = Counter(key for node in tasks.values() for key in inputs_of(node))
    inner = {key for key in makers.difference(outputs) if uses[key] == 1}
    whole = dict(tasks)
    for key in toposort(tasks, outputs):
        node: Any = whole[key]
        if type(node) is Task and (own := inner.intersection(inputs_of(node))):
            whole[key] = node.substitute(
                {source: _named(None, whole.pop(source)) for source in own}
            )
    return whole


class Blocks:
    """The blocks of a collection, as a collection.

    The task that assembles a collection of xarray contains the collection: it has no content.
    """

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        self.__dask_graph__ = whole.__dask_graph__
        self.__dask_keys__ = whole.__dask_keys__
        self.__dask_scheduler__ = whole.__dask_scheduler__

    def __dask_tokenize__(self) -> Any:
        return ("Blocks", self.whole.__dask_tokenize__())

    def __dask_postcompute__(self) -> Any:
        return list, ()

    def assemble(self, blocks: Any) -> Any:
        """The value of the collection."""
        finish, arguments = self.whole.__dask_postcompute__()
        return finish(blocks, *arguments)
