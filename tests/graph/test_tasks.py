"""Tasks: their inputs, their order, and their names."""

from __future__ import annotations

import pickle
from operator import add
from typing import Any

import dask
import pytest
from dask import delayed
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask

from pipeline import File, GraphError
from pipeline.graph import CallTask, cycle_text, display_key, inputs_of, short_label, toposort
from tests.functions import fib


def one() -> int:
    return 1


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


def test_delayed_calls_are_named_by_function_and_constants() -> None:
    one = delayed(round)(2.5, ndigits=1)
    assert short_label(display_key(one.key, one.dask[one.key], 1)) == "round(2.5, ndigits=1)"
    other = delayed(max)(one, one)
    assert short_label(display_key(other.key, other.dask[other.key], 2)) == "max"
    mixed = delayed(max)(one, 3)
    assert short_label(display_key(mixed.key, mixed.dask[mixed.key], 3)) == "max(…, 3)"


def test_data_files_and_functions_are_shown_in_short() -> None:
    for value, shown in ((File("a/long/path/to/data-01.csv"), "…"), (len, "len"), ("x" * 99, "…")):
        node = DaskTask("f-1", max, value)
        assert shown in short_label(display_key("f-1", node, 1))
    node = DaskTask("f-1", max, File("a/very/long/path/to/data-01.csv"))
    assert short_label(display_key("f-1", node, 1)).endswith("data-01.csv)")


def test_blocks_are_named_by_their_place_without_tokens() -> None:
    key = ("mean-agg-8f14e45fceea167a5a36dedd4bea2543", 0, 2)
    assert short_label(display_key(key, DaskTask(key, max, TaskRef("x")), 5)) == "mean-agg(0, 2)"
    nested = "finalize-hlgfinalizecompute-8f14e45fceea167a5a36dedd4bea2543-" + "0" * 32
    assert (
        short_label(display_key(nested, DaskTask(nested, max, TaskRef("x")), 5))
        == "finalize-hlgfinalizecompute"
    )
    array = ("array-8e02dbc6-e571-11f1-97f6-02fc00000001", 0, 0)
    assert short_label(display_key(array, DaskTask(array, max, TaskRef("x")), 5)) == "array(0, 0)"


def test_calls_keep_their_own_keys() -> None:
    graph = fib(3).graph(memoize=False)
    for key, node in graph.tasks.items():
        assert display_key(key, node, 1) in fib(3).graph().tasks
