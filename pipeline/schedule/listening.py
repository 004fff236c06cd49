"""What a cluster's scheduler tells of the tasks that its workers run.

Imported where there is a cluster: `distributed` takes half a second.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from distributed.diagnostics.plugin import SchedulerPlugin

from pipeline.schedule.runs import Run, runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask.typing import Key
    from distributed import Client, Scheduler


@contextmanager
def listening(client: Client, told: list[Run]) -> Iterator[None]:
    """Add to a list, at the end, the runs of the tasks that gave a result meanwhile."""
    name = f"pipeline-{uuid4().hex}"
    client.register_plugin(_Listener(), name=name)
    try:
        yield
    finally:
        told += client.run_on_scheduler(_heard, name)
        client.unregister_scheduler_plugin(name)


def _heard(name: str, dask_scheduler: Any = None) -> list[Run]:
    found: list[Run] = dask_scheduler.plugins[name].runs
    return found


class _Listener(SchedulerPlugin):  # type: ignore[misc] # Dask is untyped
    """In the scheduler: it sees the tasks themselves, and so which of them are blocks."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    async def start(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def transition(self, key: Key, start: str, finish: str, *_: Any, **told: Any) -> None:
        if start == "processing" and finish == "memory":
            spans = [each for each in told["startstops"] if each["action"] == "compute"]
            seconds = sum(each["stop"] - each["start"] for each in spans)
            node = self.scheduler.tasks[key].run_spec
            self.runs += runs(node, key, seconds, told.get("nbytes") or 0)
