"""Which consumer of a merged task gets which handle of its value.

Consumers that used one task before the merge see what the others do to its value, in Dask, too.
Consumers of different tasks do not. So consumers of the same original tasks share a handle.
"""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from dask.typing import Key
from dask.utils import methodcaller

from pipeline.graph import CallTask, inputs_of
from pipeline.identity import library_name
from pipeline.share.copying import IMMUTABLE, Again, isolated, viewed
from pipeline.trace import Body, Named


Use = tuple[int | None, Any]
"""A place where a merged task uses the value of another: the number of that task, and, if it uses
several equal tasks, which of them. For the caller of a run: None, and the key of the output."""


@dataclass(slots=True)
class Handle:
    """A handle of the value of a merged task.

    uses: which see what the others do to the value
    originals: the tasks that they used before the merge
    key: of the task that makes the handle; None if its only consumer makes it
    """

    uses: list[Use]
    originals: list[Key]
    key: Key | None = field(default=None)

    @property
    def is_output(self) -> bool:
        """Whether nobody but the caller of a run gets it, who sees it when the run is over."""
        return all(consumer is None for consumer, _ in self.uses)


def sources_of(node: Any) -> Sequence[Key]:
    """The inputs of a task, in argument order: as `inputs_of`, but fast for plain tasks."""
    if type(node) is not Task or node.kwargs:
        return inputs_of(node)
    sources = []
    for argument in node.args:
        if type(argument) is TaskRef:
            sources.append(argument.key)
        elif isinstance(argument, GraphNode):
            return inputs_of(node)
    return sources


def uses_of(
    number: int | None, sources: Iterable[Key], numbers: Mapping[Key, int],
    is_shared: Container[int], origin: Mapping[Key, Key],
) -> Iterator[tuple[int, Use, Key]]:  # fmt: skip
    """What a task uses of the shared tasks: the number, the use, and the original task."""
    places: dict[int, list[Key]] = {}
    for source in sources:
        used = numbers[source]
        if used in is_shared:
            source = origin.get(source, source)  # noqa: PLW2901 - an alias is what it points to
            seen = places.setdefault(used, [])
            if source not in seen:
                seen.append(source)
                yield used, (number, len(seen) - 1), source


def handles(
    tasks: Mapping[Key, Any], numbers: Mapping[Key, int], origin: Mapping[Key, Key],
    repeated: Mapping[int, Key], defining: Mapping[int, Key], outputs: Iterable[Key],
) -> dict[int, list[Handle]]:  # fmt: skip
    """The handles of each merged task whose consumers must not see each other's writes.

    tasks, numbers: before the merge
    origin: for each alias, the task that it points to
    repeated, defining: for the numbers of several tasks, and of all, the first task
    """
    outputs = list(outputs)
    used: dict[int, set[Use]] = defaultdict(set)
    for number, key in defining.items():
        sources = sources_of(tasks[key])
        for shared, use, _ in uses_of(number, sources, numbers, repeated, origin):
            used[shared].add(use)
    for shared, use, _ in _outputs(outputs, numbers, repeated, origin):
        used[shared].add(use)
    is_constant = Constants(tasks, numbers, defining)
    several = {number for number, uses in used.items() if len(uses) > 1}
    several = {number for number in several if not is_constant(number)}
    if not several:
        return {}
    originals: dict[int, dict[Use, list[Key]]] = {number: defaultdict(list) for number in several}
    for key, node in tasks.items():
        # Each task of the graph comes by here, so this is quick for most of them.
        sources = [source for source in sources_of(node) if numbers[source] in several]
        if not sources or key in origin:
            continue
        number = numbers[key]
        if len(sources) == 1:
            [source] = sources
            originals[numbers[source]][number, 0].append(origin.get(source, source))
            continue
        for shared, use, source in uses_of(number, sources, numbers, several, origin):
            originals[shared][use].append(source)
    for shared, use, source in _outputs(outputs, numbers, several, origin):
        originals[shared][use].append(source)
    found: dict[int, list[Handle]] = {}
    for number, by_use in originals.items():
        groups: dict[frozenset[Key], Handle] = {}
        for use, keys in by_use.items():
            groups.setdefault(frozenset(keys), Handle([], keys)).uses.append(use)
        if len(groups) > 1:
            found[number] = list(groups.values())
    return found


def _outputs(
    outputs: Iterable[Key], numbers: Mapping[Key, int], is_shared: Container[int],
    origin: Mapping[Key, Key],
) -> Iterator[tuple[int, Use, Key]]:  # fmt: skip
    for key in outputs:
        if (number := numbers[key]) in is_shared:
            original = origin.get(key, key)
            yield number, (None, original), original


# Values that nobody can change

_ARITHMETIC = frozenset({
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.neg, operator.pos, operator.abs, operator.invert, operator.lshift,
    operator.rshift, operator.and_, operator.or_, operator.xor, operator.eq, operator.ne,
    operator.lt, operator.le, operator.gt, operator.ge, operator.not_, operator.truth,
    abs, bool, chr, complex, divmod, float, hash, int, len, max, min, ord, pow, repr, round, str,
    sum,
})  # fmt: skip
"""Functions whose values nobody can change, if that holds for their arguments."""


class Constants:
    """Which merged tasks have a value that nobody can change, as far as the graph says."""

    def __init__(
        self, tasks: Mapping[Key, Any], numbers: Mapping[Key, int], defining: Mapping[int, Key]
    ) -> None:
        self._tasks, self._numbers, self._defining = tasks, numbers, defining
        self._known: dict[int, bool] = {}

    def __call__(self, number: int) -> bool:
        known, stack = self._known, [number]
        while stack:
            node = self._node(stack[-1])
            inputs = [self._numbers[source] for source in inputs_of(node)] if node else []
            if not node or not self._is_arithmetic(node):
                known[stack.pop()] = False
            elif missing := [source for source in inputs if source not in known]:
                stack += missing
            else:
                known[stack.pop()] = all(known[source] for source in inputs)
        return known[number]

    def _node(self, number: int) -> Any:
        key = self._defining.get(number)
        return None if key is None else self._tasks[key]

    def _is_arithmetic(self, node: Any) -> bool:
        """Whether a node has such a value if its inputs have."""
        if isinstance(node, TaskRef):
            return True  # an argument, which is an input
        if isinstance(node, DataNode):
            return type(node.value) in IMMUTABLE
        if isinstance(node, NestedContainer):  # its consumers make another one each time
            return all(map(self._is_arithmetic, node.args))
        if isinstance(node, CallTask):
            constants = node.function.constants if type(node.function) is Body else ()
            return is_arithmetic(node) and IMMUTABLE.issuperset(map(type, constants))
        if type(node) is Task:
            return is_arithmetic(node) and all(map(self._is_arithmetic, node.args))
        return type(node) in IMMUTABLE


def is_arithmetic(node: Any) -> bool:
    """Whether a task only calls operators and the like, which do not write into their operands."""
    if type(node) is Task:
        return not node.kwargs and _is_operator(node.func)
    if not isinstance(node, CallTask):
        return False
    if type(node.function) is not Body:
        return _is_operator(node.function)
    functions = (step.function for step in node.function.steps)
    return all(
        _is_operator(function.function if type(function) is Named else function)
        for function in functions
    )


def _is_operator(function: Any) -> bool:
    # Only these types may be hashed: a callable object may have a hash of any kind.
    return type(function) in (type, type(len)) and function in _ARITHMETIC


# Consumers that do not write

_READING = frozenset(
    f"numpy.{name}"
    for name in """
    all any amax amin argmax argmin argsort average bincount corrcoef count_nonzero cov cumprod
    cumsum digitize dot histogram inner matmul max mean median min nanmax nanmean nanmedian
    nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar outer percentile prod quantile
    searchsorted sort std sum tensordot trace unique var vdot
    """.split()
)
"""Functions that neither write into an array, without `out=`, nor return a part of it."""

_READING_METHODS = frozenset(
    "all any argmax argmin cumprod cumsum dot max mean min prod std sum tobytes tolist var".split()
)

_WRITING_OPTIONS = ("out", "overwrite_input")
_MAX_POSITIONAL = 2
"""Later arguments may be `out`."""


def is_reading(node: Any) -> bool:
    """Whether a task neither writes into its inputs nor returns a part of them, if they are arrays.

    Only what is known of a library's function counts.
    """
    if type(node) is not Task or any(name in node.kwargs for name in _WRITING_OPTIONS):
        return False
    if len(node.args) > _MAX_POSITIONAL:
        return False
    function = node.func
    while isinstance(function, functools.partial) and not function.args:
        if any(name in function.keywords for name in _WRITING_OPTIONS):
            return False
        function = function.func
    if isinstance(function, methodcaller):
        return function.method in _READING_METHODS
    if type(function) is np.ufunc:
        return len(node.args) <= function.nin
    return library_name(function) in _READING


# Tasks


def handle_task(key: Key, source: Key, again: Again, is_call: bool) -> GraphNode:
    """A task that makes a handle."""
    if is_call:
        return CallTask(key, functools.partial(isolated, again=again), (source,))
    return Task(key, isolated, TaskRef(source), again)


def inline_handle(source: Key, again: Again, consumer: Any) -> Task:
    """The argument of a task that makes a handle for itself."""
    make: Callable[..., Any] = viewed if is_reading(consumer) else isolated
    return Task(None, make, TaskRef(source), again)
