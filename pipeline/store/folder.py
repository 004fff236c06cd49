"""Entries in a folder of this machine, or of one that others share.

    entries/ab/abcdef…   one file per entry, under its digest
    aside/               entries that are being written, each locked by who writes it
    leases/              one file per task that is being computed now, locked by who computes it
    notes/               lines of text, by topic: what was computed, what runs came to
    size                 bytes in all entries; locked by who adds entries or removes them
    dask-memo            the version of this layout, by which the folder is known as a store

A file is written aside, flushed to the disk, and renamed: a reader sees a whole entry or none. What
else is in the folder stays as it is.

Not promised: a process that has mapped an entry ends with SIGBUS, as with any map, where somebody
else makes the file shorter in place. On a file system without locks (`flock`) the last writer wins,
tasks may be computed twice, and bytes may be miscounted until they are counted anew.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.store.aside import swept, writing
from pipeline.store.disk import Folders, content, listed, opened, write
from pipeline.store.entry import DIGEST
from pipeline.store.locks import Lease
from pipeline.store.notes import Notes
from pipeline.store.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from pipeline.store.aside import Aside
    from pipeline.store.notes import Shorter

_MARK, _LAYOUT = "dask-memo", "1"
_OWN = {"entries", "aside", "leases", "notes", "size"}

_TICK = 0.1
"""Seconds in which a file may change twice and show it once: no clock of files is coarser."""


class Stat(NamedTuple):
    """A file of an entry: when it was last used, in seconds since 1970, and which file it is.

    identity: another one after any change. Empty, where that cannot be told
    """

    bytes: int
    used: float
    identity: tuple[int, ...]


class Folder:
    """Entries as files of a folder. Raises `OSError` as the file system does."""

    is_shared = True
    """Whether other processes find here what this one has stored."""

    is_counted = True
    """Whether bytes are counted as entries come and go, so that each process may bound them."""

    def __init__(self, path: str | os.PathLike[str], is_durable: bool = True) -> None:
        self.path = os.path.abspath(path)
        self.is_durable = is_durable
        self.folders = Folders(self.path, is_durable, self._claim)
        self._entries = f"{self.path}/entries"
        self._notes = Notes(self.folders, f"{self.path}/notes")
        self._tally = Tally(self.folders, f"{self.path}/size", self.count)

    def __repr__(self) -> str:
        return self.path

    def _claim(self) -> None:
        """Mark the folder as a store, unless it is something else."""
        taken = _OWN.intersection(os.listdir(self.path))
        mark = f"{self.path}/{_MARK}"
        try:
            layout = bytes(content(mark, 20)[0]).decode(errors="replace").strip()
        except FileNotFoundError:
            if taken:  # for the mark is made before these
                raise FileExistsError(errno.EEXIST, f"{min(taken)} is in it, and it is no store: "
                    f"give another folder, or, if it is one, make a file {_MARK} in it",
                    self.path) from None  # fmt: skip
            file = opened(mark, os.O_WRONLY | os.O_CREAT)
            try:
                write(file, [f"{_LAYOUT}\n".encode()])
            finally:
                os.close(file)
            return
        if layout not in ("", _LAYOUT):
            raise OSError(errno.EINVAL, f"it is a store of version {layout[:20]!r}, and this "
                f"program knows {_LAYOUT}: update dask-memo, or give another folder",
                self.path)  # fmt: skip

    def _at(self, digest: str) -> str:
        return f"{self._entries}/{digest[:2]}/{digest}"

    def exists(self) -> bool:
        """Whether the folder is a store."""
        return any(os.path.exists(f"{self.path}/{name}") for name in (_MARK, "entries"))

    # Entries

    def has(self, digest: str) -> bool:
        """Whether there is such an entry."""
        return os.path.exists(self._at(digest))

    def known(self, digests: Iterable[str]) -> set[str]:
        """Those of some digests that have entries."""
        return {each for each in digests if each and os.path.exists(self._at(each))}

    def read(self, digest: str, most: int | None = None) -> tuple[memoryview, Stat] | None:
        """The bytes of an entry, or the first of them; a large one is mapped. None if missing.

        A map stays readable when the entry is removed.
        """
        try:
            view, state = content(self._at(digest), most)
        except FileNotFoundError:
            return None
        return view, _stat(state)

    def heads(self, digests: Iterable[str], most: int) -> Iterator[tuple[str, memoryview]]:
        """The first bytes of some entries; those that are missing are left out."""
        for each in digests:
            if (found := self.read(each, most)) is not None:
                yield each, found[0]

    def stat(self, digest: str) -> Stat | None:
        """What is known of the file of an entry. None if there is none."""
        try:
            return _stat(os.stat(self._at(digest)))
        except FileNotFoundError:
            return None

    def stats(self) -> dict[str, Stat]:
        """What is known of the files of all entries, by digest."""
        return {each: found for each in self.names() if (found := self.stat(each)) is not None}

    def touch(self, digest: str) -> None:
        """Note that an entry was used just now."""
        with suppress(OSError):  # of others, or read-only
            os.utime(self._at(digest))

    def names(self) -> Iterator[str]:
        """The digests of all entries, sorted."""
        for shard in sorted(listed(self._entries)):
            for name in sorted(listed(f"{self._entries}/{shard}")):
                if DIGEST.fullmatch(name) and name[:2] == shard:
                    yield name

    def aside(self, digest: str, buffers: list[Any]) -> AbstractContextManager[Aside]:
        """Write an entry aside; it counts when it is published, and is gone if it is not."""
        shard = f"{self._entries}/{digest[:2]}"
        return writing(self.folders, f"{self.path}/aside", shard, digest, buffers)

    def remove(self, digest: str) -> int:
        """Remove an entry, and give the bytes that it took."""
        with suppress(FileNotFoundError):
            found = self.stat(digest)
            os.unlink(self._at(digest))
            return found.bytes if found is not None else 0
        return 0

    def sweep(self) -> int:
        """Remove what writers have left that were killed, and give how many files it was."""
        swept(f"{self.path}/leases", DIGEST)
        return swept(f"{self.path}/aside")

    # What many processes do together

    def lease(
        self, digest: str, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Lease:
        """Wait for the right to compute a task.

        waiting: what stands around a wait for another
        """
        folder = f"{self.path}/leases"
        flags = os.O_RDWR | os.O_CREAT
        path = f"{folder}/{digest}"
        return Lease(path, lambda: self.folders.open(folder, digest, flags), waiting)

    def locked(self) -> AbstractContextManager[None]:
        """Be the only one who counts bytes."""
        return self._tally.locked()

    def total(self) -> int:
        """Bytes in all entries, as they have been counted; to be asked with the lock held."""
        return self._tally.get()

    def count(self) -> int:
        """Bytes in all entries, counted anew."""
        return sum(found.bytes for each in self.names() if (found := self.stat(each)))

    def set_total(self, total: int) -> None:
        """Say how many bytes there are now, with the lock held."""
        self._tally.set(total)

    # Notes

    def note(self, topic: str, line: str, shorter: Shorter | None = None) -> None:
        """Add a line to the notes on a topic; see `Notes.add`."""
        self._notes.add(topic, line, shorter)

    def notes(self, topic: str) -> list[str]:
        """The lines on a topic, the oldest first."""
        return self._notes.read(topic)

    def topics(self) -> dict[str, float]:
        """When each topic was last written, in seconds since 1970."""
        return self._notes.topics()

    def forget(self, topic: str) -> None:
        """Remove the notes on a topic."""
        self._notes.remove(topic)


def _stat(state: os.stat_result) -> Stat:
    identity = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    is_fresh = time.time() - state.st_ctime < _TICK
    return Stat(state.st_size, state.st_mtime, () if is_fresh else identity)
