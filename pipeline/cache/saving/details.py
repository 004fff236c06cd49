"""The details of a task that are saved with its result, as a person reads them."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import RLock
from types import FunctionType, MethodType
from typing import Any, Generic, NamedTuple, TypeVar

from dask._task_spec import Dict, NestedContainer, _execute_subgraph, _identity_cast
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

from pipeline.cache.task_digests import TaskDigests, is_of_the_project, task_function
from pipeline.graph import (
    CallTask,
    display_key,
    function_name,
    inputs_of,
    label,
    short_label,
    subproblem,
)
from pipeline.identity import (
    ATOMS,
    MISSING,
    File,
    display_name,
    file_handle,
    is_library_class,
    member_of,
    short_repr,
)

WIDTH = 60
"""Characters of an argument that are kept."""

INPUT = "@"
"""Stands before the digest of an argument that is the result of a task."""


class Part(NamedTuple):
    """A part of an argument: a constant, or the result of a task.

    value: of a constant, as far as it is known
    """

    digest: str
    value: Any = None

    @property
    def is_input(self) -> bool:
        return self.digest.startswith(INPUT)


class Argument(NamedTuple):
    """An argument of a task, as a text, and its parts: also those in containers and other tasks."""

    text: str
    parts: list[Part]

    @property
    def digest(self) -> str:
        return " ".join(part.digest for part in self.parts)

    @property
    def paths(self) -> list[str]:
        """The files that its constants name, as readers of libraries have them."""
        return [path for part in self.parts for path in paths_in(part.value)]


@dataclass(frozen=True)
class TaskDetails:
    """What an entry records about a task.

    function, call: the name of the function, and the call as a person writes it
    code: the digest of the function and of all that it reaches; empty if it has none
    arguments: a text and a digest of each argument
    """

    function: str
    call: str
    code: str
    arguments: list[list[str]]


_Made = TypeVar("_Made")


class Later(Generic[_Made]):
    """What is made of a plan, once, if it is needed; or before it goes to another process."""

    def __init__(self, make: Callable[[], _Made]) -> None:
        self._make: Callable[[], _Made] | None = make
        self._made: Any = None

    def __call__(self) -> _Made:
        with _making:
            if self._make is not None:
                self._made, self._make = self._make(), None
        made: _Made = self._made
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return made_now, (self(),)


_making = RLock()
"""A plan is read by one thread at a time."""


def made_now(value: _Made) -> Later[_Made]:
    """A value where one is expected that is made later."""
    return Later(lambda: value)


def task_details(key: Key, node: Any, digests: TaskDigests) -> TaskDetails:
    """The details of a task."""
    function = task_function(node)
    code = digests.of_function(function) if function is not None else ""
    arguments = [[x.text, x.digest] for x in task_arguments(key, node, digests)]
    return TaskDetails(task_name(key, node), task_call(key, node)[:200], code, arguments)


def task_name(key: Key, node: Any) -> str:
    """The name of a task's function; that of the key, where the function is a library's."""
    function = task_function(node)
    if not isinstance(node, CallTask) and is_of_the_project(function):
        return str(function.__name__)
    name = function_name(key)
    # Blocks that Dask puts together are known by the function that made them.
    is_finalizing = name.startswith("finalize") and inputs_of(node)
    return function_name(inputs_of(node)[0]) if is_finalizing else name


def layer_of(key: Key, node: Any) -> str:
    """The name that the blocks of a collection share; empty for any other task."""
    return str(key[0]) if isinstance(key, tuple) and not isinstance(node, CallTask) else ""


def task_names(key: Key, node: Any) -> set[str]:
    """All names that a user may know a task by."""
    return {function_name(key), display_name(task_function(node))}


def task_call(key: Key, node: Any) -> str:
    """A task as a person writes it: `fib(5)`, `load('a.csv')`."""
    if isinstance(node, CallTask):
        return label(key, 40)
    if function_name(key).startswith("finalize"):
        return task_name(key, node)
    _, *constants = display_key(key, node, 0)
    return short_label((task_name(key, node), *constants))


def task_arguments(key: Key, node: Any, digests: TaskDigests) -> Iterator[Argument]:
    """The arguments of a task."""
    if isinstance(node, CallTask):
        yield from _call_arguments(key, node, digests)
    elif type(node) is Task:
        yield from _task_arguments(node, digests)


def _call_arguments(key: Key, node: CallTask, digests: TaskDigests) -> Iterator[Argument]:
    """The arguments in the key of a call, where other calls are `f(1)@…`; then other inputs."""
    inputs = iter(node.inputs)
    own = subproblem(key)
    for part in own[1:] if isinstance(own, tuple) else ():
        is_keyword = isinstance(part, tuple) and part[:1] == ("kw",)
        text = f"{part[1]}={part[2]}" if is_keyword else str(part)
        call, mark, hashed = text.rpartition("@")
        if mark and len(hashed) == 24 and (source := next(inputs, None)) is not None:
            yield Argument(call[:WIDTH], [_input(source, digests)])
        else:
            yield Argument(text[:WIDTH], [Part(text)])
    for source in inputs:
        yield Argument(label(source, 20)[:WIDTH], [_input(source, digests)])


def _task_arguments(node: Task, digests: TaskDigests) -> Iterator[Argument]:
    if node.func is _execute_subgraph:
        graph, _, _, *sources = node.args
        parts = [Part(digests.of_value(value), value) for value in _constants(node, digests)]
        paths = _listed(Argument("", parts).paths)
        yield Argument(f"a graph of {len(graph)} tasks {paths}"[-WIDTH:], parts)
        yield from (_argument(source, digests) for source in sources)
        return
    yield from (_argument(value, digests) for value in node.args)
    for name, value in node.kwargs.items():
        text, parts = _argument(value, digests)
        yield Argument(f"{name}={text}", parts)


def _argument(value: Any, digests: TaskDigests) -> Argument:
    if isinstance(value, TaskRef | Alias):
        key = value.target if isinstance(value, Alias) else value.key
        node = digests.tasks.get(key)
        if isinstance(node, DataNode):
            return Argument(_text(node.value), [Part(digests.digest(key) or "", node.value)])
        return Argument(task_call(key, node)[:WIDTH], [_input(key, digests)])
    if isinstance(value, Task):
        return _nested(value, digests)
    value = value.value if isinstance(value, DataNode) else value
    return Argument(_text(value), [Part(digests.of_value(value), value)])


def _nested(node: Task, digests: TaskDigests) -> Argument:
    """A task inside another, or a container with inputs."""
    is_container = isinstance(node, NestedContainer) or node.func is _identity_cast
    if is_container:
        inner = [_argument(value, digests) for value in node.args]
    else:
        inner = list(_task_arguments(node, digests))
    parts = [part for argument in inner for part in argument.parts]
    texts = [argument.text for argument in inner]
    if isinstance(node, Dict):
        texts = [f"{name}: {text}" for name, text in zip(texts[::2], texts[1::2], strict=True)]
    text = ", ".join(texts)
    if is_container:
        text = f"{{{text}}}" if isinstance(node, Dict) else f"[{text}]"
        parts = parts or [Part(text)]
    else:
        text = f"{display_name(node.func)}({text})"
        parts.append(Part(digests.of_value(node.func), node.func))
    argument = Argument(text, parts)
    short = text[:WIDTH] if len(text) <= WIDTH else _listed(argument.paths) or text[:WIDTH]
    return argument._replace(text=short)


def _input(key: Key, digests: TaskDigests) -> Part:
    return Part(f"{INPUT}{digests.digest(key) or ''}")


def _text(value: Any) -> str:
    if isinstance(value, partial):
        return f"a partial of {_text(value.func)}"[:WIDTH]
    if isinstance(value, FunctionType | MethodType):
        return display_name(value)[:WIDTH]
    if type(value) is not File and (paths := paths_in(value)):
        return _listed(paths)
    text = short_repr(value, WIDTH)
    # An address says nothing about the object.
    return f"a {display_name(type(value))}" if " at 0x" in text else text


def _listed(paths: Iterable[str]) -> str:
    text = ", ".join(map(short_path, paths))
    return text if len(text) <= WIDTH else f"…{text[1 - WIDTH :]}"


def paths_in(value: Any, depth: int = 3) -> list[str]:
    """The paths of the files that an argument of a library's function names."""
    kind = type(value)
    if kind is File:
        return [value.path]
    if kind is str:
        return [value] if depth < 3 and os.path.isabs(value) else []
    if kind in (list, tuple, dict) and depth and len(value) <= _FEW:
        items = value.values() if kind is dict else value
        return [path for item in items for path in paths_in(item, depth - 1)]
    with suppress(TypeError):  # it opens no file of this machine
        handle = file_handle(value)
        return list(handle.paths) if handle else []
    return []


def short_path(path: str) -> str:
    """A path as it is written in the current folder; a long one without its beginning."""
    path = path.removeprefix(f"{os.getcwd()}{os.sep}")
    return path if len(path) <= _PATH else f"…{path[1 - _PATH :]}"


def code_in(node: Any, digests: TaskDigests) -> Iterator[tuple[str, Any]]:
    """The functions and objects among the constants of a task that hold code, with digests."""
    for value in _constants(node, digests) if type(node) is Task else ():
        if may_hold_code(value):
            yield digests.of_value(value), value


def _constants(node: Task, digests: TaskDigests) -> Iterator[Any]:
    """The constants of a task, also in tasks inside it; and the functions of these."""
    stack: list[Any] = [node]
    while stack:
        task = stack.pop()
        if task.func is _execute_subgraph:
            inner = [item for item in task.args[0].values() if isinstance(item, Task)]
            yield from (item.func for item in inner)
            stack += inner
            continue
        for value in (*task.args, *task.kwargs.values()):
            held = digests.tasks.get(value.key) if isinstance(value, TaskRef) else value
            held = held.value if isinstance(held, DataNode) else held
            if isinstance(value, Task):
                stack.append(value)
            elif not isinstance(held, GraphNode | TaskRef) and held is not None:
                yield held


def may_hold_code(value: Any, depth: int = 3) -> bool:
    """Whether an argument is a function, an object of the project, or holds one.

    An object that names its content by `__dask_tokenize__` is no code, and is not read again.
    """
    kind = type(value)
    if kind in ATOMS:
        return False
    if kind in (list, tuple, dict):
        items = islice(value.values() if kind is dict else value, _FEW)
        return depth > 0 and any(may_hold_code(item, depth - 1) for item in items)
    names_itself = member_of(kind, "__dask_tokenize__") is not MISSING
    return callable(value) or not (is_library_class(kind) or names_itself)


_PATH = 40
"""Characters of a path that are shown."""

_FEW = 20
"""Items of a container that are looked at."""
