"""Explicit memoization on Dask task graphs."""

from pipeline.count import count
from pipeline.draw import contrast
from pipeline.graph import TaskGraph
from pipeline.recurrence import recurrence, task
from pipeline.call import Call, trace

__all__ = ["Call", "TaskGraph", "contrast", "count", "recurrence", "task", "trace"]
