"""What is drawn, as bytes and as files that are complete or absent."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

FORMATS = ("svg", "png", "pdf", "dot")


class Drawing:
    """What can be rendered, saved, and shown in a notebook. The same drawing gives the same bytes.

    formats: that it can have, without a dot before them
    """

    formats: tuple[str, ...]

    def render(self, format: str) -> bytes:  # noqa: A002 - the field's word
        """The drawing in one of its formats. Raises `ValueError` for any other."""
        if format not in self.formats:
            endings = ", .".join(self.formats)
            raise ValueError(f"cannot draw as {format!r}: a file name ends in .{endings}")
        return self._drawn(format)

    def _drawn(self, format: str) -> bytes:  # noqa: A002 - the field's word
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write it in the format of the file's suffix, and return the path.

        Raises `ValueError` for another suffix, `OSError` where the file cannot be written.
        """
        path = Path(path)
        drawn = self.render(path.suffix.removeprefix(".").lower())
        with atomic_write(path) as file:
            file.write(drawn)
        return path

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; rename it when it is complete, delete it on an error.

    An older file of the name stays until then. Its mode is kept, unless one is given, and a link
    still points to it. A pipe, or any other path that is no regular file, is written directly.

    Raises `OSError` where it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with atomic_write(f"{folder}/a.txt") as file:
    ...         found = file.write(b"12345678"), os.listdir(folder) == ["a.txt"]
    >>> found
    (8, False)
    """
    target = os.path.realpath(path)
    exists = os.path.exists(target)
    if exists and not (os.path.isfile(target) and os.access(target, os.W_OK)):
        with open(path, "wb") as file:  # raises the error of a folder
            yield file
        return
    if mode is None and exists:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    temporary = os.path.join(os.path.dirname(target), f".pipeline-{os.urandom(8).hex()}.part")
    try:
        with _create(temporary, 0o666 if mode is None else mode, os.fspath(path)) as file:
            if mode is not None:  # the umask has cleared bits of it
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _create(temporary: str, mode: int, path: str) -> BinaryIO:
    """Create a file; an error names the path that the file is to have."""
    try:
        return open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
