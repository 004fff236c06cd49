"""The order of eviction, notes by topic, and the total of a folder."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.store import Counts
from pipeline.store.backends.disk import Disk
from pipeline.store.backends.index import Stat, eviction_order
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
