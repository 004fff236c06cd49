"""Shared and stored arrays run as few tasks as Dask runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
import xarray as xr

from pipeline import Store, compute, measure, share
from pipeline.cache.running import open_collections

VALUES = np.arange(64.0).reshape(8, 8)


def blocks() -> Any:
    return da.from_array(VALUES, chunks=4, name=False)


def chain(start: Any, steps: int = 10) -> Any:
    for step in range(steps):
        start = da.sin(start) + step
    return start


def standardized() -> Any:
    values = blocks()
    return (values - values.mean()) / values.std()


PROGRAMS: dict[str, Callable[[], list[Any]]] = {
    "two equal sums": lambda: [standardized() + standardized()],
    "two chains from equal blocks": lambda: [chain(blocks()) * 2, chain(blocks()) * 3],
    "a product of equal matrices": lambda: [(blocks() + 1) @ (blocks() + 1).T],
    "one program": lambda: [chain(blocks()).sum(), chain(blocks()).mean()],
    "a dataset": lambda: [xr.DataArray(chain(blocks()) + chain(blocks()).mean(axis=0)).sum()],
}


def ran(collections: Any) -> tuple[int, Any]:
    """How many tasks Dask ran, and the values."""
    with measure() as measured:
        values = dask.compute(*collections, scheduler="sync")
    return measured.tasks, values


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_shared_array_program_runs_no_more_tasks(name: str) -> None:
    plain_tasks, plain = ran(PROGRAMS[name]())
    shared_tasks, values = ran(share(PROGRAMS[name]()))
    assert shared_tasks <= plain_tasks
    for value, expected in zip(values, plain, strict=True):
        np.testing.assert_array_equal(value, expected)


def negated_here(block: Any) -> Any:
    """Runs once a block: a second time it would undo the first."""
    block *= -1
    return block


@pytest.mark.parametrize("operation", [np.negative, np.sqrt, np.transpose])
def test_a_function_before_an_operator_with_two_consumers_runs_once(operation: Any) -> None:
    def made() -> Any:
        return blocks().map_blocks(negated_here, dtype=float).map_blocks(operation, dtype=float)

    with np.errstate(invalid="ignore"):
        expected = dask.compute(made(), made(), scheduler="sync")
        values = dask.compute(*share(made(), made()), scheduler="sync")
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("is_context", [False, True])
def test_a_chain_stores_one_result_a_block(tmp_path: Path, is_context: bool) -> None:
    if is_context:
        with Store(tmp_path):
            value = chain(blocks()).compute(scheduler="sync")
    else:
        [value] = compute(chain(blocks()), store=Store(tmp_path), scheduler="sync")
    np.testing.assert_array_equal(value, chain(blocks()).compute(scheduler="sync"))
    assert len(Store(tmp_path)) == 4
    assert Store(tmp_path).explain(chain(blocks())).count("hit") == 4


def test_a_longer_chain_goes_on_from_stored_blocks(tmp_path: Path) -> None:
    compute(chain(blocks()), store=tmp_path, scheduler="sync")
    longer = chain(chain(blocks()), 2)
    explanation = Store(tmp_path).explain(longer)
    assert explanation.count("hit") == 4
    with measure() as measured:
        [value] = compute(longer, store=tmp_path, scheduler="sync")
    assert measured.tasks == 4  # and four are loaded
    np.testing.assert_array_equal(value, longer.compute(scheduler="sync"))


def test_operations_with_two_inputs_are_one_task(tmp_path: Path) -> None:
    values = da.sqrt((blocks() + 1) * (da.ones((8, 8), chunks=4) - 2) + 64)
    with measure() as measured:
        compute(values, store=tmp_path, scheduler="sync")
    assert measured.tasks == 4 < ran([values])[0]
    assert len(Store(tmp_path)) == 4


def test_the_optimizer_of_dask_runs_once_for_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def optimize(graph: Any, *arguments: Any) -> Any:
        graphs.append(graph)
        return original(graph, *arguments)

    original = da.optimization.optimize
    monkeypatch.setattr(da.optimization, "optimize", optimize)
    data = xr.DataArray(chain(blocks()))
    for collections, expected in (([data.sum()], 1), ([data], 1), ([blocks() + 1, data], 2)):
        graphs.clear()
        assert open_collections(collections).inner
        assert len(graphs) <= expected


def test_keep_overrules(tmp_path: Path) -> None:
    compute(chain(blocks(), 3), store=Store(tmp_path, keep=["sin"]), scheduler="sync")
    assert len(Store(tmp_path)) == 16


def doubled(words: list[str]) -> int:
    return 2 * len(words)


@pytest.mark.parametrize(
    ("program", "tasks"),
    [
        # One a partition, besides the source; then the total.
        (lambda bag: bag.map(str.lower).map(str.split).flatten().count(), 2 + 2 + 1),
        # What a function of the user's returns is a result.
        (lambda bag: bag.map(str.split).map(doubled).map(abs).sum(), 2 + 2 + 2 + 1),
        (lambda bag: bag.filter(str.istitle).pluck(0), 2 + 2),
    ],
    ids=["libraries", "the user's", "a list"],
)
def test_a_task_of_a_bag_that_calls_libraries_runs_within_its_consumer(
    tmp_path: Path, program: Callable[[Any], Any], tasks: int
) -> None:
    bag = db.from_sequence(["One two", "three", "Four five six", "one"], npartitions=2)
    collection = program(bag)
    expected = collection.compute(scheduler="sync")
    assert len(open_collections([collection]).tasks) == tasks + 1  # and one that gathers
    store = Store(tmp_path / "cache")
    for _ in range(2):
        assert compute(program(bag), store=store, scheduler="sync") == (expected,)


def test_lists_of_a_bag_that_several_tasks_read_stay_results() -> None:
    words = db.from_sequence(["a b", "c"], npartitions=1).map(str.split)
    both = [words.flatten().count(), words.count()]
    assert compute(*both, store="memory://lists", scheduler="sync") == (3, 2)
