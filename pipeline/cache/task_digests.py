"""The digests of the tasks of a graph.

`Numbering`, by which `share` merges equal tasks, gives equal tasks of one graph one number. Here a
number has the hash of what it was given for: equal tasks of all processes have one digest.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import FunctionType, MethodType
from typing import Any

from dask._expr import ProhibitReuse
from dask.task_spec import Alias, TaskRef
from dask.task_spec import Task as DaskTask
from dask.typing import Key

from pipeline.graph import CallTask, inputs_of
from pipeline.identity import (
    Versions,
    hash_encoded,
    library_name,
)
from pipeline.program import Named, Program, is_body
from pipeline.share import (
    SIMPLE,
    STORING,
    USED_UP,
    FunctionNumber,
    Impurity,
    NotMerged,
    Numbering,
    Readings,
    Scope,
    argument_content,
    call_impurity,
    callable_name,
    hash_lines,
    method_impurity,
    project_objects,
    signature_digest,
    stable_number,
)
from pipeline.trace import CallForm, Task, form_of


class TaskDigests(Numbering):
    """Digests of the tasks of a graph. Impure tasks, and what depends on them, have none.

    reasons: why tasks have no digest
    """

    numbers_shuffles = True

    def __init__(
        self,
        tasks: Mapping[Key, Any],
        scope: Scope = STORING,
        readings: Readings | None = None,
    ) -> None:
        super().__init__(tasks, scope, readings)
        self._digests: list[str | None] = [None]  # by number

    def digest(self, key: Key) -> str | None:
        """The digest of a task that was added. None if it has none."""
        number = self.numbers[key]
        return self._digests[number] if number >= 0 else None

    def of_function(self, function: Any) -> str:
        """The digest of a function and of all that it reaches. Empty if it has none."""
        with suppress(NotMerged):
            inner = function if form_of(function) is not None else unwrapped(function)
            return self._digests[self.function_number(inner).number] or ""
        return ""

    def of_value(self, value: Any) -> str:
        """The digest of an argument. Empty if it has none."""
        with suppress(NotMerged):
            return self._digests[self.value_number(value)] or ""
        return ""

    def form(self, key: Key) -> str:
        """The digest of a task whatever its inputs are. Empty if it has none."""
        node = self.tasks[key]
        numbers: dict[Key, int] = {}
        places: dict[Key, int] = {}
        for place, source in enumerate(inputs_of(node)):
            first = places.setdefault(self.origins.get(source, source), place)
            numbers[source] = self.intern(("value", f"input {first}"))
        with suppress(NotMerged):
            number = self.with_places(self.node_number(node, numbers), node, numbers, self.origins)
            return self._digests[number] or ""
        return ""

    def intern(self, signature: Any) -> int:
        number = self.signatures.get(signature)
        if number is None:
            number = self.signatures[signature] = len(self._digests)
            self._digests.append(signature_digest(signature, self._digests, self.versions))
        return number

    def node_number(self, node: Any, numbers: Mapping[Key, int], is_declared: bool = False) -> int:
        if isinstance(node, CallTask) and (target := alias_target(node)) is not None:
            return stable_number(numbers[target])
        return super().node_number(node, numbers, is_declared)

    def function_number(self, function: Any) -> FunctionNumber:
        number = super().function_number(function)
        if form_of(function) is not None:  # the arguments that count decide, each time
            self._simple.pop(id(function), None)
        return number

    def _task_number(self, task: DaskTask, numbers: Mapping[Key, int]) -> int:
        form = form_of(task.func)
        return super()._task_number(task if form is None else form.task(task), numbers)

    def learn(self, function: Any) -> FunctionNumber:
        if is_body(function):
            return self._learn_body(function)
        if (form := form_of(function)) is not None:
            return self._learn_form(form)
        if (inner := unwrapped(function)) is not function:
            return self._learn_body(
                Program((inner, (), None, 0), 1, (), (), (0,))
            )  # all its arguments are inputs
        return super().learn(function)

    def _learn_form(self, form: CallForm) -> FunctionNumber:
        """A memoized function counts as the function does, or by its version."""
        number = self.function_number(form.function)
        if form.version is None:
            return number
        version = self.intern(("value", (form.name, "version", form.version)))
        if form.state:
            version = self.intern((version, *map(self.value_number, form.state)))
        return number._replace(number=version)

    def _learn_body(self, body: Program) -> FunctionNumber:
        """A body counts by its operations; one that reaches half of a project is read once."""
        form, numbers = [], []
        for _, operation, places, _ in body.instructions():
            if operation is None:  # it returns a constant
                continue
            named = operation if isinstance(operation, Named) else Named(operation, ())
            function, names = unwrapped(named.function), named.names
            learned = self.function_number(function)
            if learned.is_used_up:
                raise NotMerged(Impurity(callable_name(function), USED_UP), True)
            reason = (
                call_impurity(
                    function, _known_operands(places, body), names, self.scope, self.walk(function)
                )
                if learned.is_checked
                else None
            )
            for value in project_objects(list(body.constants)):
                reason = reason or method_impurity(function, value, self.scope, self.walk(function))
            if reason is not None:
                raise NotMerged(reason)
            form.append((names, places))
            numbers.append(learned.number)
        numbers += map(self.value_number, body.constants)
        number = self.intern((repr((len(body.constants), len(body.inputs), form)), *numbers))
        return FunctionNumber(number)


def call_digest(function: str, arguments: Iterable[Any], versions: Versions) -> str:
    """The digest of a call as that of its task. Its arguments are arrays of numbers, `ATOMS`, and
    containers of them.

    function: the digest of the function
    """
    heads = ((type(value).__name__ if type(value) in SIMPLE else "value",
              argument_content(value, versions)) for value in arguments)  # fmt: skip
    return hash_lines(["task", function, *(hash_encoded(head, versions) for head in heads)])


def alias_target(node: Any) -> Key | None:
    """The task whose result a task only passes on.

    A call does so that returns another call, and a task by which Dask renames one of a collection
    in another.
    """
    inner = node
    while getattr(inner, "func", None) is ProhibitReuse._identity:
        [inner] = inner.args
    if isinstance(inner, Alias) or (inner is not node and isinstance(inner, TaskRef)):
        target: Key = inner.target if isinstance(inner, Alias) else inner.key
        return target
    if isinstance(node, CallTask) and is_body(node.function) and len(node.inputs) == 1:
        return None if node.function.steps else node.inputs[0]
    return None


def unwrapped(function: Any) -> Any:
    """The function that a user wrote, without the wrapper of `@task`, or of `memoize`."""
    if (form := form_of(function)) is not None:
        return form.function
    if type(function) is MethodType and type(function.__self__) is Task:
        return function.__self__.__wrapped__
    return function


def task_function(node: Any) -> Any:
    """The function that a user wrote and a task calls. None for an operator and the like."""
    function = node.func if type(node) is DaskTask else getattr(node, "function", None)
    if not is_body(function):
        return unwrapped(function)
    functions = list(map(unwrapped, function.functions))
    own = list(filter(is_of_the_project, functions))
    return own[-1] if own else (functions[0] if len(functions) == 1 else None)


def is_of_the_project(function: Any) -> bool:
    return isinstance(function, FunctionType) and library_name(function) is None


def _known_operands(places: Sequence[int], body: Program) -> list[Any]:
    """The operands of a step of a body: constants by value, all others as a reference."""
    return [body.constants[-place - 1] if place < 0 else TaskRef("unknown") for place in places]
