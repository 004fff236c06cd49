"""Tracing: what becomes a task, in which order, and what is refused."""

from __future__ import annotations

import gc
import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import pytest

from pipeline import (
    Call,
    GraphError,
    LazyArgumentError,
    LazyValueError,
    LimitError,
    UnkeyableError,
    compute,
    count,
    recurrence,
    task,
    trace,
)
from pipeline.identity import is_tracing, session
from pipeline.trace import StaleCallError
from tests.functions import binomial, catalan, edit_distance, fib, square


def value(lazy: Any) -> Any:
    lazy.graph().check()
    return lazy.compute(scheduler="sync")


def test_the_dag_has_one_task_per_subproblem() -> None:
    graph = fib(6).graph().check()
    assert list(graph.tasks) == [fib(n).key for n in (1, 0, 2, 3, 4, 5, 6)]
    assert graph.inputs(fib(6).key) == (fib(5).key, fib(4).key)


def test_a_body_runs_once_per_subproblem() -> None:
    seen = []

    @recurrence
    def f(n: int) -> Any:
        seen.append(n)
        return 1 if n < 2 else f(n - 1) + f(n - 2)

    f(20).graph(memoize=False)
    assert sorted(seen) == list(range(21))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (binomial(12, 5), math.comb(12, 5)),
        (edit_distance("saturday", "sunday"), 3),
        (catalan(9), 4862),
    ],
    ids=repr,
)
def test_textbook_recursions(call: Any, expected: int) -> None:
    assert value(call) == expected


def test_mutual_recursion() -> None:
    @recurrence
    def female(n: int) -> Any:
        return 1 if n == 0 else n - male_at(n - 1)

    @recurrence
    def male_at(n: int) -> Any:
        return 0 if n == 0 else n - female(n - 1)

    # Hofstadter's G-like pair without the nesting, checked against plain Python.
    def plain(n: int, base: int) -> int:
        return base if n == 0 else n - plain(n - 1, 1 - base)

    assert [value(female(n)) for n in range(8)] == [plain(n, 1) for n in range(8)]


def test_methods_and_closures() -> None:
    class Grid:
        def __init__(self, cost: list[list[int]]) -> None:
            self.cost = cost

        @recurrence
        def paths(self, i: int, j: int) -> Any:
            if i < 0 or j < 0:
                return 10**9
            if i == j == 0:
                return self.cost[0][0]
            return self.cost[i][j] + task(min)(self.paths(i - 1, j), self.paths(i, j - 1))

    grid, same = Grid([[1, 9, 1], [1, 9, 1], [1, 1, 1]]), Grid([[1, 9, 1], [1, 9, 1], [1, 1, 1]])
    assert value(grid.paths(2, 2)) == 5
    assert grid.paths(2, 2).key == same.paths(2, 2).key
    assert grid.paths(2, 2).key != Grid([[2]]).paths(2, 2).key

    def power(base: int) -> Any:
        @recurrence
        def f(n: int) -> Any:
            return 1 if n == 0 else base * f(n - 1)

        return f

    assert dask.compute(power(2)(10), power(3)(4), scheduler="sync") == (1024, 81)


def test_an_object_that_its_own_method_changes_is_refused() -> None:
    class Counter:
        seen = 0

        @recurrence
        def down(self, n: int) -> Any:
            self.seen += 1
            return n if n == 0 else self.down(n - 1)

    with pytest.raises(UnkeyableError, match="changed while its calls were traced"):
        Counter().down(3).graph()


def test_a_large_object_is_encoded_once_a_trace() -> None:
    states = []

    class Large:
        def __getstate__(self) -> int:
            states.append(1)
            return 1

        @recurrence
        def down(self, n: int) -> Any:
            return n if n == 0 else self.down(n - 1)

    call = Large().down(50)
    states.clear()
    call.graph()
    assert len(states) == 2  # and once more, to see that it is what it was


def test_arrays_as_arguments() -> None:
    @recurrence
    def total(a: Any) -> Any:
        return a[0] if len(a) == 1 else total(a[: len(a) // 2]) + total(a[len(a) // 2 :])

    a = np.arange(16)
    assert value(total(a)) == 120
    assert len(total(np.ones(16)).graph()) == 5  # equal halves are one subproblem
    call = total(a)
    a[:] = 0
    assert value(call) == 120  # as it was when the call was made


def test_tasks_take_structures_of_calls() -> None:
    @task
    def mean(numbers: Any, *, scale: Any = 1) -> Any:
        return scale * sum(numbers["all"]) / len(numbers["all"])

    call = mean({"all": [fib(3), fib(4) + 1, 6]}, scale=fib(5))
    assert value(call) == 5 * (2 + 4 + 6) / 3
    assert call.key == mean(scale=fib(5), numbers={"all": [fib(3), fib(4) + 1, 6]}).key
    assert call.key != mean({"all": [fib(3), 1 + fib(4), 6]}, scale=fib(5)).key
    assert repr(square(fib(3))) == "square(fib(3))"


def test_bodies_may_return_structures_calls_and_constants() -> None:
    @recurrence
    def pair(n: int) -> Any:
        if n == 0:
            return 0, 1
        before = pair(n - 1)
        return before[1], before[0] + before[1]

    @recurrence
    def alias(n: int) -> Any:
        return fib(n)

    @recurrence
    def named(n: int) -> Any:
        return {"n": n, "fib": [fib(n)], "none": None}

    assert value(pair(10)) == (55, 89)
    assert value(alias(10)) == 55
    assert value(named(3)) == {"n": 3, "fib": [2], "none": None}


def test_a_value_used_twice_is_one_occurrence_and_two_calls_are_two() -> None:
    @recurrence
    def once(n: int) -> Any:
        if n == 0:
            return 1
        x = once(n - 1)
        return x + x

    @recurrence
    def twice(n: int) -> Any:
        return 1 if n == 0 else twice(n - 1) + twice(n - 1)

    assert count(once(100).graph()).tree == 101
    assert count(twice(100).graph()).tree == 2**101 - 1
    assert value(once(100)) == value(twice(100)) == 2**100
    assert len(twice(3).graph(memoize=False).check()) == 15


def test_a_call_that_is_not_used_is_no_task() -> None:
    @recurrence
    def f(n: int) -> Any:
        fib(50)
        return n

    assert len(f(1).graph()) == 1


@pytest.mark.parametrize(
    ("memoize", "tasks"),
    [(True, 11), (False, 177), (lambda call: call.args[0] > 2, 15), (lambda call: False, 177)],
)
def test_memoize(memoize: Any, tasks: int) -> None:
    graph = fib(10).graph(memoize=memoize).check()
    assert len(graph) == tasks
    assert graph.compute(scheduler="sync") == 55


def test_the_predicate_sees_function_and_arguments() -> None:
    seen = []

    def predicate(call: Any) -> bool:
        seen.append((call.function, call.args, call.kwargs))
        return True

    fib(2).graph(memoize=predicate)
    assert seen == [(fib, (n,), {}) for n in (2, 1, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: fib(100_000), lambda: binomial(600, 300)])
def test_depth_and_breadth_are_no_limit(make: Any) -> None:
    graph = make().graph().check()
    assert len(graph) > 80_000
    assert count(graph).dag == len(graph)


def test_a_hundred_thousand_deep_runs() -> None:
    @recurrence
    def f(n: int) -> Any:
        return n if n < 2 else (f(n - 1) + f(n - 2)) % (10**9 + 7)

    a, b = 0, 1
    for _ in range(100_000):
        a, b = b, (a + b) % (10**9 + 7)
    assert f(100_000).compute(scheduler="sync") == a


def test_the_collector_is_paused_only_meanwhile() -> None:
    states = []

    @recurrence
    def f(n: int) -> Any:
        states.append(gc.isenabled())
        if n == 0:
            raise KeyError(n)
        return f(n - 1)

    with pytest.raises(KeyError):
        f(2).graph()
    assert states == [False] * 3
    assert gc.isenabled()


def test_traces_may_nest_and_run_in_threads() -> None:
    @recurrence
    def f(n: int) -> Any:
        return fib(n).compute(scheduler="sync") + (f(n - 1) if n else 0)

    values: list[Any] = []
    threads = [
        threading.Thread(target=lambda: values.append(f(6).compute(scheduler="sync")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [20] * 4


# What is refused


def test_a_cycle_is_shown() -> None:
    @recurrence
    def f(n: int) -> Any:
        return f((n + 1) % 3)

    with pytest.raises(GraphError, match=r"f\(0\) needs itself: f\(0\) → f\(1\) → f\(2\) → f\(0\)"):
        f(0).graph()
    with pytest.raises(GraphError, match=r"→ f\(1\); every call must come closer"):
        trace([fib(3), f(1)])


def test_an_endless_recurrence_is_stopped_at_the_limit() -> None:
    @recurrence
    def f(n: int) -> Any:
        return f(n + 1)

    with pytest.raises(
        LimitError, match=r"f\(0\) needs over 1,000 subproblems.* f\(1000\).*limit="
    ):
        f(0).graph(limit=1000)


def test_the_size_of_a_tree_over_the_limit_is_exact() -> None:
    with pytest.raises(
        LimitError, match=r"the tree of fib\(100\) has 1,146,295,688,027,634,168,201"
    ):
        fib(100).graph(memoize=False)
    with pytest.raises(LimitError, match=r"has 465 tasks, over the limit of 464"):
        fib(12).graph(memoize=False, limit=464)
    assert len(fib(12).graph(memoize=False, limit=465)) == 465


def test_an_error_in_a_body_names_the_call() -> None:
    @recurrence
    def f(n: int) -> Any:
        return 1 // n + f(n - 1)

    with pytest.raises(ZeroDivisionError) as caught:
        f(2).graph()
    assert caught.value.__notes__ == ["while tracing f(0)"]


def test_a_dask_collection_in_a_body_is_refused() -> None:
    @recurrence
    def f(n: int) -> Any:
        return fib(n) + dask.delayed(1)

    with pytest.raises(TypeError, match=r"a Delayed.* of Dask stands in a call"):
        f(2).graph()


def test_there_must_be_a_call_to_trace() -> None:
    with pytest.raises(TypeError, match=r"nothing to trace in \[1\]"):
        trace([1])


@pytest.mark.parametrize(
    "hide",
    [
        lambda call: f"({call})",
        lambda call: np.array([call, 1]),
        lambda call: (item for item in [call]),
        lambda call: map(abs, [call]),
        lambda call: {call: 1},
        lambda call: {call},
        lambda call: frozenset([call]),
        lambda call: deque([(call,)]),
        lambda call: SimpleNamespace(a=call),
        lambda call: partial(max, call),
        lambda call: OrderedDict(a=call),
        lambda call: 1 if call in {3} else 2,
        lambda call: np.zeros(2).__setitem__(0, call),
    ],
)
def test_a_call_that_would_never_be_computed_is_refused(hide: Any) -> None:
    @recurrence
    def f(n: int) -> Any:
        return 1 if n == 0 else hide(f(n - 1))

    with pytest.raises((TypeError, ValueError)) as caught:
        f(2).graph()
    assert caught.value.__notes__ == ["while tracing f(2)"]


def test_numpys_functions_take_calls() -> None:
    @recurrence
    def power(n: int) -> Any:
        return np.eye(2) if n == 0 else np.dot(power(n - 1), np.array([[1, 1], [1, 0]]))

    assert value(power(10)).tolist() == [[89, 55], [55, 34]]
    assert value(np.concatenate([np.ones(1), power(1)[0]])).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "write",
    [
        lambda total, call: total.__iadd__(call),
        lambda total, call: np.add(total, call, out=total),
        lambda total, call: total[1:].__imul__(call),
    ],
)
def test_writing_into_an_array_is_refused(write: Any) -> None:
    @recurrence
    def f(n: int) -> Any:
        total = np.ones(2)
        return total if n == 0 else write(total, f(n - 1))

    with pytest.raises(LazyValueError, match=r"f\(1\)\) into an array .* x = x \+ call"):
        f(2).graph()


def test_a_call_that_has_become_stale_is_refused() -> None:
    scope: dict[str, Any] = {"__name__": "__main__", "recurrence": recurrence, "V": 1}
    exec("@recurrence\ndef g(n):\n    return V", scope)  # noqa: S102
    call = square(scope["g"](1))
    assert value(call) == 1
    scope["V"] = 2
    with pytest.raises(StaleCallError, match=r"g\(1\) was made before something changed"):
        call.graph()
    assert value(square(scope["g"](1))) == 4


def test_an_argument_that_changes_between_two_calls_is_refused() -> None:
    @dataclass(slots=True)
    class Point:
        x: int

    @recurrence
    def f(p: Any) -> Any:
        return p.x

    @recurrence
    def g(n: int) -> Any:
        point = Point(n)
        before = f(point)
        point.x = 9
        return before + f(point)

    with pytest.raises(UnkeyableError, match="changed while its calls were traced"):
        g(1).graph()


def test_deep_or_unordered_arguments_are_refused() -> None:
    deep: Any = ()
    for _ in range(5000):
        deep = (deep,)
    for call in (square, recurrence(lambda x: x)):
        with pytest.raises(UnkeyableError, match="nested"):
            call(deep)
    with pytest.raises(UnkeyableError, match="no key for a set of calls"):
        square([{fib(3), fib(4)}])


def test_a_body_may_wait_for_a_task_that_traces() -> None:
    @task
    def inner(n: int) -> Any:
        return fib(n).compute(scheduler="sync")

    @recurrence
    def f(n: int) -> Any:
        return inner(n).compute(scheduler="threads")

    assert f(6).compute(scheduler="threads") == 8


def test_keys_are_fixed_while_a_graph_is_traced() -> None:
    seen: list[int] = []

    @recurrence
    def f(n: int) -> Any:
        seen.append(n)  # what the function's token covers
        fib(3).compute(scheduler="sync")
        return 1 if n < 2 else f(n - 1) + f(n - 2)

    assert len(f(10).graph().check()) == 11


def test_functions_may_be_made_while_others_trace() -> None:
    errors: list[Exception] = []

    def make() -> None:
        try:
            for n in range(300):
                task(lambda x, n=n: x + n)(1)
                fib(5).graph()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_lazy_argument_is_refused_without_tracing_it() -> None:
    @recurrence
    def g(n: int) -> Any:
        return 0 if n == 0 else n - g(g(n - 1))

    with pytest.raises(LazyArgumentError, match=r"g\(g\(99\)\): g\(99\) is not known"):
        g(100).graph()


def test_a_predicate_gets_calls_alone() -> None:
    expression = fib(5) + 1
    assert len(expression.graph(memoize=lambda call: call.args[0] > 9)) == 16
    with pytest.raises(ZeroDivisionError) as caught:
        fib(2).graph(memoize=lambda call: 1 / 0)
    assert caught.value.__notes__ == ["while calling memoize on fib(2)"]
    for memoize in ("yes", 1, None):
        with pytest.raises(TypeError, match="it is True, False or a predicate on calls"):
            fib(2).graph(memoize=memoize)


def test_dataclasses_in_a_tasks_arguments_are_not_made_again() -> None:
    @dataclass(kw_only=True)
    class Point:
        x: Any
        doubled: int = field(init=False, default=0)

        def __post_init__(self) -> None:
            self.doubled = -1

    point, lazy = Point(x=1), Point(x=fib(5))
    point.doubled = 7
    seen = task(lambda p: (p.x, p.doubled))
    assert compute(seen(point), seen(lazy), scheduler="sync") == ((1, 7), (5, -1))
    assert isinstance(lazy.x, Call)


def test_slices_of_lazy_bounds() -> None:
    assert value(task(list)("abcdef")[fib(3) : fib(5)]) == ["c", "d", "e"]


def test_numbers_too_long_for_python_to_print() -> None:
    huge = 10**5000
    assert value(fib(3) + huge) == huge + 2
    assert value(task(abs)(fib(3) - huge)) == huge - 2
    with pytest.raises(UnkeyableError, match="no key for a list"):
        recurrence(lambda n, x: n)(huge, [1])


def test_an_array_is_taken_as_it_is_also_through_a_view() -> None:
    a = np.zeros(1)
    view = np.broadcast_to(a, (3,))
    frozen = np.ones(2)
    frozen.flags.writeable = False
    total = task(np.sum)
    calls = total(view), total(frozen), total(np.ma.array(a))
    a[0] = 5
    frozen.flags.writeable = True
    frozen[:] = 9
    assert compute(*calls, scheduler="sync") == (0, 2, 0)


def test_a_limit_holds_for_all_calls_together() -> None:
    for outputs, limit in (([fib(n) for n in range(50)], 10), (fib(6), 0), ([fib(6), fib(60)], 60)):
        with pytest.raises(LimitError, match=f"over {limit} subproblems"):
            trace(outputs, limit=limit)
    assert len(trace([fib(6), fib(60)], limit=61)) == 61


def test_calls_may_be_made_while_they_are_traced() -> None:
    graph = trace(lambda: {n: fib(n) for n in range(5)})
    assert graph.compute(scheduler="sync") == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3}
    with pytest.raises(TypeError, match="nothing to trace in 5"):
        trace(lambda: 5)


# What stays fixed while a graph is traced


def test_a_session_rests_the_collector_and_nests() -> None:
    assert gc.isenabled()
    with session():
        with session():
            assert not gc.isenabled()
        assert not gc.isenabled()
        assert is_tracing()
    assert gc.isenabled()
    assert not is_tracing()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with session():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_prefix_is_fixed_within_a_session_alone() -> None:
    values = [1]

    @recurrence
    def f(n: int) -> Any:
        return values

    with session():
        before = f.prefix
        values.append(2)
        assert f.prefix == before
    assert f.prefix != before


def test_sessions_of_two_threads_fix_their_own_prefixes() -> None:
    values = [1]
    opened, changed = threading.Event(), threading.Event()
    prefixes: list[str] = []

    @recurrence
    def f(n: int) -> Any:
        return values

    def work() -> None:
        with session():
            prefixes.append(f.prefix)
            opened.set()
            changed.wait(60)
            prefixes.append(f.prefix)

    thread = threading.Thread(target=work)
    thread.start()
    opened.wait(60)
    values.append(2)
    with session():
        new = f.prefix
        changed.set()
        thread.join()
        assert f.prefix == new
    assert prefixes == [prefixes[0]] * 2 != [new] * 2
