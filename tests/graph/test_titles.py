"""What the tasks of any graph are called."""

from __future__ import annotations

from dask import delayed
from dask.task_spec import Task, TaskRef

from pipeline import File
from pipeline.apps.fibonacci import fib
from pipeline.graph import display_key, short_label


def test_delayed_calls_by_function_and_constants() -> None:
    one = delayed(round)(2.5, ndigits=1)
    assert short_label(display_key(one.key, one.dask[one.key], 1)) == "round(2.5, ndigits=1)"
    other = delayed(max)(one, one)
    assert short_label(display_key(other.key, other.dask[other.key], 2)) == "max"
    mixed = delayed(max)(one, 3)
    assert short_label(display_key(mixed.key, mixed.dask[mixed.key], 3)) == "max(…, 3)"


def test_data_files_and_functions_in_short() -> None:
    for value, shown in ((File("a/long/path/to/data-01.csv"), "…"), (len, "len"), ("x" * 99, "…")):
        node = Task("f-1", max, value)
        assert shown in short_label(display_key("f-1", node, 1))
    node = Task("f-1", max, File("a/very/long/path/to/data-01.csv"))
    assert short_label(display_key("f-1", node, 1)).endswith("data-01.csv)")


def test_blocks_by_their_place_and_tokens_never() -> None:
    key = ("mean-agg-8f14e45fceea167a5a36dedd4bea2543", 0, 2)
    assert short_label(display_key(key, Task(key, max, TaskRef("x")), 5)) == "mean-agg(0, 2)"
    nested = "finalize-hlgfinalizecompute-8f14e45fceea167a5a36dedd4bea2543-" + "0" * 32
    assert (
        short_label(display_key(nested, Task(nested, max, TaskRef("x")), 5))
        == "finalize-hlgfinalizecompute"
    )
    array = ("array-8e02dbc6-e571-11f1-97f6-02fc00000001", 0, 0)
    assert short_label(display_key(array, Task(array, max, TaskRef("x")), 5)) == "array(0, 0)"


def test_calls_by_their_own_keys() -> None:
    graph = fib(3).graph(memoize=False)
    for key, node in graph.tasks.items():
        assert display_key(key, node, 1) in fib(3).graph().tasks
