"""`compute()`: the whole path, from any Dask collections to their values."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import dask
import dask.base
import dask.local
import dask.multiprocessing
import dask.threaded
from dask._expr import Expr
from dask.base import unpack_collections
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.utils import shorten_traceback

from pipeline.graph import GraphCollection
from pipeline.identity import library_name
from pipeline.program import runnable_tasks
from pipeline.schedule import scheduler as using_scheduler

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pipeline.store import Store

_LOCAL = (dask.local.get_sync, dask.threaded.get, dask.multiprocessing.get)


def compute(
    *collections: Any, scheduler: str | None = None, fuse: bool = True, share: bool = False,
    store: Store | str | os.PathLike[str] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """The values of any Dask collections, computed together, nested as `dask.compute` nests them.

    scheduler: one of `SCHEDULERS` or an address; without it, whatever Dask is set to
    fuse: False to run calls and graphs task by task, as they are drawn
    share: True to merge equal tasks, as `share` does; calls and graphs stay as they are, for
        `memoize` decides which of their tasks are one
    store: a store or its URL: stored results are loaded, and computed ones are stored

    Raises `SchedulerError` for an unknown scheduler, and what a task raises, with a note that
    names the call.

    >>> from pipeline.apps.fibonacci import fib
    >>> compute(fib(6), {"seven": fib(7)}, scheduler="sync")
    (8, {'seven': 13})
    """
    leaves, repack = _unpacked(collections)
    if not leaves:
        return collections
    with _reading(leaves, share and store is not None):
        named = using_scheduler(scheduler) if scheduler is not None else nullcontext()
        with named, _fusing(fuse):
            if share:
                leaves = _shared(leaves)
            # Group by group: Dask 2026.8 mixes up the results otherwise (see `optimizer_of`).
            groups = [_optimizer(collection) for collection in leaves]
            order = sorted(range(len(leaves)), key=lambda place: groups.index(groups[place]))
            values = _values([leaves[place] for place in order], store)
    by_place = dict(zip(order, values, strict=True))
    packed: tuple[Any, ...] = repack([by_place[place] for place in range(len(leaves))])
    return packed


def _unpacked(collections: tuple[Any, ...]) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The collections in some arguments, and what puts their values in their places."""
    if all(type(part) is Delayed for part in collections):  # the rest takes 100 µs
        return list(collections), tuple
    leaves, repack = unpack_collections(*collections)
    return leaves, repack


def _shared(collections: list[Any]) -> list[Any]:
    from pipeline.share import share_for_run

    others = [part for part in collections if not isinstance(part, GraphCollection)]
    shared = iter(share_for_run(*others))
    return [part if isinstance(part, GraphCollection) else next(shared) for part in collections]


def _reading(collections: list[Any], is_planned: bool) -> AbstractContextManager[None]:
    """For `share` and the plan of a run: what they read is read once, if nothing may change it.

    Between the two, calls may run their bodies, and dataframes the functions that they map.
    """
    if not is_planned or not all(map(_is_quiet, collections)):
        return nullcontext()
    from pipeline.share import reading_once

    return reading_once()


def _is_quiet(collection: Any) -> bool:
    """Whether a collection runs no code of the project until its tasks run."""
    kind = type(collection)
    is_expression = isinstance(collection, GraphCollection) or hasattr(kind, "expr")
    return library_name(kind) is not None and not is_expression


def _values(collections: list[Any], store: Any) -> tuple[Any, ...]:
    if store is None:
        return tuple(dask.compute(*collections, traverse=False))
    # Late: they take half of the time of a short command, and most runs have no store.
    from pipeline.cache import StoreScheduler
    from pipeline.share import Blocks, unfused
    from pipeline.store import Store

    store = store if isinstance(store, Store) else Store(store)
    scheduler = StoreScheduler(store, dask.base.get_scheduler(collections=collections))
    # Each task has a result to store, as each call has. The remaining tasks are fused later.
    parts = [part if isinstance(part, GraphCollection) else unfused(part) for part in collections]
    if all(map(_is_plain, parts)):  # what Dask does besides takes half a millisecond
        graph = HighLevelGraph.merge(*(part.__dask_graph__() for part in parts))
        with shorten_traceback():
            return tuple(scheduler(graph, [part.key for part in parts]))
    values = dask.compute(*parts, traverse=False, optimize_graph=False, scheduler=scheduler)
    return tuple(
        part.assemble(value) if isinstance(part, Blocks) else value
        for part, value in zip(parts, values, strict=True)
    )


def _is_plain(collection: Any) -> bool:
    """Whether a collection is one task of a graph without annotations."""
    if type(collection) is not Delayed:
        return False
    layers = getattr(collection.__dask_graph__(), "layers", {})
    return not any(layer.annotations for layer in layers.values())


def _optimizer(collection: Any) -> Any:
    """What Dask groups collections by; all that are expressions are one group."""
    if isinstance(getattr(collection, "expr", None), Expr):
        return None
    return getattr(collection, "__dask_optimize__", None)


def _fusing(fuse: bool) -> AbstractContextManager[Any]:
    return nullcontext() if fuse else dask.config.set({"pipeline.fuse": False})


def compute_one(collection: GraphCollection, fuse: bool, options: dict[str, Any]) -> Any:
    """The value of a call or graph, for their method `compute`.

    options: as for `dask.compute`: scheduler, num_workers, and the like
    """
    with _fusing(fuse):
        get = dask.base.get_scheduler(scheduler=options.get("scheduler"), collections=[collection])
        if get not in _LOCAL or options.keys() - {"scheduler", "num_workers", "pool"}:
            return dask.compute(collection, traverse=False, **options)[0]
        # Dask's own path takes longer than a program of 1,000 steps.
        options.pop("scheduler", None)
        graph = collection.task_graph()
        with shorten_traceback():
            values = get(runnable_tasks([graph]), graph.keys, **options)
        finish, arguments = graph.__dask_postcompute__()
        return finish(values, *arguments)
