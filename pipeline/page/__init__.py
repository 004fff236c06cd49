"""Graphs and runs become one HTML file."""

from pipeline.page.charts import Cell, Chart, Drawn, Filling, Kind, Rows, Series, Slider
from pipeline.page.inline import inline_svg
from pipeline.page.pages import Page, report, store_section
from pipeline.page.parts import (
    Choice,
    Equations,
    Figure,
    Part,
    Prose,
    Question,
    Quiz,
    Section,
    Table,
)
from pipeline.page.scenes import scene

__all__ = [
    "Cell",
    "Chart",
    "Choice",
    "Drawn",
    "Equations",
    "Figure",
    "Filling",
    "Kind",
    "Page",
    "Part",
    "Prose",
    "Question",
    "Quiz",
    "Rows",
    "Section",
    "Series",
    "Slider",
    "Table",
    "inline_svg",
    "report",
    "scene",
    "store_section",
]
