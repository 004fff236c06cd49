"""`Store`: results by digest, that outlive the run, the process and the machine.

It knows no graphs: what a digest stands for is the business of `pipeline.recall`.
"""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from pipeline.identity import mask_passwords, short_repr
from pipeline.store import codec
from pipeline.store.codec import CodecError
from pipeline.store.entry import Entry, packed, size, unpacked
from pipeline.store.ledger import LostError
from pipeline.store.places import named, placed, whole_name
from pipeline.store.room import Room, StoreError, checked

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pipeline.store.folder import Stat
    from pipeline.store.locks import Lease


class Store(Room):
    """Results by digest, in a folder or at any URL that fsspec knows.

    url: a folder, made where it is missing, or `s3://bucket/cache`, `memory://`, …
    max_bytes: that the entries may take; over it, those go that are quick to compute again, large,
        and were not used for long
    pickle: True to store, by pickle, what has no format of its own. Loading such a result runs
        code, so that whoever can write to the store can run programs as you
    durable: False to leave it to the system when it writes to the disk: faster, and after a
        failure of power or system the newest entries may be torn, which is noticed
    keep: functions, or names of them, whose results are always stored
    skip: the same of those whose results are never stored, nor taken from the store
    options: for fsspec

    Raises `StoreError` for what is asked wrongly, and `ImportError` where the library for a
    protocol is missing. A store that cannot be reached is told once, when it is used.

    >>> store = Store("memory://example")
    >>> entry = store.put(32 * "0", [1, 2.5, "three"])
    >>> store.get(32 * "0"), entry.bytes < 100
    ([1, 2.5, 'three'], True)
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        pickle: bool = False,
        durable: bool = True,
        keep: Iterable[Any] = (),
        skip: Iterable[Any] = (),
        options: dict[str, Any] | None = None,
    ) -> None:
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            raise StoreError(
                f"max_bytes={max_bytes!r}: it is a number of bytes, 1 or more, or None"
            )
        place = named(url)
        self.pickle, self.durable = pickle, durable
        self.keep, self.skip = _names("keep", keep), _names("skip", skip)
        self.options = dict(options or {})
        super().__init__(
            mask_passwords(place), placed(place, self.durable, self.options), max_bytes
        )
        self.quick: set[str] = set()  # functions whose results were quicker to compute than to load
        self._closed: set[str] = set()  # entries that cannot be read here
        self._is_swept = False

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker has one store, whatever comes to it: it counts, and tells what fails once.
        keep, skip = sorted(self.keep), sorted(self.skip)
        place = whole_name(self.backend)
        told = (place, self.max_bytes, self.pickle, self.durable, keep, skip, self.options)
        return _store, (repr(told), told)

    # What is asked of it with a graph is answered by `pipeline.cache`, which stands above.

    def explain(self, *collections: Any) -> Any:
        """What a run of some collections would do with each task, and why: see `Explanation`."""
        from pipeline.cache import explain

        return explain(self, *collections)

    def verify(self, *collections: Any, recompute: float = 0.05, seed: int = 0) -> Any:
        """Whether a store can be relied on: see `pipeline.cache.verify`."""
        from pipeline.cache import verify

        return verify(self, *collections, recompute=recompute, seed=seed)

    def __enter__(self) -> Store:
        from pipeline.cache import enter

        return enter(self)

    def __exit__(self, *exception: Any) -> None:
        from pipeline.cache import leave

        leave(self, *exception)

    # Entries

    def __bool__(self) -> bool:
        return True  # also where nothing is stored

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what this one stores."""
        return self.backend.is_shared

    def exists(self) -> bool:
        """Whether anything was ever stored there."""
        return self.backend.exists()

    def digests(self) -> Iterator[str]:
        """The digests of all entries, sorted."""
        return self.backend.names()

    def sizes(self) -> dict[str, int]:
        """The bytes of all entries, by digest."""
        return {digest: stat.bytes for digest, stat in self.backend.stats().items()}

    def size_of(self, digest: str) -> int:
        """The bytes of an entry. 0 if it is not stored."""
        stat = self.backend.stat(checked(digest))
        return 0 if stat is None else stat.bytes

    def check(self, digest: str) -> bool:
        """Verify all bytes of an entry. False if it is missing; raises `CodecError` if corrupt."""
        found = self.backend.read(checked(digest))
        if found is not None:
            unpacked(found[0], digest)
        return found is not None

    def lease(
        self, digest: str, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Lease | None:
        """Wait for the right to compute a task. None where the backend has no locks.

        waiting: makes the context in which this thread waits for another owner
        """
        return self.backend.lease(digest, waiting)

    def __contains__(self, digest: str) -> bool:
        return bool(self.known([digest]))

    def known(self, digests: Iterable[str]) -> set[str]:
        """Those of some digests that are stored. None, where the store cannot be reached."""
        with self.tolerating("asked") as reach:
            if reach:
                return self.backend.known(digests) - self._closed
        return set()

    def get(self, digest: str) -> Any:
        """A stored result. Raises `KeyError` if there is none, or none that is whole.

        Arrays are maps of the file, and private: a change in them changes no file. What is torn or
        foreign is told, and removed.
        """
        try:
            found = self.open(checked(digest))
            if found is not None:
                return self.value(*found)
        except LostError:
            pass
        finally:
            if self._unsaid:
                self.emit_warnings()
        raise KeyError(digest)

    def open(self, digest: str) -> tuple[Entry, memoryview] | None:
        """An entry and its payload, verified. None, if there is none, or none that is whole."""
        with self.tolerating("read") as reach:
            found = self.backend.read(digest) if reach and digest not in self._closed else None
            if found is None:
                return None
            view, stat = found
            try:
                is_verified = self._verified.get(digest) == stat.identity != ()
                entry, payload = unpacked(view, digest, is_verified)
            except CodecError as error:
                self.drop(digest, str(error), stat)
                return None
            if 0 < stat.used < time.time() - _RECENT:
                self.backend.touch(
                    digest
                )  # whereby it has another identity, and is verified once more
            elif len(payload) >= _LARGE and not is_verified:
                self._verified[digest] = stat.identity
            return entry, payload
        return None

    def value(self, entry: Entry, payload: memoryview) -> Any:
        """The result in an entry. Raises `LostError`, and removes the entry, if it is none.

        One that is not read for a reason that lies here, not in its bytes, is told, and stays.
        """
        try:
            return codec.decoded(payload, self.pickle)
        except codec.UnreadableError as error:  # elsewhere it may be one, so it stays
            self._closed.add(entry.digest)
            self.warn_later(f"closed {entry.function}", f"{entry.call or entry.digest} is not "
                      f"loaded: {error}")  # fmt: skip
            raise LostError(f"{entry.digest}: {error}") from error
        except CodecError as error:
            self.drop(entry.digest, str(error))
            raise LostError(f"{entry.digest}: {error}") from error

    def drop(self, digest: str, why: str, seen: Stat | None = None) -> None:
        """Remove an entry that cannot be taken, and tell it.

        seen: the file that was found to be such; not another that has taken its place
        """
        done = "is removed, and computed again"
        try:
            if seen is None or _is_same(self.backend.stat(digest), seen):
                self.remove(digest)
        except Exception as error:
            done = f"cannot be removed ({getattr(error, 'strerror', None) or error})"
        self.warn_later(f"torn {digest}", f"{self.url}: {digest} {done}: {why}")

    def put(self, digest: str, value: Any, **told: Any) -> Entry:
        """Store a result, and give its entry.

        told: fields of `Entry`: what the task was, and what it took

        Raises `UnstorableError` for a value that has no format, `StoreError` for one that is larger
        than `max_bytes`, and `OSError`, or what the library of a remote store raises.
        """
        payload = codec.encoded(value, self.pickle)
        entry = Entry(checked(digest), bytes=size(payload), **told)
        if not self._is_swept:
            self._is_swept = True
            with suppress(Exception):  # if nothing can be done there, what follows will tell
                self.backend.sweep()
        self.put_packed(entry, packed(entry, payload))
        return entry

    def put_packed(self, entry: Entry, buffers: Sequence[Any]) -> None:
        """Store an entry that is packed already."""
        taken = size(list(buffers))
        if self.max_bytes is not None and taken > self.max_bytes:
            raise StoreError(f"{taken:,} bytes are over max_bytes={self.max_bytes:,}")
        with self.backend.aside(entry.digest, list(buffers)) as written, self.backend.locked():
            self.make_room(entry.digest, taken)
            written.publish()
        self._verified.pop(entry.digest, None)
        self._closed.discard(entry.digest)
        self._seconds[entry.digest] = entry.behind
        self.note_entry(entry)
        self.count_stored(taken)


def _is_same(now: Stat | None, seen: Stat) -> bool:
    return now is not None and (now.bytes, now.used) == (seen.bytes, seen.used)


_RECENT = 60.0
"""Seconds in which an entry is taken to have been used only once."""

_LARGE = 1 << 18
"""Bytes from which on an entry is verified once a process, not each time."""

_stores: dict[str, Store] = {}


def _store(identity: str, told: tuple[Any, ...]) -> Store:
    """The store of this process with some settings."""
    if identity not in _stores:
        url, max_bytes, pickle, durable, keep, skip, options = told
        made = Store(
            url, max_bytes=max_bytes, pickle=pickle, durable=durable, keep=keep, skip=skip,
            options=options,
        )  # fmt: skip
        made.in_worker = True
        _stores.setdefault(identity, made)
    return _stores[identity]


def _names(option: str, given: Any) -> frozenset[str]:
    """Names of functions."""
    if isinstance(given, str) or callable(given):
        given = [given]
    found = []
    for each in given:
        name = each if isinstance(each, str) else getattr(each, "__name__", None)
        if not isinstance(name, str):
            raise StoreError(f"{option}={short_repr(each)}: it takes functions, or their names")
        found.append(name)
    return frozenset(found)
