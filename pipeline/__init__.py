"""Explicit memoization on Dask task graphs."""

from pipeline.count import count
from pipeline.graph import TaskGraph
from pipeline.recurrence import recurrence, task
from pipeline.trace import Call, trace

__all__ = ["Call", "TaskGraph", "count", "recurrence", "task", "trace"]
