"""Which tasks are functions of their arguments alone; only they can be shared, or stored.

Nobody can prove that of a Python function. What is known not to be is in the table; a function of
the project is also what it calls; and the user has the last word.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.calls import called
from pipeline.files import File
from pipeline.impurities import (
    FILE,
    NAMED,
    OF_ITSELF_ALONE,
    RANDOM,
    SEEDS,
    SOURCES,
    UNSEEDED,
    Impurity,
    in_table,
)
from pipeline.reach import library_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Function = TypeVar("_Function", bound=Callable[..., Any])

_MARK = "__pipeline_pure__"
_marks: dict[Any, bool] = {}  # of what takes no attributes: builtins


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
    if found is None and _marks and isinstance(value, NAMED):
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
        found = in_table(value, name)
        if found is not None and (
            (is_seedless or found.reason != UNSEEDED)
            and (value is function or found.name not in OF_ITSELF_ALONE)
        ):
            return found
        if library_name(value) is None:
            stack.extend(called(value))
    return None
