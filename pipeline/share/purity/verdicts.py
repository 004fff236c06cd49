"""Whether a call is a function of its arguments alone; only such tasks are merged or stored.

Nobody can prove that of a Python function. What the user declares is final: `pure`, `impure`. What
remains of the verdict is the table in `impurities`, and what one walk over the code finds: `walk`.
A function of the project is as impure as what it calls.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeVar

from dask.task_spec import GraphNode, TaskRef
from dask.utils import methodcaller

from pipeline.identity import (
    MISSING,
    CallSite,
    File,
    Term,
    attribute_of,
    display_name,
    held,
    namespace,
)
from pipeline.share.purity import impurities, lookups
from pipeline.share.purity.facts import is_library, mark_of, set_mark
from pipeline.share.purity.impurities import NAMED, Impurity
from pipeline.share.purity.members import methods_of
from pipeline.share.purity.walk import Walk, names_paths, none_parameters

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Which reasons hold

Scope = frozenset[str]
"""The reasons that hold for a purpose."""

DECLARED: Scope = frozenset({impurities.MARKED})
"""Only what the user declares."""

STORING: Scope = DECLARED | {
    impurities.RANDOM, impurities.UNSEEDED, impurities.CLOCK, impurities.WORLD,
    impurities.ENVIRONMENT, impurities.NETWORK, impurities.EFFECT, impurities.STATE,
    impurities.STATEFUL, impurities.OUTSIDE,
}  # fmt: skip
"""What keeps a result from being stored. Files, folders, and variables that a task reads are
tracked; what it writes with Python, and draws from the global random numbers, is observed."""

MERGING: Scope = STORING | {impurities.WRITES, impurities.MAYBE_RANDOM}
"""What keeps equal tasks from being merged. Nobody observes them; reading twice within a run is the
same as reading once, writing twice is not."""

UNTRACKED: Scope = MERGING | {impurities.FILE, impurities.VARIABLE}
"""What keeps a result from being stored where nothing is tracked or observed."""

# Marks


def impure(function: _Function) -> _Function:
    """Mark a function as impure: its calls are neither merged nor stored.

    >>> @impure
    ... def sensor(): return 20.5
    >>> str(call_impurity(sensor))
    'sensor: it is marked impure'
    """
    return _marked(function, False)


def pure(function: _Function) -> _Function:
    """Mark a function as pure, whatever it calls, and whatever the table says of it.

    >>> import time
    >>> @pure
    ... def slowly(x):
    ...     start = time.time()
    ...     return x
    >>> call_impurity(slowly)
    """
    return _marked(function, True)


def _marked(function: _Function, is_pure: bool) -> _Function:
    if not callable(function):
        raise TypeError(f"{function!r} cannot be marked: only functions are pure or impure")
    set_mark(function, is_pure)
    return function


# Verdicts


class Verdict(NamedTuple):
    """Why a function is impure, and whether the arguments of a call decide that."""

    impurity: Impurity | None
    depends_on_arguments: bool


def call_impurity(
    function: Any,
    arguments: Sequence[Any] = (),
    named: Sequence[str] = (),
    scope: Scope = STORING,
    walk: Walk | None = None,
) -> Impurity | None:
    """Why a call is impure; None if no reason is known.

    arguments: values; those that other tasks compute are their nodes
    named: the names of the last of them, which are passed by name
    scope: the reasons that hold
    walk: what is known of functions already

    >>> import time, random
    >>> print(call_impurity(time.time))
    time.time: it reads the time of day; declare the function @pure to reuse its result
    >>> print(call_impurity(random.random))
    random.Random.random: it is random; declare the function @pure to reuse its result
    """
    walk = walk or Walk()
    if mark_of(function) is True:
        return None
    if (name := method_name(function)) is not None:
        return _method_call_impurity(function, name, arguments, named, scope, walk)
    reason, is_checked = judge(function, scope, walk)
    if reason is not None and reason.reason == impurities.FILE:
        is_named = _are_files(arguments) and not names_paths(function, walk)
        reason = None if is_named else reason
    elif is_checked:
        inner, call = _unwrapped(function, _call(arguments, named))
        reason = _first(_call_reasons(inner, call, walk), scope)
    if impurities.RANDOM in scope:
        for argument in arguments:
            if reason is None and isinstance(argument, impurities.SOURCES):
                name = f"an argument, a {type(argument).__name__}"
                reason = Impurity(name, impurities.RANDOM)
    return reason


def _method_call_impurity(
    function: Any, name: str, arguments: Sequence[Any], named: Sequence[str], scope: Scope,
    walk: Walk,
) -> Impurity | None:  # fmt: skip
    """Why a call of a `methodcaller` is impure."""
    owner, *rest = arguments or (TaskRef("unknown"),)
    kind = owner if isinstance(owner, ModuleType) else type(owner)
    options = _options(function)
    rest, named = [*rest, *options.values()], (*named, *options)
    if isinstance(owner, GraphNode | TaskRef) or (method := attribute_of(kind, name)) is MISSING:
        finding = lookups.method_finding(name, _call(rest, named))
        return _first([finding.impurity] if finding else [], scope)
    if isinstance(method, FunctionType) and kind is not owner:
        return call_impurity(MethodType(method, owner), rest, named, scope, walk)
    arguments = rest if kind is owner else [owner, *rest]
    return call_impurity(method, arguments, named, scope, walk)


def _options(function: Any) -> dict[str, Any]:
    """What a `methodcaller` passes by name."""
    reduced: Any = function.__reduce__()
    return dict(held(reduced[0], "keywords") or {})


def _unwrapped(function: Any, call: CallSite) -> tuple[Any, CallSite]:
    """The function in a `functools.partial`, and all that it is called with."""
    while isinstance(function, functools.partial):
        before = _call([*function.args, *function.keywords.values()], tuple(function.keywords))
        named = dict(before.named) | dict(call.named)
        call = call._replace(
            arguments=before.arguments + call.arguments, named=tuple(named.items())
        )
        function = function.func
    return function, call


def _call(arguments: Sequence[Any], named: Sequence[str]) -> CallSite:
    """A call with known arguments, the last of them by name."""

    def term(value: Any) -> Term:
        return Term() if isinstance(value, GraphNode | TaskRef) else Term(constant=(value,))

    terms = tuple(map(term, arguments))
    first = len(terms) - len(named)
    return CallSite((), terms[:first], tuple(zip(named, terms[first:], strict=True)))


def _first(reasons: Iterable[Impurity], scope: Scope) -> Impurity | None:
    """The first reason that holds; that a file is read comes last, for arguments may excuse it."""
    held_reasons = [reason for reason in reasons if reason.reason in scope]
    held_reasons.sort(key=lambda reason: reason.reason == impurities.FILE)
    return held_reasons[0] if held_reasons else None


def _call_reasons(function: Any, call: CallSite, walk: Walk) -> Iterable[Impurity]:
    """Why a call with known arguments is impure."""
    if is_library(function):
        for finding in lookups.findings(function, "", call):
            yield finding.impurity
        if isinstance(function, MethodType):
            finding_by_name = lookups.method_finding(function.__name__, call)
            yield from [finding_by_name.impurity] if finding_by_name else []
        return
    if (seed := lookups.seed_parameter(function)) is not None:
        argument = lookups.argument_of(call, seed[0], (seed[1],))
        if argument is None or argument.is_none:
            yield Impurity(f"{callable_name(function)}({seed[1]}=None)", impurities.UNSEEDED)
    nones = none_parameters(function, call)
    yield from _titled(function, walk.reached(function, nones).reasons)


def judge(function: Any, scope: Scope = STORING, walk: Walk | None = None) -> Verdict:
    """The verdict on a function, before its arguments are known."""
    walk = walk or Walk()
    if (mark := mark_of(function)) is not None:
        marked = Impurity(callable_name(function), impurities.MARKED)
        return Verdict(_first([] if mark else [marked], scope), False)
    reason = _first(_titled(function, walk.reached(function).reasons), scope)
    if reason is not None:
        return Verdict(reason, reason.reason == impurities.FILE)
    if is_library(function):
        is_listed = isinstance(function, MethodType) and (
            lookups.method_finding(function.__name__, None) is not None
        )
        return Verdict(None, is_listed or lookups.is_decided_by_arguments(function))
    if isinstance(function, functools.partial):
        return judge(function.func, scope, walk)
    is_seeded = lookups.seed_parameter(function) is not None
    return Verdict(None, is_seeded or walk.is_decided_by_arguments(function))


def _titled(function: Any, reasons: Iterable[Impurity]) -> Iterable[Impurity]:
    """Reasons with the name of the function, and of what it calls."""
    direct = lookups.in_table(function)
    for reason in reasons:
        name = callable_name(function)
        is_own = reason == direct or reason.name == name
        yield reason if is_own else Impurity(f"{name}, by {reason.name}", reason.reason)


def method_impurity(
    function: Any, owner: Any, scope: Scope = STORING, walk: Walk | None = None
) -> Impurity | None:
    """Why a call is impure: a method that the function calls on an argument."""
    walk = walk or Walk()
    if mark_of(function) is True:
        return None
    for name in sorted({*walk.attributes(function), *_UNNAMED}):
        verdicts = (judge(method, scope, walk).impurity for method in methods_of(owner, name))
        reason = next(filter(None, verdicts), None)
        if reason is not None and not (reason.reason == impurities.FILE and _has_file(owner)):
            name = f"{callable_name(function)}, by {type(owner).__name__}.{reason.name}"
            return Impurity(name, reason.reason)
    return None


_UNNAMED = ("__getitem__", "__call__", "__iter__", "__next__", "__len__", "__array__")
"""Methods that code calls without their names."""


def _has_file(owner: Any) -> bool:
    return any(isinstance(value, File) for value in namespace(owner).values())


def _are_files(arguments: Sequence[Any]) -> bool:
    """Whether all paths among the arguments are `File`s, which have a content."""
    paths = [value for value in arguments if isinstance(value, str | os.PathLike)]
    others = [os.fspath(path) for path in paths if not isinstance(path, File)]
    is_any_other = any("://" in path or os.path.exists(path) for path in others)
    return len(others) < len(paths) and not is_any_other


def is_used_up(function: Any) -> bool:
    """Whether the result of a function changes as it is read: an iterator, a random generator."""
    while isinstance(function, functools.partial):
        function = function.func
    is_function = isinstance(function, FunctionType)
    if lookups.returns_state(function) or (is_function and inspect.isgeneratorfunction(function)):
        return True
    return isinstance(function, NAMED) and (
        (not is_function and function in impurities.ITERATORS)
        or function.__module__ == "itertools"
        or f"{function.__module__}.{function.__name__}" in impurities.LAZY
    )


def method_name(function: Any) -> str | None:
    """The name of the method that a `methodcaller` calls."""
    if isinstance(function, methodcaller):
        return str(function.method)
    if isinstance(function, operator.methodcaller):
        reduced: Any = function.__reduce__()
        return str(reduced[1][0] if reduced[1] else reduced[0].args[0])
    return None


def callable_name(function: Any) -> str:
    """The name of a function, for messages.

    >>> callable_name(functools.partial(max, 1)), callable_name(len)
    ('max', 'len')
    """
    while isinstance(function, functools.partial):
        function = function.func
    return display_name(function)
