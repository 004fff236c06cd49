"""Equal numbers for equal tasks, and for no others."""

from __future__ import annotations

import copy
import functools
import importlib
import operator
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from dask._expr import ProhibitReuse
from dask._task_spec import Dict, Tuple, _execute_subgraph
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from pipeline import File, digest, pure
from pipeline.graph import GraphError
from pipeline.share import Numbering
from pipeline.share.copying import isolated, viewed
from tests.names import shown

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
        (loaded, Sensor("f.txt"), False),
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


# Pairs of tasks: which of them are one.

INPUTS = {
    "a": Task("a", sorted, [2, 1]), "b": Task("b", sorted, [2, 1]), "c": Task("c", sorted, [3]),
    "n": Task("n", abs, -1), "m": Task("m", abs, -1), "i": Task("i", iter, (1, 2)),
    "r": Task("r", random.random), "p": Alias("p", "a"), "d": DataNode("d", [1]),
    "s": DataNode("s", 5),
}  # fmt: skip


def ref(key: str) -> TaskRef:
    return TaskRef(key)


def task(function: Any, *arguments: Any, **named: Any) -> Task:
    return Task("x", function, *arguments, **named)


def write(items: Any, *others: Any) -> int:
    items.append(1)
    return len(others)


def fused(*tasks: Task, names: Any = (), values: Any = ()) -> Task:
    inner = {node.key: node for node in tasks}
    return Task("x", _execute_subgraph, inner, tasks[-1].key, list(names), *values)


def held_same() -> tuple[Task, Task]:
    items = [1]
    return task(write, items, items), task(write, [1], [1])


class Estimator:
    def __init__(self, random_state: Any = 0, seed: Any = 0) -> None:
        self.random_state, self.seed = random_state, seed


class Plain:
    def __init__(self, size: Any = 1) -> None:
        self.size = size


class Grown(Plain):
    def grow(self) -> None:
        self.size += 1


def with_seed(seed: int | None = None) -> float:
    return float(np.random.default_rng(seed).normal())


SAME: list[tuple[Any, Any]] = [
    (task(abs, 1), task(abs, 1)), (task(max, 1, 2), task(max, 1, 2)),
    (task(abs, "a"), task(abs, "a")),
    (task(abs, 1.5), task(abs, 1.5)), (task(sum, [1, 2]), task(sum, [1, 2])),
    (task(dict, a=1), task(dict, a=1)), (task(sum, List(1, 2)), task(sum, List(1, 2))),
    (task(max, ref("a"), ref("b")), task(max, ref("b"), ref("a"))),
    (task(max, ref("n"), ref("m")), task(max, ref("n"), ref("n"))),
    (task(write, ref("a"), ref("c")), task(write, ref("b"), ref("c"))),
    (task(write, ref("a"), ref("a")), task(write, ref("b"), ref("b"))),
    (task(write, ref("a"), ref("p")), task(write, ref("b"), ref("b"))),
    (task(abs, ref("s")), task(abs, 5)), (Alias("x", "a"), ref("b")),
    (Alias("x", "p"), Alias("x", "b")),
    (task(len, ref("d")), task(len, [1])),
    (task(operator.neg, task(abs, 1)), task(operator.neg, task(abs, 1))),
    (task(ProhibitReuse._identity, ref("a")), ref("b")), (task(isolated, ref("a"), 3), ref("b")),
    (task(viewed, ref("a"), 3), ref("b")), (task(len, Plain(1)), task(len, Plain(1))),
    (task(with_seed, 3), task(with_seed, 3)),
    (task(with_seed, ref("n")), task(with_seed, ref("m"))),
    (fused(Task("y", abs, 1), Task("z", max, ref("y"), 2)), task(max, task(abs, 1), 2)),
    (fused(Task("z", max, ref("y"), 2), names=["y"], values=[ref("n")]), task(max, ref("m"), 2)),
    (fused(Task("z", write, ref("y"), ref("w")), names="yw", values=[ref("a"), ref("b")]),
     task(write, ref("b"), ref("a"))),
    (task(len, Estimator()), task(len, Estimator())),
    (DataNode("x", (1, "a")), DataNode("x", (1, "a"))),
    (task(len, {"a": 1}), task(len, {"a": 1})),
    (task(pd.DataFrame, {"a": [1]}), task(pd.DataFrame, {"a": [1]})),
    (task(sorted, [1], key=len), task(sorted, [1], key=len)),
]  # fmt: skip

OTHER: list[tuple[Any, Any]] = [
    (task(abs, 1), task(abs, 1.0)), (task(abs, 1), task(abs, True)),
    (task(abs, 0), task(abs, False)),
    (task(abs, "1"), task(abs, b"1")), (task(abs, None), task(abs, 0)),
    (task(abs, 1), task(int, 1)),
    (task(max, 1, 2), task(max, 2, 1)), (task(max, 1), task(max, 1, 1)),
    (task(dict, a=1), task(dict, b=1)),
    (task(dict, a=1, b=2), task(dict, b=2, a=1)), (task(max, 1, key=abs), task(max, 1, abs)),
    (task(len, {"a": 1, "b": 2}), task(len, {"b": 2, "a": 1})),
    (task(sum, List(1, 2)), task(sum, (1, 2))),
    (task(sum, List(1, 2)), task(sum, Tuple(1, 2))), (task(sum, List(1)), task(sum, List(1, 1))),
    (task(len, Dict({"a": 1})), task(len, Dict({"a": 2}))),
    (task(abs, ref("a")), task(abs, ref("c"))),
    (task(write, ref("a"), ref("a")), task(write, ref("a"), ref("b"))),
    (task(write, ref("a"), ref("a"), ref("b")), task(write, ref("a"), ref("b"), ref("b"))),
    (task(write, ref("a"), ref("p")), task(write, ref("a"), ref("b"))), held_same(),
    (task(next, ref("i")), task(next, ref("i"))), (task(abs, ref("r")), task(abs, ref("m"))),
    (task(random.random), task(random.random)), (task(with_seed), task(with_seed)),
    (task(with_seed, None), task(with_seed, None)),
    (task(with_seed, seed=None), task(with_seed, seed=None)),
    (task(len, np.random.default_rng(0)), task(len, np.random.default_rng(0))),

    (task(len, [random.Random(0)]), task(len, [random.Random(0)])),  # noqa: S311 - what is looked for,
    (task(len, Estimator(None)), task(len, Estimator(None))),
    (task(len, {"a": Estimator(0, None)}), task(len, {"a": Estimator(0, None)})),
    (task(sorted, [1], key=random.random), task(sorted, [1], key=random.random)),
    (task(map, time.time), task(map, time.time)), (task(len, np), task(len, np)),
    (task(len, [functools.partial(time.time)]), task(len, [functools.partial(time.time)])),
    (task(len, iter([1])), task(len, iter([1]))),
    (task(len, threading.Lock()), task(len, threading.Lock())),
    (task(functools.partial(write, Plain([time.time]))),
     task(functools.partial(write, Plain([time.time])))),
    (task(len, Plain(1)), task(len, Plain(2))), (task(len, Plain(1)), task(len, Grown(1))),
    (task(ProhibitReuse._identity, ref("a")), ref("c")), (Alias("x", "a"), Alias("x", "c")),
    (fused(Task("y", abs, 1), Task("z", max, ref("y"), 2)), task(max, task(abs, 2), 2)),
    (fused(Task("z", write, ref("y"), ref("w")), names="yw", values=[ref("a"), ref("a")]),
     task(write, ref("b"), ref("a"))),
]  # fmt: skip


def both(one: Any, other: Any) -> list[int]:
    nodes = {"x": one, "y": other}
    tasks = {
        key: Alias(key, node.key) if isinstance(node, TaskRef) else node
        for key, node in nodes.items()
    }
    return numbers({**INPUTS, **tasks}, *tasks)


@pytest.mark.parametrize(("one", "other"), SAME, ids=shown)
def test_these_tasks_are_one(one: Any, other: Any) -> None:
    for first, second in (both(one, other), both(other, one)):
        assert first == second > 0


@pytest.mark.parametrize(("one", "other"), OTHER, ids=shown)
def test_these_tasks_are_two(one: Any, other: Any) -> None:
    for first, second in (both(one, other), both(other, one)):
        assert first != second


def test_a_task_that_may_change_its_object_is_not_merged_with_another_that_has_it() -> None:
    grown, plain = Grown(), Plain()

    def grow(owner: Grown) -> None:
        owner.grow()

    def size(owner: Plain) -> int:
        return int(owner.size)

    first, second = both(task(grow, grown), task(grow, grown))
    assert first != second
    first, second = both(task(size, plain), task(size, plain))
    assert first == second
    first, second = both(task(grow, Grown()), task(grow, Grown()))
    assert first == second  # each has its object
    first, second = both(task(pure(grow), grown), task(grow, grown))
    assert first == second


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (task(iter, [1]), "iter: its result changes as it is read"),
        (task(next, ref("i")), "an input: it changes as it is used"),
        (task(random.random), "random.Random.random: it is random"),
        (task(len, np), "numpy: which of its values the task uses is unknown"),
        (task(len, np.random.default_rng(0)), "Generator in Generator: it is random"),
        (task(with_seed), "with_seed(seed=None): it is random without a seed"),
        (task(sorted, key=time.time), "time.time: it reads the time of day"),
    ],
    ids=shown,
)
def test_the_reason_why_a_task_is_not_merged(node: Task, reason: str) -> None:
    numbering = Numbering({**INPUTS, "x": node})
    numbering.add("x")
    assert str(numbering.reasons["x"]).partition(";")[0] == reason


def test_an_alias_has_an_origin() -> None:
    tasks = {**INPUTS, "q": Alias("q", "p"), "t": Task("t", ProhibitReuse._identity, ref("q"))}
    numbering = Numbering(tasks)
    numbering.add("t")
    assert numbering.origins == {"p": "a", "q": "a", "t": "a"}


@pytest.mark.parametrize(
    ("name", "is_merged"),
    [
        ("linear_model.ElasticNet", True), ("linear_model.Lasso", True), ("svm.SVC", True),
        ("linear_model.LogisticRegression", True), ("linear_model.Ridge", True),
        ("model_selection.KFold", True), ("model_selection.StratifiedKFold", True),
        ("ensemble.RandomForestClassifier", False), ("model_selection.ShuffleSplit", False),
    ],
)  # fmt: skip
def test_estimators_that_use_no_seed_by_default_are_merged(name: str, is_merged: bool) -> None:
    pytest.importorskip("sklearn", reason="a peer, which the tests do not need")
    module, _, kind = name.partition(".")
    make = getattr(importlib.import_module(f"sklearn.{module}"), kind)
    first, second = both(task(len, make()), task(len, make()))
    assert (first == second) is is_merged


def test_trees_of_a_forest_with_a_seed_need_none() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble", reason="a peer, which the tests do not need")
    for seed, is_merged in ((0, True), (None, False)):
        forests = [ensemble.RandomForestClassifier(random_state=seed) for _ in "ab"]
        first, second = both(*(task(len, [forest]) for forest in forests))
        assert (first == second) is is_merged


def test_tasks_of_a_function_that_is_declared_pure_are_merged_whatever_they_take() -> None:
    declared = pure(lambda *values: len(values))
    generator, plain = np.random.default_rng(0), Grown()
    for value in (generator, [generator], time.time, Estimator(None), plain, random.random):
        first, second = both(task(declared, value), task(declared, value))
        assert first == second
    first, second = both(task(declared, threading.Lock()), task(declared, threading.Lock()))
    assert first != second  # they have no content


def test_a_helper_that_is_declared_pure_may_hold_a_generator() -> None:
    generator = np.random.default_rng(0)
    helper: Any = pure(lambda: generator.normal())
    first, second = both(task(lambda: helper()), task(lambda: helper()))
    assert first == second


@pytest.mark.parametrize(
    "others",
    [
        (slice(0, 1), slice(0, True), slice(0, 1.0), slice(0, 1, None), slice(0, 1, 1)),
        ((1, (2,)), (1, (2.0,)), (True, (2,)), [1, (2,)], (1, [2]), (1, 2)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": True}),
        (0.0, -0.0, False, 0, (0.0,), (-0.0,)),
        (functools.partial(round, ndigits=1), functools.partial(round, ndigits=True),
         functools.partial(round, 1), functools.partial(pow, 1)),
    ],
    ids=shown,
)  # fmt: skip
def test_constants_have_one_number_if_their_content_is_equal(others: tuple[Any, ...]) -> None:
    again = copy.deepcopy(others)
    tasks = {
        (place, number): Task((place, number), repr, value)
        for place, values in enumerate((others, again))
        for number, value in enumerate(values)
    }
    found = numbers(tasks, *tasks)
    contents = [digest(value) for value in others]  # the order of a dict counts in a task
    assert found[: len(others)] == found[len(others) :]
    if type(others[0]) is dict:
        assert len(set(found)) == len(others)
    else:
        assert len(set(found)) == len(set(contents))
