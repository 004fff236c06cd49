"""Explicit memoization on Dask task graphs.

A recursive function becomes a Dask graph twice: the tree, one task per call, and the DAG, one task
per distinct subproblem. The two differ in the key that a call is given, and in nothing else.
"""

import pipeline.context  # noqa: F401 - gives stores their `with`
from pipeline.call import Call, StaleCallError, trace
from pipeline.count import Count, count
from pipeline.digest import digest
from pipeline.draw import contrast
from pipeline.explain import Explanation
from pipeline.files import File
from pipeline.function import LazyArgumentError
from pipeline.fuse import fuse
from pipeline.graph import TaskGraph
from pipeline.lazy import LazyValueError
from pipeline.measure import Measurement, measure
from pipeline.node import GraphError
from pipeline.picture import Picture
from pipeline.program import Program
from pipeline.purity import impure, pure
from pipeline.recurrence import Recurrence, Task, recurrence, task
from pipeline.report import Page, report
from pipeline.room import StoreError
from pipeline.run import SCHEDULERS, SchedulerError, compute, on
from pipeline.share import share, sharing
from pipeline.shared import Sharing
from pipeline.state import UnkeyableError
from pipeline.storable import storable
from pipeline.store import Store
from pipeline.style import Style
from pipeline.unfold import LimitError
from pipeline.verify import Verification
from pipeline.warned import StoreWarning

__all__ = [
    "SCHEDULERS",
    "Call",
    "Count",
    "Explanation",
    "File",
    "GraphError",
    "LazyArgumentError",
    "LazyValueError",
    "LimitError",
    "Measurement",
    "Page",
    "Picture",
    "Program",
    "Recurrence",
    "SchedulerError",
    "Sharing",
    "StaleCallError",
    "Store",
    "StoreError",
    "StoreWarning",
    "Style",
    "Task",
    "TaskGraph",
    "UnkeyableError",
    "Verification",
    "compute",
    "contrast",
    "count",
    "digest",
    "fuse",
    "impure",
    "measure",
    "on",
    "pure",
    "recurrence",
    "report",
    "share",
    "sharing",
    "storable",
    "task",
    "trace",
]
