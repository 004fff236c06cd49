"""A graph through a store: load what is stored, compute the rest, store it."""

from pipeline.cache.context import enter, leave
from pipeline.cache.explanation import Explanation, explain
from pipeline.cache.plan import CULLED, make_plan
from pipeline.cache.rerun import SAME
from pipeline.cache.through import Through
from pipeline.cache.verification import Verification, inspected, verify

__all__ = [
    "CULLED",
    "SAME",
    "Explanation",
    "Through",
    "Verification",
    "enter",
    "explain",
    "inspected",
    "leave",
    "make_plan",
    "verify",
]
