"""Tasks: their inputs and order. `TaskGraph`: its check, and Dask's collection protocol."""

from __future__ import annotations

import pickle
import shutil
from collections import namedtuple
from dataclasses import dataclass
from operator import add
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask.base import tokenize
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask
from dask.typing import DaskCollection

from pipeline import GraphError, TaskGraph, compute, trace
from pipeline.graph import CallTask, cycle_text, inputs_of, leaves, map_leaves, toposort
from pipeline.graph.taskgraph import keys_in
from tests.functions import fib, square


def test_nodes_of_any_kind_have_inputs_in_order() -> None:
    task = DaskTask("t", add, TaskRef("b"), dask.task_spec.List(TaskRef("a"), TaskRef("b")))
    assert list(inputs_of(task)) == ["b", "a", "b"]
    assert list(inputs_of(DataNode("d", 1))) == []
    assert list(inputs_of(dask.task_spec.Alias("x", "y"))) == ["y"]
    assert list(inputs_of(CallTask("n", add, ("b", "a")))) == ["b", "a"]


def test_toposort_puts_inputs_first_and_drops_unneeded_tasks() -> None:
    tasks = {
        "b": CallTask("b", abs, ("a",)),
        "x": CallTask("x", one, ()),
        "a": CallTask("a", one, ()),
    }
    assert list(toposort(tasks, ["b"])) == ["a", "b"]


def test_a_node_pickles_copies_and_renames() -> None:
    node = CallTask("b", add, ("a", "c"))
    for same in (pickle.loads(pickle.dumps(node)), node.copy()):  # noqa: S301
        assert (same.key, same.function, same.inputs) == ("b", add, ("a", "c"))
        assert same == node
    renamed = node.substitute({"a": "z"}, key="y")
    assert renamed.dependencies == {"z", "c"}
    assert renamed.key == "y"
    filled = node.substitute({"a": DataNode(None, 5)})
    assert filled({"c": 2}) == 7


def test_a_cycle_is_shown_from_its_first_task_and_shortened() -> None:
    tasks: dict[Any, Any] = {n: CallTask(n, abs, ((n + 1) % 50,)) for n in range(50)}
    with pytest.raises(GraphError, match="a cycle of tasks: 7 → 8 → 9"):
        toposort(tasks, [7])
    assert cycle_text(["x", "a", "b"], "a") == "a → b → a"
    assert cycle_text([str(n) for n in range(50)], "0").count("→") == 11


def test_an_order_of_any_depth() -> None:
    tasks: dict[Any, Any] = {n: CallTask(n, abs, (n - 1,) if n else ()) for n in range(100_000)}
    assert list(toposort(tasks, [99_999])) == list(range(100_000))


def test_a_failing_task_names_its_call() -> None:
    node = CallTask(("f-0123456789ab", 3), int, ("text",))
    with pytest.raises(ValueError, match="invalid literal") as caught:
        node({"text": "three"})
    assert caught.value.__notes__ == ["while computing f(3)"]


def test_nodes_with_equal_content_have_equal_tokens() -> None:
    tokens = {
        dask.base.tokenize(node)
        for node in (
            CallTask("a", add, ("x", "y")),
            CallTask("b", add, ("x", "y")),
            CallTask("a", add, ("y", "x")),
        )
    }
    assert len(tokens) == 2


def one() -> int:
    return 1


def small(**changes: Any) -> TaskGraph:
    tasks = {"a": CallTask("a", one, ()), "b": CallTask("b", add, ("a", "a")), **changes}
    return TaskGraph(tasks, TaskRef("b"))


def test_a_valid_graph_passes_its_check() -> None:
    assert small().check().compute(scheduler="sync") == 2


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (small(b=CallTask("b", add, ("a", "c"))), "needs 'c', which is not in the graph"),
        (small(a=CallTask("x", one, ())), "has the key 'x'"),
        (small(a=CallTask("a", add, ("b",))), "a cycle of tasks: a → b → a"),
        (
            TaskGraph({"a": CallTask("a", one, ())}, TaskRef("b")),
            "the output 'b' is not in the graph",
        ),
        (
            TaskGraph({"b": CallTask("b", abs, ("a",)), "a": CallTask("a", one, ())}, TaskRef("b")),
            "b precedes its input a",
        ),
    ],
)
def test_check_names_the_fault(graph: TaskGraph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        graph.check()


Pair = namedtuple("Pair", "left right")


@dataclass
class Point:
    x: Any
    y: Any


STRUCTURE = {"a": [1, (2, {3})], "b": Pair(4, Point(5, [6])), "c": []}


def test_a_structure_is_made_again_with_other_leaves() -> None:
    assert map_leaves(STRUCTURE, lambda leaf: leaf * 10) == {
        "a": [10, (20, {30})],
        "b": Pair(40, Point(50, [60])),
        "c": [],
    }


def test_leaves_are_in_order() -> None:
    assert list(leaves(STRUCTURE)) == [1, 2, 3, 4, 5, 6]


def test_strings_arrays_and_classes_are_leaves() -> None:
    for leaf in ("text", b"text", Point, range(3), frozenset({1})):
        assert list(leaves(leaf)) == [leaf]


def test_keys_are_listed_in_order_with_repetitions() -> None:
    assert keys_in([TaskRef("a"), {"x": TaskRef("b")}, TaskRef("a"), 1]) == ["a", "b", "a"]


def test_structures_of_outputs_are_kept() -> None:
    outputs = {
        "a": fib(6),
        "b": [fib(7), (fib(5), 1)],
        "c": {fib(4)},
        "d": Pair(fib(3), Point(fib(2), "x")),
    }
    graph = trace(outputs).check()
    expected = {"a": 8, "b": [13, (5, 1)], "c": {3}, "d": Pair(2, Point(1, "x"))}
    assert graph.compute(scheduler="sync") == expected
    assert trace(outputs, memoize=False).check().compute(scheduler="sync") == expected
    assert list(leaves(map_leaves(outputs, lambda leaf: 1))) == [1] * 8


def test_the_same_output_twice() -> None:
    assert trace([fib(5), fib(5)]).compute(scheduler="sync") == [5, 5]
    tree = trace([fib(5), fib(5)], memoize=False).check()
    assert tree.compute(scheduler="sync") == [5, 5]
    assert len(tree) == 30


# Dask


@pytest.mark.parametrize("collection", [fib(5), fib(5).graph(), fib(5) + 1, trace([fib(4)])])
def test_calls_and_graphs_are_dask_collections(collection: Any) -> None:
    assert isinstance(collection, DaskCollection)
    assert dask.is_dask_collection(collection)


def test_keys_of_calls_coincide() -> None:
    graph = {**fib(6).__dask_graph__(), **fib(7).__dask_graph__()}
    assert len(graph) == 8


def test_compute_persist_optimize_on_every_scheduler(scheduler: str) -> None:
    call, graph = fib(9), trace({"a": [fib(6)], "b": fib(7) + 1})
    assert dask.compute(call, {"x": [graph]}, 3) == (34, {"x": [{"a": [8], "b": 14}]}, 3)
    for persisted in (*dask.persist(call, graph), call.persist(), graph.persist()):
        assert isinstance(persisted, TaskGraph)
        assert len(persisted) <= 2
    assert dask.compute(*dask.persist(call, graph)) == (34, {"a": [8], "b": 14})
    assert dask.compute(*dask.optimize(call, graph)) == (34, {"a": [8], "b": 14})
    assert call.persist().persist().compute() == 34


def test_calls_mix_with_delayed_objects_and_arrays(scheduler: str) -> None:
    x = da.arange(10, chunks=5)
    assert dask.compute(fib(6), dask.delayed(add)(1, 2), x.sum(), [fib(7).graph()]) == (
        8, 3, 45, [13],
    )  # fmt: skip


def test_a_client_computes_and_persists(client: Any) -> None:
    futures = client.compute([fib(8), trace([fib(6), fib(7)])])
    assert client.gather(futures) == [21, [8, 13]]
    assert client.compute(fib(9)).result() == 34
    assert client.persist(fib(10)).compute() == 55
    assert dask.compute(client.persist(fib(10)), fib(11)) == (55, 89)
    assert dask.compute(fib(11), client.persist(fib(10))) == (89, 55)


def test_a_persisted_tuple_stays_a_value() -> None:
    persisted = (square(2) + 0).persist(scheduler="sync")
    assert persisted.compute(scheduler="sync") == 4
    from pipeline import task

    persisted = task(tuple)((len, "abc")).persist(scheduler="sync")
    assert persisted.compute(scheduler="sync") == (len, "abc")


def test_tokens_cover_the_graph() -> None:
    assert tokenize(fib(5)) == tokenize(fib(5)) == tokenize(fib(5).graph())
    different = [
        fib(5), fib(6), fib(5) + 1, trace([fib(5)]), fib(5).graph(memoize=False), small(),
        small(a=CallTask("a", int, ())), small(a=DataNode("a", 2)),
        small(a=DataNode("a", [].append)),
    ]  # fmt: skip
    assert len({tokenize(one) for one in different}) == len(different)


def test_a_rebuilt_graph_has_the_names_that_dask_gives() -> None:
    graph = fib(5).graph()
    rebuild, state = graph.__dask_postpersist__()
    head = graph.keys[0][0]
    renamed = rebuild({("other", 5): 5}, *state, rename={head: "other"})
    assert renamed.keys == [("other", 5)]
    assert renamed.compute(scheduler="sync") == 5


@pytest.mark.skipif(shutil.which("dot") is None, reason="dask.visualize needs the program `dot`")
def test_dask_visualizes_too(tmp_path: Any) -> None:
    dask.visualize(fib(4), filename=str(tmp_path / "fib.svg"))
    assert (tmp_path / "fib.svg").exists()


def test_dask_reads_the_graph_to_draw_it_also_without_dot() -> None:
    from dask.dot import to_graphviz

    source = to_graphviz(dict(fib(4).graph().tasks)).source
    assert source.count("->") == 2 * 3 + 5  # what tasks take, and from each task to its value
    assert len([line for line in source.splitlines() if "shape=circle" in line]) == 5


def test_dask_diagnostics_see_the_tasks() -> None:
    from dask.diagnostics import Profiler

    with Profiler() as profiler:
        fib(9).compute(scheduler="sync", fuse=False)
    assert len(profiler.results) == 10


def test_repr_counts_and_names() -> None:
    assert repr(fib(6).graph()) == "<TaskGraph: 7 tasks, outputs: fib(6)>"
    assert repr(trace([fib(n) for n in range(5)])).endswith("outputs: fib(0), fib(1), fib(2), …>")
    assert repr(fib(2).graph().tasks[fib(2).key]) == "<CallTask fib(2): fib(1), fib(0)>"


def test_arrays_as_results() -> None:
    (value,) = compute(square(np.arange(4)) * fib(3), scheduler="sync")
    assert value.tolist() == [0, 2, 8, 18]


def test_dask_can_bind_and_wait() -> None:
    from dask.graph_manipulation import bind, wait_on

    assert wait_on(fib(6)).compute(scheduler="sync") == 8
    assert bind(fib(6), fib(5)).compute(scheduler="sync") == 8
