"""Execution: the schedulers by name, and the way from collections to values."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import dask
import dask.base
import dask.local
import dask.multiprocessing
import dask.threaded
from dask._expr import Expr
from dask.base import unpack_collections
from dask.utils import shorten_traceback

from pipeline.graph import TaskGraph
from pipeline.lazy import Lazy
from pipeline.opened import Loose, unfused
from pipeline.optimize import ready
from pipeline.share import sharing
from pipeline.store import Store
from pipeline.through import Through

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

SCHEDULERS = ("sync", "threads", "processes", "distributed")
"""Names of schedulers; the address of a running one, `tcp://host:port`, is another."""


class SchedulerError(ValueError):
    """A scheduler that is not known."""


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
        foreign = [place for place, each in enumerate(found) if not hasattr(type(each), "_traced")]
        shared = sharing(*(found[place] for place in foreign)).collections
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
        each.finished(value) if isinstance(each, Loose) else value
        for each, value in zip(loose, values, strict=True)
    )


def _optimizer(collection: Any) -> Any:
    """By what Dask groups collections; those that are expressions are one group."""
    if isinstance(getattr(collection, "expr", None), Expr):
        return None
    return getattr(collection, "__dask_optimize__", None)


def _fusing(fuse: bool) -> AbstractContextManager[Any]:
    return nullcontext() if fuse else dask.config.set({"pipeline.fuse": False})


def _compute(self: Lazy | TaskGraph, *, fuse: bool = True, **options: Any) -> Any:
    """The value of this collection.

    fuse: False to run the graph task by task, as it is drawn
    options: as for `dask.compute`: scheduler, num_workers, and the like
    """
    with _fusing(fuse):
        get = dask.base.get_scheduler(scheduler=options.get("scheduler"), collections=[self])
        if get not in _LOCAL or options.keys() - {"scheduler", "num_workers", "pool"}:
            return dask.compute(self, traverse=False, **options)[0]
        # What Dask does for collections of many kinds takes longer than a tape of 1,000 steps.
        options.pop("scheduler", None)
        graph = self._traced()
        with shorten_traceback():
            values = get(ready([graph]), graph.keys, **options)
        finish, arguments = graph.__dask_postcompute__()
        return finish(values, *arguments)


_LOCAL = (dask.local.get_sync, dask.threaded.get, dask.multiprocessing.get)

Lazy.compute = TaskGraph.compute = _compute


@contextmanager
def on(scheduler: str) -> Iterator[None]:
    """Have Dask compute on a scheduler meanwhile, started before and ended after.

    `processes` keeps its workers between computations. `distributed` is a cluster of this machine
    alone, bound to 127.0.0.1; an address is that of a running cluster, which is left running.
    Raises `SchedulerError` for an unknown scheduler, `ConnectionError` where none answers.

    In a script, `processes` and `distributed` need `if __name__ == "__main__":` around what runs:
    Python starts their workers by importing the script again.
    """
    with ExitStack() as stack:
        if scheduler in ("sync", "threads"):
            stack.enter_context(dask.config.set(scheduler=scheduler, pool=None))
        elif scheduler == "processes":
            pool = stack.enter_context(_pool())
            stack.enter_context(dask.config.set(scheduler="processes", pool=pool))
        elif scheduler == "distributed":
            stack.enter_context(_cluster())
        elif scheduler.startswith("tcp://"):
            stack.enter_context(_client(scheduler))
        else:
            raise SchedulerError(
                f"unknown scheduler {scheduler!r}: it is one of {', '.join(SCHEDULERS)}, or the "
                "address of a running one, tcp://host:port"
            )
        yield


@contextmanager
def _pool() -> Iterator[Any]:
    from concurrent.futures import ProcessPoolExecutor

    from dask.multiprocessing import get_context
    from dask.system import CPU_COUNT

    workers = dask.config.get("num_workers", None) or CPU_COUNT
    with ProcessPoolExecutor(workers, mp_context=get_context()) as pool:
        yield pool


_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
"""Run by each worker: a Ctrl-C is for whoever started the cluster, and then ends it."""


@contextmanager
def _cluster() -> Iterator[None]:
    import logging

    from distributed import Client, LocalCluster

    # What a cluster says while it goes down is of no use to who asked it for a number.
    with (
        dask.config.set(
            {
                "distributed.comm.timeouts.connect": "30s",
                "distributed.worker.preload": [_DEAF],
            }
        ),
        LocalCluster(
            host="127.0.0.1",
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster),
    ):
        try:
            yield
        except KeyboardInterrupt:  # what its loop says of tasks that are cut off is no news
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise


_PATIENCE = 10.0
"""Seconds that a running cluster has to answer."""


@contextmanager
def _client(address: str) -> Iterator[None]:
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no scheduler answers at {address}: {error}; start one with `dask scheduler`"
        ) from error
    with client:
        yield
