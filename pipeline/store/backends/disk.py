"""A store's entries in a folder, which processes and machines may share.

    entries/ab/abcdef…   one file per entry, named by its digest
    temporary/           entries that are being written, each locked by its writer
    leases/              one file per task that is being computed, locked by its owner
    notes/               lines of text by topic: see `notes`
    size                 bytes of all entries; locked while entries are added or removed
    index.sqlite3        what is known of all entries, made again from them: see `index`
    dask-memo            version of this layout; marks the folder as a store

A file is written to `temporary`, flushed, and renamed; then its folder is flushed. Readers see a
complete entry or none. With `durable="end"`, files are renamed at once, and flushed together within
a second: a killed process loses nothing, and after a failure of power the entries of that second
may be corrupt. Other files in the folder are left alone.

Not promised: if somebody truncates a mapped entry in place, its reader ends with SIGBUS. On a file
system without locks (`flock`) the last writer wins, tasks may be computed twice, and the total may
be wrong until it is counted again.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from threading import local
from typing import Any, TypeVar

from pipeline.store.backends.claims import (
    OWNER,
    TEMPORARY,
    Rights,
    claim,
    group_rights,
    is_marked,
    make_folder,
    open_file,
)
from pipeline.store.backends.files import (
    OpenFile,
    keep_open,
    names_in,
    read_file,
    stat_of,
    write,
)
from pipeline.store.backends.flushing import CAN_FLUSH_TOGETHER, Flusher
from pipeline.store.backends.index import (
    LONGEST_JOURNAL,
    Change,
    Index,
    Stat,
    Usage,
    append_change,
    change_of,
    read_total,
    shard_state,
    write_total,
)
from pipeline.store.backends.locks import Lease, Waiting, holding, lock, release
from pipeline.store.backends.notes import PendingNotes, append_notes, checked_topic, write_pending
from pipeline.store.entry import DIGEST, Entry
from pipeline.store.entry import size as length_of

T = TypeVar("T")

_OPEN = os.O_RDWR | os.O_CREAT

_ATTEMPTS = 10  # as another process may put its own new folder in the place of an empty one
_ABANDONED = 3600  # seconds after which a temporary file counts as abandoned, without locks
_UNFLUSHED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM}
"""Errors of file systems that cannot flush a folder, or cannot open it."""

_USER = os.geteuid() if hasattr(os, "geteuid") else 0
_numbers = count()


class Disk:
    """Entries as files of a folder: a `Backend`. Raises `OSError` as the file system does.

    durable: True to flush each entry when it is stored, "end" to flush them together each second,
        False to let the system decide
    is_for_group: whether a new store is its group's; else it is its owner's alone
    """

    is_shared = is_local = True
    is_distant = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        durable: bool | str = True,
        is_for_group: bool = False,
    ) -> None:
        self.address = os.path.abspath(path)
        self._is_durable = durable is True or (durable == "end" and not CAN_FLUSH_TOGETHER)
        self._pending = PendingNotes(self._note_all)
        self._flusher = Flusher(self.address, self._pending.write_all) if durable == "end" else None
        self._is_for_group = is_for_group
        self._rights: Rights | None = None  # when it is claimed
        self._lock = local()
        self._index = Index(self.address, lambda name: self._open(self.address, name, _OPEN))

    def __repr__(self) -> str:
        return self.address

    @property
    def is_private(self) -> bool:
        try:
            state = os.stat(self._folder("entries"))
        except OSError:
            return False
        return state.st_uid == _USER and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    # Entries

    def known(self, digests: Iterable[str]) -> set[str]:
        return {digest for digest in digests if digest and os.path.exists(self._path(digest))}

    def digests(self) -> Iterator[str]:
        entries = self._folder("entries")
        for shard in sorted(names_in(entries)):
            for name in sorted(names_in(f"{entries}/{shard}")):
                if DIGEST.fullmatch(name) and name[:2] == shard:
                    yield name

    def read(self, digest: str) -> tuple[memoryview, Stat] | None:
        with suppress(FileNotFoundError):
            return read_file(self._path(digest))
        return None

    def keep_open(self, digest: str) -> OpenFile | None:
        return keep_open(self._path(digest))

    def heads(self, digests: Iterable[str], length: int) -> Iterator[tuple[str, memoryview]]:
        for digest in digests:
            with suppress(FileNotFoundError):
                yield digest, read_file(self._path(digest), length)[0]

    def stat(self, digest: str) -> Stat | None:
        with suppress(FileNotFoundError):
            return stat_of(os.stat(self._path(digest)))
        return None

    def stats(self) -> dict[str, Stat]:
        return {digest: entry for digest in self.digests() if (entry := self.stat(digest))}

    def touch(self, digest: str) -> None:
        with suppress(OSError):  # another user's file, or read-only
            os.utime(self._path(digest))

    def remove(self, digest: str) -> int | None:
        path = self._path(digest)
        folder, entry = os.path.dirname(path), self.stat(digest)
        before = shard_state(folder)
        with suppress(FileNotFoundError):
            os.unlink(path)
            self._note_change(Change(digest, -1, 0.0, 0.0, "", before, shard_state(folder)))
            return entry.bytes if entry else 0
        return None

    def distant(self, digests: Iterable[str]) -> list[str]:  # noqa: ARG002 - as of any backend
        return []

    def fetch(self, digests: Iterable[str], is_whole: bool = False) -> None:
        """Nothing: a file is read when it is needed."""

    def release(self) -> None:
        """Nothing."""

    def evict(self, digest: str) -> int | None:
        return self.remove(digest)

    def write(
        self,
        digest: str,
        buffers: list[Any],
        prepare: Callable[[], None] = lambda: None,
        entry: Entry | None = None,
    ) -> None:
        folder = f"{self.address}/entries/{digest[:2]}"
        target = f"{folder}/{digest}"
        with self._temporary_file(digest, buffers) as path, self.locked():
            prepare()
            before = shard_state(folder)
            self._in(folder, lambda: os.replace(path, target))
            if entry:  # else the folder is listed again
                change = change_of(entry, length_of(buffers), before, shard_state(folder))
                self._note_change(change)
        self._flush(folder)
        if self._flusher:
            self._flusher.schedule()

    def flush(self) -> None:
        if self._flusher:
            self._flusher.flush()

    def write_all(self, entries: Mapping[str, memoryview]) -> None:
        for digest, view in entries.items():
            self.write(digest, [view])

    def trial(self, digest: str, buffers: list[Any]) -> memoryview:
        with self._temporary_file(digest, buffers) as path:
            self._flush(os.path.dirname(path))
            view = read_file(path)[0]
            os.unlink(path)
            return view

    @contextmanager
    def _temporary_file(self, digest: str, buffers: list[Any]) -> Iterator[str]:
        """The path of a new file with these bytes, locked; removed after a failure."""
        folder, is_locked = self._folder("temporary"), False
        while not is_locked:
            name = f"{digest}.{os.getpid()}.{next(_numbers)}.{os.urandom(4).hex()}"
            file = self._open(folder, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                lock(file)
                if is_locked := os.fstat(file).st_nlink > 0:  # else it was swept before
                    write(file, buffers)
                    if self._is_durable:
                        os.fsync(file)
                    yield f"{folder}/{name}"
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{name}")
                raise
            finally:
                release(file)

    def sweep(self) -> int:
        if not is_marked(self.address):  # another program's files may have our names
            return 0
        _sweep(self._folder("leases"), DIGEST)
        return _sweep(self._folder("temporary"), TEMPORARY)

    # What processes do together

    def lease(self, digest: str, waiting: Waiting = nullcontext, task: str = "") -> Lease:
        folder = self._folder("leases")
        path = f"{folder}/{digest}"
        return Lease(path, lambda: self._open(folder, digest, _OPEN), waiting, task or digest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        if self._locked_file is not None:  # by this thread
            yield
            return
        file = self._open(self.address, "size", _OPEN)
        try:
            self._lock.is_excluding, self._lock.file = bool(lock(file)), file
            yield
        finally:
            self._lock.file = None
            release(file)

    @property
    def _locked_file(self) -> int | None:
        return getattr(self._lock, "file", None)

    def total(self) -> int:
        total = read_total(self._lock.file)
        return self.count() if total is None else total

    def set_total(self, total: int) -> None:
        write_total(self._lock.file, total)

    def count(self) -> int:
        return sum(entry.bytes for entry in self.stats().values())

    # The index. Without locks, or where SQLite fails, there is none.

    def usage(self) -> Usage:
        while self._with_index(self._index.heal) is False:  # others may have the lock in between
            pass
        if (usage := self._with_index(self._index.usage)) is not None:
            return usage
        stats = self.stats()
        return Usage(len(stats), sum(entry.bytes for entry in stats.values()))

    def least_useful(self, most: int) -> tuple[int, list[str]] | None:
        return self._with_index(lambda file: self._index.least_useful(file, most))

    def newest(self, most: int | None, function: str | None) -> tuple[list[str], int] | None:
        return self._with_index(lambda file: self._index.newest(file, most, function))

    def _with_index(self, action: Callable[[int], T]) -> T | None:
        """Do something with the index. None if there is none."""
        if os.path.isdir(self._folder("entries")):
            with suppress(OSError, ImportError), self.locked():
                if self._lock.is_excluding:
                    return action(self._lock.file)
        return None

    def _note_change(self, change: Change) -> None:
        """Note an entry that has come or gone, for the index."""
        if self._locked_file is not None and self._lock.is_excluding:
            with suppress(OSError):  # its folder is listed again
                if append_change(self._lock.file, change) > LONGEST_JOURNAL:
                    self._with_index(self._index.absorb)

    # Notes

    def note(self, topic: str, *lines: str) -> None:
        with holding(self._open(self._folder("notes"), checked_topic(topic), _OPEN)) as file:
            append_notes(file, topic, [line.encode(errors="surrogatepass") for line in lines])

    def note_later(self, topic: str, line: str) -> None:
        if self._flusher is None:
            self.note(topic, line)
        else:
            self._pending.add(checked_topic(topic), line)
            self._flusher.schedule()

    def _note_all(self, topic: str, lines: list[str]) -> None:
        """Write notes that were added before, unless the store was removed since then."""
        if is_marked(self.address):
            self.note(topic, *lines)

    def noted(self, topics: Iterable[str]) -> dict[str, list[str]]:
        return {topic: self.notes(topic) for topic in topics}

    def notes(self, topic: str) -> list[str]:
        write_pending()
        with suppress(FileNotFoundError), open(self._note(topic), "rb") as file:
            return [line.decode(errors="replace") for line in file.read().split(b"\n") if line]
        return []

    def topics(self) -> dict[str, float]:
        times = {}
        write_pending()
        for name in names_in(self._folder("notes")):
            with suppress(FileNotFoundError, ValueError):
                times[name] = os.stat(self._note(name)).st_mtime
        return times

    def forget(self, topic: str) -> None:
        write_pending()
        with suppress(FileNotFoundError):
            os.unlink(self._note(topic))

    # Folders

    def _folder(self, name: str) -> str:
        return f"{self.address}/{name}"

    def _note(self, topic: str) -> str:
        return f"{self.address}/notes/{checked_topic(topic)}"

    def _path(self, digest: str) -> str:
        return f"{self.address}/entries/{digest[:2]}/{digest}"

    def _open(self, folder: str, name: str, flags: int) -> int:
        """Open a file of a folder, which is made where it is missing."""
        return self._in(folder, lambda: open_file(f"{folder}/{name}", flags, self._rights or OWNER))

    def _in(self, folder: str, action: Callable[[], T]) -> T:
        """Do something in a folder, which is made where it is missing."""
        is_made = self._rights is not None
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # nobody has made it, or it was removed or replaced
                if not is_made:
                    self._make_folder(self.address, None)
                    self._rights = claim(self.address, self._is_for_group)
                    self._make_folder(folder, self._rights)
                return action()
            is_made = False
        return action()

    def _make_folder(self, path: str, rights: Rights | None) -> None:
        """Make a folder, and those around it. rights: None for those of the folder around it"""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        if parent != path:
            self._make_folder(parent, rights)
        if rights is None:
            rights = group_rights(parent) if self._is_for_group else OWNER
        make_folder(path, rights)
        self._flush(parent)

    def _flush(self, path: str) -> None:
        """Write the names in a folder to the disk."""
        if not self._is_durable:
            return
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            if error.errno not in _UNFLUSHED:
                raise


def _sweep(folder: str, pattern: re.Pattern[str]) -> int:
    """Remove files that no living process has locked; returns their number.

    pattern: of our names, as others may keep files in the folder
    """
    swept = 0
    for name in filter(pattern.fullmatch, names_in(folder)):
        with suppress(OSError):  # it is gone, or another user's
            file = open_file(f"{folder}/{name}", os.O_RDWR)
            try:
                is_free = lock(file, is_patient=False)
                age = time.time() - os.fstat(file).st_mtime
                if is_free or (is_free is None and age > _ABANDONED):  # None: there are no locks
                    os.unlink(f"{folder}/{name}")
                    swept += 1
            finally:
                release(file)
    return swept
