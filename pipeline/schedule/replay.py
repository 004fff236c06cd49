"""How a graph is evaluated, step by step: by a scheduler, or by the naive recursion."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.base import is_dask_collection
from dask.callbacks import Callback
from dask.core import flatten
from dask.task_spec import TaskRef

from pipeline.graph import CallTask, TaskGraph, children, function_of, inputs_of, occurrence
from pipeline.identity import format_value
from pipeline.schedule.measuring import measure
from pipeline.trace import Body

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from dask.typing import Key


class Observation(NamedTuple):
    """A run: its tasks, as they finished, each with its seconds; and values, as text."""

    seconds: dict[Key, float]
    values: dict[Key, str]


def observed(
    asked: Any, wanted: Collection[Key] = (), run: Callable[[], Any] | None = None
) -> Observation:
    """Run collections task by task, on the scheduler that Dask is set to, and see what happens.

    wanted: keys whose values are told; the values themselves are not kept
    run: what computes a collection, or a graph through a store

    >>> from pipeline.apps.fibonacci import fib
    >>> graph = fib(4).graph()
    >>> seen = observed(graph, graph.tasks)
    >>> [(key[1], seen.values[key]) for key in seen.seconds]
    [(0, '0'), (1, '1'), (2, '1'), (3, '2'), (4, '3')]
    """
    told: dict[Key, str] = {}
    with measure() as measured, _Watch(set(wanted), told):
        # Dask would take a token of the graph, which costs more than the run.
        value = asked.compute(fuse=False) if run is None else run()
    # Outputs that a store has are not shown to anybody on the way.
    outputs = {key: each for key, each in _outputs(asked, value) if key in wanted}
    told |= {key: format_value(each) for key, each in outputs.items() if key not in told}
    unseen = [key for key in wanted if key not in told]
    if unseen and run is None:
        told |= _described(asked, unseen)  # on a cluster, whose values stay with its workers
    # A cluster also runs what puts the values of a collection together.
    own = asked.tasks if isinstance(asked, TaskGraph) else {run.key for run in measured.runs}
    return Observation({run.key: run.seconds for run in measured.runs if run.key in own}, told)


class _Watch(Callback):  # type: ignore[misc] # Dask is untyped
    """Dask's local schedulers show it each value."""

    def __init__(self, wanted: Collection[Key], told: dict[Key, str]) -> None:
        super().__init__()
        self.wanted, self.told = wanted, told

    def _posttask(self, key: Key, value: Any, *_: Any) -> None:
        if key in self.wanted:
            self.told[key] = format_value(value)


def _outputs(asked: Any, value: Any) -> Iterator[tuple[Key, Any]]:
    """The outputs of what was asked for, where one is told from another, each with its value."""
    if isinstance(asked, TaskGraph):
        yield from _paired(asked.outputs, value)
    elif type(asked) in (list, tuple):
        for one, other in zip(asked, value, strict=True):
            yield from _outputs(one, other)
    elif is_dask_collection(asked) and len(keys := list(flatten(asked.__dask_keys__()))) == 1:
        yield keys[0], value


def _paired(structure: Any, value: Any) -> Iterator[tuple[Key, Any]]:
    if isinstance(structure, TaskRef):
        yield structure.key, value
    elif not isinstance(structure, set):  # which has no order
        for one, other in zip(children(structure) or (), children(value) or (), strict=False):
            yield from _paired(one, other)


def _described(graph: TaskGraph, keys: Collection[Key]) -> dict[Key, str]:
    names: dict[Key, Key] = {key: ("shown", place) for place, key in enumerate(keys)}
    told = {name: CallTask(name, format_value, (key,)) for key, name in names.items()}
    texts = TaskGraph({**graph.tasks, **told}, list(map(TaskRef, told))).compute()
    return dict(zip(keys, texts, strict=True))


class Call(NamedTuple):
    """One evaluation in the naive recursion.

    key, number: the subproblem, and which of its occurrences this is
    within: the occurrence in which it happens that is to be seen as one; without such, its own
        among those that are to be seen
    """

    key: Key
    number: int
    within: Key


def recursion(graph: TaskGraph, folded: Collection[Key] = ()) -> Iterator[Call]:
    """The evaluations of the naive recursion, as they return, on the DAG: there may be no end.

    folded: occurrences in which no other is told apart

    >>> from pipeline.apps.fibonacci import fib
    >>> [call.key[1] for call in recursion(fib(4).graph())]
    [1, 0, 2, 1, 3, 1, 0, 2, 4]
    """
    numbers: Counter[Key] = Counter()
    apart: Counter[Key] = Counter()

    def enter(key: Key, by: Call | None) -> tuple[Call, Iterator[Key]]:
        numbers[key] += 1
        if by is not None and by.within in folded:
            within = by.within
        else:
            # What is folded away has no numbers in a picture.
            apart[key] += 1
            within = occurrence(key, apart[key])
        return Call(key, numbers[key], within), iter(graph.inputs(key))

    for root in graph.keys:
        stack: list[tuple[Call, Iterator[Key]]] = [enter(root, None)]
        while stack:
            call, to_come = stack[-1]
            each = next(to_come, None)
            if each is None:
                stack.pop()
                yield call
            else:
                stack.append(enter(each, call))


def operations(node: Any) -> Counter[str]:
    """The operators in the body of a call, by name: `fib(n - 1) + fib(n - 2)` has one `add`."""
    function = function_of(node)
    steps = [each.function for each in function.steps] if isinstance(function, Body) else [function]
    return Counter(
        each.__name__ for each in steps if getattr(each, "__module__", "") == "_operator"
    )


class Frame(NamedTuple):
    """How far an evaluation has come.

    box, key: of what was evaluated last, the id and the subproblem
    evaluated: tasks
    hits: values that were taken from memory, not for the first time
    operations: of the bodies
    """

    box: Key
    key: Key
    evaluated: int
    hits: int
    operations: int


def frames(
    graph: TaskGraph, order: Iterable[tuple[Key, Key]], memory: bool, most: int
) -> Iterator[Frame]:
    """A frame for each evaluation, in order, given as the box and the key in the graph.

    memory: whether a value that was taken before is a hit; a tree computes it again
    """
    taken: set[Key] = set()
    hits = done = 0
    for number, (box, key) in enumerate(islice(order, most), 1):
        node = graph.tasks[key]
        done += operations(node).total()
        for each in inputs_of(node) if memory else ():
            hits += each in taken
            taken.add(each)
        yield Frame(box, key, number, hits, done)
