"""Bytes that processes count together."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from pipeline.store import tally
from pipeline.store.disk import Folders
from pipeline.store.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path


def tallied(path: Path) -> Tally:
    return Tally(Folders(str(path), False, lambda: None), str(path / "size"), lambda: 77)


def test_it_is_counted_at_first_and_then_known(tmp_path: Path) -> None:
    one = tallied(tmp_path)
    with one.locked():
        assert one.get() == 77
        one.set(5)
        assert one.get() == 5
    other = tallied(tmp_path)
    with other.locked():
        assert other.get() == 5


@pytest.mark.parametrize(
    "content", [b"", b"five", b"-1", 5000 * b"9", b"\xff", 200 * b"x"], ids=len
)
def test_what_is_no_number_is_counted_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "size").write_bytes(content)
    one = tallied(tmp_path)
    with one.locked():
        assert one.get() == 77
        one.set(10)
        assert one.get() == 10


def test_a_number_from_before_the_system_was_started_is_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tallied(tmp_path)
    with one.locked():
        one.set(5)
    os.utime(tmp_path / "size", (1e9, 1e9))
    with one.locked():
        assert one.get() == (77 if tally._booted() else 5)
        one.set(6)
        assert one.get() == 6
    monkeypatch.delattr("time.CLOCK_BOOTTIME", raising=False)
    os.utime(tmp_path / "size", (1e9, 1e9))
    with one.locked():
        assert one.get() == 6


def test_threads_count_one_after_the_other(tmp_path: Path) -> None:
    one = tallied(tmp_path)
    with one.locked():
        one.set(0)

    def add() -> None:
        for _ in range(300):
            with one.locked():
                one.set(one.get() + 1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with one.locked():
        assert one.get() == 1200
