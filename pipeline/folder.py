"""Entries in a folder of this machine, or of one that others share.

    entries/ab/abcdef…   one file per entry, under its digest
    aside/               entries that are being written, each locked by who writes it
    leases/              one file per task that is being computed now
    notes/               lines of text, by topic: what was computed, what runs came to
    size, lock           bytes in all entries, and the lock for what many processes count together

A file is written aside, flushed to the disk, and renamed: a reader sees a whole entry or none.
"""

from __future__ import annotations

import mmap
import os
import re
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.entry import size
from pipeline.locks import OWNER_ONLY, Lease, lock, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DIGEST = re.compile(r"[0-9a-f]{32}")
"""What an entry may be called; nothing else becomes a name of a file."""

_MAPPED = 1 << 18
"""Bytes from which on a file is mapped rather than read."""

_NOTES = 1 << 19
"""Bytes of notes on a topic, above which the older half is dropped."""


class Stat(NamedTuple):
    """A file of an entry: when it was last used, in seconds since 1970, and which file it is."""

    bytes: int
    used: float
    identity: tuple[int, ...]


class Folder:
    """Entries as files of a folder. Raises `OSError` as the file system does."""

    is_everywhere = True
    """Whether other processes find here what this one has stored."""

    def __init__(self, path: str | os.PathLike[str], is_durable: bool = True) -> None:
        self.path = os.path.abspath(path)
        self.is_durable = is_durable
        self._entries = os.path.join(self.path, "entries")
        self._made: set[str] = set()
        self._numbers = count()

    def __repr__(self) -> str:
        return self.path

    def _at(self, digest: str) -> str:
        return f"{self._entries}/{digest[:2]}/{digest}"

    def _folder(self, path: str) -> str:
        """A folder, made where it is missing, and known to the disk."""
        if path not in self._made:
            if not os.path.isdir(path):
                parent = os.path.dirname(path)
                if not os.path.isdir(parent):
                    self._folder(parent)
                with suppress(FileExistsError):
                    os.mkdir(path, 0o700)
                self._flush(parent)
            self._made.add(path)
        return path

    def _flush(self, path: str) -> None:
        if self.is_durable:
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)

    # Entries

    def has(self, digest: str) -> bool:
        """Whether there is such an entry."""
        return os.path.exists(self._at(digest))

    def known(self, digests: Iterable[str]) -> set[str]:
        """Those of some digests that have entries."""
        return {each for each in digests if os.path.exists(self._at(each))}

    def read(self, digest: str, most: int | None = None) -> tuple[memoryview, Stat] | None:
        """The bytes of an entry, or the first of them; a large one is mapped. None if missing.

        A map stays readable when the entry is removed.
        """
        try:
            file = os.open(self._at(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            state = os.fstat(file)
            length = state.st_size if most is None else min(most, state.st_size)
            view = _mapped(file, length) if length >= _MAPPED else None
            if view is None:
                view = memoryview(_all(file, length))
        finally:
            os.close(file)
        return view, _stat(state)

    def stat(self, digest: str) -> Stat | None:
        """What is known of the file of an entry. None if there is none."""
        try:
            return _stat(os.stat(self._at(digest)))
        except FileNotFoundError:
            return None

    def touch(self, digest: str) -> None:
        """Note that an entry was used just now."""
        with suppress(OSError):  # of others, or read-only
            os.utime(self._at(digest))

    def names(self) -> Iterator[str]:
        """The digests of all entries."""
        for shard in sorted(_listed(self._entries)):
            yield from filter(DIGEST.fullmatch, _listed(os.path.join(self._entries, shard)))

    @contextmanager
    def aside(self, digest: str, buffers: list[Any]) -> Iterator[Aside]:
        """Write an entry aside; it counts when it is published, and is gone if it is not."""
        folder = self._folder(os.path.join(self.path, "aside"))
        path = f"{folder}/{digest}.{os.getpid()}.{next(self._numbers)}.{os.urandom(4).hex()}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
        try:
            lock(file, is_patient=False)
            written = Aside(self, digest, path, size(buffers))
            for each in buffers:
                _write(file, each)
            if self.is_durable:
                os.fsync(file)
            yield written
        finally:
            os.close(file)
            with suppress(FileNotFoundError):
                os.unlink(path)

    def remove(self, digest: str) -> int:
        """Remove an entry, and give the bytes that it took."""
        with suppress(FileNotFoundError):
            taken = os.stat(self._at(digest)).st_size
            os.unlink(self._at(digest))
            return taken
        return 0

    def sweep(self) -> int:
        """Remove what writers have left that were killed, and give how many files it was."""
        found = 0
        for place in ("aside", "leases"):
            for name in _listed(os.path.join(self.path, place)):
                path = os.path.join(self.path, place, name)
                with suppress(OSError):
                    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                    try:
                        if lock(file, is_patient=False):  # nobody who lives holds it
                            os.unlink(path)
                            found += place == "aside"
                    finally:
                        os.close(file)
        return found

    # What many processes do together

    def lease(self, digest: str) -> Lease:
        """Wait for the right to compute a task."""
        return Lease(f"{self._folder(os.path.join(self.path, 'leases'))}/{digest}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who counts bytes."""
        with locked(os.path.join(self._folder(self.path), "lock")):
            yield

    def total(self) -> int:
        """Bytes in all entries, as they have been counted; to be asked with the lock held."""
        try:
            return int(Path(self.path, "size").read_text())
        except (OSError, ValueError):
            return self.count()

    def count(self) -> int:
        """Bytes in all entries, counted anew."""
        total = sum(found.bytes for each in self.names() if (found := self.stat(each)))
        self.set_total(total)
        return total

    def set_total(self, total: int) -> None:
        """Say how many bytes there are now, with the lock held."""
        file = os.open(os.path.join(self.path, "size"), os.O_WRONLY | os.O_CREAT, OWNER_ONLY)
        try:
            os.pwrite(file, f"{total:<20}".encode(), 0)
        finally:
            os.close(file)

    # Notes

    def note(self, topic: str, line: str) -> None:
        """Add a line to the notes on a topic."""
        path = os.path.join(self._folder(os.path.join(self.path, "notes")), topic)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(path, flags, OWNER_ONLY)
        try:
            _write(file, f"{line}\n".encode(errors="surrogatepass"))
            is_long = os.fstat(file).st_size > _NOTES
        finally:
            os.close(file)
        if is_long:
            with self.locked():
                lines = self.notes(topic)
                Path(path).write_text("".join(f"{each}\n" for each in lines[len(lines) // 2 :]))

    def notes(self, topic: str) -> list[str]:
        """The lines on a topic, the oldest first."""
        try:
            text = Path(self.path, "notes", topic).read_bytes()
        except FileNotFoundError:
            return []
        return text.decode(errors="replace").splitlines()


class Aside:
    """An entry that is written, and not yet there."""

    def __init__(self, folder: Folder, digest: str, path: str, taken: int) -> None:
        self.folder, self.digest, self.path, self.bytes = folder, digest, path, taken

    def publish(self) -> None:
        """Have readers find it."""
        target = self.folder._at(self.digest)
        shard = self.folder._folder(os.path.dirname(target))
        try:
            os.rename(self.path, target)
        except FileNotFoundError:  # another has removed the folder
            self.folder._made.clear()
            os.rename(self.path, f"{self.folder._folder(shard)}/{self.digest}")
        self.folder._flush(shard)


def _mapped(file: int, length: int) -> memoryview | None:
    """A map of an open file. None where there are too many: each of Python's keeps a file open."""
    try:
        return memoryview(mmap.mmap(file, length, access=mmap.ACCESS_READ))
    except OSError:
        return None


def _all(file: int, length: int) -> bytes:
    found = os.read(file, length)
    while len(found) < length and (more := os.read(file, length - len(found))):
        found += more
    return found


def _stat(state: os.stat_result) -> Stat:
    return Stat(state.st_size, state.st_mtime, (state.st_dev, state.st_ino, state.st_ctime_ns))


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _write(file: int, data: Any) -> None:
    view = memoryview(data).cast("B") if len(memoryview(data)) else memoryview(b"")
    while view:
        view = view[os.write(file, view) :]
