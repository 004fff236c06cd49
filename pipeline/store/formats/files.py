"""Files as results: their content as bytes, and files that are put back where they were.

A file has a buffer, its content; its parts are its path as it was written, the hash of the content,
and whether it may be executed. A link into the store would be quicker than a copy: but whoever then
edits the file in place edits what is stored.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from threading import Lock
from typing import Any, NamedTuple

from xxhash import xxh3_128

from pipeline.identity import File, Signature, file_content, signature_of
from pipeline.store.entry import CodecError, FileBytes, UnreadableError, UnstorableError

_SMALL = 1 << 18  # bytes up to which a file is read once, not each time it is hashed or written
_WRITTEN = 1 << 24  # bytes that are written at a time
_EXECUTABLE = 0o100

_putting_back = Lock()
"""Held from the look at a file to its writing: who puts it back second leaves it as it is."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_putting_back.acquire,
        after_in_parent=_putting_back.release,
        after_in_child=_putting_back.release,
    )


class Copy(NamedTuple):
    """A file as it is in an entry.

    path: as the task wrote it
    content: the hash of its bytes
    """

    path: str
    content: str
    is_executable: bool
    data: memoryview

    def put_back(self, folders: Iterable[str] | None, is_flushed: bool) -> None:
        """Write the file, unless it is there already. Raises `CodecError`.

        folders: where it may be written; None for anywhere
        is_flushed: whether it is on the disk when this returns
        """
        try:
            with _putting_back:
                self._put_back(folders, is_flushed)
        except OSError as error:
            raise UnreadableError(
                f"{self.path} cannot be put back: {error.strerror or error}"
            ) from error

    def _put_back(self, folders: Iterable[str] | None, is_flushed: bool) -> None:
        path = os.path.realpath(self.path)  # what a link points to is written, as by the task
        found = signature_of(path)
        if found is None or not self._is_content(path, found):
            self._check_place(path, folders)
            self._write(path, is_flushed)
        elif bool(found.mode & _EXECUTABLE) != self.is_executable:
            self._check_place(path, folders)
            executable = found.mode | (found.mode & 0o444) >> 2
            mode = executable if self.is_executable else found.mode & ~0o111
            os.chmod(path, stat.S_IMODE(mode))

    def _is_content(self, path: str, found: Signature) -> bool:
        is_same_size = found.is_file and found.size == len(self.data)
        return is_same_size and file_content(path, found) == self.content

    def _check_place(self, path: str, folders: Iterable[str] | None) -> None:
        """Raise an error where this file may not be written."""
        if folders is not None and not _is_below(path, folders):
            folder = os.path.dirname(self.path) or "."
            raise UnreadableError(
                f"{self.path} is not put back, for others may have stored it; allow its folder by "
                f"Store(files=[{folder!r}])"
            )
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def _write(self, path: str, is_flushed: bool) -> None:
        """Write a file beside its path and rename it: nobody sees a part of it."""
        if xxh3_128(self.data).hexdigest() != self.content:
            raise CodecError(f"the content of {self.path} is not that of its hash")
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f".{os.urandom(8).hex()}.part")
        mode = 0o777 if self.is_executable else 0o666
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            try:
                rest = self.data
                while rest:
                    rest = rest[os.write(file, rest[:_WRITTEN]) :]
                if is_flushed:
                    os.fsync(file)
            finally:
                os.close(file)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


def _is_below(path: str, folders: Iterable[str]) -> bool:
    places = (os.path.realpath(folder).rstrip(os.sep) for folder in folders)
    return any(path.startswith(f"{place}{os.sep}") for place in places)


collected: ContextVar[list[Copy] | None] = ContextVar("collected", default=None)
"""Where the files of the value that is being decoded are added."""


encountered: ContextVar[list[File] | None] = ContextVar("encountered", default=None)
"""Where the files of the value that is being encoded are added."""


def file_parts(file: File) -> tuple[Any, ...]:
    """Content, path, hash, and whether it may be executed. Raises `UnstorableError`."""
    if (found := encountered.get()) is not None:
        found.append(file)
    path = os.path.abspath(file.path)
    before = signature_of(path)
    if before is None:
        raise UnstorableError(repr(file), "the file does not exist; write it, then return it")
    if not before.is_file:
        what = "a folder; return the files in it" if before.is_folder else "no regular file"
        raise UnstorableError(repr(file), f"it is {what}")
    try:
        content = file_content(path, before)
        data: Any = FileBytes(path, before.size, content)
        if before.size <= _SMALL:
            data = b"".join(data)
    except OSError as error:
        raise UnstorableError(repr(file), f"it cannot be read: {error.strerror}") from error
    if signature_of(path) != before:
        raise UnstorableError(repr(file), "it changed while it was stored")
    return [data], file.path, content, bool(before.mode & _EXECUTABLE)


def build_file(data: memoryview, path: str, content: str, is_executable: bool) -> File:
    """The path of a file. Its content is added to `collected`."""
    if not isinstance(path, str) or not isinstance(content, str) or not path or "\0" in path:
        raise CodecError("a file without a path or without a hash")
    if (copies := collected.get()) is not None:
        copies.append(Copy(path, content, bool(is_executable), data))
    return File(path)
