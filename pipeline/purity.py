"""Which tasks are functions of their arguments alone; only they can be shared, or stored.

Nobody can prove that of a Python function. What is known not to be is in the table; a function of
the project is also what it calls; and the user has the last word.
"""

from __future__ import annotations

import functools
import inspect
import os
import random
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from pipeline.files import File
from pipeline.impurities import FILE, METHODS, OF_ITSELF_ALONE, RANDOM, SEEDS, TABLE, UNSEEDED
from pipeline.names import names
from pipeline.reach import cells, library_name, mentions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    _Function = TypeVar("_Function", bound=Callable[..., Any])

_MARK = "__pipeline_pure__"
_marks: dict[Any, bool] = {}  # of what takes no attributes: builtins

SOURCES = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
"""Types whose objects give another number each time that they are asked."""


class Impurity(NamedTuple):
    """Why a function is not pure: the name that was found, as it is called, and what it does."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def impure(function: _Function) -> _Function:
    """Mark a function as no function of its arguments alone: it is neither shared nor stored.

    >>> @impure
    ... def sensor(): return 20.5
    >>> str(impurity(sensor))
    'sensor: it is marked impure'
    """
    _set_mark(function, False)
    return function


def pure(function: _Function) -> _Function:
    """Mark a function as one of its arguments alone, whatever it calls, or the table says of it.

    >>> import time
    >>> @pure
    ... def slowly(x):
    ...     start = time.time()
    ...     return x
    >>> impurity(slowly)
    """
    _set_mark(function, True)
    return function


def _set_mark(function: Any, is_pure: bool) -> None:
    if not callable(function):
        raise TypeError(f"{function!r} cannot be marked: only functions are pure or impure")
    try:
        setattr(function, _MARK, is_pure)
    except (AttributeError, TypeError):
        _marks[function] = is_pure


def _mark(value: Any) -> bool | None:
    # Of its own: a class must not mark what is derived from it.
    found = getattr(value, "__dict__", {}).get(_MARK)
    if found is None and _marks and isinstance(value, _NAMED):
        found = _marks.get(value)
    return found


def impurity(
    function: Any, arguments: Sequence[Any] = (), named: Sequence[str] = ()
) -> Impurity | None:
    """Why a call is not one of its arguments alone; None if nothing is known against it.

    arguments: the values that are known when the call is made
    named: the names of those that are passed by name, the last of them

    >>> import time, random
    >>> str(impurity(time.time)), str(impurity(random.random))
    ('time.time: it reads a clock', 'random.Random.random: it is random')
    """
    found = _of_function(function)
    if found is None:
        for each in arguments:
            if isinstance(each, SOURCES):
                return Impurity(f"an argument, a {type(each).__name__}", RANDOM)
        return _of_seeds(function, arguments, named)
    if found.reason == FILE and _are_named(arguments):
        return None
    if found.reason == UNSEEDED and any(each is not None for each in arguments):
        return None
    return found


def judged(function: Any) -> tuple[Impurity | None, bool]:
    """Why a function is not pure, and whether the arguments of a call may make it so, or not so."""
    found = _of_function(function)
    is_seeded = library_name(function) is not None and _seed(function) is not None
    return found, is_seeded if found is None else found.reason in (FILE, UNSEEDED)


def title(function: Any) -> str:
    """The name of a function, for a person.

    >>> title(functools.partial(max, 1)), title(len)
    ('max', 'len')
    """
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _are_named(arguments: Sequence[Any]) -> bool:
    """Whether all files among the arguments are named by their content."""
    paths = [each for each in arguments if isinstance(each, str | os.PathLike)]
    return any(isinstance(each, File) for each in paths) and not any(
        not isinstance(each, File) and ("://" in os.fspath(each) or os.path.exists(each))
        for each in paths
    )


def _of_seeds(function: Any, arguments: Sequence[Any], named: Sequence[str]) -> Impurity | None:
    """Of a library's function whose seed is left out."""
    seed = _seed(function) if library_name(function) is not None else None
    if seed is None:
        return None
    place, name = seed
    positional = len(arguments) - len(named)
    if name in named:
        given = arguments[positional + list(named).index(name)]
    else:
        given = arguments[place] if place < positional else None
    return Impurity(f"{function.__qualname__}({name}=None)", UNSEEDED) if given is None else None


@functools.lru_cache(1024)
def _seed(function: Any) -> tuple[int, str] | None:
    """The place and the name of a parameter that is the seed."""
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):
        return None
    for place, (name, parameter) in enumerate(parameters.items()):
        if name in SEEDS and parameter.default is None:
            return (10**9 if parameter.kind is parameter.KEYWORD_ONLY else place), name
    return None


def _of_function(function: Any) -> Impurity | None:
    """Why a function is not pure by itself, or by what it calls."""
    known = _table(len(sys.modules))
    seen: dict[Any, Any] = {}  # with what has the id, so that it keeps it
    stack: list[tuple[Any, str, bool]] = [(function, "", True)]
    while stack:
        value, name, is_seedless = stack.pop()
        identity = (id(getattr(value, "__func__", value)), id(getattr(value, "__self__", None)))
        if identity in seen and not is_seedless:
            continue
        seen[identity] = value
        mark = _mark(value)
        if mark is not None:
            if not mark:
                return Impurity(name or title(value), "it is marked impure")
            continue
        found = _in_table(value, name, known)
        if found is not None and (
            (is_seedless or found.reason != UNSEEDED)
            and (value is function or found.name not in OF_ITSELF_ALONE)
        ):
            return found
        if library_name(value) is None:
            stack.extend(_called(value))
    return None


def _called(value: Any) -> Iterator[tuple[Any, str, bool]]:
    """What a value may call when it is called, as it is named there."""
    if isinstance(value, functools.partial):
        yield value.func, "", not value.args and not value.keywords
        inner = [*value.args, *value.keywords.values()]
    elif isinstance(value, FunctionType):
        yield from ((each.value, each.name, each.is_seedless) for each in mentions(value))
        inner = [*cells(value).values(), *(value.__defaults__ or ())]
    elif isinstance(value, type):
        members = [getattr(each, "fget", each) for each in vars(value).values()]
        inner = [getattr(each, "__func__", each) for each in members] + list(value.__bases__)
        inner = [each for each in inner if isinstance(each, FunctionType | type)]
    elif isinstance(value, list | tuple | set | frozenset | dict):
        inner = [each for each in getattr(value, "values", value.__iter__)() if callable(each)]
    elif isinstance(value, MethodType):
        inner = [value.__func__, *_methods(value)]
    elif hasattr(value, "__wrapped__"):
        inner = [value.__wrapped__]
    elif isinstance(call := getattr(type(value), "__call__", None), FunctionType):
        inner = [MethodType(call, value)]
    else:
        inner = []
    yield from ((each, "", False) for each in inner)


def _methods(method: MethodType) -> Iterator[MethodType]:
    """What a method may call of its own object."""
    code = getattr(method.__func__, "__code__", None)
    if code is None or not code.co_argcount:
        return
    owner = method.__self__ if isinstance(method.__self__, type) else type(method.__self__)
    for (head, *attributes), is_global, _ in names(code).chains:
        if attributes and head == code.co_varnames[0] and not is_global:
            found = inspect.getattr_static(owner, attributes[0], None)
            found = getattr(found, "fget", getattr(found, "__func__", found))
            if isinstance(found, FunctionType):
                yield MethodType(found, method.__self__)


class _Table(NamedTuple):
    """The table, as far as its packages are imported."""

    objects: Mapping[Any, Impurity]
    modules: tuple[tuple[str, Impurity], ...]


@functools.lru_cache(1)
def _table(_: int) -> _Table:
    objects, modules = {}, []
    for reason, listed in TABLE.items():
        for name in listed.split():
            value = _at(name)
            if isinstance(value, ModuleType):
                modules.append((f"{name}.", Impurity(name, reason)))
            elif value is not None:
                objects[_handle(value)] = Impurity(name, reason)
    return _Table(objects, tuple(modules))


def _at(name: str) -> Any:
    """What bears a dotted name, if it is imported."""
    head, *rest = name.split(".") if "." in name or name in sys.modules else ("builtins", name)
    value = sys.modules.get(head)
    for each in rest:
        value = getattr(value, each, None)
    return value


_NAMED = (type, FunctionType, BuiltinFunctionType, MethodType)


def _handle(value: Any) -> Any:
    # Methods are made anew each time that they are asked for, and are equal then.
    return value if isinstance(value, _NAMED) else id(value)


def _in_table(value: Any, name: str, known: _Table) -> Impurity | None:
    if isinstance(value, SOURCES):
        return Impurity(name or type(value).__qualname__, RANDOM)
    if isinstance(owner := getattr(value, "__self__", None), SOURCES):
        return Impurity(f"{type(owner).__module__}.{value.__qualname__}", RANDOM)
    if (found := known.objects.get(_handle(value))) is not None:
        return found
    if isinstance(value, FunctionType) and library_name(value) is None:
        attributes: set[str] = {*names(value.__code__).others}
    else:
        attributes = {getattr(value, "method", "")} if "methodcaller" in str(type(value)) else set()
    for reason, listed in METHODS.items():
        for each in attributes.intersection(listed.split()):
            return Impurity(each, reason)
    where = f"{getattr(value, '__module__', '')}."
    return next((found for prefix, found in known.modules if where.startswith(prefix)), None)
