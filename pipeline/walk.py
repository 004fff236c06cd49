"""How a graph is evaluated, step by step: by a scheduler, or by the naive recursion."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.callbacks import Callback
from dask.task_spec import TaskRef

from pipeline.body import Body
from pipeline.graph import TaskGraph
from pipeline.keys import occurrence
from pipeline.measure import measure
from pipeline.node import Node, function_of, inputs
from pipeline.run import compute
from pipeline.texts import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from dask.typing import Key

    from pipeline.store import Store


class Observation(NamedTuple):
    """A run: its tasks, as they finished, each with its seconds; and values, as text."""

    seconds: dict[Key, float]
    values: dict[Key, str]


def observed(asked: Any, wanted: Collection[Key] = (), store: Store | None = None) -> Observation:
    """Run collections task by task, on the scheduler that Dask is set to, and see what happens.

    wanted: keys whose values are told; the values themselves are not kept

    >>> from pipeline.apps.fibonacci import fib
    >>> graph = fib(4).graph()
    >>> seen = observed(graph, graph.tasks)
    >>> [(key[1], seen.values[key]) for key in seen.seconds]
    [(0, '0'), (1, '1'), (2, '1'), (3, '2'), (4, '3')]
    """
    told: dict[Key, str] = {}
    with measure() as measured, _Watch(set(wanted), told):
        if isinstance(asked, TaskGraph) and store is None:
            asked.compute(fuse=False)  # which has no need of the graph's token
        else:
            compute(asked, fuse=False, store=store)
    unseen = [key for key in wanted if key not in told]
    if unseen and isinstance(asked, TaskGraph) and store is None:
        told |= _described(asked, unseen)  # on a cluster, whose values stay with its workers
    return Observation({run.key: run.seconds for run in measured.runs}, told)


class _Watch(Callback):  # type: ignore[misc] # Dask is untyped
    """Dask's local schedulers show it each value."""

    def __init__(self, wanted: Collection[Key], told: dict[Key, str]) -> None:
        super().__init__()
        self.wanted, self.told = wanted, told

    def _posttask(self, key: Key, value: Any, *_: Any) -> None:
        if key in self.wanted:
            self.told[key] = shown(value)


def _described(graph: TaskGraph, keys: Collection[Key]) -> dict[Key, str]:
    names: dict[Key, Key] = {key: ("shown", place) for place, key in enumerate(keys)}
    told = {name: Node(name, shown, (key,)) for key, name in names.items()}
    texts = TaskGraph({**graph.tasks, **told}, list(map(TaskRef, told))).compute()
    return dict(zip(keys, texts, strict=True))


class Call(NamedTuple):
    """One evaluation in the naive recursion.

    key, number: the subproblem, and which of its occurrences this is
    within: the occurrence in which it happens that is to be seen as one; its own without such
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
    for root in graph.keys:
        stack: list[tuple[Call, Iterator[Key]]] = [_entered(graph, root, numbers, folded, None)]
        while stack:
            call, to_come = stack[-1]
            each = next(to_come, None)
            if each is None:
                stack.pop()
                yield call
            else:
                stack.append(_entered(graph, each, numbers, folded, call))


def _entered(
    graph: TaskGraph, key: Key, numbers: Counter[Key], folded: Collection[Key], by: Call | None
) -> tuple[Call, Iterator[Key]]:
    numbers[key] += 1
    own = occurrence(key, numbers[key])
    within = by.within if by is not None and by.within in folded else own
    return Call(key, numbers[key], within), iter(graph.inputs(key))


def operations(node: Any) -> Counter[str]:
    """The operators in the body of a call, by name: `fib(n - 1) + fib(n - 2)` has one `add`."""
    function = function_of(node)
    steps = [step.function for step in function.steps] if isinstance(function, Body) else [function]
    return Counter(each.__name__ for each in steps if getattr(each, "__module__", "") == "_operator")


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
        for each in inputs(node) if memory else ():
            hits += each in taken
            taken.add(each)
        yield Frame(box, key, number, hits, done)
