"""Folders and files of a disk."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.store import disk
from pipeline.store.disk import Folders, content, listed, opened, write

if TYPE_CHECKING:
    from pathlib import Path

has_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted")


def files(folder: Path) -> int:
    """How many files of a folder this process has open; a cluster of other tests opens its own."""
    found = 0
    for each in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{each}").startswith(str(folder))
    return found


def test_folders_are_made_when_something_is_put_into_them(tmp_path: Path) -> None:
    claimed = []
    folders = Folders(f"{tmp_path}/a/b", True, lambda: claimed.append(1))
    assert not list(tmp_path.iterdir())
    for name in "xy":
        os.close(folders.open(f"{tmp_path}/a/b/c", name, os.O_WRONLY | os.O_CREAT))
    assert sorted(os.listdir(f"{tmp_path}/a/b/c")) == ["x", "y"]
    assert claimed == [1]
    folders.made(f"{tmp_path}/a/b/d")  # by now the root may be another
    assert claimed == [1, 1]


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_new_folder_is_known_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_durable: bool
) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_ino))
    Folders(f"{tmp_path}/a", is_durable, lambda: None).made(f"{tmp_path}/a/b/c")
    parents = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert flushed == ([each.stat().st_ino for each in parents] if is_durable else [])


def test_no_link_is_followed_to_write(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "size").symlink_to(tmp_path / "precious")
    folders = Folders(str(tmp_path), False, lambda: None)
    for flags in (os.O_RDWR | os.O_CREAT, os.O_WRONLY, os.O_RDWR):
        with pytest.raises(OSError, match="symbolic links"):
            folders.open(str(tmp_path), "size", flags)
    assert (tmp_path / "precious").read_text() == "mine"


def test_folders_that_were_removed_are_made_again(tmp_path: Path) -> None:
    folders = Folders(str(tmp_path / "root"), False, lambda: None)
    place = folders.made(f"{tmp_path}/root/in")
    (tmp_path / "file").touch()
    os.rmdir(place)
    os.rmdir(tmp_path / "root")
    os.close(folders.open(place, "x", os.O_WRONLY | os.O_CREAT))
    os.unlink(f"{place}/x")
    os.rmdir(place)
    folders.rename(str(tmp_path / "file"), place, "moved")
    assert os.listdir(place) == ["moved"]


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        Folders(f"{tmp_path}/a", True, lambda: None).open(f"{tmp_path}/a/b", "x", os.O_CREAT)


def test_a_folder_that_cannot_be_flushed_is_no_error_but_a_broken_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Folders(str(tmp_path), True, lambda: None)
    for number in (errno.EINVAL, errno.ENOTSUP, errno.EIO):

        def refused(_: int, number: int = number) -> None:
            raise OSError(number, "refused")

        monkeypatch.setattr(os, "fsync", refused)
        if number != errno.EIO:
            folders.flush(str(tmp_path))
    with pytest.raises(OSError, match="refused"):
        folders.flush(str(tmp_path))


def test_all_is_written_however_little_goes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda file, data: original(file, data[:1000]))
    parts: list[Any] = [
        b"",
        os.urandom(100),
        memoryview(os.urandom(70_000)),
        b"",
        bytearray(b"end"),
    ]
    file = opened(str(tmp_path / "a"), os.O_WRONLY | os.O_CREAT)
    write(file, parts)
    write(file, [])
    os.close(file)
    assert (tmp_path / "a").read_bytes() == b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1])
def test_content_is_all_of_a_file_or_its_beginning(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(size))
    view, state = content(str(path), None)
    assert (bytes(view), state.st_size) == (data, size)
    assert bytes(content(str(path), 10)[0]) == data[:10]
    path.unlink()
    assert bytes(view) == data


def test_what_is_no_file_has_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        assert bytes(content(str(path), None)[0]) == b""
    with pytest.raises(FileNotFoundError):
        content(str(tmp_path / "none"), None)


@has_proc
def test_maps_leave_most_files_that_may_be_open_to_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(1 << 18))
    before = files(tmp_path)
    held = [content(str(path), None)[0] for _ in range(5)]
    opened_for_maps = 5 if sys.version_info < (3, 13) else 0
    assert files(tmp_path) == before + opened_for_maps
    monkeypatch.setattr(disk, "_most_maps", lambda: len(disk._maps))
    held += [content(str(path), None)[0] for _ in range(5)]
    assert files(tmp_path) == before + opened_for_maps
    assert all(bytes(each) == data for each in held)
    held.clear()
    gc.collect()
    assert files(tmp_path) == before


@has_proc
def test_where_no_map_can_be_made_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(1 << 19))
    for error in (OSError(errno.ENOMEM, "no memory"), ValueError("it is shorter now")):

        def refused(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("mmap.mmap", refused)
        before = files(tmp_path)
        assert bytes(content(str(path), None)[0]) == data
        assert files(tmp_path) == before


def test_a_folder_that_is_missing_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert listed(str(tmp_path)) == ["file"]
    assert listed(str(tmp_path / "none")) == listed(str(tmp_path / "file")) == []
