"""The tests that look at Dask's internals, or at ours: why each may fail."""

REASONS: dict[str, str] = {}
"""Test → reason; a name may end with `*`."""
