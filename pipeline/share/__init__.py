"""Merge equal tasks of any Dask collections, and decide which tasks may be merged or stored.

- `impurities` – the table of functions that are random, read clocks, files or networks, or write
- `purity` – the verdict on a function and on a call; the marks `pure` and `impure`
- `inspection` – what code says: which functions it calls, what it changes outside of it
- `copying` – handles: copies of values, or read-only views
- `numbering` – equal tasks get equal numbers; why a task is not merged
- `isolation` – which consumer of a merged task gets which handle of its value
- `merging` – a graph with one task per number
- `rebuilding` – the tasks of any collection (array, dataframe, bag, delayed, dict), and the
  collection rebuilt from merged tasks
- `report` – `share`, `share_report`, and what they did
"""

from pipeline.share.copying import Again, IsolationError, isolated
from pipeline.share.impurities import USED_UP, Impurity
from pipeline.share.isolation import is_reading, is_trusted
from pipeline.share.numbering import (
    FunctionNumber,
    NotMerged,
    Numbering,
    project_objects,
    stable_number,
    task_dict,
)
from pipeline.share.purity import call_impurity, callable_name, impure, method_impurity, pure
from pipeline.share.rebuilding import Blocks, fuse_lines, unfused, with_iterators
from pipeline.share.report import ShareReport, share, share_report

__all__ = [
    "USED_UP",
    "Again",
    "Blocks",
    "FunctionNumber",
    "Impurity",
    "IsolationError",
    "NotMerged",
    "Numbering",
    "ShareReport",
    "call_impurity",
    "callable_name",
    "fuse_lines",
    "impure",
    "is_reading",
    "is_trusted",
    "isolated",
    "method_impurity",
    "project_objects",
    "pure",
    "share",
    "share_report",
    "stable_number",
    "task_dict",
    "unfused",
    "with_iterators",
]
