"""Graphs become pictures: the tree beside the DAG, or any graph, as SVG, PNG, PDF or DOT.

- `folding` – panels: which boxes and edges a picture shows, and how a large graph is folded
- `comparison` – a call's tree and DAG, or a graph before and after sharing, as two panels
- `dot` – how panels are written as DOT: style, colours, labels, edges
- `render` – `contrast` and `visualize`, rendering with Graphviz, files that are complete or absent
"""

from pipeline.draw.comparison import Comparison, compare
from pipeline.draw.dot import PLAIN, Heading, Style, count_tasks
from pipeline.draw.folding import MAX_NODES, Panel, tree_panel
from pipeline.draw.render import (
    FORMATS,
    Picture,
    atomic_write,
    contrast,
    inline_panel,
    visualize,
)

__all__ = [
    "FORMATS",
    "MAX_NODES",
    "PLAIN",
    "Comparison",
    "Heading",
    "Panel",
    "Picture",
    "Style",
    "atomic_write",
    "compare",
    "contrast",
    "count_tasks",
    "inline_panel",
    "tree_panel",
    "visualize",
]
