"""One key for each subproblem, and which."""

from __future__ import annotations

import dask
from dask.task_spec import Alias, DataNode, Task, TaskRef

from pipeline.apps.fibonacci import fib
from pipeline.share.merging import Merged

TASKS = {
    "a": Task("a", abs, -1), "b": Task("b", abs, -1), "p": Alias("p", "b"),
    "x": Task("x", max, TaskRef("a"), TaskRef("p")),
}  # fmt: skip


def test_the_first_key_is_kept_but_that_of_an_output_goes_before() -> None:
    assert list(Merged(TASKS, ["x"]).tasks) == ["a", "x"]
    assert set(Merged(TASKS, ["x", "b"]).tasks) == {"b", "x"}
    both = Merged(TASKS, ["a", "b"])
    assert isinstance(both.tasks["b"], Alias)  # a number, which nobody can change
    assert dask.get(both.tasks, ["a", "b"]) == (1, 1)


def test_aliases_are_no_repeats() -> None:
    merged = Merged(TASKS, ["x"])
    assert merged.origins == {"p": "b"}
    assert list(merged.repeats.values()) == [1]


def test_untouched_tasks_are_the_same_objects() -> None:
    merged = Merged(TASKS, ["a", "x"])
    assert merged.tasks["a"] is TASKS["a"]
    assert merged.tasks["x"] is not TASKS["x"]


def test_a_missing_task_stays_where_it_is() -> None:
    merged = Merged({"y": Task("y", abs, TaskRef("held"))}, ["y"])
    assert merged.key_of("held") == "held"
    assert list(merged.tasks) == ["y"]


def test_occurrences_get_the_key_of_the_call_unless_it_is_in_use() -> None:
    tree = fib(4).graph(memoize=False)
    merged = Merged(tree.tasks, [], tree.keys)
    assert set(merged.tasks) == set(fib(4).graph().tasks)
    [root] = tree.keys
    tasks = {**tree.tasks, root[0]: DataNode(root[0], 7)}
    kept = Merged(tasks, [root[0]], tree.keys)
    assert kept.key_of(root) == root
    assert kept.key_of(root[0]) == root[0]
