"""Tasks and keys: a graph as a tree, one task per call, and as a DAG, one per subproblem.

keys – the identity of a call, and its label for people
tasks – `CallTask`; the inputs, order and names of any tasks
taskgraph – `TaskGraph`, a Dask collection; structures of outputs
counts – `count` and `occurrences`: the size of the tree, exact, from the DAG alone
tree – `unfold`: from the DAG to the tree
"""

from pipeline.graph.counts import Count, count, occurrences, tree_size, tree_sizes
from pipeline.graph.keys import (
    arguments,
    bind_arguments,
    call_key,
    freeze,
    function_name,
    function_prefix,
    label,
    occurrence,
    occurrence_number,
    subproblem,
)
from pipeline.graph.taskgraph import (
    GraphCollection,
    TaskGraph,
    children,
    fill_outputs,
    graph_of,
    leaves,
    map_leaves,
)
from pipeline.graph.tasks import (
    CallTask,
    GraphError,
    cycle_text,
    display_key,
    function_of,
    inputs_of,
    short_label,
    toposort,
)
from pipeline.graph.tree import MAX_TASKS, LimitError, unfold

__all__ = [
    "MAX_TASKS",
    "CallTask",
    "Count",
    "GraphCollection",
    "GraphError",
    "LimitError",
    "TaskGraph",
    "arguments",
    "bind_arguments",
    "call_key",
    "children",
    "count",
    "cycle_text",
    "display_key",
    "fill_outputs",
    "freeze",
    "function_name",
    "function_of",
    "function_prefix",
    "graph_of",
    "inputs_of",
    "label",
    "leaves",
    "map_leaves",
    "occurrence",
    "occurrence_number",
    "occurrences",
    "short_label",
    "subproblem",
    "toposort",
    "tree_size",
    "tree_sizes",
    "unfold",
]
