"""Tasks: their inputs, their order, and their names for people.

A task is any node of Dask's task specification; the tracer makes `CallTask`s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

from pipeline import PipelineError
from pipeline.graph.keys import function_name, label, subproblem
from pipeline.identity import ATOMS, encode, short_repr


class GraphError(PipelineError, ValueError):
    """A graph that no scheduler could run: a missing task, a cycle, a wrong key."""


class CallTask(GraphNode):  # type: ignore[misc] # Dask is untyped
    """A task: a function of the values of its inputs, which are keys in argument order.

    Constants belong to the function. A cheap task is not worth a scheduler's time, and may run
    with others as one. Dask's `Task` takes several times as long to make, and its errors do not
    name the call.
    """

    __slots__ = ("cheap", "function", "inputs")
    function: Callable[..., Any]
    inputs: tuple[Key, ...]
    cheap: bool

    def __init__(
        self,
        key: Key,
        function: Callable[..., Any],
        inputs: tuple[Key, ...],
        cheap: bool = True,
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

    def copy(self) -> CallTask:
        return type(self)(self.key, self.function, self.inputs, self.cheap)

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
    if node is None or isinstance(node, TaskRef):
        return []  # a future is data
    if not isinstance(node, Task):
        return list(node.dependencies)
    keys: list[Key] = []
    for argument in (*node.args, *node.kwargs.values()):
        if isinstance(argument, TaskRef):
            keys.append(argument.key)
        elif isinstance(argument, GraphNode):
            keys += inputs_of(argument)
    return keys


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


def display_key(key: Key, node: Any, number: int) -> Key:
    """A key that describes a task to a person, unique if the number is.

    For a call, its subproblem; for a block of a collection, its name and place; for any other
    task, its function and constants.

    >>> from dask import delayed
    >>> x = delayed(round)(2.5, 1)
    >>> display_key(x.key, x.dask[x.key], 7)
    ('round-000000000007', '2.5', 1)
    """
    if isinstance(node, CallTask):
        return subproblem(key)
    head = f"{function_name(key)}-{number:012x}"
    if isinstance(key, tuple):
        return (head, *key[1:])
    if isinstance(node, DataNode):
        return (head, _constant(node.value))
    is_task = isinstance(node, Task)
    if not is_task or all(isinstance(argument, TaskRef | Alias) for argument in node.args):
        return (head,)
    named = [("kw", name, _constant(value)) for name, value in sorted(node.kwargs.items())]
    return (head, *map(_constant, node.args), *named)


def _constant(value: Any) -> Key:
    """A constant of a task, in short; an ellipsis for a value that is not known."""
    if isinstance(value, DataNode):
        value = value.value
    if type(value) in ATOMS:
        return encode(value)
    if isinstance(value, TaskRef | Task):
        return "…"
    if isinstance(value, os.PathLike):  # the end of a path says more than its beginning
        path = os.fspath(value)
        return path if len(path) < 16 else f"…{path[-15:]}"
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return short_repr(value, 14)


def short_label(key: Key, width: int = 40) -> str:
    """The label of a `display_key`: `round(2.5, 1)`, or `add` without constants."""
    return label(key, width).removesuffix("()")
