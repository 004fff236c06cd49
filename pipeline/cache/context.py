"""`with store:`: all that Dask computes meanwhile goes through a store.

This file relies on two things that Dask does not promise. `dask.compute` and `dask.persist` call
`dask.base.get_scheduler`, and a client runs everything by `Client._graph_to_futures`.
`tests/cache/test_context.py` fails where that changes; `compute(…, store=store)` needs neither.
"""

import sys
from types import ModuleType
from typing import Any

import dask
import dask.base
from dask.typing import Key

from pipeline.cache.plan import Plan, final_key, make_plan
from pipeline.cache.running import (
    StoreScheduler,
    as_expression,
    count_plan,
    flush,
    is_planned,
    note_lost_scheduler,
    open_graph,
    planned,
    remaining_tasks,
    where_tasks_run,
)
from pipeline.graph import function_of, inputs_of
from pipeline.program import LoadTask
from pipeline.store import Store

_entered: list[Store] = []
"""The stores that are in use, in all threads; runs go through the last of them."""

_UNFUSED = {
    # Dask fuses after the plan is made: each task keeps its result.
    "array_optimize": False,
    "bag_optimize": False,
    "delayed_optimize": False,
    "pipeline.caching": True,
}

_get_scheduler = dask.base.get_scheduler
_graph_to_futures: Any = None
_settings: Any = None


def enter(store: Store) -> Store:
    """Begin to send runs through a store."""
    global _settings
    if not _entered:
        _settings = dask.config.set(_UNFUSED)
        dask.base.get_scheduler = _scheduler
        _watch_clients()
    _entered.append(store)
    return store


def leave(
    store: Store,
    kind: Any = None,
    error: BaseException | None = None,
    traceback: Any = None,
) -> None:
    """Stop sending runs through a store, as often as it was entered."""
    # The last one that is this store: another thread may have entered others since.
    place = max(place for place, entered in enumerate(_entered) if entered is store)
    del _entered[place]
    if not _entered:
        _settings.__exit__(kind, error, traceback)
        dask.base.get_scheduler = _get_scheduler
        if _graph_to_futures is not None:
            sys.modules["distributed.client"].Client._graph_to_futures = _graph_to_futures
    scheduler = _get_scheduler()
    note_lost_scheduler(error, store, scheduler)
    flush(store, scheduler)
    store.failures.emit_warnings()


def _watch_clients() -> ModuleType | None:
    """Have clients run their graphs through the store; the module of clients, if imported."""
    global _graph_to_futures
    client = sys.modules.get("distributed.client")  # importing it takes half a second
    if client is not None and client.Client._graph_to_futures is not _futures:
        _graph_to_futures = client.Client._graph_to_futures
        client.Client._graph_to_futures = _futures
    return client


def _scheduler(*args: Any, **kwargs: Any) -> Any:
    """In the place of `dask.base.get_scheduler`: its scheduler, behind the store."""
    scheduler = _get_scheduler(*args, **kwargs)
    client = _watch_clients()
    is_client = client is not None and isinstance(
        getattr(scheduler, "__self__", None), client.Client
    )
    # What a client runs goes through `_futures`.
    if scheduler is None or is_client or isinstance(scheduler, StoreScheduler) or is_planned.get():
        return scheduler
    return StoreScheduler(_entered[-1], scheduler)


def _futures(client: Any, expr: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
    """In the place of `Client._graph_to_futures`: it gets what the store does not have."""
    if is_planned.get() or not _entered:
        return _graph_to_futures(client, expr, keys, *args, **kwargs)
    store = _entered[-1]
    expr = expr.optimize() if hasattr(expr, "optimize") else expr
    if store.is_shared:
        tasks, outputs, annotations, inner = open_graph(expr, list(keys))
        process = where_tasks_run(client.get)
        plan = make_plan(
            store, tasks, outputs, is_local=False, is_final=True, process=process, inner=inner
        )
        count_plan(plan)
        gathering = {key: _gathering(plan, key) for key in {*keys} - {*outputs}}
        tasks = gathering | remaining_tasks(plan, outputs, annotations)
        expr = as_expression(tasks, list(keys), annotations)
        store.log()
    else:
        store.failures.warn_later(
            "private",
            f"{store.url} is known to this process alone: a client's results are not stored; "
            "give a folder, or a URL that the workers reach",
        )
    store.failures.emit_warnings()
    with planned():
        return _graph_to_futures(client, expr, keys, *args, **kwargs)


def _gathering(plan: Plan, key: Key) -> Any:
    """A task that only gathers outputs: they are stored, and it is not."""
    node = plan.tasks[key]
    statuses = {plan.status.get(final_key(plan.tasks, source)) for source in inputs_of(node)}
    if statuses != {"hit"}:
        return node
    return LoadTask(key, function_of(node), tuple(inputs_of(node)), False)
