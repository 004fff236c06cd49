"""Merge equal tasks of any Dask collections, and decide which tasks may be merged or stored.

- `purity` – whether a call is a function of its arguments alone; the marks `pure` and `impure`
- `copying` – handles: copies of values, or read-only views
- `readings` – what was read of functions and constants, kept while nothing of it changes
- `shuffles` – the tasks of Dask's shuffles, which pass more than values to each other
- `numbering` – equal tasks get equal numbers; why a task is not merged
- `isolation` – which consumer of a merged task gets which handle of its value
- `merging` – a graph with one task per number
- `blocks` – what Dask would run as one task of an array
- `rebuilding` – the tasks of any collection (array, dataframe, bag, delayed, dict), and the
  collection rebuilt from merged tasks
- `report` – `share`, `share_report`, and what they did
"""

from pipeline.share.blocks import fuse_bags, fuse_inner, graphs_of, inner_keys
from pipeline.share.copying import Again, IsolationError, copied, isolated
from pipeline.share.isolation import is_arithmetic, is_reading, is_trusted
from pipeline.share.numbering import (
    SIMPLE,
    FunctionNumber,
    NotMerged,
    Numbering,
    project_objects,
    stable_number,
    task_dict,
)
from pipeline.share.purity.facts import Context, Needs, mark_of, number_of_declarations
from pipeline.share.purity.impurities import USED_UP, Impurity, register_reader
from pipeline.share.purity.verdicts import (
    DECLARED,
    MERGING,
    STORING,
    UNTRACKED,
    Scope,
    call_impurity,
    callable_name,
    impure,
    method_impurity,
    needs_of,
    needs_of_task,
    pure,
)
from pipeline.share.purity.walk import Walk
from pipeline.share.readings import (
    KeptFunction,
    Readings,
    argument_content,
    kept_function,
    last_readings,
    reading_once,
)
from pipeline.share.rebuilding import Blocks, fuse_lines, unfused, with_iterators
from pipeline.share.report import ShareReport, share, share_report
from pipeline.share.shuffles import find_shuffles

__all__ = [
    "DECLARED",
    "MERGING",
    "SIMPLE",
    "STORING",
    "UNTRACKED",
    "USED_UP",
    "Again",
    "Blocks",
    "Context",
    "FunctionNumber",
    "Impurity",
    "IsolationError",
    "KeptFunction",
    "Needs",
    "NotMerged",
    "Numbering",
    "Readings",
    "Scope",
    "ShareReport",
    "Walk",
    "argument_content",
    "call_impurity",
    "callable_name",
    "copied",
    "find_shuffles",
    "fuse_bags",
    "fuse_inner",
    "fuse_lines",
    "graphs_of",
    "impure",
    "inner_keys",
    "is_arithmetic",
    "is_reading",
    "is_trusted",
    "isolated",
    "kept_function",
    "last_readings",
    "mark_of",
    "method_impurity",
    "needs_of",
    "needs_of_task",
    "number_of_declarations",
    "project_objects",
    "pure",
    "reading_once",
    "register_reader",
    "share",
    "share_report",
    "stable_number",
    "task_dict",
    "unfused",
    "with_iterators",
]
