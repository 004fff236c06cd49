"""Shuffles through a store: their partitions are results, and their steps run all or none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from pipeline import Store, compute, measure
from pipeline.share import find_shuffles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Method(NamedTuple):
    """A method of shuffles: its scheduler, the function of its results, and that of its steps."""

    name: str
    scheduler: str | None
    result: str
    step: str

    def frame(self, values: range = range(40)) -> Any:
        table = pd.DataFrame({"k": list("abab") * 10, "v": values})
        return dd.from_pandas(table, npartitions=4).shuffle("k", shuffle_method=self.name)


@pytest.fixture(params=["disk", "p2p"])
def method(request: pytest.FixtureRequest) -> Iterator[Method]:
    if request.param == "disk":
        yield Method("disk", "sync", "collect", "shuffle-partition")
    else:
        request.getfixturevalue("client")
        yield Method("p2p", None, "shuffle_unpack", "shuffle-transfer")


def test_a_shuffle_runs_if_one_of_its_partitions_is_not_stored(
    method: Method, tmp_path: Path
) -> None:
    store = Store(tmp_path, keep=[method.result])

    def ran(total: Any, expected: int) -> set[str]:
        with measure() as measured:
            assert compute(total, store=store, scheduler=method.scheduler) == (expected,)
        return set(measured.functions)

    assert method.step in ran(method.frame().v.sum(), 780)
    assert method.step not in ran(method.frame().v.max(), 39)
    partitions = [entry.digest for entry in store.entries() if "shuffle" in entry.function]
    assert len(partitions) == 4
    for digest in {*store.digests()}.difference(partitions[1:]):  # slow tasks may be stored, too
        store.remove(digest)
    assert method.step in ran(method.frame().v.min(), 0)
    assert method.step in ran(method.frame(range(1, 41)).v.max(), 40)


def test_within_a_context_shuffles_are_stored_too(method: Method, tmp_path: Path) -> None:
    for _ in range(2):
        with Store(tmp_path), measure() as measured:
            value = method.frame().v.sum().compute(scheduler=method.scheduler)
        assert value == 780
    assert not measured.functions


def test_equal_shuffles_of_one_run_have_a_place_each(tmp_path: Path) -> None:
    def merged() -> Any:
        table = pd.DataFrame({"k": np.arange(40) % 7, "v": range(40)})
        left, right = (dd.from_pandas(table, npartitions=3) for _ in "ab")
        return left.merge(right, on="k", shuffle_method="disk").v_x.sum()

    plain = merged().compute(scheduler="threads")
    for _ in range(2):
        values = compute(merged(), merged() + 1, store=tmp_path, scheduler="threads")
        assert values == (plain, plain + 1)


def test_a_graph_without_a_barrier_has_no_shuffle() -> None:
    assert find_shuffles({"a": 1}) == (frozenset(), frozenset(), frozenset())


def kind(number: int) -> int:
    return number % 3


def kind_by_file(number: int) -> int:
    return number % len(Path("/dev/null").read_text() + "abc")


def grouped(key: Callable[[int], int]) -> Any:
    return db.from_sequence(range(20), npartitions=3).groupby(key, shuffle="disk").starmap(total)


def total(key: int, numbers: list[int]) -> tuple[int, int]:
    return key, sum(numbers)


@pytest.mark.filterwarnings("ignore:not stored.*kind_by_file")
@pytest.mark.parametrize(("key", "again"), [(kind, False), (kind_by_file, True)])
def test_a_bag_that_is_grouped_on_disk_is_stored_if_nothing_else_is_read(
    key: Callable[[int], int], again: bool, tmp_path: Path
) -> None:
    for is_first in (True, False):
        with measure() as measured:
            [groups] = compute(grouped(key), store=tmp_path, scheduler="sync")
        assert sorted(groups) == [(0, 63), (1, 70), (2, 57)]
        assert ("groupby-barrier" in measured.functions) == (is_first or again)


def test_equal_groups_of_one_run_have_a_place_each(tmp_path: Path) -> None:
    for _ in range(2):
        groups = compute(grouped(kind), grouped(kind).count(), store=tmp_path, scheduler="threads")
        assert sorted(groups[0]) == [(0, 63), (1, 70), (2, 57)]
        assert groups[1] == 3
