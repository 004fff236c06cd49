"""Which tasks run as one."""

from __future__ import annotations

from typing import Any

import pytest
from dask.task_spec import DataNode, TaskRef
from dask.task_spec import Task as DaskTask
from hypothesis import given

from pipeline import TaskGraph, fuse, recurrence, task, trace
from pipeline import fuse as fusing_function
from pipeline.graph import CallTask, inputs_of
from pipeline.program import Block, Part, fuse_tasks
from pipeline.program.grouping import HEAVY, LONGEST, Components
from tests.functions import catalan, edit_distance, fib, square
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
    found: dict[Any, set[Any]] = {}
    for key, node in graph.tasks.items():
        found[key] = set()
        for each in node.inputs:
            found[key] |= found[each] if graph.tasks[each].cheap else {each, *found[each]}
    return found


@given(graphs())
def test_a_block_waits_for_nothing_that_one_of_its_tasks_does_not_wait_for(
    graph: TaskGraph,
) -> None:
    before = heavy_before(graph)
    found = blocks(fuse(graph))
    block_of = {key: n for n, each in enumerate(found) for key in each.function.keys}
    for block in found:
        assert len({frozenset(before[key]) for key in block.function.keys}) == 1
    for key in block_of:  # and what waits for the same, and is connected, is one block
        for each in graph.tasks[key].inputs:
            if graph.tasks[each].cheap and before[each] == before[key]:
                assert block_of[each] == block_of[key]


@given(graphs(), graphs())
def test_several_collections_are_fused_together(one: TaskGraph, other: TaskGraph) -> None:
    tasks = {**one.tasks, **{("m", *key[1:]): renamed(node) for key, node in other.tasks.items()}}
    asked = [one.keys, [("m", *key[1:]) for key in other.keys], one.keys[:1]]
    together = fuse_tasks(tasks, asked)
    outputs = [TaskRef(key) for keys in asked for key in keys]
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


def test_what_is_not_connected_stays_apart() -> None:
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


def test_a_task_is_cheap_where_it_is_said_to_be() -> None:
    assert task(abs, cheap=True) is task(abs, cheap=True)
    assert task(abs, cheap=True) is not task(abs)
    assert task(abs, cheap=True)(3).key == task(abs)(3).key
    assert len(fuse(task(abs, cheap=True)(fib(3)).graph())) == 1


def test_long_blocks_are_cut_and_hand_over_only_what_is_needed() -> None:
    fused = fuse(fib(3 * LONGEST).graph())
    sizes = [len(node.function.keys) for node in blocks(fused)]
    assert (len(sizes), sum(sizes)) == (4, 3 * LONGEST + 1)
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


def test_more_heavy_tasks_than_are_told_apart() -> None:
    @recurrence
    def chain(n: int) -> Any:
        return 1 if n == 0 else square(chain(n - 1)) % 1009 + 1 - 1

    graph = chain(HEAVY + 50).graph()
    fused_graph = fuse(graph).check()
    assert fused_graph.compute(scheduler="sync") == graph.compute(scheduler="sync", fuse=False)


def test_what_only_one_collection_asks_for_is_apart() -> None:
    graph = trace([fib(15), fib(14)])
    together = fuse_tasks(graph.tasks, [[fib(15).key], [fib(14).key]])
    assert list(map(type, together.values())).count(Block) == 1
    assert fib(15).key not in next(iter(together.values())).function.keys


def test_components_join() -> None:
    components = Components()
    one, two, three = (components.of([]) for _ in range(3))
    assert len({one, two, three}) == 3
    joined = components.of([two, three])
    groups = components.groups({"a": one, "b": two, "c": three, "d": joined})
    assert list(groups) == [["a"], ["b", "c", "d"]]


def test_a_deep_graph_of_heavy_and_cheap_tasks() -> None:
    @recurrence
    def mixed(n: int) -> Any:
        if n < 2:
            return n
        return square(mixed(n - 1)) % 1009 if n % 50 == 0 else mixed(n - 1) + mixed(n - 2)

    graph = mixed(5000).graph()
    fused = fusing_function(graph).check()
    assert len(fused) < 500
    assert fused.compute(scheduler="sync") == graph.compute(scheduler="sync", fuse=False)


def test_a_block_cannot_be_a_task_of_a_tree_without_its_tape() -> None:
    (block,) = blocks(fuse(fib(9).graph(memoize=False)))
    assert len(block.function.keys) == 109
    assert block.copy()({}) == 34
    with pytest.raises(KeyError):
        Block("x", block.function, ("missing",))({})
