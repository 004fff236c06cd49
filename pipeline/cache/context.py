"""`with store:`: all that Dask computes meanwhile goes through a store.

The one file that leans on what Dask does not promise: that `dask.compute` and `dask.persist` ask
`dask.base.get_scheduler` for what runs a graph, and that whatever a client runs goes through
`Client._graph_to_futures`. `tests/cache/test_context.py` fails where that is no longer so;
`pipeline.compute(…, store=store)` needs none of it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import dask
import dask.base

from pipeline.cache.plan import make_plan
from pipeline.cache.remains import (
    annotations_of,
    expression,
    inside,
    is_inside,
    remaining,
    tasks_of,
)
from pipeline.cache.through import Through, counted
from pipeline.store import Store

if TYPE_CHECKING:
    from types import ModuleType

_entered: list[Store] = []
"""The stores that are in use, in all threads; the last of them is asked."""

_UNFUSED = {
    # Dask fuses after it has been decided what runs: each task has a result to store.
    "array_optimize": False,
    "bag_optimize": False,
    "delayed_optimize": False,
    "pipeline.recall": True,
}

_get_scheduler = dask.base.get_scheduler
_graph_to_futures: Any = None
_settings: Any = None


def enter(store: Store) -> Store:
    global _settings
    if not _entered:
        _settings = dask.config.set(_UNFUSED)
        dask.base.get_scheduler = _scheduler
        if (client := _clients()) is not None:
            _watch(client)
    _entered.append(store)
    return store


def leave(store: Store, *exception: Any) -> None:
    # The last of this store: others may have been entered since, in another thread.
    del _entered[max(place for place, each in enumerate(_entered) if each is store)]
    if not _entered:
        _settings.__exit__(*exception)
        dask.base.get_scheduler = _get_scheduler
        if (client := _clients()) is not None and _graph_to_futures is not None:
            client.Client._graph_to_futures = _graph_to_futures
    store.emit_warnings()


def _clients() -> ModuleType | None:
    """Dask's module of clients, if somebody has imported it: that takes half a second."""
    return sys.modules.get("distributed.client")


def _watch(client: ModuleType) -> None:
    global _graph_to_futures
    if client.Client._graph_to_futures is not _futures:
        _graph_to_futures = client.Client._graph_to_futures
        client.Client._graph_to_futures = _futures


def _scheduler(*args: Any, **kwargs: Any) -> Any:
    """What Dask asks for: the scheduler that it would take, by way of the store."""
    found = _get_scheduler(*args, **kwargs)
    if (client := _clients()) is not None:
        _watch(client)
        if isinstance(getattr(found, "__self__", None), client.Client):
            return found  # all that it runs is seen below
    if found is None or isinstance(found, Through) or is_inside():
        return found
    return Through(_entered[-1], found)


def _futures(client: Any, expr: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
    """What a client runs: what it was given, or what is left of that."""
    if is_inside() or not _entered:
        return _graph_to_futures(client, expr, keys, *args, **kwargs)
    store = _entered[-1]
    expr = expr.optimize() if hasattr(expr, "optimize") else expr
    if store.is_shared:
        annotations = annotations_of(expr)
        plan = make_plan(store, tasks_of(expr), list(keys), opening="none")
        counted(plan)
        alone = {key for each in annotations.values() for key in each}
        left = remaining(plan, plan.outputs, is_local=False, alone=alone, is_final=True)
        expr = expression(left, plan.outputs, annotations)
        store.log()
    else:
        store.warn_later("private", f"{store.url} is known to this process alone: a client's results "
                   "are not stored; give a folder, or a URL that the workers reach")  # fmt: skip
    store.emit_warnings()
    with inside():
        return _graph_to_futures(client, expr, keys, *args, **kwargs)
