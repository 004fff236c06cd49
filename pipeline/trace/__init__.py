"""Python functions become graphs: `@recurrence`, `@task`, `trace`.

Calls of a decorated function are lazy values. Tracing runs the bodies of recurrences and turns
each call into a task; no value is computed.

- `decorators` – `@recurrence` and `@task(cheap=…)`: they bind arguments and make the key of a call
- `lazy` – lazy values, and what operators do with them
- `calls` – calls, and how they become a graph: `trace`, and the bodies of tasks
"""

from pipeline.trace.calls import Body, Call, Fill, Hole, Memoize, Named, StaleCallError, Step, trace
from pipeline.trace.decorators import LazyArgumentError, Recurrence, Task, recurrence, task
from pipeline.trace.lazy import BINARY, COMPARISONS, SYMBOLS, Lazy, LazyValueError

__all__ = [
    "BINARY",
    "COMPARISONS",
    "SYMBOLS",
    "Body",
    "Call",
    "Fill",
    "Hole",
    "Lazy",
    "LazyArgumentError",
    "LazyValueError",
    "Memoize",
    "Named",
    "Recurrence",
    "StaleCallError",
    "Step",
    "Task",
    "recurrence",
    "task",
    "trace",
]
