"""Files that are being written."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.store import aside, locks
from pipeline.store.aside import swept, writing
from pipeline.store.disk import Folders

if TYPE_CHECKING:
    from pathlib import Path

NAME = 32 * "a"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(str(tmp_path), True, lambda: None)


def test_a_file_is_there_when_it_is_published_and_not_before(
    folders: Folders, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    with writing(folders, f"{tmp_path}/aside", str(target), NAME, [b"some"]) as written:
        assert not target.exists()
        written.publish()
        assert (target / NAME).read_bytes() == b"some"
    assert not os.listdir(tmp_path / "aside")


def test_a_file_that_is_not_published_is_gone(folders: Folders, tmp_path: Path) -> None:
    place = f"{tmp_path}/aside"
    with writing(folders, place, str(tmp_path), NAME, [b"some"]) as written:
        assert bytes(written.tried()) == b"some"
    with pytest.raises(KeyboardInterrupt), writing(folders, place, str(tmp_path), NAME, [b"x"]):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["aside"]
    assert not os.listdir(place)


def test_what_is_being_written_is_not_swept(folders: Folders, tmp_path: Path) -> None:
    place = f"{tmp_path}/aside"
    with writing(folders, place, str(tmp_path), NAME, [b"some"]):
        assert swept(place) == 0
    (tmp_path / "aside" / f"{NAME}.1.2.0123abcd").touch()
    assert swept(place) == 1
    assert swept(f"{tmp_path}/none") == 0


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{tmp_path}/aside"
    sweeps: list[int] = []

    def late(file: int, is_patient: bool = True) -> bool | None:
        if is_patient and len(sweeps) < 2:
            sweeps.append(swept(place))
        return locks.lock(file, is_patient)

    monkeypatch.setattr(aside, "lock", late)
    with writing(folders, place, str(tmp_path), NAME, [b"some"]) as written:
        written.publish()
    assert sweeps == [1, 1]
    assert (tmp_path / NAME).read_bytes() == b"some"


def test_files_of_others_are_left_where_they_are(tmp_path: Path) -> None:
    for name in ("thesis.txt", NAME, f"{NAME}.1.2.0123abcd.bak", ".hidden"):
        (tmp_path / name).write_text("mine")
    assert swept(str(tmp_path)) == 0
    assert len(list(tmp_path.iterdir())) == 4


def test_without_locks_only_what_is_old_is_swept(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "lock", lambda *_, **__: None)
    left = tmp_path / f"{NAME}.1.2.0123abcd"
    left.touch()
    assert swept(str(tmp_path)) == 0
    os.utime(left, (0, time.time() - 7200))
    assert swept(str(tmp_path)) == 1


def test_a_file_that_cannot_be_written_is_gone(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    folders.made(f"{tmp_path}/aside")
    monkeypatch.setattr(os, "fsync", broken)
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with (
        pytest.raises(OSError, match="Input/output"),
        writing(folders, f"{tmp_path}/aside", str(tmp_path), NAME, [b"some"]) as written,
    ):
        written.publish()
    assert not os.listdir(tmp_path / "aside")
    if files:
        assert len(os.listdir("/proc/self/fd")) == files
