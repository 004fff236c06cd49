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
from dask.utils import shorten_traceback

from pipeline.cache import Through
from pipeline.graph import GraphCollection
from pipeline.program import runnable_tasks
from pipeline.schedule import scheduler as on
from pipeline.share import Blocks, share_report, unfused
from pipeline.store import Store

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager


def compute(
    *collections: Any, scheduler: str | None = None, fuse: bool = True, share: bool = False,
    store: Store | str | os.PathLike[str] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """The values of any Dask collections, computed together, nested as `dask.compute` nests them.

    scheduler: one of `SCHEDULERS` or an address; without it, whatever Dask is set to
    fuse: False to run calls and graphs task by task, as they are drawn
    share: True to compute equal subproblems once, as `share` does; calls and graphs stay as they
        are, for they say themselves what is one task
    store: from which results are loaded, and where those that are computed are kept; or its URL

    Raises `SchedulerError` for an unknown scheduler, and what a task raises, with a note that
    names the call.

    >>> from pipeline.apps.fibonacci import fib
    >>> compute(fib(6), {"seven": fib(7)}, scheduler="sync")
    (8, {'seven': 13})
    """
    found, repack = unpack_collections(*collections)
    if not found:
        return collections
    if share:
        foreign = [
            place for place, each in enumerate(found) if not isinstance(each, GraphCollection)
        ]
        shared = share_report(*(found[place] for place in foreign)).collections
        for place, each in zip(foreign, shared, strict=True):
            found[place] = each
    with on(scheduler) if scheduler is not None else nullcontext(), _fusing(fuse):
        # One group after the other: else Dask 2026.8 mixes up the results (see `OwnOptimizer`).
        groups = [_optimizer(each) for each in found]
        order = sorted(range(len(found)), key=lambda place: groups.index(groups[place]))
        values = _computed([found[place] for place in order], store)
    placed = dict(zip(order, values, strict=True))
    packed: tuple[Any, ...] = repack([placed[place] for place in range(len(found))])
    return packed


def _computed(collections: list[Any], store: Any) -> tuple[Any, ...]:
    if store is None:
        return tuple(dask.compute(*collections, traverse=False))
    if not isinstance(store, Store):
        store = Store(store)
    through = Through(store, dask.base.get_scheduler(collections=collections))
    # Not fused: a result is of one task. What is left to run is fused afterwards.
    loose = [unfused(each) for each in collections]
    values = dask.compute(*loose, traverse=False, optimize_graph=False, scheduler=through)
    return tuple(
        each.assemble(value) if isinstance(each, Blocks) else value
        for each, value in zip(loose, values, strict=True)
    )


def _optimizer(collection: Any) -> Any:
    """By what Dask groups collections; those that are expressions are one group."""
    if isinstance(getattr(collection, "expr", None), Expr):
        return None
    return getattr(collection, "__dask_optimize__", None)


def _fusing(fuse: bool) -> AbstractContextManager[Any]:
    return nullcontext() if fuse else dask.config.set({"pipeline.fuse": False})


def compute_one(collection: GraphCollection, fuse: bool, options: dict[str, Any]) -> Any:
    """The value of this collection.

    fuse: False to run the graph task by task, as it is drawn
    options: as for `dask.compute`: scheduler, num_workers, and the like
    """
    with _fusing(fuse):
        get = dask.base.get_scheduler(scheduler=options.get("scheduler"), collections=[collection])
        if get not in _LOCAL or options.keys() - {"scheduler", "num_workers", "pool"}:
            return dask.compute(collection, traverse=False, **options)[0]
        # What Dask does for collections of many kinds takes longer than a tape of 1,000 steps.
        options.pop("scheduler", None)
        graph = collection.task_graph()
        with shorten_traceback():
            values = get(runnable_tasks([graph]), graph.keys, **options)
        finish, arguments = graph.__dask_postcompute__()
        return finish(values, *arguments)


_LOCAL = (dask.local.get_sync, dask.threaded.get, dask.multiprocessing.get)
