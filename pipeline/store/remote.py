"""Entries on a remote store, or any other that fsspec knows: `s3://bucket/cache`, `memory://`.

    entries/ab/abcdef…    one object per entry, under its digest
    aside/                entries that are being written, where a file appears before it is whole
    notes/<topic>/<time>  one line each; many of them are merged into one object when they are read

What a remote store cannot do is done as well as it can. Nothing is locked: two processes may
compute one task at the same time, and both store it, the last one for good; a bound on bytes may be
passed by what others store meanwhile. Entries are read into memory, and when one was last used is
not known, only when it was made.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.identity import mask_passwords
from pipeline.store.bucket import Bucket, given, stamp
from pipeline.store.entry import DIGEST
from pipeline.store.folder import Stat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ASKED = 64
"""Digests from which on all names are listed, rather than asked for one by one."""

_TOGETHER = 1000
"""Entries whose beginnings are in memory at the same time."""

_SINGLE = 100
"""Notes on a topic, above which they are merged into one object."""

_NOTED = 1 << 19
"""Bytes of notes on a topic that are kept when they are merged."""

_MERGED = ".many"


class Remote:
    """Entries at a URL. Raises `OSError` for what fails there.

    options: see `Bucket`
    """

    is_counted = False
    """Whether bytes are counted as entries come and go; here only where they have a bound."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.bucket = Bucket(url, options)
        self.is_shared = self.bucket.protocol != "memory"
        self._counted: dict[str, Stat] = {}
        self._total, self._until = 0, 0.0

    def __repr__(self) -> str:
        return mask_passwords(self.bucket.url)

    def exists(self) -> bool:
        """Whether something is stored at the URL."""
        return next(self.names(), None) is not None or bool(self.notes("runs"))

    # Entries

    def has(self, digest: str) -> bool:
        return bool(self.known([digest]))

    def known(self, digests: Iterable[str]) -> set[str]:
        asked = sorted(set(digests) - {""})
        if len(asked) >= _ASKED:
            return set(asked).intersection(self.bucket.listed("entries"))
        return {each for each, _ in self.heads(asked, 1)}

    def heads(self, digests: Iterable[str], most: int) -> Iterator[tuple[str, memoryview]]:
        """The first bytes of some entries, asked for together; those that are missing are left."""
        names = list(digests)
        for start in range(0, len(names), _TOGETHER):
            some = names[start : start + _TOGETHER]
            found = self.bucket.begun(map(_at, some), [most] * len(some))
            for each, data in zip(some, found, strict=True):
                if data is not None:
                    yield each, memoryview(data)

    def read(self, digest: str, most: int | None = None) -> tuple[memoryview, Stat] | None:
        if most is None:
            found = self.bucket.whole(_at(digest))
        else:
            [found] = self.bucket.begun([_at(digest)], [most])
        if found is None:
            return None
        # The reader's own, as a map of a file is: see `pipeline.disk`.
        return memoryview(bytearray(found)), Stat(len(found), 0.0, ())

    def stat(self, digest: str) -> Stat | None:
        if time.monotonic() < self._until:
            return self._counted.get(digest)
        told = self.bucket.info(_at(digest))
        return _stat(told) if told is not None else None

    def stats(self) -> dict[str, Stat]:
        """What is known of the files of all entries, by digest."""
        listed = self.bucket.listed("entries")
        return {each: _stat(listed[each]) for each in sorted(listed) if DIGEST.fullmatch(each)}

    def touch(self, digest: str) -> None:
        """Nothing: when an entry was last used is not known there, only when it was made."""

    def names(self) -> Iterator[str]:
        yield from self.stats()

    @contextmanager
    def aside(self, digest: str, buffers: list[Any]) -> Iterator[_Aside]:
        yield _Aside(self, digest, b"".join(buffers))

    def remove(self, digest: str) -> int:
        self._counted.pop(digest, None)
        told = self.bucket.info(_at(digest))
        if told is None:
            return 0
        self.bucket.erase([_at(digest)])
        return int(told["size"])

    def sweep(self) -> int:
        return self.bucket.sweep()

    # What many processes do together

    def lease(self, digest: str, waiting: Any = None) -> None:
        """Nothing to wait for: that another computes the same is not known."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def total(self) -> int:
        """Bytes in all entries, counted anew when others may have changed them."""
        return self._total if time.monotonic() < self._until else self.count()

    def count(self) -> int:
        start = time.monotonic()
        self._counted = self.stats()
        self._total = sum(each.bytes for each in self._counted.values())
        # A large store takes long to count: that is a tenth of the time, at the most.
        self._until = time.monotonic() + max(10 * (time.monotonic() - start), 1.0)
        return self._total

    def set_total(self, total: int) -> None:
        self._total = total

    # Notes

    def note(self, topic: str, line: str) -> None:
        self.bucket.write(f"notes/{topic}/{stamp()}", line.encode(errors="surrogatepass"))

    def notes(self, topic: str) -> list[str]:
        listed = self.bucket.listed(f"notes/{topic}")
        paths = [f"notes/{topic}/{each}" for each in listed]
        found = self.bucket.begun(paths, [int(told["size"]) for told in listed.values()])
        read = {path: data for path, data in zip(paths, found, strict=True) if data is not None}
        lines: dict[bytes, bytes] = {}  # by name: a line may be in two merged objects
        for path, data in read.items():
            if path.endswith(_MERGED):
                parted = (each.partition(b" ") for each in data.splitlines())
                lines |= {name: line for name, _, line in parted}
            else:
                lines[path.rpartition("/")[2].encode()] = data
        if len(read) > _SINGLE:
            with suppress(Exception):  # as where one may only read
                self._merge(topic, lines, read)
        return [lines[each].decode(errors="replace") for each in sorted(lines)]

    def topics(self) -> dict[str, float]:
        """When each topic was last written, in seconds since 1970."""
        found: dict[str, float] = {}
        for path in self.bucket.found("notes"):
            topic, name = path.split("/")[-2:]
            found[topic] = max(found.get(topic, 0.0), given(name) / 1e9)
        return found

    def forget(self, topic: str) -> None:
        """Remove the notes on a topic."""
        self.bucket.erase(f"notes/{topic}/{each}" for each in self.bucket.listed(f"notes/{topic}"))

    def _merge(self, topic: str, lines: dict[bytes, bytes], paths: Iterable[str]) -> None:
        """Put lines into one object, and the oldest away if they are many."""
        kept: list[bytes] = []
        size = 0
        for each in sorted(lines, reverse=True):
            kept.append(b"%s %s\n" % (each, lines[each]))
            size += len(kept[-1])
            if size > _NOTED:
                break
        self.bucket.write(f"notes/{topic}/{stamp()}{_MERGED}", b"".join(reversed(kept)))
        self.bucket.erase(paths)


class _Aside:
    """An entry that is not yet there."""

    def __init__(self, remote: Remote, digest: str, data: bytes) -> None:
        self.remote, self.digest, self.data, self.bytes = remote, digest, data, len(data)

    def publish(self) -> None:
        self.remote.bucket.write(_at(self.digest), self.data)
        self.remote._counted[self.digest] = Stat(self.bytes, time.time(), ())


def _at(digest: str) -> str:
    return f"entries/{digest[:2]}/{digest}"


def _stat(told: dict[str, Any]) -> Stat:
    for each in ("LastModified", "last_modified", "mtime", "updated", "created"):
        changed = told.get(each)
        if isinstance(changed, datetime):
            return Stat(int(told["size"]), changed.timestamp(), ())
        if isinstance(changed, int | float) and changed > 0:
            return Stat(int(told["size"]), float(changed), ())
    # Not known: taken for now, so that nothing goes because it is old.
    return Stat(int(told["size"]), time.time(), ())
