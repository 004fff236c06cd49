"""Which tasks are one subproblem: equal tasks get equal numbers.

A task is the same as another if its function is, and its arguments are, constants by content and
inputs by their numbers: hash-consing. What is impure, or has no content, is the same as nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dask._expr import ProhibitReuse
from dask._task_spec import NestedContainer, _execute_subgraph
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef

from pipeline.graph import CallTask, inputs_of, subproblem, toposort
from pipeline.identity import ATOMS, encode
from pipeline.share.apart import (
    NotMerged,
    bound,
    call_impurity,
    changed,
    checked,
    content,
    method_impurity,
    project_objects,
)
from pipeline.share.calls import is_used_up
from pipeline.share.impurities import USED_UP, Impurity
from pipeline.share.purity import callable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dask.typing import Key

_SIMPLE = frozenset({int, bool, str, bytes, type(None)})
"""Types whose equal values are the same, within the type."""


class FunctionNumber(NamedTuple):
    number: int
    is_checked: bool  # whether it is pure hangs on the arguments
    is_used_up: bool  # its result changes as it is read
    is_simple: bool  # neither


class Numbering:
    """Numbers for the tasks of a graph; equal numbers stand for equal subproblems.

    of: the number of each task that has been met, inputs before their consumers; below 0 if its
        value changes as it is used
    reasons: why tasks are held apart: what makes them impure or unknown
    """

    def __init__(self, tasks: Mapping[Key, Any]) -> None:
        self.tasks = tasks
        self.numbers: dict[Key, int] = {}
        self.reasons: dict[Key, Impurity | str] = {}
        self.signatures: dict[Any, int] = {"none": 0}  # so that the others have a sign
        # By id, and with the object, so that no other bears its id.
        self._functions: dict[int, tuple[Any, FunctionNumber | NotMerged]] = {}
        self._values: dict[int, tuple[Any, int | NotMerged]] = {}
        self._objects: dict[int, Any] = {}  # of the project's classes, by number
        self._methods: dict[tuple[int, int], Impurity | None] = {}  # by function and object
        self._changed, self._bound = changed(tasks), bound(tasks)

    def add(self, wanted: Iterable[Key]) -> None:
        """Number some tasks and all that they need. Raises `GraphError` for a cycle."""
        of, tasks = self.numbers, self.tasks
        entered: dict[Key, None] = {}
        stack = list(wanted)[::-1]
        while stack:
            key = stack[-1]
            if key in of:
                stack.pop()
                continue
            found = self._number_of(key, tasks.get(key))
            if not isinstance(found, list):
                of[stack.pop()] = found
                continue
            if key in entered:
                toposort(tasks, [key])  # which tells the cycle
            entered[key] = None
            stack += reversed(found)

    def _number_of(self, key: Key, node: Any) -> int | list[Key]:
        """The number of a task, or what it takes that has no number yet."""
        is_apart = key in self._changed or key in self._bound
        if type(node) is Task and not node.kwargs and not is_apart:
            found = self._simple(node)
            if found is not None:
                return found
        if node is None or isinstance(node, TaskRef):
            return self.intern(("held", key))  # the data of a future, or of another graph
        missing = [each for each in inputs_of(node) if each not in self.numbers]
        if missing:
            return missing
        try:
            if key in self._bound:
                raise NotMerged("a part of a shuffle, which belongs to one computation")
            if key in self._changed:
                raise NotMerged(Impurity(self._changed[key], "it changes its argument"), True)
            if type(node) is Task and self.function_number(node.func).is_used_up:
                raise NotMerged(Impurity(callable_name(node.func), USED_UP), True)
            return self.node_number(node, self.numbers)
        except NotMerged as reason:
            self.reasons[key] = reason.what
            number = self.intern(("apart", key))
            return -number if reason.spreads else number

    def _simple(self, task: Task) -> int | list[Key] | None:
        """The same, and fast, of the tasks that are most: with inputs and a few constants."""
        _, function = self._functions.get(id(task.func), (None, None))
        if type(function) is not FunctionNumber or not function.is_simple:
            return None
        of, numbers = self.numbers, [function.number]
        missing = []
        for each in task.args:
            if type(each) is TaskRef:
                number = of.get(each.key)
                if number is None:
                    missing.append(each.key)
                elif number < 0 or number in self._objects:
                    return None
                else:
                    numbers.append(number)
            elif type(each) in _SIMPLE:
                numbers.append(self.intern((type(each), each)))
            else:
                return None
        return missing or self.intern(tuple(numbers))

    def intern(self, signature: Any) -> int:
        return self.signatures.setdefault(signature, len(self.signatures))

    def node_number(self, node: Any, of: Mapping[Key, int]) -> int:
        """The number of a task, or of what stands in the place of an argument."""
        if isinstance(node, TaskRef | Alias):
            return stable(of[node.key if isinstance(node, TaskRef) else node.target])
        if isinstance(node, DataNode):
            return self.value_number(node.value)
        if isinstance(node, CallTask):
            function = self.function_number(node.function)
            taken = (stable(of[each]) for each in node.inputs)
            return self.intern(("call", subproblem(node.key), function.number, *taken))
        if isinstance(node, NestedContainer):
            kind = type(node).__name__
            return self.intern((kind, *(self.node_number(each, of) for each in node.args)))
        if type(node) is Task:
            return self._task(node, of)
        if isinstance(node, GraphNode):
            raise NotMerged(f"a {type(node).__name__}, which belongs to one computation")
        return self.value_number(node)

    def _task(self, task: Task, of: Mapping[Key, int]) -> int:
        if task.func is ProhibitReuse._identity:
            return self.node_number(task.args[0], of)
        if task.func is _execute_subgraph:
            return self._block(task, of)
        function = self.function_number(task.func)
        if function.is_checked and (found := self._impurity(task)) is not None:
            raise NotMerged(found)
        for each in self._given(task):
            pair = id(task.func), id(each)  # which the graph holds
            if pair not in self._methods:
                self._methods[pair] = method_impurity(task.func, each)
            if (found := self._methods[pair]) is not None:
                raise NotMerged(found)
        args = [self.node_number(each, of) for each in task.args]
        # In their order: a function that takes any keywords sees it.
        named = [
            ("by name", name, self.node_number(each, of)) for name, each in task.kwargs.items()
        ]
        return self.intern((function.number, *args, *named))

    def _impurity(self, task: Task) -> Impurity | None:
        given = [*task.args, *task.kwargs.values()]
        nodes = [self.tasks.get(each.key) if isinstance(each, TaskRef) else each for each in given]
        values = [each.value if isinstance(each, DataNode) else each for each in nodes]
        return call_impurity(task.func, values, tuple(task.kwargs))

    def _given(self, task: Task) -> Iterator[Any]:
        """The objects of the project's classes that a task is given."""
        for each in (*task.args, *task.kwargs.values()):
            if not isinstance(each, TaskRef):
                yield from project_objects(each)
            elif (found := self._objects.get(self.numbers.get(each.key, 0))) is not None:
                yield found

    def _block(self, task: Task, of: Mapping[Key, int]) -> int:
        """The number of a task that Dask has fused of several: that of the last of them."""
        tasks, last, names, *taken = task.args
        inner: dict[Key, int] = {
            name: self.node_number(each, of) for name, each in zip(names, taken, strict=True)
        }
        for key, node in toposort(tasks, [last]).items():
            inner[key] = self.node_number(node, inner)
        return inner[last]

    def function_number(self, function: Any) -> FunctionNumber:
        found: FunctionNumber = _known(self._functions, function, self.learn)
        return found

    def learn(self, function: Any) -> FunctionNumber:
        is_checked = checked(function)
        number = self.intern(("value", content(function, is_judged=True)))
        used_up = is_used_up(function)
        return FunctionNumber(number, is_checked, used_up, not (is_checked or used_up))

    def value_number(self, value: Any) -> int:
        kind = type(value)
        if kind in _SIMPLE:
            return self.intern((kind, value))
        if kind in ATOMS:
            return self.intern(("value", encode(value)))
        found: int = _known(self._values, value, lambda it: self.intern(("value", content(it))))
        if next(project_objects(value), None) is value:
            self._objects[found] = value
        return found


def _known(cache: dict[int, tuple[Any, Any]], what: Any, learn: Callable[[Any], Any]) -> Any:
    """What is known of an object, learned once. Raises `NotMerged`, if that was what was learned."""
    if id(what) not in cache:
        try:
            cache[id(what)] = what, learn(what)
        except NotMerged as reason:
            cache[id(what)] = what, reason
        except Exception as error:  # whatever an object raises that is asked what it is
            cache[id(what)] = (
                what,
                NotMerged(f"{type(error).__name__} when it is looked at: {error}"),
            )
    found = cache[id(what)][1]
    if isinstance(found, NotMerged):
        raise found.with_traceback(None)  # which would grow with each time that it is raised
    return found


def stable(number: int) -> int:
    """The number of an input. Raises `NotMerged` if its value changes as it is used."""
    if number < 0:
        raise NotMerged(Impurity("an input", "it changes as it is used"))
    return number
