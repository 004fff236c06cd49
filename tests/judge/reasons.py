"""The tests that look at Dask's internals, or at ours: why each may fail, or differ."""

REASONS: dict[str, str] = {
    "dask.bag.tests.test_bag::test_take_npartitions_warn": "a task that is loaded does not warn",
    "dask.dataframe.tests.test_dataframe::test_repartition_partition_size*": (
        "a column of Arrow's takes fewer bytes once it was stored: it has no mask of its chunks"
    ),
    "xarray.tests.test_dask::test_lazy_array_equiv*": "it counts the runs of a scheduler",
}
"""Test → reason; a name may end with `*`."""
