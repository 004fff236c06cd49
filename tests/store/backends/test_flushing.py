"""Entries that are flushed together."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from pipeline import Store, StoreError
from pipeline.store.backends import flushing
from pipeline.store.backends.flushing import Flusher

if TYPE_CHECKING:
    from pathlib import Path

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
