"""Tasks and keys: a graph as a tree, one task per call, and as a DAG, one per subproblem.

- `keys` – what makes two calls one task: the parts and format of a key; labels for people
- `taskgraph` – `CallTask` and `TaskGraph`, a Dask collection; the order of tasks, nested outputs
- `tree` – `count` and `occurrences`: the size of the tree; `unfold`: from the DAG to the tree
"""

from pipeline.graph.keys import (
    arguments,
    bind_arguments,
    display_key,
    freeze,
    function_name,
    function_prefix,
    label,
    occurrence,
    occurrence_number,
    short_label,
    subproblem,
)
from pipeline.graph.taskgraph import (
    CallTask,
    GraphCollection,
    GraphError,
    TaskGraph,
    children,
    cycle_text,
    fill_outputs,
    function_of,
    graph_of,
    inputs_of,
    leaves,
    map_leaves,
    toposort,
)
from pipeline.graph.tree import (
    MAX_TASKS,
    Count,
    LimitError,
    count,
    occurrences,
    tree_size,
    tree_sizes,
    unfold,
)

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
