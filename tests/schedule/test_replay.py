"""How graphs are evaluated: by schedulers, by the naive recursion, step by step."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import dask
import pytest

from pipeline import Store, compute, count, measure, trace
from pipeline.draw import tree_panel
from pipeline.graph import occurrence, occurrences, subproblem
from pipeline.schedule import frames, observed, operations, recursion
from tests.functions import binomial, catalan, edit_distance, fail, failing, female, fib

GRAPHS = [fib(7), catalan(4), binomial(6, 3), edit_distance("ab", "cab"), female(6)]


@pytest.mark.parametrize("call", GRAPHS)
@pytest.mark.parametrize("memoize", [True, False])
def test_a_run_has_every_task_after_its_inputs(call: Any, memoize: bool) -> None:
    graph = call.graph(memoize=memoize)
    seen = observed(graph)
    assert seen.seconds.keys() == set(graph.tasks)
    places = {key: place for place, key in enumerate(seen.seconds)}
    assert all(places[source] < places[key] for key in graph.tasks for source in graph.inputs(key))
    assert all(seconds >= 0 for seconds in seen.seconds.values())


def test_the_order_is_the_one_that_is_measured() -> None:
    graph = fib(8).graph()
    with dask.config.set(scheduler="sync"):
        seen = observed(graph)
        with measure() as measured:
            graph.compute(fuse=False)
    assert list(seen.seconds) == [run.key for run in measured.runs]


def test_values_of_requested_keys_are_recorded_on_every_scheduler(scheduler: str) -> None:
    graph = fib(6).graph()
    keys = [fib(n).key for n in (2, 6)]
    seen = observed(graph, keys)
    assert seen.values == {fib(2).key: "1", fib(6).key: "8"}
    assert len(seen.seconds) == 7


def test_values_that_a_store_has_are_recorded_too(tmp_path: Any) -> None:
    store = Store(tmp_path, keep={"fib"})
    graph = trace({"a": fib(5), "b": [fib(3), 1], "c": {"one"}})
    first = observed(graph, graph.tasks, lambda: compute(graph, fuse=False, store=store)[0])
    assert len(first.seconds) == len(first.values) == 6
    again = observed(graph, graph.tasks, lambda: compute(graph, fuse=False, store=store)[0])
    assert again.seconds == {}
    assert again.values == {fib(5).key: "5", fib(3).key: "2"}
    more = fib(7).graph()
    seen = observed(more, more.tasks, lambda: compute(more, fuse=False, store=store)[0])
    assert [key[1] for key in seen.seconds] == [6, 7]
    assert {key[1]: value for key, value in seen.values.items()} == {
        4: "3", 5: "5", 6: "8", 7: "13",
    }  # fmt: skip


def test_an_error_of_a_task_is_the_run_s() -> None:
    with pytest.raises(ZeroDivisionError, match="no 0"):
        observed(failing(2).graph())
    with pytest.raises(ZeroDivisionError, match="no 3"):
        observed(fail(3))


def python_fib(n: int, returned: list[int]) -> int:
    value = n if n < 2 else python_fib(n - 1, returned) + python_fib(n - 2, returned)
    returned.append(n)
    return value


def python_catalan(n: int, returned: list[int]) -> int:
    value = 1 if n == 0 else sum(
        python_catalan(i, returned) * python_catalan(n - 1 - i, returned) for i in range(n)
    )  # fmt: skip
    returned.append(n)
    return value


@pytest.mark.parametrize(("call", "python"), [(fib(9), python_fib), (catalan(5), python_catalan)])
def test_the_naive_recursion_returns_as_python_s_own(call: Any, python: Any) -> None:
    returned: list[int] = []
    python(call.args[0], returned)
    assert [call.key[1] for call in recursion(call.graph())] == returned


@pytest.mark.parametrize("call", GRAPHS)
def test_the_naive_recursion_is_the_tree(call: Any) -> None:
    graph = call.graph()
    calls = list(recursion(graph))
    assert len(calls) == count(call).tree
    assert Counter(entry.key for entry in calls) == occurrences(graph)
    assert {entry.within for entry in calls} == set(call.graph(memoize=False).tasks)
    assert all(entry.within == occurrence(entry.key, entry.number) for entry in calls)


@pytest.mark.parametrize("call", [fib(12), catalan(7), female(8), binomial(10, 5)])
def test_what_is_folded_is_seen_as_one_and_nothing_else_is(call: Any) -> None:
    graph, total = call.graph(), count(call).tree
    tree = tree_panel(graph, 100, total)
    folded = {box.id: box.tasks for box in tree.boxes if box.folded}
    assert folded
    assert all(box.key is not None for box in tree.boxes)
    within = Counter(entry.within for entry in recursion(graph, folded))
    assert within == {box.id: folded.get(box.id, 1) for box in tree.boxes}


def test_the_recursion_of_an_immense_tree_begins_at_once() -> None:
    first = list(islice(recursion(fib(300).graph()), 1000))
    assert [call.key[1] for call in first[:9]] == [1, 0, 2, 1, 3, 1, 0, 2, 4]


def test_several_outputs_are_evaluated_one_after_the_other() -> None:
    graph = trace([fib(2), fib(3)])
    assert [call.key[1] for call in recursion(graph)] == [1, 0, 2, 1, 0, 2, 1, 3]


def test_the_operators_of_a_body_are_counted() -> None:
    def of(call: Any) -> Counter[str]:
        return operations(call.graph().tasks[call.key])

    assert of(fib(2)) == {"add": 1}
    assert of(fib(1)) == {}
    assert of(catalan(3)) == {"mul": 3, "add": 3}


def test_frames_count_what_is_taken_from_memory() -> None:
    graph = fib(5).graph()
    order = [(fib(n).key, fib(n).key) for n in (1, 0, 2, 3, 4, 5)]
    steps = list(frames(graph, order, has_memory=True, limit=100))
    assert [frame.evaluated for frame in steps] == [1, 2, 3, 4, 5, 6]
    assert [frame.hits for frame in steps] == [0, 0, 0, 1, 2, 3]
    assert [frame.operations for frame in steps] == [0, 0, 1, 2, 3, 4]
    tree = fib(5).graph(memoize=False)
    naive = list(frames(graph, ((key, subproblem(key)) for key in tree.tasks), False, 100))
    assert (naive[-1].evaluated, naive[-1].hits, naive[-1].operations) == (15, 0, 7)
    assert len(list(frames(graph, order, has_memory=True, limit=4))) == 4
