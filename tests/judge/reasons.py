"""The tests that look at Dask's internals, or at ours: why each may fail, or differ."""

REASONS: dict[str, str] = {
    "xarray.tests.test_dask::test_lazy_array_equiv*": "it counts the runs of a scheduler",
}
"""Test → reason; a name may end with `*`."""
