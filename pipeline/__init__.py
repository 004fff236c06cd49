"""Explicit memoization on Dask task graphs.

A recursive function becomes a Dask graph twice: the tree, one task per call, and the DAG, one task
per distinct subproblem. The two differ in the key that a call is given, and in nothing else.

From the ground up; a folder imports only from those before it:

- `identity` – what is the same? Values and functions as digests
- `graph` – tasks, keys, tree and DAG
- `trace` – Python functions become graphs
- `program` – many cheap tasks run as one
- `schedule` – Dask's schedulers, and what they did
- `share` – equal tasks of any collection are merged
- `store` – digest → result, on disk or at a URL
- `cache` – a graph through a store
- `draw`, `page` – pictures, and one HTML file
- `compute.py` – the whole path of `compute()`
- `apps`, `cli` – Fibonacci, a gallery, networks; the `pipeline` command
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.cache import memoize
    from pipeline.compute import compute
    from pipeline.draw import Picture, Style, contrast, race, timeline
    from pipeline.graph import GraphError, LimitError, TaskGraph, count, occurrences
    from pipeline.identity import File, UnkeyableError, digest
    from pipeline.page import report
    from pipeline.program import BudgetError, CompiledGraph, fuse
    from pipeline.schedule import SchedulerError, measure, record, scheduler
    from pipeline.share import impure, pure, share, share_report
    from pipeline.store import Store, StoreError, StoreWarning, register_format, storable
    from pipeline.trace import (
        Call,
        LazyArgumentError,
        LazyValueError,
        Recurrence,
        StaleCallError,
        maximum,
        minimum,
        recurrence,
        task,
        trace,
        where,
    )

__all__ = [
    "BudgetError", "Call", "CompiledGraph", "File", "GraphError", "LazyArgumentError",
    "LazyValueError", "LimitError", "Picture", "PipelineError", "Recurrence", "SchedulerError",
    "StaleCallError", "Store", "StoreError", "StoreWarning", "Style", "TaskGraph",
    "UnkeyableError", "compute", "contrast", "count", "digest", "fuse", "impure", "maximum",
    "measure", "memoize", "minimum", "occurrences", "pure", "race", "record", "recurrence",
    "register_format", "report", "scheduler", "share", "share_report", "storable", "task",
    "timeline", "trace", "where",
]  # fmt: skip

_NAMES = {
    "cache": "memoize",
    "compute": "compute",
    "draw": "Picture Style contrast race timeline",
    "graph": "GraphError LimitError TaskGraph count occurrences",
    "identity": "File UnkeyableError digest",
    "page": "report",
    "program": "BudgetError CompiledGraph fuse",
    "schedule": "SchedulerError measure record scheduler",
    "share": "impure pure share share_report",
    "store": "Store StoreError StoreWarning register_format storable",
    "trace": "Call LazyArgumentError LazyValueError Recurrence StaleCallError "
    "maximum minimum recurrence task trace where",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
"""Where each public name is defined. Its folder is imported when the name is used."""


class PipelineError(Exception):
    """The base of all errors of this package."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_NAMES, "apps", "cache", "cli"})


class _Package(ModuleType):
    """`pipeline.share` is the function, also after `import pipeline.share` bound the folder."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
