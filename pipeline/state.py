"""What an object is made of: what pickle would store of it, or what it says itself."""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline import frames
from pipeline.reach import at_its_name
from pipeline.units import brief


class UnkeyableError(TypeError):
    """An argument has no content that a key could be made of."""


class UnknownError(UnkeyableError):
    """A value holds a call, or another Dask collection, whose value is not known yet."""


def state_of(value: Any) -> Any:
    """What pickle, or the object itself, holds to be its content."""
    kind = type(value)
    if hasattr(kind, "__dask_graph__"):
        raise UnknownError(f"no key for {brief(value)}: its value is not known yet")
    try:
        if kind is object:
            raise TypeError("it has no state")
        if f"{kind.__module__}.".startswith(frames.KINDS):
            content = frames.content_of(value)
            if content is not None:
                return content
        if kind is np.ma.MaskedArray:  # to print one changes what pickle holds of it
            mask = np.ma.getmaskarray(value)
            return (np.asarray(value.data), mask, value.fill_value, value.hardmask)
        if callable(tokenize := getattr(kind, "__dask_tokenize__", None)):
            return tokenize(value)
        reduce = copyreg.dispatch_table.get(kind)
        state = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        if isinstance(state, str):
            return _global(value, state)
    except Exception as error:
        raise UnkeyableError(
            f"no key for a {kind.__qualname__}: {error}; pass what it is made from, or give its "
            "class a __dask_tokenize__"
        ) from error
    # A callable, its arguments, the state, and iterators over list and dict items.
    return [list(part) if isinstance(part, Iterator) else part for part in state]


def _global(value: Any, name: str) -> Any:
    """What pickle would look up by its name: a wrapped function, or what is there indeed."""
    if hasattr(value, "__wrapped__"):
        return (name, value.__wrapped__)
    if at_its_name(value, name) is None:
        raise TypeError(f"nothing bears its name, {name}")
    return name
