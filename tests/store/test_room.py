"""The room that entries take."""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline import Store, StoreError
from pipeline.store import topic

if TYPE_CHECKING:
    from pathlib import Path

DIGESTS = [f"{n:032x}" for n in range(50)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def aged(store: Store, digest: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(f"{store.url}/entries/{digest[:2]}/{digest}", (then, then))


def bounded(store: Store, most: int) -> Store:
    return Store(store.url, max_bytes=most, durable=False)


def test_entries_tell_what_they_are(store: Store) -> None:
    for digest in reversed(DIGESTS[:3]):
        store.put(digest, digest, function="f", arguments=[["1", "h"]] * 500)
    assert [each.digest for each in store.entries()] == DIGESTS[:3]
    entry = store.entry(DIGESTS[1])
    assert entry is not None
    assert (entry.function, len(entry.arguments)) == ("f", 500)
    assert store.entry(DIGESTS[9]) is None
    assert len(store) == 3


def test_torn_entries_are_left_out(store: Store) -> None:
    for digest in DIGESTS[:3]:
        store.put(digest, 1)
    for digest, size in zip(DIGESTS[:2], (0, 100), strict=True):
        os.truncate(f"{store.url}/entries/00/{digest}", size)
    os.rename(f"{store.url}/entries/00/{DIGESTS[2]}", f"{store.url}/entries/00/{DIGESTS[3]}")
    assert list(store.entries()) == []
    assert len(store) == 3


@pytest.mark.parametrize("goes", ["quick to compute", "large", "long unused"])
def test_what_goes_first(store: Store, goes: str) -> None:
    for n, digest in enumerate(DIGESTS[:4]):
        is_it = n == 2
        size = 200_000 if is_it and goes == "large" else 50_000
        store.put(digest, bytes(size), behind=0.1 if is_it and goes == "quick to compute" else 60.0)
        aged(store, digest, 86400 if is_it and goes == "long unused" else 3600)
    total = store.backend.count()
    bounded(store, total + 100).put(DIGESTS[5], 0)
    left = set(store.backend.names())
    assert left == {*DIGESTS[:2], DIGESTS[3], DIGESTS[5]}


def test_what_was_loaded_is_used(store: Store) -> None:
    for digest in DIGESTS[:3]:
        store.put(digest, bytes(50_000), behind=1.0)
        aged(store, digest, 3600)
    store.get(DIGESTS[0])
    bounded(store, 151_000).put(DIGESTS[3], bytes(50_000))
    assert DIGESTS[0] in store
    assert DIGESTS[1] not in store or DIGESTS[2] not in store


def test_a_result_over_the_bound_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=r"bytes are over max_bytes=1,000"):
        bounded(store, 1000).put(DIGESTS[0], bytes(1000))
    assert len(store) == 0


def test_where_nothing_can_be_removed_there_is_no_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DIGESTS[0], bytes(1000))

    def refused(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    tight = bounded(store, 1500)
    with monkeypatch.context() as patch:
        patch.setattr(tight.backend, "remove", refused)
        with pytest.raises(OSError, match="cannot be removed for max_bytes=1,500"):
            tight.put(DIGESTS[1], bytes(1000))
    assert list(store.backend.names()) == [DIGESTS[0]]
    tight.put(DIGESTS[1], bytes(1000))
    assert list(store.backend.names()) == [DIGESTS[1]]


def test_bytes_are_counted_as_entries_come_and_go(store: Store) -> None:
    def check() -> None:
        with store.backend.locked():
            assert store.backend.total() == store.backend.count()

    store.put(DIGESTS[0], bytes(100))
    store.put(DIGESTS[1], bytes(100))
    check()
    assert store.remove(DIGESTS[0])
    assert not store.remove(DIGESTS[0])
    check()
    store.put(DIGESTS[1], bytes(200_000))
    check()
    store.put(DIGESTS[1], 1)  # never too few: what went is noticed when they are counted anew
    with store.backend.locked():
        assert store.backend.total() >= store.backend.count()
    store.gc()
    check()


def test_what_is_replaced_does_not_go_for_what_replaces_it(store: Store) -> None:
    store.put(DIGESTS[0], bytes(50_000))
    store.put(DIGESTS[1], bytes(1000), behind=60.0)
    tight = bounded(store, 61_000)
    tight.put(DIGESTS[0], bytes(60_000))
    assert list(store.backend.names()) == [DIGESTS[0]]
    with store.backend.locked():
        assert store.backend.total() == store.backend.count()


def test_what_others_removed_or_added_is_counted_when_it_matters(store: Store) -> None:
    for digest in DIGESTS[:10]:
        store.put(digest, bytes(10_000))
    for digest in DIGESTS[:9]:
        os.unlink(f"{store.url}/entries/00/{digest}")
    bounded(store, 101_000).put(DIGESTS[11], bytes(10_000))
    assert set(store.backend.names()) == {DIGESTS[9], DIGESTS[11]}
    os.unlink(f"{store.url}/size")
    bounded(store, 15_000).put(DIGESTS[12], bytes(10_000))
    assert list(store.backend.names()) == [DIGESTS[12]]


def test_an_empty_file_in_the_place_of_an_entry_can_be_removed(store: Store) -> None:
    store.put(DIGESTS[0], 1)
    os.truncate(f"{store.url}/entries/00/{DIGESTS[0]}", 0)
    assert store.remove(DIGESTS[0])
    assert len(store) == 0


def test_gc_removes_what_was_not_used_and_what_is_too_much(store: Store) -> None:
    for n, digest in enumerate(DIGESTS[:6]):
        store.put(digest, bytes(10_000), behind=float(n))
        aged(store, digest, 100 if n else 1000)
    (left := f"{store.url}/aside/{DIGESTS[0]}.1.1.abcdef01")
    open(left, "w").close()
    assert store.gc(unused=500)[0] == 1
    assert not os.path.exists(left)
    entries, freed = store.gc(max_bytes=30_500)
    assert (entries, freed > 30_000) == (3, True)
    assert list(store.backend.names()) == DIGESTS[4:6]
    assert store.gc() == (0, 0)
    assert bounded(store, 15_000).gc()[0] == 1


def test_what_storing_costs_is_measured_once_and_leaves_nothing(store: Store) -> None:
    small, large = store.cost(0), store.cost(10**9)
    assert 0 < small < large < 100
    assert store.cost(0) == small
    assert len(store) == 0
    assert os.listdir(f"{store.url}/aside") == []


def test_threads_store_and_remove_at_the_same_time(store: Store) -> None:
    errors: list[Exception] = []
    tight = bounded(store, 100_000)

    def use(seed: int) -> None:
        dice = np.random.default_rng(seed)
        try:
            for n in dice.integers(0, 50, 60):
                tight.put(DIGESTS[n], bytes(int(dice.integers(10_000))))
                tight.open(DIGESTS[int(dice.integers(50))])
                tight.remove(DIGESTS[int(dice.integers(50))])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert store.backend.count() <= 100_000


@pytest.mark.parametrize("way", ["size", "copied"])
def test_what_is_counted_wrongly_is_counted_anew_where_there_is_a_bound(
    store: Store, way: str
) -> None:
    for digest in DIGESTS[:10]:
        store.put(digest, bytes(10_000))
    if way == "size":
        with store.backend.locked():
            store.backend.set_total(0)
    else:
        for digest in DIGESTS[20:30]:
            shutil.copy(f"{store.url}/entries/00/{DIGESTS[0]}", f"{store.url}/entries/00/{digest}")
    bounded(store, 60_000).put(DIGESTS[11], bytes(10_000))
    assert store.backend.count() <= 60_000


def test_it_is_counted_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    original = store.backend.count

    def count() -> int:
        counted.append(1)
        return original()

    store.put(DIGESTS[3], 1)
    one, two = bounded(store, 10**6), Store(store.url)
    for each in (one, two):
        monkeypatch.setattr(each.backend, "count", count)
    one.put(DIGESTS[0], 1)
    one.put(DIGESTS[1], 1)
    two.put(DIGESTS[2], 1)
    assert counted == [1]


@pytest.mark.parametrize("url", ["{}/cache", "memory://forgotten", "dir::file://{}/dir"])
def test_gc_forgets_what_has_no_entries_and_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    store = Store(url.format(tmp_path))
    codes = [32 * each for each in "abc"]
    for n, code in enumerate(codes):
        store.put(DIGESTS[n], n, function=f"f{n}", code=code)
        store.note_once(f"code-{code}", dict)
    store.counts.hits = 3
    store.log()
    store.remove(DIGESTS[1])
    store.gc()
    assert len(store.backend.topics()) == 7
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86400)
    monkeypatch.setattr(time, "time_ns", lambda: int((now + 31 * 86400) * 1e9))
    store.note("code-" + codes[2], "anew")
    store.remove(DIGESTS[2])
    store.gc()
    assert store.backend.topics().keys() >= {"runs", f"code-{codes[0]}", topic("f0")}
    assert not store.backend.topics().keys() & {f"code-{codes[1]}", topic("f1"), topic("f2")}
    assert store.history("f0")
    assert store.stats().hits == 3
