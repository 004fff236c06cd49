"""`TaskGraph`: tasks in topological order, and the outputs that are asked of them.

A task is any node of Dask's task specification; the tracer makes `Node`s, the lightest of them.
Every pass of `pipeline` takes a `TaskGraph` and returns another; none changes what it was given.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import dask
import dask.threaded
from dask.base import DaskMethodsMixin, replace_name_in_key
from dask.core import flatten
from dask.delayed import single_key
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.utils import ensure_dict, is_namedtuple_instance

from pipeline.encode import UnkeyableError, digest, encode
from pipeline.keys import label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dask.typing import Key


class GraphError(ValueError):
    """A graph that no scheduler could run: a missing task, a cycle, a wrong key."""


class Node(GraphNode):  # type: ignore[misc]
    """A task: a function of the values of its inputs, named by their keys, in argument order.

    Constants belong to the function. Dask's `Task` takes three times as long to make, and an
    error in it does not say which call it was.
    """

    __slots__ = ("function", "inputs")
    function: Callable[..., Any]
    inputs: tuple[Key, ...]

    def __init__(self, key: Key, function: Callable[..., Any], inputs: tuple[Key, ...]) -> None:
        self.key = key
        self.function = function
        self.inputs = inputs

    @property
    def dependencies(self) -> frozenset[Key]:
        return frozenset(self.inputs)

    def __call__(self, values: Mapping[Key, Any] = {}) -> Any:  # noqa: B006 - Dask's signature
        try:
            return self.function(*[values[key] for key in self.inputs])
        except Exception as error:
            error.add_note(f"while computing {label(self.key)}")
            raise

    def substitute(self, subs: Mapping[Key, Any], key: Key | None = None) -> GraphNode:
        new = [subs.get(each, each) for each in self.inputs]
        key = self.key if key is None else key
        if any(isinstance(each, (GraphNode, TaskRef)) for each in new):
            task = Task(key, self.function, *map(TaskRef, self.inputs))
            return cast("GraphNode", task.substitute(subs))
        return Node(key, self.function, tuple(new))

    def copy(self) -> Node:
        return Node(self.key, self.function, self.inputs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Node, (self.key, self.function, self.inputs)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("Node", self.function, self.inputs)

    def __repr__(self) -> str:
        return f"<Node {label(self.key)}: {', '.join(map(label, self.inputs)) or 'no inputs'}>"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + object.__sizeof__(self.inputs)


class OwnOptimizer:
    """What Dask does to our graphs before a run, as a function of each collection's own.

    Dask 2026.8 optimizes collections with one optimizer as a group, and where others stand between
    them gives back the values in the order of the groups: `dask.compute(delayed, array, delayed)`
    mixes up its results. Ours are never a group, so they keep their places.
    """

    def __get__(self, instance: object, owner: type) -> Callable[..., dict[Key, GraphNode]]:
        return partial(_cull)


def _cull(dsk: Mapping[Key, Any], keys: Any, **_: Any) -> dict[Key, GraphNode]:
    return in_order(ensure_dict(dsk), flatten(keys))


class TaskGraph(DaskMethodsMixin):  # type: ignore[misc]
    """Tasks by key, inputs before their consumers, and the outputs: a Dask collection.

    `outputs` is a `TaskRef`, or lists, tuples, sets, dicts and dataclasses of them, nested as
    `dask.compute` nests collections; computing the graph gives the same structure of values.
    `token` stands for the content of the graph; without it, it is derived from all tasks.
    """

    visualize: ClassVar[Callable[..., Any]]  # from `pipeline.draw`, which stands above this file
    _repr_svg_: ClassVar[Callable[..., str]]

    def __init__(
        self, tasks: Mapping[Key, GraphNode], outputs: Any, *, token: Key | None = None
    ) -> None:
        self.tasks = tasks
        self.outputs = outputs
        self.keys = references(outputs)
        if token is not None:
            self.token = token

    @cached_property
    def token(self) -> Key:
        tasks = ((key, _content(node), tuple(inputs(node))) for key, node in self.tasks.items())
        return digest((_content(self.outputs), *tasks))

    def __len__(self) -> int:
        return len(self.tasks)

    def __repr__(self) -> str:
        shown = ", ".join(map(label, self.keys[:3])) + (", …" if len(self.keys) > 3 else "")
        return f"<TaskGraph: {len(self):,} task{'s' * (len(self) != 1)}, outputs: {shown}>"

    def inputs(self, key: Key) -> Sequence[Key]:
        """The keys whose values a task takes, in argument order, repeated as they are used."""
        return inputs(self.tasks[key])

    def check(self) -> TaskGraph:
        """Verify the graph, and return it.

        Raises `GraphError` where a task or an output is missing, a node bears another key than
        its own, a task stands before its inputs, or tasks need each other in a cycle.
        """
        seen = set()
        for key, node in self.tasks.items():
            if getattr(node, "key", key) != key:
                raise GraphError(f"the task at {key!r} bears the key {node.key!r}")
            for each in inputs(node):
                if each not in self.tasks:
                    raise GraphError(f"{label(key)} needs {each!r}, which is not in the graph")
                if each not in seen:
                    in_order(self.tasks, [key])  # tells a cycle from a mere disorder
                    raise GraphError(f"{label(key)} stands before its input {label(each)}")
            seen.add(key)
        for key in self.keys:
            if key not in seen:
                raise GraphError(f"the output {key!r} is not in the graph")
        return self

    # Dask's collection protocol

    def __dask_graph__(self) -> Mapping[Key, GraphNode]:
        return self.tasks

    def __dask_keys__(self) -> list[Key]:
        return self.keys

    def __dask_tokenize__(self) -> tuple[str, Key]:
        return ("TaskGraph", self.token)

    def __dask_postcompute__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if isinstance(self.outputs, TaskRef):
            return single_key, ()
        return _fill, (self.keys, self.outputs)

    def __dask_postpersist__(self) -> tuple[Callable[..., TaskGraph], tuple[Any, ...]]:
        return _rebuild, (self.outputs,)

    __dask_optimize__ = OwnOptimizer()
    __dask_scheduler__ = staticmethod(dask.threaded.get)


def _fill(values: Iterable[Any], keys: Iterable[Key], outputs: Any) -> Any:
    found = dict(zip(keys, values, strict=True))
    return nest(outputs, lambda leaf: found[leaf.key] if isinstance(leaf, TaskRef) else leaf)


def _rebuild(
    dsk: Mapping[Key, Any], outputs: Any, *, rename: Mapping[str, str] | None = None
) -> TaskGraph:
    def renamed(leaf: Any) -> Any:
        if isinstance(leaf, TaskRef) and rename:
            return TaskRef(replace_name_in_key(leaf.key, rename))
        return leaf

    # After a local persist the values stand bare, and a bare tuple would be read as a task.
    tasks = {
        key: each if isinstance(each, (GraphNode, TaskRef)) else DataNode(key, each)
        for key, each in ensure_dict(dsk).items()
    }
    outputs = nest(outputs, renamed)
    return TaskGraph(in_order(tasks, references(outputs)), outputs)


def nest(structure: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same structure of lists, tuples, sets, dicts and dataclasses, with other leaves.

    >>> nest({"a": [1, (2,)]}, str)
    {'a': ['1', ('2',)]}
    """
    items = _items(structure)
    if items is None:
        return leaf(structure)
    new = [nest(each, leaf) for each in items]
    kind = type(structure)
    if kind is dict:
        return dict(zip(structure, new, strict=True))
    return kind(new) if kind in (list, tuple, set) else kind(*new)


def leaves(structure: Any) -> Iterator[Any]:
    """What stands in a nested structure, in order."""
    items = _items(structure)
    if items is None:
        yield structure
        return
    for each in items:
        yield from leaves(each)


def references(structure: Any) -> list[Key]:
    """The keys in a nested structure, in order, repeated as they stand."""
    return [leaf.key for leaf in leaves(structure) if isinstance(leaf, TaskRef)]


def _items(structure: Any) -> Iterable[Any] | None:
    kind = type(structure)
    if kind in (list, tuple, set) or is_namedtuple_instance(structure):
        return cast("Iterable[Any]", structure)
    if kind is dict:
        return cast("Iterable[Any]", structure.values())
    if dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        return [getattr(structure, each.name) for each in dataclasses.fields(structure)]
    return None


def inputs(node: Any) -> Sequence[Key]:
    """The keys that a node of any kind takes, in argument order, repeated as they are used."""
    if isinstance(node, Node):
        return node.inputs
    if isinstance(node, Alias):
        return [node.target]
    if isinstance(node, TaskRef):
        return []  # a future stands for data
    if not isinstance(node, Task):
        return list(node.dependencies)
    found: list[Key] = []
    for each in (*node.args, *node.kwargs.values()):
        if isinstance(each, TaskRef):
            found.append(each.key)
        elif isinstance(each, GraphNode):
            found += inputs(each)
    return found


def in_order(tasks: Mapping[Key, Any], wanted: Iterable[Key]) -> dict[Key, Any]:
    """The tasks that some keys need, inputs before their consumers, as a recursion meets them.

    A key that is not in `tasks` is taken to be held by the scheduler. Raises `GraphError` for a
    cycle, and shows it.
    """
    done: dict[Key, Any] = {}
    entered: dict[Key, None] = {}
    stack = [key for key in reversed(list(wanted)) if key in tasks]
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
            for each in reversed(inputs(tasks[key])):
                if each in entered:
                    raise GraphError(f"a cycle of tasks: {cycle(entered, each)}")
                if each in tasks and each not in done:
                    stack.append(each)
    return done


def cycle(path: Iterable[Key], key: Key) -> str:
    """The part of a path that leads from a key back to it: `f(1) → f(2) → f(1)`."""
    steps = list(path)
    steps = [*steps[steps.index(key) :], key]
    if len(steps) > 12:
        steps[6:-5] = ["…"]
    return " → ".join(map(label, steps))


def _content(node: Any) -> Key:
    content = node.function if isinstance(node, Node) else node
    try:
        return encode(content)
    except UnkeyableError:
        # The graph keeps the object alive, so that no other bears its id.
        return f"{type(content).__name__} at {id(content)}"
