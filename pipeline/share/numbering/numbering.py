"""Which tasks are equal: equal tasks get equal numbers. This is hash-consing.

Two tasks are equal if their functions are and their arguments are: constants by content, inputs by
their numbers. An impure task, and one of unknown content, equals no other; `NotMerged` says why.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from dask._expr import ProhibitReuse
from dask._task_spec import NestedContainer, _execute_subgraph
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

from pipeline.graph import CallTask, inputs_of, subproblem, toposort
from pipeline.identity import ATOMS, encode, held, module_name
from pipeline.share.copying import isolated, viewed
from pipeline.share.isolation import is_arithmetic
from pipeline.share.numbering.objects import (
    is_of_project,
    is_writable,
    objects_of,
    project_objects,
)
from pipeline.share.numbering.readings import SIMPLE, Readings, partial_signature, signature
from pipeline.share.numbering.shuffles import find_shuffles, is_place, specification
from pipeline.share.purity import impurities
from pipeline.share.purity.facts import mark_of
from pipeline.share.purity.impurities import NAMED, Impurity
from pipeline.share.purity.verdicts import (
    MERGING,
    UNTRACKED,
    Scope,
    call_impurity,
    callable_name,
    is_used_up,
    judge,
    method_impurity,
    method_name,
)
from pipeline.share.purity.walk import may_change


class NotMerged(Exception):  # noqa: N818 - no error: the task is computed as it is
    """Why a task is not merged with any other: an impurity, or why its content is unknown.

    spreads: whether the value changes as it is used, so that its consumers are not merged, either
    """

    def __init__(self, reason: Impurity | str, spreads: bool = False) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.spreads = spreads


class FunctionNumber(NamedTuple):
    """The number of a function.

    is_checked: whether the arguments of a call decide if it is pure
    is_used_up: whether its result changes as it is read
    """

    number: int
    is_checked: bool = False
    is_used_up: bool = False


class Numbering:
    """Numbers for the tasks of a graph; equal tasks have equal numbers.

    numbers: of the tasks so far, inputs before their consumers; below 0 if the value changes as it
        is used
    reasons: why tasks are not merged
    origins: for each task that only has the value of another, that other task
    signatures: the number of each function, value and task, by what it is made of
    scope: the reasons for which a task is impure
    walk: what is known of a function
    versions: how far versions of libraries count
    shuffles: the tasks of Dask's shuffles
    """

    numbers_shuffles = False
    """Whether the tasks of shuffles have numbers: equal ones are not one task."""

    def __init__(
        self,
        tasks: Mapping[Key, Any],
        scope: Scope = MERGING,
        readings: Readings | None = None,
    ) -> None:
        self.tasks = tasks
        self.scope = scope
        self._readings = readings or Readings()
        self.walk = self._readings.walk
        self.versions = self._readings.versions
        self.numbers: dict[Key, int] = {}
        self.reasons: dict[Key, Impurity | str] = {}
        self.origins: dict[Key, Key] = {}
        self.signatures: dict[Any, int] = {"none": 0}  # so that all others have a sign
        # By id, with the object, which keeps its id.
        self._functions: dict[int, tuple[Any, FunctionNumber | NotMerged]] = {}
        self._simple: dict[int, int] = {}  # functions that are judged without their arguments
        self._values: dict[int, tuple[Any, Any]] = {}
        self._plain: dict[Hashable, int] = {}  # values, by their signatures
        self._partials: dict[Hashable, FunctionNumber] = {}
        self._objects: dict[int, Any] = {}  # of the project's classes, by number
        self._held: dict[int, list[Any]] = {}  # and in containers, by their ids
        self._methods: dict[tuple[int, int], Impurity | None] = {}  # by function and object
        self._owners: set[tuple[int, int]] = set()  # numbers of tasks, and their objects
        self.shuffles = find_shuffles(tasks)
        self._alone = _bound_tasks(tasks)

    def add(self, outputs: Iterable[Key]) -> None:
        """Number some tasks and all that they depend on. Raises `GraphError` for a cycle."""
        numbers, tasks, alone = self.numbers, self.tasks, self._alone
        entered: set[Key] = set()
        stack = list(outputs)[::-1]
        while stack:
            key = stack[-1]
            if key in numbers:
                stack.pop()
                continue
            node: Any = tasks.get(key)
            number = None
            if type(node) is Task and key not in alone:
                number = self._simple_number(node)
            if number is None:
                number = self._number_of(key, node)
            if isinstance(number, int):
                numbers[stack.pop()] = number
                continue
            if key in entered:
                toposort(tasks, [key])  # raises the error that shows the cycle
            entered.add(key)
            stack += reversed(number)

    def _simple_number(self, task: Task) -> int | list[Key] | None:
        """The number of a task, or its inputs that have none yet: fast, for most tasks."""
        function = self._simple.get(id(task.func))
        if function is None:
            return None
        numbers, made_of, missing = self.numbers, [function], []
        for argument in task.args:
            kind = type(argument)
            if kind is TaskRef or kind is Alias:
                source = argument.key if kind is TaskRef else argument.target
                number = numbers.get(source)
                if number is None:
                    missing.append(source)
                elif number < 0 or number in self._objects or number in made_of:
                    return None  # perhaps a value that changes, or one that is used twice
                else:
                    made_of.append(number)
            elif (number := self._immutable_number(argument)) is not None:
                made_of.append(number)
            else:
                return None
        named = []
        for name, argument in task.kwargs.items():
            if (number := self._immutable_number(argument)) is None:
                return None
            named.append(("by name", name, number))
        return missing or self.intern((*made_of, *named))

    def _immutable_number(self, value: Any) -> int | None:
        """The number of a constant that nobody may write into, if that is found quickly."""
        kind = type(value)
        if kind in SIMPLE:
            return self.intern((kind, value))
        alike = signature(value) if kind is tuple or kind is slice else None
        if alike is None:
            return None
        known = self._plain.get(alike)
        return self.value_number(value) if known is None else known

    def _number_of(self, key: Key, node: Any) -> int | list[Key]:
        """The number of a task, or its inputs that have none yet."""
        if node is None or isinstance(node, TaskRef):
            return self.intern(("held", key))  # the data of a future, or of another graph
        sources = inputs_of(node)
        if missing := [source for source in sources if source not in self.numbers]:
            return missing
        try:
            if self.numbers_shuffles and key in self.shuffles:
                return self._shuffle_number(node)
            if key in self._alone:
                raise self._alone[key].with_traceback(None)  # which would grow on each raise
            if (target := _target(node)) is not None:
                self.origins[key] = self.origins.get(target, target)
            if type(node) is Task and self.function_number(node.func).is_used_up:
                raise NotMerged(Impurity(callable_name(node.func), impurities.USED_UP), True)
            number = self.node_number(node, self.numbers)
            if len(sources) < 2 or is_arithmetic(node):
                return number
            return self.with_places(number, node, self.numbers, self.origins)
        except NotMerged as error:
            self.reasons[key] = error.reason
            alone = self.intern(("not merged", key))
            return -alone if error.spreads else alone

    def with_places(
        self, number: int, node: Any, numbers: Mapping[Key, int], origins: Mapping[Key, Key]
    ) -> int:
        """The number of a task whose inputs have numbers, and which of them are one object."""
        sources = inputs_of(node)
        if len({numbers[source] for source in sources}) == len(sources):
            return number
        return self._with_objects(number, list(objects_of(node, origins)))

    def _with_objects(self, number: int, objects: Sequence[Any]) -> int:
        """The number of a task, and which of its arguments are one object.

        A function that writes into its first argument may see that in its second.
        """
        first: dict[Any, int] = {}
        places = tuple(first.setdefault(item, place) for place, item in enumerate(objects))
        is_each_new = len(first) == len(objects)
        return number if is_each_new else self.intern(("one object", places, number))

    def intern(self, signature: Any) -> int:
        """The number of a signature: a new one if no equal signature has one."""
        return self.signatures.setdefault(signature, len(self.signatures))

    def node_number(self, node: Any, numbers: Mapping[Key, int], is_declared: bool = False) -> int:
        """The number of a task, or of an argument. Raises `NotMerged`.

        is_declared: whether the task that has the argument is declared pure
        """
        if isinstance(node, TaskRef | Alias):
            return stable_number(numbers[node.key if isinstance(node, TaskRef) else node.target])
        if isinstance(node, DataNode):
            return self.value_number(node.value, is_declared)
        if isinstance(node, CallTask):
            function = self.function_number(node.function)
            inputs = (stable_number(numbers[source]) for source in node.inputs)
            return self.intern(("call", subproblem(node.key), function.number, *inputs))
        if isinstance(node, NestedContainer):
            kind = type(node).__name__
            items = (self.node_number(item, numbers, is_declared) for item in node.args)
            return self.intern((kind, *items))
        if type(node) is Task:
            return self._task_number(node, numbers)
        if isinstance(node, GraphNode):
            raise NotMerged(f"a {type(node).__name__}, which belongs to one computation")
        return self.value_number(node, is_declared)

    def _shuffle_number(self, task: Task) -> int:
        """The number of a task of a shuffle: by what it does, not by the place of the shuffle."""
        if is_place(task):
            return self.intern(("value", "the place of a shuffle"))
        values = specification(task, self.shuffles.ids)
        for function in filter(callable, values):  # nobody observes it: a bag is grouped by it
            if reason := call_impurity(function, scope=UNTRACKED, walk=self.walk(function)):
                raise NotMerged(reason)
        numbers = (self.node_number(value, self.numbers, True) for value in values)
        return self.intern((self.value_number(task.func, True), *numbers))

    def _task_number(self, task: Task, numbers: Mapping[Key, int]) -> int:
        if _passes_on(task.func):
            return self.node_number(task.args[0], numbers)
        if task.func is _execute_subgraph:
            return self._fused_number(task, numbers)
        function = self.function_number(task.func)
        values = (*task.args, *task.kwargs.values())
        if function.is_checked:
            nodes = (self.tasks.get(arg.key) if isinstance(arg, TaskRef) else arg for arg in values)
            known = [node.value if isinstance(node, DataNode) else node for node in nodes]
            names = tuple(task.kwargs)
            reason = call_impurity(task.func, known, names, self.scope, self.walk(task.func))
            if reason is not None:
                raise NotMerged(reason)
        owners = list(self._project_objects((*values, held(task.func, "__self__"))))
        for owner in owners:
            pair = id(task.func), id(owner)  # the graph keeps both alive
            if pair not in self._methods:
                self._methods[pair] = method_impurity(
                    task.func, owner, self.scope, self.walk(task.func)
                )
            if (reason := self._methods[pair]) is not None:
                raise NotMerged(reason)
        is_declared = mark_of(task.func) is True
        number_of = functools.partial(self.node_number, numbers=numbers, is_declared=is_declared)
        args = map(number_of, task.args)
        # In their order: a function that takes any keywords sees it.
        named = [("by name", name, number_of(value)) for name, value in task.kwargs.items()]
        number = self.intern((function.number, *args, *named))
        if len(objects := [id(value) for value in values if is_writable(value)]) > 1:
            number = self._with_objects(number, objects)
        for owner in owners:
            self._note_state(number, task.func, owner)
        return number

    def _note_state(self, number: int, function: Any, owner: Any) -> None:
        """Note that a task has an object. Raises `NotMerged` if an equal task may change it."""
        is_again = (number, id(owner)) in self._owners
        is_judged = impurities.STATEFUL in self.scope and mark_of(function) is not True
        if is_again and is_judged and may_change(function, owner, self.walk(function)):
            name = f"{callable_name(function)} with one {type(owner).__name__}"
            raise NotMerged(Impurity(name, impurities.STATEFUL))
        self._owners.add((number, id(owner)))

    def _project_objects(self, values: Iterable[Any]) -> Iterator[Any]:
        """The arguments of a task that are objects of the project's classes."""
        for value in values:
            kind: Any = type(value)
            if kind is not TaskRef:
                if (is_object := is_of_project(kind)) is None:
                    if id(value) not in self._held:  # the graph keeps it alive
                        self._held[id(value)] = project_objects(value)
                    yield from self._held[id(value)]
                elif is_object:
                    yield value
            elif (owner := self._objects.get(self.numbers.get(value.key, 0))) is not None:
                yield owner

    def _fused_number(self, task: Task, numbers: Mapping[Key, int]) -> int:
        """The number of a task that Dask has fused: that of the last of its tasks."""
        tasks, last, names, *values = task.args
        args = (self.node_number(value, numbers) for value in values)
        inner: dict[Key, int] = dict(zip(names, args, strict=True))
        origins = {
            name: value.key
            for name, value in zip(names, values, strict=True)
            if isinstance(value, TaskRef)
        }
        for key, node in toposort(tasks, [last]).items():
            number = self.node_number(node, inner)
            inner[key] = self.with_places(number, node, inner, origins)
        return inner[last]

    def function_number(self, function: Any) -> FunctionNumber:
        """The number of a function. Raises `NotMerged`."""
        number: FunctionNumber = _once(self._functions, function, self._learn_once)
        if not (number.is_checked or number.is_used_up or _passes_on(function)):
            self._simple[id(function)] = number.number
        return number

    def _learn_once(self, function: Any) -> FunctionNumber:
        is_partial = type(function) is functools.partial
        alike = partial_signature(function) if is_partial else None
        if alike is None:
            return self.learn(function)
        if alike not in self._partials:
            self._partials[alike] = self.learn(function)
        return self._partials[alike]

    def learn(self, function: Any) -> FunctionNumber:
        """The number of a function that is met for the first time."""
        reason, is_checked = judge(function, self.scope, self.walk(function))
        if reason is not None and not is_checked:
            raise NotMerged(reason, reason.reason == impurities.STATE)
        is_checked = is_checked or method_name(function) is not None
        content, objection = self._content(function, is_judged=True)
        if objection is not None and mark_of(function) is not True:
            raise objection
        number = self.intern(("value", content))
        return FunctionNumber(number, is_checked, is_used_up(function))

    def value_number(self, value: Any, is_declared: bool = False) -> int:
        """The number of a constant. Raises `NotMerged`.

        is_declared: whether the task that has it is declared pure
        """
        kind: Any = type(value)
        if kind in SIMPLE:
            return self.intern((kind, value))
        if kind in ATOMS:
            return self.intern(("value", encode(value)))
        alike = signature(value)
        if alike in self._plain:
            return self._plain[alike]
        content, objection = _once(self._values, value, self._content)
        if objection is not None and not is_declared:
            raise objection.with_traceback(None)
        number = self.intern(("value", content))
        if is_of_project(kind):
            self._objects[number] = value
        if alike is not None:
            self._plain[alike] = number
        return number

    def _content(self, value: Any, is_judged: bool = False) -> tuple[Key, NotMerged | None]:
        """The content of a value, and why a task that has it is not merged.

        is_judged: whether it is a function that is judged already

        Raises `NotMerged` if the content is unknown.
        """
        if isinstance(value, ModuleType):
            name = module_name(value)
            raise NotMerged(Impurity(name, "which of its values the task uses is unknown"))
        try:
            content = self._readings.content(value)
        except TypeError as error:
            raise NotMerged(str(error), isinstance(value, Iterator)) from None
        functions = [item for item in content.functions if not (is_judged and item is value)]
        return content.encoded, self._objection(value, functions, content.sources)

    def _objection(
        self, value: Any, functions: Iterable[Any], sources: Iterable[Any]
    ) -> NotMerged | None:
        # What is held by a function that is declared pure is no objection.
        is_function = isinstance(value, (*NAMED, functools.partial))
        is_excused = is_function and self.walk(value).reached(value).has_declared
        for source in sources:
            is_source = isinstance(source, impurities.SOURCES)
            reason = impurities.RANDOM if is_source else impurities.UNSEEDED
            if reason in self.scope and not is_excused:
                name = f"{type(source).__name__} in {callable_name(value)}"
                return NotMerged(Impurity(name, reason), True)
        for function in functions:
            # A function with a class of random generators as argument may pass a seed to it.
            if (impurity := judge(function, self.scope, self.walk(function)).impurity) is not None:
                return NotMerged(impurity)
        return None


def _once(cache: dict[int, tuple[Any, Any]], value: Any, learn: Callable[[Any], Any]) -> Any:
    """Learn about an object once. `NotMerged` is raised again each time."""
    if id(value) not in cache:
        try:
            cache[id(value)] = value, learn(value)
        except NotMerged as error:
            cache[id(value)] = value, error
        except Exception as error:  # an object may raise anything
            text = f"{type(error).__name__} when it is read: {error}"
            cache[id(value)] = value, NotMerged(text)
    learned = cache[id(value)][1]
    if isinstance(learned, NotMerged):
        raise learned.with_traceback(None)
    return learned


def _passes_on(function: Any) -> bool:
    """Whether a task of a function has the number of its first argument."""
    return function is ProhibitReuse._identity or function is isolated or function is viewed


def _target(node: Any) -> Key | None:
    """The task whose value a task only has, too."""
    if isinstance(node, Alias):
        target: Key = node.target
        return target
    while type(node) is Task and node.func is ProhibitReuse._identity:
        node = node.args[0]
        if isinstance(node, TaskRef):
            return node.key
    return None


def stable_number(number: int) -> int:
    """The number of an input. Raises `NotMerged` if its value changes as it is used."""
    if number < 0:
        raise NotMerged(Impurity("an input", "it changes as it is used"))
    return number


def _bound_tasks(tasks: Mapping[Key, Any]) -> dict[Key, NotMerged]:
    """The inputs of tasks of Dask's shuffles, which pass more than values to each other.

    If one of them was loaded and not run, the others would wait forever.
    """
    types = (kind for kind in set(map(type, tasks.values())) if issubclass(kind, Task))
    kinds = {kind for kind in types if kind.__module__.startswith("distributed.")}
    nodes = [node for node in tasks.values() if type(node) in kinds] if kinds else []
    reason = NotMerged("a part of a shuffle, which belongs to one computation")
    return {key: reason for node in nodes for key in inputs_of(node)}
