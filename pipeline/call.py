"""Lazy calls, and how they become a graph.

A worklist takes the place of the call stack: `trace` runs the body of each subproblem once, and
the calls that it finds there are what its task takes. Depth is no limit, and no value is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dask.task_spec import TaskRef

from pipeline.body import flatten
from pipeline.encode import LONG, aside, digest, encode
from pipeline.graph import TaskGraph
from pipeline.keys import label
from pipeline.lazy import Expression, Lazy, text
from pipeline.nest import leaves, nest
from pipeline.node import GraphError, Node, cycle
from pipeline.tracing import session
from pipeline.unfold import LIMIT, LimitError, unfold
from pipeline.units import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    Memoize = bool | Callable[["Call"], bool]


class StaleCallError(ValueError):
    """A call in another call, made before its function's code or globals were what they are."""


class Function(Protocol):
    """What makes calls: a recurrence or a task."""

    body: Callable[..., Any]

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


def trace(outputs: Any, *, memoize: Memoize = True, limit: int = LIMIT) -> TaskGraph:
    """The graph of some calls: one, or lists, tuples, sets, dicts and dataclasses of them.

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
    asked = [leaf for leaf in leaves(outputs) if isinstance(leaf, Lazy)]
    if not asked:
        raise TypeError(
            f"nothing to trace in {brief(outputs)}: give a call, or a structure of calls"
        )
    if not isinstance(memoize, bool) and not callable(memoize):
        raise TypeError(f"memoize={memoize!r}: it is True, False or a predicate on calls")
    shared: set[Key] = set()
    tasks: dict[Key, Node] = {}
    with session():
        roots = [_root(lazy) for lazy in asked]
        for root in roots:
            _follow(root, tasks, limit, shared, memoize if callable(memoize) else None)
    keys = iter(roots)
    named = nest(outputs, lambda leaf: TaskRef(next(keys).key) if isinstance(leaf, Lazy) else leaf)
    # A subproblem's key covers its arguments and all that its function reaches, and so its graph.
    token = ("DAG", roots[0].key) if isinstance(outputs, Lazy) else None
    graph = TaskGraph(tasks, named, token=token)
    return graph if memoize is True else unfold(graph, shared, limit)


def _follow(  # noqa: C901 - one more call in this loop costs a tenth of the time of a trace
    root: Call,
    tasks: dict[Key, Node],
    limit: int,
    shared: set[Key],
    predicate: Callable[[Call], bool] | None,
) -> None:
    """Add the tasks of a call and of all that it needs, inputs before their consumers."""
    entered: dict[Key, None] = {}  # the path from the root to the call at hand
    room = limit - len(tasks)
    stack: list[Any] = [root]  # calls to trace, and nodes whose inputs stand above them
    pop, push = stack.pop, stack.append
    while stack:
        item = pop()
        key = item.key
        if type(item) is Node:  # all its inputs are done
            del entered[key]
            tasks[key] = item
            continue
        if key in tasks:
            continue
        room -= 1
        if room < 0 or key in entered:
            raise _endless(root, item, entered, limit)
        if predicate is not None and _shares(predicate, item):
            shared.add(key)
        entered[key] = None
        try:
            if item.kwargs:
                result = item.function.body(*item.args, **item.kwargs)
            else:
                result = item.function.body(*item.args)
            if type(result) is Expression and result.keywords is None:
                operands = result.operands
                if len(operands) == 2:
                    # The common case, `fib(n - 1) + fib(n - 2)`, is spared what `flatten` costs.
                    left, right = operands
                    if type(left) is Call and type(right) is Call and left is not right:
                        push(Node(key, result.function, (left.key, right.key)))
                        push(right)
                        push(left)
                        continue
            function, calls = flatten(result)
            for each in calls:
                if each.key[0] != each.function.prefix:
                    raise StaleCallError(
                        f"{each!r} was made before something changed that its function reaches: "
                        "make it again"
                    )
        except Exception as error:
            error.add_note(f"while tracing {item!r}")
            raise
        push(Node(key, function, tuple([each.key for each in calls])))
        stack += reversed(calls)


def _shares(predicate: Callable[[Call], bool], call: Call) -> bool:
    if isinstance(call.function, _Standing):
        return True
    try:
        return bool(aside(predicate, call))
    except Exception as error:
        error.add_note(f"while asking memoize about {call!r}")
        raise


def _endless(root: Call, call: Call, entered: dict[Key, None], limit: int) -> ValueError:
    if call.key in entered:
        return GraphError(
            f"{call!r} needs itself: {cycle(entered, call.key)}; "
            "every call must come closer to a base case"
        )
    return LimitError(
        f"{root!r} needs over {limit:,} subproblems, of which {call!r} is one: does the "
        "recurrence end? If it does, raise limit="
    )


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
    content = digest((encode(function), *(each.key for each in calls)))
    root.key = ("expression", text(lazy)[:LONG], content)
    return root


class _Standing:
    """An expression that stands in no body, in the place of a function whose body it is."""

    def __init__(self, expression: Expression) -> None:
        self.body: Callable[[], Expression] = lambda: expression

    def __call__(self, *_: Any, **__: Any) -> Call:
        return _root(self.body())


def _graph(self: Lazy, *, memoize: Memoize = True, limit: int = LIMIT) -> TaskGraph:
    """The graph of this call: see `trace`."""
    return trace(self, memoize=memoize, limit=limit)


Lazy.graph = _graph
