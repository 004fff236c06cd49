"""What an object holds: what pickle would store of it, or what the object reports itself."""

from __future__ import annotations

import copyreg
import functools
import pickle
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from dask.base import is_dask_collection

from pipeline import PipelineError
from pipeline.identity.arrays import TABLE_MODULES, table_content, tensor_content, without_blocks
from pipeline.identity.attributes import MISSING, held, member_of, plain_state, type_part
from pipeline.identity.code.modules import Library, UnknownModule, namespace
from pipeline.identity.code.references import is_held
from pipeline.identity.files import file_handle
from pipeline.identity.text import short_repr


class UnkeyableError(PipelineError, TypeError):
    """A value has no content that a key could contain."""


class UnknownError(UnkeyableError):
    """A value holds a call, or another Dask collection, whose value is not known yet."""


class Unknown:
    """Base of values that are not known yet, such as calls: they have no content."""

    __slots__ = ()


def state_of(value: Any, is_reached: bool = False) -> Any:
    """The content of an object: what pickle would store, or what the object itself reports.

    is_reached: by a function, so that it is no argument, whose files are tracked when a task runs

    Raises `UnkeyableError`, and `UnknownError` for a call or another Dask collection.
    """
    kind = type(value)
    if kind is UnknownModule:
        raise UnkeyableError(str(value))
    # `is_dask_collection` asks for the graph, and a call would trace it.
    if isinstance(value, Unknown) or (
        member_of(kind, "__dask_graph__") is not MISSING and is_dask_collection(value)
    ):
        raise UnknownError(f"no key for {short_repr(value)}: its value is not known yet")
    try:
        if kind is object:
            raise TypeError("it has no state")
        if (handle := file_handle(value)) is not None:
            if handle.paths and is_reached:
                raise TypeError(f"it reads {handle.paths[0]}; pass it to the function")
            return handle.state
        if callable(tokenize := member_of(kind, "__dask_tokenize__")):
            return _wrapping(value) or tokenize(value)
        is_table = f"{type_part(kind, '__module__')}.".startswith(TABLE_MODULES)
        content = (is_table and table_content(value)) or tensor_content(value)
        return _built_in_state(value) or content or _pickled(value)
    except OSError as error:
        raise UnkeyableError(f"no key for {short_repr(value)}: {error.strerror}") from error
    except Exception as error:
        raise UnkeyableError(
            f"no key for a {kind.__qualname__}: {error}; pass what it is made from, or give its "
            "class a __dask_tokenize__"
        ) from error


def _wrapping(value: Any) -> Any:
    """What an object of Dask wraps a function with; None for others. Its token has only a name."""
    module = type_part(type(value), "__module__")
    if not f"{module}.".startswith("dask.") or "__reduce__" not in type_part(
        type(value), "__dict__"
    ):
        return None
    parts = value.__reduce__()
    is_wrapping = type(parts) is tuple and any(isinstance(part, FunctionType) for part in parts[1])
    return parts if is_wrapping else None


def _built_in_state(value: Any) -> tuple[Any, ...] | None:
    """The state of an object whose pickle depends on more than its value; None for others."""
    attributes = namespace(value)
    match value:
        case MethodType():
            return (value.__func__, without_blocks(value) or value.__self__)
        case functools.partial():  # asking for its attributes creates them
            return (value.func, value.args, value.keywords, attributes or None)
        case np.ma.MaskedArray():  # printing it changes its pickle
            mask = np.ma.getmaskarray(value)
            return (np.asarray(value.data), mask, value.fill_value, value.hardmask)
        case np.ndarray():
            return (np.asarray(value), attributes)
        case set() | frozenset():
            return (set(value) if isinstance(value, set) else frozenset(value), attributes)
    return None


def _pickled(value: Any) -> Any:
    """What pickle would store, without the values of cached properties."""
    reduce = copyreg.dispatch_table.get(type(value))
    state = reduce(value) if reduce else plain_state(value) or value.__reduce_ex__(4)
    if isinstance(state, str):
        return _global(value, state)
    # A callable, its arguments, the state, and iterators over list and dict items.
    parts = [list(part) if isinstance(part, Iterator) else part for part in state]
    if len(parts) > 2 and type(parts[2]) is dict:
        parts[2] = {name: item for name, item in parts[2].items() if not _is_cached(value, name)}
    while parts and not parts[-1]:  # an empty state says no more than none
        parts.pop()
    return parts


def _is_cached(value: Any, name: str) -> bool:
    return isinstance(member_of(type(value), name), functools.cached_property)


def _global(value: Any, name: str) -> Any:
    """A value that pickle stores by name: a wrapped function, or a value that its module holds."""
    if (wrapped := held(value, "__wrapped__", MISSING)) is not MISSING:
        return (name, wrapped)
    module = held(value, "__module__") or type_part(type(value), "__module__")
    if is_held(value, module, name):
        return name
    if isinstance(value, np.ufunc):  # which has no `__module__`
        module = pickle.whichmodule(value, name)  # type: ignore[attr-defined] # not in typeshed
        if module != "__main__":
            return (name, Library(module))
    raise TypeError(f"no module holds it under its name, {name}")
