"""What a store warns of, at the line of the user that it is about."""

from __future__ import annotations

import sys
import warnings


class StoreWarning(UserWarning):
    """A result that was not stored, or a stored one that was not taken, and why."""


def warn(message: str) -> None:
    """Warn at the innermost line that is the user's."""
    warnings.warn(message, StoreWarning, stacklevel=_depth())


def _depth() -> int:
    """How many calls above the one that asks a line of the user is."""
    frame, depth = sys._getframe(1), 1
    while str(frame.f_globals.get("__name__")).partition(".")[0] in _INNER:
        if frame.f_back is None:  # a thread that runs nothing of the user's
            return 2
        frame, depth = frame.f_back, depth + 1
    return depth


_INNER = {"pipeline", "dask", "distributed"}
"""Packages through which a store is called, and whose lines tell a user nothing."""
