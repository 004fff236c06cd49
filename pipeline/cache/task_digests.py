"""The digests of the tasks of a graph, and what the digest of a function covers.

`Numbering`, by which `share` merges equal tasks, gives equal tasks of one graph one number. Here a
number has the hash of what it was given for: equal tasks of all processes have one digest.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from dask._expr import ProhibitReuse
from dask.task_spec import Alias, TaskRef
from dask.task_spec import Task as DaskTask
from dask.typing import Key

from pipeline.graph import CallTask, inputs_of
from pipeline.identity import (
    Digester,
    Known,
    UnimportedModule,
    Versions,
    closure_values,
    definition_parts,
    encode,
    hash_encoded,
    held,
    library_name,
    module_name,
    namespace,
    type_part,
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
    method_impurity,
    project_objects,
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
            self._digests.append(self._hash(signature))
        return number

    def _hash(self, signature: Any) -> str | None:
        tag, *numbers = signature
        if isinstance(tag, int):  # a function and its arguments
            tag, numbers = "task", signature
        elif isinstance(tag, type):
            return hash_encoded((tag.__name__, encode(numbers[0])), self.versions)
        elif tag == "value":
            return hash_encoded(signature, self.versions)
        elif tag in ("held", "not merged"):
            return None
        elif tag == "call":  # by what it does, not by its key
            tag, numbers = "task", numbers[1:]
        elif tag == "one object":
            places, *numbers = numbers
            tag = f"{tag} {places}"
        lines = [tag]
        for item in numbers:
            name, number = ("", item) if isinstance(item, int) else item[1:]
            if (digest := self._digests[number]) is None:
                return None
            lines.append(f"{name!r}={digest}" if name else digest)
        return _hash_lines(lines)

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
    return _hash_lines(["task", function, *(hash_encoded(head, versions) for head in heads)])


def _hash_lines(lines: Sequence[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


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


# What a digest covers

CodeDescription = dict[str, dict[str, str]]
"""For each definition that a function reaches, its parts by name: their texts, or hashes."""

ITSELF = "its own"
"""The name of the described function among the definitions."""


def describe_code(function: Any, versions: Versions = "minor") -> CodeDescription:
    """What the digest of a function covers, part by part, as far as it has a digest."""
    return CodeDescriber(versions)(function)


class _Described(NamedTuple):
    """A definition, its parts as texts, the definitions and the libraries that they name."""

    definition: Any
    parts: dict[str, str]
    named: list[Any]
    libraries: dict[str, str]


class CodeDescriber:
    """Describes functions; what several of them reach is read once, while nothing changes it."""

    def __init__(self, versions: Versions = "minor") -> None:
        self._versions = versions
        self._known: dict[int, _Described] = {}  # by id

    def __call__(self, function: Any) -> CodeDescription:
        """What the digest of a function covers: see `describe_code`."""
        first = _Describer(self._versions)
        description: CodeDescription = {}
        with suppress(TypeError, RecursionError):
            first.encode(held(function, "__func__", function))
            libraries = dict(first.libraries)
            queue, seen = list(first.definitions), set(map(id, first.definitions))
            for definition in queue:  # which grows meanwhile
                name = _title(definition) if description else ITSELF
                while name in description:
                    name += "′"
                read = self._read(definition)
                description[name] = {**read.parts, "in": _place(definition)}
                libraries |= read.libraries
                queue += [other for other in read.named if id(other) not in seen]
                seen.update(map(id, read.named))
            description["libraries"] = libraries
        return description

    def _read(self, definition: Any) -> _Described:
        if id(definition) not in self._known:
            describer = _Describer(self._versions)
            describer.definition(definition)
            parts = {part: str(describer.encode(value)) for part, value in _parts(definition)}
            named = describer.definitions[1:]
            self._known[id(definition)] = _Described(definition, parts, named, describer.libraries)
        return self._known[id(definition)]


class _Describer(Digester):
    """A digester that encodes definitions by name, and keeps the versions of libraries."""

    def __init__(self, versions: Versions) -> None:
        super().__init__(known=Known(versions))
        self.definitions: list[Any] = []
        self.libraries: dict[str, str] = {}

    def library(self, name: str, module: str) -> str:
        text = super().library(name, module)
        package, _, version = text.rpartition(" of ")[2].partition(" ")
        if version:
            self.libraries[package] = version
        return text.partition(" #")[0]

    def definition(self, value: Any) -> Key:
        self.is_inside = True
        if not any(value is known for known in self.definitions):
            self.definitions.append(value)
        return f"definition {_name(value)}"


def _parts(definition: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a definition, by the names that a person knows them by."""
    parts: Iterator[Any] = iter(definition_parts(definition))
    if not isinstance(definition, FunctionType):
        heads = ["bases", "metaclass"] if isinstance(definition, type) else []
        heads += ["code"] if isinstance(definition, UnimportedModule) else []
        yield from zip(heads, parts, strict=False)
        yield from ((f"`{name}`", value) for name, value in parts)
        return
    closure = [f"closure value `{name}`" for name in definition.__code__.co_freevars]
    yield from zip(("code", "defaults", "keyword defaults", *closure), parts, strict=False)
    for name, value in parts:
        if name not in closure_values(definition):
            yield f"{'value' if '.' in name else 'global'} `{name}`", value


def _name(definition: Any) -> str:
    if isinstance(definition, ModuleType):
        return module_name(definition)
    if isinstance(definition, UnimportedModule):
        return definition.name
    is_class = isinstance(definition, type)
    return str(type_part(definition, "__qualname__") if is_class else definition.__qualname__)


def _title(definition: Any) -> str:
    kinds = {ModuleType: "module", UnimportedModule: "module", FunctionType: "helper"}
    return f"{kinds.get(type(definition), 'class')} `{_name(definition)}`"


def _place(definition: Any) -> str:
    """The file of a definition, as it follows its name; empty if it was not made by a file."""
    if isinstance(definition, FunctionType):
        path = definition.__code__.co_filename
    elif isinstance(definition, UnimportedModule):
        path = definition.path
    else:
        is_class = isinstance(definition, type)
        module = sys.modules.get(type_part(definition, "__module__")) if is_class else definition
        path = namespace(module).get("__file__") or ""
    return "" if not path or path.startswith("<") else f" in {Path(path).name}"
