"""Tasks that store their results, and tasks that load them."""

from __future__ import annotations

import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np
import pytest

from pipeline import Store, StoreWarning
from pipeline.cache.saver import Load, Save
from pipeline.store import LostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIGEST = 32 * "a"
TOLD = {"function": "f", "call": "f(1)", "code": "c" * 32, "arguments": [["1", "d"]]}


def save(store: Store, function: Callable[..., Any], is_always: bool = True) -> Save:
    return Save(store, DIGEST, function, TOLD, function, is_always, time.time(), 0.0)


def test_a_result_is_returned_and_stored_with_what_it_took(tmp_path: Path) -> None:
    def slow(x: int) -> int:
        time.sleep(0.02)
        return x + 1

    store = Store(tmp_path)
    assert save(store, slow)(1) == 2
    entry = store.entry(DIGEST)
    assert entry is not None
    assert (entry.function, entry.call, entry.code) == ("f", "f(1)", "c" * 32)
    assert 0.02 <= entry.seconds <= entry.behind < 10
    assert store.noted(f"code-{'c' * 32}")[0]["its own"]["code"]


def test_what_another_has_stored_meanwhile_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(DIGEST, "theirs")
    assert save(store, lambda: "ours")() == "theirs"


def test_a_result_that_is_quick_to_compute_is_not_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert save(store, lambda: 1, is_always=False)() == 1
    assert DIGEST not in store
    assert save(store, lambda: time.sleep(0.3), is_always=False)() is None
    assert DIGEST in store


def test_those_who_wait_in_vain_compute_at_the_same_time(tmp_path: Path) -> None:
    """The first could store nothing: the others need not go one after the other."""
    store, running, most = Store(tmp_path), [0], [0]

    def unstorable() -> Any:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.2)
        running[0] -= 1
        return threading.Lock()

    threads = [threading.Thread(target=save(store, unstorable)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most[0] == 3
    with pytest.warns(StoreWarning, match="a lock"):
        store.emit_warnings()


def test_errors_come_through_and_let_others_go_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError):
        save(store, lambda: 1 / 0)()
    assert save(store, lambda: 1)() == 1


def test_a_load_gives_the_value_wherever_it_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(DIGEST, np.arange(3))
    load = Load(store, DIGEST, store.open(DIGEST))
    assert np.array_equal(load(), np.arange(3))
    assert np.array_equal(pickle.loads(pickle.dumps(load))(), np.arange(3))  # noqa: S301
    store.remove(DIGEST)
    assert np.array_equal(load(), np.arange(3))  # which was open
    with pytest.raises(LostError, match="run it again"):
        Load(store, DIGEST)()


def test_in_another_process_there_is_one_store_for_all(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=["f"], max_bytes=10**6)
    one, two = (cloudpickle.loads(cloudpickle.dumps(store)) for _ in "ab")
    assert one is two
    assert (one.keep, one.max_bytes, repr(one.backend)) == (store.keep, 10**6, repr(store.backend))
