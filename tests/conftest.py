"""Schedulers for the tests: local ones by name, a cluster in this process's children.

A test that needs a library or a system that is not here is skipped, and says what it needs.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import dask
import pytest
from hypothesis import settings

from pipeline import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from distributed import Client

LIBRARIES = {
    "PIL", "autograd", "h5netcdf", "h5py", "netCDF4", "pandas", "pyarrow", "scipy", "sklearn",
    "tqdm", "xarray", "zarr",
}  # fmt: skip
"""Libraries of the extra `test`."""
UNIX = {
    "SIGALRM", "SIGKILL", "WNOHANG", "fcntl", "fork", "geteuid", "getuid", "killpg", "mkfifo",
    "resource", "setsid",
}  # fmt: skip
"""Modules and names of `os` and `signal` that Windows does not have."""


def missing(error: BaseException | None) -> str | None:
    """What is missing here, if that is why an error was raised."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name in LIBRARIES:
            return f"it needs {error.name}: pip install 'dask-memo[test]'"
        if isinstance(error, ImportError | AttributeError) and error.name in UNIX:
            return f"it needs {error.name}, which Unix has"
        if isinstance(error, StoreError) and "(flock), and this system has none" in str(error):
            return "it needs locks on files, which Unix has"
        error = error.__cause__ or error.__context__
    return None


def _skip_if_missing(report: Any, call: pytest.CallInfo[Any], path: str) -> None:
    if report.failed and call.excinfo and (what := missing(call.excinfo.value)):
        report.outcome, report.longrepr = "skipped", (path, 0, f"Skipped: {what}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    _skip_if_missing(report, report.call, str(collector.path))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    report = yield
    _skip_if_missing(report, call, str(item.path))
    return report


# How long an example takes is the machine's affair, not a fact about behaviour.
settings.register_profile("untimed", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job, and its children
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def pool() -> Iterator[Any]:
    """Two worker processes, kept for the session: a new pool for each test takes a second."""
    from concurrent.futures import ProcessPoolExecutor

    from dask.multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context()) as executor:
        yield executor


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A LocalCluster of two processes on the loopback."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as started:
        yield started


@pytest.fixture
def client(cluster: Any) -> Iterator[Client]:
    """A client of the session's cluster: while it lives, Dask computes there."""
    from distributed import Client

    with Client(cluster) as connected:
        yield connected


@pytest.fixture(params=["sync", "threads", "processes", "distributed"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the four schedulers in turn, as the one that Dask is set to."""
    if request.param == "distributed":
        request.getfixturevalue("client")
        yield request.param
        return
    settings = {"scheduler": request.param}
    if request.param == "processes":
        settings["pool"] = request.getfixturevalue("pool")
    with dask.config.set(settings):
        yield request.param
