"""What a function, an object or a class may call when it is called, as far as its code says."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pipeline.names import names
from pipeline.reach import cells, mentions

if TYPE_CHECKING:
    from collections.abc import Iterator


def called(value: Any) -> Iterator[tuple[Any, str, bool]]:
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
    elif isinstance(call := vars(type(value)).get("__call__"), FunctionType):
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
