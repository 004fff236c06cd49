"""Dask's schedulers, by name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from dask.multiprocessing import get_context
from dask.system import CPU_COUNT

from pipeline import PipelineError

SCHEDULERS = ("sync", "threads", "processes", "distributed")
"""Names of schedulers; the address of a running one, `tcp://host:port`, is another."""


CONNECT_TIMEOUT = 10.0
"""Seconds that a running cluster has to answer."""

_IGNORE_INTERRUPT = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
"""Each worker runs it: Ctrl-C goes to the process that started the cluster, and then ends it."""


class SchedulerError(PipelineError, ValueError):
    """An unknown scheduler."""


@contextmanager
def scheduler(name: str) -> Iterator[None]:
    """Compute on a scheduler meanwhile: start it before, and stop it afterwards.

    `processes` keeps its workers between computations. `distributed` is a cluster on this machine,
    bound to 127.0.0.1; an address names a running cluster, which keeps running. Raises
    `SchedulerError` for an unknown scheduler, `ConnectionError` if none answers.

    In a script, `processes` and `distributed` need `if __name__ == "__main__":` around what runs:
    Python starts their workers by importing the script again.
    """
    if name in ("sync", "threads"):
        # By function: for a name, Dask imports distributed, which takes half a second.
        context = dask.config.set(scheduler=dask.base.named_schedulers[name], pool=None)
    elif name == "processes":
        context = _pool()
    elif name == "distributed":
        context = _cluster()
    elif name.startswith("tcp://"):
        context = _client(name)
    else:
        raise SchedulerError(
            f"unknown scheduler {name!r}: it is one of {', '.join(SCHEDULERS)}, or the "
            "address of a running one, tcp://host:port"
        )
    with context:
        yield


@contextmanager
def _pool() -> Iterator[None]:
    from concurrent.futures import ProcessPoolExecutor

    workers = dask.config.get("num_workers", None) or CPU_COUNT
    with (
        ProcessPoolExecutor(workers, mp_context=get_context()) as pool,
        dask.config.set(scheduler="processes", pool=pool),
    ):
        yield


@contextmanager
def _cluster() -> Iterator[None]:
    from distributed import Client, LocalCluster

    settings = {
        "distributed.comm.timeouts.connect": "30s",
        "distributed.worker.preload": [_IGNORE_INTERRUPT],
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            host="127.0.0.1",
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # a closing cluster logs what no user needs
        ) as cluster,
        Client(cluster),
    ):
        try:
            yield
        except KeyboardInterrupt:  # its event loop logs every task that is cut off
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise


@contextmanager
def _client(address: str) -> Iterator[None]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no scheduler answers at {address}: {error}; start one with `dask scheduler`"
        ) from error
    with client:
        yield
