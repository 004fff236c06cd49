"""Dask's schedulers by name, and what they did: measured, replayed, held in memory."""

from pipeline.schedule.measuring import Measurement, least_seconds, measure
from pipeline.schedule.memory import Tradeoff, tradeoffs
from pipeline.schedule.replay import Observation, frames, observed, operations, recursion
from pipeline.schedule.schedulers import SCHEDULERS, SchedulerError, scheduler

__all__ = [
    "SCHEDULERS",
    "Measurement",
    "Observation",
    "SchedulerError",
    "Tradeoff",
    "frames",
    "least_seconds",
    "measure",
    "observed",
    "operations",
    "recursion",
    "scheduler",
    "tradeoffs",
]
