"""Execution: the schedulers by name, and the way from collections to values."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import dask
import dask.base
import dask.local
import dask.multiprocessing
import dask.threaded

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEDULERS = ("sync", "threads", "processes", "distributed")
"""Names of schedulers; the address of a running one, `tcp://host:port`, is another."""


class SchedulerError(ValueError):
    """A scheduler that is not known."""


@contextmanager
def scheduler(name: str) -> Iterator[None]:
    """Have Dask compute on a scheduler meanwhile, started before and ended after.

    `processes` keeps its workers between computations. `distributed` is a cluster of this machine
    alone, bound to 127.0.0.1; an address is that of a running cluster, which is left running.
    Raises `SchedulerError` for an unknown scheduler, `ConnectionError` where none answers.

    In a script, `processes` and `distributed` need `if __name__ == "__main__":` around what runs:
    Python starts their workers by importing the script again.
    """
    with ExitStack() as stack:
        if name in ("sync", "threads"):
            stack.enter_context(dask.config.set(scheduler=name, pool=None))
        elif name == "processes":
            pool = stack.enter_context(_pool())
            stack.enter_context(dask.config.set(scheduler="processes", pool=pool))
        elif name == "distributed":
            stack.enter_context(_cluster())
        elif name.startswith("tcp://"):
            stack.enter_context(_client(name))
        else:
            raise SchedulerError(
                f"unknown scheduler {name!r}: it is one of {', '.join(SCHEDULERS)}, or the "
                "address of a running one, tcp://host:port"
            )
        yield


@contextmanager
def _pool() -> Iterator[Any]:
    from concurrent.futures import ProcessPoolExecutor

    from dask.multiprocessing import get_context
    from dask.system import CPU_COUNT

    workers = dask.config.get("num_workers", None) or CPU_COUNT
    with ProcessPoolExecutor(workers, mp_context=get_context()) as pool:
        yield pool


_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
"""Run by each worker: a Ctrl-C is for whoever started the cluster, and then ends it."""


@contextmanager
def _cluster() -> Iterator[None]:
    import logging

    from distributed import Client, LocalCluster

    # What a cluster says while it goes down is of no use to who asked it for a number.
    with (
        dask.config.set(
            {
                "distributed.comm.timeouts.connect": "30s",
                "distributed.worker.preload": [_DEAF],
            }
        ),
        LocalCluster(
            host="127.0.0.1",
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster),
    ):
        try:
            yield
        except KeyboardInterrupt:  # what its loop says of tasks that are cut off is no news
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise


_PATIENCE = 10.0
"""Seconds that a running cluster has to answer."""


@contextmanager
def _client(address: str) -> Iterator[None]:
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no scheduler answers at {address}: {error}; start one with `dask scheduler`"
        ) from error
    with client:
        yield
