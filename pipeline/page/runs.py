"""The runs of a collection over time, as a section of its page."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.draw import timeline
from pipeline.graph import label
from pipeline.identity import format_duration
from pipeline.page.parts import Plot, Section, Table
from pipeline.schedule import Recording, Span

MOST = 20
"""Rows of a table: the tasks that took longest."""


def time_section(runs: Sequence[Recording]) -> Section:
    """What ran where and when, and the tasks that took longest."""
    tasks = sorted(
        ((task, run) for run in runs for task in run.tasks), key=lambda pair: -pair[0].seconds
    )
    critical = {id(task) for run in runs for task in run.critical_path}
    rows = [
        [label(task.key, 30), run.name, task.worker, format_duration(task.start),
         format_duration(task.seconds), _what(task), "yes" if id(task) in critical else ""]
        for task, run in tasks[:MOST]
    ]  # fmt: skip
    head = ("task", "run", "worker", "starts at", "takes", "was", "on the critical path")
    note = (
        "A lane is a worker, a bar a task. The critical path is the chain of tasks that took "
        "longest, each an input of the next one: more workers make no run quicker than that. "
        "Memory is that of the processes that ran tasks, as the operating system reports it."
    )
    if len(tasks) > MOST:
        note += f" The table has the {MOST} longest of {len(tasks):,} tasks."
    figure = timeline(*runs).figure()
    return Section(
        "time",
        "The run over time",
        [Plot(figure, Table("What ran where and when", head, rows, 4), note)],
    )


def _what(task: Span) -> str:
    what = "loaded" if task.is_loaded else "computed"
    return f"{what}, saved" if task.is_saved else what
