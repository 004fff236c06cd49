"""Tasks, and `TaskGraph`: tasks in topological order, with outputs nested as Dask nests them.

A task is any node of Dask's task specification; the tracer makes `CallTask`s. Every pass of
`pipeline` takes a `TaskGraph` and returns another, and leaves its input as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from operator import is_
from typing import Any, cast

import dask
import dask.threaded
from dask._task_spec import convert_legacy_graph
from dask.base import DaskMethodsMixin, replace_name_in_key
from dask.delayed import single_key
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.typing import Key
from dask.utils import ensure_dict, is_namedtuple_instance

from pipeline import PipelineError
from pipeline.graph.keys import label
from pipeline.identity import UnkeyableError, Unknown, encode, short_hash, short_repr


class GraphError(PipelineError, ValueError):
    """A graph that no scheduler could run: a missing task, a cycle, a wrong key."""


class CallTask(GraphNode):  # type: ignore[misc] # Dask is untyped
    """A task: a function of the values of its inputs, which are keys in argument order.

    Constants belong to the function. A cheap task is not worth a scheduler's time, and may run
    with others as one. Dask's `Task` takes several times as long to make, and its errors do not
    name the call.
    """

    __slots__ = ("cheap", "function", "inputs")

    def __init__(
        self, key: Key, function: Callable[..., Any], inputs: tuple[Key, ...], cheap: bool = True
    ) -> None:
        self.key = key  # type: ignore[misc] # Dask's slot
        self.function = function
        self.inputs = inputs
        self.cheap = cheap

    @property
    def dependencies(self) -> frozenset[Key]:
        return frozenset(self.inputs)

    def __call__(self, values: Any = ()) -> Any:
        try:
            return self.function(*[values[key] for key in self.inputs])
        except Exception as error:
            error.add_note(f"while computing {label(self.key)}")
            raise

    def substitute(self, subs: Mapping[Key, Any], key: Key | None = None) -> GraphNode:
        new = [subs.get(source, source) for source in self.inputs]
        key = self.key if key is None else key
        if any(isinstance(source, (GraphNode, TaskRef)) for source in new):
            task = Task(key, self.function, *map(TaskRef, self.inputs))
            return cast("GraphNode", task.substitute(subs))
        return type(self)(key, self.function, tuple(new), self.cheap)

    def copy(self) -> GraphNode:
        return self.substitute({})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.function, self.inputs, self.cheap)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("Node", self.function, self.inputs)

    def __repr__(self) -> str:
        inputs = ", ".join(map(label, self.inputs)) or "no inputs"
        return f"<{type(self).__name__} {label(self.key)}: {inputs}>"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + object.__sizeof__(self.inputs)


def inputs_of(node: Any) -> Sequence[Key]:
    """The keys whose values a node of any kind takes, in argument order, with repetitions."""
    if isinstance(node, CallTask):
        return node.inputs
    if isinstance(node, Alias):
        return [node.target]
    if isinstance(node, Task):
        keys: list[Key] = []
        for value in (*node.args, *node.kwargs.values()) if node.kwargs else node.args:
            if type(value) is TaskRef:
                keys.append(value.key)
            elif isinstance(value, GraphNode):
                keys += inputs_of(value)
        return keys
    return list(node.dependencies) if isinstance(node, GraphNode) else []  # a future is data


def function_of(node: Any) -> Callable[..., Any]:
    """A node of any kind as a function of the values of its inputs."""
    return node.function if isinstance(node, CallTask) else partial(_evaluate, node)


def _evaluate(node: GraphNode, *values: Any) -> Any:
    return node(dict(zip(inputs_of(node), values, strict=True)))


def toposort(tasks: Mapping[Key, Any], outputs: Iterable[Key]) -> dict[Key, Any]:
    """The tasks that the outputs need, inputs before their consumers, as a recursion meets them.

    The scheduler holds the value of a key that is not in `tasks`. Raises `GraphError` for a cycle,
    and shows it.
    """
    done: dict[Key, Any] = {}
    entered: dict[Key, None] = {}
    stack = [key for key in reversed(list(outputs)) if key in tasks]
    while stack:
        key = stack[-1]
        if key in done:
            stack.pop()
        elif key in entered:
            stack.pop()
            del entered[key]
            done[key] = tasks[key]
        else:
            entered[key] = None
            for source in reversed(inputs_of(tasks[key])):
                if source in entered:
                    raise GraphError(f"a cycle of tasks: {cycle_text(entered, source)}")
                if source in tasks and source not in done:
                    stack.append(source)
    return done


def cycle_text(path: Iterable[Key], key: Key) -> str:
    """The cycle at the end of a path that returns to a key: `f(1) → f(2) → f(1)`."""
    steps = list(path)
    steps = [*steps[steps.index(key) :], key]
    if len(steps) > 12:
        steps[6:-5] = ["…"]
    return " → ".join(map(label, steps))


def children(structure: Any) -> Iterable[Any] | None:
    """The direct members of a structure; None for any other value.

    Structures are lists, tuples, sets, dicts, named tuples, dataclasses and slices.
    """
    kind = type(structure)
    if kind in (list, tuple, set) or is_namedtuple_instance(structure):
        return cast("Iterable[Any]", structure)
    if kind is dict:
        return cast("Iterable[Any]", structure.values())
    if kind is slice:
        return (structure.start, structure.stop, structure.step)
    if dataclasses.is_dataclass(kind):
        return [getattr(structure, field.name) for field in dataclasses.fields(kind)]
    return None


def leaves(structure: Any) -> Iterator[Any]:
    """The values in a nested structure that are no structures, in order."""
    inner = children(structure)
    if inner is None:
        yield structure
    else:
        for member in inner:
            yield from leaves(member)


def map_leaves(structure: Any, function: Callable[[Any], Any]) -> Any:
    """The same structure, with a function applied to each leaf.

    >>> map_leaves({"a": [1, (2,)]}, str)
    {'a': ['1', ('2',)]}
    """
    inner = children(structure)
    if inner is None:
        return function(structure)
    new = [map_leaves(member, function) for member in inner]
    kind = type(structure)
    if kind is dict:
        return dict(zip(structure, new, strict=True))
    if kind in (list, tuple, set):
        return kind(new)
    if all(map(is_, inner, new)):
        return structure
    if not dataclasses.is_dataclass(structure):
        return kind(*new)
    changed = copy(structure)  # `__init__` may do more than set the fields
    for field, value in zip(dataclasses.fields(structure), new, strict=True):
        object.__setattr__(changed, field.name, value)
    return changed


def keys_in(structure: Any) -> list[Key]:
    """The keys in a nested structure, in order, with repetitions."""
    return [leaf.key for leaf in leaves(structure) if isinstance(leaf, TaskRef)]


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

    def visualize(self, filename: Any = None, format: str | None = None, **options: Any) -> Any:  # noqa: A002 - as in `dask.visualize`
        """Draw the graph as it is, one node per task, and save it if there is a file name.

        filename: ends in .svg, .png, .pdf or .dot, unless `format` says which
        options: see `pipeline.draw.visualize`
        """
        from pipeline.draw import visualize  # a folder above this one

        return visualize(graph_of(self), filename, format, **options)

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

    outputs: a `TaskRef`, or a structure of them; computing the graph gives the same structure of
        values
    token: identifies the content of the graph; without it, it is derived from all tasks
    """

    fused: TaskGraph  # this graph, as `pipeline.program` fused it for a run
    traced: Any = None  # its calls on the tape of their trace, where it has one

    def __init__(self, tasks: dict[Key, Any], outputs: Any, *, token: Key | None = None) -> None:
        self.tasks = tasks
        self.outputs = outputs
        self.keys = keys_in(outputs)
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
        """The keys whose values a task takes, in argument order, with repetitions."""
        return inputs_of(self.tasks[key])

    def check(self) -> TaskGraph:
        """The graph itself, verified.

        Raises `GraphError` for a missing task or output, a task under another task's key, a task
        before its inputs, and a cycle.
        """
        seen: set[Key] = set()
        for key, node in self.tasks.items():
            if getattr(node, "key", key) != key:
                raise GraphError(f"the task at {key!r} has the key {node.key!r}")
            for source in inputs_of(node):
                if source not in self.tasks:
                    raise GraphError(f"{label(key)} needs {source!r}, which is not in the graph")
                if source not in seen:
                    toposort(self.tasks, [key])  # raises if there is a cycle
                    raise GraphError(f"{label(key)} precedes its input {label(source)}")
            seen.add(key)
        for key in self.keys:
            if key not in seen:
                raise GraphError(f"the output {key!r} is not in the graph")
        return self

    def compile(
        self, inputs: Sequence[Any] = (), backend: str = "numpy", *, memory: Any = None
    ) -> Any:
        """This graph as a function of some of its values, to be run many times.

        inputs: calls or keys of tasks whose values each run takes as arguments
        backend: numpy, jax or torch: the library that computes, on its own arrays
        memory: bytes for all values that a run on NumPy computes, such as `"64MB"`; values over it
            are dropped, and computed again when they are needed

        Raises `GraphError` for an input that is not in the graph, and for a function of NumPy that
        the backend does not have; `ImportError` if its library is not installed; `BudgetError` for
        a wrong `memory`, and the program in its first run, if no plan keeps to it.

        >>> from pipeline.apps.fibonacci import fib
        >>> program = fib(6).graph().compile([fib(1), fib(0)])
        >>> program(1, 0), program(1.5, 1)
        (8, 17.0)
        """
        from pipeline.program import CompiledGraph

        return CompiledGraph(self, inputs, backend, memory)

    def _repr_svg_(self) -> str:
        return cast("str", self.visualize()._repr_svg_())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "fused"}

    def task_graph(self) -> TaskGraph:
        return self


def graph_of(call: Any) -> TaskGraph:
    """The present graph of a call, or a graph as it is. Raises `TypeError` for anything else."""
    if isinstance(call, TaskGraph):
        return call
    if not isinstance(call, GraphCollection):
        raise TypeError(
            f"{short_repr(call)} is not a call: give a call, or trace(...) of several; other Dask "
            "collections go to contrast(...) and share_report(...)"
        )
    return cast("TaskGraph", call.graph())  # not `task_graph`: globals may have changed since


def fill_outputs(values: Iterable[Any], keys: Iterable[Key], outputs: Any) -> Any:
    """The outputs of a graph, with values in the places of their keys."""
    by_key = dict(zip(keys, values, strict=True))
    return map_leaves(outputs, lambda leaf: by_key[leaf.key] if isinstance(leaf, TaskRef) else leaf)


def _rebuild(
    dsk: Mapping[Key, Any], outputs: Any, *, rename: Mapping[str, str] | None = None
) -> TaskGraph:
    tasks = ensure_dict(dsk)
    if isinstance(dsk, HighLevelGraph):  # from `dask.graph_manipulation`, in Dask's older form
        tasks = convert_legacy_graph(tasks)
    # A local persist leaves plain values, and Dask would read a plain tuple as a task.
    tasks = {
        key: node if isinstance(node, (GraphNode, TaskRef)) else DataNode(key, node)
        for key, node in tasks.items()
    }
    if rename:
        names = {key: replace_name_in_key(key, rename) for key in keys_in(outputs)}
        outputs = fill_outputs(map(TaskRef, names.values()), names, outputs)
    return TaskGraph(toposort(tasks, keys_in(outputs)), outputs)


def _content(node: Any) -> Key:
    content = node.function if isinstance(node, CallTask) else node
    try:
        return encode(content)
    except UnkeyableError:
        # The graph keeps the object alive, so no other object gets its id.
        return f"{type(content).__name__} at {id(content)}"
