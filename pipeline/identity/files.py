"""Files as arguments, by what is in them."""

from __future__ import annotations

import os
import time
from hashlib import file_digest, sha256
from pathlib import Path


class File(os.PathLike[str]):
    """The path of a file, whose content is the file's content.

    Works where a path does: `open(File("f.csv"))`, `pandas.read_csv(File("f.csv"))`. For a task
    that takes one, the bytes and the last suffix of the file count, not its place. A folder counts
    by the names and contents of all files in it.

    A missing file has no content: `digest` raises `TypeError`, and `share` reports it.

    >>> os.fspath(File("data/f.csv"))
    'data/f.csv'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"File({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __dask_tokenize__(self) -> tuple[str, ...]:
        path = Path(self.path)
        if not path.is_dir():
            return ("File", path.suffix, _content(path))
        inner = sorted(entry for entry in path.rglob("*") if entry.is_file())
        contents = (f"{entry.relative_to(path).as_posix()} {_content(entry)}" for entry in inner)
        return ("File", "/", *contents)


_hashed: dict[str, tuple[tuple[int, ...], str]] = {}
"""Signatures and hashes of files, by path."""

_RACY = 2.0
"""Seconds in which a file may change twice at one recorded time of change."""


def _content(path: Path) -> str:
    """The hash of a file, computed again when the file has changed."""
    name = str(path.absolute())
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        signature = (stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        before, content = _hashed.get(name, ((), ""))
        if before == signature:
            return content
        content = file_digest(file, sha256).hexdigest()
    if time.time() - max(stat.st_mtime, stat.st_ctime) > _RACY:
        _hashed[name] = signature, content
    return content
