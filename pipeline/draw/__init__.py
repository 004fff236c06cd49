"""Graphs become pictures."""

from pipeline.draw.comparison import Comparison, compared
from pipeline.draw.files import written
from pipeline.draw.folding import LIMIT, Panel
from pipeline.draw.labels import tasks
from pipeline.draw.picture import FORMATS, Picture
from pipeline.draw.render import contrast, visualize
from pipeline.draw.style import PLAIN, Style, colours

__all__ = [
    "Comparison",
    "FORMATS",
    "LIMIT",
    "PLAIN",
    "Panel",
    "Picture",
    "Style",
    "colours",
    "compared",
    "contrast",
    "tasks",
    "visualize",
    "written",
]
