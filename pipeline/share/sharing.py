"""`share`: one key per subproblem, in any Dask collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.base import is_dask_collection, unpack_collections
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from pipeline.graph import toposort
from pipeline.identity import short_hash, short_repr
from pipeline.share.merging import Merged
from pipeline.share.opening import (
    Opened,
    dict_of_tasks,
    frames,
    fuse_lines,
    is_annotated,
    is_frame,
    is_graph,
    opened,
    together,
)
from pipeline.share.report import ShareReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dask.typing import Key


def share(*collections: Any, keys: Any = None) -> Any:
    """The same collections, in which equal subproblems have one key.

    collections: delayed objects, arrays, dataframes, bags, calls, graphs, or any other Dask
        collections, shared together; nested as `dask.compute` nests them; also plain dicts of
        tasks, of which those stay that `keys` names, or else those that no other task takes

    Gives one collection for one, a tuple for several, of the same types, and with the same values.
    Tasks are equal if their functions are, and their arguments: constants by content, inputs by
    what they are computed from. Impure tasks, and those with a value that has no content, are
    left as they are; `share_report` tells which. Raises `GraphError` for a cycle.

    >>> from dask import delayed
    >>> one, two = (delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)]) for _ in "ab")
    >>> one, two = share(one, two)
    >>> [len(dict(each.dask)) for each in (one, two)]
    [2, 2]
    """
    shared = share_report(*collections, keys=keys).collections
    return shared[0] if len(shared) == 1 else shared


def share_report(*collections: Any, keys: Any = None) -> ShareReport:
    """What `share` gives, as `collections`, and a report of what it did.

    The report has the tasks `before` and `after`, the sharing `factor`, the `subproblems` that were
    merged, what is held apart as `impure`, and what has no content, as `unknown`; as text it
    says them all.
    """
    asked = [_unpacked(each) for each in collections]
    found = _opened([each for parts, _ in asked for each in parts], keys)
    kept = [key for each in found if each.is_bound for key in each.keys]
    loose = [key for each in found if not each.is_bound for key in each.keys]
    merged = Merged(together(found), kept, loose)
    closed = iter(_closed(found, merged))
    new = tuple(rebuilt([next(closed) for _ in parts]) for parts, rebuilt in asked)
    merged.apart.update(each.note for each in found if each.note)
    return ShareReport(new, merged, list(dict.fromkeys([*kept, *loose])))


_ANNOTATED = "a collection with annotations, which is left as it is"


def _unpacked(asked: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The collections in an argument, and how the argument is made of others."""
    if is_dask_collection(asked) or is_graph(asked):
        return [asked], lambda new: new[0]
    parts, repack = unpack_collections(asked)
    return parts, lambda new: repack(new)[0]


def _opened(parts: Sequence[Any], keys: Any) -> list[Opened]:
    if keys is not None and not any(map(is_graph, parts)):
        raise TypeError(
            f"keys={short_repr(keys)}: only a dict of tasks needs keys; collections have them"
        )
    seen: set[int] | None = set() if len(parts) > 1 else None
    tables = iter(frames([each for each in parts if is_frame(each)]))
    found = []
    for each in parts:
        if is_graph(each):
            found.append(dict_of_tasks(each, keys))
        elif is_frame(each):
            found.append(next(tables))
        elif is_annotated(each):
            found.append(Opened(each, {}, [], lambda *_: None, note=_ANNOTATED))
        else:
            found.append(opened(each, seen))
    return found


def _closed(found: Sequence[Opened], merged: Merged) -> Iterator[Any]:
    """The collections, made of the tasks that are left; those that share nothing as they are."""
    many = sum(isinstance(each.given, Delayed) for each in found) > _MANY
    common = _one_layer(merged.tasks) if many else merged.tasks
    kept = [key for each in found if each.is_bound for key in each.keys]
    in_lines = fuse_lines(merged.tasks, kept) if any(each.is_frame for each in found) else {}
    for each in found:
        is_many = many and isinstance(each.given, Delayed)
        is_touched = merged.repeats if is_many else merged.touches(each.tasks)
        if not (is_touched or each.is_plain or each.is_tree):
            yield each.given
        elif is_many:
            yield each.closed(common, merged)  # else each would hold a copy of what they share
        elif each.is_frame:
            yield each.closed(toposort(in_lines, each.keys), merged)
        elif len(found) == 1:
            yield each.closed(merged.tasks, merged)
        else:
            keys = each.keys if each.is_bound else map(merged.one_of, each.keys)
            yield each.closed(toposort(merged.tasks, keys), merged)


def _one_layer(tasks: Mapping[Key, Any]) -> HighLevelGraph:
    """A graph of one layer, by which Dask knows it again."""
    name = f"shared-{short_hash(tuple(map(str, tasks)))}"
    return HighLevelGraph({name: MaterializedLayer(tasks)}, {name: set()})


_MANY = 8
"""Delayed objects from which on they have one graph together."""
