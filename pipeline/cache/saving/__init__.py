"""The tasks that load and save results, or wait for another process.

- `tasks` – `Load` and `Save`: what runs in the place of a task
- `details` – `TaskDetails`: what an entry records about its task, as a person reads it
"""

from pipeline.cache.saving.details import (
    INPUT,
    Argument,
    Later,
    Part,
    TaskDetails,
    code_in,
    layer_of,
    made_now,
    may_hold_code,
    paths_in,
    short_path,
    task_arguments,
    task_call,
    task_details,
    task_name,
    task_names,
)
from pipeline.cache.saving.tasks import Arguments, Load, Save, computing, save

__all__ = [
    "INPUT",
    "Argument",
    "Arguments",
    "Later",
    "Load",
    "Part",
    "Save",
    "TaskDetails",
    "code_in",
    "computing",
    "layer_of",
    "made_now",
    "may_hold_code",
    "paths_in",
    "save",
    "short_path",
    "task_arguments",
    "task_call",
    "task_details",
    "task_name",
    "task_names",
]
