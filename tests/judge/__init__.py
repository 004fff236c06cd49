"""The judge: the test suites of Dask and xarray, with every computation made by us and by Dask.

    python -m tests.judge [suite …] [--sample 1/8] [--mode share|cold|warm]

- `plugin` – a plugin of pytest: makes each computation twice, and records what differs
- `comparing` – the strict comparison of two results
- `reasons` – the tests that look at Dask's internals, with a reason each
- `mutants` – a mutation tester; `edits` makes the mutants, and `equivalent` explains survivors

The suites come with the installed packages. A test fails because of us if it fails in a mode, and
passes while Dask alone makes each computation twice.
"""
