"""`share`: the same collections, the same values, fewer tasks."""

from __future__ import annotations

import operator
import random
import subprocess
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask import delayed
from dask.base import collections_to_expr
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from pipeline import File, GraphError, TaskGraph, compute, impure, pure, share, share_report, task
from pipeline import scheduler as on
from pipeline.apps.fibonacci import fib
from tests.collections_ import (
    add,
    clean,
    identity,
    naive,
    percentiles,
    pipelines,
    standardized,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MATRIX = np.random.default_rng(0).random((1000, 10))
MIXED = pytest.mark.filterwarnings("ignore:Computing mixed collections")
"""Dask materializes dataframes that are computed with others, and says so."""

FRAME = pd.DataFrame({"a": range(60), "b": list("abcdef") * 10, "c": np.linspace(0, 1, 60)})


def optimized(*collections: Any) -> int:
    """Tasks that Dask would run."""
    return len(dict(collections_to_expr(collections).optimize().__dask_graph__()))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame | pd.Series | pd.Index):
        return bool(one.equals(other))
    if isinstance(one, xr.Dataset | xr.DataArray):
        return one.identical(other)
    return bool(np.array_equal(one, other))


# What the issue of this file was about: four examples, with their counts.


def test_a_naive_recursion_becomes_linear() -> None:
    tree = naive(15)
    report = share_report(tree)
    assert (report.before, report.after) == (1973, 16)
    [shared] = report.collections
    assert shared.compute(scheduler="sync") == tree.compute(scheduler="sync") == 610


def test_percentiles_of_one_array() -> None:
    given = percentiles()
    shared = share(*given)
    assert (optimized(*given), optimized(*shared)) == (380, 29)
    assert dask.compute(*shared, scheduler="sync") == dask.compute(*given, scheduler="sync")


def test_two_pipelines_over_the_same_inputs() -> None:
    given = pipelines()
    shared = share(*given)
    assert (optimized(*given), optimized(*shared)) == (304, 153)
    assert dask.compute(*shared, scheduler="sync") == (2, 100)


def test_an_array_without_a_name_standardized_twice() -> None:
    given = standardized(MATRIX) + standardized(MATRIX)
    shared = share(given)
    assert (optimized(given), optimized(shared)) == (122, 70)
    assert same(shared.compute(scheduler="sync"), given.compute(scheduler="sync"))


# Collections of all kinds.


def frame(parts: int = 12) -> Any:
    """A dataframe of pieces that bear random keys; more than ten, so that order shows."""
    size = len(FRAME) // parts
    pieces = [
        delayed(operator.getitem)(FRAME, slice(i * size, (i + 1) * size)) for i in range(parts)
    ]
    return dd.from_delayed(pieces, meta=FRAME.iloc[:0])


def dataset() -> xr.Dataset:
    block = da.from_array(MATRIX, chunks=500, name=False)
    return xr.Dataset({"t": (("x", "y"), block), "u": ("x", np.arange(1000))})


class Custom:
    """The least that is a Dask collection."""

    def __init__(self, dsk: Any, keys: list[Any]) -> None:
        self.dsk, self.keys = dsk, keys

    def __dask_graph__(self) -> Any:
        return self.dsk

    def __dask_keys__(self) -> list[Any]:
        return self.keys

    def __dask_postcompute__(self) -> Any:
        return list, ()

    def __dask_postpersist__(self) -> Any:
        return Custom, (self.keys,)

    def __dask_tokenize__(self) -> Any:
        return sorted(self.dsk), self.keys

    __dask_optimize__ = staticmethod(lambda dsk, keys, **_: dsk)
    __dask_scheduler__ = staticmethod(dask.get)


CUSTOM = {"a": (identity, 1), "b": (identity, 1), "c": (add, "a", "b"), "d": (add, "b", "a")}

COLLECTIONS: dict[str, Callable[[], Any]] = {
    "delayed": lambda: naive(8),
    "delayed nested": lambda: delayed(sorted)([delayed(abs)(-1), {"a": delayed(abs)(-1)}["a"]]),
    "delayed with keywords": lambda: delayed(dict)(a=delayed(abs)(-1), b=[delayed(abs)(-1)]),
    "delayed attribute": lambda: delayed(complex)(1, 2).real + delayed(complex)(1, 2).real,
    "array": lambda: standardized(MATRIX) + standardized(MATRIX),
    "array sliced": lambda: standardized(MATRIX)[5:400, ::2].sum(axis=1),
    "array rechunked": lambda: standardized(MATRIX).rechunk(300).T,
    "array overlapped": lambda: standardized(MATRIX).map_overlap(np.negative, depth=1),
    "array random": lambda: da.random.default_rng(0).random((50, 4), chunks=10).mean(axis=0),
    "frame": frame,
    "frame computed": lambda: (lambda df: df[df.a > 3])(frame()),
    "series": lambda: frame().a + 1,
    "scalar": lambda: frame().a.sum() + frame().a.max(),
    "grouped": lambda: frame().groupby("b").c.mean(),
    "index": lambda: frame().index,
    "merged": lambda: frame().merge(frame(), on="a", shuffle_method="tasks"),
    "bag": lambda: db.from_sequence(range(20), npartitions=4).map(clean).filter(bool),
    "bag item": lambda: db.from_sequence(range(20), npartitions=4).map(clean).sum(),
    "dataset": lambda: dataset().mean("x") + dataset().mean("x"),
    "data array": lambda: dataset().t.std("y"),
    "call": lambda: fib(6),
    "tree": lambda: fib(6).graph(memoize=False),
    "custom": lambda: Custom(CUSTOM, ["c", "d"]),
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_collections_of_all_kinds_keep_type_and_value(name: str) -> None:
    given = COLLECTIONS[name]()
    report = share_report(given)
    [shared] = report.collections
    assert type(shared) is type(given)
    assert report.after <= report.before
    [expected] = dask.compute(given, scheduler="sync")
    [found] = dask.compute(shared, scheduler="sync")
    assert same(found, expected)
    assert share_report(shared).after <= report.after  # again, there is nothing left to share


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes", "distributed"])
@MIXED
def test_all_of_them_together_on_every_scheduler(scheduler: str) -> None:
    given = [make() for make in COLLECTIONS.values()]
    shared = share(*given)
    expected = compute(*given, scheduler="sync")
    for one, other in zip(compute(*shared, scheduler=scheduler), expected, strict=True):
        assert same(one, other)


def test_what_is_divided_stays_divided() -> None:
    given = dd.from_pandas(FRAME, npartitions=12)
    shared = share(given)
    assert (shared.divisions, shared.npartitions) == (given.divisions, 12)
    assert shared.dtypes.equals(given.dtypes)
    assert same((shared.a + 1).loc[7:33].compute(), (given.a + 1).loc[7:33].compute())


def test_several_collections_are_shared_together() -> None:
    report = share_report(naive(8), naive(9))
    one, other = report.collections
    assert report.after == 10
    assert dask.compute(one, other, scheduler="sync") == (21, 34)


def test_nested_structures_keep_their_form() -> None:
    found = share([naive(3), {"a": naive(4), "b": 5}], "x")
    assert dask.compute(found, scheduler="sync") == (([2, {"a": 3, "b": 5}], "x"),)


def test_a_tree_of_calls_becomes_their_dag() -> None:
    tree = fib(9).graph(memoize=False)
    shared = share(tree)
    assert isinstance(shared, TaskGraph)
    assert set(shared.tasks) == set(fib(9).graph().tasks)
    assert shared.check().compute() == 34


def test_calls_that_compute_the_same_stay_two_subproblems() -> None:
    one = task(identity)(1)
    assert share(one) is one


def test_compute_shares_where_it_is_asked_to() -> None:
    seen: list[int] = []

    def counted(x: int) -> int:
        seen.append(x)
        return x

    pair = [delayed(counted)(1) for _ in "ab"]
    assert compute(*pair, scheduler="sync") == (1, 1)
    assert seen == [1, 1]
    tree = fib(4).graph(memoize=False)
    assert compute(*pair, tree, fib(3), scheduler="sync", share=True) == (1, 1, 3, 2)
    assert seen == [1, 1, 1]


# Plain dicts.


def test_a_dict_keeps_what_nothing_takes() -> None:
    shared = share({**CUSTOM, "e": (operator.mul, "c", "d")})
    assert len(shared) == 3
    assert dask.get(shared, "e") == 4


def test_a_dict_keeps_the_keys_that_are_named() -> None:
    shared = share(CUSTOM, keys=["a", "b", "c"])
    assert dask.get(shared, ["a", "b", "c"]) == (1, 1, 2)
    with pytest.raises(GraphError, match=r"keys=\['z'\]: 'z' is not in the graph"):
        share(CUSTOM, keys=["z"])


def test_dicts_that_use_a_key_for_two_tasks_are_refused() -> None:
    with pytest.raises(GraphError, match="two graphs have a task under the key 'a'"):
        share({"a": (identity, 1)}, {"a": (identity, 2)})


def test_a_dict_without_tasks_is_data() -> None:
    assert share({"a": 1}) == {"a": 1}


def test_a_cycle_is_an_error() -> None:
    with pytest.raises(GraphError, match="a cycle of tasks: a → b → a"):
        share({"c": (identity, "a"), "a": (identity, "b"), "b": (identity, "a")})


# The traps of Dask, by name (DASK.md).


def test_trap_tokens_sort_what_containers_hold() -> None:
    nodes = {"a": DataNode("a", 1), "b": DataNode("b", 2)}
    one = Task("x", list, List(TaskRef("a"), TaskRef("b")))
    other = Task("y", list, List(TaskRef("b"), TaskRef("a")))
    shared = share({**nodes, "x": one, "y": other}, keys=["x", "y"])
    assert dask.get(shared, ["x", "y"]) == ([1, 2], [2, 1])


def test_trap_tokens_of_functions_are_their_pickles() -> None:
    def made(n: int) -> Any:
        return lambda x: x + n

    one, other, again = delayed(made(1))(1), delayed(made(2))(1), delayed(made(1))(1)
    assert share_report(one, other, again).after == 2
    assert dask.compute(*share(one, other, again), scheduler="sync") == (2, 3, 2)


def test_trap_tokens_of_arrays_ignore_strides_and_join_texts() -> None:
    matrix = np.arange(9.0).reshape(3, 3)
    texts = [np.array(each, object) for each in (["a-b", "c"], ["a", "b-c"])]
    given = [delayed(np.ndarray.tolist)(each) for each in (matrix, matrix.T, *texts)]
    assert share_report(*given).after == 4


def test_trap_tokens_of_subclasses() -> None:
    class Whole(int):
        pass

    given = [delayed(type)(each) for each in (1, Whole(1), True, 1.0)]
    assert dask.compute(*share(*given), scheduler="sync") == (int, Whole, bool, float)


def test_trap_fused_tasks_order_their_inputs_by_hash() -> None:
    given = [dask.optimize((standardized(MATRIX) + 1).sum())[0] for _ in range(2)]
    plain = (standardized(MATRIX) + 1).sum()
    report = share_report(*given, plain)
    assert report.after < report.before / 2
    values = dask.compute(*report.collections, scheduler="sync")
    assert len({float(each) for each in values}) == 1


def test_trap_identity_of_prohibit_reuse() -> None:
    array = da.ones(30, chunks=10) + 1
    given = [delayed(np.sum)(array), delayed(np.max)(array)]
    shared = share(*given)
    assert not any(
        "_identity" in repr(node) for each in shared for node in dict(each.dask).values()
    )
    assert dask.compute(*shared, scheduler="sync") == (60.0, 2.0)


def test_trap_literals_that_equal_a_key() -> None:
    given = {1: (identity, 5), "x": (add, 1, 1), "y": (add, 5, 5)}
    shared = share(given, keys=["x", "y"])
    assert dask.get(shared, ["x", "y"]) == dask.get(given, ["x", "y"]) == (10, 10)
    nodes = {"k": Task("k", identity, "k"), "z": Task("z", identity, TaskRef("k"))}
    assert dask.get(share(nodes), "z") == "k"


def test_trap_aliases_are_what_they_point_to() -> None:
    graph = {
        "a": Task("a", identity, 1), "b": Alias("b", "a"), "c": Alias("c", "b"),
        "x": Task("x", add, TaskRef("a"), TaskRef("c")),
        "y": Task("y", add, TaskRef("b"), TaskRef("b")),
    }  # fmt: skip
    shared = share(graph, keys=["x", "y", "c"])
    assert dask.get(shared, ["x", "y", "c"]) == (2, 2, 1)
    assert share_report(graph, keys=["x", "y", "c"]).after == 2


@MIXED
def test_trap_values_persisted_here_are_data() -> None:
    kept = naive(6).persist(scheduler="sync")
    frame_kept = frame().persist(scheduler="sync")
    one, other = share(delayed(add)(kept, kept), frame_kept.a.sum())
    assert dask.compute(one, other, scheduler="sync") == (16, FRAME.a.sum())


@pytest.mark.slow
@MIXED
def test_trap_persisted_futures_stay_their_own() -> None:
    with on("distributed"):
        kept, again = naive(6).persist(), naive(6).persist()
        array = (da.ones(10, chunks=5) + 1).persist()
        rows = frame().persist()
        given = (delayed(add)(kept, again), array.sum(), rows.a.sum(), kept)
        shared = share(*given)
        assert compute(*shared) == (16, 20.0, FRAME.a.sum(), 8)


def test_trap_dataframes_are_rebuilt_with_their_own_keys() -> None:
    given = frame(60)
    shared = share(given)
    assert same(shared.compute(scheduler="sync"), given.compute(scheduler="sync"))
    assert shared.partitions[11].compute(scheduler="sync").a.tolist() == [11]


def test_trap_shuffles_on_disk_have_a_store_of_their_own() -> None:
    given = frame().merge(frame(), on="a", shuffle_method="disk")
    [found] = dask.compute(share(given), scheduler="sync")
    assert same(found.sort_values("a").a.reset_index(drop=True), FRAME.a)


def test_trap_sharing_before_fusing() -> None:
    # Fused first, x hides in the blocks of x * 2: two evaluations of each of its two chunks.
    seen: list[int] = []

    def counted(block: Any) -> Any:
        seen.append(len(block))
        return block + 1

    def pair() -> tuple[Any, Any]:
        x = da.from_array(MATRIX, chunks=(500, 10), name=False).map_blocks(counted, dtype="f8")
        return x, x * 2

    (one, _), (_, other) = pair(), pair()
    for given, evaluations in (((one, other), 4), (share(one, other), 2)):
        seen.clear()
        dask.compute(*given, scheduler="sync")
        assert len(seen) == evaluations


def test_a_new_kind_of_array_that_is_an_expression(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import dask\n"
        "dask.config.set({'array.query-planning': True})\n"
        "import dask.array as da, numpy as np, pipeline\n"
        "def make():\n"
        "    x = da.from_array(np.arange(20.0), chunks=5, name=False)\n"
        "    return x - x.sum()\n"
        "if __name__ == '__main__':\n"
        "    one, other = pipeline.share(make(), make())\n"
        "    assert type(one) is type(make())\n"
        "    expected = make().compute(scheduler='sync')\n"
        "    assert np.array_equal(one.compute(scheduler='sync'), expected)\n"
        "    assert np.array_equal(other.compute(scheduler='sync'), expected)\n"
    )
    subprocess.run([sys.executable, str(script)], check=True)


# What is not merged.


def test_two_random_numbers_stay_two() -> None:
    report = share_report(delayed(random.random)(), delayed(random.random)())
    assert report.after == 2
    [(reason, count)] = report.impure
    assert reason.startswith("random.Random.random: it is random; declare the function @pure")
    assert count == 2


def test_two_reads_of_a_file_in_one_run_are_one(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a\n1\n")
    for name in (str(path), File(path)):
        report = share_report(*[delayed(pd.read_csv)(name) for _ in "ab"])
        assert report.after == 1
        assert report.collections[0].compute().a.tolist() == [1]


def test_two_writes_of_a_file_stay_two(tmp_path: Path) -> None:
    path = tmp_path / "f.npy"
    assert share_report(*[delayed(np.save)(path, [1]) for _ in "ab"]).after == 2


def test_two_open_files_stay_two(tmp_path: Path) -> None:
    def read(file: Any) -> Any:
        with file:
            return file.read()

    path = tmp_path / "f.txt"
    path.write_text("text")
    files = share(*[delayed(read)(delayed(open)(path)) for _ in "ab"])
    assert list(dask.compute(*files, scheduler="sync")) == ["text", "text"]


def test_tasks_with_generators_as_arguments_are_not_merged() -> None:
    generator = np.random.default_rng(0)
    given = [delayed(operator.methodcaller("normal"))(generator) for _ in "ab"]
    assert share_report(*given).after == 2


def test_what_depends_on_impure_tasks_is_not_merged_either() -> None:
    given = [delayed(round)(delayed(random.random)(), 3) for _ in "ab"]
    assert share_report(*given).after == 4


def test_marks_decide() -> None:
    @impure
    def sensor() -> float:
        return 20.5

    @pure
    def timed() -> float:
        return random.random()  # noqa: S311 - what the mark overrides

    assert share_report(*[delayed(sensor)() for _ in "ab"]).after == 2
    assert share_report(*[delayed(timed)() for _ in "ab"]).after == 1


def test_what_has_an_unknown_content_is_not_merged_and_reported() -> None:
    lock = threading.Lock()
    report = share_report(*[delayed(type)(lock) for _ in "ab"], *[delayed(abs)(-1) for _ in "ab"])
    assert (report.before, report.after) == (4, 3)
    [(what, times)] = report.unknown
    assert "no key for a lock" in what
    assert times == 2
    assert [type(lock)] * 2 == list(dask.compute(*report.collections[:2], scheduler="sync"))


def test_the_report_says_it_all() -> None:
    text = str(share_report(naive(5), delayed(random.random)(), delayed(type)(threading.Lock())))
    first, merged, impure_, unknown = text.splitlines()
    assert first == "17 tasks → 8, sharing factor 2.12"
    assert merged == "merged: 5 of identity(1) → 1; 5 of add → 2; 3 of identity(0) → 1"
    assert impure_.startswith("not merged, impure: 1 of random.Random.random: it is random; ")
    assert unknown.startswith("not merged, content unknown: 1 of no key for a lock")


# What a reviewer found: values that were wrong once.


def test_tasks_with_impure_functions_as_arguments_are_not_merged() -> None:
    def noise(_: Any) -> float:
        return random.random()  # noqa: S311 - what is looked for

    bag = db.from_sequence([1] * 4, npartitions=4).map(noise)
    array = da.ones(4, chunks=1).map_blocks(lambda block: block * noise(0), dtype=float)
    series = dd.from_pandas(pd.DataFrame({"x": [1.0] * 3}), npartitions=3).x
    mapped = series.map(noise, meta=("x", float))
    given = [bag, array, mapped, delayed(map)(noise, [1])]
    for each in share(*given)[:3]:
        values = list(dask.compute(each, scheduler="sync")[0])
        assert len(set(values)) == len(values)


def test_results_that_are_used_up_are_not_shared() -> None:
    def count() -> Iterator[int]:
        yield from range(3)

    for iterator in (delayed(map)(str, [1, 2]), delayed(iter)([1, 2]), delayed(count)()):
        assert share_report(delayed(list)(iterator), delayed(tuple)(iterator)).after == 3
    twins = [delayed(list)(delayed(map)(str, [1, 2])) for _ in "ab"]
    assert dask.compute(*share(*twins), scheduler="sync") == (["1", "2"], ["1", "2"])
    generators = [delayed(np.random.default_rng)(0) for _ in "ab"]
    draws = [generators[0].normal(), generators[1].random()]
    assert dask.compute(*share(*draws), scheduler="sync") == dask.compute(*draws, scheduler="sync")


def appended(items: list[int], x: int) -> list[int]:
    items.append(x)
    return items


def stored(items: list[int], x: int) -> list[int]:
    items[0] = x
    return items


def test_what_a_consumer_changes_is_its_own() -> None:
    for change in (appended, stored):
        given = [delayed(change)(delayed(list)((0,)), i) for i in range(3)]
        expected = dask.compute(*given, scheduler="sync")
        assert dask.compute(*share(*given), scheduler="sync") == expected
    report = share_report(*[delayed(appended)(delayed(list)((0,)), i) for i in range(3)])
    assert (report.before, report.after) == (6, 4)


class Sampler:
    def __init__(self) -> None:
        self.rng, self.calls = np.random.default_rng(0), 0

    def draw(self) -> float:
        return float(self.rng.random())

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


def test_objects_that_change_or_have_a_source_of_randomness_are_not_merged() -> None:
    sampler, wrapped = Sampler(), delayed(Sampler())
    draws = [delayed(sampler.draw)() for _ in range(3)] + [wrapped.draw() for _ in range(3)]
    assert len(set(dask.compute(*share(*draws), scheduler="sync")[:3])) == 3
    calls = [delayed(Sampler.__call__)(sampler) for _ in "ab"]
    assert share_report(*calls).after == 2


def test_the_order_of_dicts_and_keywords_is_kept() -> None:
    given = [
        delayed(list)({"a": 1, "b": 2}), delayed(list)({"b": 2, "a": 1}),
        delayed(list)(delayed(dict)(a=1, b=2)), delayed(list)(delayed(dict)(b=2, a=1)),
    ]  # fmt: skip
    expected = (["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"])
    assert dask.compute(*share(*given), scheduler="sync") == expected


def test_annotated_collections_are_left_as_they_are() -> None:
    with dask.annotate(resources={"GPU": 1}):
        one = delayed(abs)(-5)
    report = share_report(one, *[delayed(abs)(-5) for _ in "ab"])
    assert report.collections[0] is one
    assert report.unknown == [("a collection with annotations, which is left as it is", 1)]
    assert report.after == 1


def test_collections_that_share_nothing_are_returned_as_they_are() -> None:
    array = (da.ones(20, chunks=5) + np.arange(20)).sum()
    assert share(array) is not None
    distinct = da.arange(20, chunks=5) * 2
    assert share(distinct) is distinct
    rows = dd.from_pandas(FRAME, npartitions=4)
    assert share(rows) is rows


def test_many_collections_over_one_graph_have_it_once() -> None:
    step = delayed(identity)(0)
    for _ in range(50):
        step = delayed(add)(step, 1)
    given = [delayed(add)(step, i % 20) for i in range(40)]
    shared = share(*given)
    assert len({id(each.dask) for each in shared}) == 1
    assert dask.compute(*shared, scheduler="sync") == tuple(50 + i % 20 for i in range(40))
    assert shared[3].compute(scheduler="sync") == 53


def test_cycles_that_no_output_needs_are_errors() -> None:
    with pytest.raises(GraphError, match="a cycle of tasks: a → b → a"):
        share({"x": (identity, 1), "a": (identity, "b"), "b": (identity, "a")})


def test_values_too_deep_to_walk_are_left() -> None:
    loop: list[Any] = []
    loop.append(loop)
    report = share_report({"a": Task("a", len, DataNode(None, loop))})
    assert "contains itself" in report.unknown[0][0]


def test_keys_are_only_for_dicts() -> None:
    with pytest.raises(TypeError, match="only a dict of tasks needs keys"):
        share(naive(3), keys=["a"])


def test_a_graph_as_deep_as_it_may_be() -> None:
    deep = 20_000
    graph: dict[Any, Any] = {0: Task(0, identity, 0)}
    graph |= {n: Task(n, add, TaskRef(n - 1), 1) for n in range(1, deep)}
    report = share_report(graph)
    assert (report.before, report.after) == (deep, deep)


@pytest.mark.parametrize("is_named", [True, False])
def test_two_questions_about_a_table_read_it_once(tmp_path: Path, is_named: bool) -> None:
    log = tmp_path / "log"

    @pure
    def read(part: Any) -> pd.DataFrame:
        with open(log, "a") as file:
            file.write("read\n")
        return pd.DataFrame({"x": [part] * 3, "y": [1.0] * 3})

    def table() -> Any:
        return dd.from_delayed([delayed(read)(i) for i in range(4)], meta=read(0).iloc[:0])

    one = table()
    other = table() if is_named else one
    log.write_text("")
    assert compute(one.x.mean(), other.y.sum(), scheduler="sync", share=True) == (1.5, 12.0)
    assert log.read_text().count("read") == 4


def test_trap_stale_keys_of_files(tmp_path: Path) -> None:
    # With `pure=True` Dask makes the key of the path; of a File, of what is in it.
    path = tmp_path / "f.csv"
    keys = {}
    for text in ("a\n1\n", "a\n2\n"):
        path.write_text(text)
        keys[text] = [delayed(pd.read_csv, pure=True)(each).key for each in (str(path), File(path))]
    (stale, named), (again, changed) = keys.values()
    assert stale == again
    assert named != changed


def test_many_tasks_that_are_not_merged_for_one_reason_take_no_memory() -> None:
    lock = threading.Lock()
    graph = {f"k{i}": Task(f"k{i}", type, lock) for i in range(2000)}
    tracemalloc.start()
    report = share_report(graph)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.after == 2000
    assert peak < 2000 * 1000


def test_calls_keep_their_own_keys_in_the_report() -> None:
    assert set(share_report(fib(3)).graph.tasks) == set(fib(3).graph().tasks)


def test_the_graph_of_a_tree_that_is_shared_is_its_dag() -> None:
    graph = share_report(fib(5).graph(memoize=False)).graph
    assert sorted(graph.check().tasks) == sorted(fib(5).graph().tasks)
    assert graph.compute(scheduler="sync") == [5]


def repeated(function: Any, count: int) -> Any:
    """A sum of calls of a function, each of which is there twice."""
    return delayed(sum)([delayed(function)(-number) for number in [*range(count)] * 2])


@pytest.mark.parametrize("count", [1, 3, 4])
def test_up_to_three_subproblems_of_a_function_are_named_one_by_one(count: int) -> None:
    subproblems = share_report(repeated(abs, count)).subproblems
    assert len(subproblems) == (count if count <= 3 else 1)
    assert sum(times for _, times, _ in subproblems) == 2 * count
    if count > 3:
        assert subproblems == [("abs(…)", 8, 4)]


@pytest.mark.parametrize(("count", "end"), [(8, False), (9, True)])
def test_a_line_of_a_report_lists_eight_reasons(count: int, end: bool) -> None:
    functions = (abs, len, max, min, sum, str, repr, bool, int)[:count]
    pairs = [delayed(function)("7") for function in functions for _ in range(2)]
    text = str(share_report(delayed(list)(pairs)))
    assert text.endswith("; and 1 more") is end
    assert text.count("2 of ") == 8
