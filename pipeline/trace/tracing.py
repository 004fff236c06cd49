"""`trace`: the graph of some calls."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import cached_property
from typing import Any

from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.graph import (
    MAX_TASKS,
    CallTask,
    LimitError,
    TaskGraph,
    label,
    leaves,
    map_leaves,
    toposort,
    unfold,
)
from pipeline.identity import run_untraced, session, short_repr
from pipeline.program import Traced
from pipeline.trace.lazy import Lazy
from pipeline.trace.recording import Recording, closed
from pipeline.trace.values import DONE, STARTED, Call, Value

Memoize = bool | Callable[[Call], bool]
"""True for the DAG, False for the tree, or a predicate on calls: shared where it is true."""


def trace(outputs: Any, *, memoize: Memoize = True, limit: int = MAX_TASKS) -> TaskGraph:
    """The graph of some calls: one, or lists, tuples, sets, dicts and dataclasses of them.

    outputs: the calls, or a function that makes them. A function is faster for many calls, or for
        calls that reach a large closure: what their functions reach is then encoded once.
    memoize: True for the DAG, False for the tree; or a predicate on calls, shared where it is true
        and evaluated again for each consumer where it is false
    limit: the most tasks that the graph may have

    Raises `GraphError` for a cyclic recurrence, `LimitError` for an endless one and for a tree
    over the limit, and whatever a body raises, with a note that names the call.

    >>> from pipeline import recurrence
    >>> @recurrence
    ... def fib(n):
    ...     return n if n < 2 else fib(n - 1) + fib(n - 2)
    >>> len(trace(fib(6))), len(trace(fib(6), memoize=False))
    (7, 25)
    >>> trace({"a": fib(6), "b": [fib(7)]}).compute(scheduler="sync")
    {'a': 8, 'b': [13]}
    """
    if not isinstance(memoize, bool) and not callable(memoize):
        raise TypeError(f"memoize={memoize!r}: it is True, False or a predicate on calls")
    shared: set[Key] = set()
    with session(), Recording().open() as recording:
        structure = outputs() if callable(outputs) else outputs
        lazy = [leaf for leaf in leaves(structure) if isinstance(leaf, Lazy)]
        if not lazy:
            raise TypeError(
                f"nothing to trace in {short_repr(structure)}: give a call, or a structure of calls"
            )
        run = _Run(recording, memoize if callable(memoize) else None, limit, shared)
        roots = list(map(run.follow, lazy))
    graph = TracedGraph(recording, roots, structure)
    return graph if memoize is True else unfold(graph, shared, limit)


class _Run:
    """The worklist of a trace."""

    def __init__(
        self,
        recording: Recording,
        predicate: Callable[[Call], bool] | None,
        limit: int,
        shared: set[Key],
    ) -> None:
        self.recording, self.predicate, self.shared = recording, predicate, shared
        self.limit = self.room = limit

    def follow(self, lazy: Lazy) -> Value:  # noqa: C901 - each call passes here
        """Trace all that an output needs; its call."""
        recording = self.recording
        root, stack = recording.root(lazy), recording.stack
        if root.table is None:
            self.room -= 1
            if self.predicate:
                self.shared.add(root.key)
        pop, push, done = stack.pop, stack.append, recording.calls.append
        room, is_watched = self.room, self.predicate is not None
        while stack:
            call = pop()
            state = call.state
            if state:
                if state != DONE:  # all that it needs is traced
                    call.state = DONE
                    done(call)
                continue
            room -= 1
            if is_watched or room < 0:
                self.enter(root, call, room)
            call.state = STARTED
            push(call)
            above = len(stack)
            recording.caller = call
            try:
                if call.arguments is None:
                    result = call.table.body(*call.parts)
                else:
                    args, kwargs = call.arguments
                    result = call.table.body(*args, **kwargs)
                if type(result) is Value and result.recording is recording:
                    call.result = result.number
                else:
                    call.result = recording.number_of(result)
            except Exception as error:
                error.add_note(f"while tracing {call!r}")
                raise
            made = len(stack) - above
            if made == 0:
                pop()
                call.state = DONE
                done(call)
            elif made > 1:  # the first call that it made is on top
                stack[above:] = stack[: above - 1 : -1]
        self.room = room
        return root

    def enter(self, root: Value, call: Value, room: int) -> None:
        """Raise `LimitError` for a recurrence over the limit; ask the predicate."""
        if room < 0:
            raise LimitError(
                f"{label(root.key)} needs over {self.limit:,} subproblems, of which {call!r} is "
                "one: does the recurrence end? If it does, raise limit="
            )
        if self.predicate is None:
            return
        try:
            with closed(self.recording):
                if run_untraced(self.predicate, call.lazy()):
                    self.shared.add(call.key)
        except Exception as error:
            error.add_note(f"while calling memoize on {call!r}")
            raise


class TracedGraph(TaskGraph):
    """A graph whose tasks are made of the tape of its trace when somebody needs them."""

    def __init__(self, recording: Recording, roots: list[Value], structure: Any) -> None:
        keys = iter(root.key for root in roots)
        self.outputs = map_leaves(
            structure, lambda leaf: TaskRef(next(keys)) if isinstance(leaf, Lazy) else leaf
        )
        self.keys = [root.key for root in roots]
        # A subproblem's key covers its arguments and all that its function reaches: its graph.
        if isinstance(structure, Lazy):
            self.token = ("DAG", self.keys[0])
        is_cheap = all(table.function.cheap for table in recording.tables.values())
        self.traced = Traced(recording, recording.calls, roots, is_cheap)

    @cached_property
    def tasks(self) -> dict[Key, Any]:  # type: ignore[override] # made when it is needed
        tape, calls = self.traced.tape, self.traced.calls
        tasks = {}
        for call in calls:
            function, inputs = tape.body(call.result)
            tasks[call.key] = CallTask(
                call.key, function, tuple(map(tape.key, inputs)), call.is_cheap
            )
        return toposort(tasks, self.keys)

    def calls(self, keys: Container[Key]) -> dict[Key, Call]:
        """The calls of some of its tasks. That of an expression is none."""
        found = {call.key: call.lazy() for call in self.traced.calls if call.key in keys}
        return {key: call for key, call in found.items() if isinstance(call, Call)}

    def __reduce__(self) -> Any:
        return _again, (self.tasks, self.outputs, self.token)


def _again(tasks: dict[Key, Any], outputs: Any, token: Key) -> TaskGraph:
    return TaskGraph(tasks, outputs, token=token)
