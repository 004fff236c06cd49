"""What is written is flushed together, and notes with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import Store, StoreError
from pipeline.store.backends import flushing, topic_of
from pipeline.store.backends.flushing import Flusher

DIGESTS = [f"{number:032x}" for number in range(50)]


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are flushed."""
    folders: list[str] = []
    monkeypatch.setattr(flushing, "_flush", folders.append)
    return folders


def test_entries_are_visible_at_once_and_flushed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushed: list[str]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append("one by one"))
    store = Store(tmp_path / "store")
    assert store.durable == "end"
    for digest in DIGESTS:
        store.put(digest, digest)
        assert Store(store.url).get(digest) == digest
    store.flush()
    assert flushed == [store.backend.address]
    store.flush()
    assert len(flushed) == 1


def test_a_change_is_flushed_without_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushed: list[str]
) -> None:
    monkeypatch.setattr(flushing, "_INTERVAL", 0.01)
    flusher = Flusher(str(tmp_path))
    for number in (1, 2):
        flusher.schedule()
        limit = time.monotonic() + 20
        while len(flushed) < number and time.monotonic() < limit:
            time.sleep(0.005)
        assert flushed == number * [str(tmp_path)]


def test_a_forked_child_flushes_what_it_writes(tmp_path: Path, flushed: list[str]) -> None:
    flusher = Flusher(str(tmp_path))
    flusher.schedule()  # by a thread that the child does not have
    if not (child := os.fork()):
        flusher.schedule()
        flusher.flush()
        os._exit(len(flushed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    flusher.flush()
    assert len(flushed) == 1


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    flusher = Flusher(str(tmp_path / "none"))
    flusher.schedule()
    flusher.flush()


def test_without_the_system_call_each_entry_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[int] = []
    monkeypatch.setattr("pipeline.store.backends.disk.CAN_FLUSH_TOGETHER", False)
    monkeypatch.setattr(os, "fsync", files.append)
    Store(tmp_path / "store", durable="end").put(DIGESTS[0], 1)
    assert files


@pytest.mark.parametrize("durable", ["start", None, 1])
def test_durable_is_one_of_three(tmp_path: Path, durable: str) -> None:
    with pytest.raises(StoreError, match='give True, "end" or False'):
        Store(tmp_path, durable=durable)


# Notes


def stored(store: Store, *numbers: int) -> None:
    for number in numbers:
        store.put(DIGESTS[number], number, function="f")


def noted(store: Store) -> list[str]:
    """The digests in the file of the notes on `f`."""
    path = Path(store.url, "notes", topic_of("f"))
    return [json.loads(line)[0] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is flushed without a call."""
    monkeypatch.setattr(flushing, "_INTERVAL", 600)


@pytest.mark.usefixtures("patient")
def test_notes_of_calls_are_written_when_they_are_read_or_flushed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    stored(store, 0, 1)
    assert noted(store) == []
    assert [line[0] for line in Store(store.url).notes.history("f")] == DIGESTS[:2]
    stored(store, 2)
    store.flush()
    assert noted(store) == DIGESTS[:3]


@pytest.mark.usefixtures("patient")
def test_notes_of_many_calls_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.backends.notes._MOST_PENDING", 3)
    store = Store(str(tmp_path))
    stored(store, 0, 1, 2, 3)
    assert noted(store) == DIGESTS[:3]
    store.flush()


@pytest.mark.usefixtures("patient")
def test_a_forked_child_writes_its_notes_at_once_and_none_of_its_parent(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    stored(store, 0)
    if not (child := os.fork()):
        try:
            stored(store, 1)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert noted(store) == [DIGESTS[1]]
    store.flush()
    assert noted(store) == [DIGESTS[1], DIGESTS[0]]


@pytest.mark.usefixtures("patient")
def test_notes_do_not_make_a_removed_store_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    stored(store, 0)
    shutil.rmtree(store.url)
    store.flush()
    assert os.listdir(tmp_path) == []


def test_a_process_that_ends_writes_its_notes(tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline import Store; "
        f"Store(sys.argv[1]).put({DIGESTS[0]!r}, 1, function='f')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert noted(Store(str(tmp_path))) == DIGESTS[:1]
