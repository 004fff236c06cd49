"""The room that a store takes: its entries, what they are worth, and which of them go."""

from __future__ import annotations

import errno
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline.identity import short_repr
from pipeline.store import codec
from pipeline.store.aside import Aside
from pipeline.store.codec import CodecError
from pipeline.store.entry import DIGEST, Entry, header, packed, prefixed, unpacked
from pipeline.store.eviction import Candidate, leaving
from pipeline.store.folder import Folder
from pipeline.store.ledger import Ledger, topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.store.remote import Remote


class StoreError(ValueError):
    """A store that is asked for wrongly: a URL, a digest, a size."""


class Room(Ledger):
    """The entries of a store, within a bound."""

    def __init__(self, url: str, at: Folder | Remote, max_bytes: int | None) -> None:
        super().__init__(url, at)
        self.max_bytes = max_bytes
        self._costs: tuple[float, float] | None = None
        self._seconds: dict[str, float] = {}
        self._verified: dict[str, tuple[int, ...]] = {}
        self._is_counted = False

    def entry(self, digest: str) -> Entry | None:
        """What is known of a result. None if it is not stored, or torn."""
        found = self.backend.read(checked(digest), _BEGINNING)
        return self._header(digest, found[0]) if found is not None else None

    def entries(self) -> Iterator[Entry]:
        """What is known of all results, in the order of their digests; torn ones are left out."""
        for digest, view in self.backend.heads(self.backend.names(), _BEGINNING):
            if (entry := self._header(digest, view)) is not None:
                yield entry

    def _header(self, digest: str, view: memoryview) -> Entry | None:
        """The header of an entry of which this is the beginning. None if it is torn."""
        with suppress(CodecError):
            if prefixed(view) > len(view) >= _BEGINNING:  # it is long
                found = self.backend.read(digest, prefixed(view))
                view = found[0] if found is not None else view
            entry = header(view)
            return entry if entry.digest == digest else None
        return None

    def __len__(self) -> int:
        return sum(1 for _ in self.backend.names())

    def make_room(self, digest: str, taken: int) -> None:
        """Count what will be added, and have others go for it.

        Raises `OSError` where there is no room, since others cannot be removed.
        """
        if self.max_bytes is None and not self.backend.is_counted:
            return
        before = self.backend.stat(digest)
        # Never too few: killed here, the old entry is still there, and is counted.
        more = max(taken - (before.bytes if before is not None else 0), 0)
        total = self._total()
        if self.max_bytes is not None and total + more > self.max_bytes:
            total = self._evicted(self.max_bytes - more, digest)
            if total + more > self.max_bytes:
                raise OSError(errno.ENOSPC, f"{total:,} bytes are stored, and cannot be removed "
                              f"for max_bytes={self.max_bytes:,}")  # fmt: skip
        self.backend.set_total(total + more)

    def _total(self) -> int:
        """Bytes in all entries."""
        # What is counted may be wrong, since anybody may put files there: a store that keeps a
        # bound counts them itself, once.
        if self._is_counted or self.max_bytes is None:
            return self.backend.total()
        total, self._is_counted = self.backend.count(), True
        return total

    def _evicted(self, most: int, spared: str = "") -> int:
        """Remove entries until no more than so many bytes are left; gives what is left."""
        found = self.backend.stats()
        total = sum(each.bytes for each in found.values())
        if total <= most:
            return total
        # Read while the others wait: three seconds for 100,000 entries, once in a process. Later it
        # knows them, and a part of the room is made free at once, so that it is not full soon.
        self._learn(each for each in found if each not in self._seconds)
        candidates = [
            Candidate(each, stat.bytes, stat.used, self._seconds.get(each, 0.0))
            for each, stat in found.items()
            if each != spared
        ]
        for candidate in leaving(candidates, time.time()):
            if total <= most - most // _SPARE:
                break
            with suppress(OSError):  # it belongs to another user
                total -= self.backend.remove(candidate.digest)
                self._seconds.pop(candidate.digest, None)
        return total

    def _learn(self, digests: Iterable[str]) -> None:
        """Find out what it would take to compute some results again."""
        with suppress(OSError):  # what cannot be read is worth nothing
            for digest, view in self.backend.heads(digests, _BEGINNING):
                entry = self._header(digest, view)
                self._seconds[digest] = entry.behind if entry is not None else 0.0

    def remove(self, digest: str) -> bool:
        """Remove a result. False if there was none."""
        with self.backend.locked():
            is_there = self.backend.has(checked(digest))
            taken = self.backend.remove(digest) if is_there else 0
            if taken and (self.max_bytes is not None or self.backend.is_counted):
                self.backend.set_total(max(self.backend.total() - taken, 0))
        self._verified.pop(digest, None)
        return is_there

    def gc(self, max_bytes: int | None = None, unused: float | None = None) -> tuple[int, int]:
        """Remove what killed writers left, entries over a size, and those not used for long.

        With them go notes on what has no entries, and was not noted for a month.

        unused: seconds since an entry was used

        Gives the number of entries that went, and of bytes.
        """
        self.backend.sweep()
        before = self.backend.stats()
        for digest, stat in before.items():
            if unused is not None and time.time() - stat.used > unused:
                self.remove(digest)
        bound = max_bytes if max_bytes is not None else self.max_bytes
        with self.backend.locked():
            self.backend.set_total(self.backend.count() if bound is None else self._evicted(bound))
        self._forget()
        after = self.backend.stats()
        gone = before.keys() - after.keys()
        return len(gone), sum(before[each].bytes for each in gone)

    def _forget(self) -> None:
        """Remove notes on functions and code that have no entries, and were not noted for long."""
        with suppress(OSError):  # where something cannot be read, more stays
            before = time.time() - _FORGOTTEN
            old = {about for about, written in self.backend.topics().items()
                   if written < before and _ABOUT.fullmatch(about)}  # fmt: skip
            for entry in self.entries() if old else ():
                old -= {topic(entry.function), f"code-{entry.code}"}
            for about in old:
                self.backend.forget(about)

    def cost(self, size: int) -> float:
        """Seconds that storing a result and loading it once take here, as measured at first."""
        if self._costs is None:
            self._costs = self._measured()
        latency, per_byte = self._costs
        return latency + size * per_byte

    def _measured(self) -> tuple[float, float]:
        # The least of several: a machine that is busy with something else makes nothing dearer.
        tries = 3 if isinstance(self.backend, Folder) else 1
        took = [[self._tried(length) for _ in range(tries)] for length in (64, 1 << 20)]
        least, most = map(min, took)
        return least, max(most - least, 0.0) / 2**20 if least < float("inf") else 0.0

    def _tried(self, length: int) -> float:
        """Seconds that it takes to store and load so many bytes."""
        with self.tolerating("written") as reach:
            if reach:
                entry, payload = Entry(os.urandom(16).hex()), codec.encoded(bytes(length))
                start = time.perf_counter()
                found = self._trial(entry, packed(entry, payload))
                unpacked(found, entry.digest)
                return time.perf_counter() - start
        return float("inf")

    def _trial(self, entry: Entry, buffers: list[Any]) -> memoryview:
        """Write what is no entry, and read it."""
        with self.backend.aside(entry.digest, buffers) as written:
            if isinstance(written, Aside):
                return written.tried()
            written.publish()
        found = self.backend.read(entry.digest)
        self.backend.remove(entry.digest)
        return found[0] if found is not None else memoryview(b"")


_BEGINNING = 1 << 14
"""Bytes of an entry that hold its header, but for few."""

_ABOUT = re.compile(r"(function|code)-[0-9a-f]*")
_FORGOTTEN = 30 * 86400
"""Seconds after which notes on what has no entries are removed."""

_SPARE = 20
"""One part in so many of a full store is made free at once."""


def checked(digest: str) -> str:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise StoreError(f"{short_repr(digest)} is no digest: it has 32 of the digits 0-9 and a-f")
    return digest
