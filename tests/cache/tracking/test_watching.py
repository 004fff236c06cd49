"""How tasks are observed: alike, if their functions are and nothing else in them counts."""

from __future__ import annotations

import operator
import os
from functools import partial
from typing import Any

import numpy as np
import pytest
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from pipeline import File, Store, pure
from pipeline.cache.task_digests import TaskDigests
from pipeline.cache.tracking import Watched, Watcher


def reader(*_: Any, **__: Any) -> str | None:
    return os.environ.get("HOME")


@pure
def declared(*_: Any) -> str | None:
    return os.environ.get("SHELL")


def watched(*args: Any, function: Any = operator.add) -> Watched:
    """How the second of two tasks is observed, after one of the same function."""
    tasks = {
        "x": DataNode("x", np.arange(3)), "path": DataNode("path", "/etc/hosts"),
        "one": Task("one", function, 1, TaskRef("x")), "two": Task("two", function, *args),
    }  # fmt: skip
    digests = TaskDigests(tasks)
    digests.add(["one", "two"])
    watcher = Watcher(Store("memory://watching"), digests)
    watcher(tasks["one"])
    return watcher(tasks["two"])


@pytest.mark.parametrize(
    "args",
    [
        (1, 2.5), (TaskRef("x"), (slice(0, 2), None)), (Alias("a", "x"), "text"),
        (List(TaskRef("x"), 1), np.arange(2)), (Task(None, operator.mul, 2, TaskRef("x")), list),
    ],
    ids=range(5),
)  # fmt: skip
def test_numbers_texts_and_arrays_do_not_count(args: Any) -> None:
    assert watched(*args) == Watched(holds_files=False)


@pytest.mark.parametrize("args", [("/etc/hosts",), (TaskRef("path"),), (("/etc/hosts", 1),)])
def test_absolute_paths_count(args: Any) -> None:
    assert watched(*args, function=print).given == ("/etc/hosts",)


def test_files_count() -> None:
    [(file, digest)] = watched([File("/etc/hosts")], function=len).files
    assert file.path == "/etc/hosts"
    assert digest


def test_functions_count_wherever_they_are() -> None:
    functions = Task(None, reader, 1), partial(reader, 2), reader, (1, (reader,))
    for argument in functions:
        assert watched(argument).variables == {"HOME"}
    assert watched(1, function=partial(reader, np.dtype("f4"), axis=(0,))).variables == {"HOME"}
    assert watched(1, declared).is_pure
    assert not watched(1, declared, reader).is_pure
