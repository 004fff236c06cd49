"""Schedulers for the tests: local ones by name, a cluster in this process's children."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import dask
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client


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
