"""Digests of tasks: equal for equal tasks of any graph, in any process, and for no others."""

from __future__ import annotations

import operator
import random
import subprocess
import sys
from typing import Any

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask._task_spec import Dict, _execute_subgraph
from dask.task_spec import Alias, DataNode, List, Task, TaskRef
from hypothesis import given

from pipeline import TaskGraph, task, trace
from pipeline.cache.running import open_collections
from pipeline.cache.task_digests import TaskDigests, describe_code
from tests.functions import chain, scaled
from tests.graphs import graphs


def digests(tasks: dict[Any, Any], *keys: Any) -> list[str | None]:
    result = TaskDigests(tasks)
    result.add(keys or tasks)
    return [result.digest(key) for key in keys or tasks]


def of(collection: Any) -> str | None:
    """The digest of the one output of a collection."""
    tasks, [key] = open_collections([collection])
    return digests(tasks, key)[0]


@given(graphs())
def test_tasks_of_one_digest_have_one_value(graph: TaskGraph) -> None:
    by_key = dict(zip(graph.tasks, digests(graph.tasks), strict=True))
    values: dict[str | None, int] = {}
    evaluated: dict[Any, Any] = {}
    for key, node in graph.tasks.items():
        evaluated[key] = node(evaluated)
        assert values.setdefault(by_key[key], evaluated[key]) == evaluated[key]


def test_a_digest_does_not_depend_on_keys() -> None:
    one = {"a": Task("a", abs, -1), "b": Task("b", max, TaskRef("a"), 2)}
    other = {"x": Task("x", abs, -1), "y": Task("y", max, TaskRef("x"), 2)}
    assert digests(one) == digests(other)
    assert len(set(digests(one))) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Task("x", max, 1, 2), Task("x", max, 2, 1)),
        (Task("x", max, 1), Task("x", min, 1)),
        (Task("x", max, 1), Task("x", max, 1.0)),
        (Task("x", dict, a=1), Task("x", dict, b=1)),
        (Task("x", dict, a=1, b=2), Task("x", dict, b=2, a=1)),
        (Task("x", sum, List(1, 2)), Task("x", sum, List(2, 1))),
        (Task("x", sum, List(1, 2)), Task("x", sum, [1, 2, 3])),
        (Task("x", len, List(1)), Task("x", len, Dict(a=1))),
        (Task("x", abs, True), Task("x", abs, 1)),
        (Task("x", len, "1"), Task("x", len, b"1")),
    ],
)
def test_other_tasks_have_other_digests(one: Task, other: Task) -> None:
    assert digests({"x": one}) != digests({"x": other})


def test_aliases_and_constant_tasks_count_by_their_values() -> None:
    tasks = {
        "d": DataNode("d", -1), "a": Task("a", abs, TaskRef("d")), "b": Task("b", abs, -1),
        "c": Alias("c", "a"),
    }  # fmt: skip
    _, a, b, c = digests(tasks)
    assert a == b == c


def test_impure_tasks_futures_and_their_consumers_have_no_digest() -> None:
    tasks = {
        "r": Task("r", random.random), "x": Task("x", abs, TaskRef("r")),
        "h": Task("h", abs, TaskRef("future")), "ok": Task("ok", abs, -1),
    }  # fmt: skip
    by_key = dict(zip(tasks, digests(tasks), strict=True))
    assert [key for key, digest in by_key.items() if digest is None] == ["r", "x", "h"]


def test_a_value_into_which_a_consumer_writes_has_a_digest() -> None:
    def changed(x: list[int]) -> list[int]:
        x.append(1)
        return x

    tasks = {"l": Task("l", sorted, [3, 1]), "c": Task("c", changed, TaskRef("l"))}
    assert all(digests(tasks))


def test_fused_tasks_have_the_digest_of_the_last_of_them() -> None:
    x = da.arange(4, chunks=2) + 1
    plain = x.__dask_graph__()
    fused = x.__dask_optimize__(plain, x.__dask_keys__())
    keys = x.__dask_keys__()
    assert any(getattr(node, "func", None) is _execute_subgraph for node in dict(fused).values())
    assert digests(dict(plain), *keys) == digests(dict(fused), *keys)


def test_a_call_has_the_digest_of_what_it_does() -> None:
    assert of(chain(3)) == of(chain(3)) != of(chain(2))
    assert of(scaled(1.0)) == of(scaled(1.0, 2.0)) != of(scaled(1.0, 2.5))
    assert of(scaled(1.0, offset=1.0)) != of(scaled(1.0, 1.0))
    tree = trace(chain(3), memoize=False)
    assert of(tree) == of(chain(3))


def test_a_body_counts_by_its_operations_and_their_places() -> None:
    x, y = scaled(1.0), scaled(2.0)
    distinct = [
        of(value) for value in (x + y, y + x, x - y, x + 1, 1 + x, x + 2, x + y + 1, [x, y])[:7]
    ]
    assert len(set(distinct)) == 7


def test_calls_of_impure_functions_have_no_digest() -> None:
    assert of(task(random.random)() + 1) is None
    assert of(task(np.random.default_rng)() + 1) is None
    assert of(task(np.random.default_rng)(1)) is None  # its result changes as it is used


def test_digests_are_equal_in_another_process() -> None:
    program = (
        "import operator; import numpy as np; from dask import delayed;"
        "from tests.cache.test_task_digests import chain, of;"
        "print(of(chain(4)), of(delayed(operator.add)(np.arange(3), 2)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": "."},
    )  # fmt: skip
    assert process.stdout.split() == [of(chain(4)), of(delayed(operator.add)(np.arange(3), 2))]


def test_the_code_of_a_function_and_the_content_of_a_value_have_digests() -> None:
    task_digests = TaskDigests({})
    assert task_digests.of_function(abs) != task_digests.of_function(max)
    assert task_digests.of_value(1) != task_digests.of_value(1.0)
    assert task_digests.of_value(iter([])) == ""


RATE = 0.5


def helper(x: float) -> float:
    return x * RATE


def makes(offset: int) -> object:
    def made(x: float, power: int = 2) -> float:
        return float(np.sin(helper(x)) ** power + offset)

    return made


def test_a_description_names_all_that_a_digest_covers() -> None:
    description = describe_code(makes(3))
    assert description["its own"]["closure value `offset`"] == "3"
    assert description["its own"]["defaults"] == "(2,)"
    assert description["helper `helper`"]["global `RATE`"] == "0.5"
    assert description["helper `helper`"]["in"] == " in test_task_digests.py"
    assert description["libraries"]["numpy"] == np.__version__


def test_a_function_without_a_digest_is_described_in_part() -> None:
    assert describe_code(iter([])) == {}
