"""What an object is made of: what pickle would store of it, or what it says itself."""

from __future__ import annotations

import copyreg
import functools
import pickle
from collections.abc import Callable, Iterator, Mapping
from types import MethodType
from typing import Any

import numpy as np
from dask.base import is_dask_collection

from pipeline.identity import frames
from pipeline.identity.references import Library, at_its_name
from pipeline.identity.text import short_repr


class UnkeyableError(TypeError):
    """An argument has no content that a key could be made of."""


class UnknownError(UnkeyableError):
    """A value holds a call, or another Dask collection, whose value is not known yet."""


def state_of(value: Any) -> Any:
    """What pickle, or the object itself, holds to be its content."""
    kind = type(value)
    # To ask a call of ours whether it is a collection would be to trace it.
    if hasattr(kind, "__dask_graph__") and (
        hasattr(kind, "task_graph") or is_dask_collection(value)
    ):
        raise UnknownError(f"no key for {short_repr(value)}: its value is not known yet")
    try:
        if kind is object:
            raise TypeError("it has no state")
        if callable(tokenize := getattr(kind, "__dask_tokenize__", None)):
            return tokenize(value)
        for known, content in _KINDS.items():
            if isinstance(value, known):
                return content(value)
        if f"{kind.__module__}.".startswith(frames.KINDS):
            found = frames.content_of(value)
            if found is not None:
                return found
        return _pickled(value)
    except OSError as error:
        raise UnkeyableError(f"no key for {short_repr(value)}: {error.strerror}") from error
    except Exception as error:
        raise UnkeyableError(
            f"no key for a {kind.__qualname__}: {error}; pass what it is made from, or give its "
            "class a __dask_tokenize__"
        ) from error


def _pickled(value: Any) -> Any:
    """What pickle would store, but for what has been computed from it."""
    reduce = copyreg.dispatch_table.get(type(value))
    state = reduce(value) if reduce is not None else value.__reduce_ex__(4)
    if isinstance(state, str):
        return _global(value, state)
    # A callable, its arguments, the state, and iterators over list and dict items.
    parts = [list(part) if isinstance(part, Iterator) else part for part in state]
    if len(parts) > 2 and type(parts[2]) is dict:
        members = {name: each for kind in type(value).__mro__ for name, each in vars(kind).items()}
        parts[2] = {
            name: each
            for name, each in parts[2].items()
            if not isinstance(members.get(name), functools.cached_property)
        }
    while parts and not parts[-1]:  # an empty state says no more than none
        parts.pop()
    return parts


def _attributes(value: Any) -> dict[str, Any]:
    return getattr(value, "__dict__", {})


def _masked(value: np.ma.MaskedArray[Any, Any]) -> tuple[Any, ...]:
    # To print one changes what pickle holds of it.
    mask = np.ma.getmaskarray(value)
    return (np.asarray(value.data), mask, value.fill_value, value.hardmask)


_KINDS: Mapping[type, Callable[[Any], Any]] = {
    MethodType: lambda value: (value.__func__, value.__self__),
    # Pickle tells whether anybody has asked for its attributes.
    functools.partial: lambda value: (
        value.func,
        value.args,
        value.keywords,
        _attributes(value) or None,
    ),
    np.ma.MaskedArray: _masked,
    np.ndarray: lambda value: (np.asarray(value), _attributes(value)),
    set: lambda value: (set(value), _attributes(value)),
    frozenset: lambda value: (frozenset(value), _attributes(value)),
}
"""What values of these types, or of those derived from them, are made of."""


def _global(value: Any, name: str) -> Any:
    """What pickle would look up by its name: a wrapped function, or what is there indeed."""
    if hasattr(value, "__wrapped__"):
        return (name, value.__wrapped__)
    if at_its_name(value, name) is not None:
        return name
    if isinstance(value, np.ufunc):  # which do not say where they are from
        module = pickle.whichmodule(value, name)  # type: ignore[attr-defined] # not in typeshed
        if module != "__main__":
            return Library(module, name)
    raise TypeError(f"nothing bears its name, {name}")
