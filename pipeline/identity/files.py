"""Files as arguments, by what is in them."""

from __future__ import annotations

import os
import time
from hashlib import file_digest, sha256
from pathlib import Path


class File(os.PathLike[str]):
    """The path of a file, whose content is the file's content.

    Works where a path does: `open(File("f.csv"))`, `pandas.read_csv(File("f.csv"))`. A task that
    takes one counts by what is in the file, and by the last suffix of its name, not by where it
    lies. A folder counts by the names and contents of all files in it.

    Where there is no such file, it has no content: `digest` raises `TypeError`, `share` tells it.

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
        inner = sorted(each for each in path.rglob("*") if each.is_file())
        contents = (f"{each.relative_to(path).as_posix()} {_content(each)}" for each in inner)
        return ("File", "/", *contents)


_known: dict[str, tuple[tuple[int, ...], str]] = {}

_UNSURE = 2.0
"""Seconds in which a file may change again without another time of change."""


def _content(path: Path) -> str:
    """The hash of a file, computed again when the file has changed."""
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        signature = (
            state.st_ino,
            state.st_dev,
            state.st_size,
            state.st_mtime_ns,
            state.st_ctime_ns,
        )
        known = _known.get(str(path.absolute()))
        if known is not None and known[0] == signature:
            return known[1]
        found = file_digest(file, sha256).hexdigest()
    if time.time() - max(state.st_mtime, state.st_ctime) > _UNSURE:
        _known[str(path.absolute())] = signature, found
    return found
