"""Python functions become graphs: `@recurrence`, `@task`, `trace`.

Calls of a decorated function are lazy values. Tracing runs the bodies of recurrences and turns
each call into a task; no value is computed.

- `decorators` – `@recurrence` and `@task(cheap=…)`: they bind arguments and make the key of a call
- `lazy` – lazy values, and what operators do with them
- `forms` – `CallForm`: which arguments of a memoized function count, and where they stand
- `calls` – calls, and how they become a graph: `trace`, and the bodies of tasks
"""

from pipeline.trace.calls import Body, Call, Fill, Hole, Memoize, Named, StaleCallError, Step, trace
from pipeline.trace.decorators import LazyArgumentError, Recurrence, Task, recurrence, task
from pipeline.trace.forms import CallForm, form_of, set_form
from pipeline.trace.lazy import BINARY, COMPARISONS, SYMBOLS, Lazy, LazyValueError

__all__ = [
    "BINARY",
    "COMPARISONS",
    "SYMBOLS",
    "Body",
    "Call",
    "CallForm",
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
    "form_of",
    "recurrence",
    "set_form",
    "task",
    "trace",
]
