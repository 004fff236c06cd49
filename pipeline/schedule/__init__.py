"""Dask's schedulers by name, and what they did.

- `schedulers` – `scheduler` starts one by its name: `sync`, `threads`, `processes`, `distributed`
- `measuring` – the tasks that schedulers ran, as a stream of runs: `measure`
- `recording` – which task ran where and when, what was loaded and saved, memory: `record`
- `notes` – what a process notes for a recording while it works
- `replay` – a run task by task, with its values; and the order of the naive recursion
- `memory` – bytes that a run holds, against tasks that it computes again
"""

from pipeline.schedule.measuring import Measurement, Run, measure, task_runs
from pipeline.schedule.memory import Tradeoff, tradeoff
from pipeline.schedule.notes import noting
from pipeline.schedule.recording import (
    Interval,
    Recording,
    Sample,
    Span,
    longest_chain,
    note_merged,
    record,
)
from pipeline.schedule.replay import Frame, Observation, frames, observed, operations, recursion
from pipeline.schedule.schedulers import SCHEDULERS, SchedulerError, scheduler

__all__ = [
    "SCHEDULERS",
    "Frame",
    "Interval",
    "Measurement",
    "Observation",
    "Recording",
    "Run",
    "Sample",
    "SchedulerError",
    "Span",
    "Tradeoff",
    "frames",
    "longest_chain",
    "measure",
    "note_merged",
    "noting",
    "observed",
    "operations",
    "record",
    "recursion",
    "scheduler",
    "task_runs",
    "tradeoff",
]
