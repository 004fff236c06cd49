"""The room that a store takes: its entries, what they are worth, and which of them go."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline import codec
from pipeline.codec import CodecError
from pipeline.entry import Entry, header, packed, unpacked
from pipeline.evict import Candidate, leaving
from pipeline.folder import DIGEST, Folder
from pipeline.ledger import Ledger
from pipeline.units import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.remote import Remote


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

    def entry(self, digest: str) -> Entry | None:
        """What is known of a result. None if it is not stored, or torn."""
        found = self.at.read(checked(digest), 1 << 14)
        try:
            entry = header(found[0]) if found is not None else None
            return entry if entry is None or entry.digest == digest else None
        except CodecError:
            whole = self.at.read(digest) if found is not None else None
            with suppress(CodecError):  # a header may be long
                return header(whole[0]) if whole is not None else None
        return None

    def entries(self) -> Iterator[Entry]:
        """What is known of all results, in the order of their digests; torn ones are left out."""
        for digest in self.at.names():
            if (entry := self.entry(digest)) is not None:
                yield entry

    def __len__(self) -> int:
        return sum(1 for _ in self.at.names())

    def make_room(self, digest: str, taken: int) -> None:
        """Count what will be added, and have others go for it."""
        before = self.at.stat(digest)
        more = taken - (before.bytes if before is not None else 0)
        total = self.at.total()
        if self.max_bytes is not None and total + more > self.max_bytes:
            total = self._evicted(self.max_bytes - more, digest)
        self.at.set_total(total + more)

    def _evicted(self, most: int, spared: str = "") -> int:
        """Remove entries until no more than so many bytes are left; gives what is left."""
        total = self.at.count()
        found = []
        for each in self.at.names() if total > most else ():
            stat = self.at.stat(each)
            if stat is not None and each != spared:
                if each not in self._seconds:
                    entry = self.entry(each)
                    self._seconds[each] = entry.behind if entry is not None else 0.0
                found.append(Candidate(each, stat.bytes, stat.used, self._seconds[each]))
        wanted = total - most + most // _SPARE if total > most else 0
        for candidate in leaving(found, wanted, time.time()):
            total -= self.at.remove(candidate.digest)
        return total

    def remove(self, digest: str) -> bool:
        """Remove a result. False if there was none."""
        with self.at.locked():
            taken = self.at.remove(checked(digest))
            if taken:
                self.at.set_total(max(self.at.total() - taken, 0))
        self._verified.pop(digest, None)
        return taken > 0

    def gc(self, max_bytes: int | None = None, unused: float | None = None) -> tuple[int, int]:
        """Remove what killed writers left, entries over a size, and those not used for long.

        unused: seconds since an entry was used

        Gives the number of entries that went, and of bytes.
        """
        self.at.sweep()
        before, entries = self.at.count(), len(self)
        for each in self.at.names() if unused is not None else ():
            stat = self.at.stat(each)
            if stat is not None and unused is not None and time.time() - stat.used > unused:
                self.remove(each)
        bound = max_bytes if max_bytes is not None else self.max_bytes
        with self.at.locked():
            after = self.at.count() if bound is None else self._evicted(bound)
            self.at.set_total(after)
        return entries - len(self), before - after

    def cost(self, size: int) -> float:
        """Seconds that storing a result and loading it once take here, as measured at first."""
        if self._costs is None:
            self._costs = self._measured()
        latency, per_byte = self._costs
        return latency + size * per_byte

    def _measured(self) -> tuple[float, float]:
        took = []
        with self.forgiving("written") as reach:
            for length in (64, 1 << 20) if reach else ():
                entry, payload = Entry(os.urandom(16).hex()), codec.encoded(bytes(length))
                start = time.perf_counter()
                with self.at.aside(entry.digest, packed(entry, payload)) as written:
                    written.publish()
                found = self.at.read(entry.digest)
                unpacked(found[0] if found else memoryview(b""), entry.digest)
                took.append(time.perf_counter() - start)
                self.at.remove(entry.digest)
        if len(took) < 2:
            return float("inf"), 0.0
        return took[0], max(took[1] - took[0], 0.0) / 2**20


_SPARE = 20
"""One part in so many of a full store is made free at once."""


def checked(digest: str) -> str:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise StoreError(f"{brief(digest)} is no digest: it has 32 of the digits 0-9 and a-f")
    return digest
