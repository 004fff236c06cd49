"""Python functions become graphs: `@recurrence`, `@task`, `trace`.

Calls of a decorated function are lazy values. Tracing runs the bodies of recurrences and turns
each call into a task; no value is computed.

- `lazy` – lazy values, what operators do with them, and `minimum`, `maximum`, `where`
- `values` – calls and results of steps while a trace goes on, and their keys
- `recording` – the tape that a trace writes
- `decorators` – `@recurrence` and `@task(cheap=…)`: they bind arguments and make the key of a call
- `tracing` – `trace`: runs the bodies, and makes the graph
- `forms` – `CallForm`: which arguments of a memoized function count, and where they stand
"""

from pipeline.trace.decorators import LazyArgumentError, Recurrence, Task, recurrence, task
from pipeline.trace.forms import CallForm, form_of, set_form
from pipeline.trace.lazy import Lazy, LazyValueError, maximum, minimum, where
from pipeline.trace.recording import StaleCallError
from pipeline.trace.tracing import Memoize, TracedGraph, trace
from pipeline.trace.values import Call

__all__ = [
    "Call",
    "CallForm",
    "Lazy",
    "LazyArgumentError",
    "LazyValueError",
    "Memoize",
    "Recurrence",
    "StaleCallError",
    "Task",
    "TracedGraph",
    "form_of",
    "maximum",
    "minimum",
    "recurrence",
    "set_form",
    "task",
    "trace",
    "where",
]
