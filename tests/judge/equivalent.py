"""Mutants that need no test, each with its reason: `tests.judge.mutants` counts them."""

from __future__ import annotations

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A mutant that no test can notice, or that only costs time."""

    file: str
    line: str  # the source, as it stands there
    mutation: str
    reason: str


EQUIVALENT: tuple[Equivalent, ...] = ()
