"""Notes by topic."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from pipeline.store.disk import Folders
from pipeline.store.notes import Notes, newer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(Folders(str(tmp_path), False, lambda: None), str(tmp_path / "notes"))


def test_lines_are_kept_in_their_order(notes: Notes) -> None:
    assert notes.read("runs") == []
    for each in ("one", "zwö", "\u2028 of three"):
        notes.add("runs", each)
    notes.add("code-0a", "other")
    assert notes.read("runs") == ["one", "zwö", "\u2028 of three"]


def test_of_many_the_newer_half_is_kept(notes: Notes) -> None:
    for n in range(600):
        notes.add("runs", f"{n:1000}")
    kept = [int(each) for each in notes.read("runs")]
    assert kept[-1] == 599
    assert kept == list(range(kept[0], 600))
    assert 250 < len(kept) < 530


def test_a_line_that_is_too_long_leaves_no_other(notes: Notes) -> None:
    notes.add("runs", "a")
    notes.add("runs", 600_000 * "x")
    notes.add("runs", "b")
    assert notes.read("runs") == ["b"]
    assert newer([]) == []


def test_no_line_is_lost_while_others_are_made_fewer(notes: Notes) -> None:
    """Summed, as many as were added."""

    def summed(lines: list[str]) -> list[str]:
        return [str(sum(map(int, lines)))]

    def add() -> None:
        for _ in range(500):
            notes.add("runs", f"{1:3000}", summed)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(map(int, notes.read("runs"))) == 2000
    assert len(notes.read("runs")) < 200


@pytest.mark.parametrize("topic", ["", "..", "../x", "code-../x", "/etc/x", "code-G", "a\0", "a\n"])
def test_a_topic_is_no_path(notes: Notes, topic: str) -> None:
    with pytest.raises(ValueError, match="is no topic"):
        notes.add(topic, "x")
    with pytest.raises(ValueError, match="is no topic"):
        notes.read(topic)


def test_bytes_that_are_no_text_are_read_as_what_they_can_be(notes: Notes, tmp_path: Path) -> None:
    notes.add("runs", "\udc80")
    (tmp_path / "notes" / "runs").write_bytes(b"\xff\n\nb\n")
    assert notes.read("runs") == ["\ufffd", "b"]


def test_topics_tell_when_they_were_written_and_go(notes: Notes, tmp_path: Path) -> None:
    assert notes.topics() == {}
    notes.add("runs", "1")
    notes.add("code-0a", "1")
    (tmp_path / "notes" / "of mine.txt").touch()
    os.utime(tmp_path / "notes" / "code-0a", (7, 7))
    assert notes.topics().keys() == {"runs", "code-0a"}
    assert notes.topics()["code-0a"] == 7
    for _ in range(2):
        notes.remove("code-0a")
    assert sorted(os.listdir(tmp_path / "notes")) == ["of mine.txt", "runs"]
    with pytest.raises(ValueError, match="is no topic"):
        notes.remove("../x")
