"""`Store`: results by digest. They outlive the run, the process and the machine.

It knows no graphs: `pipeline.cache` computes the digests of tasks. A store composes a backend,
which holds bytes (`disk`, `remote`), the codec of values, its bound (`space`), and its notes.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_args, overload
from weakref import ref

from dask.utils import format_bytes

from pipeline.identity import Versions, short_repr
from pipeline.store.backends import (
    HEAD,
    Counts,
    Disk,
    Host,
    Lease,
    Mirrored,
    Stat,
    Usage,
    Waiting,
    backend_at,
    sum_runs,
    topic_of,
    upstream_at,
)
from pipeline.store.costs import Costs
from pipeline.store.entry import (
    DIGEST,
    CodecError,
    Entry,
    UnreadableError,
    checksum,
    header,
    packed,
    prefixed,
    size,
    unpacked,
)
from pipeline.store.errors import LostError, StoreError
from pipeline.store.failures import Failures, reason_of
from pipeline.store.formats import Allowed, add_formats, decoded_with_files, encoded, script_formats
from pipeline.store.memory import MISSING, Memory
from pipeline.store.notes import Notes
from pipeline.store.space import Space

if TYPE_CHECKING:
    from pipeline.cache import Explanation, MemoizedFunction, Memoizer, Verification

P = ParamSpec("P")
R = TypeVar("R")

_LARGE = 1 << 18  # bytes from which on an entry is verified once per process, not at each load
_RECENT = 60.0  # seconds in which several uses of an entry count as one
_NOTES_KEPT = 30 * 86400  # seconds that notes without entries are kept


class Store:
    """Results by digest, in a folder or at any URL that fsspec knows.

    url: a folder, made where it is missing, or `s3://bucket/cache`, `memory://`, …
    max_bytes: bound of all entries: a number, or text as "20GB". Above it, entries are evicted that
        are quick to compute again, large, and long unused. "50%" is half of the space of the disk
        that is free or the store's; a store at a URL then has no bound. None lifts it
    memory: bound of the values that this process keeps, as "200MB": those that were used last. Each
        use gets a copy. What another process removes is kept here until then
    pickle: classes whose objects are pickled, if they have no format: loading them runs the code
        of these classes, and no other. A class does not count for those that derive from it. True
        to pickle all values without a format. Loading them runs any code: whoever can write to the
        store can run programs as you
    durable: when results of a folder are written to the disk. A killed process never loses one;
        after a failure of power an entry that was not yet written may be missing, or corrupt, which
        is noticed: it is computed again. True: before `put` returns. "end": at the end of a run,
        and each second. False: when the system decides, as after half a minute
    files: folders in which a hit may put files back that its result is (see `File`), and below
        which. Without it: anywhere, if the store is yours alone; if others can write to it (it is
        shared, at a URL, or has an upstream), nowhere: they could replace any file of yours
    keep: functions, or their names, whose results are always stored
    skip: functions, or their names, whose results are neither stored nor loaded
    purity: "observed" to store a result if nothing says that its function is impure: neither a
        mark, nor a short table, nor what the function did. "declared" to trust all functions but
        those that are marked `@impure`
    versions: how far the versions of Python and of libraries count. "minor": numpy 2.4.0 and 2.4.1
        share results, and so do Python 3.11.6 and 3.11.7. "exact": they do not, and the code that
        is installed counts, too. "ignore": libraries count by name alone, and Python not at all.
        A package that is installed from a checkout or without a version counts by its code, always
    shared: True to let the group of the folder use a new store: all files and folders are readable
        and writable for the group, whatever the umask. A store that was made so stays so for all
        who open it. Whoever can write to the store decides what others load
    upstream: a folder, a URL or a store that a team shares. Hits there are read through and kept
        here; results are written to both, there in the background, at the latest when a run ends.
        Removing and listing entries, `max_bytes` and `stats` concern this store alone. If it
        fails, that is one warning, and it is left alone for a while
    readonly: True to write nothing upstream. Without an upstream, nothing is written at all:
        results are loaded, and new ones are computed and not stored
    options: for fsspec. If the store is a folder they are for its upstream; where both need some,
        give a store with its own as `upstream`

    Raises `StoreError` for wrong arguments, and `ImportError` where the library of a protocol is
    missing. A store that cannot be reached is one warning when it is used.

    >>> store = Store("memory://example")
    >>> entry = store.put(32 * "0", [1, 2.5, "three"])
    >>> store.get(32 * "0"), entry.bytes < 100
    ([1, 2.5, 'three'], True)
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        max_bytes: int | str | None = "50%",
        memory: int | str | None = None,
        pickle: bool | Iterable[type] = False,
        durable: bool | str = "end",
        files: Iterable[str | os.PathLike[str]] | None = None,
        keep: Iterable[Any] = (),
        skip: Iterable[Any] = (),
        purity: str = "observed",
        versions: Versions = "minor",
        shared: bool = False,
        upstream: str | os.PathLike[str] | Store | None = None,
        readonly: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(durable, bool) and durable != "end":
            raise StoreError(f'durable={durable!r}: give True, "end" or False')
        self.pickle, self.durable = _allowed(pickle), durable
        if purity not in ("observed", "declared"):
            raise StoreError(f'purity={purity!r}: give "observed" or "declared"')
        if versions not in get_args(Versions):
            choices = ", ".join(f'"{choice}"' for choice in get_args(Versions))
            raise StoreError(f"versions={versions!r}: give one of {choices}")
        self.purity, self.versions, self.shared = purity, versions, shared
        places = [files] if isinstance(files, str | os.PathLike) else files
        self.files = None if places is None else [os.path.abspath(place) for place in places]
        self.keep, self.skip = _names("keep", keep), _names("skip", skip)
        self.options = dict(options or {})
        self.url, self.backend = backend_at(url, durable, self.options, shared)
        self.readonly = readonly
        is_written = not readonly or upstream is not None
        self.failures = Failures(self.url, self.backend.is_local, is_written)
        self.space = Space(max_bytes, self.backend, self._headers, self._warn_of_evictions)
        self.upstream = self._joined(upstream)
        self.space.backend = self.backend
        self.notes = Notes(self.backend, self.failures, self.is_written)
        self.costs = Costs(self.backend, self.failures)
        self.counts, self._logged = Counts(), Counts()  # of this run, of the runs before
        self.memory = None if memory is None else Memory(memory)
        self.quick: set[str] = set()  # functions that are quicker to compute than to load
        self._lock = RLock()
        self._is_swept = False
        self._verified: dict[str, tuple[int, ...]] = {}  # identities of large files
        self._unreadable: set[str] = set()  # entries that only others can load
        self._next_log = 0.0

    def _joined(self, upstream: Any) -> Store | None:
        """The upstream as a store, joined to the backend."""
        if upstream is None or isinstance(upstream, Store):
            store = upstream
        else:
            options = self.options if isinstance(self.backend, Disk) else None
            store = Store(upstream, durable=self.durable, options=options)
        if store is not None:
            if store.backend.address == self.backend.address:
                raise StoreError(f"upstream={store.url!r} is the store itself: give another place")
            shared = upstream_at(store.url, store.backend, self.readonly, store.options)
            host = Host(self.space.max_bytes, self.space.make, self.failures.warn_later)
            self.backend = Mirrored(self.backend, shared, host)
        return store

    @property
    def max_bytes(self) -> int | str | None:
        """The bound of all entries, as it was given."""
        return self.space.given

    def _warn_of_evictions(self, total: int, share: float) -> None:
        self.failures.warn_later(
            "bound",
            f"{self.url} has {format_bytes(total)}: entries are removed for new ones, so that "
            f"{share:.0%} of the space that it could have is enough. Store(max_bytes=…) sets "
            "another bound, max_bytes=None lifts it",
        )

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __bool__(self) -> bool:
        return True  # also an empty one

    def __reduce__(self) -> tuple[Any, ...]:
        settings = {"max_bytes": self.max_bytes,
                    "memory": self.memory and self.memory.max_bytes,
                    "pickle": self.pickle, "durable": self.durable,
                    "files": self.files, "keep": sorted(self.keep), "skip": sorted(self.skip),
                    "purity": self.purity, "versions": self.versions, "shared": self.shared,
                    "upstream": self.upstream, "readonly": self.readonly,
                    "options": self.options}  # fmt: skip
        return _store_of_worker, (self.backend.address, settings, script_formats())

    # What concerns graphs is in `pipeline.cache`, which is above: hence the late imports.

    @overload
    def memoize(
        self,
        function: Callable[P, R],
        *,
        ignore: Iterable[str] = ...,
        version: str | int | None = ...,
    ) -> MemoizedFunction[P, R]: ...

    @overload
    def memoize(
        self, function: None = ..., *, ignore: Iterable[str] = ..., version: str | int | None = ...
    ) -> Memoizer: ...

    def memoize(self, function: Any = None, *, ignore: Any = (), version: Any = None) -> Any:
        """A function whose results are kept here, called as it is: see `pipeline.memoize`."""
        from pipeline.cache import memoize

        return memoize(function, store=self, ignore=ignore, version=version)

    def explain(self, *collections: Any) -> Explanation:
        """What a run of some collections would do with each task, and why: see `Explanation`."""
        from pipeline.cache import explain

        return explain(self, *collections)

    def verify(self, *collections: Any, recompute: float = 0.05, seed: int = 0) -> Verification:
        """Whether the stored results are reliable: see `pipeline.cache.verify`."""
        from pipeline.cache import verify

        return verify(self, *collections, recompute=recompute, seed=seed)

    def __enter__(self) -> Store:
        from pipeline.cache import enter

        return enter(self)

    def __exit__(self, *exception: Any) -> None:
        from pipeline.cache import leave

        leave(self, *exception)

    # Which entries there are

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what this one stores."""
        return self.backend.is_shared

    def exists(self) -> bool:
        """Whether anything was ever stored."""
        return any(True for _ in self.digests()) or bool(self.backend.topics())

    def __len__(self) -> int:
        return sum(1 for _ in self.digests())

    def __contains__(self, digest: str) -> bool:
        return bool(self.known([digest]))

    def known(self, digests: Iterable[str]) -> set[str]:
        """The digests that are stored. Empty where the store cannot be reached."""
        with self.failures.tolerating("read") as is_reachable:
            if is_reachable:
                return self.backend.known(digests) - self._unreadable
        return set()

    def digests(self) -> Iterator[str]:
        """The digests of all entries, sorted."""
        return self.backend.digests()

    def sizes(self) -> dict[str, int]:
        """The bytes of all entries, by digest."""
        return {digest: stat.bytes for digest, stat in self.backend.stats().items()}

    def usage(self) -> Usage:
        """How many entries there are, and their bytes."""
        return self.backend.usage()

    def newest(self, most: int | None, function: str | None = None) -> tuple[list[Entry], int]:
        """The headers of the newest entries, and the number of all; of one function or of all."""
        if (indexed := self.backend.newest(most, function)) is not None:
            return list(self._headers(indexed[0])), indexed[1]
        entries = [entry for entry in self.entries() if function in (None, entry.function)]
        entries.sort(key=lambda entry: (entry.created, entry.digest), reverse=True)
        return entries[:most], len(entries)

    def entry(self, digest: str) -> Entry | None:
        """The header of an entry. None if it is missing or corrupt."""
        return next(self._headers([_checked(digest)]), None)

    def entries(self) -> Iterator[Entry]:
        """The headers of all entries, by digest. Corrupt entries are skipped."""
        return self._headers(self.digests())

    def _headers(self, digests: Iterable[str]) -> Iterator[Entry]:
        for digest, view in self.backend.heads(digests, HEAD):
            with suppress(CodecError):
                is_long = prefixed(view) > len(view) >= HEAD
                longer = self.backend.heads([digest], prefixed(view)) if is_long else ()
                yield header(dict(longer).get(digest, view), digest)

    @property
    def is_distant(self) -> bool:
        """Whether to ask for entries takes a while, and for many no longer than for one."""
        return self.backend.is_distant

    def distant(self, digests: Iterable[str]) -> list[str]:
        """The digests whose entries are not here: `fetch` requests many of them at once."""
        return self.backend.distant(digests)

    def fetch(self, digests: Iterable[str], is_whole: bool = False) -> None:
        """Request entries together, for the next `entry` or `open` of each, within `fetching`.

        is_whole: all of their bytes, not only the headers
        """
        if names := [digest for digest in digests if DIGEST.fullmatch(digest)]:
            self.backend.fetch(names, is_whole)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """A context in which fetched entries are held."""
        try:
            yield
        finally:
            self.backend.release()

    # Loading

    def get(self, digest: str) -> Any:
        """A stored result. Raises `KeyError` if it is missing or corrupt.

        Arrays are private maps of the file: a change in them changes no file. A corrupt entry is
        removed, with a warning.
        """
        try:
            opened = self.open(_checked(digest))
            if opened and opened[0].target:
                meant = opened[0].meant
                opened = self.open(opened[0].target)
                opened = opened if opened and opened[0].checksum == meant else None
            if opened:
                return self.value(*opened)
        except LostError:
            pass
        finally:
            if self.failures.has_warnings:
                self.failures.emit_warnings()
        raise KeyError(digest)

    def open(self, digest: str) -> tuple[Entry, memoryview] | None:
        """An entry and its payload, verified. None if it is missing or corrupt."""
        with self.failures.tolerating("read") as is_reachable:
            is_tried = is_reachable and digest not in self._unreadable
            stored = self.backend.read(digest) if is_tried else None
            if stored is None:
                return None
            view, stat = stored
            is_verified = self._verified.get(digest) == stat.identity != ()
            try:
                opened = unpacked(view, digest, is_verified)
            except CodecError as error:
                self._drop(digest, error, stat)
                return None
            if 0 < stat.used < time.time() - _RECENT and self.is_written:
                self.backend.touch(digest)  # which changes its identity: it is verified once more
            elif len(view) >= _LARGE:
                self._verified[digest] = stat.identity
            return opened
        return None

    def value(self, entry: Entry, payload: memoryview) -> Any:
        """The result in an entry, whose files are put back where they were.

        Raises `LostError`, and removes the entry, if it is corrupt. An entry that only this process
        cannot load stays, with a warning.
        """
        if self.memory is not None:
            value = self.memory.get(entry.digest, entry.checksum)
            if value is not MISSING:
                return value
        try:
            value, copies = decoded_with_files(payload, self.pickle)
            for copy in copies:
                folders = self.files
                if folders is None and not self.backend.is_private:
                    folders = []
                copy.put_back(folders, is_flushed=self.durable is True)
            if self.memory is not None and not copies:
                self.memory.put(entry.digest, entry.checksum, value)
            return value
        except CodecError as error:
            if isinstance(error, UnreadableError):
                self._unreadable.add(entry.digest)
                self.failures.warn_later(
                    f"unreadable {entry.function}",
                    f"{entry.call or entry.digest} is not loaded: {error}",
                )
            else:
                self._drop(entry.digest, error)
            raise LostError(f"{entry.digest}: {error}") from error

    def check(self, digest: str) -> bool:
        """Verify all bytes of an entry. False if it is missing; raises `CodecError` if corrupt."""
        if stored := self.backend.read(_checked(digest)):
            unpacked(stored[0], digest)
        return stored is not None

    def _drop(self, digest: str, reason: CodecError, seen: Stat | None = None) -> None:
        """Remove a corrupt entry, with a warning.

        seen: the corrupt file. Another file that has replaced it stays
        """
        done = "is removed, and computed again"
        if not self.is_written:
            self._unreadable.add(digest)
            why = f"{self.url}: {digest} is not loaded, and computed again: {reason}"
            self.failures.warn_later(f"corrupt {digest}", why)
            return
        try:
            now = seen and self.backend.stat(digest)
            if seen is None or (now and (now.bytes, now.used) == (seen.bytes, seen.used)):
                self.remove(digest)
        except Exception as error:
            done = f"cannot be removed ({reason_of(error)})"
        self.failures.warn_later(f"corrupt {digest}", f"{self.url}: {digest} {done}: {reason}")

    # Storing

    @property
    def is_written(self) -> bool:
        """Whether results are stored here. A readonly store with an upstream keeps hits."""
        return not self.readonly or self.upstream is not None

    def put(self, digest: str, value: Any, **fields: Any) -> Entry:
        """Store a result; returns its entry.

        fields: of `Entry`: what the task was, and what it took

        Raises `UnstorableError` for a value that has no format, `StoreError` for one that is larger
        than `max_bytes` and in a readonly store, and `OSError` for what fails in the backend.
        """
        payload = encoded(value, self.pickle)
        entry = Entry(_checked(digest), bytes=size(payload), checksum=checksum(payload), **fields)
        length = self._write(entry, payload)
        with self._lock:
            self.counts.stored += 1
            self.counts.stored_bytes += length
        if self.failures.in_worker and self.backend.is_local:
            self.log()
        return entry

    def link(self, digest: str, holder: Entry, **fields: Any) -> None:
        """Store that a result is in another entry; `fields` and errors are those of `put`."""
        target, meant = _checked(holder.digest), holder.checksum
        self._write(Entry(_checked(digest), target=target, meant=meant, **fields), [])

    def _write(self, entry: Entry, payload: list[Any]) -> int:
        """Write an entry, and note its call. Returns its length."""
        digest, buffers = entry.digest, packed(entry, payload)
        length = size(buffers)
        self._check_written()
        if (most := self.space.max_bytes) is not None and length > most:
            raise StoreError(f"{length:,} bytes exceed max_bytes={most:,}")
        if not self._is_swept:
            self._is_swept = True
            with suppress(Exception):  # the writing fails, too, and says why
                self.backend.sweep()
        self.space.prepare()
        self.backend.write(digest, buffers, lambda: self.space.make(digest, length), entry)
        self._forget(digest)
        self._unreadable.discard(digest)
        self.space.seconds[digest] = entry.behind
        self.notes.add_call(entry.function, digest, entry.code, entry.arguments)
        return length

    def count_load(self, entry: Entry) -> None:
        """Count a planned task as a hit: an equal one was stored before it ran."""
        with self._lock:
            if self.counts.misses:  # a worker has planned none
                self.counts.misses -= 1
                self.counts.hits += 1
                self.counts.loaded_bytes += entry.bytes

    def count_hit(self, entry: Entry) -> None:
        """Count a result that was loaded without a plan."""
        counts = self.counts
        counts.hits += 1
        counts.loaded_bytes += entry.bytes
        counts.saved += entry.behind
        self.log_soon()

    def _check_written(self) -> None:
        if not self.is_written:
            raise StoreError(f"{self.url} is readonly: open it without readonly=True to change it")

    def remove(self, digest: str) -> bool:
        """Remove an entry here. False if it is missing. Raises `StoreError` if it is readonly."""
        self._check_written()
        with self.backend.locked():
            freed = self.backend.remove(_checked(digest))
            self.space.free(freed or 0)
        self._forget(digest)
        return freed is not None

    def _forget(self, digest: str) -> None:
        """Forget what this process knows of an entry."""
        self._verified.pop(digest, None)
        if self.memory is not None:
            self.memory.drop(digest)

    def lease(self, digest: str, waiting: Waiting = nullcontext, task: str = "") -> Lease | None:
        """Wait for the right to compute a task. None where the backend has no locks.

        waiting: makes the context in which this thread waits for another owner, and gives whether
            to end the wait
        task: its name. A thread that waits for a minute logs it, and for whom it waits
        """
        return self.backend.lease(digest, waiting, task)

    def gc(self, max_bytes: int | None = None, unused: float | None = None) -> tuple[int, int]:
        """Remove the files of killed writers, entries above a bound, and long unused entries.

        Notes without entries that are older than a month are removed, too.

        unused: seconds since the last use of an entry

        Returns the number of removed entries, and their bytes. Raises `StoreError` if the store is
        readonly.
        """
        self._check_written()
        self.backend.sweep()
        before = self.backend.stats()
        now = time.time()
        for digest, stat in before.items():
            if unused is not None and now - stat.used > unused:
                self.remove(digest)
        used = self.backend.usage().bytes  # before the lock, as in `_write`
        bound = max_bytes if max_bytes is not None else self.space.bound(used)
        with self.backend.locked():
            total = self.backend.usage().bytes if bound is None else self.space.evict(bound)
            self.backend.set_total(total)
        with suppress(OSError):  # if something cannot be read, more notes stay
            times = self.backend.topics()
            old = {topic for topic in times if times[topic] < now - _NOTES_KEPT and "-" in topic}
            for entry in self.entries() if old else ():
                old -= {topic_of(entry.function), f"code-{entry.code}"}
            for name in old:
                self.backend.forget(name)
        removed = before.keys() - self.backend.stats().keys()
        return len(removed), sum(before[digest].bytes for digest in removed)

    # Runs

    def log(self) -> None:
        """Note the counts of this run, and start again from zero."""
        with self._lock:
            counts, self.counts = self.counts, Counts()
            self._logged += counts
        if counts:
            self.notes.add("runs", vars(counts))

    def log_soon(self) -> None:
        """Note the counts, at most once a second, and when the program ends."""
        now = time.monotonic()
        if now < self._next_log:
            return
        if not self._next_log:
            atexit.register(_log, ref(self))
        self._next_log = now + 1
        self.log()

    def trim(self) -> None:
        """Apply `max_bytes` after a run, also if it stored nothing: others may have had no bound.

        In a folder alone: elsewhere all entries would be listed each time.
        """
        if self.space.max_bytes is None or not self.is_written or not self.backend.is_local:
            return
        with self.failures.tolerating("written") as is_reachable:
            freed = self.space.trim() if is_reachable else 0
            if freed:
                self.failures.warn_later(
                    "trimmed",
                    f"{self.url}: {format_bytes(freed)} of entries are removed for "
                    f"max_bytes={self.max_bytes!r}",
                )

    def stats(self) -> Counts:
        """The counts of all runs, this one included."""
        return sum_runs(self.notes.on("runs")) + self.counts

    @property
    def done(self) -> Counts:
        """The counts of this process alone: others may use the store at the same time."""
        return self._logged + self.counts

    def flush(self) -> None:
        """Wait until all results are on the disk, and upstream or given up: one warning later."""
        self.backend.flush()


def _log(store: ref[Store]) -> None:
    if (held := store()) is not None:
        held.log()


def _checked(digest: str) -> str:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise StoreError(
            f"{short_repr(digest)} is not a digest: a digest has 32 of the digits 0-9 and a-f"
        )
    return digest


_stores: dict[str, Store] = {}


def _store_of_worker(address: str, settings: dict[str, Any], formats: Any = ()) -> Store:
    """The store of this process with these settings: one, so that it warns once of each kind.

    formats: of the classes of the script, which this process cannot import
    """
    add_formats(formats)
    upstream, pickle = settings["upstream"], settings["pickle"]
    classes = [*map(id, pickle)] if isinstance(pickle, tuple) else []  # two may have one name
    identity = repr((address, settings, upstream and upstream.__reduce__(), classes))
    if identity not in _stores:
        store = Store(address, **settings)
        store.failures.in_worker = True  # nobody else emits its warnings, or logs its counts
        _stores.setdefault(identity, store)
    return _stores[identity]


def _allowed(pickle: Any) -> Allowed:
    """What a store may pickle."""
    if isinstance(pickle, bool):
        return pickle
    classes = (pickle,) if isinstance(pickle, type) else pickle
    if not isinstance(classes, Iterable) or not all(isinstance(kind, type) for kind in classes):
        raise StoreError(f"pickle={short_repr(pickle)}: give True, False, or classes")
    return tuple(classes)


def _names(option: str, functions: Any) -> frozenset[str]:
    """Names of functions, each given by itself or its name."""
    if isinstance(functions, str) or callable(functions):
        functions = [functions]
    names = []
    for function in functions:
        name = function if isinstance(function, str) else getattr(function, "__name__", None)
        if not isinstance(name, str):
            raise StoreError(f"{option}={short_repr(function)}: give functions, or their names")
        names.append(name)
    return frozenset(names)
