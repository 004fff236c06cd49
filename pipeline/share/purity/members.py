"""The functions in members of classes, and which of them keep something for later calls."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from pipeline.identity import (
    ATOMS,
    MISSING,
    CallSite,
    UnimportedModule,
    closure_values,
    held,
    library_name,
    member_of,
    namespace,
    references_of,
    type_part,
    uses_in_code,
)
from pipeline.share.purity.impurities import NAMED

CachedFunction = type(functools.lru_cache(len))
BEGINNING = ("__init__", "__new__", "__post_init__", "__setattr__", "__delattr__", "__setstate__")
"""Methods that make an object, or only set what they are given."""
_BESIDE = {
    *BEGINNING, "__hash__", "__repr__", "__del__", "__reduce__", "__reduce_ex__", "__getstate__",
    "__init_subclass__", "__class_getitem__", "__set_name__", "__dask_tokenize__", "__copy__",
    "__deepcopy__", "__dir__", "__sizeof__", "__format__",
}  # fmt: skip
"""Methods without a name in the code of a task, which do not make its result."""


def is_run_unnamed(name: str) -> bool:
    """Whether Python runs a method for what the code says in other ways: `a + b`, `a[0]`."""
    return name[:2] == name[-2:] == "__" and name not in _BESIDE


def functions_in(member: Any) -> Iterator[Callable[..., Any]]:
    """The functions of a method, a property, or any other member of a class. No code runs."""
    if member is MISSING:  # most often
        return
    if isinstance(member, FunctionType | CachedFunction):
        yield member
    elif isinstance(member, property):
        yield from filter(_is_function, (member.fget, member.fset, member.fdel))
    elif isinstance(member, staticmethod | classmethod | MethodType):
        yield from functions_in(member.__func__)
    elif isinstance(member, _OF_FUNCTIONS):
        yield from functions_in(member.func)
    elif isinstance(member, functools.singledispatchmethod):
        yield from functions_in(member.func)
        yield from filter(_is_function, member.dispatcher.registry.values())
    elif _is_descriptor(type(member)):
        getter = member_of(type(member), "__get__")
        yield from filter(_is_function, [getter, *namespace(member).values()])


_OF_FUNCTIONS = (functools.cached_property, functools.partialmethod, functools.partial)


def _is_descriptor(kind: type) -> bool:
    """Whether a class of the project decides what an attribute is."""
    return library_name(kind) is None and member_of(kind, "__get__") is not MISSING


def _is_function(value: Any) -> bool:
    return isinstance(value, FunctionType | CachedFunction)


def methods_of(owner: Any, name: str) -> list[MethodType]:
    """The methods by a name of an object, or of a class; no code of the object runs."""
    if owner is None or isinstance(owner, ModuleType | FunctionType):
        return []
    kind = owner if isinstance(owner, type) else type(owner)
    return [MethodType(function, owner) for function in functions_in(member_of(kind, name))]


def unnamed_methods(owner: Any) -> Iterator[MethodType]:
    """The methods of an object of the project that run without being named."""
    known = set[str]()
    for kind in type_part(type(owner), "__mro__"):
        if library_name(kind) is None and kind is not object:
            for name in type_part(kind, "__dict__"):
                if is_run_unnamed(name) and name not in known:
                    known.add(name)
                    yield from methods_of(owner, name)


# What is kept


def keeper(function: Any) -> str:
    """The name of a function that keeps something in this process."""
    return f"{held(function, '__module__')}:{held(function, '__qualname__')}"


def cached_function(name: str) -> Any:
    """The function of `functools.cache` that a keeper's name denotes in this process, if any."""
    module, _, path = name.partition(":")
    value: Any = sys.modules.get(module)
    for part in path.split("."):
        value = MISSING if value is None else namespace(value).get(part)
    found = (inner for inner in functions_in(value) if isinstance(inner, CachedFunction))
    return next(found, None)


def keeps(
    function: FunctionType | UnimportedModule, calls: Iterable[CallSite], values: Mapping[str, Any]
) -> bool:
    """Whether a function may keep something outside of its call: a cache, a list of all calls.

    calls: in its code, which may have another function keep it
    values: what its code names
    """
    uses, code = uses_in_code(function.__code__), function.__code__
    if uses.caches or () in uses.touched:
        return True
    heads = {path[0] for path in uses.touched if path}
    if isinstance(function, FunctionType):
        if not heads.isdisjoint(_kept_defaults(function)):
            return True
        values = {**closure_values(function), **values}
    changed = (
        values.get(".".join(path), values.get(path[0]))
        for path in _changed_variables(calls, values, {})
    )
    is_outside = any(not isinstance(value, _NOT_KEPT) for value in changed)
    return is_outside or not heads.isdisjoint(code.co_freevars)


_NOT_KEPT = (*ATOMS, *NAMED, ModuleType)
"""Types of values that nothing is kept in."""


def _changed_variables(
    calls: Iterable[CallSite], values: Mapping[str, Any], known: dict[FunctionType, set[str]]
) -> Iterator[tuple[str, ...]]:
    """The variables that calls pass to functions of the project which may change their values.

    values: what the code names
    known: the parameters that functions may change; those that are met are added
    """
    for call in calls:
        terms = [*call.arguments, *(term for _, term in call.named)]
        if not (call.path and any(term.path for term in terms)):
            continue
        owner, name = ".".join(call.path[:-1]), ".".join(call.path)
        is_named = name in values
        for value in [values[name]] if is_named else methods_of(values.get(owner), call.path[-1]):
            function, is_bound = held(value, "__func__", value), isinstance(value, MethodType)
            if isinstance(function, FunctionType) and library_name(function) is None:
                changed = _changed_parameters(function, known)
                names = function.__code__.co_varnames[is_bound : function.__code__.co_argcount]
                passed = (*zip(names, call.arguments, strict=False), *call.named)
                yield from (term.path for name, term in passed if name in changed and term.path)


def _changed_parameters(function: FunctionType, known: dict[FunctionType, set[str]]) -> set[str]:
    """The parameters whose values a function may change, itself or by functions that it calls."""
    if function not in known:
        uses, code = uses_in_code(function.__code__), function.__code__
        own = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
        known[function] = own.intersection(path[0] for path in uses.touched if path)
        values = {reference.name: reference.value for reference in references_of(function)}
        passed = _changed_variables(uses.calls, values, known) if own else ()
        known[function] |= own.intersection(path[0] for path in passed)
    return known[function]


def _kept_defaults(function: FunctionType) -> Iterator[str]:
    """The parameters with defaults that a function may change."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][code.co_argcount - len(defaults) :]
    named = (*zip(names, defaults, strict=True), *(function.__kwdefaults__ or {}).items())
    for name, default in named:
        if isinstance(default, list | dict | set):
            yield name


def keeps_in_owner(method: MethodType) -> bool:
    """Whether a method may keep something in the object, or in the class, that it is bound to."""
    function: Any = method.__func__
    code = held(function, "__code__")
    if not isinstance(code, CodeType) or not code.co_argcount:
        return False
    if function.__name__ in BEGINNING and function.__name__ != "__new__":
        return False
    kind = method.__self__ if isinstance(method.__self__, type) else type(method.__self__)
    if isinstance(member_of(kind, function.__name__), functools.cached_property):
        return True
    first = code.co_varnames[0]
    return any(path[:1] == (first,) for path in uses_in_code(code).touched)


def keeps_in_class(kind: type, function: Any) -> bool:
    """Whether a method changes what all objects of its class have: `self._cache[key] = value`."""
    code = held(function, "__code__")
    if not isinstance(code, CodeType) or not code.co_argcount:
        return False
    paths = [path for path in uses_in_code(code).touched if path[:1] == code.co_varnames[:1]]
    if paths and function.__name__ == "__new__":
        return True
    return any(
        path[1] == "__class__" or isinstance(member_of(kind, path[1]), list | dict | set)
        for path in paths if len(path) > 1
    )  # fmt: skip


def class_functions(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions of a class by their members; bound to it if they may keep something in it."""
    for name, member in type_part(kind, "__dict__").items():
        for function in functions_in(member):
            is_kept = isinstance(member, classmethod) or keeps_in_class(kind, function)
            yield name, MethodType(function, kind) if is_kept else function
