"""The order of eviction, notes by topic, the total of a folder, and its index in SQLite."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pipeline import Store
from pipeline.store import Counts
from pipeline.store.backends.disk import Disk
from pipeline.store.backends.index import Index, Stat, eviction_order
from pipeline.store.backends.notes import newest, parse_notes, sum_runs

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1000.0


def order(stats: dict[str, Stat], **seconds: float) -> list[str]:
    return eviction_order(stats, seconds, NOW)


def test_a_quick_computation_goes_before_a_slow_one() -> None:
    stats = {"slow": Stat(10, 0.0), "quick": Stat(10, 0.0)}
    assert order(stats, slow=9.0, quick=1.0) == ["quick", "slow"]


def test_a_large_entry_goes_before_a_small_one() -> None:
    stats = {"small": Stat(1, 0.0), "large": Stat(9, 0.0)}
    assert order(stats, small=1.0, large=1.0) == ["large", "small"]


def test_an_entry_that_was_long_unused_goes_before_a_recent_one() -> None:
    stats = {"new": Stat(1, 999.0), "old": Stat(1, 1.0)}
    assert order(stats, new=1.0, old=1.0) == ["old", "new"]


def test_the_three_weigh_against_each_other() -> None:
    stats = {
        "kept": Stat(10**4, 999.0),  # a second of work, small and new
        "instant": Stat(10**4, 999.0),  # no work, small and new
        "hour": Stat(10**9, 0.0),  # an hour of work, large and old
    }
    assert order(stats, kept=1.0, instant=0.0, hour=3600.0)[-1] == "kept"


def test_a_use_in_the_future_and_unknown_work_are_no_error() -> None:
    assert order({"a": Stat(0, 2000.0)}) == ["a"]


# Notes


@pytest.fixture
def folder(tmp_path: Path) -> Disk:
    return Disk(tmp_path, durable=False)


def test_lines_are_kept_in_their_order(folder: Disk) -> None:
    assert folder.notes("runs") == []
    for line in ("one", "zwö", "\u2028 of three"):
        folder.note("runs", line)
    folder.note("code-0a", "other")
    assert folder.notes("runs") == ["one", "zwö", "\u2028 of three"]


def test_of_many_the_newer_half_is_kept(folder: Disk) -> None:
    for n in range(600):
        folder.note("code-0a", f"{n:1000}")
    kept = [int(line) for line in folder.notes("code-0a")]
    assert kept[-1] == 599
    assert kept == list(range(kept[0], 600))
    assert 250 < len(kept) < 530


def test_a_line_that_is_too_long_leaves_no_other(folder: Disk) -> None:
    folder.note("code-0a", "a")
    folder.note("code-0a", 600_000 * "x")
    folder.note("code-0a", "b")
    assert folder.notes("code-0a") == ["b"]
    assert newest([], 100) == []


def test_no_run_is_lost_while_many_are_summed(folder: Disk) -> None:
    run = json.dumps(vars(Counts(hits=1)) | {"saved": 0.5}) + 3000 * " "

    def log() -> None:
        for _ in range(500):
            folder.note("runs", run)

    threads = [threading.Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum_runs(parse_notes(folder.notes("runs"))) == Counts(hits=2000, saved=1000.0)
    assert len(folder.notes("runs")) < 200


@pytest.mark.parametrize("topic", ["", "..", "../x", "code-../x", "/etc/x", "code-G", "a\0", "a\n"])
def test_a_topic_is_no_path(folder: Disk, topic: str) -> None:
    with pytest.raises(ValueError, match="is not a topic"):
        folder.note(topic, "x")
    with pytest.raises(ValueError, match="is not a topic"):
        folder.notes(topic)


def test_bytes_that_are_no_text_are_replaced(folder: Disk, tmp_path: Path) -> None:
    folder.note("runs", "\udc80")
    (tmp_path / "notes" / "runs").write_bytes(b"\xff\n\nb\n")
    assert folder.notes("runs") == ["\ufffd", "b"]


def test_topics_are_listed_with_times_and_removed(folder: Disk, tmp_path: Path) -> None:
    assert folder.topics() == {}
    folder.note("runs", "1")
    folder.note("code-0a", "1")
    (tmp_path / "notes" / "of mine.txt").touch()
    os.utime(tmp_path / "notes" / "code-0a", (7, 7))
    assert folder.topics().keys() == {"runs", "code-0a"}
    assert folder.topics()["code-0a"] == 7
    for _ in range(2):
        folder.forget("code-0a")
    assert sorted(os.listdir(tmp_path / "notes")) == ["of mine.txt", "runs"]
    with pytest.raises(ValueError, match="is not a topic"):
        folder.forget("../x")


# The total


@pytest.fixture
def counted(folder: Disk) -> Disk:
    folder.write(32 * "a", [77 * b"x"])
    return folder


def test_the_total_is_counted_once_and_then_known(counted: Disk) -> None:
    with counted.locked():
        assert counted.total() == 77
        counted.set_total(5)
        assert counted.total() == 5
    other = Disk(counted.address)
    with other.locked():
        assert other.total() == 5


@pytest.mark.parametrize(
    "content", [b"", b"five", b"-1", 5000 * b"9", b"\xff", 200 * b"x", 20 * b"9"], ids=len
)
def test_a_file_without_a_number_is_counted_again(counted: Disk, content: bytes) -> None:
    with open(f"{counted.address}/size", "wb") as file:
        file.write(content)
    with counted.locked():
        assert counted.total() == 77
        counted.set_total(10)
        assert counted.total() == 10


def test_a_total_from_before_the_start_of_the_system_is_counted_again(
    counted: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted.locked():
        counted.set_total(5)
    os.utime(f"{counted.address}/size", (1e9, 1e9))
    with counted.locked():
        assert counted.total() == (77 if hasattr(time, "CLOCK_BOOTTIME") else 5)
        counted.set_total(6)
        assert counted.total() == 6
    monkeypatch.delattr("time.CLOCK_BOOTTIME", raising=False)
    os.utime(f"{counted.address}/size", (1e9, 1e9))
    with counted.locked():
        assert counted.total() == 6


def test_threads_count_one_after_the_other(folder: Disk) -> None:
    with folder.locked():
        folder.set_total(0)

    def add() -> None:
        for _ in range(300):
            with folder.locked():
                folder.set_total(folder.total() + 1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with folder.locked():
        assert folder.total() == 1200


# The index


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", durable=False)
    for number in range(20):
        store.put(f"{number:032x}", bytes(1000), function=f"f{number % 2}", created=float(number))
    return store


def file_of(store: Store, digest: str) -> str:
    return f"{store.url}/entries/{digest[:2]}/{digest}"


def check(store: Store) -> None:
    """The index is as the entries are."""
    sizes = store.sizes()
    assert store.usage() == (len(sizes), sum(sizes.values()))
    entries, count = store.newest(None)
    times = [(entry.created, entry.digest) for entry in entries]
    assert times == sorted(((e.created, e.digest) for e in store.entries()), reverse=True)
    assert count == len(times)


def test_the_index_follows_what_is_written_replaced_and_removed(store: Store) -> None:
    check(store)
    store.put(f"{3:032x}", bytes(5000))
    store.remove(f"{4:032x}")
    store.put(f"{99:032x}", 1)
    store.remove(f"{99:032x}")
    check(store)
    assert os.path.exists(f"{store.url}/index.sqlite3")
    assert os.path.getsize(f"{store.url}/size") == 20  # the journal is in the index


def test_the_newest_entries_are_listed_of_all_or_of_a_function(store: Store) -> None:
    entries, count = store.newest(3)
    assert ([int(entry.digest, 16) for entry in entries], count) == ([19, 18, 17], 20)
    entries, count = store.newest(2, "f0")
    assert ([int(entry.digest, 16) for entry in entries], count) == ([18, 16], 10)
    assert store.newest(2, "no function") == ([], 0)


def test_entries_that_others_copy_and_remove_are_in_the_index(store: Store) -> None:
    check(store)
    time.sleep(0.02)  # the clock of files has moved on
    os.unlink(file_of(store, f"{1:032x}"))
    shutil.copy(file_of(store, f"{0:032x}"), file_of(store, f"{50:032x}"))  # a corrupt entry
    assert store.usage().entries == 20
    assert store.newest(None)[1] == 19
    shutil.rmtree(f"{store.url}/entries/00")
    assert store.usage() == (0, 0)


def test_an_entry_that_a_killed_writer_did_not_note_is_in_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(store)
    with monkeypatch.context() as patch:
        patch.setattr(store.backend, "_note_change", lambda _: None)
        store.put(f"{50:032x}", 1, function="f", created=50.0)
    time.sleep(0.02)
    store.put(f"{51:032x}", 1, function="f", created=51.0)
    check(store)


def damaged(path: str, way: str) -> None:
    if way == "removed":
        os.unlink(path)
    elif way == "truncated":
        os.truncate(path, 5000)
    elif way == "overwritten":
        with open(path, "r+b") as file:
            file.write(os.urandom(os.path.getsize(path)))
    elif way == "of another version":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 77")
        db.close()
    elif way == "with wrong values":
        with sqlite3.connect(path) as db:
            db.execute("UPDATE shards SET bytes = 'many'")
            db.execute("UPDATE entries SET used = x'00', bytes = 'many', seconds = NULL")
        db.close()
    else:
        os.utime(path, (1e9, 1e9))  # before the system started


@pytest.mark.parametrize("way", ["removed", "truncated", "overwritten", "of another version",
                                 "with wrong values", "old"])  # fmt: skip
def test_a_doubtful_index_is_made_again(store: Store, way: str) -> None:
    check(store)
    damaged(f"{store.url}/index.sqlite3", way)
    bounded = Store(store.url, max_bytes=15_000, durable=False)
    bounded.put(f"{60:032x}", bytes(1000))
    assert 0 < sum(store.sizes().values()) <= 15_000
    check(store)


def test_an_index_of_another_version_is_named(store: Store) -> None:
    check(store)
    damaged(f"{store.url}/index.sqlite3", "of another version")
    index = Index(store.url, lambda name: os.open(f"{store.url}/{name}", os.O_RDWR))
    with open(f"{store.url}/size", "r+b") as file, pytest.raises(OSError, match="version 77"):
        index.usage(file.fileno())


@pytest.mark.parametrize("journal", [b"\xc1", b"\x97", 500 * b"\0", b"\x91\xa1x", os.urandom(999)],
                         ids=len)  # fmt: skip
def test_a_corrupt_journal_is_no_error(store: Store, journal: bytes) -> None:
    check(store)
    with open(f"{store.url}/size", "ab") as file:
        file.write(journal)
    store.put(f"{70:032x}", 1, created=70.0)
    check(store)


def test_names_in_a_hostile_index_are_no_paths(store: Store, tmp_path: Path) -> None:
    check(store)
    (tmp_path / "precious").write_text("mine")
    with sqlite3.connect(f"{store.url}/index.sqlite3") as db:
        db.execute("UPDATE entries SET digest = '00/../../../precious' WHERE digest LIKE '%0a'")
    db.close()
    Store(store.url, max_bytes=3000, durable=False).put(f"{60:032x}", bytes(1000))
    assert all(len(entry.digest) == 32 for entry in store.newest(None)[0])
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("missing", ["locks", "sqlite3", "a file of its own"])
def test_without_an_index_the_entries_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "locks":
        monkeypatch.setattr("pipeline.store.backends.disk.lock", lambda *_, **__: None)
    elif missing == "sqlite3":
        monkeypatch.setitem(sys.modules, "sqlite3", None)
    else:
        os.symlink("/dev/null", f"{store.url}/index.sqlite3")
    check(store)
    bounded = Store(store.url, max_bytes=10_000, durable=False)
    for number in range(100, 110):
        bounded.put(f"{number:032x}", bytes(1000))
        assert sum(store.sizes().values()) <= 10_000
    check(store)


def test_a_child_and_threads_use_the_index_at_the_same_time(store: Store) -> None:
    bounded = Store(store.url, max_bytes=20_000, durable=False)

    def use(first: int) -> None:
        for number in range(first, first + 10):
            bounded.put(f"{number:032x}", bytes(1000))
            bounded.usage()

    threads = [threading.Thread(target=use, args=(100 * n,)) for n in range(1, 4)]
    for thread in threads:
        thread.start()
    children = []
    for first in (1000, 2000):
        if not (child := os.fork()):
            use(first)
            os._exit(0)
        children.append(child)
    for thread in threads:
        thread.join()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    check(store)
    assert sum(store.sizes().values()) <= 20_000


def test_the_journal_is_moved_into_the_index_when_it_is_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.backends.disk.LONGEST_JOURNAL", 1000)
    lengths = []
    for number in range(30):
        store.put(f"{number:032x}", 1, created=float(number))
        lengths.append(os.path.getsize(f"{store.url}/size"))
    assert max(lengths) < 1200
    check(store)


@pytest.mark.slow
def test_processes_that_are_killed_leave_an_index_that_agrees(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=100_000)
    dice = random.Random(3)  # noqa: S311 - the same in each run
    for round_ in range(40):
        if not (child := os.fork()):
            for number in range(10_000):
                store.put(f"{(number + 7919 * round_) % 4096:03x}" + 29 * "0", bytes(2000))
            os._exit(0)
        time.sleep(dice.uniform(0.01, 0.15))
        os.kill(child, 9)
        os.waitpid(child, 0)
        assert sum(store.sizes().values()) <= 100_000
        check(Store(tmp_path))
