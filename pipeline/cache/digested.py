"""The digests of the tasks of a graph: what each of them is, and all that it depends on.

The walk is that of `pipeline.numbering`, by which `share` finds equal tasks; here equal tasks of
all processes and machines are found, so that a number becomes the hash of what it stands for.
"""

from __future__ import annotations

from hashlib import blake2b
from types import MethodType
from typing import TYPE_CHECKING, Any

from dask.task_spec import Alias, TaskRef

from pipeline.graph import CallTask
from pipeline.identity import encode, hash_encoded
from pipeline.share import (
    USED_UP,
    FunctionNumber,
    Impurity,
    NotMerged,
    Numbering,
    call_impurity,
    callable_name,
    method_impurity,
    project_objects,
    stable,
)
from pipeline.trace import Body, Named, Step, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dask.typing import Key


class Digests(Numbering):
    """Digests for the tasks of a graph; what is impure, or depends on what is, has none.

    reasons: of tasks without digests, why
    """

    def __init__(self, tasks: Mapping[Key, Any]) -> None:
        super().__init__(tasks)
        self._digests: list[str | None] = [None]  # of each number

    def digest(self, key: Key) -> str | None:
        """The digest of a task that has been added. None if it has none."""
        number = self.numbers[key]
        return self._digests[number] if number >= 0 else None

    def code(self, function: Any) -> str:
        """The digest of a function, and of all that it reaches."""
        return self._digests[self.function_number(plain(function)).number] or ""

    def value(self, value: Any) -> str:
        """The digest of an argument. Empty if it has none."""
        try:
            return self._digests[self.value_number(value)] or ""
        except NotMerged:
            return ""

    def intern(self, signature: Any) -> int:
        number = self.signatures.get(signature)
        if number is None:
            number = self.signatures[signature] = len(self._digests)
            self._digests.append(self._hashed(signature))
        return number

    def _hashed(self, signature: Any) -> str | None:
        head = signature[0]
        if head == "value":
            return hash_encoded(signature)
        if isinstance(head, type):
            return hash_encoded((head.__name__, encode(signature[1])))
        if head in ("held", "apart"):
            return None
        if isinstance(head, int):  # a function, and what it takes
            tag, found = "task", signature
        elif head == "call":  # by what it does, not by its key
            tag, found = "task", signature[2:]
        elif head == "body":
            tag, found = signature[1], signature[2:]
        else:
            tag, found = head, signature[1:]
        return self._joined(tag, found)

    def _joined(self, tag: str, numbers: Sequence[Any]) -> str | None:
        """The hash of some numbers' digests; a named argument stands with its name."""
        parts = [tag]
        for each in numbers:
            name, number = ("", each) if isinstance(each, int) else each[1:]
            if (digest := self._digests[number]) is None:
                return None
            parts.append(f"{name!r}={digest}" if name else digest)
        text = "\n".join(parts).encode(errors="surrogatepass")
        return blake2b(text, digest_size=16).hexdigest()

    def node_number(self, node: Any, of: Mapping[Key, int]) -> int:
        if isinstance(node, CallTask) and (target := alias_of(node)) is not None:
            return stable(of[target])
        found: int = super().node_number(node, of)
        return found

    def learn(self, function: Any) -> FunctionNumber:
        if type(function) is Body:
            return self._of_body(function)
        if (inner := plain(function)) is not function:
            return self._of_body(Body((), (Step(inner, ()),)))  # all that it takes are inputs
        found: FunctionNumber = super().learn(function)
        return found

    def _of_body(self, body: Body) -> FunctionNumber:
        """A body by its operations: one of them may reach half of a project, and is read once."""
        form, numbers = [], []
        for function, places in body.steps:
            inner, names = _unnamed(function)
            found = self.function_number(inner)
            if found.is_used_up:
                raise NotMerged(Impurity(callable_name(inner), USED_UP), True)
            if found.is_checked and (reason := _impurity(inner, names, places, body)) is not None:
                raise NotMerged(reason)
            for each in project_objects(list(body.constants)):
                if (reason := method_impurity(inner, each)) is not None:
                    raise NotMerged(reason)
            form.append((names, places))
            numbers.append(found.number)
        numbers += map(self.value_number, body.constants)
        number = self.intern(("body", repr((len(body.constants), form)), *numbers))
        return FunctionNumber(number, False, False, True)


def alias_of(node: Any) -> Key | None:
    """The task whose result a task only passes on, as a call does that returns another call."""
    if isinstance(node, Alias):
        target: Key = node.target
        return target
    if isinstance(node, CallTask) and type(node.function) is Body and len(node.inputs) == 1:
        is_empty = not (node.function.steps or node.function.constants)
        return node.inputs[0] if is_empty else None
    return None


def _unnamed(function: Any) -> tuple[Any, tuple[str, ...]]:
    """A function, and the names of the last of its operands."""
    names: tuple[str, ...] = ()
    if type(function) is Named:
        function, names = function.function, function.names
    return plain(function), names


def plain(function: Any) -> Any:
    """The function that a task's body calls: what somebody wrote, not our wrapper of it."""
    if type(function) is MethodType and type(function.__self__) is Task:
        return function.__self__.__wrapped__
    return function


def _impurity(
    function: Any, names: tuple[str, ...], places: Sequence[int], body: Body
) -> Impurity | None:
    """Why an operation is not pure, by those of its operands that are known."""
    used = [each for _, taken in body.steps for each in taken]
    # Values stand in the order inputs, constants, steps, and only the last step's is not used.
    first = max([*used, -1]) + 1 - len(body.constants) - (len(body.steps) - 1)
    unknown = TaskRef("unknown")
    given = [
        body.constants[each - first] if 0 <= each - first < len(body.constants) else unknown
        for each in places
    ]
    return call_impurity(function, given, names)
