"""`TaskGraph`: tasks in topological order, and the outputs that are asked of them.

Every pass of `pipeline` takes a `TaskGraph` and returns another; none changes what it was given.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import dask
import dask.threaded
from dask._task_spec import convert_legacy_graph
from dask.base import DaskMethodsMixin, replace_name_in_key
from dask.delayed import single_key
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, GraphNode, TaskRef
from dask.utils import ensure_dict

from pipeline.graph.keys import label
from pipeline.graph.nesting import map_leaves, references
from pipeline.graph.tasks import CallTask, GraphError, inputs_of, toposort
from pipeline.identity import UnkeyableError, Unknown, encode, short_hash, short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dask.typing import Key


class GraphCollection(Unknown, DaskMethodsMixin):  # type: ignore[misc] # Dask is untyped
    """A Dask collection that has a `TaskGraph`: a call, an expression, or a graph itself."""

    __slots__ = ()

    def task_graph(self) -> TaskGraph:
        """The graph that Dask runs for this collection."""
        raise NotImplementedError

    def compute(self, *, fuse: bool = True, **options: Any) -> Any:
        """The value of a call, or the values of a graph's outputs.

        fuse: False to run the graph task by task, as it is drawn
        options: as for `dask.compute`: scheduler, num_workers, and the like
        """
        from pipeline.compute import compute_one  # the whole path, above all folders

        return compute_one(self, fuse, options)

    # Dask's collection protocol. Dask reads the graph several times per operation.

    @property
    def __dask_optimize__(self) -> Callable[..., Any]:
        from pipeline.program import optimizer_of  # a folder above this one

        return optimizer_of(self)

    def __dask_graph__(self) -> Mapping[Key, GraphNode]:
        return self.task_graph().tasks

    def __dask_keys__(self) -> list[Key]:
        return self.task_graph().keys

    def __dask_tokenize__(self) -> tuple[str, Key]:
        return ("TaskGraph", self.task_graph().token)

    def __dask_postcompute__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        graph = self.task_graph()
        if isinstance(graph.outputs, TaskRef):
            return single_key, ()
        return fill_outputs, (graph.keys, graph.outputs)

    def __dask_postpersist__(self) -> tuple[Callable[..., TaskGraph], tuple[Any, ...]]:
        return _rebuild, (self.task_graph().outputs,)

    __dask_scheduler__ = staticmethod(dask.threaded.get)


class TaskGraph(GraphCollection):
    """Tasks by key, inputs before their consumers, and the outputs: a Dask collection.

    `outputs` is a `TaskRef`, or lists, tuples, sets, dicts and dataclasses of them, nested as
    `dask.compute` nests collections; computing the graph gives the same structure of values.
    `token` stands for the content of the graph; without it, it is derived from all tasks.
    """

    fused: TaskGraph  # this graph, fused by `pipeline.optimize`, when it has been run

    def __init__(self, tasks: dict[Key, Any], outputs: Any, *, token: Key | None = None) -> None:
        self.tasks = tasks
        self.outputs = outputs
        self.keys = references(outputs)
        if token is not None:
            self.token = token

    @cached_property
    def token(self) -> Key:
        tasks = ((key, _content(node), tuple(inputs_of(node))) for key, node in self.tasks.items())
        return short_hash((_content(self.outputs), *tasks))

    def __len__(self) -> int:
        return len(self.tasks)

    def __repr__(self) -> str:
        shown = ", ".join(map(label, self.keys[:3])) + (", …" if len(self.keys) > 3 else "")
        return f"<TaskGraph: {len(self):,} task{'s' * (len(self) != 1)}, outputs: {shown}>"

    def inputs(self, key: Key) -> Sequence[Key]:
        """The keys whose values a task takes, in argument order, repeated as they are used."""
        return inputs_of(self.tasks[key])

    def check(self) -> TaskGraph:
        """Verify the graph, and return it.

        Raises `GraphError` where a task or an output is missing, a node bears another key than
        its own, a task stands before its inputs, or tasks need each other in a cycle.
        """
        seen = set()
        for key, node in self.tasks.items():
            if getattr(node, "key", key) != key:
                raise GraphError(f"the task at {key!r} bears the key {node.key!r}")
            for each in inputs_of(node):
                if each not in self.tasks:
                    raise GraphError(f"{label(key)} needs {each!r}, which is not in the graph")
                if each not in seen:
                    toposort(self.tasks, [key])  # tells a cycle from a mere disorder
                    raise GraphError(f"{label(key)} stands before its input {label(each)}")
            seen.add(key)
        for key in self.keys:
            if key not in seen:
                raise GraphError(f"the output {key!r} is not in the graph")
        return self

    # What folders above this one do with a graph

    def compile(self, inputs: Sequence[Any] = ()) -> Any:
        """This graph as a function of some of its values, to be run many times.

        inputs: calls or keys of tasks that are not to be run: their values are given to each run

        Raises `GraphError` for an input that is not in the graph.

        >>> from pipeline.apps.fibonacci import fib
        >>> program = fib(6).graph().compile([fib(1), fib(0)])
        >>> program(1, 0), program(1.5, 1)
        (8, 17.0)
        """
        from pipeline.program import Program

        return Program(self, inputs)

    def visualize(self, filename: Any = None, format: str | None = None, **options: Any) -> Any:  # noqa: A002 - as in `dask.visualize`
        """Draw the graph as it is, one node a task; save it where a file name is given.

        filename: ends in .svg, .png, .pdf or .dot, or `format` says which
        options: see `pipeline.draw.visualize`
        """
        from pipeline.draw import visualize

        return visualize(self, filename, format, **options)

    def _repr_svg_(self) -> str:
        svg: str = self.visualize()._repr_svg_()
        return svg

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "fused"}

    def task_graph(self) -> TaskGraph:
        return self


def graph_of(asked: Any) -> TaskGraph:
    """A graph as it is, or that of a call. Raises `TypeError` for anything else."""
    if not isinstance(asked, GraphCollection):
        raise TypeError(
            f"{short_repr(asked)} is no call: give a call, or trace(...) of several; for other Dask "
            "collections there are contrast(...) and share_report(...)"
        )
    return asked.task_graph()


def fill_outputs(values: Iterable[Any], keys: Iterable[Key], outputs: Any) -> Any:
    """The outputs of a graph, with values in the places of their keys."""
    by_key = dict(zip(keys, values, strict=True))
    return map_leaves(outputs, lambda leaf: by_key[leaf.key] if isinstance(leaf, TaskRef) else leaf)


def _rebuild(
    dsk: Mapping[Key, Any], outputs: Any, *, rename: Mapping[str, str] | None = None
) -> TaskGraph:
    def renamed(leaf: Any) -> Any:
        if isinstance(leaf, TaskRef) and rename:
            return TaskRef(replace_name_in_key(leaf.key, rename))
        return leaf

    tasks = ensure_dict(dsk)
    if isinstance(dsk, HighLevelGraph):  # from `dask.graph_manipulation`, in Dask's older form
        tasks = convert_legacy_graph(tasks)
    # After a local persist the values stand bare, and a bare tuple would be read as a task.
    tasks = {
        key: each if isinstance(each, (GraphNode, TaskRef)) else DataNode(key, each)
        for key, each in tasks.items()
    }
    outputs = map_leaves(outputs, renamed)
    return TaskGraph(toposort(tasks, references(outputs)), outputs)


def _content(node: Any) -> Key:
    content = node.function if isinstance(node, CallTask) else node
    try:
        return encode(content)
    except UnkeyableError:
        # The graph keeps the object alive, so that no other bears its id.
        return f"{type(content).__name__} at {id(content)}"
