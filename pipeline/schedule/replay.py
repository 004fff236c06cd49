"""How a graph is evaluated, step by step: by a scheduler, or by the naive recursion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple

from dask.base import is_dask_collection
from dask.core import flatten
from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.graph import CallTask, TaskGraph, children, function_of, inputs_of, occurrence
from pipeline.identity import format_value
from pipeline.program import Program
from pipeline.schedule.measuring import NO_VALUE, Run, task_runs
from pipeline.schedule.recording import Recording, record


class Observation(NamedTuple):
    """A run: the seconds of its tasks, as they finished; values, as text; the run over time."""

    seconds: dict[Key, float]
    values: dict[Key, str]
    recording: Recording | None = None


def observed(
    collection: Any,
    keys: Collection[Key] = (),
    run: Callable[[], Any] | None = None,
    name: str = "",
) -> Observation:
    """Run collections task by task, on the scheduler that Dask is set to, and record what happens.

    keys: whose values to record, as text
    run: what computes a collection, or a graph through a store
    name: of the run, to record it over time, too

    >>> import dask
    >>> from pipeline.apps.fibonacci import fib
    >>> graph = fib(4).graph()
    >>> with dask.config.set(scheduler="sync"):
    ...     seen = observed(graph, graph.tasks)
    >>> [(key[1], seen.values[key]) for key in seen.seconds]
    [(0, '0'), (1, '1'), (2, '1'), (3, '2'), (4, '3')]
    """
    # A cluster also runs what puts the values of a collection together.
    tasks = collection.tasks if isinstance(collection, TaskGraph) else None
    keys, seconds, values = set(keys), {}, {}

    def add(task: Run) -> None:
        if not task.is_loaded and (tasks is None or task.key in tasks):
            seconds[task.key] = task.seconds
        if task.key in keys and task.value is not NO_VALUE:
            values[task.key] = format_value(task.value)

    with task_runs(add), record(name) if name else nullcontext() as recording:
        # Dask would take a token of the graph, which costs more than the run.
        value = collection.compute(fuse=False) if run is None else run()
    # No task shows the outputs that a store loads before the run.
    for key, output in _outputs(collection, value):
        if key in keys and key not in values:
            values[key] = format_value(output)
    missing = keys - values.keys()
    if missing and run is None:
        values |= _formatted(collection, missing)  # on a cluster, whose workers keep the values
    return Observation(seconds, values, recording)


def _outputs(collection: Any, value: Any) -> Iterator[tuple[Key, Any]]:
    """The outputs that have a key, each with its value."""
    if isinstance(collection, TaskGraph):
        yield from _paired(collection.outputs, value)
    elif type(collection) in (list, tuple):
        for one, other in zip(collection, value, strict=True):
            yield from _outputs(one, other)
    elif is_dask_collection(collection):
        keys = list(flatten(collection.__dask_keys__()))
        if len(keys) == 1:
            yield keys[0], value


def _paired(structure: Any, value: Any) -> Iterator[tuple[Key, Any]]:
    if isinstance(structure, TaskRef):
        yield structure.key, value
    elif not isinstance(structure, set):  # which has no order
        for one, other in zip(children(structure) or (), children(value) or (), strict=False):
            yield from _paired(one, other)


def _formatted(graph: TaskGraph, keys: Collection[Key]) -> dict[Key, str]:
    """The values of some tasks as text, made where the values are."""
    names: dict[Key, Key] = {key: ("text", place) for place, key in enumerate(keys)}
    tasks = {name: CallTask(name, format_value, (key,)) for key, name in names.items()}
    texts = TaskGraph({**graph.tasks, **tasks}, list(map(TaskRef, tasks))).compute()
    return dict(zip(keys, texts, strict=True))


class Evaluation(NamedTuple):
    """One evaluation in the naive recursion.

    key, number: the subproblem, and which of its occurrences this is
    within: the folded occurrence in which it happens; without one, its own occurrence, numbered
        among those that are not folded
    """

    key: Key
    number: int
    within: Key


def recursion(graph: TaskGraph, folded: Collection[Key] = ()) -> Iterator[Evaluation]:
    """The evaluations of the naive recursion on the DAG, as they return. They may be countless.

    folded: occurrences whose inner evaluations are not distinguished

    >>> from pipeline.apps.fibonacci import fib
    >>> [call.key[1] for call in recursion(fib(4).graph())]
    [1, 0, 2, 1, 3, 1, 0, 2, 4]
    """
    numbers: Counter[Key] = Counter()
    unfolded: Counter[Key] = Counter()

    def enter(key: Key, consumer: Evaluation | None) -> tuple[Evaluation, Iterator[Key]]:
        numbers[key] += 1
        if consumer is not None and consumer.within in folded:
            within = consumer.within
        else:
            # Evaluations that are folded have no numbers in a picture.
            unfolded[key] += 1
            within = occurrence(key, unfolded[key])
        return Evaluation(key, numbers[key], within), iter(graph.inputs(key))

    for root in graph.keys:
        stack: list[tuple[Evaluation, Iterator[Key]]] = [enter(root, None)]
        while stack:
            evaluation, remaining = stack[-1]
            key = next(remaining, None)
            if key is None:
                stack.pop()
                yield evaluation
            else:
                stack.append(enter(key, evaluation))


def operations(node: Any) -> Counter[str]:
    """The operators in the body of a call, by name: `fib(n - 1) + fib(n - 2)` has one `add`."""
    function = function_of(node)
    steps = function.functions if isinstance(function, Program) else [function]
    return Counter(
        step.__name__ for step in steps if getattr(step, "__module__", "") == "_operator"
    )


class Frame(NamedTuple):
    """The state of an evaluation after one task.

    box, key: the id and the subproblem of that task
    evaluated: tasks so far
    hits: values that were in memory when a task needed them, after the first use of each
    operations: operators evaluated so far
    """

    box: Key
    key: Key
    evaluated: int
    hits: int
    operations: int


def frames(
    graph: TaskGraph, order: Iterable[tuple[Key, Key]], has_memory: bool, limit: int
) -> Iterator[Frame]:
    """A frame for each evaluation, in order: pairs of the box and the key in the graph.

    has_memory: whether a value that was used before is a hit; a tree computes it again
    limit: the most frames
    """
    used: set[Key] = set()
    hits = total = 0
    for number, (box, key) in enumerate(islice(order, limit), 1):
        node = graph.tasks[key]
        total += operations(node).total()
        for source in inputs_of(node) if has_memory else ():
            hits += source in used
            used.add(source)
        yield Frame(box, key, number, hits, total)
