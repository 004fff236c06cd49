"""A shared dataframe is optimized once, and to all else it is as it was."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from dask._expr import Expr
from dask.base import collections_to_expr

from pipeline import Store, compute, share

pytestmark = pytest.mark.filterwarnings("default")  # Dask's use of pandas

ROWS = pd.DataFrame({"a": [1, 2, 3, 4] * 3, "b": range(12), "c": 1.5})


@pytest.fixture
def frame(tmp_path: Path) -> Any:
    (tmp_path / "rows").mkdir()
    for number in range(3):
        ROWS[4 * number : 4 * number + 4].to_parquet(tmp_path / "rows" / f"{number}.parquet")
    return dd.read_parquet(tmp_path / "rows")


def totals(frame: Any) -> Any:
    frame = frame[frame.b > 1]
    merged = frame.merge(frame[["a", "c"]].drop_duplicates(), on="a")
    return merged.groupby("a").agg({"b": "sum", "c_x": "max"})


def optimized(*collections: Any) -> Any:
    return collections_to_expr(collections).optimize()


def test_it_is_optimized_once(frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def simplify_once(self: Any, *arguments: Any, **named: Any) -> Any:
        steps.append(self)
        return original(self, *arguments, **named)

    steps: list[Any] = []
    original = Expr.simplify_once
    shared, names = share(totals(frame)), []
    monkeypatch.setattr(Expr, "simplify_once", simplify_once)
    lengths = []
    for collection in (totals(frame), shared):
        names.append(optimized(collection).operands[0]._name)
        lengths.append(len(steps))
        steps.clear()
    assert names[0] == names[1]
    assert lengths[1] < lengths[0] * 2 / 3


def test_its_value_is_the_same(frame: Any, tmp_path: Path) -> None:
    expected = totals(frame).compute(scheduler="sync").sort_index()
    shared = share(totals(frame))
    assert shared.columns.equals(totals(frame).columns)
    assert shared.npartitions == totals(frame).npartitions
    for collection in (shared, share(shared), pickle.loads(pickle.dumps(shared))):  # noqa: S301
        for way in ({}, {"optimize_graph": False}):
            [value] = dask.compute(collection, scheduler="sync", **way)
            pd.testing.assert_frame_equal(value.sort_index(), expected)
    for _ in range(2):
        [value] = compute(shared, store=Store(tmp_path / "cache"), scheduler="sync")
        pd.testing.assert_frame_equal(value.sort_index(), expected)


@pytest.mark.parametrize(
    "build",
    [
        lambda frame: frame.b.sum(), lambda frame: frame[["a", "b"]], lambda frame: frame.b + 1,
        lambda frame: frame.merge(frame[["a"]], on="a").b.max(),
        lambda frame: frame.repartition(npartitions=1).b, len, lambda frame: frame.head(2, -1),
        lambda frame: frame.assign(d=frame.a)[["d"]], lambda frame: frame.set_index("b").a.cumsum(),
    ],
    ids=["sum", "columns", "plus", "merge", "one", "length", "head", "assign", "index"],
)  # fmt: skip
def test_what_is_built_upon_it_has_the_same_value(frame: Any, build: Any) -> None:
    values = []
    for start in (frame[frame.b > 3], share(frame[frame.b > 3])):
        built = build(start)
        computed = built.compute(scheduler="sync") if hasattr(built, "compute") else built
        values.append(computed)
    if isinstance(values[0], pd.DataFrame | pd.Series):
        assert values[0].equals(values[1])
    else:
        assert values[0] == values[1]


def test_what_is_built_upon_it_reads_no_more_columns(frame: Any) -> None:
    assert optimized(share(frame).b.sum())._name == optimized(frame.b.sum())._name


def test_several_are_computed_together_and_apart(frame: Any) -> None:
    pair = [totals(frame), frame.c.mean()]
    expected = dask.compute(*pair, scheduler="sync")
    shared = share(*pair)
    together = dask.compute(*shared, scheduler="sync")
    apart = [collection.compute(scheduler="sync") for collection in shared]
    for values in (together, apart):
        pd.testing.assert_frame_equal(values[0].sort_index(), expected[0].sort_index())
        assert values[1] == expected[1]


def test_another_scheduler_shuffles_in_its_way(frame: Any) -> None:
    by_a = frame.groupby("a").b.sum(split_out=2)
    names = []
    for method in ("tasks", "disk"):
        with dask.config.set({"dataframe.shuffle.method": method}):
            names.append(optimized(by_a)._name)
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        shared = share(by_a)
        assert optimized(shared)._name == names[0]
    with dask.config.set({"dataframe.shuffle.method": "disk"}):
        assert optimized(shared)._name == names[1] != names[0]
        value = shared.compute(scheduler="sync").sort_index()
        assert value.equals(by_a.compute(scheduler="sync").sort_index())
