"""What goes wrong with a store: its errors, and its warning."""

from pipeline import PipelineError


class StoreError(PipelineError, ValueError):
    """A wrong argument of a store: a URL, a digest, a size."""


class LostError(PipelineError, RuntimeError):
    """An entry that existed when a run began, and cannot be loaded."""


class StoreWarning(UserWarning):
    """A result is not stored, or a stored result is not loaded, and why."""
