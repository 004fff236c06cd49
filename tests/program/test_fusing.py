"""Which tasks run as one, in every way in which Dask runs our graphs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import pytest
from dask.callbacks import Callback
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask
from hypothesis import given

from pipeline import TaskGraph, compute, fuse, measure, recurrence, task, trace
from pipeline.graph import CallTask, inputs_of
from pipeline.program import Block, Part, fuse_tasks, is_fusing, runnable_tasks
from pipeline.program.fusing import MAX_HEAVY, MAX_TASKS_IN_BLOCK
from tests.functions import catalan, edit_distance, failing, fib, square
from tests.graphs import graphs, values_of


def blocks(graph: TaskGraph) -> list[Any]:
    return [node for node in graph.tasks.values() if isinstance(node, Block)]


@given(graphs())
def test_a_fused_graph_computes_the_same(graph: TaskGraph) -> None:
    fused = fuse(graph).check()
    assert fused.keys == graph.keys
    assert values_of(fused) == values_of(graph)


@given(graphs())
def test_each_needed_task_is_in_one_place(graph: TaskGraph) -> None:
    needed = set(graph.keys)
    for key in reversed(graph.tasks):
        if key in needed:
            needed.update(inputs_of(graph.tasks[key]))
    fused = fuse(graph)
    inner = [key for block in blocks(fused) for key in block.function.keys]
    alone = [
        key for key, node in fused.tasks.items()
        if not isinstance(node, (Block, Part))
    ]  # fmt: skip
    assert sorted(inner + alone) == sorted(needed)
    assert all(graph.tasks[key].cheap for key in inner)


def heavy_before(graph: TaskGraph) -> dict[Any, set[Any]]:
    """The heavy tasks that each task waits for."""
    before: dict[Any, set[Any]] = {}
    for key, node in graph.tasks.items():
        before[key] = set()
        for source in node.inputs:
            is_cheap = graph.tasks[source].cheap
            before[key] |= before[source] if is_cheap else {source, *before[source]}
    return before


@given(graphs())
def test_a_block_waits_for_nothing_that_one_of_its_tasks_does_not_wait_for(
    graph: TaskGraph,
) -> None:
    before = heavy_before(graph)
    fused = blocks(fuse(graph))
    block_of = {key: n for n, block in enumerate(fused) for key in block.function.keys}
    for block in fused:
        assert len({frozenset(before[key]) for key in block.function.keys}) == 1
    for key in block_of:  # and what waits for the same, and is connected, is one block
        for source in graph.tasks[key].inputs:
            if graph.tasks[source].cheap and before[source] == before[key]:
                assert block_of[source] == block_of[key]


@given(graphs(), graphs())
def test_several_collections_are_fused_together(one: TaskGraph, other: TaskGraph) -> None:
    tasks = {**one.tasks, **{("m", *key[1:]): renamed(node) for key, node in other.tasks.items()}}
    requested = [one.keys, [("m", *key[1:]) for key in other.keys], one.keys[:1]]
    together = fuse_tasks(tasks, requested)
    outputs = [TaskRef(key) for keys in requested for key in keys]
    graph = TaskGraph(together, outputs).check()
    assert values_of(graph) == values_of(one) + values_of(other) + values_of(one)[:1]


def renamed(node: CallTask) -> CallTask:
    inner = tuple(("m", *key[1:]) for key in node.inputs)
    return CallTask(("m", *node.key[1:]), node.function, inner, node.cheap)


@given(graphs())
def test_fusing_again_changes_nothing(graph: TaskGraph) -> None:
    fused = fuse(graph)
    assert fuse(fused).tasks == fused.tasks


def test_a_graph_without_heavy_tasks_is_one_block_under_the_key_of_its_output() -> None:
    fused = fuse(fib(50).graph())
    assert list(fused.tasks) == [fib(50).key]
    assert len(blocks(fused)[0].function.keys) == 51


def test_tasks_that_are_not_connected_are_two_blocks() -> None:
    fused = fuse(trace([fib(10), catalan(4)]))
    assert len(blocks(fused)) == 2
    assert fused.compute(scheduler="sync") == [55, 14]


def test_a_block_gives_all_that_others_need_and_computes_nothing_twice() -> None:
    graph = trace([fib(9), fib(8), square(fib(7)) + 0, square(fib(6)) + 0])
    fused = fuse(graph)
    (block,) = blocks(fused)
    assert set(block.function.outputs) == {fib(n).key for n in (9, 8, 7, 6)}
    parts = {key for key, node in fused.tasks.items() if isinstance(node, Part)}
    assert parts == set(block.function.outputs)
    assert fused.compute(scheduler="sync") == [34, 21, 169, 64]


def test_heavy_tasks_stay_and_cheap_ones_do_not() -> None:
    @task(cheap=True)
    def light(x: Any) -> Any:
        return x + 1

    graph = (light(light(fib(3))) + square(fib(4))).graph()
    fused = fuse(graph)
    assert square(fib(4)).key in fused.tasks
    assert light(light(fib(3))).key in blocks(fused)[0].function.keys
    assert fused.compute(scheduler="sync") == 13
    assert len(fuse(edit_distance("abc", "abd").graph()).tasks) == 25  # every min is heavy


def test_a_task_is_cheap_where_its_decorator_says_so() -> None:
    assert task(abs, cheap=True) is task(abs, cheap=True)
    assert task(abs, cheap=True) is not task(abs)
    assert task(abs, cheap=True)(3).key == task(abs)(3).key
    assert len(fuse(task(abs, cheap=True)(fib(3)).graph())) == 1


def test_long_blocks_are_cut_and_hand_over_only_what_is_needed() -> None:
    fused = fuse(fib(3 * MAX_TASKS_IN_BLOCK).graph())
    sizes = [len(node.function.keys) for node in blocks(fused)]
    assert (len(sizes), sum(sizes)) == (4, 3 * MAX_TASKS_IN_BLOCK + 1)
    assert max(sizes) - min(sizes) <= 4
    assert all(len(node.function.outputs) <= 2 for node in blocks(fused))
    assert not any(isinstance(node, Part) for node in fused.tasks.values())


def test_nodes_of_dask_and_values_of_a_cluster_stay_as_they_are() -> None:
    tasks = {
        "d": DataNode("d", 4),
        "t": DaskTask("t", abs, TaskRef("d")),
        "a": CallTask("a", abs, ("d",)),
        "b": CallTask("b", max, ("a", "t", "held")),
        "c": CallTask("c", abs, ("b",)),
    }
    fused = fuse(TaskGraph(tasks, TaskRef("c")))
    assert fused.tasks["t"] is tasks["t"]
    assert fused.tasks["d"] is tasks["d"]
    assert fused.tasks["c"].inputs == ("a", "t", "held")
    assert fused.tasks["c"]({"a": 1, "t": 2, "held": 9}) == 9


def test_a_heavy_branch_does_not_wait_for_another() -> None:
    loads = [square(n) for n in (1, 2)]
    graph = trace([loads[0] * 2 + loads[1] * 2, square(loads[1] * 2)])
    fused_graph = fuse(graph)
    assert fused_graph.tasks[square(loads[1] * 2).key].inputs != graph.tasks
    reached = heavy_before(TaskGraph({
        key: CallTask(key, abs, tuple(inputs_of(node)), cheap=isinstance(node, (Block, Part)))
        for key, node in fused_graph.tasks.items()
    }, graph.outputs))  # fmt: skip
    assert square(1).key not in reached[square(loads[1] * 2).key]


@pytest.mark.slow
def test_more_heavy_tasks_than_are_distinguished() -> None:
    @recurrence
    def chain(n: int) -> Any:
        return 1 if n == 0 else square(chain(n - 1)) % 1009 + 1 - 1

    graph = chain(MAX_HEAVY + 50).graph()
    fused_graph = fuse(graph).check()
    assert fused_graph.compute(scheduler="sync") == graph.compute(scheduler="sync", fuse=False)


def test_tasks_that_only_one_collection_needs_are_another_block() -> None:
    graph = trace([fib(15), fib(14)])
    together = fuse_tasks(graph.tasks, [[fib(15).key], [fib(14).key]])
    assert list(map(type, together.values())).count(Block) == 1
    assert fib(15).key not in next(iter(together.values())).function.keys


def test_tasks_join_where_they_meet() -> None:
    functions = {"a": "", "b": "", "c": "", "d": "bc", "e": "a"}
    tasks = {key: CallTask(key, max, tuple(inputs)) for key, inputs in functions.items()}
    fused = fuse_tasks(tasks, [["e", "d"]])
    programs = [node.function for node in fused.values() if isinstance(node, Block)]
    assert [sorted(program.keys) for program in programs] == [["a", "e"], ["b", "c", "d"]]


def test_a_deep_graph_of_heavy_and_cheap_tasks() -> None:
    @recurrence
    def mixed(n: int) -> Any:
        if n < 2:
            return n
        return square(mixed(n - 1)) % 1009 if n % 50 == 0 else mixed(n - 1) + mixed(n - 2)

    graph = mixed(5000).graph()
    fused = fuse(graph).check()
    assert len(fused) < 500
    assert fused.compute(scheduler="sync") == graph.compute(scheduler="sync", fuse=False)


def test_a_block_cannot_be_a_task_of_a_tree_without_its_program() -> None:
    (block,) = blocks(fuse(fib(9).graph(memoize=False)))
    assert len(block.function.keys) == 109
    assert block.copy()({}) == 34
    with pytest.raises(KeyError):
        Block("x", block.function, ("missing",))({})


# Every way in which Dask runs our graphs fuses them, and nothing else changes


class Seen(Callback):  # type: ignore[misc] # Dask is untyped
    """The tasks that a local scheduler ran."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Any] = []

    def _posttask(self, key: Any, value: Any, dsk: Any, *_: Any) -> None:
        self.nodes.append(dsk[key])


def test_every_way_to_run_a_call_fuses_it() -> None:
    ways: list[Any] = [
        lambda: fib(20).compute(scheduler="sync"),
        lambda: fib(20).graph().compute(scheduler="threads"),
        lambda: dask.compute(fib(20), scheduler="sync")[0],
        lambda: compute(fib(20), scheduler="sync")[0],
        lambda: fib(20).persist(scheduler="sync").compute(scheduler="sync"),
        lambda: dask.optimize(fib(20))[0].compute(scheduler="sync"),
    ]
    for way in ways:
        with Seen() as seen:
            assert way() == 6765
        assert sum(isinstance(node, Block) for node in seen.nodes) == 1
        assert len(seen.nodes) == 1
    with Seen() as seen:
        assert dask.delayed(int)(fib(20)).compute(scheduler="sync") == 6765
    assert len(seen.nodes) <= 3


def test_task_by_task_without_fusing(scheduler: str) -> None:
    assert fib(9).compute(fuse=False) == 34
    assert fib(9).graph().compute(fuse=False) == 34
    assert compute(fib(9), [fib(8)], fuse=False) == (34, [21])


def test_unfused_runs_have_a_task_a_subproblem() -> None:
    ways: list[Any] = [
        lambda: fib(9).compute(scheduler="sync", fuse=False),
        lambda: compute(fib(9), scheduler="sync", fuse=False),
        lambda: compute(fib(9), da.ones(2), scheduler="sync", fuse=False),
    ]
    with dask.config.set({"pipeline.fuse": False}):
        assert not is_fusing()
        for way in ways:
            with Seen() as seen:
                way()
            assert sum(str(node.key[0]).startswith("fib-") for node in seen.nodes) == 10
    assert is_fusing()


def test_collections_of_one_computation_are_fused_together(scheduler: str) -> None:
    with measure() as measured:
        assert dask.compute(fib(6), fib(7)) == (8, 13)
    assert measured.tasks == 8
    with measure() as measured:
        assert compute(fib(6), {"a": [fib(7)]}, trace([fib(8), 1])) == (8, {"a": [13]}, [21, 1])
    assert sum(run.key[0] != "finalize" for run in measured.runs if run.key in keys(8)) == 9


def keys(n: int) -> set[Any]:
    return set(fib(n).graph().tasks)


def test_mixed_with_other_collections(scheduler: str) -> None:
    total = da.arange(10, chunks=5).sum()
    delayed = dask.delayed(abs)(-3)
    expected = (8, 45, 13, 3, [5])
    assert compute(fib(6), total, fib(7), delayed, trace([fib(5)])) == expected
    assert dask.compute(fib(6), total, fib(7)) == (8, 45, 13)


def test_batches_are_closed_when_they_are_read_and_forget_what_is_dropped() -> None:
    first, second = fib(6).graph(), fib(7).graph()
    for graph in (first, second):
        optimized = graph.__dask_optimize__(graph.__dask_graph__(), graph.keys)
        assert list(optimized) == graph.keys
        assert len(optimized[graph.keys[0]].function.keys) == len(graph)
    dropped = first.__dask_optimize__(first.tasks, first.keys)
    del dropped
    optimized = second.__dask_optimize__(second.tasks, second.keys)
    assert optimized[second.keys[0]].function.outputs == tuple(second.keys)


def test_optimizing_other_tasks_than_the_collection_has() -> None:
    graph, other = fib(6).graph(), fib(9).graph()
    optimized = graph.__dask_optimize__(dict(other.tasks), [[fib(9).key]])
    assert optimized[fib(9).key]({}) == 34


def test_a_graph_is_fused_once() -> None:
    graph = fib(30).graph()
    graph.compute(scheduler="sync")
    assert runnable_tasks([graph]) is runnable_tasks([graph])
    assert "fused" not in graph.__getstate__()


def test_errors_stay_as_they_are(scheduler: str) -> None:
    with pytest.raises(ZeroDivisionError, match="no 0") as caught:
        (failing(5) + fib(3)).compute()
    assert caught.value.__notes__ == ["while computing fail(0)"]

    @task(cheap=True)
    def wrong(x: int) -> int:
        raise ValueError(f"wrong {x}")

    with pytest.raises(ValueError, match="wrong 2") as error:
        (wrong(fib(3)) + fib(20)).compute()
    assert [note.partition("@")[0] for note in error.value.__notes__] == [
        "while computing wrong(fib(3))"
    ]


def test_an_error_stays_with_the_collection_it_is_of(client: Any) -> None:
    good, bad = client.compute([fib(15), failing(3) + fib(14)])
    assert good.result() == 610
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert fib(15).compute() == 610


@task
def together(name: Any, folder: str) -> int:
    """How many tasks are in a folder, once two are there: each waits for the other."""
    Path(folder, str(name)).touch()
    end = time.monotonic() + 30
    while len(os.listdir(folder)) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return len(os.listdir(folder))


@pytest.mark.parametrize("name", ["threads", "distributed"])
def test_heavy_branches_of_one_graph_run_at_the_same_time(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if name == "distributed":
        request.getfixturevalue("client")
    left, right = together(1, str(tmp_path)), together(2, str(tmp_path))
    with dask.config.set(scheduler=name, num_workers=2):
        assert trace([(left, right), left + right]).compute() == [(2, 2), 4]


def test_heavy_branches_that_take_from_one_block_run_at_the_same_time(tmp_path: Path) -> None:
    """On a cluster both may be put where the block's values are: that is Dask's to choose."""
    graph = trace([together(fib(10), str(tmp_path)), together(fib(9), str(tmp_path))])
    with dask.config.set(scheduler="threads", num_workers=2):
        assert graph.compute() == [2, 2]


def test_progress_moves_during_a_long_program() -> None:
    with Seen() as seen:
        fib(50_000).compute(scheduler="sync")
    assert len(seen.nodes) > 10


LONG = """
import time, sys
from pipeline import recurrence, task
# Not at the first step: an interrupt of a pool that starts a thread loses the thread.
EARLY, LAST = 1000, 30_000
@task(cheap=True)
def step(x):
    if x in (EARLY, LAST):
        print("early" if x == EARLY else "last", flush=True)
    time.sleep(0.0002)
    return x + 1
@recurrence
def chain(n):
    return 1 if n == 0 else step(chain(n - 1))
chain(LAST).graph().compute(scheduler=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sync", "threads"])
def test_a_long_program_can_be_interrupted(name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"early\n"
    os.kill(process.pid, signal.SIGINT)
    rest, errors = process.communicate(timeout=600)
    assert b"KeyboardInterrupt" in errors
    assert b"last" not in rest


def test_a_graph_of_a_cluster_is_fused_there(client: Any) -> None:
    with measure() as measured:
        assert client.compute([fib(10), trace([fib(11), square(fib(9))])])[1].result() == [89, 1156]
    assert {run.key for run in measured.runs} >= keys(11)
    assert client.persist(fib(12)).compute() == 144
