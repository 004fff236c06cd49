"""Lazy calls, and how they become a graph.

A worklist takes the place of the call stack: `trace` runs the body of each subproblem once, and
the calls that it finds there are what its task takes. Depth is no limit, and no value is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dask.task_spec import TaskRef

from pipeline.graph import (
    MAX_TASKS,
    CallTask,
    GraphError,
    LimitError,
    TaskGraph,
    cycle_text,
    label,
    leaves,
    map_leaves,
    unfold,
)
from pipeline.identity import KEY_WIDTH, encode, short_hash, short_repr, untraced
from pipeline.trace.body import flatten
from pipeline.trace.lazy import Expression, Lazy, Operation, text
from pipeline.trace.session import session

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    Memoize = bool | Callable[["Call"], bool]


class StaleCallError(ValueError):
    """A call in another call, made before its function's code or globals were what they are."""


class Function(Protocol):
    """What makes calls: a recurrence or a task."""

    body: Callable[..., Any]
    prefix: Any
    fixed: str | None
    cheap: bool

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Call(Lazy):
    """A function with its arguments, not evaluated: a Dask collection of one value.

    function: the recurrence or task
    args, kwargs: as bound to its signature, defaults applied
    key: the Dask key of the subproblem
    """

    __slots__ = ("args", "function", "key", "kwargs")
    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: Key

    def __repr__(self) -> str:
        return label(self.key)


def trace(outputs: Any, *, memoize: Memoize = True, limit: int = MAX_TASKS) -> TaskGraph:
    """The graph of some calls: one, or lists, tuples, sets, dicts and dataclasses of them.

    outputs: the calls, or a function that makes them. Meanwhile the content of what their functions
        reach is taken once, not for each call: that counts for many calls, or a large closure.
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
    tasks: dict[Key, CallTask] = {}
    with session():
        if callable(outputs):
            outputs = outputs()
        asked = [leaf for leaf in leaves(outputs) if isinstance(leaf, Lazy)]
        if not asked:
            raise TypeError(
                f"nothing to trace in {short_repr(outputs)}: give a call, or a structure of calls"
            )
        roots = [_root(lazy) for lazy in asked]
        for root in roots:
            _follow(root, tasks, limit, shared, memoize if callable(memoize) else None)
    keys = iter(roots)
    named = map_leaves(
        outputs, lambda leaf: TaskRef(next(keys).key) if isinstance(leaf, Lazy) else leaf
    )
    # A subproblem's key covers its arguments and all that its function reaches, and so its graph.
    token = ("DAG", roots[0].key) if isinstance(outputs, Lazy) else None
    graph = TaskGraph(tasks, named, token=token)
    return graph if memoize is True else unfold(graph, shared, limit)


def _follow(  # noqa: C901 - one more call in this loop costs a tenth of the time of a trace
    root: Call,
    tasks: dict[Key, CallTask],
    limit: int,
    shared: set[Key],
    predicate: Callable[[Call], bool] | None,
) -> None:
    """Add the tasks of a call and of all that it needs, inputs before their consumers."""
    allowed = room = limit - len(tasks)
    pause = max(0, allowed - _FIRST)
    stack: list[Any] = []  # calls to trace, and the nodes that wait for what stands above them
    pop, push, new = stack.pop, stack.append, object.__new__
    item = root
    while True:
        key = item.key
        if key not in tasks:
            room -= 1
            if room < pause:
                _verify_progress(root, item, stack, limit, room)
                pause = max(0, allowed - 2 * (allowed - room))
            if predicate is not None and _shares(predicate, item):
                shared.add(key)
            try:
                function = item.function
                if key[0] is not function.fixed and key[0] != function.prefix:
                    raise StaleCallError(
                        f"{item!r} was made before something changed that its function reaches: "
                        "make it again"
                    )
                if item.kwargs:
                    result = function.body(*item.args, **item.kwargs)
                else:
                    result = function.body(*item.args)
                if type(result) is Operation:
                    # The common case, `fib(n - 1) + fib(n - 2)`, is spared what `flatten` costs.
                    left, right = result.operands
                    if type(left) is Call and type(right) is Call and left is not right:
                        node = new(CallTask)
                        node.key = key
                        node.function = result.function
                        node.inputs = (left.key, right.key)
                        node.cheap = True
                        push(node)
                        push(right)
                        item = left
                        continue
                program, calls = flatten(result)
            except Exception as error:
                error.add_note(f"while tracing {item!r}")
                raise
            push(CallTask(key, program, tuple([each.key for each in calls]), function.cheap))
            stack += reversed(calls)
        while stack:
            item = pop()
            if type(item) is not CallTask:
                break
            tasks[item.key] = item  # all its inputs are done
        else:
            return


_FIRST = 64
"""Subproblems after which a trace looks for a cycle; then whenever they have doubled."""


def _verify_progress(root: Call, call: Call, stack: list[Any], limit: int, room: int) -> None:
    """Tell a cycle by its path, and an endless recurrence by its length."""
    path: dict[Key, None] = {}
    for key in (*(node.key for node in stack if type(node) is CallTask), call.key):
        if key in path:
            raise GraphError(
                f"{label(key)} needs itself: {cycle_text(path, key)}; "
                "every call must come closer to a base case"
            )
        path[key] = None
    if room < 0:
        raise LimitError(
            f"{root!r} needs over {limit:,} subproblems, of which {call!r} is one: does the "
            "recurrence end? If it does, raise limit="
        )


def _shares(predicate: Callable[[Call], bool], call: Call) -> bool:
    if isinstance(call.function, _Standing):
        return True
    try:
        return bool(untraced(predicate, call))
    except Exception as error:
        error.add_note(f"while asking memoize about {call!r}")
        raise


def _root(lazy: Lazy) -> Call:
    """What is asked for, as a call that bears the key of the present code and globals."""
    if isinstance(lazy, Call):
        made: Call = lazy.function(*lazy.args, **lazy.kwargs)
        return made
    function, calls = flatten(lazy)
    calls = [_root(each) for each in calls]
    root: Call = object.__new__(Call)
    root.function = _Standing(Expression(function, tuple(calls)))
    root.args, root.kwargs = (), {}
    content = short_hash((encode(function), *(each.key for each in calls)))
    root.key = (_Standing.prefix, text(lazy)[:KEY_WIDTH], content)
    return root


class _Standing:
    """An expression that stands in no body, in the place of a function whose body it is."""

    prefix: Any = "expression"
    fixed: str | None = "expression"
    cheap = True

    def __init__(self, expression: Expression) -> None:
        self.body: Callable[[], Expression] = lambda: expression

    def __call__(self, *_: Any, **__: Any) -> Call:
        return _root(self.body())
