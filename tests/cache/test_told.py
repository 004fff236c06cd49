"""What an entry tells of its task."""

from __future__ import annotations

from typing import Any

import dask.array as da
from dask import delayed
from dask.task_spec import DataNode, List, Task, TaskRef

from pipeline.cache.digested import Digests
from pipeline.cache.remains import asked
from pipeline.cache.told import call_of, function_of_task, names_of, title_of, told
from tests.functions import chain, scaled

TOP = "top-" + 32 * "0"


def load(name: str, rows: int = 3) -> list[str]:
    return [name] * rows


def of(tasks: dict[Any, Any], key: Any) -> dict[str, Any]:
    digests = Digests(tasks)
    digests.add([key])
    return told(key, tasks[key], digests)


def texts(found: dict[str, Any]) -> list[str]:
    return [text for text, _ in found["arguments"]]


def test_a_task_is_told_by_its_function_and_arguments() -> None:
    tasks = {
        "rows-1": Task("rows-1", load, "abc", rows=2),
        "d": DataNode("d", 2.5),
        TOP: Task(TOP, max, TaskRef("rows-1"), List(TaskRef("rows-1"), 7), TaskRef("d")),
    }
    found = of(tasks, "rows-1")
    assert (found["function"], found["call"]) == ("load", "load('abc', rows=2)")
    assert texts(found) == ["'abc'", "rows=2"]
    assert len({found["code"], *(each for _, each in found["arguments"])}) == 3
    found = of(tasks, TOP)
    assert found["function"] == "top"
    assert texts(found) == ["load('abc', rows=2)", "[load('abc', rows=2), 7]", "2.5"]
    inputs, both, constant = (each for _, each in found["arguments"])
    assert inputs.startswith("@")
    assert both.split()[0] == inputs
    assert not constant.startswith("@")


def test_a_call_is_told_as_it_is_written() -> None:
    tasks, [key] = asked([chain(2)])
    found = of(tasks, key)
    assert (found["function"], found["call"]) == ("chain", "chain(2)")
    [step] = tasks[key].inputs
    found = of(tasks, step)
    assert (found["function"], found["call"]) == ("scaled", "scaled(chain(1), 3.0, offset=1.0)")
    assert texts(found) == ["chain(1)", "3.0", "offset=1.0"]
    assert [each[:1] == "@" for _, each in found["arguments"]] == [True, False, False]
    assert function_of_task(tasks[step]) is scaled.__wrapped__
    assert names_of(step, tasks[step]) == {"scaled"}


def test_what_puts_blocks_together_is_told_by_them() -> None:
    tasks, [key] = asked([da.ones(4, chunks=2) + 1])
    assert title_of(key, tasks[key]) == call_of(key, tasks[key]) == "add"


def test_a_function_of_a_library_is_told_by_the_key() -> None:
    tasks, [key] = asked([delayed(max)(1, 2)])
    assert title_of(key, tasks[key]) == "max"
    assert call_of(key, tasks[key]) == "max(1, 2)"
