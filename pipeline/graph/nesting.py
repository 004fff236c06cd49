"""Structures of values: lists, tuples, sets, dicts, dataclasses and slices, as Dask nests them."""

from __future__ import annotations

import dataclasses
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from dask.task_spec import TaskRef
from dask.utils import is_namedtuple_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask.typing import Key


def map_leaves(structure: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same structure of lists, tuples, sets, dicts and dataclasses, with other leaves.

    >>> map_leaves({"a": [1, (2,)]}, str)
    {'a': ['1', ('2',)]}
    """
    inner = children(structure)
    if inner is None:
        return leaf(structure)
    old = list(inner)
    new = [map_leaves(each, leaf) for each in old]
    kind = type(structure)
    if kind is dict:
        return dict(zip(structure, new, strict=True))
    if kind in (list, tuple, set):
        return kind(new)
    if all(a is b for a, b in zip(old, new, strict=True)):
        return structure
    if dataclasses.is_dataclass(structure):
        return _with_fields(structure, new)
    return kind(*new)


def _with_fields(structure: Any, values: list[Any]) -> Any:
    # Not through `__init__`, which may do more than set the fields.
    new = copy(structure)
    for each, value in zip(dataclasses.fields(structure), values, strict=True):
        object.__setattr__(new, each.name, value)
    return new


def leaves(structure: Any) -> Iterator[Any]:
    """What stands in a nested structure, in order."""
    inner = children(structure)
    if inner is None:
        yield structure
        return
    for each in inner:
        yield from leaves(each)


def references(structure: Any) -> list[Key]:
    """The keys in a nested structure, in order, repeated as they stand."""
    return [leaf.key for leaf in leaves(structure) if isinstance(leaf, TaskRef)]


def children(structure: Any) -> Iterable[Any] | None:
    """What stands directly in a structure; None for what is no structure."""
    kind = type(structure)
    if kind in (list, tuple, set) or is_namedtuple_instance(structure):
        return cast("Iterable[Any]", structure)
    if kind is dict:
        return cast("Iterable[Any]", structure.values())
    if kind is slice:
        return (structure.start, structure.stop, structure.step)
    if dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        return [getattr(structure, each.name) for each in dataclasses.fields(structure)]
    return None
