"""The two decorators."""

from __future__ import annotations

import functools
import inspect
import pickle
import threading
from collections import deque
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any

import cloudpickle
import dask
import numpy as np
import pytest

from pipeline import LazyArgumentError, UnkeyableError, recurrence, task
from tests.functions import fib, square
from tests.names import shown


def test_decorated_functions_keep_their_face() -> None:
    @recurrence
    def f(n: int, k: int = 2) -> Any:
        """What it does."""

    assert f.__name__ == "f"
    assert f.__doc__ == "What it does."
    assert str(inspect.signature(f)) == "(n: 'int', k: 'int' = 2) -> 'Any'"
    assert repr(f).startswith("<recurrence ")
    assert repr(square) == "<task square>"


def test_one_and_one_point_nought_and_true_are_three_subproblems() -> None:
    @recurrence
    def f(x: Any) -> Any:
        return type(x).__name__

    calls = [f(1), f(1.0), f(True), f("1")]
    assert len({call.key for call in calls}) == 4
    assert dask.compute(*calls, scheduler="sync") == ("int", "float", "bool", "str")


@pytest.mark.parametrize(
    "call",
    [
        lambda: fib(fib(3)),
        lambda: fib(fib(3) + 1),
        lambda: fib((1, fib(3))),
        lambda: fib(dask.delayed(3)),
        lambda: fib(n=square(3)),
    ],
)
def test_a_lazy_argument_of_a_recurrence_is_refused(call: Any) -> None:
    with pytest.raises(LazyArgumentError, match=r"^fib\(.*not known while tracing.*a @task"):
        call()


@pytest.mark.parametrize("value", [[1], {1: 2}, threading.Lock(), (c for c in "a")], ids=shown)
def test_an_unkeyable_argument_is_refused(value: Any) -> None:
    @recurrence
    def f(x: int, y: Any) -> Any:
        return x

    with pytest.raises(UnkeyableError, match=r"^f\(1, .*\): no key for a .*; (pass|give)"):
        f(1, value)


@pytest.mark.parametrize("value", [threading.Lock(), [threading.Lock()]], ids=shown)
def test_an_unkeyable_argument_of_a_task_is_refused(value: Any) -> None:
    with pytest.raises(UnkeyableError, match=r"^square\(.*\): no key for a .*; pass"):
        square(value)


def test_a_task_takes_its_literals_as_they_are_when_it_is_called() -> None:
    numbers = [3, 1, 2]
    call = task(sorted)(numbers)
    numbers.append(0)
    assert call.compute(scheduler="sync") == [1, 2, 3]


def test_any_callable_can_be_a_task() -> None:
    class Add:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return x + self.n

    assert task(Add(2))(3).compute(scheduler="sync") == 5
    assert task(Add(2))(3).key != task(Add(3))(3).key
    assert task(str.upper)("a").compute(scheduler="sync") == "A"
    assert task(int)("5").compute(scheduler="sync") == 5
    assert task(dict)(a=fib(3), b=1).compute(scheduler="sync") == {"a": 2, "b": 1}
    assert task(max)([fib(3), 1], default=0).compute(scheduler="sync") == 2


def test_a_task_can_be_a_method() -> None:
    class Scale:
        def __init__(self, by: int) -> None:
            self.by = by

        @task
        def of(self, x: int) -> int:
            return self.by * x

    assert Scale(3).of(fib(5)).compute(scheduler="sync") == 15


def test_a_task_that_makes_calls_should_be_a_recurrence() -> None:
    @task
    def f(n: int) -> Any:
        return fib(n)

    with pytest.raises(TypeError, match=r"the task f returned fib\(3\).*is a @recurrence"):
        f(3).compute(scheduler="sync")


@pytest.mark.parametrize("decorate", [recurrence, task])
def test_what_cannot_be_decorated(decorate: Any) -> None:
    async def wait() -> None: ...

    def generate() -> Any:
        yield

    with pytest.raises(TypeError, match="3 is not callable"):
        decorate(3)
    for function in (wait, generate):
        with pytest.raises(TypeError, match="decorate a function that returns"):
            decorate(function)


def test_decorated_functions_pickle_by_name_or_by_value() -> None:
    assert pickle.loads(pickle.dumps(square)) is square  # noqa: S301
    assert pickle.loads(pickle.dumps(fib)) is fib  # noqa: S301

    @task
    def local(x: int) -> int:
        return x + 1

    again = pickle.loads(cloudpickle.dumps(local))  # noqa: S301
    assert again(2).compute(scheduler="sync") == 3


def test_local_tasks_run_on_every_scheduler(scheduler: str) -> None:
    offset = 2

    @task
    def shift(x: int) -> int:
        return x + offset

    assert dask.compute(shift(fib(7)), task(min)(fib(4), 9)) == (15, 3)


def test_any_callable_runs_on_every_scheduler(scheduler: str) -> None:
    calls = [
        task(partial(max, 3))(fib(3)),
        task(itemgetter(1))([fib(3), fib(4)]),
        task(methodcaller("upper"))("a"),
        task(np.sin)(0.0),
        task(np.add)(fib(3), 1),
        task(np.sum)([fib(3), fib(4)]),
        task(np.vectorize(abs))(-1),
    ]
    assert dask.compute(*calls) == (3, 3, "A", 0.0, 3, 5, 1)
    assert repr(task(partial(max, 3))).startswith("<task partial")


def test_defaults_need_no_key() -> None:
    missing = object()

    @recurrence
    def f(n: int, x: Any = missing, xs: list[int] = []) -> Any:  # noqa: B006
        return x is missing and not xs

    assert f(1).compute(scheduler="sync") is True
    assert f(1).key == f(1, missing).key != f(1, 2).key
    with pytest.raises(UnkeyableError):
        f(1, object())


def test_a_decorator_that_adds_an_argument_works_as_in_python() -> None:
    def with_ten(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(x: int) -> Any:
            return function(10, x)

        return wrapper

    @task
    @with_ten
    def add(ten: int, x: int) -> int:
        return ten + x

    assert add(1).compute(scheduler="sync") == 11


def test_an_argument_may_be_called_self() -> None:
    @recurrence
    def f(self: int) -> Any:
        return self

    assert dask.compute(f(self=3), task(dict)(self=3), scheduler="sync") == (3, {"self": 3})


def test_what_must_not_be_decorated_twice() -> None:
    for decorate in (recurrence, task):
        with pytest.raises(TypeError, match="is decorated already"):
            decorate(fib)
        with pytest.raises(TypeError, match="write @staticmethod above the decorator of int"):
            decorate(staticmethod(int))


def test_static_and_class_methods() -> None:
    class Numbers:
        base = 1

        @staticmethod
        @recurrence
        def double(n: int) -> Any:
            return 0 if n == 0 else 2 + Numbers.double(n - 1)

        @classmethod
        def up(cls, n: int) -> Any:
            return cls.count(n)

        @recurrence
        def count(n: int) -> Any:  # noqa: N805 - called through the class
            return n

    assert Numbers.double(4).compute(scheduler="sync") == 8
    assert Numbers().double(4).compute(scheduler="sync") == 8
    assert Numbers.up(3).compute(scheduler="sync") == 3


def test_a_call_pickles_without_its_graph() -> None:
    call = fib(300)
    before = len(pickle.dumps(call))
    call.compute(scheduler="sync")
    assert len(pickle.dumps(call)) == before < 300
    again = pickle.loads(pickle.dumps(call + 1))  # noqa: S301
    assert again.compute(scheduler="sync") == call.compute(scheduler="sync") + 1


def test_lists_dicts_and_arrays_are_taken_as_they_are() -> None:
    inner, array, queue = [1], np.zeros(2), deque([1])
    (argument,) = square({"a": inner, "b": (array, queue)}).args
    inner.append(2)
    array[:] = 9
    queue.append(2)
    assert argument["a"] == [1]
    assert argument["b"][0].tolist() == [0, 0]
    assert list(argument["b"][1]) == [1]


def test_calls_stay_themselves() -> None:
    call = fib(3)
    assert square([call, 1]).args[0][0] is call


@pytest.mark.parametrize("value", [{fib(1)}, [{fib(1), 2}], {"a": (frozenset({fib(1)}),)}])
def test_a_set_of_calls_is_refused(value: Any) -> None:
    with pytest.raises(UnkeyableError, match="it has no order; pass a list"):
        square(value)


def test_keys_differ_as_what_their_arguments_compute_differs() -> None:
    arguments = [
        fib(3), fib(4), fib(3) + 1, 1 + fib(3), fib(3) + 1.0, -fib(3), [fib(3)], (fib(3),),
        {"a": fib(3)}, {"b": fib(3)}, [fib(3), fib(3)], square(fib(3)), square(square(3)), 3,
    ]  # fmt: skip
    assert len({repr(square(argument).key) for argument in arguments}) == len(arguments)
    assert square(fib(3) + 1).key == square(fib(3) + 1).key


def test_lazy_arguments_read_as_python() -> None:
    assert str(square(fib(3) + 1).key[1]).startswith("fib(3) + 1@")
