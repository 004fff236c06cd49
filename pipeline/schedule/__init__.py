"""Dask's schedulers by name, and what they did.

- `schedulers` – `scheduler` starts one by its name: `sync`, `threads`, `processes`, `distributed`
- `measuring` – the tasks that schedulers ran, as a stream of runs: `measure`
- `replay` – a run task by task, with its values; and the order of the naive recursion
- `memory` – bytes that a run holds, against tasks that it computes again
"""

from pipeline.schedule.measuring import Measurement, Run, measure, task_runs
from pipeline.schedule.memory import Tradeoff, tradeoff
from pipeline.schedule.replay import Observation, frames, observed, operations, recursion
from pipeline.schedule.schedulers import SCHEDULERS, SchedulerError, scheduler

__all__ = [
    "SCHEDULERS",
    "Measurement",
    "Observation",
    "Run",
    "SchedulerError",
    "Tradeoff",
    "frames",
    "measure",
    "observed",
    "operations",
    "recursion",
    "scheduler",
    "task_runs",
    "tradeoff",
]
