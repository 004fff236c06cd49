"""What Dask has fused runs in an order that is found once."""

from __future__ import annotations

import operator
import pickle
import weakref
from typing import Any

import dask.local
import pytest
from dask.task_spec import Alias, DataNode, Task, TaskRef

from pipeline.graph import CallTask
from pipeline.program import in_order


class Value:
    """An object that can be watched: numbers cannot."""


def fused() -> Any:
    """(a + 1) · (a + 1) + b, of which a and b come from outside."""
    return Task.fuse(
        Task("sum", operator.add, TaskRef("square"), TaskRef("b")),
        Task("square", operator.mul, TaskRef("more"), TaskRef("alias")),
        Alias("alias", "more"),
        Task("more", operator.add, TaskRef("a"), 1),
    )


def test_a_fused_task_has_the_same_value() -> None:
    tasks = {"a": DataNode("a", 2), "b": DataNode("b", 5), "sum": fused()}
    ordered = in_order(tasks)
    assert ordered["sum"].func is not fused().func
    assert ordered["sum"].dependencies == {"a", "b"}
    assert dask.local.get_sync(ordered, ["sum", "a"]) == (14, 2)
    copy = pickle.loads(pickle.dumps(ordered["sum"]))  # noqa: S301 - written here
    assert copy({"a": 2, "b": 5}) == 14


def test_other_tasks_stay_as_they_are() -> None:
    tasks = {"a": DataNode("a", 2), "b": CallTask("b", abs, ("a",)), "c": Task("c", abs, -1)}
    assert all(in_order(tasks)[key] is node for key, node in tasks.items())


def test_a_value_is_freed_after_its_last_consumer() -> None:
    known: list[weakref.ref[Value]] = []

    def made(*_: Any) -> Value:
        value = Value()
        known.append(weakref.ref(value))
        return value

    def living(_: Any) -> int:
        return sum(reference() is not None for reference in known)

    nodes = [Task("0", made)]
    nodes += [Task(str(number), made, TaskRef(str(number - 1))) for number in range(1, 5)]
    nodes.append(Task("living", living, TaskRef("4")))
    assert in_order({"living": Task.fuse(*nodes)})["living"]({}) == 1


def test_an_error_is_that_of_the_task() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        in_order({"sum": fused()})["sum"]({"a": 2, "b": "text"})
