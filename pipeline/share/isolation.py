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
from typing import Any, NamedTuple

import numpy as np
from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from dask.typing import Key
from dask.utils import methodcaller

from pipeline.graph import CallTask, inputs_of
from pipeline.identity import ATOMS, library_name
from pipeline.program import Program
from pipeline.share.copying import IMMUTABLE, Again, isolated, viewed

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


class Graph(NamedTuple):
    """A graph whose tasks have numbers.

    tasks, numbers: before the merge
    origins: for each alias, the task that it points to
    defining: for each number, its first task
    outputs: the tasks whose values the caller of a run gets
    """

    tasks: Mapping[Key, Any]
    numbers: Mapping[Key, int]
    origins: Mapping[Key, Key]
    defining: Mapping[int, Key]
    outputs: Sequence[Key]

    def uses(
        self, number: int, sources: Iterable[Key], shared: Container[int]
    ) -> Iterator[tuple[int, Use, Key]]:
        """What a task uses of the shared tasks: the number, the use, and the original task."""
        places: dict[int, dict[Key, int]] = {}
        for source in sources:
            used = self.numbers[source]
            if used in shared:
                original = self.origins.get(source, source)
                seen = places.setdefault(used, {})
                if original not in seen:
                    seen[original] = len(seen)
                    yield used, (number, seen[original]), original

    def output_uses(self, shared: Container[int]) -> Iterator[tuple[int, Use, Key]]:
        """The same for the caller of a run."""
        for key in self.outputs:
            if (number := self.numbers[key]) in shared:
                original = self.origins.get(key, key)
                yield number, (None, original), original


def handles(graph: Graph, repeated: Container[int]) -> dict[int, list[Handle]]:
    """The handles of each merged task whose consumers must not see each other's writes.

    repeated: the numbers of several tasks
    """
    found: dict[int, list[Handle]] = {}
    uses = _several_uses(graph, repeated)
    for number, by_use in (_originals(graph, uses) if uses else {}).items():
        groups: dict[frozenset[Key], Handle] = {}
        for use, keys in by_use.items():
            groups.setdefault(frozenset(keys), Handle([], keys)).uses.append(use)
        if len(groups) > 1:
            found[number] = list(groups.values())
    return found


def _several_uses(graph: Graph, repeated: Container[int]) -> dict[int, set[Use]]:
    """The uses of merged tasks that have several, and a value that somebody may change."""
    used: dict[int, set[Use]] = defaultdict(set)
    for number, key in graph.defining.items():
        for shared, use, _ in graph.uses(number, inputs_of(graph.tasks[key]), repeated):
            used[shared].add(use)
    for shared, use, _ in graph.output_uses(repeated):
        used[shared].add(use)
    is_constant = Constants(graph)
    several = {number: uses for number, uses in used.items() if len(uses) > 1}
    return {number: uses for number, uses in several.items() if not is_constant(number)}


def _places(graph: Graph, number: int, several: Container[int]) -> list[tuple[int, int]] | None:
    """Which arguments of a task are shared: positions and numbers.

    None if they are not plain arguments, or not all different.
    """
    node = graph.tasks[graph.defining[number]]
    used = [graph.numbers[source] for source in inputs_of(node)]
    used = [source for source in used if source in several]
    if type(node) is not Task or node.kwargs or len(set(used)) < len(used):
        return None
    sources = [
        (place, graph.numbers[argument.key])
        for place, argument in enumerate(node.args)
        if type(argument) is TaskRef and graph.numbers[argument.key] in several
    ]
    return sources if len(sources) == len(used) else None


def _originals(graph: Graph, several: Mapping[int, set[Use]]) -> dict[int, dict[Use, list[Key]]]:
    """For each use of some numbers, the original tasks that it used."""
    found: dict[int, dict[Use, list[Key]]] = defaultdict(lambda: defaultdict(list))
    origins = graph.origins
    users = {user for uses in several.values() for user, _ in uses if user is not None}
    places = {number: _places(graph, number, several) for number in users}
    for key, number in graph.numbers.items():
        # Each task of the graph comes by here, so this is quick for most of them.
        if number not in places or key in origins:
            continue
        node: Any = graph.tasks.get(key)
        used = places[number] if type(node) is Task and not node.kwargs else None
        # Equal tasks may be written in several ways: some arguments by name, or in another task.
        arguments = [node.args[place] for place, _ in used or () if place < len(node.args)]
        if used and len(used) == sum(type(argument) is TaskRef for argument in arguments):
            for (_, shared), argument in zip(used, arguments, strict=True):
                found[shared][number, 0].append(origins.get(argument.key, argument.key))
        else:
            for shared, use, original in graph.uses(number, inputs_of(node), several):
                found[shared][use].append(original)
    for shared, use, original in graph.output_uses(several):
        found[shared][use].append(original)
    return found


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

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[int, bool] = {}

    def __call__(self, number: int) -> bool:
        known, stack = self._known, [number]
        while stack:
            node = self._node(stack[-1])
            inputs = [self._graph.numbers[source] for source in inputs_of(node)] if node else []
            if not node or not self._is_arithmetic(node):
                known[stack.pop()] = False
            elif missing := [source for source in inputs if source not in known]:
                stack += missing
            else:
                known[stack.pop()] = all(known[source] for source in inputs)
        return known[number]

    def _node(self, number: int) -> Any:
        key = self._graph.defining.get(number)
        return None if key is None else self._graph.tasks[key]

    def _is_arithmetic(self, node: Any) -> bool:
        """Whether a node has such a value if its inputs have."""
        if isinstance(node, TaskRef):
            return True  # an argument, which is an input
        if isinstance(node, DataNode):
            return type(node.value) in IMMUTABLE
        if isinstance(node, NestedContainer):  # its consumers make another one each time
            return all(map(self._is_arithmetic, node.args))
        if isinstance(node, CallTask):
            constants = node.function.constants if type(node.function) is Program else ()
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
    if type(node.function) is not Program:
        return _is_operator(node.function)
    return all(map(_is_operator, node.function.functions))


def _is_operator(function: Any) -> bool:
    # Only these types may be hashed: a callable object may have a hash of any kind.
    return type(function) in (type, type(len)) and function in _ARITHMETIC


# Consumers that do not write

_READING = frozenset({
    "all", "any", "amax", "amin", "argmax", "argmin", "argsort", "average", "bincount", "corrcoef",
    "count_nonzero", "cov", "cumprod", "cumsum", "digitize", "dot", "histogram", "inner", "matmul",
    "max", "mean", "median", "min", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile",
    "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "outer", "percentile", "prod",
    "quantile", "searchsorted", "sort", "std", "sum", "tensordot", "trace", "unique", "var", "vdot",
})  # fmt: skip
"""NumPy's functions that, without `out=`, neither write into an array nor return a part of it."""

_READING_METHODS = frozenset({
    "all", "any", "argmax", "argmin", "cumprod", "cumsum", "dot", "max", "mean", "min", "prod",
    "std", "sum", "tobytes", "tolist", "var",
})  # fmt: skip
"""Methods of arrays of which that holds, too."""

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
    package, _, name = (library_name(function) or "").rpartition(".")
    return package == "numpy" and name in _READING


def is_trusted(node: Any) -> bool:
    """Whether a task is Dask's own work, which does not write into its inputs.

    It may return a part of them. A task of a recurrence promises the same.
    """
    if type(node) is not Task or is_arithmetic(node) or is_reading(node):
        return True
    function, values = node.func, [*node.args, *node.kwargs.values()]
    while isinstance(function, functools.partial):
        values += [*function.args, *function.keywords.values()]
        function = function.func
    is_dasks = (library_name(function) or "").startswith("dask.") or function is operator.getitem
    return is_dasks and all(map(_is_harmless, values))


class Trust:
    """`is_trusted` and `is_reading` for the tasks of a graph: most are calls of few functions.

    Valid while nobody changes a library: for one pass.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Any, bool, bool]] = {}  # with the function

    def __call__(self, node: Any) -> tuple[bool, bool]:
        """Whether a task is trusted, and whether it is reading."""
        if type(node) is not Task or node.kwargs or not _PLAIN.issuperset(map(type, node.args)):
            return is_trusted(node), is_reading(node)
        alike = id(node.func), len(node.args)
        if alike not in self._known:
            self._known[alike] = node.func, is_trusted(node), is_reading(node)
        return self._known[alike][1:]


_PLAIN = {*ATOMS, TaskRef, tuple, slice, np.ndarray}
"""Types of arguments that call nothing."""


def _is_harmless(value: Any) -> bool:
    """Whether an argument calls nothing that may write."""
    if type(value) in _PLAIN:
        return True
    if isinstance(value, NestedContainer):
        return all(map(_is_harmless, value.args))
    if isinstance(value, GraphNode):
        return is_trusted(value)
    package, _, name = (library_name(value) or "").rpartition(".")
    is_known = isinstance(value, type | np.ufunc) or (package == "numpy" and name in _READING)
    return is_known or not callable(value)


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
