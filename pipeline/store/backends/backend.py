"""What any place offers that keeps a store's bytes, and which place a URL names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pipeline.identity import mask_passwords, short_repr
from pipeline.store.backends.disk import Disk
from pipeline.store.backends.files import OpenFile
from pipeline.store.backends.index import Stat, Usage
from pipeline.store.backends.locks import HAS_LOCKS, Lease, Waiting
from pipeline.store.backends.remote import Remote
from pipeline.store.entry import Entry
from pipeline.store.errors import StoreError

Action = Callable[[], None]

_FILES = {"file", "local"}  # protocols of folders


class Backend(Protocol):
    """Where a store keeps bytes: `Disk`, `Remote` or `Mirrored`. Raises `OSError` for failures.

    A reader's bytes are private, and stay when the entry is removed. The total is read and set with
    the lock held, as in `prepare`, which is called just before readers see an entry. Notes are
    lines of text by topic.
    """

    address: str  # names the place in any process, with its password
    is_shared: bool  # other processes see what this one stores
    is_local: bool  # small operations take microseconds, and fail one by one: see `Store`
    is_distant: bool  # to ask for an entry takes a while, and for many no longer than for one

    @property
    def is_private(self) -> bool: ...  # nobody but this user can have written entries
    def known(self, digests: Iterable[str]) -> set[str]: ...  # those with entries; "" has none
    def digests(self) -> Iterator[str]: ...  # of all entries, sorted
    def read(self, digest: str) -> tuple[memoryview, Stat] | None: ...  # None if it is missing
    def keep_open(
        self, digest: str
    ) -> OpenFile | None: ...  # its bytes stay; None where they may not
    def heads(self, digests: Iterable[str], length: int) -> Iterator[tuple[str, memoryview]]: ...
    def distant(self, digests: Iterable[str]) -> list[str]: ...  # those that are worth a `fetch`
    def fetch(self, digests: Iterable[str], is_whole: bool = ...) -> None: ...  # for the next reads
    def release(self) -> None: ...  # what was fetched
    def stat(self, digest: str) -> Stat | None: ...  # None if it is missing
    def stats(self) -> dict[str, Stat]: ...  # of all entries
    def touch(self, digest: str) -> None: ...  # it is used now
    def write(
        self, digest: str, buffers: list[Any], prepare: Action = ..., entry: Entry | None = ...
    ) -> None: ...  # entry: what the index keeps of it
    def write_all(self, entries: Mapping[str, memoryview]) -> None: ...  # at the same time
    def flush(self) -> None: ...  # wait for what is written in the background
    def trial(self, digest: str, buffers: list[Any]) -> memoryview: ...  # write, read and remove
    def remove(self, digest: str) -> int | None: ...  # bytes that it frees; None if it is missing
    def evict(self, digest: str) -> int | None: ...  # remove it for others: not upstream, too
    def sweep(self) -> int: ...  # remove the files of killed writers
    def lease(self, digest: str, waiting: Waiting = ..., task: str = ...) -> Lease | None: ...
    def locked(self) -> AbstractContextManager[None]: ...
    def total(self) -> int: ...  # bytes of all entries, as processes count them together
    def set_total(self, total: int) -> None: ...
    def count(self) -> int: ...  # bytes of all entries, counted again
    def usage(self) -> Usage: ...  # the same, where others may have changed files; and entries
    def least_useful(self, most: int) -> tuple[int, list[str]] | None: ...  # see `Index`
    def newest(self, most: int | None, function: str | None) -> tuple[list[str], int] | None: ...
    def note(self, topic: str, *lines: str) -> None: ...
    def note_later(self, topic: str, line: str) -> None: ...  # a killed process may lose it
    def notes(self, topic: str) -> list[str]: ...  # the oldest first
    def noted(self, topics: Iterable[str]) -> dict[str, list[str]]: ...  # of many topics
    def topics(self) -> dict[str, float]: ...  # when each was last written, in seconds since 1970
    def forget(self, topic: str) -> None: ...


def backend_at(
    url: Any, durable: bool | str, options: dict[str, Any], shared: bool = False
) -> tuple[str, Backend]:
    """A URL without its password, and its backend. Raises `StoreError` and `ImportError`."""
    place = os.fspath(url) if isinstance(url, str | os.PathLike) else None
    if not isinstance(place, str) or not place.removeprefix("file://"):
        raise StoreError(f"{short_repr(url)} is no store: give a folder, or s3://bucket/cache")
    name = mask_passwords(place)
    protocol, separator, path = place.partition("://")
    if not HAS_LOCKS and (not separator or protocol in _FILES):
        raise StoreError(f"{name}: a store in a folder needs locks on files (flock), and this "
                         "system has none: give a URL, or use Windows' Linux (WSL)")  # fmt: skip
    if not separator:
        return name, Disk(os.path.expanduser(place), durable, shared)
    if protocol in _FILES:
        return name, Disk(path, durable, shared)
    if shared:
        raise StoreError(f"shared=True is for folders, and {name} is none: set rights where it is")
    try:
        return name, Remote(place, options)
    except (ImportError, ValueError) as error:
        kind = StoreError if isinstance(error, ValueError) else ImportError
        raise kind(f"{name}: {error}") from error
