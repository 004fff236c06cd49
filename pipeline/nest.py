"""Structures of values: lists, tuples, sets, dicts and dataclasses, nested as Dask nests them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from dask.task_spec import TaskRef
from dask.utils import is_namedtuple_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask.typing import Key


def nest(structure: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same structure of lists, tuples, sets, dicts and dataclasses, with other leaves.

    >>> nest({"a": [1, (2,)]}, str)
    {'a': ['1', ('2',)]}
    """
    items = _items(structure)
    if items is None:
        return leaf(structure)
    new = [nest(each, leaf) for each in items]
    kind = type(structure)
    if kind is dict:
        return dict(zip(structure, new, strict=True))
    return kind(new) if kind in (list, tuple, set) else kind(*new)


def leaves(structure: Any) -> Iterator[Any]:
    """What stands in a nested structure, in order."""
    items = _items(structure)
    if items is None:
        yield structure
        return
    for each in items:
        yield from leaves(each)


def references(structure: Any) -> list[Key]:
    """The keys in a nested structure, in order, repeated as they stand."""
    return [leaf.key for leaf in leaves(structure) if isinstance(leaf, TaskRef)]


def _items(structure: Any) -> Iterable[Any] | None:
    kind = type(structure)
    if kind in (list, tuple, set) or is_namedtuple_instance(structure):
        return cast("Iterable[Any]", structure)
    if kind is dict:
        return cast("Iterable[Any]", structure.values())
    if dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        return [getattr(structure, each.name) for each in dataclasses.fields(structure)]
    return None
