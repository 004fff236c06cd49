"""Notes in a folder: lines of text by topic, of which the newest are kept."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.store.disk import listed, opened, write
from pipeline.store.locks import holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.store.disk import Folders

    Shorter = Callable[[list[str]], list[str]]

_TOPIC = re.compile(r"[a-z]{1,20}(-[0-9a-f]{0,64})?")
"""What a topic may be called, since it becomes the name of a file."""

_LONG = 1 << 19
"""Bytes of notes on a topic, above which they are made fewer."""


class Notes:
    """Lines of text by topic, each topic a file. Raises `OSError` as the file system does."""

    def __init__(self, folders: Folders, path: str) -> None:
        self._folders, self.path = folders, path

    def add(self, topic: str, line: str, shorter: Shorter | None = None) -> None:
        """Add a line.

        shorter: what is kept of the lines when they have become many; else the newer half
        """
        name = _checked(topic)
        data = f"{line}\n".encode(errors="surrogatepass")
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        # Locked, so that no line is added while they are made fewer, and lost by that.
        with holding(self._folders.open(self.path, name, flags)) as file:
            write(file, [data])
            if os.fstat(file).st_size > _LONG:
                self._shorten(name, shorter or newer)

    def read(self, topic: str) -> list[str]:
        """The lines on a topic, the oldest first."""
        try:
            with open(f"{self.path}/{_checked(topic)}", "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        return [each.decode(errors="replace") for each in lines if each]

    def topics(self) -> dict[str, float]:
        """When each topic was last written, in seconds since 1970."""
        found = {}
        for name in filter(_TOPIC.fullmatch, listed(self.path)):
            with suppress(FileNotFoundError):
                found[name] = os.stat(f"{self.path}/{name}").st_mtime
        return found

    def remove(self, topic: str) -> None:
        """Remove the lines on a topic; one that is being added may go with them."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{_checked(topic)}")

    def _shorten(self, name: str, shorter: Shorter) -> None:
        kept = "".join(f"{each}\n" for each in shorter(self.read(name)))
        file = opened(f"{self.path}/{name}", os.O_WRONLY)
        try:
            # In place: who waits for the lock has this file open. Killed in between, it leaves
            # some lines twice.
            write(file, [kept.encode(errors="surrogatepass")])
            os.truncate(file, os.lseek(file, 0, os.SEEK_CUR))
        finally:
            os.close(file)


def newer(lines: list[str]) -> list[str]:
    """The last lines of many, of half of the bytes that are too many."""
    kept: list[str] = []
    left = _LONG // 2
    for each in reversed(lines):
        left -= len(each.encode(errors="surrogatepass")) + 1
        if left < 0:
            break
        kept.append(each)
    return kept[::-1]


def _checked(topic: str) -> str:
    if not _TOPIC.fullmatch(topic):
        raise ValueError(f"{topic!r} is no topic: it is a word, and after a hyphen a hash")
    return topic
