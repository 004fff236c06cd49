"""`with store:`, and what it leans on in Dask: these tests fail where Dask changes that."""

from __future__ import annotations

import inspect
import threading
import time
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.base
import pytest
from dask import delayed
from dask.task_spec import Task

import pipeline
from pipeline import Store, measure
from pipeline.apps.fibonacci import fib
from pipeline.cache import StoreScheduler

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Client


def slow(x: int) -> int:
    time.sleep(0.02)
    return x + 1


def test_dask_gets_its_scheduler_where_the_context_replaces_it() -> None:
    """`dask.compute` and `dask.persist` find `get_scheduler` in `dask.base` when called."""
    assert {"scheduler", "collections"} <= set(
        inspect.signature(dask.base.get_scheduler).parameters
    )
    for function in (dask.base.compute, dask.base.persist):
        assert "get_scheduler" in function.__code__.co_names
        assert function.__globals__ is vars(dask.base)


def test_clients_run_everything_through_one_method() -> None:
    from distributed import Client

    names = list(inspect.signature(Client._graph_to_futures).parameters)
    assert names[:4] == ["self", "expr", "keys", "span_metadata"]
    for method in (Client.get, Client.compute, Client.persist, Client.submit, Client.map):
        assert "_graph_to_futures" in method.__code__.co_names


def test_all_that_dask_computes_goes_through_the_store(tmp_path: Path, scheduler: str) -> None:
    for tasks in (True, False):
        with Store(tmp_path), measure() as measured:
            x = da.arange(6, chunks=3).map_blocks(slow, dtype=int)
            assert delayed(slow)(1).compute() == 2
            assert dask.compute(delayed(slow)(2), [x.sum()]) == (3, [21])
            assert fib(30).compute() == 832040
            assert pipeline.compute(delayed(slow)(3)) == (4,)
        assert bool(measured.tasks) == tasks


def test_the_context_and_the_explicit_form_share_results(tmp_path: Path) -> None:
    graph = da.arange(6, chunks=3).map_blocks(slow, dtype=int)
    with Store(tmp_path):
        graph.compute(scheduler="sync")
    with measure() as measured:
        pipeline.compute(graph, store=tmp_path, scheduler="sync")
    assert measured.tasks == 0


def test_a_named_scheduler_goes_through_the_store_too(tmp_path: Path) -> None:
    for tasks in (1, 0):
        with Store(tmp_path), measure() as measured:
            delayed(slow)(1).compute(scheduler="sync")
        assert measured.tasks == tasks


def test_clients_compute_persist_submit_and_map_through_the_store(
    tmp_path: Path, client: Client
) -> None:
    for ran in (True, False):
        with Store(tmp_path), measure() as measured:
            futures = [
                client.compute(delayed(slow)(1)),
                client.submit(slow, 2),
                *client.map(slow, [3, 4]),
            ]
            assert client.gather(futures) == [2, 3, 4, 5]
            x = da.arange(6, chunks=3).map_blocks(slow, dtype=int).persist()
            assert x.sum().compute() == 21
            assert client.get({"y": (slow, 7)}, "y") == 8
        assert ("slow" in measured.functions) == ran
        del futures, x


def test_leaving_the_context_restores_dask(tmp_path: Path) -> None:
    from distributed import Client

    before = dask.base.get_scheduler, Client._graph_to_futures
    with Store(tmp_path), pytest.raises(ZeroDivisionError):
        delayed(divmod)(1, 0).compute(scheduler="sync")
    assert (dask.base.get_scheduler, Client._graph_to_futures) == before
    assert not dask.config.get("pipeline.caching", False)
    with measure() as measured:
        delayed(slow)(1).compute(scheduler="sync")
    assert measured.tasks == 1


def test_the_innermost_store_is_used(tmp_path: Path) -> None:
    outer, inner = Store(tmp_path / "outer"), Store(tmp_path / "inner")
    with outer:
        with inner:
            delayed(slow)(1).compute(scheduler="sync")
        delayed(slow)(2).compute(scheduler="sync")
    assert (len(outer), len(inner)) == (1, 1)


def test_a_task_may_compute_with_a_store_itself(tmp_path: Path) -> None:
    def outer(x: int) -> int:
        return int(delayed(slow)(x).compute(scheduler="sync"))

    with Store(tmp_path):
        assert delayed(pipeline.pure(outer))(1).compute(scheduler="sync") == 2


def test_an_unstorable_result_is_returned_with_a_warning(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.warns(pipeline.StoreWarning, match="a lock"):
        assert delayed(threading.Lock)().compute(scheduler="sync") is not None


@pytest.mark.parametrize("explicit", [True, False])
def test_annotations_reach_the_cluster(tmp_path: Path, client: Client, explicit: bool) -> None:
    attempts = tmp_path / "attempts"

    @pipeline.pure
    def flaky(x: int) -> int:
        with attempts.open("a") as file:
            file.write("x")
        if len(attempts.read_text()) < 3:
            raise OSError("not yet")
        return x + 1

    with dask.annotate(retries=5):
        graph = delayed(flaky)(1)
    graph = delayed(max)(graph, delayed(slow)(0))
    store = Store(tmp_path / "cache", keep=["flaky"])
    if explicit:
        assert pipeline.compute(graph, store=store) == (2,)
    else:
        with store:
            assert client.compute(graph).result() == 2
    assert attempts.read_text() == "xxx"
    assert {entry.function for entry in store.entries()} >= {"flaky", "max"}


def test_arrays_persisted_here_stay_collections(tmp_path: Path) -> None:
    with Store(tmp_path):
        x: Any = da.arange(6, chunks=3).map_blocks(slow, dtype=int).persist(scheduler="sync")
    assert x.sum().compute() == 21


def test_a_store_explains_within_its_context(tmp_path: Path) -> None:
    graph = delayed(slow)(1)
    with Store(tmp_path) as store:
        assert store.explain(graph).count("miss") == 1
        graph.compute(scheduler="sync")
        assert store.explain(graph).count("hit") == 1


def test_a_client_stores_the_blocks_of_an_array_and_explains_them(
    tmp_path: Path, client: Client
) -> None:
    x = da.arange(6, chunks=2).map_blocks(slow, dtype=int)
    with Store(tmp_path) as store:
        assert client.compute(x).result().tolist() == [1, 2, 3, 4, 5, 6]
        assert (len(store), store.explain(x).count("hit")) == (3, 3)
    with measure() as measured:
        assert pipeline.compute(x, store=store)[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert measured.tasks == 0


def test_a_worker_computes_what_it_cannot_load(tmp_path: Path, client: Client) -> None:
    """A future cannot be planned again: what is lost meanwhile is computed where it is missed."""
    store = Store(tmp_path)
    graph = delayed(slow)(delayed(slow)(1))
    pipeline.compute(graph, store=store)
    for path in tmp_path.glob("entries/*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with store:
        assert graph.compute() == 3
        assert client.compute(delayed(slow)(delayed(slow)(1))).result() == 3


def test_contexts_may_end_in_any_order(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    delayed(slow)(1).compute(scheduler="sync")
    two.__exit__(None, None, None)
    delayed(slow)(2).compute(scheduler="sync")
    assert (len(one), len(two)) == (0, 1)
    assert not dask.config.get("pipeline.caching", False)
    assert dask.config.get("array_optimize", None) is None


def test_a_task_that_waits_for_an_equal_one_frees_its_thread(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster, worker_client

    @pipeline.pure
    def outer(x: int) -> int:
        with worker_client() as within:
            return int(within.submit(slow, x).result())

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as single,
        Client(single) as client, Store(tmp_path),
    ):  # fmt: skip
        futures = [client.compute(delayed(outer, pure=False)(1)) for _ in range(2)]
        assert [future.result(timeout=300) for future in futures] == [2, 2]


def test_the_error_at_a_lost_scheduler_says_once_that_stored_results_are_kept(
    tmp_path: Path,
) -> None:
    from distributed.client import FutureCancelledError

    def lost(*_: Any, **__: Any) -> Any:
        raise FutureCancelledError("f-1", "scheduler-connection-lost")

    def run(store: Store) -> None:
        with store:
            StoreScheduler(store, lost)({"f-1": Task("f-1", fib, 1)}, ["f-1"])

    store = Store(tmp_path)
    with pytest.raises(FutureCancelledError) as explicit:
        StoreScheduler(store, lost)({"f-1": Task("f-1", fib, 1)}, ["f-1"])
    with pytest.raises(FutureCancelledError) as in_context, store:
        lost()
    with pytest.raises(FutureCancelledError) as both:
        run(store)
    for raised in (explicit, in_context, both):
        [note] = raised.value.__notes__
        assert f"Results stored in {store.url} are kept" in note


def test_the_error_of_a_task_says_nothing_of_the_scheduler(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as raised, Store(tmp_path):
        delayed(int.__floordiv__)(1, 0).compute(scheduler="sync")
    assert not any("scheduler" in note for note in raised.value.__notes__)
