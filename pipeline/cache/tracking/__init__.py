"""What a task read that is not in its digest: files, folders, variables; and what it did.

- `inputs` – `Input`: one thing that a task read; `changed`: whether all are still the same
- `observer` – `Observer`: the inputs and effects of what runs in a block
- `hook` – `observing`: the events of Python, handed to observers
- `attribution` – whose event it is, across threads and event loops
- `callers` – who opened a file: the program, or Python for itself
- `readers` – `reads_in_c`: the files that a task reads where Python sees no opening
- `outcomes` – `Outcome`: what a task passes on to its consumers
- `watching` – `Watcher`: how the tasks of a graph are observed
- `draws` – whether numbers were drawn from the global random state
"""

from pipeline.cache.tracking.hook import add_effect, add_inputs, observing
from pipeline.cache.tracking.inputs import (
    MADE,
    Input,
    Process,
    changed,
    context_input,
    is_in_place,
    path_input,
    this_process,
    variable_input,
)
from pipeline.cache.tracking.observer import Needs, Observer
from pipeline.cache.tracking.outcomes import Outcome, merged, passed_on
from pipeline.cache.tracking.readers import Holding, Place, Reads, reads_in_c
from pipeline.cache.tracking.watching import Watched, Watcher, absolute_paths

__all__ = [
    "MADE",
    "Holding",
    "Input",
    "Needs",
    "Observer",
    "Outcome",
    "Place",
    "Process",
    "Reads",
    "Watched",
    "Watcher",
    "absolute_paths",
    "add_effect",
    "add_inputs",
    "changed",
    "context_input",
    "is_in_place",
    "merged",
    "observing",
    "passed_on",
    "path_input",
    "reads_in_c",
    "this_process",
    "variable_input",
]
