"""Files of a disk: read, mapped, kept open, and flushed together."""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.backends import files
from pipeline.store.backends.claims import open_file
from pipeline.store.backends.files import keep_open, names_in, read_file, write
from tests.store.open_files import has_proc, open_files

DIGESTS = [f"{number:032x}" for number in range(50)]


def test_partial_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda file, data: original(file, data[:1000]))
    parts: list[Any] = [
        b"",
        os.urandom(100),
        memoryview(os.urandom(70_000)),
        b"",
        bytearray(b"end"),
    ]
    file = open_file(str(tmp_path / "a"), os.O_WRONLY | os.O_CREAT)
    write(file, parts)
    write(file, [])
    os.close(file)
    assert (tmp_path / "a").read_bytes() == b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1])
def test_a_file_is_read_as_a_whole_or_its_beginning(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(size))
    view, state = read_file(str(path), None)
    assert (bytes(view), state.bytes) == (data, size)
    assert bytes(read_file(str(path), 10)[0]) == data[:10]
    path.unlink()
    assert bytes(view) == data


def test_pipes_and_folders_are_read_as_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        assert bytes(read_file(str(path), None)[0]) == b""
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "none"), None)


@has_proc
def test_maps_keep_few_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(1 << 18))
    before = open_files(tmp_path)
    held = [read_file(str(path), None)[0] for _ in range(5)]
    opened_for_maps = 5 if sys.version_info < (3, 13) else 0
    assert open_files(tmp_path) == before + opened_for_maps
    monkeypatch.setattr(files, "_most_open", lambda: len(files._maps))
    held += [read_file(str(path), None)[0] for _ in range(5)]
    assert open_files(tmp_path) == before + opened_for_maps
    assert all(bytes(view) == data for view in held)
    held.clear()
    gc.collect()
    assert open_files(tmp_path) == before


@has_proc
def test_a_file_that_cannot_be_mapped_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(1 << 19))
    for error in (OSError(errno.ENOMEM, "no memory"), ValueError("it is shorter now")):

        def refused(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("mmap.mmap", refused)
        before = open_files(tmp_path)
        assert bytes(read_file(str(path), None)[0]) == data
        assert open_files(tmp_path) == before


def test_a_folder_that_is_missing_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert names_in(str(tmp_path)) == ["file"]
    assert names_in(str(tmp_path / "none")) == names_in(str(tmp_path / "file")) == []


@has_proc
@pytest.mark.parametrize("size", [0, 100, 1 << 19])
def test_a_file_that_is_kept_open_is_read_also_after_its_removal(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(size))
    before = open_files(tmp_path)
    file = keep_open(str(path))
    path.unlink()
    assert file is not None
    assert bytes(file.read()) == bytes(file.read()) == data
    del file
    gc.collect()
    assert open_files(tmp_path) == before


def test_few_files_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    assert keep_open(str(tmp_path / "none")) is None
    most = len(files._kept_open) + 2
    monkeypatch.setattr(files, "_most_open", lambda: most)
    kept = [keep_open(str(tmp_path / "a")) for _ in range(3)]
    assert [file is None for file in kept] == [False, False, True]


# Flushing
