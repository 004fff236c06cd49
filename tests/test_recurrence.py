"""The two decorators."""

from __future__ import annotations

import inspect
import pickle
import threading
from typing import Any

import cloudpickle
import dask
import pytest

from pipeline import LazyArgumentError, UnkeyableError, recurrence, task
from tests.functions import fib, square


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


@pytest.mark.parametrize("value", [[1], {1: 2}, threading.Lock(), (c for c in "a")], ids=repr)
def test_an_unkeyable_argument_is_refused(value: Any) -> None:
    @recurrence
    def f(x: int, y: Any) -> Any:
        return x

    with pytest.raises(UnkeyableError, match=r"^f\(1, .*\): no key for a .*; (pass|give)"):
        f(1, value)


@pytest.mark.parametrize("value", [threading.Lock(), [threading.Lock()]], ids=repr)
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


def test_a_task_that_makes_calls_is_told_to_be_a_recurrence() -> None:
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
