"""The space of a store: how many bytes its entries may have, and which go for others.

The order is `eviction_order` of `backends.index`, which keeps it for a folder.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from dask.utils import parse_bytes

from pipeline.identity import short_repr
from pipeline.store.backends import Backend, eviction_order
from pipeline.store.entry import Entry
from pipeline.store.errors import StoreError

_SPARE = 20  # an eviction frees one part in so many more, so that the next one is not due soon
_MOST_EVICTED = 500  # entries for which others wait, if there is space before
_CANDIDATES = 4, 512, -1  # entries of a class that are considered together; -1: all


class Space:
    """Counts the bytes of a store's entries, and evicts entries for others.

    given: the bound as it was given
    max_bytes, share: the same as a number, or as a share of the space that a folder could have
    seconds: to compute entries again, by digest
    headers: reads entries; warn: says, of the bytes and the share, that entries are removed

    Raises `StoreError` for another bound.
    """

    def __init__(
        self,
        given: int | str | None,
        backend: Backend,
        headers: Callable[[Iterable[str]], Iterator[Entry]],
        warn: Callable[[int, float], None],
    ) -> None:
        self.given = given
        self.max_bytes, self.share = _most(given)
        self.backend = backend
        self.seconds: dict[str, float] = {}
        self._headers, self._warn = headers, warn
        self._is_counting = self.max_bytes is not None or backend.is_local
        self._is_counted = self.max_bytes is None  # else once: anybody may have put files there

    def prepare(self) -> None:
        """Count before the lock is held: it may take long where there is no index yet."""
        if not self._is_counted and self.backend.is_local:
            self.backend.usage()

    def free(self, length: int) -> None:
        """Count bytes that were removed; locked."""
        if length and self._is_counting:
            self.backend.set_total(max(self.backend.total() - length, 0))

    def make(self, digest: str, length: int) -> None:
        """Count an entry that is about to be stored, and evict others for it; locked.

        Raises `OSError` if not enough of them can be removed.
        """
        if not self._is_counting:
            return
        before = self.backend.stat(digest)
        # Never too few: after a kill the previous entry is still there.
        growth = max(length - (before.bytes if before else 0), 0)
        total = self._count()
        bound = self.bound(total)
        if bound is not None and total + growth > bound:
            if self.share:
                self._warn(total, self.share)
            total = self.evict(max(bound - growth, 0), digest)
            if total + growth > bound and not self.share:  # else the disk decides
                raise OSError(
                    errno.ENOSPC,
                    f"{total:,} stored bytes cannot be removed for max_bytes={bound:,}",
                )
        self.backend.set_total(total + growth)

    def trim(self) -> int:
        """Evict entries above `max_bytes`. Returns the bytes that are free now."""
        self.prepare()
        with self.backend.locked():
            total, bound = self._count(), self.max_bytes
            if bound is None or total <= bound:
                return 0
            left = self.evict(bound)
            self.backend.set_total(left)
        return total - left

    def _count(self) -> int:
        """The bytes of all entries; locked."""
        total = self.backend.total() if self._is_counted else self.backend.usage().bytes
        self._is_counted = True
        return total

    def bound(self, total: int) -> int | None:
        """The most bytes that all entries may have, if they have some now."""
        if not self.share or not self.backend.is_local:
            return self.max_bytes
        with suppress(OSError):
            return int(self.share * (shutil.disk_usage(self.backend.address).free + total))
        return None

    def evict(self, bound: int, spared: str = "") -> int:
        """Remove entries until the others fit into a bound; returns the bytes that are left."""
        goal, removed = bound, 0
        for most in _CANDIDATES:
            is_less = True
            while is_less:
                total, order = self.backend.least_useful(most) or self._least_useful(goal)
                if total <= goal:
                    return total
                goal, before = bound - bound // _SPARE, total
                for digest in order:
                    if total <= goal or (total <= bound and removed >= _MOST_EVICTED):
                        return total
                    removed += 1
                    if digest != spared:
                        with suppress(OSError):  # another user's
                            total -= self.backend.evict(digest) or 0
                            self.seconds.pop(digest, None)
                is_less = total < before
        return total

    def _least_useful(self, bound: int) -> tuple[int, list[str]]:
        """The bytes of all entries, and their order of eviction if they exceed a bound."""
        stats = self.backend.stats()
        total = sum(stat.bytes for stat in stats.values())
        if total <= bound:
            return total, []
        # Others wait meanwhile: three seconds for 100,000 entries, but once per process.
        with suppress(OSError):  # an entry that cannot be read is worth nothing
            for entry in self._headers(stats.keys() - self.seconds.keys()):
                self.seconds[entry.digest] = entry.behind
        return total, eviction_order(stats, self.seconds, time.time())


def _most(max_bytes: Any) -> tuple[int | None, float]:
    """A bound as a number of bytes, or as a share of the space."""
    if max_bytes is None:
        return None, 0.0
    number, share = 0, 0.0
    with suppress(ValueError, AttributeError, TypeError):
        if isinstance(max_bytes, str) and max_bytes.endswith("%"):
            share = float(max_bytes[:-1]) / 100
        elif type(max_bytes) in (int, str):
            number = parse_bytes(max_bytes)
    if number < 1 and not 0 < share <= 1:
        raise StoreError(
            f"max_bytes={short_repr(max_bytes)}: give a number of bytes, 1 or more, "
            'a text such as "20GB" or "50%", or None'
        )
    return (None, share) if share else (number, 0.0)
