"""Graphs become pictures."""

from pipeline.draw.comparison import Comparison, compared
from pipeline.draw.files import atomic_write
from pipeline.draw.folding import MAX_NODES, Panel
from pipeline.draw.labels import count_tasks
from pipeline.draw.picture import FORMATS, Picture
from pipeline.draw.render import contrast, visualize
from pipeline.draw.style import PLAIN, Style, colours

__all__ = [
    "FORMATS",
    "MAX_NODES",
    "PLAIN",
    "Comparison",
    "Panel",
    "Picture",
    "Style",
    "atomic_write",
    "colours",
    "compared",
    "contrast",
    "count_tasks",
    "visualize",
]
