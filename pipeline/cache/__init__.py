"""A graph through a store: load what is stored, compute the rest, store its results.

- `task_digests` – the digest of each task, by which its result is found; what a digest covers
- `plan` – what a run does with each task: hit, miss, skipped or culled
- `saving` – the tasks that load and save results; the details that an entry records
- `running` – a scheduler that plans a run, has the remaining tasks run, and saves their results
- `context` – `with store:`, which sends all that Dask computes through a store
- `explanation` – `store.explain(…)`: what a run would do, and what changed since the last one
- `verification` – `store.verify(…)`: corrupt entries, and functions that give other results now
"""

from pipeline.cache.context import enter, leave
from pipeline.cache.explanation import Explanation, explain
from pipeline.cache.running import StoreScheduler
from pipeline.cache.verification import Verification, verify, verify_entries

__all__ = [
    "Explanation",
    "StoreScheduler",
    "Verification",
    "enter",
    "explain",
    "leave",
    "verify",
    "verify_entries",
]
