"""Space against time: what a run holds and what it computes again, for a `memoize` predicate.

A memo table in the sense of `functools.cache` holds every result to the end. A graph knows the
consumers of each task, so a scheduler frees a value after the last of them. What is left to trade
are values with a late consumer: in a gradient, the forward values wait for the backward pass.
Holding some of them and computing the others again is checkpointing (Griewank and Walther, Revolve,
2000; Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016).

How much is held also hangs on the order of the tasks. Two orders are measured:

- of the recursion: inputs before consumers, as the recursion meets them (the order of a
  `TaskGraph`, and of the tape that it is fused to), each value freed after its last consumer;
- of Dask's synchronous scheduler, task by task. Its heuristic (`dask.order`) does not tell a value
  that is computed again from one that is kept: it runs the recomputations of a gradient early, for
  they need so little, and then has to hold them.

Base cases, tasks without inputs, are not counted as held: weights and data are the graph's own,
whatever is memoized. Bytes are as `dask.sizeof` estimates them, each task's result by itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.callbacks import Callback
from dask.sizeof import sizeof

from pipeline.graph import MAX_TASKS, LimitError, fill_outputs, occurrence_number, subproblem
from pipeline.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dask.typing import Key

    from pipeline.graph import TaskGraph
    from pipeline.trace.calls import Memoize


class Held(NamedTuple):
    """A value, and the steps of a run during which it was held, both included. Steps start at 0.

    It is made in the first step, and in the last one its last consumer takes it.
    """

    key: Key
    bytes: int
    first: int
    last: int

    @property
    def subproblem(self) -> Key:
        """The key of its subproblem, whichever occurrence this is."""
        return subproblem(self.key)

    @property
    def again(self) -> bool:
        """Whether its subproblem had been computed before."""
        return occurrence_number(self.key) > 1


@dataclass(frozen=True)
class Memory:
    """What a run held from step to step: one step, one task.

    value: what the run computed
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
        return _curve(self.held, self.steps)

    def curves(self, group: Callable[[Key], str]) -> dict[str, list[int]]:
        """Bytes held in each step, by the group of the key, in order of appearance.

        >>> from pipeline.apps.fibonacci import fib
        >>> memory = in_recursion_order(fib(4).graph())
        >>> curves = memory.curves(lambda key: "even" if key[1] % 2 == 0 else "odd")
        >>> [[size > 0 for size in curve] for curve in curves.values()]
        [[False, False, True, True, True], [False, False, False, True, True]]
        """
        groups: dict[str, list[Held]] = {}
        for each in self.held:
            groups.setdefault(group(each.key), []).append(each)
        return {name: _curve(held, self.steps) for name, held in groups.items()}


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
    """Run what `trace` would make of the arguments, in both orders, and tell what it took.

    Raises what `trace` raises, and `LimitError` above all: the tree may be large.

    >>> from pipeline.apps.fibonacci import fib
    >>> found = tradeoff(fib(10)), tradeoff(fib(10), lambda call: call.args[0] % 3 != 2)
    >>> [(each.tasks, each.recomputed, each.memory.value) for each in found]
    [(11, 0, 55), (14, 3, 55)]
    """
    graph = trace(outputs, memoize=memoize, limit=limit)
    memory = in_recursion_order(graph)
    table = sum(each.bytes for each in memory.held if each.subproblem is each.key)
    subproblems = len({subproblem(key) for key in graph.tasks})
    return Tradeoff(len(graph), subproblems, table, memory, in_dask_order(graph).peak)


def tradeoffs(
    outputs: Any, predicates: Mapping[str, Memoize], *, limit: int = MAX_TASKS
) -> tuple[dict[str, Tradeoff], dict[str, str]]:
    """The tradeoff of each named predicate; and of those over the limit the reason, by name.

    >>> from pipeline.apps.fibonacci import fib
    >>> found, skipped = tradeoffs(fib(90), {"all": True, "nothing": False})
    >>> list(found), skipped["nothing"][:55]
    (['all'], 'the tree of fib(90) has 9,320,093,220,751,060,617 tasks')
    """
    found, skipped = {}, {}
    for name, memoize in predicates.items():
        try:
            found[name] = tradeoff(outputs, memoize, limit=limit)
        except LimitError as error:
            skipped[name] = str(error)
    return found, skipped


def in_recursion_order(graph: TaskGraph) -> Memory:
    """Run a graph in its own order, and free each value after its last consumer.

    Outputs are held to the end.
    """
    uses = Counter(graph.keys)
    for key in graph.tasks:
        uses.update(graph.inputs(key))
    values: dict[Key, Any] = {}
    record = _Record()
    for key, node in graph.tasks.items():
        inputs = graph.inputs(key)
        values[key] = node(values)
        record.made(key, values[key], base=not inputs)
        uses.subtract(inputs)
        for each in {*inputs, key}:
            if not uses[each]:
                del values[each]
                record.freed(each)
        record.step += 1
    value = fill_outputs([values[key] for key in graph.keys], graph.keys, graph.outputs)
    return Memory(record.step, record.held(), value)


def in_dask_order(graph: TaskGraph) -> Memory:
    """Run a graph task by task on Dask's synchronous scheduler, and see what it still holds."""
    recorder = _Recorder()
    with recorder:
        value = graph.compute(scheduler="sync", fuse=False)
    record = recorder.record
    return Memory(record.step, record.held(), value)


class _Record:
    """What is held now, and since which step."""

    def __init__(self) -> None:
        self.step = 0
        self.now: dict[Key, tuple[int, int]] = {}
        self.past: list[Held] = []

    def made(self, key: Key, value: Any, *, base: bool) -> None:
        if not base:
            self.now[key] = (sizeof(value), self.step)

    def freed(self, key: Key) -> None:
        if key in self.now:  # base cases are not
            self.past.append(Held(key, *self.now.pop(key), self.step))

    def held(self) -> tuple[Held, ...]:
        """All that was held, in the order in which it was made; what is left, to the end."""
        last = self.step - 1
        left = [Held(key, size, first, last) for key, (size, first) in self.now.items()]
        return tuple(sorted(self.past + left, key=lambda each: each.first))


class _Recorder(Callback):  # type: ignore[misc] # Dask is untyped
    """Dask's scheduler tells it of each task once it has freed what only that task still used."""

    def __init__(self) -> None:
        super().__init__()
        self.record = _Record()

    def _posttask(
        self, key: Key, value: Any, _dsk: Any, state: Mapping[str, Any], _worker: Any
    ) -> None:
        inputs = state["dependencies"][key]
        self.record.made(key, value, base=not inputs)
        # Only what this task took, or what it made in vain, can have been freed by it.
        for each in (*inputs, key):
            if each not in state["cache"]:
                self.record.freed(each)
        self.record.step += 1


def _curve(held: list[Held] | tuple[Held, ...], steps: int) -> list[int]:
    changes = [0] * (steps + 1)
    for each in held:
        changes[each.first] += each.bytes
        changes[each.last + 1] -= each.bytes
    now, found = 0, []
    for change in changes[:steps]:
        now += change
        found.append(now)
    return found
