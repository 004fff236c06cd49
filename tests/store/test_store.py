"""Results by digest: loading, storing, the bound, notes and warnings."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import threading
import time
import warnings
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreError, StoreWarning
from pipeline.cache.saving import TaskDetails, save
from pipeline.store import Counts, Entry, LostError, UnstorableError
from pipeline.store.backends import Usage, topic_of
from pipeline.store.backends.disk import Disk
from pipeline.store.entry import packed

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST, OTHER = 32 * "a", 32 * "b"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_a_result_is_in_every_store_of_the_same_folder(store: Store) -> None:
    value: dict[str, Any] = {"a": [1, None, 2.5], "b": np.arange(100_000)}
    entry = store.put(DIGEST, value, function="f", seconds=2.0)
    assert (entry.function, entry.seconds, entry.bytes > 800_000) == ("f", 2.0, True)
    for same in (store, Store(store.url), Store(Path(store.url)), Store(f"file://{store.url}")):
        loaded = same.get(DIGEST)
        assert loaded["a"] == value["a"]
        assert np.array_equal(loaded["b"], value["b"])
        assert DIGEST in same
    assert store.known([DIGEST, OTHER]) == {DIGEST}
    assert store.exists()
    assert store.stats().stored == 1


def test_none_is_a_value_and_a_missing_result_is_a_key_error(store: Store) -> None:
    store.put(DIGEST, None)
    assert store.get(DIGEST) is None
    with pytest.raises(KeyError, match=OTHER):
        store.get(OTHER)
    assert bool(Store("memory://nothing"))


def test_arrays_stay_when_their_entry_goes(store: Store) -> None:
    store.put(DIGEST, value := np.random.default_rng(0).random(100_000))
    loaded = store.get(DIGEST)
    store.put(DIGEST, 0)
    assert np.array_equal(loaded, value)
    store.remove(DIGEST)
    assert np.array_equal(loaded, value)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Store(""), "'' is no store: give a folder"),
        (lambda: Store("file://"), "is no store"),
        (lambda: Store(b"bytes"), "is no store"),  # type: ignore[arg-type]
        (lambda: Store(3), "3 is no store"),  # type: ignore[arg-type]
        (lambda: Store("x", max_bytes=0), "max_bytes=0: give a number of bytes, 1 or more"),
        (lambda: Store("x", versions="all"), 'give one of "minor", "exact", "ignore"'),  # type: ignore[arg-type]
        (lambda: Store("x", max_bytes=True), "max_bytes=True"),
        (lambda: Store("x", max_bytes="0%"), "max_bytes='0%'"),
        (lambda: Store("x", max_bytes="much"), 'max_bytes=\'much\': .* such as "20GB" or "50%"'),
        (lambda: Store("x", max_bytes=1e9), "max_bytes=1000000000.0"),  # type: ignore[arg-type]
        (lambda: Store("x", keep=[3]), "keep=3: give functions, or their names"),
        (lambda: Store("nothing://x"), "nothing"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(make: Callable[[], Store], why: str) -> None:
    with pytest.raises(StoreError, match=why):
        make()


def test_functions_are_named_by_themselves_or_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[abs, "f"], skip=[len])
    assert (store.keep, store.skip) == (frozenset({"abs", "f"}), frozenset({"len"}))
    assert Store(tmp_path, keep="f").keep == {"f"}


def test_nothing_is_made_before_something_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert DIGEST not in store
    with pytest.raises(KeyError):
        store.get(DIGEST)
    assert list(store.entries()) == []
    assert not store.stats()
    assert not store.exists()
    assert not list(tmp_path.iterdir())
    assert repr(store) == f"Store({os.fspath(tmp_path / 'store')!r})"


def test_in_a_worker_it_is_one_store_with_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here", max_bytes=100, pickle=True, durable=False, keep="f", skip="g")
    monkeypatch.chdir("/")
    one, other = (pickle.loads(pickle.dumps(store)) for _ in range(2))  # noqa: S301 - its own
    assert one is other
    assert one.backend.address == os.fspath(tmp_path / "here")
    for name in ("max_bytes", "pickle", "durable", "keep", "skip"):
        assert getattr(one, name) == getattr(store, name)


def test_a_value_without_a_format_is_refused_or_pickled(tmp_path: Path) -> None:
    with pytest.raises(UnstorableError):
        Store(tmp_path).put(DIGEST, Template("$x"))
    assert not (tmp_path / "entries").exists()
    Store(tmp_path, pickle=True).put(DIGEST, Template("$x"))
    assert Store(tmp_path, pickle=True).get(DIGEST).template == "$x"


def test_a_pickled_result_stays_when_a_store_without_pickle_skips_it(store: Store) -> None:
    pickling = Store(store.url, pickle=True)
    pickling.put(DIGEST, Template("$x"))
    with pytest.warns(StoreWarning, match="pickle=True"), pytest.raises(KeyError):
        store.get(DIGEST)
    assert pickling.get(DIGEST).template == "$x"


def test_an_entry_whose_payload_is_no_value_is_removed(store: Store) -> None:
    entry = Entry(DIGEST, bytes=3)
    store.backend.write(DIGEST, packed(entry, [b"abc"]))
    with (
        pytest.warns(StoreWarning, match=f"{DIGEST} is removed, and computed again"),
        pytest.raises(KeyError),
    ):
        store.get(DIGEST)
    assert DIGEST not in store


def test_an_entry_that_replaced_a_corrupt_one_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DIGEST, 1)
    os.truncate(f"{store.url}/entries/aa/{DIGEST}", 50)
    original = store.backend.read

    def read(digest: str) -> Any:
        stored = original(digest)
        Store(store.url, durable=False).put(DIGEST, "whole")
        return stored

    monkeypatch.setattr(store.backend, "read", read)
    with pytest.warns(StoreWarning, match="corrupt"), pytest.raises(KeyError):
        store.get(DIGEST)
    assert Store(store.url).get(DIGEST) == "whole"


def test_a_use_is_noted_once_a_minute(store: Store) -> None:
    store.put(DIGEST, 1)
    path = f"{store.url}/entries/aa/{DIGEST}"
    for age, is_noted in ((30, False), (90, True)):
        then = time.time() - age
        os.utime(path, (then, then))
        store.get(DIGEST)
        assert (os.stat(path).st_mtime > time.time() - 10) is is_noted


def test_a_folder_that_only_root_may_write_to_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DIGEST, 1)
    then = time.time() - 1000
    os.utime(f"{store.url}/entries/aa/{DIGEST}", (then, then))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("utime", "mkdir", "unlink", "replace", "write"):
        monkeypatch.setattr(os, name, refused)
    assert Store(store.url).get(DIGEST) == 1
    os.truncate(f"{store.url}/entries/aa/{DIGEST}", 50)
    message = r"cannot be removed \(Permission denied\): a corrupt entry"
    with pytest.warns(StoreWarning, match=message), pytest.raises(KeyError):
        Store(store.url).get(DIGEST)


def test_the_home_of_the_user_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for url in ("~/c", Path("~/c")):
        Store(url).put(DIGEST, 1)
    assert DIGEST in Store(tmp_path / "home" / "c")
    assert not (tmp_path / "~").exists()


def test_a_password_is_not_shown_and_not_lost() -> None:
    store = Store("ftp://ann:s3cr:e@t@127.0.0.1:1/x")
    assert repr(store) == "Store('ftp://ann:***@127.0.0.1:1/x')"
    assert repr(store.backend) == store.url == "ftp://ann:***@127.0.0.1:1/x"
    of_worker: Any = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
    assert of_worker.backend.address == "ftp://ann:s3cr:e@t@127.0.0.1:1/x"
    with pytest.raises(StoreError) as error:
        Store("nothing://ann:secret@host/x")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_change_in_a_loaded_array_changes_nothing_else(tmp_path: Path, size: int) -> None:
    """A second run must not fail where the first did not."""
    store = Store(tmp_path)
    store.put(DIGEST, np.zeros(size))
    first, second = store.get(DIGEST), store.get(DIGEST)
    first += 1
    assert first.sum() == size
    assert second.sum() == store.get(DIGEST).sum() == Store(tmp_path).get(DIGEST).sum() == 0


def test_an_entry_that_only_others_can_load_stays(tmp_path: Path) -> None:
    Store(tmp_path, pickle=True).put(DIGEST, Path)
    store = Store(tmp_path)
    assert DIGEST in store
    with pytest.warns(StoreWarning, match="pickle=True"), pytest.raises(KeyError):
        store.get(DIGEST)
    assert DIGEST not in store  # so that it is computed, not tried again
    assert Store(tmp_path, pickle=True).get(DIGEST) is Path
    store.put(DIGEST, 1)
    assert store.get(DIGEST) == 1


# The bound

DIGESTS = [f"{n:032x}" for n in range(50)]


def aged(store: Store, digest: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(f"{store.url}/entries/{digest[:2]}/{digest}", (then, then))


def bounded(store: Store, most: int) -> Store:
    return Store(store.url, max_bytes=most, durable=False)


def test_entries_are_listed_with_their_headers(store: Store) -> None:
    for digest in reversed(DIGESTS[:3]):
        store.put(digest, digest, function="f", arguments=[["1", "h"]] * 500)
    assert [entry.digest for entry in store.entries()] == DIGESTS[:3]
    entry = store.entry(DIGESTS[1])
    assert entry is not None
    assert (entry.function, len(entry.arguments)) == ("f", 500)
    assert store.entry(DIGESTS[9]) is None
    assert len(store) == 3


def test_corrupt_entries_are_not_listed(store: Store) -> None:
    for digest in DIGESTS[:3]:
        store.put(digest, 1)
    for digest, size in zip(DIGESTS[:2], (0, 100), strict=True):
        os.truncate(f"{store.url}/entries/00/{digest}", size)
    os.rename(f"{store.url}/entries/00/{DIGESTS[2]}", f"{store.url}/entries/00/{DIGESTS[3]}")
    assert list(store.entries()) == []
    assert len(store) == 3


@pytest.mark.parametrize("reason", ["quick to compute", "large", "long unused"])
def test_which_entry_is_evicted_first(store: Store, reason: str) -> None:
    for n, digest in enumerate(DIGESTS[:4]):
        is_it = n == 2
        size = 200_000 if is_it and reason == "large" else 50_000
        store.put(
            digest, bytes(size), behind=0.1 if is_it and reason == "quick to compute" else 60.0
        )
        aged(store, digest, 86400 if is_it and reason == "long unused" else 3600)
    total = store.backend.count()
    bounded(store, total + 100).put(DIGESTS[5], 0)
    left = set(store.digests())
    assert left == {*DIGESTS[:2], DIGESTS[3], DIGESTS[5]}


def test_a_load_counts_as_a_use(store: Store) -> None:
    for digest in DIGESTS[:3]:
        store.put(digest, bytes(50_000), behind=1.0)
        aged(store, digest, 3600)
    store.get(DIGESTS[0])
    bounded(store, 151_000).put(DIGESTS[3], bytes(50_000))
    assert DIGESTS[0] in store
    assert DIGESTS[1] not in store or DIGESTS[2] not in store


def test_a_store_takes_half_of_the_space_and_says_once_that_it_removes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Store(store.url, durable=False)
    limits = []

    def usage(_: str) -> Any:  # a disk of 400,000 bytes that nobody else uses
        limits.append(400_000 - store.backend.count())
        return type("Usage", (), {"free": limits[-1]})

    monkeypatch.setattr(shutil, "disk_usage", usage)
    for digest in DIGESTS[:8]:
        share.put(digest, bytes(50_000), behind=1.0)
    assert 2 <= len(store) <= 3
    with pytest.warns(
        StoreWarning, match=r"entries are removed .* max_bytes=None lifts it"
    ) as told:
        share.failures.emit_warnings()
    assert len(told) == 1
    before = len(limits)
    unbounded = Store(store.url, durable=False, max_bytes=None)
    for digest in DIGESTS[10:18]:
        unbounded.put(digest, bytes(50_000))
    assert len(store) >= 10
    assert len(limits) == before


def test_a_bound_is_a_text_too(tmp_path: Path) -> None:
    assert Store(tmp_path, max_bytes="20GB").space.max_bytes == 20 * 10**9


def test_a_result_over_the_bound_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=r"bytes exceed max_bytes=1,000"):
        bounded(store, 1000).put(DIGESTS[0], bytes(1000))
    assert len(store) == 0


def test_a_put_fails_if_nothing_can_be_evicted_for_it(
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
    assert list(store.digests()) == [DIGESTS[0]]
    tight.put(DIGESTS[1], bytes(1000))
    assert list(store.digests()) == [DIGESTS[1]]


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


def test_a_replaced_entry_is_not_evicted_for_its_replacement(store: Store) -> None:
    store.put(DIGESTS[0], bytes(50_000))
    store.put(DIGESTS[1], bytes(1000), behind=60.0)
    tight = bounded(store, 61_000)
    tight.put(DIGESTS[0], bytes(60_000))
    assert list(store.digests()) == [DIGESTS[0]]
    with store.backend.locked():
        assert store.backend.total() == store.backend.count()


def test_files_that_others_removed_are_counted_again_before_an_eviction(store: Store) -> None:
    for digest in DIGESTS[:10]:
        store.put(digest, bytes(10_000))
    for digest in DIGESTS[:9]:
        os.unlink(f"{store.url}/entries/00/{digest}")
    bounded(store, 101_000).put(DIGESTS[11], bytes(10_000))
    assert set(store.digests()) == {DIGESTS[9], DIGESTS[11]}
    os.unlink(f"{store.url}/size")
    bounded(store, 15_000).put(DIGESTS[12], bytes(10_000))
    assert list(store.digests()) == [DIGESTS[12]]


def test_an_empty_file_in_the_place_of_an_entry_can_be_removed(store: Store) -> None:
    store.put(DIGESTS[0], 1)
    os.truncate(f"{store.url}/entries/00/{DIGESTS[0]}", 0)
    assert store.remove(DIGESTS[0])
    assert len(store) == 0


def test_gc_removes_unused_entries_and_those_above_a_bound(store: Store) -> None:
    for n, digest in enumerate(DIGESTS[:6]):
        store.put(digest, bytes(10_000), behind=float(n))
        aged(store, digest, 100 if n else 1000)
    (left := f"{store.url}/temporary/{DIGESTS[0]}.1.1.abcdef01")
    open(left, "w").close()
    assert store.gc(unused=500)[0] == 1
    assert not os.path.exists(left)
    entries, freed = store.gc(max_bytes=30_500)
    assert (entries, freed > 30_000) == (3, True)
    assert list(store.digests()) == DIGESTS[4:6]
    assert store.gc() == (0, 0)
    assert bounded(store, 15_000).gc()[0] == 1


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
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.backend.count() <= 100_000


@pytest.mark.parametrize("way", ["size", "copied"])
def test_a_wrong_total_is_counted_again_where_there_is_a_bound(store: Store, way: str) -> None:
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


def test_a_store_with_a_bound_counts_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    original = Disk.usage

    def usage(disk: Disk) -> Usage:
        counted.append(1)
        return original(disk)

    monkeypatch.setattr(Disk, "usage", usage)
    store.put(DIGESTS[3], 1)
    one, two = bounded(store, 10**6), Store(store.url)
    one.put(DIGESTS[0], 1)
    assert counted  # before the lock, and with it
    counted.clear()
    one.put(DIGESTS[1], 1)
    two.put(DIGESTS[2], 1)
    assert not counted


@pytest.mark.parametrize("url", ["{}/cache", "memory://forgotten", "dir::file://{}/dir"])
def test_gc_removes_old_notes_without_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    store = Store(url.format(tmp_path))
    codes = [32 * letter for letter in "abc"]
    for n, code in enumerate(codes):
        store.put(DIGESTS[n], n, function=f"f{n}", code=code)
        store.notes.add_once(f"code-{code}", dict)
    store.counts.hits = 3
    store.log()
    store.remove(DIGESTS[1])
    store.gc()
    assert len(store.backend.topics()) == 7
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86400)
    monkeypatch.setattr(time, "time_ns", lambda: int((now + 31 * 86400) * 1e9))
    store.notes.add("code-" + codes[2], "anew")
    store.remove(DIGESTS[2])
    store.gc()
    assert store.backend.topics().keys() >= {"runs", f"code-{codes[0]}", topic_of("f0")}
    assert not store.backend.topics().keys() & {f"code-{codes[1]}", topic_of("f1"), topic_of("f2")}
    assert store.notes.history("f0")
    assert store.stats().hits == 3


# Notes and warnings


def test_runs_are_added_up_and_stay_so_when_there_are_many(store: Store) -> None:
    for _ in range(6000):
        store.counts.hits += 2
        store.counts.saved += 0.5
        store.log()
    assert len(store.backend.notes("runs")) < 6000
    assert store.stats() == Counts(hits=12_000, saved=3000.0)
    for line in ('{"hits": 3}', '{"hits": "3"}', "7", json.dumps(vars(Counts()) | {"more": 1}),
                 *(json.dumps(vars(Counts()) | {"saved": seconds})
                   for seconds in (float("inf"), float("nan"), -1.0, 1e308)),
                 json.dumps(vars(Counts()) | {"hits": -1})):  # fmt: skip
        store.backend.note("runs", line)
    store.counts.misses = 4
    assert store.stats() == Counts(hits=12_000, misses=4, saved=3000.0)


def raising(store: Store, *errors: Exception) -> list[str]:
    for error in errors:
        with store.failures.tolerating("written") as reach:
            assert reach
            raise error
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        store.failures.emit_warnings()
        store.failures.emit_warnings()
    assert all(warning.category is StoreWarning for warning in warned)
    return [str(warning.message) for warning in warned]


def test_each_kind_of_failure_is_one_warning(store: Store) -> None:
    full, denied = OSError(28, "No space left on device"), PermissionError(13, "Permission denied")
    warned = raising(store, full, denied, full, MemoryError(), KeyError())
    assert [message.partition(": ")[2].partition(";")[0] for message in warned] == [
        "No space left on device", "Permission denied", "MemoryError", "KeyError",
    ]  # fmt: skip
    assert warned[0].startswith(f"{store.url} could not be written: ")
    assert raising(store, full) == []
    assert raising(store, UnstorableError("a lock", "no format")) == ["a lock: no format"]


@pytest.mark.parametrize("error", [LostError("x"), KeyboardInterrupt()])
def test_other_errors_are_raised(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)), store.failures.tolerating("written"):
        raise error


def test_a_store_of_a_worker_warns_at_once_and_no_task_fails_for_it(store: Store) -> None:
    of_worker: Store = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
    with (
        pytest.warns(StoreWarning, match="could not be written"),
        of_worker.failures.tolerating("written"),
    ):
        raise OSError(5, "Input/output error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_worker.failures.warn_later("another", "is an error there")
    assert raising(store) == []


def test_entries_that_a_worker_stores_are_counted(store: Store) -> None:
    of_worker: Any = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
    of_worker.put(DIGEST, 1)
    assert store.stats().stored == 1


def test_a_warning_is_one_line_without_escapes_or_passwords(store: Store) -> None:
    store.failures.warn_later("x", "f(\x1b]0;title\x07)\nftp://ann:secret@host is down")
    assert raising(store) == ["f(·]0;title·) ftp://ann:***@host is down"]


def test_a_warning_points_to_the_line_of_the_user(store: Store) -> None:
    store.put(DIGEST, 1)
    os.truncate(f"{store.url}/entries/aa/{DIGEST}", 50)
    with pytest.warns(StoreWarning) as warned, pytest.raises(KeyError):
        store.get(DIGEST)
    value = delayed(threading.Lock)()
    with pytest.warns(StoreWarning) as more:
        pipeline.compute(value, store=store)
    with Store(store.url), pytest.warns(StoreWarning) as most:
        value.compute()
    lines = [
        (warning.filename, warning.lineno - warned[0].lineno) for warning in (*warned, *more, *most)
    ]
    assert lines == [(__file__, 0), (__file__, 3), (__file__, 5)]


def test_a_note_that_cannot_be_written_is_no_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    for broken in (store, remote := Store("memory://noted")):
        monkeypatch.setattr(broken.backend, "note", refused)
        broken.notes.add("code-1", "x")
        assert raising(broken) == []
    assert store.failures.is_reachable
    assert not remote.failures.is_reachable
    remote.notes.add("code-1", "x")


def test_an_unstorable_result_is_one_warning_on_a_read_only_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store.backend, "note", refused)
    details = TaskDetails("f", "f(1)", "", [])
    assert not save(store, DIGEST, threading.Lock(), details)
    [message] = raising(store)
    assert message.startswith("f(1) is not stored: ")


def test_done_counts_this_process_and_stats_count_all(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path), Store(tmp_path)
    theirs.counts.hits = 3
    theirs.log()
    ours.counts.misses = 2
    assert (ours.done.hits, ours.done.misses) == (0, 2)
    ours.log()
    assert (ours.done.hits, ours.done.misses) == (0, 2)
    assert (ours.stats().hits, ours.stats().misses) == (3, 2)
