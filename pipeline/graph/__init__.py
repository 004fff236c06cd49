"""Tasks and keys: a graph as a tree, one task per call, and as a DAG, one per subproblem."""

from pipeline.graph.counts import Count, count, occurrences, tree_size, tree_sizes
from pipeline.graph.keys import (
    arguments,
    freeze,
    label,
    name,
    occurrence,
    occurrence_number,
    subproblem,
)
from pipeline.graph.nesting import items, leaves, nest
from pipeline.graph.taskgraph import TaskGraph, filled, graph_of, in_place
from pipeline.graph.tasks import GraphError, Node, cycle, function_of, in_order, inputs
from pipeline.graph.titles import named, title
from pipeline.graph.tree import LIMIT, LimitError, unfold

__all__ = [
    "Count",
    "GraphError",
    "LIMIT",
    "LimitError",
    "Node",
    "TaskGraph",
    "arguments",
    "count",
    "cycle",
    "filled",
    "freeze",
    "function_of",
    "graph_of",
    "in_order",
    "in_place",
    "inputs",
    "items",
    "label",
    "leaves",
    "name",
    "named",
    "nest",
    "occurrence",
    "occurrence_number",
    "occurrences",
    "subproblem",
    "title",
    "tree_size",
    "tree_sizes",
    "unfold",
]
