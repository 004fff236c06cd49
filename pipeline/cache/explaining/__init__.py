"""Why a task is a miss: what a run notes of its tasks, and how a task differs from past results.

- `descriptions` – what the digest of a function covers, part by part
- `changes` – how two descriptions, and the arguments of two calls, differ
- `past` – what runs note, and the past result that is nearest to a task
"""

from pipeline.cache.explaining.changes import Change
from pipeline.cache.explaining.descriptions import CodeDescriber
from pipeline.cache.explaining.past import (
    NOT_STORED,
    UNKNOWN_CHANGE,
    Block,
    Comparison,
    Past,
    TaskNotes,
    varying_constants,
)

__all__ = [
    "NOT_STORED",
    "UNKNOWN_CHANGE",
    "Block",
    "Change",
    "CodeDescriber",
    "Comparison",
    "Past",
    "TaskNotes",
    "varying_constants",
]
