"""Which entries go first, when a store is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Candidate(NamedTuple):
    """An entry that may go: its size, when it was last used, and what it took to compute."""

    digest: str
    bytes: int
    used: float
    seconds: float


def leaving(candidates: Iterable[Candidate], now: float) -> list[Candidate]:
    """Entries in the order in which they go.

    Those go first that take many bytes, are quick to compute again, and were not used for long:
    the greatest product of size and age per second of work.

    >>> old, dear = Candidate("old", 10, 0.0, 1.0), Candidate("dear", 10, 0.0, 60.0)
    >>> new = Candidate("new", 10, 90.0, 1.0)
    >>> [each.digest for each in leaving([dear, new, old], 100.0)]
    ['old', 'new', 'dear']
    """
    return sorted(candidates, key=lambda each: _uselessness(each, now), reverse=True)


def _uselessness(entry: Candidate, now: float) -> float:
    return entry.bytes * (max(now - entry.used, 0.0) + 1.0) / (entry.seconds + _LEAST)


_LEAST = 1e-4
"""Seconds that any entry is taken to be worth: what opening its file costs."""
