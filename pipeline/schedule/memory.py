"""Space against time: what a run holds and what it computes again, for a `memoize` predicate.

A memo table in the sense of `functools.cache` holds every result to the end. A graph knows the
consumers of each task, so a scheduler frees a value after the last of them. What is left to trade
are values with a late consumer: in a gradient, the forward values wait for the backward pass.
Holding some of them and computing the others again is checkpointing (Griewank and Walther, Revolve,
2000; Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016).

How much is held also depends on the order of the tasks. Each value is freed after its last
consumer, in two orders:

- of the recursion: inputs before consumers, as the recursion meets them. It is the order of a
  `TaskGraph`, and of the program that it is fused to;
- of Dask's synchronous scheduler, task by task. Its heuristic (`dask.order`) does not distinguish a
  value that is computed again from one that is kept. It runs the recomputations of a gradient
  early, for they need so little, and then has to hold them.

Base cases, tasks without inputs, do not count as held: weights and data belong to the graph,
whatever is memoized. Bytes are as `dask.sizeof` estimates them, for each result alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from dask.sizeof import sizeof
from dask.typing import Key

from pipeline.graph import MAX_TASKS, TaskGraph, fill_outputs, occurrence_number, subproblem
from pipeline.schedule.measuring import Run, task_runs
from pipeline.trace import Memoize, trace


class Held(NamedTuple):
    """A value, and the steps of a run during which it was held, both included. Steps start at 0.

    The first step makes the value, and the last one is its last consumer.
    """

    key: Key
    bytes: int
    first: int
    last: int

    @property
    def subproblem(self) -> Key:
        """The key of its subproblem, for every occurrence."""
        return subproblem(self.key)

    @property
    def again(self) -> bool:
        """Whether its subproblem had been computed before."""
        return occurrence_number(self.key) > 1


@dataclass(frozen=True)
class Memory:
    """What a run held in each step: one step, one task.

    value: the result of the run
    """

    steps: int
    held: tuple[Held, ...]
    value: Any = field(repr=False, compare=False)

    @property
    def peak(self) -> int:
        """The most bytes held at a time: when a task returns, its inputs are still there."""
        return max(self.curve(), default=0)

    def curve(self) -> list[int]:
        """Bytes held in each step."""
        changes = [0] * (self.steps + 1)
        for value in self.held:
            changes[value.first] += value.bytes
            changes[value.last + 1] -= value.bytes
        return list(accumulate(changes[:-1]))


@dataclass(frozen=True)
class Tradeoff:
    """What one `memoize` costs in time and in space.

    tasks: those that ran; subproblems: the distinct ones among them
    table: bytes of the results of all shared calls, which a memo table would hold at the end; as
        everywhere here, without base cases
    memory: of the run in the order of the recursion
    dask_peak: the peak bytes of the same graph on Dask's synchronous scheduler
    """

    tasks: int
    subproblems: int
    table: int
    memory: Memory
    dask_peak: int

    @property
    def recomputed(self) -> int:
        """Tasks that ran although their subproblem had been computed before."""
        return self.tasks - self.subproblems

    @property
    def peak(self) -> int:
        """The peak bytes in the order of the recursion."""
        return self.memory.peak


def tradeoff(outputs: Any, memoize: Memoize = True, *, limit: int = MAX_TASKS) -> Tradeoff:
    """Run the graph that `trace` makes of the arguments, in both orders, and measure it.

    Raises what `trace` raises, such as `LimitError` for a large tree.

    >>> from pipeline.apps.fibonacci import fib
    >>> costs = tradeoff(fib(10)), tradeoff(fib(10), lambda call: call.args[0] % 3 != 2)
    >>> [(cost.tasks, cost.recomputed, cost.memory.value) for cost in costs]
    [(11, 0, 55), (14, 3, 55)]
    """
    graph = trace(outputs, memoize=memoize, limit=limit)
    memory = in_recursion_order(graph)
    table = sum(value.bytes for value in memory.held if value.subproblem is value.key)
    subproblems = len({subproblem(key) for key in graph.tasks})
    return Tradeoff(len(graph), subproblems, table, memory, in_dask_order(graph).peak)


def in_recursion_order(graph: TaskGraph) -> Memory:
    """Run a graph in its own order, and free each value after its last consumer.

    Holds outputs to the end.
    """
    uses = Counter(graph.keys)
    for key in graph.tasks:
        uses.update(graph.inputs(key))
    values: dict[Key, Any] = {}
    sizes: dict[Key, int] = {}
    for key, node in graph.tasks.items():
        values[key] = node(values)
        sizes[key] = sizeof(values[key])
        uses.subtract(graph.inputs(key))
        for used in {*graph.inputs(key), key}:
            if not uses[used]:
                del values[used]
    outputs = [values[key] for key in graph.keys]
    return _memory(graph, sizes, fill_outputs(outputs, graph.keys, graph.outputs))


def in_dask_order(graph: TaskGraph) -> Memory:
    """Run a graph task by task on Dask's synchronous scheduler, which frees values alike."""
    sizes: dict[Key, int] = {}

    def add(run: Run) -> None:
        sizes[run.key] = run.bytes

    with task_runs(add):
        value = graph.compute(scheduler="sync", fuse=False)
    return _memory(graph, sizes, value)


def _memory(graph: TaskGraph, sizes: Mapping[Key, int], value: Any) -> Memory:
    """What a run held, from the bytes of each result in the order of the run."""
    last: dict[Key, int] = {}
    for step, key in enumerate(sizes):
        last.update(dict.fromkeys((*graph.inputs(key), key), step))
    last.update(dict.fromkeys(graph.keys, len(sizes) - 1))
    held = [
        Held(key, size, step, last[key])
        for step, (key, size) in enumerate(sizes.items())
        if graph.inputs(key)
    ]
    return Memory(len(sizes), tuple(held), value)
