"""Which tasks are functions of their arguments alone; only they can be shared, or stored.

Nobody can prove that of a Python function. What is known not to be is in the table; a function of
the project is also what it calls; and the user has the last word.
"""

from __future__ import annotations

import functools
import inspect
import os
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.identity import File, library_name
from pipeline.share.calls import Called, called, names_paths
from pipeline.share.changes import changes_its_object, counted_outside
from pipeline.share.impurities import (
    FILE,
    NAMED,
    OF_ITSELF_ALONE,
    OUTSIDE,
    RANDOM,
    SEEDS,
    SOURCES,
    STEADY,
    UNSEEDED,
    Impurity,
    by_method,
    in_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
        # With its own id: `functools.wraps` copies what a function has.
        setattr(function, _MARK, (is_pure, id(function)))
    except (AttributeError, TypeError):
        _marks[function] = is_pure


def _mark(value: Any) -> bool | None:
    # Of its own: a class must not mark what is derived from it.
    found, owner = getattr(value, "__dict__", {}).get(_MARK, (None, 0))
    if owner == id(value):
        return bool(found)
    return _marks.get(value) if _marks and isinstance(value, NAMED) else None


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
    found, is_checked = judged(function)
    if is_checked and found is not None and found.reason == FILE:
        found = None if _are_named(arguments) and not names_paths(function) else found
    elif is_checked:
        found = by_method(function.__name__, named) if isinstance(function, MethodType) else None
        if found is None and not (isinstance(function, MethodType) and _seed(function) is None):
            found = _of_seeds(function, arguments, named)
    for each in arguments:
        if found is None and isinstance(each, SOURCES):
            found = Impurity(f"an argument, a {type(each).__name__}", RANDOM)
    return found


def judged(function: Any) -> tuple[Impurity | None, bool]:
    """Why a function is not pure, and whether the arguments of a call may make it so, or not so."""
    own = in_table(function) if library_name(function) is not None else None
    if own is not None and own.reason == UNSEEDED:
        return own, True
    mine, direct = callable_name(function), in_table(function)
    found = [
        each
        if each in (own, direct) or each.name == mine
        else Impurity(f"{mine}, by {each.name}", each.reason)
        for each in _of_function(function)
    ]
    for each in found:
        if each.reason != FILE:  # which is excused by its arguments, and excuses nothing else
            return each, False
    if found:
        return found[0], True
    is_method = isinstance(function, MethodType) and by_method(function.__name__, ()) is not None
    return None, is_method or _seed(function) is not None


def callable_name(function: Any) -> str:
    """The name of a function, for a person.

    >>> callable_name(functools.partial(max, 1)), callable_name(len)
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
    place, name = _seed(function) or (0, "seed")
    positional = len(arguments) - len(named)
    if name in named:
        given = arguments[positional + list(named).index(name)]
    else:
        given = arguments[place] if place < positional else None
    return (
        None if given is not None else Impurity(f"{callable_name(function)}({name}=None)", UNSEEDED)
    )


def _seed(function: Any) -> tuple[int, str] | None:
    """The place and the name of a parameter of a function that is its seed, None by default."""
    inner = getattr(function, "__func__", function)
    if not isinstance(inner, NAMED) or library_name(inner) in STEADY:
        return None
    return _seed_of(inner, inner is not function)


@functools.lru_cache(4096)
def _seed_of(function: Any, is_bound: bool) -> tuple[int, str] | None:
    try:
        parameters = list(inspect.signature(function).parameters.items())[is_bound:]
    except (ValueError, TypeError):
        return None
    for place, (name, parameter) in enumerate(parameters):
        if name in SEEDS and parameter.default is None:
            return (10**9 if parameter.kind is parameter.KEYWORD_ONLY else place), name
    return None


def _of_function(function: Any) -> Iterator[Impurity]:
    """Why a function is not pure by itself, or by what it calls."""
    seen: dict[Any, Any] = {}  # with what has the id, so that it keeps it
    stack = [Called(function)]
    while stack:
        value, name, is_seedless, keywords = stack.pop()
        identity = (id(getattr(value, "__func__", value)), id(getattr(value, "__self__", None)))
        if identity in seen and not is_seedless:
            continue
        seen[identity] = value
        if (mark := _mark(value)) is not None:
            if not mark:
                yield Impurity(name or callable_name(value), "it is marked impure")
            continue
        is_library = library_name(getattr(value, "__func__", value)) is not None
        found = in_table(value, name)
        if found is None and not is_library:
            found = _changing(value)
        if found is None:
            found = _without_seed(value, keywords) if value is not function else None
        elif is_library and found.reason == UNSEEDED and not is_seedless:
            found = None
        if found is not None and (value is function or found.name not in OF_ITSELF_ALONE):
            yield found
        if not is_library:
            stack.extend(called(value))


def _changing(value: Any) -> Impurity | None:
    """Of a function that changes what is there after it."""
    if changes_its_object(value):
        return Impurity(callable_name(value), "it changes its object")
    outside = counted_outside(value.__code__) if isinstance(value, FunctionType) else ""
    return Impurity(outside, OUTSIDE) if outside else None


def _without_seed(value: Any, keywords: tuple[str, ...] | None) -> Impurity | None:
    """Of a library's function that is named where no seed is passed by its name."""
    if keywords is None or set(SEEDS).intersection(keywords) or (seed := _seed(value)) is None:
        return None
    if library_name(getattr(value, "__func__", value)) is None:
        return None  # of the project: what it calls says it
    return Impurity(f"{callable_name(value)}({seed[1]}=None)", UNSEEDED)
