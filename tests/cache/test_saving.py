"""Tasks that store their results, and tasks that load them."""

from __future__ import annotations

import functools
import itertools
import operator
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask.task_spec import DataNode, List, Task, TaskRef

import pipeline
from pipeline import Store, StoreWarning
from pipeline.cache.records import Run
from pipeline.cache.running import open_collections
from pipeline.cache.saving import (
    Later,
    Load,
    Save,
    TaskDetails,
    made_now,
    task_call,
    task_details,
    task_name,
    task_names,
)
from pipeline.cache.task_digests import TaskDigests, task_function
from pipeline.cache.tracking import Watched
from pipeline.store import LostError
from tests.functions import chain, scaled

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = 32 * "a"
RUNS = itertools.count()
DETAILS = TaskDetails("f", "f(1)", "c" * 32, [["1", "d"]])


def save(store: Store, function: Callable[..., Any], is_always: bool = True) -> Save:
    run = Run(f"run-{next(RUNS)}", True, time.time())
    details = made_now(DETAILS)
    return Save(store, DIGEST, function, "f", details, run, Watched(), is_always=is_always)


def test_a_result_is_returned_and_stored_with_its_times(tmp_path: Path) -> None:
    def slow(x: int) -> int:
        time.sleep(0.02)
        return x + 1

    store = Store(tmp_path)
    assert save(store, slow)(1) == 2
    entry = store.entry(DIGEST)
    assert entry is not None
    assert (entry.function, entry.call, entry.code) == ("f", "f(1)", "c" * 32)
    assert 0.02 <= entry.seconds <= entry.behind < 10


def test_a_result_that_another_process_stored_is_loaded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(DIGEST, "theirs")
    assert save(store, lambda: "ours")() == "theirs"


def test_a_result_that_is_quick_to_compute_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(
        "pipeline.store.costs.Costs.of", lambda *_: 0.02
    )  # on a busy machine it may be any
    assert save(store, lambda: time.sleep(0.1), is_always=False)() is None
    assert DIGEST not in store  # five times as long as to store it
    assert save(store, lambda: time.sleep(0.3), is_always=False)() is None
    assert DIGEST in store


def test_many_small_lists_take_longer_to_store_than_their_bytes_say(tmp_path: Path) -> None:
    lists = [["a", number] for number in range(100_000)]

    def returned() -> list[list[Any]]:
        time.sleep(0.2)  # ten million bytes are stored in less
        return lists

    store = Store(tmp_path)
    assert save(store, returned, is_always=False)() is lists
    assert len(store) == 0


def test_an_import_that_takes_longer_than_the_task_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import Ridge

    def fitted() -> Any:
        time.sleep(0.1)
        return Ridge().fit([[0.0], [1.0]], [0.0, 1.0])

    monkeypatch.delitem(sys.modules, "skops.io", raising=False)
    store = Store(tmp_path)
    model = delayed(fitted)()
    assert pipeline.compute(model.coef_.sum(), store=store, scheduler="sync")[0] > 0
    assert "skops.io" not in sys.modules  # neither to store a model, nor for its content


def test_if_nothing_was_stored_all_that_waited_compute_at_once(tmp_path: Path) -> None:
    """The first could store nothing: the others need not go one after the other."""
    store, numbers = Store(tmp_path), itertools.count()
    has_begun, may_end, others = threading.Event(), threading.Event(), threading.Barrier(3)

    def unstorable() -> Any:
        if next(numbers) == 0:
            has_begun.set()
            may_end.wait()
        else:
            others.wait(timeout=300)  # it breaks if one of them computes after another
        return threading.Lock()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(save(store, unstorable))
        has_begun.wait()
        waiting = [pool.submit(save(store, unstorable)) for _ in range(3)]
        assert next(numbers) == 1  # nobody else computes yet
        may_end.set()
        assert all(future.result() for future in (first, *waiting))
    with pytest.warns(StoreWarning, match="a lock"):
        store.failures.emit_warnings()


def test_an_error_is_raised_and_frees_the_lease(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError):
        save(store, lambda: 1 / 0)()
    assert save(store, lambda: 1)() == 1


def test_a_load_returns_the_value_in_any_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checksum = store.put(DIGEST, np.arange(3)).checksum
    load = Load(store, DIGEST, checksum, store.open(DIGEST))
    assert np.array_equal(load(), np.arange(3))
    assert np.array_equal(pickle.loads(pickle.dumps(load))(), np.arange(3))  # noqa: S301
    store.remove(DIGEST)
    assert np.array_equal(load(), np.arange(3))  # which was open
    with pytest.raises(LostError, match="run it again"):
        Load(store, DIGEST, checksum)()
    store.put(DIGEST, "another variant")
    with pytest.raises(LostError, match="run it again"):
        Load(store, DIGEST, checksum)()


def test_in_another_process_there_is_one_store_for_all(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=["f"], max_bytes=10**6)
    one, two = (cloudpickle.loads(cloudpickle.dumps(store)) for _ in "ab")
    assert one is two
    assert (one.keep, one.max_bytes, repr(one.backend)) == (store.keep, 10**6, repr(store.backend))


TOP = "top-" + 32 * "0"


def load(name: str, rows: int = 3) -> list[str]:
    return [name] * rows


def of(tasks: dict[Any, Any], key: Any) -> TaskDetails:
    digests = TaskDigests(tasks)
    digests.add([key])
    return task_details(key, tasks[key], digests)


def texts(details: TaskDetails) -> list[str]:
    return [text for text, _ in details.arguments]


def test_details_are_the_function_and_arguments() -> None:
    tasks = {
        "rows-1": Task("rows-1", load, "abc", rows=2),
        "d": DataNode("d", 2.5),
        TOP: Task(TOP, max, TaskRef("rows-1"), List(TaskRef("rows-1"), 7), TaskRef("d")),
    }
    details = of(tasks, "rows-1")
    assert (details.function, details.call) == ("load", "load('abc', rows=2)")
    assert texts(details) == ["'abc'", "rows=2"]
    assert len({details.code, *(digest for _, digest in details.arguments)}) == 3
    details = of(tasks, TOP)
    assert details.function == "top"
    assert texts(details) == ["load('abc', rows=2)", "[load('abc', rows=2), 7]", "2.5"]
    inputs, both, constant = (digest for _, digest in details.arguments)
    assert inputs.startswith("@")
    assert both.split()[0] == inputs
    assert not constant.startswith("@")


def test_a_call_appears_as_it_is_written() -> None:
    tasks, [key] = open_collections([chain(2)])[:2]
    details = of(tasks, key)
    assert (details.function, details.call) == ("chain", "chain(2)")
    [step] = tasks[key].inputs
    details = of(tasks, step)
    assert (details.function, details.call) == ("scaled", "scaled(chain(1), 3.0, offset=1.0)")
    assert texts(details) == ["chain(1)", "3.0", "offset=1.0"]
    assert [digest[:1] == "@" for _, digest in details.arguments] == [True, False, False]
    assert task_function(tasks[step]) is scaled.__wrapped__
    assert task_names(step, tasks[step]) == {"scaled"}


def test_a_task_that_joins_blocks_has_their_name() -> None:
    tasks = open_collections([da.ones(4, chunks=2) + 1]).tasks
    [key] = [key for key in tasks if str(key).startswith("finalize")]
    assert task_name(key, tasks[key]) == task_call(key, tasks[key]) == "add"


def test_a_function_of_a_library_is_named_by_the_key() -> None:
    tasks, [key] = open_collections([delayed(max)(1, 2)])[:2]
    assert task_name(key, tasks[key]) == "max"
    assert task_call(key, tasks[key]) == "max(1, 2)"


READ: dict[str, str] = {}


@functools.lru_cache
def cached_text(path: str) -> str:
    return Path(path).read_text()


def kept_text(path: str) -> str:
    if path not in READ:
        READ[path] = Path(path).read_text()
    return READ[path]


@pytest.mark.parametrize("read", [cached_text, kept_text])
def test_what_a_cache_of_the_process_has_read_counts_for_all_that_have_the_cache(
    read: Callable[[str], str], tmp_path: Path
) -> None:
    path = tmp_path / f"{getattr(read, '__name__', '')}.txt"

    def numbered(number: int, path: str) -> str:
        return f"{read(path)}{number}"

    def run() -> tuple[str, ...]:
        parts = [delayed(numbered)(number, str(path)) for number in range(3)]
        return pipeline.compute(*parts, store=tmp_path / "store", scheduler="sync")

    path.write_text("old")
    assert run() == ("old0", "old1", "old2")
    path.write_text("newer")
    cached_text.cache_clear()  # as in a new process
    READ.clear()
    assert run() == ("newer0", "newer1", "newer2")


class Scaled:
    """Its sum reads a file."""

    def __add__(self, other: float) -> float:
        return float(Path("factor.txt").read_text()) * other


def twice(value: float) -> float:
    return 2 * value


def test_an_operator_that_is_skipped_is_observed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = delayed(twice)(delayed(operator.add)(Scaled(), 2.0))
    for factor in (1.0, 3.0):
        Path("factor.txt").write_text(str(factor))
        store = Store("store", skip=["add"])
        assert pipeline.compute(call, store=store, scheduler="sync") == (4 * factor,)


def test_a_wait_ends_with_the_run(tmp_path: Path) -> None:
    """Others may hold the lease for hours."""
    store, run = Store(tmp_path), Run("interrupted", True, 0.0)
    lease = store.lease(DIGEST)
    assert lease is not None
    waiting = replace(save(store, lambda: 1), run=run)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(waiting)
        with pytest.raises(ZeroDivisionError), run:
            raise ZeroDivisionError
        with pytest.raises(KeyboardInterrupt):
            future.result(timeout=100)
    lease.end(True)
    assert waiting() == 1


def test_what_is_made_later_is_made_once_or_before_it_is_sent() -> None:
    made = iter("ab")
    later = Later(lambda: next(made))
    sent = cloudpickle.loads(cloudpickle.dumps(later))
    assert (sent(), later(), later()) == ("a", "a", "a")
    assert list(made) == ["b"]


def test_the_seconds_of_inputs_that_are_not_stored_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.costs.Costs.of", lambda *_: 0.05)

    def step(x: int) -> int:
        time.sleep(0.2)
        return x + 1

    values = [delayed(step)(0)]
    for _ in range(6):
        values.append(delayed(step)(values[-1]))
    store = Store(tmp_path)
    assert pipeline.compute(values[-1], store=store, scheduler="sync") == (7,)
    totals = [store.explain(value).totals for value in values]
    stored = [place for place, text in enumerate(totals) if "miss" not in text]
    assert stored == [2, 5, 6]  # 0.6 seconds each, and the output


def test_the_seconds_of_an_input_are_divided_among_its_consumers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.costs.Costs.of", lambda *_: 0.04)

    def load() -> int:
        time.sleep(0.3)
        return 1

    def use(x: int, y: int) -> int:
        time.sleep(0.15)
        return x + y

    loaded = delayed(load)()
    used = [delayed(use)(loaded, place) for place in range(2)]
    store = Store(tmp_path / "two")
    pipeline.compute(delayed(sum)(used), store=store, scheduler="sync")
    assert [entry.function for entry in store.entries()] == ["sum"]
    store = Store(tmp_path / "one")
    pipeline.compute(delayed(sum)(used[:1]), store=store, scheduler="sync")
    assert sorted(entry.function for entry in store.entries()) == ["sum", "use"]
