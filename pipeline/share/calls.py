"""What a function, an object or a class may call when it is called, as far as its code says."""

from __future__ import annotations

import functools
import inspect
import operator
import os
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.utils import methodcaller

from pipeline.identity import attribute_of, closure_values, library_name, names_in_code, references
from pipeline.share.impurities import NAMED, ONCE, UNSEEDED, in_table

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN = ("__init__", "__new__", "__post_init__", "__call__", "__enter__", "__iter__", "__next__")
"""Methods that run without being named."""


class Called(NamedTuple):
    """A value that may be called, as it is named there."""

    value: Any
    name: str = ""
    is_seedless: bool = False  # it is called there, with nothing or None
    keywords: tuple[str, ...] | None = None  # by which arguments are passed where it is named


def called(value: Any) -> Iterator[Called]:
    """What a value may call when it is called."""
    if isinstance(value, functools.partial):
        yield Called(value.func, "", not value.args and not value.keywords)
        inner = [*value.args, *value.keywords.values()]
    elif isinstance(value, FunctionType):
        yield from _of_code(value)
        inner = [*closure_values(value).values(), *(value.__defaults__ or ())]
        inner += (value.__kwdefaults__ or {}).values()
    elif isinstance(value, type):
        inner = [*_members(value), *value.__bases__]
    elif isinstance(value, list | tuple | set | frozenset | dict):
        inner = list(getattr(value, "values", value.__iter__)())
    elif isinstance(value, MethodType):
        inner = [value.__func__, *_methods(value)]
    elif hasattr(value, "__wrapped__"):
        inner = [value.__wrapped__]
    elif isinstance(value, BuiltinFunctionType | ModuleType):
        inner = []
    else:
        call = vars(type(value)).get("__call__")
        inner = [MethodType(call, value)] if isinstance(call, FunctionType) else []
        inner += filter(callable, getattr(value, "__dict__", {}).values())
    yield from map(Called, inner)


def _of_code(function: FunctionType) -> Iterator[Called]:
    found = names_in_code(function.__code__)
    heads: dict[str, Any] = {}
    for each in references(function):
        yield Called(each.value, each.name, each.is_seedless, found.keywords)
        if each.owner is None:
            heads[each.name] = each.value
        if each.is_last and isinstance(each.value, ModuleType | type):
            # Under another name it may be asked for any attribute that is named.
            for other in found.others:
                yield Called(attribute_of(each.value, other), f"{each.name}.{other}")
    for (head, *attributes), *_ in found.chains:
        owner = heads.get(head)
        for attribute in attributes:
            if (method := method_of(owner, attribute)) is not None:
                yield Called(method)
            owner = getattr(owner, "__dict__", {}).get(attribute)


def _members(kind: type) -> Iterator[Any]:
    """The methods that run when a class is called, and those with names of their own."""
    for name, member in vars(kind).items():
        inner = getattr(member, "fget", getattr(member, "__func__", member))
        if isinstance(inner, FunctionType) and (name[:2] != "__" or name in _RUN):
            yield inner


def _methods(method: MethodType) -> Iterator[MethodType]:
    """What a method may call of its own object."""
    code = getattr(method.__func__, "__code__", None)
    if code is None or not code.co_argcount:
        return
    for (head, *attributes), is_global, _ in names_in_code(code).chains:
        if attributes and head == code.co_varnames[0] and not is_global:
            found = method_of(method.__self__, attributes[0])
            if found is not None:
                yield found


def method_of(owner: Any, name: str) -> MethodType | None:
    """A method of an object, or of a class, without asking the object."""
    if owner is None or isinstance(owner, ModuleType | FunctionType):
        return None
    kind = owner if isinstance(owner, type) else type(owner)
    found = inspect.getattr_static(kind, name, None)
    found = getattr(found, "fget", getattr(found, "__func__", found))
    return MethodType(found, owner) if isinstance(found, FunctionType) else None


def attributes_of(function: Any) -> frozenset[str]:
    """The attributes that a function names, or one of the project's that it calls."""
    found: set[str] = set()
    seen: dict[int, Any] = {}
    stack = [function]
    while stack:
        value = stack.pop()
        value = getattr(value, "__func__", value)
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType):
            if library_name(value) is not None:
                continue
            found.update(names_in_code(value.__code__).others)
        elif not isinstance(value, functools.partial) and not hasattr(value, "__wrapped__"):
            continue
        stack += [each.value for each in called(value)]
    return frozenset(found)


def names_paths(function: Any) -> bool:
    """Whether the code of a function, or of one that it calls, names a file that is there."""
    seen: dict[int, Any] = {}
    stack = [function]
    while stack:
        value = stack.pop()
        value = getattr(value, "__func__", value)
        if id(value) in seen or library_name(value) is not None:
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType):
            texts = [each for each in _constants(value.__code__) if isinstance(each, str)]
            if any("://" in each or (each.strip("./") and os.path.exists(each)) for each in texts):
                return True
        stack += [each.value for each in called(value)]
    return False


def _constants(code: CodeType) -> Iterator[Any]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _constants(each)
        elif each is not code.co_consts[0] or not isinstance(each, str):  # the docstring, may be
            yield each


def method_name(function: Any) -> str | None:
    """The name of the method that a caller of methods calls."""
    if isinstance(function, methodcaller):
        return str(function.method)
    if isinstance(function, operator.methodcaller):
        reduced: Any = function.__reduce__()
        return str(reduced[1][0] if reduced[1] else reduced[0].args[0])
    return None


def is_used_up(function: Any) -> bool:
    """Whether the result of a function changes as it is read: an iterator, a random generator."""
    if isinstance(function, FunctionType):
        return inspect.isgeneratorfunction(function)
    found = in_table(function)
    if found is not None and found.reason == UNSEEDED:
        return True
    return isinstance(function, NAMED) and (function in ONCE or function.__module__ == "itertools")
