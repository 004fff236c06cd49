"""Merge equal tasks of any Dask collections, and decide which tasks may be merged or stored.

- `purity` – whether a call is a function of its arguments alone; the marks `pure` and `impure`
- `copying` – handles: copies of values, or read-only views
- `numbering` – equal tasks get equal numbers; why a task is not merged; what was read for that
- `isolation` – which consumer of a merged task gets which handle of its value
- `merging` – a graph with one task per number
- `digest_keys` – keys by which a cluster runs equal programs of several clients once
- `blocks` – what Dask would run as one task of an array
- `rebuilding` – the tasks of any collection (array, dataframe, bag, delayed, dict), and the
  collection rebuilt from merged tasks
- `report` – `share`, `share_report`, and what they did
"""

from pipeline.share.blocks import fuse_bags, fuse_inner, graphs_of, inner_keys
from pipeline.share.copying import Again, IsolationError, copied, isolated
from pipeline.share.digest_keys import hash_lines, signature_digest
from pipeline.share.isolation import Trust, is_arithmetic
from pipeline.share.numbering.numbering import (
    FunctionNumber,
    NotMerged,
    Numbering,
    stable_number,
)
from pipeline.share.numbering.objects import project_objects
from pipeline.share.numbering.readings import (
    SIMPLE,
    KeptFunction,
    Readings,
    argument_content,
    kept_function,
    last_readings,
    partial_signature,
    reading_once,
    signature,
)
from pipeline.share.numbering.shuffles import find_shuffles
from pipeline.share.purity.facts import ZONE, Context, Needs, mark_of, number_of_declarations
from pipeline.share.purity.impurities import USED_UP, Impurity
from pipeline.share.purity.lookups import register_reader
from pipeline.share.purity.members import cached_function
from pipeline.share.purity.needs import caches_of_files, needs_of, needs_of_task
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
    pure,
)
from pipeline.share.purity.walk import Walk
from pipeline.share.rebuilding import Blocks, fuse_lines, task_dict, unfused, with_iterators
from pipeline.share.report import ShareReport, share, share_for_run, share_report

__all__ = [
    "DECLARED",
    "MERGING",
    "SIMPLE",
    "STORING",
    "UNTRACKED",
    "USED_UP",
    "ZONE",
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
    "Trust",
    "Walk",
    "argument_content",
    "cached_function",
    "caches_of_files",
    "call_impurity",
    "callable_name",
    "copied",
    "find_shuffles",
    "fuse_bags",
    "fuse_inner",
    "fuse_lines",
    "graphs_of",
    "hash_lines",
    "impure",
    "inner_keys",
    "is_arithmetic",
    "isolated",
    "kept_function",
    "last_readings",
    "mark_of",
    "method_impurity",
    "needs_of",
    "needs_of_task",
    "number_of_declarations",
    "partial_signature",
    "project_objects",
    "pure",
    "reading_once",
    "register_reader",
    "share",
    "share_for_run",
    "share_report",
    "signature",
    "signature_digest",
    "stable_number",
    "task_dict",
    "unfused",
    "with_iterators",
]
