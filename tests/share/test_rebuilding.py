"""Tasks of collections in one form, and which dicts are graphs."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import pandas as pd
import pytest
import toolz  # type: ignore[import-untyped]
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Alias, DataNode, GraphNode, List, Task, TaskRef

from pipeline import GraphError, share
from pipeline.share import fuse_lines, task_dict, with_iterators
from pipeline.share.rebuilding import is_annotated, is_graph, open_dict


def test_older_forms_are_converted() -> None:
    tasks = task_dict({"a": 1, "b": (operator.add, "a", 2), "c": "a", "t": (1, 2), "self": "self"})
    assert all(isinstance(node, GraphNode) for node in tasks.values())
    assert "self" not in tasks  # held elsewhere, as Dask takes it
    assert dask.get(tasks, ["b", "c", "t"]) == (3, 1, (1, 2))


def test_layers_create_only_the_tasks_of_the_outputs() -> None:
    array = da.ones(1000, chunks=1) + 1
    key = (array.name, 0)
    assert len(task_dict(array.__dask_graph__(), [key])) < 5


def test_layers_of_other_collections_are_skipped() -> None:
    array = da.ones(4, chunks=2) + 1
    seen: set[int] = set()
    graph = HighLevelGraph(
        {name: dict(layer) for name, layer in array.dask.layers.items()}, array.dask.dependencies
    )
    assert task_dict(graph, None, seen)
    assert task_dict(graph, None, seen) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": (abs, 1)}, True), ({"a": Task("a", abs, 1)}, True), ({"a": 1}, False), ({}, False),
        ([1], False), ({"a": DataNode("a", 1)}, True), (da.ones(1), False),
    ],
)  # fmt: skip
def test_what_is_a_graph(value: object, expected: bool) -> None:
    assert is_graph(value) is expected


def test_keys_of_a_dict() -> None:
    graph = {"a": (abs, 1), "b": (abs, "a"), "c": (abs, 2)}
    assert open_dict(graph, None).keys == ["b", "c"]
    assert open_dict(graph, "a").keys == ["a"]
    assert open_dict(graph, [["a"], "c"]).keys == ["a", "c"]
    with pytest.raises(GraphError, match="'z' is not in the graph"):
        open_dict(graph, ["z"])


def test_a_dataframe_of_too_few_partitions_raises_what_dask_raises() -> None:
    frame = dd.from_pandas(pd.DataFrame({"a": range(6)}), npartitions=3)
    with pytest.raises(ValueError, match="only 3 partitions, head received 5"):
        share(frame.head(2, npartitions=5, compute=False)).compute()


def test_lines_are_fused_but_not_through_outputs() -> None:
    line = {f"k{n}": Task(f"k{n}", abs, TaskRef(f"k{n - 1}")) for n in range(1, 4)}
    tasks = {"k0": DataNode("k0", -1), **line}
    whole, parted = fuse_lines(tasks, ["k3"]), fuse_lines(tasks, ["k1", "k3"])
    assert "k3" in whole
    assert len(whole) == 2  # one block, and the key of the output
    assert {"k1", "k3"} <= set(parted)
    assert dask.get(parted, ["k1", "k3"]) == (1, 1)


def test_annotations_are_noticed() -> None:
    with dask.annotate(retries=3):
        assert is_annotated(dask.delayed(abs)(1))
    assert not is_annotated(dask.delayed(abs)(1))
    assert not is_annotated(da.ones(3))


# Iterators


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


def pairs(one: Iterable[int], other: Iterable[int]) -> list[tuple[int, int]]:
    return list(zip(one, other, strict=False))


def test_an_iterator_runs_within_its_only_consumer() -> None:
    tasks: dict[Any, Any] = {
        "n": Task("n", numbers, 3),
        "e": Task("e", enumerate, TaskRef("n")),
        "l": Task("l", list, TaskRef("e")),
        "s": Task("s", sum, [1, 2]),
    }
    whole = with_iterators(tasks, ["l", "s"])
    assert whole.keys() == {"l", "s"}
    assert whole["l"]({}) == [(0, 0), (1, 1), (2, 2)]
    assert len(tasks) == 4
    assert tasks["l"].dependencies == {"e"}


def test_iterators_in_containers_and_by_name_run_within_their_consumer() -> None:
    tasks: dict[Any, Any] = {
        "n": Task("n", partial(numbers, 3)),
        "m": Task("m", map, abs, TaskRef("n")),
        "c": Task("c", toolz.concat, List(TaskRef("m"), [7])),
        "l": Task("l", sorted, TaskRef("c"), reverse=True),
    }
    whole = with_iterators(tasks, ["l"])
    assert list(whole) == ["l"]
    assert whole["l"]({}) == [7, 2, 1, 0]


@pytest.mark.parametrize(
    ("consumers", "outputs"),
    [
        ({"a": Task("a", list, TaskRef("n")), "b": Task("b", list, TaskRef("n"))}, ["a", "b"]),
        ({"a": Task("a", pairs, TaskRef("n"), TaskRef("n"))}, ["a"]),
        ({"a": Task("a", list, TaskRef("n"))}, ["a", "n"]),
        ({"a": Alias("a", "n"), "b": Task("b", list, TaskRef("a"))}, ["b"]),
        ({"a": List(TaskRef("n"))}, ["a"]),
    ],
    ids=["two consumers", "one consumer, twice", "an output", "another name", "a list"],
)
def test_an_iterator_that_several_may_read_stays_a_task(
    consumers: dict[Any, Any], outputs: list[str]
) -> None:
    tasks = {"n": Task("n", numbers, 3), **consumers}
    assert with_iterators(tasks, outputs) == tasks


def test_tasks_without_iterators_stay_as_they_are() -> None:
    tasks = {"a": Task("a", sum, [1]), "b": Task("b", abs, TaskRef("a"))}
    assert with_iterators(tasks, ["b"]) is tasks


def test_frames_of_equal_keys_and_other_tasks_stay_apart() -> None:
    table = pd.DataFrame({"a": [1, 2]})

    def frame(factor: int) -> Any:
        doubled = Task("block", operator.mul, factor, factor)
        tasks = {"block": doubled, "two": Task("two", operator.mul, table, TaskRef("block"))}
        return dd.from_graph(tasks, table.iloc[:0], (None, None), ["two"], "from-graph")

    one, two = share(frame(2)), share(frame(3))  # at the same time
    assert [list(part.compute(scheduler="sync").a) for part in (one, two)] == [[4, 8], [9, 18]]


def test_a_sorted_frame_keeps_the_place_of_its_nulls() -> None:
    frame = pd.DataFrame({"a": [*range(50), *[None] * 50, *range(50, 100)], "b": range(150)})
    ordered = dd.from_pandas(frame, npartitions=5).sort_values(
        "a", ascending=False, na_position="first"
    )
    shared = share(ordered)
    pd.testing.assert_frame_equal(*dask.compute(shared, ordered, scheduler="sync"))
