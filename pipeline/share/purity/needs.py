"""What tasks read besides their arguments, and Python does not report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from types import MethodType
from typing import Any

from dask._task_spec import NestedContainer
from dask.task_spec import DataNode, Task

from pipeline.graph import CallTask
from pipeline.identity import ATOMS, items_of, library_name, type_part
from pipeline.program import Program
from pipeline.share.purity.facts import ZONE, Needs, is_library
from pipeline.share.purity.impurities import FILE, LOCAL_TIMES, NAMED
from pipeline.share.purity.members import (
    BEGINNING,
    cached_function,
    class_functions,
    is_run_unnamed,
    keeper,
    keeps_in_owner,
)
from pipeline.share.purity.verdicts import method_name
from pipeline.share.purity.walk import Walk

_WalkOf = Callable[[Any], Walk]
"""What is known of a function."""


def needs_of(function: Any, walk: Walk | None = None) -> Needs:
    """What a function reads besides its arguments, and Python does not report.

    >>> import os
    >>> sorted(needs_of(lambda: os.environ["HOME"] + os.getenv("SHELL", "")).variables)
    ['HOME', 'SHELL']
    """
    return (walk or Walk()).reached(function).needs


def needs_of_task(node: Any, walk_of: _WalkOf) -> Needs:
    """What a task needs: the functions that it calls or passes, and methods of objects it has."""
    needs = Needs()
    functions, objects = list[Any](), list[Any]()
    for value in _values(node, functions):
        if isinstance(value, (*NAMED, functools.partial)):
            needs |= walk_of(value).reached(value).needs
        elif method_name(value) in LOCAL_TIMES:
            needs |= Needs(frozenset({ZONE}))
        elif library_name(type(value)) is None:
            objects.append(value)
    named = _named_methods(functions, walk_of) if objects else None
    for value in objects:
        needs |= _needs_of_object(value, named, walk_of)
    return needs


def caches_of_files(needs: Needs, walk_of: _WalkOf) -> frozenset[str]:
    """The keepers that `functools.cache` has wrapped, and that may read files."""
    found = ((name, cached_function(name)) for name in needs.keepers)
    reached = {name: walk_of(value).reached(value) for name, value in found if value is not None}
    return frozenset(
        name for name, (reasons, inner, _) in reached.items()
        if inner.readers or any(reason.reason == FILE for reason in reasons)
    )  # fmt: skip


def _values(node: Any, functions: list[Any]) -> Iterator[Any]:
    """The functions and objects in a task. Appends the functions that it calls to `functions`."""
    stack, seen = [node], set[int]()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        inner = _parts(value)
        if isinstance(value, Task):
            functions.append(value.func)
        if inner is not None:
            stack += inner
        elif isinstance(value, (*NAMED, functools.partial)):
            yield value
        elif type(value) not in ATOMS:
            yield value
            if not ATOMS.issuperset(map(type, items := items_of(value))):  # long lists of numbers
                stack += items


def _parts(value: Any) -> Iterable[Any] | None:
    """The parts of a part of a task; None for a value."""
    match value:
        case Task():
            return value.func, *value.args, *value.kwargs.values()
        case NestedContainer():
            return tuple(value.args)
        case DataNode():
            return (value.value,)
        case CallTask():
            return (value.function,)
        case Program():
            return *value.constants, *value.functions
    return None


def _named_methods(functions: Iterable[Any], walk_of: _WalkOf) -> frozenset[str] | None:
    """The attributes that functions name. None if they may call any, as those of libraries do."""
    named = frozenset[str]()
    for function in functions:
        if is_library(function):
            return None
        named |= walk_of(function).attributes(function)
    return named


def _needs_of_object(value: Any, named: frozenset[str] | None, walk_of: _WalkOf) -> Needs:
    """What the methods of an object need, if they are called by these names, or without a name."""
    needs, is_kept = Needs(), False
    for kind in type_part(type(value), "__mro__"):
        for name, function in class_functions(kind) if library_name(kind) is None else ():
            is_called = named is None or name in named or is_run_unnamed(name)
            if is_called and name not in BEGINNING:
                needs |= walk_of(function).reached(function).needs
                is_kept |= keeps_in_owner(MethodType(function, value))
    if is_kept:  # for other tasks that have this object
        needs |= Needs(keepers=frozenset({f"{keeper(type(value))} {id(value)}"}))
    return needs
