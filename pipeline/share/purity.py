"""Whether a call is a function of its arguments alone; only such tasks are merged or stored.

Nobody can prove that of a Python function. The table in `impurities` lists known functions. One of
the project is as impure as what it calls. The marks `pure` and `impure` overrule both.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeVar

from dask.task_spec import GraphNode, TaskRef
from dask.utils import methodcaller

from pipeline.identity import (
    MISSING,
    File,
    Library,
    UnimportedModule,
    attribute_of,
    display_name,
    held,
    is_library_class,
    library_name,
    member_of,
    names_in_code,
    namespace,
    type_part,
)
from pipeline.share import impurities, inspection
from pipeline.share.impurities import Impurity
from pipeline.share.inspection import Callee

_Function = TypeVar("_Function", bound=Callable[..., Any])

NAMED = (type, FunctionType, BuiltinFunctionType, MethodType)
"""Types of values that a module holds under their names."""

# Marks

_MARK = "__pipeline_pure__"
_marks: dict[Any, bool] = {}  # of builtins, which take no attributes


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
    try:
        # With its id: `functools.wraps` copies attributes.
        setattr(function, _MARK, (is_pure, id(function)))
    except (AttributeError, TypeError):
        _marks[function] = is_pure
    return function


def mark_of(value: Any) -> bool | None:
    """Whether a function is declared pure, or impure. None if it is neither."""
    value = held(value, "__func__", value)
    # Not inherited: the mark of a class is not one of its subclasses.
    is_pure, owner = namespace(value).get(_MARK, (None, 0))
    if owner == id(value):
        return bool(is_pure)
    return _marks.get(value) if _marks and isinstance(value, NAMED) else None


# Verdicts


class Verdict(NamedTuple):
    """Why a function is impure, and whether the arguments of a call decide that."""

    impurity: Impurity | None
    depends_on_arguments: bool


def call_impurity(
    function: Any, arguments: Sequence[Any] = (), named: Sequence[str] = ()
) -> Impurity | None:
    """Why a call is impure; None if no reason is known.

    arguments: values; those that other tasks compute are their nodes
    named: the names of the last of them, which are passed by name

    >>> import time, random
    >>> str(call_impurity(time.time)), str(call_impurity(random.random))
    ('time.time: it reads a clock', 'random.Random.random: it is random')
    """
    if (name := method_name(function)) is not None:
        owner, *arguments = arguments
        kind = owner if isinstance(owner, ModuleType) else type(owner)
        is_known = not isinstance(owner, GraphNode | TaskRef)
        if not is_known or (function := attribute_of(kind, name)) is MISSING:
            return methods_in_table([name], named)
        if isinstance(function, FunctionType) and kind is not owner:
            function = MethodType(function, owner)
    reason, depends_on_arguments = judge(function)
    if depends_on_arguments and reason is not None and reason.reason == impurities.FILE:
        reason = None if _are_files(arguments) and not inspection.names_paths(function) else reason
    elif depends_on_arguments:
        is_method = isinstance(function, MethodType)
        reason = methods_in_table([function.__name__], named) if is_method else None
        if reason is None and not (is_method and _seed(function) is None):
            reason = _missing_seed(function, arguments, named)
    for argument in arguments:
        if reason is None and isinstance(argument, impurities.SOURCES):
            reason = Impurity(f"an argument, a {type(argument).__name__}", impurities.RANDOM)
    return reason


def judge(function: Any) -> Verdict:
    """The verdict on a function, before its arguments are known."""
    direct = in_table(function)
    is_library = library_name(function) is not None
    if is_library and _is_unseeded(direct):
        return Verdict(direct, True)
    # A File as argument excuses that a file is read, and nothing else.
    for reason in sorted(_reasons(function), key=lambda reason: reason.reason == impurities.FILE):
        name = callable_name(function)
        is_own = reason == direct or reason.name == name
        title = reason.name if is_own else f"{name}, by {reason.name}"
        return Verdict(Impurity(title, reason.reason), reason.reason == impurities.FILE)
    is_listed = isinstance(function, MethodType) and methods_in_table([function.__name__])
    return Verdict(None, bool(is_listed) or _seed(function) is not None)


def method_impurity(function: Any, owner: Any) -> Impurity | None:
    """Why a call is impure: a method that the function calls on an argument."""
    for name in sorted({*inspection.attributes_of(function), *_UNNAMED}):
        method = inspection.method_of(owner, name)
        reason = judge(method).impurity if method is not None else None
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
    if isinstance(function, FunctionType) and inspect.isgeneratorfunction(function):
        return True
    return _is_unseeded(in_table(function)) or (
        isinstance(function, NAMED)
        and (
            function in impurities.ITERATORS
            or function.__module__ == "itertools"
            or f"{function.__module__}.{function.__name__}" in impurities.LAZY
        )
    )


def _is_unseeded(reason: Impurity | None) -> bool:
    return reason is not None and reason.reason == impurities.UNSEEDED


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


# What a function calls


def _reasons(function: Any) -> Iterator[Impurity]:
    """Why a function is impure by itself, or by what it calls."""
    seen: dict[Any, Any] = {}  # with the values, which keep their ids
    stack = [Callee(function)]
    while stack:
        value, name, is_seedless, keywords = stack.pop()
        inner = held(value, "__func__", value)
        identity = (id(inner), id(held(value, "__self__")))
        if identity in seen and not is_seedless:
            continue
        seen[identity] = value
        if (mark := mark_of(value)) is not None:
            if not mark:
                yield Impurity(name or callable_name(value), "it is marked impure")
            continue
        is_library = library_name(inner) is not None
        reason = in_table(value, name) or (None if is_library else _change(value))
        if reason is None and is_library and keywords is not None and value is not function:
            reason = _missing_keyword(value, keywords)
        elif is_library and not is_seedless and _is_unseeded(reason):
            reason = None
        if reason is not None and (value is function or reason.name not in impurities.IMPURE_ALONE):
            yield reason
        if not is_library:
            stack.extend(inspection.callees(value))


def _change(value: Any) -> Impurity | None:
    """That a function counts up a variable outside of it."""
    codes: Iterable[CodeType] = ()
    if isinstance(value, FunctionType):
        codes = [value.__code__]
    elif isinstance(value, UnimportedModule):
        codes = inspection.inner_codes(value.__code__)
    outside = next(filter(None, map(inspection.changed_outside, codes)), "")
    return Impurity(outside, impurities.OUTSIDE) if outside else None


# Seeds


def _missing_keyword(value: Any, keywords: Sequence[str]) -> Impurity | None:
    """That a library's function is named where no seed is passed by its name."""
    if set(impurities.SEEDS).intersection(keywords) or (seed := _seed(value)) is None:
        return None
    return Impurity(f"{callable_name(value)}({seed[1]}=None)", impurities.UNSEEDED)


def _missing_seed(function: Any, arguments: Sequence[Any], named: Sequence[str]) -> Impurity | None:
    """That a call of a library's function leaves out its seed."""
    place, name = _seed(function) or (0, "seed")
    positional = len(arguments) - len(named)
    by_name = dict(zip(named, arguments[positional:], strict=True))
    seed = by_name.get(name, arguments[place] if place < positional else None)
    title = f"{callable_name(function)}({name}=None)"
    return Impurity(title, impurities.UNSEEDED) if seed is None else None


def _seed(function: Any) -> tuple[int, str] | None:
    """The place and the name of a parameter that is a seed, and None by default."""
    inner = held(function, "__func__", function)
    if not isinstance(inner, NAMED) or library_name(inner) in impurities.SEED_UNUSED:
        return None
    return _seed_parameter(inner, inner is not function)


@functools.lru_cache(4096)
def _seed_parameter(function: Any, is_bound: bool) -> tuple[int, str] | None:
    if isinstance(function, type) and not is_library_class(function):
        # Its `__signature__`, or its metaclass, may run any code.
        members = (member_of(function, name) for name in ("__init__", "__new__"))
        function = next((inner for inner in members if isinstance(inner, FunctionType)), None)
        is_bound = True
    try:
        parameters = list(inspect.signature(function).parameters.items())[is_bound:]
    except (ValueError, TypeError):
        return None
    for place, (name, parameter) in enumerate(parameters):
        if name in impurities.SEEDS and parameter.default is None:
            return (10**9 if parameter.kind is parameter.KEYWORD_ONLY else place), name
    return None


# Look-ups in the table


def in_table(value: Any, name: str = "") -> Impurity | None:
    """What the table says of a value.

    name: under which code calls it, or draws a number from it
    """
    if isinstance(value, Library):
        path = f"{value.module}.{value.attribute or ''}."
        return next((known for known in _table() if path.startswith(f"{known.name}.")), None)
    owner = held(value, "__self__")
    if isinstance(value, impurities.SOURCES):
        return Impurity(name or type(value).__qualname__, impurities.RANDOM)
    if isinstance(owner, impurities.SOURCES):
        return Impurity(f"{type(owner).__module__}.{value.__qualname__}", impurities.RANDOM)
    if held(value, "__objclass__") in impurities.SOURCES:
        return Impurity(value.__qualname__, impurities.RANDOM)
    objects, modules = _imported_table(len(sys.modules))
    for candidate in (value, held(value, "__func__", value), type(value), owner):
        if (reason := objects.get(_handle(candidate))) is not None:
            return reason
    if isinstance(value, FunctionType | UnimportedModule) and library_name(value) is None:
        names = names_in_code(value.__code__)
        if names.changed:
            return Impurity(names.changed[0], impurities.OUTSIDE)
        return methods_in_table(names.others, names.keywords)
    module_of = type_part if issubclass(type(value), type) else held
    module = f"{module_of(value, '__module__')}."
    return next((reason for prefix, reason in modules if module.startswith(prefix)), None)


@functools.lru_cache(1)
def _imported_table(_: int) -> tuple[dict[Any, Impurity], list[tuple[str, Impurity]]]:
    """The table, as far as its packages are imported: objects, and prefixes of modules."""
    objects: dict[Any, Impurity] = {}
    modules = []
    for impurity in _table():
        value = _imported(impurity.name)
        if isinstance(value, ModuleType):
            # Also the part of it that is written in C.
            modules += [(f"{prefix}{impurity.name}.", impurity) for prefix in ("", "_")]
        elif value is not None:
            objects[_handle(value)] = impurity
    return objects, modules


def _table() -> Iterator[Impurity]:
    for reason, names in impurities.TABLE.items():
        yield from (Impurity(name, reason) for name in names.split())


def _imported(name: str) -> Any:
    """The value with a dotted name, if it is imported."""
    head, *rest = name.split(".") if "." in name or name in sys.modules else ("builtins", name)
    value = sys.modules.get(head)
    for part in rest:
        value = getattr(value, part, None)
    return value


def _handle(value: Any) -> Any:
    # A method is another object on each access, but equal.
    return value if isinstance(value, NAMED) else id(value)


def methods_in_table(names: Iterable[str], keywords: Iterable[str] = ()) -> Impurity | None:
    """What names of methods say of them, where their objects are unknown."""
    is_seeded = not set(impurities.SEEDS).isdisjoint(keywords)
    for reason, methods in impurities.METHODS.items():
        if not (is_seeded and reason == impurities.UNSEEDED):
            for name in sorted(set(methods.split()).intersection(names)):
                return Impurity(name, reason)
    return None
