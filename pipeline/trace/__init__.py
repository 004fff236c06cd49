"""Python functions become graphs: `@recurrence`, `@task`, lazy values, `trace`."""

from pipeline.trace.body import Body, Named, Step
from pipeline.trace.calls import Call, StaleCallError, trace
from pipeline.trace.decorators import Recurrence, Task, recurrence, task
from pipeline.trace.function import LazyArgumentError
from pipeline.trace.lazy import Lazy, LazyValueError
from pipeline.trace.operators import BINARY, COMPARISONS, SYMBOLS

__all__ = [
    "BINARY",
    "COMPARISONS",
    "SYMBOLS",
    "Body",
    "Call",
    "Lazy",
    "LazyArgumentError",
    "LazyValueError",
    "Named",
    "Recurrence",
    "StaleCallError",
    "Step",
    "Task",
    "recurrence",
    "task",
    "trace",
]
