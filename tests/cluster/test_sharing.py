"""Clients of one cluster that share the same program at the same time compute it once."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from dask import delayed
from dask.utils import key_split

from pipeline import share
from tests.cluster.processes import Processes, until
from tests.cluster.sharing import grid, sums, without_diagonal, words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of a cluster that has no workers yet."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=0, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def runs(dask_scheduler: Any) -> list[str]:
    """The keys of all tasks that ended, each as often as it ran."""
    return [key for key, begin, end, *_ in dask_scheduler.transition_log
            if (begin, end) == ("processing", "memory")]  # fmt: skip


def waiting_clients(dask_scheduler: Any) -> int:
    """How many clients wait for a value."""
    owners = [task.who_wants or () for task in dask_scheduler.tasks.values()]
    return len({client.client_key for clients in owners for client in clients})


def test_two_clients_at_once_run_each_task_once(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one two three")
    with Processes() as processes:
        programs = [
            processes.start(
                "-m", "tests.cluster.sharing", client.scheduler.address, path,
                settings={"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE,
            )
            for seed in "12"
        ]  # fmt: skip
        until(lambda: client.run_on_scheduler(waiting_clients) == 2)
        client.cluster.scale(2)
        printed = [json.loads(program.communicate(timeout=240)[0]) for program in programs]
    assert printed == [[[9.0, 6.0], 3]] * 2
    times = Counter(key_split(key) for key in client.run_on_scheduler(runs))
    names = "grid", "total", "without_diagonal", "pair"
    assert [times[name] for name in names] == [1, 1, 1, 1]
    assert times["words"] == 2  # a file may change


def test_a_file_that_changes_is_read_again_while_its_first_value_is_kept(
    client: Any, tmp_path: Path
) -> None:
    client.cluster.scale(1)
    path = tmp_path / "words.txt"
    path.write_text("one two three")

    def counted() -> Any:
        return share(delayed(max)(delayed(words)(str(path)), delayed(words)(str(path))))

    first = counted().persist()
    assert first.compute() == 3
    path.write_text("one two three four")
    assert counted().compute() == 4
    assert first.compute() == 3


def test_no_client_sees_what_another_writes_into_a_result(client: Any) -> None:
    client.cluster.scale(1)
    kept = [share(delayed(grid)(3)).persist() for _ in range(2)]
    assert delayed(without_diagonal)(kept[0]).compute() == 6
    assert delayed(without_diagonal)(kept[0]).compute() == kept[0].compute().sum() == 6
    assert kept[1].compute().sum() == 9
    assert share(sums()).compute() == [9.0, 6.0]
