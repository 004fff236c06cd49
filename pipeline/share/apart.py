"""What is not the same as anything: tasks, functions and values that cannot be shared, and why."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef

from pipeline.graph import inputs_of
from pipeline.identity import ATOMS, File, library_name
from pipeline.share.calls import attributes_of, method_name, method_of
from pipeline.share.changes import changed_arguments
from pipeline.share.examiner import Examiner
from pipeline.share.impurities import CHANGES, FILE, NAMED, RANDOM, UNSEEDED, Impurity, by_method
from pipeline.share.purity import callable_name, impurity, judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dask.typing import Key


class NotMerged(Exception):  # noqa: N818 - no error: a task that equals no other
    """Why a task, or a value, is not the same as any other: what makes it impure, or unknown."""

    def __init__(self, what: Impurity | str, spreads: bool = False) -> None:
        """spreads: the value changes as it is used, so that its consumers are apart, too."""
        super().__init__(str(what))
        self.what = what
        self.spreads = spreads


def content(value: Any, is_judged: bool = False) -> Key:
    """The content of an argument, or of a function that is judged already.

    Raises `NotMerged` if it has none, and for what may give another value each time that it is asked.
    """
    if isinstance(value, ModuleType):
        raise NotMerged(Impurity(value.__name__, "what is taken of a module is not known"))
    examiner = Examiner()
    try:
        found = examiner.encode(value)
    except TypeError as error:
        raise NotMerged(str(error), isinstance(value, Iterator)) from None
    for each in examiner.sources:
        raise NotMerged(Impurity(f"{type(each).__name__} in {callable_name(value)}", RANDOM), True)
    for each in examiner.functions:
        if is_judged and each is value:
            continue
        # Whoever takes a class of random generators may give it a seed.
        if (reason := judged(each)[0]) is not None and reason.reason != UNSEEDED:
            raise NotMerged(reason)
    return found


def checked(function: Any) -> bool:
    """Whether the arguments of a call may make it impure. Raises `NotMerged` if it always is."""
    found, is_checked = judged(function)
    if found is not None and not is_checked:
        raise NotMerged(found)
    return is_checked or method_name(function) is not None


def call_impurity(function: Any, values: Sequence[Any], named: Sequence[str]) -> Impurity | None:
    """Why a call is not pure, by the values of its arguments; those of inputs are tasks."""
    if (name := method_name(function)) is None:
        return impurity(function, values, named)
    owner, *rest = values
    kind = owner if isinstance(owner, ModuleType) else type(owner)
    if isinstance(owner, GraphNode | TaskRef) or not hasattr(kind, name):
        return by_method(name, named)
    method = getattr(kind, name)
    if isinstance(method, FunctionType) and not isinstance(owner, ModuleType):
        method = MethodType(method, owner)
    return impurity(method, rest, named)


def project_objects(value: Any, depth: int = 3) -> Iterator[Any]:
    """The objects of the project's classes in an argument, also in lists and the like."""
    if isinstance(value, DataNode):
        value = value.value
    kind = type(value)
    if kind in ATOMS or isinstance(value, (np.ndarray, ModuleType, TaskRef, *NAMED)) or not depth:
        return
    if isinstance(value, NestedContainer | list | tuple | set | frozenset):
        inner = value.args if isinstance(value, NestedContainer) else value
    elif isinstance(value, dict):
        inner = value.values()
    elif library_name(kind) is None:
        yield value
        return
    else:
        return
    for each in inner:
        yield from project_objects(each, depth - 1)


def method_impurity(function: Any, owner: Any) -> Impurity | None:
    """Why a call is not pure, by a method that it calls of an object that it is given."""
    for name in sorted({*attributes_of(function), *_UNNAMED}):
        method = method_of(owner, name)
        found = judged(method)[0] if method is not None else None
        if found is not None and not (found.reason == FILE and _has_file(owner)):
            return Impurity(
                f"{callable_name(function)}, by {type(owner).__name__}.{found.name}", found.reason
            )
    return None


_UNNAMED = ("__getitem__", "__call__", "__iter__", "__next__", "__len__", "__array__")
"""Methods that are called without being named."""


def _has_file(owner: Any) -> bool:
    return any(isinstance(each, File) for each in getattr(owner, "__dict__", {}).values())


def changed(tasks: Mapping[Key, Any]) -> dict[Key, str]:
    """The tasks whose values a consumer changes in place, with the name of the consumer.

    A task that changes what it was given as a constant is one of them itself.
    """
    places: dict[int, frozenset[int | str]] = {}
    found: dict[Key, str] = {}
    for key, node in tasks.items():
        if type(node) is not Task:
            continue
        known = places.get(id(node.func))
        if known is None:
            known = places[id(node.func)] = _changed_places(node.func)
        if known:
            args = [each for place, each in enumerate(node.args) if place in known]
            args += [each for name, each in node.kwargs.items() if name in known]
            for each in args:
                taken = [each.key] if isinstance(each, TaskRef) else _taken(each)
                if not taken and type(each) not in ATOMS:
                    taken = [key]
                found |= dict.fromkeys(taken, method_name(node.func) or callable_name(node.func))
    return found


def bound(tasks: Mapping[Key, Any]) -> frozenset[Key]:
    """The tasks that pass more than their values to tasks of one computation: Dask's shuffles do.

    One of them that was loaded, not run, would leave the others waiting.
    """
    odd = {
        kind
        for kind in set(map(type, tasks.values()))
        if issubclass(kind, Task) and kind.__module__.startswith("distributed.")
    }
    found = (inputs_of(node) for node in tasks.values() if type(node) in odd) if odd else ()
    return frozenset(key for taken in found for key in taken)


def _taken(argument: Any) -> Sequence[Key]:
    return inputs_of(argument) if isinstance(argument, GraphNode) else []


def _changed_places(function: Any) -> frozenset[int | str]:
    if (name := method_name(function)) is not None:
        return frozenset({0}) if name in CHANGES else frozenset()
    if isinstance(function, NAMED) and function in _FIRST:
        return frozenset({0})
    return changed_arguments(function)


_FIRST = frozenset({operator.setitem, operator.delitem, setattr, delattr, next, iter})
"""Functions that change their first argument, or let others change it."""
