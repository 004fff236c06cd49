"""Tasks that are run again, to compare what they give with what a store holds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.identity import digest, short_repr
from pipeline.store import LostError, UnstorableError, checksum, encoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.store import Entry, Store

SAME, DIFFERS, RAISED, UNKNOWN = "same", "differs", "raised", "not compared"


class Rerun(NamedTuple):
    """A task that was run again: its result is the `same`, `differs`, `raised` or `not compared`.

    seconds: that it took now
    """

    outcome: str
    call: str
    why: str
    function: str
    digest: str
    seconds: float = 0.0


class Again:
    """A task's function that gives how its result compares with the stored one."""

    def __init__(
        self, store: Store, digest: str, function: Callable[..., Any], call: str, name: str
    ) -> None:
        self.store, self.digest, self.function = store, digest, function
        self.call, self.name = call, name

    def __call__(self, *values: Any) -> Rerun:
        start = time.perf_counter()
        try:
            value = self.function(*values)
        except Exception as error:  # of a user's function
            seconds = time.perf_counter() - start
            outcome, why = RAISED, f"{type(error).__name__}: {error}"
        else:
            seconds = time.perf_counter() - start
            outcome, why = self._compared(value)
        return Rerun(outcome, self.call, why, self.name, self.digest, seconds)

    def _compared(self, value: Any) -> tuple[str, str]:
        found = self.store.open(self.digest)
        if found is None:
            return UNKNOWN, "it has gone from the store meanwhile"
        if _is_encoded(value, found[0], self.store.pickle):
            return SAME, ""
        try:
            stored = self.store.value(*found)
            if digest(canonical(stored)) == digest(canonical(value)):
                return SAME, ""
        except (LostError, TypeError) as error:
            return UNKNOWN, str(error).removeprefix(f"{self.digest}: ")
        return DIFFERS, difference(stored, value)


def _is_encoded(value: Any, entry: Entry, pickle: bool) -> bool:
    """Whether a value has the bytes of an entry, so that there is no need to load it."""
    try:
        return checksum(encoded(value, pickle)) == entry.checksum
    except UnstorableError:
        return False


def canonical(value: Any) -> Any:
    """A value in whose arrays, lists, tuples and dicts each NaN has the same bits.

    >>> digest(canonical([float("nan")])) == digest(canonical([-float("nan")]))
    True
    """
    if isinstance(value, float) and math.isnan(value):
        return type(value)(math.nan)
    if type(value) is np.ndarray and value.dtype.kind in "fc" and np.isnan(value).any():
        clean = value.copy(order="K")
        clean[np.isnan(clean)] = np.nan
        return clean
    if type(value) in (list, tuple):
        return type(value)(map(canonical, value))
    if type(value) is dict:
        return {key: canonical(each) for key, each in value.items()}
    return value


def difference(before: Any, now: Any) -> str:
    """How two values differ, for a person.

    >>> difference(1, 2), difference(np.zeros(2), np.array([0, 0.5]))
    ('was 1, is 2', 'numbers differ by up to 0.5')
    """
    arrays = type(before) is type(now) is np.ndarray
    if arrays and before.shape == now.shape and before.dtype == now.dtype:
        if now.dtype.kind not in "fc":
            return f"{int((before != now).sum()):,} of {now.size:,} elements differ"
        with np.errstate(all="ignore"):
            gaps = np.abs(now - before)
        gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
        return (
            f"numbers differ by up to {gaps.max():.2g}"
            if gaps.size
            else "NaNs or infinities differ"
        )
    if type(before) is not type(now):
        return f"was {_kind(before)}, is {_kind(now)}"
    return f"was {short_repr(before, 30)}, is {short_repr(now, 30)}"


def _kind(value: Any) -> str:
    return f"{short_repr(value, 30)}, a {type(value).__name__}"
