"""A file is there as a whole, or as it was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

import pytest

from pipeline.draw import atomic_write

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, content: bytes = b"new") -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(path, b"old and long")
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.txt"]


def _fail_after(file: BinaryIO, error: type[BaseException]) -> None:
    file.write(b"half")
    file.flush()
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
@pytest.mark.parametrize("old", [b"old", None])
def test_what_ends_in_the_middle_leaves_things_as_they_were(
    tmp_path: Path, error: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        _fail_after(file, error)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == (
        {} if old is None else {"a.txt": old}
    )


def test_a_mode_is_kept_or_given_or_the_systems(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        write(path)
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)
    path.chmod(0o646)
    write(path)
    assert path.stat().st_mode & 0o777 == 0o646
    with atomic_write(path, 0o600):
        pass
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_still_leads_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("there/a.txt")
    for content in (b"one", b"other"):
        write(link, content)
        assert link.is_symlink()
        assert (tmp_path / "there/a.txt").read_bytes() == content


def test_what_is_no_file_is_written_to_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(path)
        assert os.read(reader, 9) == b"new"
    finally:
        os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize(("name", "error"), [
    ("none/a.txt", FileNotFoundError), (".", IsADirectoryError), ("file/a.txt", NotADirectoryError),
])  # fmt: skip
def test_errors_name_the_file_that_was_asked_for(
    tmp_path: Path, name: str, error: type[OSError]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(error) as raised:
        write(tmp_path / name)
    assert raised.value.filename in (tmp_path / name, str(tmp_path / name))
