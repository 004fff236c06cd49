"""Tasks: what each of them takes, and in which order they can run.

A task is any node of Dask's task specification; the tracer makes `Node`s, the lightest of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from dask.task_spec import Alias, GraphNode, Task, TaskRef

from pipeline.graph.keys import label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dask.typing import Key


class GraphError(ValueError):
    """A graph that no scheduler could run: a missing task, a cycle, a wrong key."""


class CallTask(GraphNode):  # type: ignore[misc] # Dask is untyped
    """A task: a function of the values of its inputs, named by their keys, in argument order.

    Constants belong to the function. A cheap task is not worth a scheduler's time, and may be run
    with others as one. Dask's `Task` takes several times as long to make, and an error in it does
    not say which call it was.
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
        new = [subs.get(each, each) for each in self.inputs]
        key = self.key if key is None else key
        if any(isinstance(each, (GraphNode, TaskRef)) for each in new):
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
        taken = ", ".join(map(label, self.inputs)) or "no inputs"
        return f"<{type(self).__name__} {label(self.key)}: {taken}>"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + object.__sizeof__(self.inputs)


def inputs_of(node: Any) -> Sequence[Key]:
    """The keys that a node of any kind takes, in argument order, repeated as they are used."""
    if isinstance(node, CallTask):
        return node.inputs
    if isinstance(node, Alias):
        return [node.target]
    if node is None or isinstance(node, TaskRef):
        return []  # a future stands for data
    if not isinstance(node, Task):
        return list(node.dependencies)
    found: list[Key] = []
    for each in (*node.args, *node.kwargs.values()):
        if isinstance(each, TaskRef):
            found.append(each.key)
        elif isinstance(each, GraphNode):
            found += inputs_of(each)
    return found


def function_of(node: Any) -> Callable[..., Any]:
    """What a node of any kind computes, as a function of the values of its inputs."""
    return node.function if isinstance(node, CallTask) else partial(_evaluate, node)


def _evaluate(node: GraphNode, *values: Any) -> Any:
    return node(dict(zip(inputs_of(node), values, strict=True)))


def toposort(tasks: Mapping[Key, Any], wanted: Iterable[Key]) -> dict[Key, Any]:
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
            for each in reversed(inputs_of(tasks[key])):
                if each in entered:
                    raise GraphError(f"a cycle of tasks: {cycle_text(entered, each)}")
                if each in tasks and each not in done:
                    stack.append(each)
    return done


def cycle_text(path: Iterable[Key], key: Key) -> str:
    """The part of a path that leads from a key back to it: `f(1) → f(2) → f(1)`."""
    steps = list(path)
    steps = [*steps[steps.index(key) :], key]
    if len(steps) > 12:
        steps[6:-5] = ["…"]
    return " → ".join(map(label, steps))
