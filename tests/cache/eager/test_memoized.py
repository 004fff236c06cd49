"""Memoized functions: stored as tasks of graphs are, and called as the functions are."""

from __future__ import annotations

import asyncio
import functools
import logging
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import cloudpickle
import numpy as np
import pytest
from dask import delayed

from pipeline import Store, StoreError, StoreWarning, compute, impure, memoize, recurrence, task

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALE = 2


@pytest.fixture(params=["disk", "memory", "upstream"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return Store(f"memory://{uuid4().hex}", memory="10MB")
    upstream = tmp_path / "team" if request.param == "upstream" else None
    return Store(tmp_path / "store", upstream=upstream)


RUNS: list[Any] = []
LOG = logging.getLogger("tests.cache.eager")  # which is no part of a function's digest
LOG.setLevel(logging.INFO)
LOG.propagate = False


class _Noting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        RUNS.append(record.args)


@pytest.fixture(autouse=True)
def no_runs() -> Iterator[None]:
    RUNS.clear()
    LOG.handlers[:] = [_Noting()]
    yield
    LOG.handlers.clear()


def note(value: Any) -> None:
    """Note a run, by the argument of the call."""
    LOG.info("ran %s", value)


def runs() -> list[Any]:
    return [args if isinstance(args, dict) else args[0] for args in RUNS]


def scaled(n: Any, scale: Any = 1, *, shift: Any = 0) -> Any:
    note(n)
    return n * scale * SCALE + shift


def shown(value: Any) -> str:
    note(value)
    return repr(value)


# Calls


def test_a_result_is_computed_once(store: Store) -> None:
    function = store.memoize(scaled)
    assert [function(3), function(3), function(4)] == [6, 6, 8]
    assert runs() == [3, 4]
    assert function.__name__ == "scaled"


def test_one_call_has_one_result_however_it_is_written(store: Store) -> None:
    function = store.memoize(scaled)
    assert {function(3), function(n=3), function(3, 1), function(3, scale=1, shift=0)} == {6}
    assert runs() == [3]


def test_equal_arguments_of_other_types_are_other_calls(store: Store) -> None:
    function = store.memoize(shown)
    values = [1, 1.0, True, "1", b"1", None, 0.0, -0.0, (1,), [1], {"a": 1}, 2**70]
    assert [function(value) for value in values] == list(map(repr, values))
    assert [function(value) for value in values] == list(map(repr, values))
    assert len(runs()) == len(values)


def test_a_wrong_call_is_an_error_of_the_function(store: Store) -> None:
    function: Any = store.memoize(scaled)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        function(3, other=1)
    with pytest.raises(TypeError, match="missing"):
        function()


def test_an_error_is_no_result(store: Store) -> None:
    @store.memoize
    def failing(n: int) -> int:
        note(n)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            failing(1)
    assert runs() == [1, 1]


@pytest.mark.parametrize("memory", [None, "1MB"])
def test_nobody_sees_what_another_writes(tmp_path: Path, memory: str | None) -> None:
    @Store(tmp_path / "store", memory=memory).memoize
    def listed(n: int) -> Any:
        return [np.zeros(n), {"a": [n]}]

    for _ in range(3):
        value = listed(2)
        value[0][0] = 7
        value[1]["a"].append(7)
    assert listed(2)[0].tolist() == [0, 0]
    assert listed(2)[1] == {"a": [2]}


def test_a_function_that_changes_its_arguments_is_not_stored(store: Store) -> None:
    @store.memoize
    def extended(values: list[int]) -> int:
        values.append(1)
        return len(values)

    values: list[int] = []
    with pytest.warns(StoreWarning, match="extended: it changed its arguments"):
        assert extended(values) == 1
    assert extended(values) == 2
    assert values == [1, 1]


# What counts


def test_code_and_what_it_reaches_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    function = store.memoize(scaled)
    assert function(3) == 6
    monkeypatch.setitem(globals(), "SCALE", 5)
    assert function(3) == 15
    monkeypatch.undo()
    assert function(3) == 6
    assert runs() == [3, 3]


def test_a_file_that_it_reads_counts(store: Store, tmp_path: Path) -> None:
    @store.memoize
    def read(path: str) -> str:
        note(path)
        return Path(path).read_text()

    path = tmp_path / "a.txt"
    for text in ("one", "two", "one"):
        path.write_text(text)
        assert [read(str(path)), read(str(path))] == [text, text]
    assert len(runs()) == 2  # the first content is found again


@pytest.mark.parametrize("memory", [None, "1MB"])
def test_what_a_call_loads_counts_for_the_call_around_it(
    tmp_path: Path, memory: str | None
) -> None:
    store = Store(tmp_path / "store", memory=memory)

    @store.memoize
    def read(path: str) -> str:
        return Path(path).read_text()

    @store.memoize
    def outer(path: str, n: int) -> Any:
        return read(path) * n

    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        path.write_text(text)
        assert [read(str(path)), read(str(path))] == [text, text]
        assert [outer(str(path), n) for n in (1, 2)] == [text, 2 * text]


def test_ignored_parameters_do_not_count(store: Store) -> None:
    @memoize(store=store, ignore=("jobs",))
    def fitted(n: int, jobs: int = 1) -> int:
        note(jobs)
        return n

    assert [fitted(1, 2), fitted(1, jobs=3), fitted(1)] == [1, 1, 1]
    assert runs() == [2]
    with pytest.raises(StoreError, match="ignore='job': fitted has the parameters n, jobs"):
        store.memoize(fitted, ignore=("job",))


def test_a_version_counts_in_place_of_the_code(store: Store) -> None:
    def versions(version: str | None, text: str) -> Any:
        names: dict[str, Any] = {"note": note}
        exec(f"def message(n):\n    note(n)\n    return {text!r}", names)  # noqa: S102
        return store.memoize(names["message"], version=version)

    assert versions("3", "old")(1) == versions("3", "new")(1) == "old"
    assert versions("4", "new")(1) == "new"
    assert versions(None, "newest")(1) == "newest"


class Scaled:
    def __init__(self, scale: int) -> None:
        self.scale = scale

    def times(self, n: int) -> int:
        return n * self.scale


def test_with_a_version_the_object_the_closure_and_the_defaults_count(store: Store) -> None:
    def scaling(scale: int) -> Any:
        def scaled(n: int) -> int:
            return n * scale

        return scaled

    for scale in (2, 3, 2):
        assert store.memoize(scaling(scale), version="1")(5) == 5 * scale
        assert store.memoize(Scaled(scale).times, version="1")(5) == 5 * scale
    changing = Scaled(2)
    times = store.memoize(changing.times, version="1")
    assert times(5) == 10
    changing.scale = 4
    assert times(5) == 20

    def powered(n: int, power: int = 2) -> int:
        return int(n**power)

    memoized = store.memoize(powered, version="1")
    assert (memoized(5), memoized(5, 3)) == (25, 125)
    powered.__defaults__ = (3,)
    memoized = store.memoize(powered, version="1")
    assert (memoized(5), memoized(5, power=2)) == (125, 25)
    for unnamed in (lambda: 1, functools.partial(powered, 2)):
        with pytest.raises(StoreError, match=r"version='1' counts with the name of the function"):
            store.memoize(unnamed, version="1")


def test_other_defaults_are_other_calls(store: Store) -> None:
    def placed(n: int, m: int = 1) -> tuple[int, int]:
        return n, m

    def named(n: int, *, m: int = 1) -> tuple[int, int]:
        return n, m

    for function in (placed, named):
        memoized = store.memoize(function)
        assert [memoized(1), memoized(1, m=1)] == [(1, 1), (1, 1)]
        placed.__defaults__, named.__kwdefaults__ = (7,), {"m": 7}
        assert [memoized(1), memoized(1, m=1), memoized(1, m=7)] == [(1, 7), (1, 1), (1, 7)]
        placed.__defaults__, named.__kwdefaults__ = (1,), {"m": 1}


def test_a_decorator_may_pass_more_than_it_gets(store: Store) -> None:
    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def passed(*args: Any) -> Any:
            return function(*args, 10)

        return passed

    @store.memoize
    @passing
    def added(n: int, more: int) -> int:
        return n + more

    assert [added(1), added(1), added(2)] == [11, 11, 12]


def test_a_function_of_c_takes_arguments_by_name(store: Store) -> None:
    most: Any = store.memoize(max)
    for _ in range(2):
        assert (most([], default=1), most([], default=2), most(1, 3)) == (1, 2, 3)


def test_only_ordinary_functions_are_memoized(store: Store) -> None:
    def numbers() -> Any:
        yield 1

    async def later() -> Any:
        yield 1

    for generator in (numbers, later):
        with pytest.raises(TypeError, match="is a generator: its values come one by one"):
            store.memoize(generator)
    for lazy in (task(shown), recurrence(shown)):
        with pytest.raises(TypeError, match="shown makes graphs: a call has no value yet"):
            store.memoize(lazy)
    others: list[Any] = [3, int]
    for other in others:
        with pytest.raises(TypeError, match="cannot be memoized: give a function"):
            store.memoize(other)


def test_impure_functions_and_unknown_arguments_are_computed(store: Store) -> None:
    @store.memoize
    @impure
    def sensor() -> float:
        note(1)
        return 1.5

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        assert [sensor(), sensor()] == [1.5, 1.5]
        assert "lock" in store.memoize(shown)(threading.Lock())
    assert len(runs()) == 3
    assert not sensor.is_stored()


def test_what_it_draws_is_not_stored(store: Store) -> None:
    @store.memoize
    def drawn(draw: Any) -> float:
        return float(draw())

    with pytest.warns(StoreWarning, match="random"):
        drawn(np.random.random)


# Methods, and functions of functions


class Model:
    def __init__(self, factor: int) -> None:
        self.factor = factor


def test_a_method_counts_with_its_object(store: Store) -> None:
    def times(self: Model, n: int) -> int:
        note(n)
        return self.factor * n

    memoize: Any = store.memoize
    kind = type("Kind", (Model,), {
        "times": memoize(times),
        "fixed": memoize(staticmethod(lambda n: n + 1)),
        "named": memoize(classmethod(lambda cls, n: cls.__name__ * n)),
    })  # fmt: skip
    first: Any = kind(2)
    second: Any = kind(3)
    assert [first.times(4), first.times(4), second.times(4)] == [8, 8, 12]
    assert runs() == [4, 4]
    first.factor = 5
    assert first.times(4) == 20
    assert [first.fixed(1), first.named(2)] == [2, "KindKind"]


def test_a_memoized_function_may_call_another(store: Store) -> None:
    @store.memoize
    def fib(n: int) -> int:
        note(n)
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(7) == 13
    assert sorted(runs()) == list(range(8))


def test_what_it_calls_counts_also_if_that_is_memoized(store: Store) -> None:
    def outer(text: str) -> Any:
        names: dict[str, Any] = {"store": store}
        code = f"""
            @store.memoize
            def inner(n): return {text!r}
            @store.memoize
            def outer(n): return inner(n)
        """
        exec(textwrap.dedent(code), names)  # noqa: S102
        return names["outer"]

    assert [outer("a")(1), outer("b")(1), outer("a")(1)] == ["a", "b", "a"]


# Graphs


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_graph_and_a_call_find_the_same_results(store: Store, scheduler: str) -> None:
    function = store.memoize(scaled)
    assert function(3) == 6
    assert compute(delayed(function)(3), store=store, scheduler=scheduler) == (6,)
    assert compute(delayed(scaled)(3), store=store, scheduler=scheduler) == (6,)
    time.sleep(0.01)

    @store.memoize
    def slow(n: int, more: int = 0) -> int:
        note(n)
        time.sleep(0.05)
        return n + more

    assert compute(delayed(slow)(4, 1), store=store, scheduler=scheduler) == (5,)
    assert slow(4, more=1) == 5
    assert compute(delayed(slow)(n=4, more=1), store=store, scheduler=scheduler) == (5,)
    assert runs() == [3, 4]


def test_a_graph_without_a_store_uses_that_of_the_function(store: Store) -> None:
    function = store.memoize(scaled)
    tasks = [delayed(function)(n) for n in (3, 3, 4)]
    assert [task.compute(scheduler="threads") for task in tasks] == [6, 6, 8]
    assert sorted(runs()) == [3, 4]


# What it offers


def test_a_result_can_be_looked_up_removed_and_computed_anew(store: Store) -> None:
    function = store.memoize(scaled)
    assert not function.is_stored(3)
    assert not function.forget(3)
    function(3)
    assert function.is_stored(n=3)
    assert function.call(3) == 6
    assert runs() == [3, 3]
    assert function(3) == 6
    assert function.forget(3)
    assert not function.is_stored(3)
    assert function(3) == 6
    assert runs() == [3, 3, 3]


def test_a_call_is_explained(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    function = store.memoize(scaled)
    assert "never computed" in str(function.explain(3))
    function(3)
    assert function.explain(3).count("hit") == 1
    assert "argument 1 was 3, is 4" in str(function.explain(4))
    monkeypatch.setitem(globals(), "SCALE", 7)
    assert "SCALE" in str(function.explain(3))


def test_hits_and_misses_are_counted(store: Store) -> None:
    function = store.memoize(scaled)
    for n in (1, 1, 2, 1):
        function(n)
    assert (store.stats().hits, store.stats().misses) == (2, 2)


# Threads, processes, event loops


def test_threads_compute_one_call_once(tmp_path: Path) -> None:
    @Store(tmp_path / "store").memoize
    def slow(n: int) -> int:
        note(n)
        time.sleep(0.2)
        return n

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(slow, [1] * 8)) == [1] * 8
    assert runs() == [1]


def test_coroutines_compute_one_call_once(store: Store) -> None:
    @store.memoize
    async def slow(n: int) -> int:
        note(n)
        await asyncio.sleep(0.05)
        return n + 1

    async def all_of_them() -> list[int]:
        return [*await asyncio.gather(slow(1), slow(1), slow(2)), await slow.call(1)]

    assert asyncio.run(all_of_them()) == [2, 2, 3, 2]
    assert sorted(runs()) == [1, 1, 2] if store.backend.is_local else len(runs()) >= 3
    assert asyncio.run(slow(1)) == 2


IN_CONTEXT = ContextVar("IN_CONTEXT", default=1)


def test_a_coroutine_runs_in_the_context_of_its_caller(store: Store) -> None:
    @store.memoize
    async def reading(n: int) -> int:
        return n + IN_CONTEXT.get()

    async def under(value: int) -> int:
        IN_CONTEXT.set(value)
        return int(await reading(5))

    assert [asyncio.run(under(value)) for value in (1, 2, 1)] == [6, 7, 6]


def test_a_coroutine_that_fails_is_no_result(store: Store) -> None:
    @store.memoize
    async def failing() -> None:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asyncio.run(failing())


PROGRAM = """
import os, sys, pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pipeline import Store
store = Store(sys.argv[1])
@store.memoize
def squared(n):
    with open(os.devnull): pass
    print("computing", n, flush=True)
    return n * n
if __name__ == "__main__":
    assert pickle.loads(pickle.dumps(squared)) is squared
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        print(sum(pool.map(squared, [1, 2, 3, 1])))
    print(squared(3))
"""


@pytest.mark.slow  # starts six processes
def test_a_script_and_its_processes_share_results(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    outputs = []
    for _ in range(2):
        done = subprocess.run([sys.executable, script, tmp_path / "store"], text=True, check=True,
                              capture_output=True)  # fmt: skip
        outputs.append(done.stdout.split("\n"))
    assert [outputs[0].count(f"computing {n}") for n in (1, 2, 3)] == [1, 1, 1]
    assert outputs[1] == ["15", "9", ""]


def test_it_goes_to_other_processes_by_value_and_by_name(tmp_path: Path) -> None:
    function = Store(tmp_path / "store").memoize(lambda n: n + SCALE)
    copy = cloudpickle.loads(cloudpickle.dumps(function))
    assert copy(1) == function(1) == 3
    assert copy.is_stored(1)


def test_a_decorator_of_a_decorator_is_its_own_function(store: Store) -> None:
    function = store.memoize(scaled)

    @functools.wraps(function)
    def doubled(*args: Any) -> Any:
        return function(*args) * 2

    assert memoize(doubled, store=store)(3) == 12
    assert function(3) == 6
