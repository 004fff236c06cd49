"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which has its name once it is whole, and is gone if that fails.

    What had the name before stays until then; its mode is kept, unless one is given, and a link
    still leads to it. What is no file, a pipe say, is written to as it is.

    Raises `OSError` where it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with atomic_write(f"{folder}/a.txt") as file:
    ...         found = file.write(b"12345678"), os.listdir(folder) == ["a.txt"]
    >>> found
    (8, False)
    """
    target = os.path.realpath(path)
    is_there = os.path.exists(target)
    if is_there and not (os.path.isfile(target) and os.access(target, os.W_OK)):
        with open(path, "wb") as place:  # which tells what is wrong with a folder
            yield place
        return
    if mode is None and is_there:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    aside = os.path.join(os.path.dirname(target), f".pipeline-{os.urandom(8).hex()}.part")
    try:
        with _new(aside, 0o666 if mode is None else mode, os.fspath(path)) as file:
            if mode is not None:  # of which the umask has taken
                os.chmod(aside, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside)
        raise


def _new(aside: str, mode: int, path: str) -> BinaryIO:
    """Make a file. What is wrong is told of the name that it is to have."""
    try:
        return open(aside, "xb", opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
