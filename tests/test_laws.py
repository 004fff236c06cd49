"""Laws, for random recurrences on random graphs of subproblems."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import dask
from dask.task_spec import Alias, DataNode, List, Task, TaskRef
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import Call, contrast, count, recurrence, share, share_report, task, trace
from pipeline.graph import occurrences, subproblem, tree_size

law = settings(max_examples=40)

OPERATORS = (operator.add, operator.sub, operator.mul, operator.xor)

# Of each subproblem: the subproblems before it that it needs, and what it does with their values.
shapes = st.integers(1, 9).flatmap(
    lambda size: st.tuples(
        *(
            st.lists(
                st.tuples(st.integers(0, max(place - 1, 0)), st.sampled_from(OPERATORS)),
                max_size=3 if place else 0,
            )
            for place in range(size)
        )
    )
)


def build(shape: Any) -> Call:
    """A recurrence over a random shape; every other operand goes through a task."""

    @task
    def heavy(value: int) -> int:
        return value % 1009

    @recurrence
    def f(place: int) -> Any:
        value: Any = place + 1
        for number, (each, operate) in enumerate(shape[place]):
            call = f(each)
            value = operate(value, heavy(call) if number % 2 else call)
        return value

    call: Call = f(len(shape) - 1)
    return call


def plain(shape: Any, place: int) -> tuple[int, int]:
    """The value and the number of calls, heavy ones included, by Python's own recursion."""
    value, calls = place + 1, 1
    for number, (each, operate) in enumerate(shape[place]):
        inner, more = plain(shape, each)
        calls += more + number % 2
        value = operate(value, inner % 1009 if number % 2 else inner)
    return value, calls


@law
@given(shapes)
def test_tree_and_dag_give_the_value_of_the_plain_recursion(shape: Any) -> None:
    call = build(shape)
    value, calls = plain(shape, len(shape) - 1)
    dag, tree = call.graph().check(), call.graph(memoize=False).check()
    assert dag.compute(scheduler="sync") == tree.compute(scheduler="sync") == value
    assert len(tree) == calls


@law
@given(shapes)
def test_the_counted_tree_is_the_built_one(shape: Any) -> None:
    call = build(shape)
    dag, tree = call.graph(), call.graph(memoize=False)
    assert count(dag).tree == tree_size(dag) == len(tree)
    assert occurrences(dag) == Counter(map(subproblem, tree.tasks))
    assert set(dag.tasks) == set(map(subproblem, tree.tasks))


@law
@given(shapes, st.sets(st.integers(0, 8)))
def test_a_predicate_lies_between(shape: Any, places: set[int]) -> None:
    call = build(shape)
    partly = call.graph(memoize=lambda each: each.args[0] in places).check()
    dag, tree = call.graph(), call.graph(memoize=False)
    assert len(dag) <= len(partly) <= len(tree)
    assert partly.compute(scheduler="sync") == dag.compute(scheduler="sync")
    numbers = Counter(map(subproblem, partly.tasks))
    for key in partly.tasks:
        if subproblem(key) is key:
            assert numbers[key] == 1


@given(shapes, st.integers(3, 12))
@settings(max_examples=25)
def test_a_picture_never_has_more_boxes_than_the_limit(shape: Any, limit: int) -> None:
    dot = contrast(build(shape), nodes=limit).dot
    for panel in ("tree", "dag"):
        assert dot.count(f'id="{panel}-') <= limit


@given(shapes)
@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_all_schedulers_agree(scheduler: str, shape: Any) -> None:
    call = build(shape)
    value, _ = plain(shape, len(shape) - 1)
    graphs = trace([call, call + 1]), call.graph(memoize=False)
    assert dask.compute(*graphs) == ([value, value + 1], value)


@st.composite
def dask_graphs(draw: Any) -> tuple[dict[Any, Any], list[Any]]:
    """Tasks with random keys, of which many compute the same, in any order, and some outputs."""
    size = draw(st.integers(1, 30))
    tasks: dict[Any, Any] = {}
    for number in range(size):
        kind = draw(st.sampled_from(["value", "task", "nested", "list", "alias", "legacy"]))
        some = st.integers(0, max(number - 1, 0)).map(lambda place: f"k{place}")
        one, other = draw(some), draw(some)
        if not number or kind == "value":
            tasks[f"k{number}"] = DataNode(f"k{number}", draw(st.integers(0, 2)))
        elif kind == "task":
            tasks[f"k{number}"] = Task(f"k{number}", operator.add, TaskRef(one), TaskRef(other))
        elif kind == "nested":
            inner = Task(None, operator.mul, TaskRef(one), 2)
            tasks[f"k{number}"] = Task(f"k{number}", operator.sub, inner, TaskRef(other))
        elif kind == "list":
            tasks[f"k{number}"] = Task(f"k{number}", sum, List(TaskRef(one), TaskRef(other), 1))
        elif kind == "alias":
            tasks[f"k{number}"] = Alias(f"k{number}", one)
        else:
            tasks[f"k{number}"] = (operator.add, one, (operator.neg, other))
    outputs = draw(st.lists(st.sampled_from(sorted(tasks)), min_size=1, max_size=4, unique=True))
    shuffled = draw(st.permutations(list(tasks.items())))
    return dict(shuffled), outputs


@law
@given(dask_graphs())
def test_shared_graphs_have_equal_values_and_nothing_left_to_share(drawn: Any) -> None:
    graph, outputs = drawn
    report = share_report(graph, keys=outputs)
    [shared] = report.collections
    assert dask.get(shared, outputs) == dask.get(graph, outputs)
    assert report.after <= report.before
    assert share_report(shared, keys=outputs).after == report.after


@law
@given(dask_graphs(), st.randoms(use_true_random=False))
def test_the_order_of_tasks_is_irrelevant(drawn: Any, shuffler: Any) -> None:
    graph, outputs = drawn
    items = list(graph.items())
    shuffler.shuffle(items)
    one, other = share(graph, keys=outputs), share(dict(items), keys=outputs)
    assert {key: repr(node) for key, node in one.items()} == {
        key: repr(node) for key, node in other.items()
    }


@law
@given(shapes)
def test_a_shared_tree_is_the_dag(shape: Any) -> None:
    call = build(shape)
    tree, dag = call.graph(memoize=False), call.graph()
    shared = share(tree)
    assert share_report(tree).after == len(dag)
    assert set(dag.tasks) <= set(shared.tasks)  # and handles
    assert shared.compute(scheduler="sync") == dag.compute(scheduler="sync")


@law
@given(dask_graphs())
def test_a_graph_that_is_there_twice_is_shared_back(drawn: Any) -> None:
    """Each task twice, under other keys: what is left is what was left of one."""
    graph, outputs = drawn
    once = share_report(graph, keys=outputs)
    [plainly] = once.collections
    twice = {
        **plainly,
        **{
            f"again-{key}": node.substitute(
                {each: f"again-{each}" for each in plainly}, key=f"again-{key}"
            )
            for key, node in plainly.items()
        },
    }
    both = [*outputs, *(f"again-{key}" for key in outputs)]
    report = share_report(twice, keys=both)
    [shared] = report.collections
    assert report.after == once.after
    assert dask.get(shared, both) == 2 * dask.get(graph, outputs)
