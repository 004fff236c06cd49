"""Graphs and runs become one HTML file: self-contained, for any browser, without a network.

- `parts` – what a page is made of: prose, tables, plots, sliders, formulas
- `scenes` – tree and DAG side by side, evaluated step by step
- `code` – the source of a scene's recurrences, and the line of each call in it
- `tables` – the memo table as a row or a grid, its bottom-up order, and the path of the result
- `layers` – a large collection, layer by layer
- `runs` – what ran where and when
- `pages` – `Page`, and `report`, the page of any collection
- `templates/page.html` – the frame of a page; each other template is one part of it
- `static/` – styles and scripts; the scripts show texts, Python makes them

A step of a scene: `pages.report` has `draw.compare` lay out both sides, and `scenes.scene_of` has
`schedule.observed` run them; `draw.Walk` counts each step. `templates/scene.html` holds the
data as JSON, `scene.js` goes to a step, and `side.js`, `memo.js`, `code.js`, `table.js` show it.
"""

from pipeline.identity import format_duration, format_number, format_value
from pipeline.page.pages import Page, report, store_section
from pipeline.page.parts import (
    Choice,
    Equations,
    Figure,
    MemoryRun,
    MemoryStrip,
    Part,
    Plot,
    Prose,
    Section,
    Slider,
    Step,
    Steps,
    Table,
)
from pipeline.page.scenes import Scene, scene
from pipeline.schedule import Tradeoff, tradeoff

__all__ = [
    "Choice",
    "Equations",
    "Figure",
    "MemoryRun",
    "MemoryStrip",
    "Page",
    "Part",
    "Plot",
    "Prose",
    "Scene",
    "Section",
    "Slider",
    "Step",
    "Steps",
    "Table",
    "Tradeoff",
    "format_duration",
    "format_number",
    "format_value",
    "report",
    "scene",
    "store_section",
    "tradeoff",
]
