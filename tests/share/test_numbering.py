"""Equal numbers for equal tasks, and for no others."""

from __future__ import annotations

import operator
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from pipeline import File
from pipeline.graph import GraphError
from pipeline.share import Numbering

if TYPE_CHECKING:
    from pathlib import Path


def numbers(tasks: dict[Any, Any], *outputs: Any) -> list[int]:
    numbering = Numbering(tasks)
    numbering.add(outputs)
    return [numbering.numbers[key] for key in outputs]


def test_equal_tasks_have_one_number() -> None:
    tasks = {
        "a": Task("a", abs, -1), "b": Task("b", abs, -1), "c": Task("c", abs, -1.0),
        "x": Task("x", max, TaskRef("a"), TaskRef("b")),
        "y": Task("y", max, TaskRef("b"), TaskRef("a")),
        "z": Task("z", max, TaskRef("a"), TaskRef("c")),
    }  # fmt: skip
    a, b, c, x, y, z = numbers(tasks, *tasks)
    assert a == b != c
    assert x == y != z


def test_a_constant_is_the_data_that_it_equals() -> None:
    tasks = {"d": DataNode("d", 5), "a": Task("a", abs, 5), "b": Task("b", abs, TaskRef("d"))}
    a, b = numbers(tasks, "a", "b")
    assert a == b


def test_nested_tasks_are_the_tasks_that_they_equal() -> None:
    tasks = {
        "i": Task("i", operator.neg, 3),
        "a": Task("a", abs, TaskRef("i")),
        "b": Task("b", abs, Task(None, operator.neg, 3)),
    }
    a, b = numbers(tasks, "a", "b")
    assert a == b


def test_containers_keep_their_kind_and_order() -> None:
    tasks = {
        "a": Task("a", sum, List(1, 2)), "b": Task("b", sum, List(2, 1)),
        "c": Task("c", sum, List(1, 2)),
    }  # fmt: skip
    a, b, c = numbers(tasks, "a", "b", "c")
    assert a == c != b


def test_aliases_have_the_number_of_their_target() -> None:
    tasks = {"a": Task("a", abs, 1), "b": Alias("b", "a")}
    a, b = numbers(tasks, "a", "b")
    assert a == b


def test_what_is_not_there_is_held_under_its_key() -> None:
    one, other = numbers({}, "x", "y")
    assert one != other


def test_what_is_not_merged_equals_nothing_and_has_a_reason() -> None:
    lock = threading.Lock()
    tasks = {key: Task(key, type, lock) for key in "ab"}
    numbering = Numbering(tasks)
    numbering.add("ab")
    assert numbering.numbers["a"] != numbering.numbers["b"]
    [(reason, times)] = Counter(numbering.reasons.values()).items()
    assert "lock" in str(reason)
    assert times == 2


def test_consumers_of_what_is_used_up_are_not_merged_either() -> None:
    tasks = {
        "i": Task("i", iter, DataNode(None, [1, 2])),
        "a": Task("a", next, TaskRef("i")), "b": Task("b", next, TaskRef("i")),
    }  # fmt: skip
    a, b = numbers(tasks, "a", "b")
    assert a != b
    numbering = Numbering(tasks)
    numbering.add(tasks)
    assert str(numbering.reasons["i"]) == "iter: its result changes as it is read"


def test_a_cycle_is_shown() -> None:
    tasks = {"a": Task("a", abs, TaskRef("b")), "b": Task("b", abs, TaskRef("a"))}
    with pytest.raises(GraphError, match="a cycle of tasks: a → b → a"):
        numbers(tasks, "a")


class Sensor:
    """Its methods are known when a task is given it."""

    def __init__(self, path: Any = None) -> None:
        self.path = path

    def read(self) -> float:
        return self.noise()

    def noise(self) -> float:
        return time.time()

    def name(self) -> str:
        return "sensor"

    def load(self) -> str:
        with open(self.path) as file:
            return file.read()


def measured(sensor: Any) -> Any:
    return sensor.read()


def through_another(sensor: Any) -> Any:
    return measured(sensor[0])


def named(sensor: Any) -> Any:
    return sensor.name()


def loaded(sensor: Any) -> Any:
    return sensor.load()


@pytest.mark.parametrize(
    ("function", "given", "is_unmerged"),
    [
        (measured, Sensor(), True),
        (measured, DataNode("d", Sensor()), True),
        (through_another, [Sensor()], True),
        (through_another, {"a": Sensor()}, True),
        (through_another, List(Sensor(), 1), True),
        (named, Sensor(), False),
        (loaded, Sensor("f.txt"), True),
        (loaded, Sensor(File("f.txt")), False),
        (len, Sensor(), False),
    ],
)
def test_methods_of_objects_that_a_task_is_given_count(
    function: Any, given: Any, is_unmerged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.txt").write_text("1")
    tasks = {"x": Task("x", function, given)}
    numbering = Numbering(tasks)
    numbering.add("x")
    assert bool(numbering.reasons) == is_unmerged


def test_they_count_where_the_object_is_a_task_of_its_own() -> None:
    tasks = {"d": DataNode("d", Sensor()), "x": Task("x", measured, TaskRef("d"))}
    numbering = Numbering(tasks)
    numbering.add("x")
    assert "Sensor.read" in str(numbering.reasons["x"])
