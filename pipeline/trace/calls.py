"""Lazy calls, and how they become a graph.

A worklist takes the place of the call stack: `trace` runs the body of each subproblem once, and
the calls that the body returns are the inputs of its task. Depth is no limit, and no value is
computed. The operators of a body become one function, which computes the task's value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from dask.base import is_dask_collection
from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline import PipelineError
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
from pipeline.identity import (
    ATOMS,
    KEY_WIDTH,
    UnkeyableError,
    UnknownError,
    encode,
    run_untraced,
    session,
    short_hash,
    short_repr,
)
from pipeline.trace.lazy import Expression, Lazy, Operation, expression_text

if TYPE_CHECKING:
    from pipeline.trace.decorators import LazyFunction


class StaleCallError(PipelineError, ValueError):
    """A call inside another call, made before its function's code or globals changed."""


class Call(Lazy):
    """A function with its arguments, not evaluated: a Dask collection of one value.

    function: the recurrence or task
    args, kwargs: as bound to its signature, defaults applied
    key: the Dask key of the subproblem
    """

    __slots__ = ("args", "function", "key", "kwargs")
    function: LazyFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: Key

    def __repr__(self) -> str:
        return label(self.key)


Memoize = bool | Callable[[Call], bool]
"""True for the DAG, False for the tree, or a predicate on calls: shared where it is true."""


class Step(NamedTuple):
    """One operation: its function, and the places of its operands among the values before it."""

    function: Callable[..., Any]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """A function whose last operands are passed by name."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, *operands: Any) -> Any:
        first = len(operands) - len(self.names)
        keywords = dict(zip(self.names, operands[first:], strict=True))
        return self.function(*operands[:first], **keywords)


class Body:
    """The function of a call's task. Its values are inputs, constants, then each step's result.

    It returns the last value. Without steps, that is its one constant or its one input.
    """

    __slots__ = ("constants", "steps")

    def __init__(self, constants: tuple[Any, ...] = (), steps: tuple[Step, ...] = ()) -> None:
        self.constants = constants
        self.steps = steps

    def __call__(self, *inputs: Any) -> Any:
        values = [*inputs, *self.constants]
        for function, places in self.steps:
            values.append(function(*[values[place] for place in places]))
        return values[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Body, (self.constants, self.steps)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (self.constants, tuple(map(tuple, self.steps)))

    def __repr__(self) -> str:
        functions = [getattr(step.function, "function", step.function) for step in self.steps]
        names = [getattr(function, "__name__", str(function)) for function in functions]
        return f"<Body: {', '.join(names) or 'constant'}>"


class Fill:
    """Puts values into the holes of a nested structure: the list in `task(f)([fib(1), fib(2)])`."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure

    def __call__(self, *values: Any) -> Any:
        return map_leaves(self.structure, lambda leaf: values[leaf] if type(leaf) is Hole else leaf)


class Hole(int):
    """The position of a value that is not known yet."""


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
    predicate = memoize if callable(memoize) else None
    tasks: dict[Key, CallTask] = {}
    shared: set[Key] = set()
    with session():
        if callable(outputs):
            outputs = outputs()
        lazy = [leaf for leaf in leaves(outputs) if isinstance(leaf, Lazy)]
        if not lazy:
            raise TypeError(
                f"nothing to trace in {short_repr(outputs)}: give a call, or a structure of calls"
            )
        worklists = [_worklist(value) for value in lazy]
        roots = [worklist[0].key for worklist in worklists]
        for worklist in worklists:
            _follow(worklist, tasks, shared, predicate, limit)
    keys = iter(roots)
    references = map_leaves(
        outputs, lambda leaf: TaskRef(next(keys)) if isinstance(leaf, Lazy) else leaf
    )
    # A subproblem's key covers its arguments and all that its function reaches, and so its graph.
    token = ("DAG", roots[0]) if isinstance(outputs, Lazy) else None
    graph = TaskGraph(tasks, references, token=token)
    return graph if memoize is True else unfold(graph, shared, limit)


def _worklist(lazy: Lazy) -> list[Any]:
    """What to trace for an output: a call, or the task of an expression and its calls."""
    function, calls = (None, [lazy]) if isinstance(lazy, Call) else flatten(lazy)
    # Made again, for the keys of calls cover the code and globals of now.
    calls = [call.function(*call.args, **call.kwargs) for call in calls]
    if function is None:
        return calls
    inputs = tuple([call.key for call in calls])
    content = short_hash((encode(function), *inputs))
    key = ("expression", expression_text(lazy)[:KEY_WIDTH], content)
    return [CallTask(key, function, inputs), *reversed(calls)]


def _follow(  # noqa: C901 - one more call in this loop costs a tenth of the time of a trace
    worklist: list[Any],
    tasks: dict[Key, CallTask],
    shared: set[Key],
    predicate: Callable[[Call], bool] | None,
    limit: int,
) -> None:
    """Add the tasks of all that a worklist needs, inputs before their consumers.

    A worklist is a stack of calls to trace, and of tasks that wait for the calls above them.
    """
    root = worklist[0]
    if predicate is not None and type(root) is CallTask:
        shared.add(root.key)
    allowed = room = limit - len(tasks) - (type(root) is CallTask)
    next_check = max(0, allowed - _FIRST_CHECK)
    previous, prefix = None, ""
    pop, push, new = worklist.pop, worklist.append, object.__new__
    while worklist:
        item = pop()
        if type(item) is CallTask:
            tasks[item.key] = item  # all its inputs are done
            continue
        while (key := item.key) not in tasks:
            room -= 1
            if room < next_check:
                _verify_progress(root.key, item, worklist, limit, room)
                next_check = max(0, allowed - 2 * (allowed - room))
            if predicate is not None and _is_shared(predicate, item):
                shared.add(key)
            try:
                function = item.function
                if function is not previous:
                    previous, prefix = function, function.prefix
                if key[0] is not prefix and key[0] != prefix:
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
                body, calls = flatten(result)
            except Exception as error:
                error.add_note(f"while tracing {item!r}")
                raise
            push(CallTask(key, body, tuple([call.key for call in calls]), function.cheap))
            worklist += reversed(calls)
            break


_FIRST_CHECK = 64
"""Subproblems after which a trace looks for a cycle; then whenever they have doubled."""


def _verify_progress(root: Key, call: Call, worklist: list[Any], limit: int, room: int) -> None:
    """Raise `GraphError` for a cycle, and show it; `LimitError` for a recurrence over the limit."""
    path: dict[Key, None] = {}
    for key in (*(node.key for node in worklist if type(node) is CallTask), call.key):
        if key in path:
            raise GraphError(
                f"{label(key)} needs itself: {cycle_text(path, key)}; "
                "every call must come closer to a base case"
            )
        path[key] = None
    if room < 0:
        raise LimitError(
            f"{label(root)} needs over {limit:,} subproblems, of which {call!r} is one: does the "
            "recurrence end? If it does, raise limit="
        )


def _is_shared(predicate: Callable[[Call], bool], call: Call) -> bool:
    try:
        return bool(run_untraced(predicate, call))
    except Exception as error:
        error.add_note(f"while calling memoize on {call!r}")
        raise


def flatten(value: Any) -> tuple[Callable[..., Any], list[Any]]:
    """The function that computes a lazy value, and the calls whose values are its inputs.

    Each call object is one input, in order of appearance: `fib(2) + fib(2)` has two, `x + x` has
    one. Nothing here recurses without bound, so a sum may have any number of terms.

    >>> body, calls = flatten(Expression(max, (3, Expression(min, (2, 5)))))
    >>> body(), calls
    (3, [])
    """
    if type(value) in ATOMS:
        return Body((value,)), []
    calls: list[Any] = []
    shape = _shape(value, calls, _MAX_DEPTH) if isinstance(value, Lazy) else None
    if shape is None or len(set(map(id, calls))) < len(calls):
        return _flatten(value)
    body = _bodies.get(shape)
    if body is None:
        if len(_bodies) == _MAX_BODIES:
            _bodies.clear()
        body = _bodies[shape] = _flatten(value)[0]
    return body, calls


def _shape(item: Any, calls: list[Any], depth: int) -> Any:
    """The operators and short constants of an expression; None if it has other parts.

    Lists its calls. The bodies of one recurrence have few shapes: each is flattened once.
    """
    kind = type(item)
    if kind is Operation and depth:
        left, right = item.operands
        left, right = _shape(left, calls, depth - 1), _shape(right, calls, depth - 1)
        return None if left is None or right is None else (item.function, left, right)
    if kind in _SHORT:
        return kind, item
    if not isinstance(item, Lazy) or isinstance(item, Expression):
        return None
    calls.append(item)
    return ()


_SHORT = (int, str, bool)
_MAX_DEPTH, _MAX_BODIES = 8, 4096
_bodies: dict[Any, Callable[..., Any]] = {}


def _flatten(value: Any) -> tuple[Callable[..., Any], list[Any]]:
    # By the id of each object, in order of appearance; steps in order of evaluation.
    calls: dict[int, Any] = {}
    constants: dict[int, Any] = {}
    steps: dict[int, tuple[Expression, tuple[Any, ...]]] = {}
    stack: list[tuple[Any, Any]] = [(value, None)]
    while stack:
        item, step = stack.pop()
        if step is not None:  # its operands are done
            steps.setdefault(id(item), step)
        elif id(item) in calls or id(item) in constants or id(item) in steps:
            continue
        elif (expression := item if isinstance(item, Expression) else _fill(item)) is not None:
            operands = (*expression.operands, *(expression.keywords or {}).values())
            stack.append((item, (expression, operands)))
            stack += [(operand, None) for operand in reversed(operands)]
        elif isinstance(item, Lazy):
            calls[id(item)] = item
        else:
            constants[id(item)] = _constant(item)
    places = {number: place for place, number in enumerate((*calls, *constants, *steps))}
    inputs = list(calls.values())
    if len(steps) == 1 and not constants:
        ((expression, operands),) = steps.values()
        if list(map(id, operands)) == list(calls) and not expression.keywords:
            return expression.function, inputs
    body = [
        Step(
            Named(expression.function, tuple(expression.keywords))
            if expression.keywords
            else expression.function,
            tuple([places[id(operand)] for operand in operands]),
        )
        for expression, operands in steps.values()
    ]
    return Body(tuple(constants.values()), tuple(body)), inputs


def _fill(item: Any) -> Expression | None:
    """The expression that builds a structure with lazy values in it; None if it has none."""
    if type(item) in ATOMS or isinstance(item, Lazy):
        return None
    if not (lazy := [leaf for leaf in leaves(item) if isinstance(leaf, Lazy)]):
        return None
    positions = iter(range(len(lazy)))
    holes = map_leaves(item, lambda leaf: Hole(next(positions)) if isinstance(leaf, Lazy) else leaf)
    return Expression(Fill(holes), tuple(lazy))


def _constant(value: Any) -> Any:
    """A value that holds no calls. Raises `TypeError` for others."""
    kind = type(value)
    if kind in ATOMS or (isinstance(value, np.ndarray) and not value.dtype.hasobject):
        return value
    if is_dask_collection(value):
        raise TypeError(
            f"a {kind.__name__} of Dask stands in a call, where only calls and plain values can: "
            "compute it first, or compute both together with dask.compute"
        )
    hides_calls = isinstance(value, Iterator)
    try:
        encode(value)
    except UnkeyableError as error:  # a constant need not have content
        hides_calls = hides_calls or isinstance(error, UnknownError)
    if hides_calls:
        raise TypeError(
            f"a {kind.__name__} may hold calls that would never be computed: use a list, tuple or "
            "dict of them"
        )
    return value
