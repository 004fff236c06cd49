"""Merged tasks: no consumer sees a write that it would not see without the merge."""

from __future__ import annotations

import collections
import heapq
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pandas as pd
import pytest
import zarr
from dask import delayed
from dask.task_spec import List, Task, TaskRef

from pipeline import compute, pure, share, share_report, task
from pipeline.share.copying import isolated, viewed
from pipeline.share.merging import Merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def ones(n: int) -> Any:
    return np.ones((n, n))


def total(a: Any) -> float:
    return float(a.sum())


def zero(a: Any) -> float:
    np.fill_diagonal(a, 0)
    return float(a.sum())


def through_a_view(a: Any) -> float:
    flat = a.ravel()
    flat[0] = 50
    return float(a.sum())


def items() -> list[int]:
    return [1, 2, 3]


def push(xs: list[int]) -> int:
    heapq.heappush(xs, 0)
    return sum(xs) + len(xs)


def set_item(xs: list[int]) -> int:
    xs.__setitem__(0, 9)
    return sum(xs)


def frame(n: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(n)})


def column(df: pd.DataFrame) -> list[str]:
    df["b"] = df["a"] * 2
    return list(df.columns)


def columns(df: pd.DataFrame) -> list[str]:
    return list(df.columns)


def through_its_array(df: pd.DataFrame) -> int:
    df["a"].array[0] = 7
    return int(df["a"].sum())


def itself(x: Any) -> Any:
    return x


def two_names(one: Any, other: Any) -> int:
    one[0] = 9
    return int(other[0])


def squares(n: int) -> Iterator[int]:
    return (i * i for i in range(n))


PROGRAMS: list[tuple[Callable[[], Any], list[Callable[[Any], Any]]]] = [
    (lambda: delayed(ones)(3), [total, zero]),
    (lambda: delayed(ones)(3), [total, through_a_view, zero]),
    (lambda: delayed(itself)(delayed(ones)(3)), [zero, total]),
    (lambda: delayed(items)(), [len, push]),
    (lambda: delayed(items)(), [set_item, sum, push]),
    (lambda: delayed(frame)(3), [column, columns]),
    (lambda: delayed(frame)(3), [through_its_array, len]),
    (lambda: delayed(iter)(delayed(items)()), [sum, list]),
]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes", "distributed"])
def test_each_consumer_gets_what_it_gets_without_us(scheduler: str) -> None:
    for step in (1, -1):
        shared: list[Any] = []
        expected: list[Any] = []
        for make, functions in PROGRAMS:
            given = [delayed(function)(make()) for function in functions[::step]]
            expected += dask.compute(*given, scheduler="sync")
            report = share_report(*given)
            assert report.after < report.before
            shared += report.collections
        assert list(compute(*shared, scheduler=scheduler)) == expected


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_generators_are_made_again(scheduler: str) -> None:
    given = [delayed(function)(delayed(squares)(5)) for function in (sum, list, sorted)]
    assert share_report(*given).after == 4
    assert dask.compute(*share(*given), scheduler=scheduler) == (
        30,
        [0, 1, 4, 9, 16],
        [0, 1, 4, 9, 16],
    )


def test_equal_outputs_are_two_objects() -> None:
    one, other = dask.compute(*share(delayed(ones)(3), delayed(ones)(3)), scheduler="sync")
    one[:] = 7
    assert other.sum() == 9
    kept = delayed(ones)(2)
    one, other = dask.compute(*share(kept, kept), scheduler="sync")
    assert one is other  # as without us


def test_an_output_does_not_see_what_a_consumer_writes() -> None:
    given = [delayed(ones)(3), delayed(zero)(delayed(ones)(3))]
    for order in (given, given[::-1]):
        values = dask.compute(*share(*order), scheduler="sync")
        assert sorted(
            total(value) if isinstance(value, np.ndarray) else value for value in values
        ) == [6, 9]


def test_one_object_twice_is_not_two_equal_objects() -> None:
    x = delayed(items)()
    given = [delayed(two_names)(x, x), delayed(two_names)(delayed(items)(), delayed(items)())]
    assert dask.compute(*given, scheduler="sync") == (9, 1)
    assert dask.compute(*share(*given), scheduler="sync") == (9, 1)
    again = [delayed(two_names)(y, y) for y in (delayed(items)(), delayed(items)())]
    assert share_report(*again).after == 2
    assert dask.compute(*share(*again, *given), scheduler="sync") == (9, 9, 9, 1)


def test_that_counts_in_lists_and_for_constants_too() -> None:
    def first_of_two(pair: list[list[int]]) -> int:
        pair[0][0] = 9
        return pair[1][0]

    tasks = {key: Task(key, items) for key in "abc"}
    tasks["x"] = Task("x", first_of_two, List(TaskRef("a"), TaskRef("a")))
    tasks["y"] = Task("y", first_of_two, List(TaskRef("b"), TaskRef("c")))
    assert dask.get(share(tasks, keys=["x", "y"]), ["x", "y"]) == (9, 1)
    one, other, same = np.ones(2), np.ones(2), np.ones(2)
    constants = {"x": Task("x", two_names, same, same), "y": Task("y", two_names, one, other)}
    assert dask.get(share(constants, keys=["x", "y"]), ["x", "y"]) == (9, 1)


def test_it_counts_for_tables_and_objects_that_are_constants() -> None:
    class Row(collections.UserList[int]):
        pass

    for make in (lambda: pd.Series([1, 2]), lambda: Row([1, 2])):
        one, other, same = make(), make(), make()
        tasks = {"x": Task("x", two_names, same, same), "y": Task("y", two_names, one, other)}
        assert dask.get(share(tasks, keys=["x", "y"]), ["x", "y"]) == (9, 1)


def test_two_handles_of_one_value_are_two_objects_for_a_store(tmp_path: Path) -> None:
    def two_tasks() -> Any:
        return delayed(two_names)(delayed(items)(), delayed(items)())

    x = delayed(items)()
    given = [delayed(two_names)(x, x), two_tasks(), two_tasks()]
    for _ in ("cold", "warm"):
        values = compute(*given, scheduler="sync", share=True, store=tmp_path)
        assert values == (9, 1, 1)


def test_consumers_of_the_same_tasks_share_a_handle() -> None:
    given = []
    for _ in "ab":
        x = delayed(ones)(3)
        given += [delayed(total)(x), delayed(zero)(x)]
    merged = Merged(*_graph(given))
    used = {
        user for found in merged.handles.values() for handle in found for user, _ in handle.uses
    }
    assert used == {None}  # the outputs are apart


def test_readers_of_libraries_get_views_and_others_copies() -> None:
    given = [delayed(np.percentile)(delayed(ones)(3), q) for q in (10, 50)]
    given += [delayed(total)(delayed(ones)(3))]
    merged = Merged(*_graph(given))
    assert collections.Counter(_makers(merged)) == {isolated: 1, viewed: 2}


WRITERS: list[Callable[[Any], Any]] = [
    lambda x: delayed(np.max)(x, 0, np.zeros(3)),
    lambda x: delayed(np.median)(x, overwrite_input=True),
    lambda x: delayed(np.add)(x, 1, x),
    lambda x: delayed(np.ravel)(x),
    lambda x: x[0],
]


@pytest.mark.parametrize("writer", WRITERS)
def test_functions_that_may_write_or_return_views_get_copies(writer: Callable[[Any], Any]) -> None:
    merged = Merged(*_graph([writer(delayed(ones)(3)), delayed(total)(delayed(ones)(3))]))
    assert viewed not in _makers(merged)


def test_a_view_of_a_shared_value_may_be_written() -> None:
    given = [delayed(zero)(delayed(ones)(4)[:3]), delayed(total)(delayed(ones)(4)[:3])]
    assert dask.compute(*share(*given), scheduler="sync") == (9, 12)


def test_values_that_nobody_can_change_need_no_handle() -> None:
    @task(cheap=True)
    def double(x: int) -> int:
        return 2 * x

    given = [delayed(abs)(-1) + 1, delayed(abs)(-1) * 2, delayed(abs)(-1)]
    assert Merged(*_graph(given)).handles == {}
    assert compute(share(double(3).graph(memoize=False))) == (6,)


def test_a_shared_graph_runs_beside_the_graph_that_it_is_made_of() -> None:
    x, y = delayed(ones)(3), delayed(ones)(3)
    one, other = delayed(zero)(x), delayed(total)(y)
    shared = share(one, other)
    assert dask.compute(one, other, *shared, x, scheduler="sync")[:4] == (6, 9, 6, 9)
    assert dask.compute(*share(*share(one, other)), scheduler="sync") == (6, 9)


def test_equal_blocks_within_delayed_calls_share_what_they_read() -> None:
    """A block is a task of its own in one place, and within another task in the others."""
    columns = da.from_zarr(zarr.array(np.arange(16.0).reshape(4, 4), chunks=(2, 2)))[:, :3]
    given = [columns, *(delayed(np.percentile)(columns, percent) for percent in (0, 100))]
    whole, least, most = dask.compute(*share(*given), scheduler="sync")
    assert (whole.sum(), least, most) == (84, 0, 14)


def iseven(x: int) -> bool:
    return x % 2 == 0


def test_writes_into_one_shuffle_are_not_merged() -> None:
    bag = db.from_sequence([0, 1, 2, 3, 4] * 3, npartitions=3)
    expected = [(False, [1, 3] * 3), (True, [0, 2, 4] * 3)]
    assert sorted(share(bag.groupby(iseven)).compute(scheduler="sync")) == expected


class Counter:
    def __init__(self) -> None:
        self.n = 0

    def up(self) -> int:
        self.n += 1
        return self.n


class Settings:
    def __init__(self) -> None:
        self.n = 3


def read(settings: Settings) -> int:
    return settings.n


def test_equal_tasks_with_one_object_that_they_may_change_are_not_merged() -> None:
    counter, settings = Counter(), Settings()
    assert sum(dask.compute(*share(*[delayed(counter.up)() for _ in "ab"]), scheduler="sync")) == 3
    assert share_report(*[delayed(read)(settings) for _ in "ab"]).after == 1
    assert "declare the function @pure" in str(share_report(*[delayed(counter.up)() for _ in "ab"]))


def test_declared_pure_they_are() -> None:
    @pure
    def bumped(counter: Counter) -> int:
        return counter.n + 1

    counter = Counter()
    assert share_report(*[delayed(bumped)(counter) for _ in "ab"]).after == 1


def _makers(merged: Merged) -> list[Any]:
    """The functions that make handles in the arguments of tasks."""
    nodes = [node for node in merged.tasks.values() if isinstance(node, Task)]
    arguments = [argument for node in nodes for argument in node.args]
    return [argument.func for argument in arguments if isinstance(argument, Task)]


def _graph(given: list[Any]) -> tuple[dict[Any, Any], list[Any]]:
    tasks: dict[Any, Any] = {}
    for collection in given:
        tasks.update(collection.__dask_graph__())
    return tasks, [collection.key for collection in given]
