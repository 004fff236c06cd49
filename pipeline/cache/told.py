"""What an entry tells of its task: the function, its code, and what it took."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef

from pipeline.cache.digested import plain
from pipeline.graph import (
    CallTask,
    display_key,
    function_name,
    inputs_of,
    label,
    short_label,
    subproblem,
)
from pipeline.identity import library_name, short_repr
from pipeline.trace import Body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask.typing import Key

    from pipeline.cache.digested import Digests

WIDTH = 60
"""Characters of an argument that are told."""


def function_of_task(node: Any) -> Any:
    """The function that somebody wrote and a task calls. None for an operator and the like."""
    function = node.func if type(node) is Task else getattr(node, "function", None)
    if isinstance(function, Body):
        found = [plain(getattr(step.function, "function", step.function))
                 for step in function.steps]  # fmt: skip
        own = [each for each in found if _is_own(each)]
        return own[-1] if own else (found[0] if len(found) == 1 else None)
    return plain(function)


def _is_own(function: Any) -> bool:
    return isinstance(function, FunctionType) and library_name(function) is None


def title_of(key: Key, node: Any) -> str:
    """By which name a task's function is known: its own, where it is of the project."""
    function = function_of_task(node)
    if isinstance(node, CallTask) or not _is_own(function):
        found = function_name(key)
        # That Dask puts the blocks of a collection together says less than what they are of.
        return (
            function_name(inputs_of(node)[0])
            if found.startswith("finalize") and inputs_of(node)
            else found
        )
    return str(function.__name__)


def names_of(key: Key, node: Any) -> set[str]:
    """All names that a user may know a task by."""
    function = function_of_task(node)
    return {function_name(key), getattr(function, "__name__", "")}


def call_of(key: Key, node: Any) -> str:
    """A task as a person writes it: `fib(5)`, `load('a.csv')`."""
    if isinstance(node, CallTask):
        return label(key, 40)
    found = title_of(key, node)
    if function_name(key).startswith("finalize"):
        return found
    _, bracket, arguments = short_label(display_key(key, node, 0)).partition("(")
    return f"{found}{bracket}{arguments}"


def told(key: Key, node: Any, digests: Digests) -> dict[str, Any]:
    """The fields of an entry that say what a task was."""
    function = function_of_task(node)
    try:
        code = digests.code(function) if function is not None else ""
    except Exception:  # what has no content is told as unknown
        code = ""
    return {
        "function": title_of(key, node),
        "call": call_of(key, node)[:200],
        "code": code,
        "arguments": [list(each) for each in _arguments(key, node, digests)],
    }


def _arguments(key: Key, node: Any, digests: Digests) -> Iterator[tuple[str, str]]:
    """A text and a hash of each argument."""
    if isinstance(node, CallTask):
        yield from _of_call(key, node, digests)
    elif type(node) is Task:
        for each in node.args:
            yield _argument(each, digests)
        for keyword, each in node.kwargs.items():
            text, found = _argument(each, digests)
            yield f"{keyword}={text}", found


def _of_call(key: Key, node: CallTask, digests: Digests) -> Iterator[tuple[str, str]]:
    """Those of a call of ours stand in its key, where calls in them are `f(1)@…`."""
    taken = iter(node.inputs)
    own = subproblem(key)
    for each in own[1:] if isinstance(own, tuple) else ():
        text = str(each) if not isinstance(each, tuple) or each[:1] != ("kw",) else (
            f"{each[1]}={each[2]}")  # fmt: skip
        call, mark, hashed = text.rpartition("@")
        if mark and len(hashed) == 24 and (key := next(taken, None)) is not None:
            yield call[:WIDTH], _of_input(key, digests)
        else:
            yield text[:WIDTH], text
    for key in taken:
        yield label(key, 20)[:WIDTH], _of_input(key, digests)


def _argument(each: Any, digests: Digests) -> tuple[str, str]:
    if isinstance(each, TaskRef):
        node = digests.tasks.get(each.key)
        if isinstance(node, DataNode):
            return _text(node.value), digests.digest(each.key) or ""
        return call_of(each.key, node)[:WIDTH], _of_input(each.key, digests)
    if isinstance(each, NestedContainer):
        parts = [_argument(part, digests) for part in each.args]
        return f"[{', '.join(text for text, _ in parts)}]"[:WIDTH], " ".join(x for _, x in parts)
    if isinstance(each, GraphNode):
        found = [_of_input(key, digests) for key in inputs_of(each)]
        return short_repr(each, WIDTH), " ".join(found) or repr(each)[:1000]
    return _text(each), digests.value(each)


def _text(value: Any) -> str:
    text = short_repr(value, WIDTH)
    # Where an object lies says nothing of it.
    return f"a {type(value).__name__}" if " at 0x" in repr(value) else text


def _of_input(key: Key, digests: Digests) -> str:
    return f"{INPUT}{digests.digest(key) or ''}"


INPUT = "@"
"""Before the digest of what is itself the result of a task."""
