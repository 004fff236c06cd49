"""Entries on a remote store, or any other that fsspec knows: `s3://bucket/cache`, `memory://`.

The names are those of `pipeline.folder`. What a remote store cannot do is done as well as it can:
nothing is locked, notes are files of one line each, and entries are read into memory.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs

from pipeline.folder import DIGEST, Stat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""Protocols by which a file is there as a whole or not at all; others rename what is aside."""

_ASKED = 64
"""Digests from which on all names are listed, rather than asked for one by one."""


class Remote:
    """Entries at a URL. Raises whatever the library for its protocol does.

    options: for fsspec, as `key` and `secret` of S3
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self.fs, path = url_to_fs(url, use_listings_cache=False, **options)
        self.path = path.rstrip("/")
        self._protocol = url.partition("://")[0].rpartition("::")[2]
        self.is_everywhere = self._protocol != "memory"
        self._total: int | None = None

    def __repr__(self) -> str:
        return self.url

    def _at(self, digest: str) -> str:
        return f"{self.path}/entries/{digest[:2]}/{digest}"

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        try:
            self.fs.invalidate_cache()
            found = self.fs.find(f"{self.path}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        return {path.rpartition("/")[2]: told for path, told in found.items()}

    def has(self, digest: str) -> bool:
        return bool(self.fs.exists(self._at(digest)))

    def known(self, digests: Iterable[str]) -> set[str]:
        digests = set(digests)
        if len(digests) < _ASKED:
            return {each for each in digests if self.has(each)}
        return digests.intersection(self._listed("entries"))

    def read(self, digest: str, most: int | None = None) -> tuple[memoryview, Stat] | None:
        try:
            found = self.fs.cat_file(self._at(digest), start=None if most is None else 0, end=most)
        except FileNotFoundError:
            return None
        return memoryview(found), Stat(len(found), 0.0, ())

    def stat(self, digest: str) -> Stat | None:
        try:
            return _stat(self.fs.info(self._at(digest)))
        except FileNotFoundError:
            return None

    def touch(self, digest: str) -> None:
        """Nothing: when an entry was last used is not known there, only when it was made."""

    def names(self) -> Iterator[str]:
        yield from filter(DIGEST.fullmatch, sorted(self._listed("entries")))

    @contextmanager
    def aside(self, digest: str, buffers: list[Any]) -> Iterator[_Aside]:
        yield _Aside(self, digest, b"".join(buffers))

    def remove(self, digest: str) -> int:
        found = self.stat(digest)
        if found is not None:
            self.fs.rm_file(self._at(digest))
        return found.bytes if found else 0

    def sweep(self) -> int:
        old = [
            path
            for path, told in self._listed("aside").items()
            if time.time() - _stat(told).used > _ABANDONED
        ]
        for each in old:
            self.fs.rm_file(f"{self.path}/aside/{each}")
        return len(old)

    def lease(self, digest: str) -> None:
        """Nothing to wait for: that another computes the same is not known."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def total(self) -> int:
        return self.count() if self._total is None else self._total

    def count(self) -> int:
        self._total = sum(_stat(told).bytes for told in self._listed("entries").values())
        return self._total

    def set_total(self, total: int) -> None:
        self._total = total

    def note(self, topic: str, line: str) -> None:
        name = f"{time.time_ns():020}-{os.urandom(4).hex()}"
        self.fs.makedirs(f"{self.path}/notes/{topic}", exist_ok=True)
        self.fs.pipe_file(f"{self.path}/notes/{topic}/{name}", line.encode(errors="surrogatepass"))

    def notes(self, topic: str) -> list[str]:
        names = sorted(self._listed(f"notes/{topic}"))
        found = self.fs.cat(
            [f"{self.path}/notes/{topic}/{each}" for each in names], on_error="omit"
        )
        if isinstance(found, bytes):
            found = {"": found}
        return [found[each].decode(errors="replace") for each in sorted(found)]


_ABANDONED = 3600
"""Seconds after which a file aside is taken to have no writer."""


class _Aside:
    """An entry that is not yet there."""

    def __init__(self, remote: Remote, digest: str, data: bytes) -> None:
        self.remote, self.digest, self.data, self.bytes = remote, digest, data, len(data)

    def publish(self) -> None:
        remote, target = self.remote, self.remote._at(self.digest)
        remote.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        if remote._protocol in _WHOLE:
            remote.fs.pipe_file(target, self.data)
            return
        aside = f"{remote.path}/aside/{self.digest}.{os.urandom(4).hex()}"
        remote.fs.makedirs(f"{remote.path}/aside", exist_ok=True)
        remote.fs.pipe_file(aside, self.data)
        remote.fs.mv(aside, target)


def _stat(told: dict[str, Any]) -> Stat:
    changed = told.get("LastModified") or told.get("mtime") or told.get("created") or 0.0
    used = changed.timestamp() if isinstance(changed, datetime) else float(changed)
    return Stat(int(told["size"]), used, ())
