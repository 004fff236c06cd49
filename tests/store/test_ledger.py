"""What a store remembers besides results, and what it tells."""

from __future__ import annotations

import json
import os
import pickle
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreWarning
from pipeline.cache.saving import TaskDetails, save
from pipeline.store import Counts, LostError, UnstorableError, topic

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = 32 * "a"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_what_was_computed_of_a_function_is_remembered(store: Store) -> None:
    store.put(DIGEST, 1, function="f/../<lambda>", code="c", arguments=[["1", "h"]])
    store.put(32 * "b", 1)
    assert store.history("f/../<lambda>") == [[DIGEST, "c", [["1", "h"]], ""]]
    assert store.history("g") == []


def test_a_note_that_is_no_history_is_left_out(store: Store) -> None:
    for line in ("{", "3", "[]", "[1, 2, 3, 4]", '["a", "b", [1], ""]', '["a", "b", [["c"]], ""]',
                 100_000 * "[", '["a", "b", [["c", "d"]], ""]'):  # fmt: skip
        store.backend.note(topic("f"), line)
    assert store.history("f") == [["a", "b", [["c", "d"]], ""]]


def test_a_note_of_a_million_arguments_does_not_tell_them(store: Store) -> None:
    store.put(DIGEST, 1, function="sum", arguments=[["x", "h"]] * 100_000)
    assert store.history("sum") == [[DIGEST, "", [], ""]]


def test_runs_are_added_up_and_stay_so_when_there_are_many(store: Store) -> None:
    for _ in range(6000):
        store.counts.hits += 2
        store.counts.saved += 0.5
        store.log()
    assert len(store.backend.notes("runs")) < 6000
    assert store.stats() == Counts(hits=12_000, saved=3000.0)
    for line in ('{"hits": 3}', '{"hits": "3"}', "7", json.dumps(vars(Counts()) | {"more": 1}),
                 *(json.dumps(vars(Counts()) | {"saved": each})
                   for each in (float("inf"), float("nan"), -1.0, 1e308)),
                 json.dumps(vars(Counts()) | {"hits": -1})):  # fmt: skip
        store.backend.note("runs", line)
    store.counts.misses = 4
    assert store.stats() == Counts(hits=12_000, misses=4, saved=3000.0)


def test_what_is_said_once_is_asked_for_once(store: Store) -> None:
    for each in ("one", "two"):
        store.note_once("code-1", lambda each=each: each)  # type: ignore[misc]
        Store(store.url).note_once("code-1", lambda each=each: each)  # type: ignore[misc]
    assert store.noted("code-1") == ["one"]


def raising(store: Store, *errors: Exception) -> list[str]:
    for error in errors:
        with store.tolerating("written") as reach:
            assert reach
            raise error
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        store.emit_warnings()
        store.emit_warnings()
    assert all(each.category is StoreWarning for each in told)
    return [str(each.message) for each in told]


def test_each_kind_of_failure_is_told_once(store: Store) -> None:
    full, denied = OSError(28, "No space left on device"), PermissionError(13, "Permission denied")
    told = raising(store, full, denied, full, MemoryError(), KeyError())
    assert [each.partition(": ")[2].partition(";")[0] for each in told] == [
        "No space left on device", "Permission denied", "MemoryError", "KeyError",
    ]  # fmt: skip
    assert told[0].startswith(f"{store.url} could not be written: ")
    assert raising(store, full) == []
    assert raising(store, UnstorableError("a lock", "no format")) == ["a lock: no format"]


@pytest.mark.parametrize("error", [LostError("x"), KeyboardInterrupt()])
def test_what_is_no_failure_of_the_store_is_raised(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)), store.tolerating("written"):
        raise error


def test_a_store_of_a_worker_speaks_at_once_and_no_task_fails_for_it(store: Store) -> None:
    of_worker: Store = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
    with pytest.warns(StoreWarning, match="could not be written"), of_worker.tolerating("written"):
        raise OSError(5, "Input/output error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_worker.warn_later("another", "is an error there")
    assert raising(store) == []


def test_what_a_worker_stores_is_counted(store: Store) -> None:
    of_worker: Any = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
    of_worker.put(DIGEST, 1)
    assert store.stats().stored == 1


def test_what_is_told_is_one_line_without_escapes_or_passwords(store: Store) -> None:
    store.warn_later("x", "f(\x1b]0;title\x07)\nftp://ann:secret@host is down")
    assert raising(store) == ["f(·]0;title·) ftp://ann:***@host is down"]


def test_a_warning_points_to_the_line_of_the_user(store: Store) -> None:
    store.put(DIGEST, 1)
    os.truncate(f"{store.url}/entries/aa/{DIGEST}", 50)
    with pytest.warns(StoreWarning) as told, pytest.raises(KeyError):
        store.get(DIGEST)
    value = delayed(threading.Lock)()
    with pytest.warns(StoreWarning) as more:
        pipeline.compute(value, store=store)
    with Store(store.url), pytest.warns(StoreWarning) as most:
        value.compute()
    lines = [(each.filename, each.lineno - told[0].lineno) for each in (*told, *more, *most)]
    assert lines == [(__file__, 0), (__file__, 3), (__file__, 5)]


def test_a_note_is_kept_where_it_can_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    for each in (store, remote := Store("memory://noted")):
        monkeypatch.setattr(each.backend, "note", refused)
        each.note("code-1", "x")
        assert raising(each) == []
    assert store.is_reachable
    assert not remote.is_reachable
    remote.note("code-1", "x")


def test_what_is_not_storable_is_told_once_on_a_store_that_cannot_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store.backend, "note", refused)
    details = TaskDetails("f", "f(1)", "", [])
    assert not save(store, DIGEST, threading.Lock(), details)
    [message] = raising(store)
    assert message.startswith("f(1) is not stored: ")


def test_what_others_count_in_a_store_is_not_what_this_one_did(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path), Store(tmp_path)
    theirs.counts.hits = 3
    theirs.log()
    ours.counts.misses = 2
    assert (ours.done.hits, ours.done.misses) == (0, 2)
    ours.log()
    assert (ours.done.hits, ours.done.misses) == (0, 2)
    assert (ours.stats().hits, ours.stats().misses) == (3, 2)
