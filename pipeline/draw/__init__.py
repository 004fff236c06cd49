"""Graphs become pictures: the tree beside the DAG, or any graph, as SVG, PNG, PDF or DOT.

- `folding` – panels: which boxes and edges a picture shows, and how a large graph is folded
- `labels` – what a task is called in a picture: short, and different for different tasks
- `files` – what is drawn, as bytes, and as files that are complete or absent
- `dot` – panels written as DOT, with style, colours, labels; rendered by Graphviz
- `pictures` – `contrast` and `visualize`: the tree beside the DAG, or any graph
- `races` – `race`: the two evaluated step by step, as an animated SVG
- `legends` – sizes and colours of runs over time, and their legend
- `timelines` – `timeline`: what ran where and when, of one run or of several on one time axis
"""

from pipeline.draw.dot import PLAIN, Heading, Picture, Style, count_tasks
from pipeline.draw.files import FORMATS, atomic_write
from pipeline.draw.folding import MAX_NODES, Panel, tree_panel
from pipeline.draw.labels import Slices, slices
from pipeline.draw.pictures import Comparison, Walk, compare, contrast, visualize
from pipeline.draw.races import Race, race
from pipeline.draw.timelines import Timeline, timeline

__all__ = [
    "FORMATS",
    "MAX_NODES",
    "PLAIN",
    "Comparison",
    "Heading",
    "Panel",
    "Picture",
    "Race",
    "Slices",
    "Style",
    "Timeline",
    "Walk",
    "atomic_write",
    "compare",
    "contrast",
    "count_tasks",
    "race",
    "slices",
    "timeline",
    "tree_panel",
    "visualize",
]
