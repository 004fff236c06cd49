"""Explicit memoization on Dask task graphs.

A recursive function becomes a Dask graph twice: the tree, one task per call, and the DAG, one task
per distinct subproblem. The two differ in the key that a call is given, and in nothing else.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.cache import Explanation, Verification
    from pipeline.compute import compute
    from pipeline.draw import Picture, Style, contrast
    from pipeline.graph import Count, GraphError, LimitError, TaskGraph, count, occurrences
    from pipeline.identity import File, UnkeyableError, digest
    from pipeline.page import Page, report
    from pipeline.program import CompiledGraph, fuse
    from pipeline.schedule import SCHEDULERS, Measurement, SchedulerError, measure, scheduler
    from pipeline.share import ShareReport, impure, pure, share, share_report
    from pipeline.store import Store, StoreError, StoreWarning, storable
    from pipeline.trace import (
        Call,
        LazyArgumentError,
        LazyValueError,
        Recurrence,
        StaleCallError,
        Task,
        recurrence,
        task,
        trace,
    )


class PipelineError(Exception):
    """What every error of this package is: `except PipelineError` catches all of them."""


_FOLDERS = {
    "Explanation": "cache",
    "Verification": "cache",
    "compute": "compute",
    "Picture": "draw",
    "Style": "draw",
    "contrast": "draw",
    "Count": "graph",
    "GraphError": "graph",
    "LimitError": "graph",
    "TaskGraph": "graph",
    "count": "graph",
    "occurrences": "graph",
    "File": "identity",
    "UnkeyableError": "identity",
    "digest": "identity",
    "Page": "page",
    "report": "page",
    "CompiledGraph": "program",
    "fuse": "program",
    "SCHEDULERS": "schedule",
    "Measurement": "schedule",
    "SchedulerError": "schedule",
    "measure": "schedule",
    "scheduler": "schedule",
    "ShareReport": "share",
    "impure": "share",
    "pure": "share",
    "share": "share",
    "share_report": "share",
    "Store": "store",
    "StoreError": "store",
    "StoreWarning": "store",
    "storable": "store",
    "Call": "trace",
    "LazyArgumentError": "trace",
    "LazyValueError": "trace",
    "Recurrence": "trace",
    "StaleCallError": "trace",
    "Task": "trace",
    "recurrence": "trace",
    "task": "trace",
    "trace": "trace",
}
"""Where each public name is defined. A folder is imported when one of its names is used."""

__all__ = [
    "SCHEDULERS", "Call", "CompiledGraph", "Count", "Explanation", "File", "GraphError", "LazyArgumentError",
    "LazyValueError", "LimitError", "Measurement", "Page", "Picture", "PipelineError",
    "Recurrence", "SchedulerError", "ShareReport", "StaleCallError", "Store", "StoreError",
    "StoreWarning", "Style", "Task", "TaskGraph", "UnkeyableError", "Verification", "compute",
    "contrast", "count", "digest", "fuse", "impure", "measure", "occurrences", "pure",
    "recurrence", "report", "scheduler", "share", "share_report", "storable", "task", "trace",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _FOLDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_FOLDERS[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBPACKAGES})


_SUBPACKAGES = ("apps", "cache", "cli", "draw", "graph", "identity", "page", "program", "schedule",
                "share", "store", "trace")  # fmt: skip


class _Package(ModuleType):
    """`pipeline.share` is the function, also after `import pipeline.share` bound the folder."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _FOLDERS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
