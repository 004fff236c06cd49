"""A graph through a store: load what is stored, compute the rest, store its results.

- `task_digests` – the digest of each task, by which its result is found
- `plan` – what a run does with each task: hit, miss, skipped or culled, and why it is skipped
- `replacing` – what runs in the place of each task: it loads a result, or computes and saves it
- `isolating` – copies for consumers that may write into what others use
- `records` – variants of a result, results by the content of inputs, what a run's tasks pass on
- `tracking` – what a task reads and does while it runs, and whether that is still the same
- `saving` – the tasks that load and save results, and what an entry records about its task
- `explaining` – what a run notes of its tasks, and how a task differs from past results
- `running` – a scheduler that plans a run, has the remaining tasks run, and saves their results
- `context` – `with store:`, which sends all that Dask computes through a store
- `explanation` – `store.explain(…)`: what a run would do, and why a task is a miss: what changed
- `eager` – `memoize`: functions whose results a store keeps, called without a graph
- `verification` – `store.verify(…)`: corrupt entries, and functions that give other results now
"""

from pipeline.cache.context import enter, leave
from pipeline.cache.eager.memoized import MemoizedFunction, Memoizer, memoize
from pipeline.cache.explanation import Explanation, explain
from pipeline.cache.running import StoreScheduler
from pipeline.cache.tracking import MADE
from pipeline.cache.verification import Verification, verify, verify_entries

__all__ = [
    "MADE",
    "Explanation",
    "MemoizedFunction",
    "Memoizer",
    "StoreScheduler",
    "Verification",
    "enter",
    "explain",
    "leave",
    "memoize",
    "verify",
    "verify_entries",
]
