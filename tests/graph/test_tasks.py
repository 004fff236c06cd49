"""Tasks: what they take, and in which order they can run."""

from __future__ import annotations

import pickle
from operator import add
from typing import Any

import dask
import pytest
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask

from pipeline import GraphError
from pipeline.graph import CallTask, cycle_text, inputs_of, toposort


def one() -> int:
    return 1


def test_nodes_of_any_kind_tell_their_inputs_in_order() -> None:
    task = DaskTask("t", add, TaskRef("b"), dask.task_spec.List(TaskRef("a"), TaskRef("b")))
    assert list(inputs_of(task)) == ["b", "a", "b"]
    assert list(inputs_of(DataNode("d", 1))) == []
    assert list(inputs_of(dask.task_spec.Alias("x", "y"))) == ["y"]
    assert list(inputs_of(CallTask("n", add, ("b", "a")))) == ["b", "a"]


def test_order_puts_inputs_first_and_drops_what_nobody_needs() -> None:
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
