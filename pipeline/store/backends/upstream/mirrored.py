"""A store's entries here, and in a place that a team shares: its upstream.

What is missing here is read upstream, verified, and kept here. What is written here is written
upstream in the background. A lease, a bound, a removal and a listing concern this place alone.

    entries                       by name, many at once; a small one comes with its header
    notes on code, by content     one object per topic, which the last writer replaces
    notes on functions            lines of a run in one object; they only explain
    other notes                   stay here: counts of runs, and what tasks pass on
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeVar

from pipeline.store.backends.backend import Backend
from pipeline.store.backends.files import OpenFile
from pipeline.store.backends.index import Stat, Usage
from pipeline.store.backends.locks import Lease, Waiting
from pipeline.store.backends.remote import HEAD
from pipeline.store.backends.upstream.requests import BYTES, Upstream, Warn
from pipeline.store.entry import CodecError, Entry, pieces, unpacked, whole_length

T = TypeVar("T")
Action = Callable[[], None]

_NAMES = 500  # names in one request
_SHARED = ("function", "code", "content")  # kinds of notes that go upstream

_is_near: ContextVar[bool] = ContextVar("is_near", default=False)


@contextmanager
def nearby() -> Iterator[None]:
    """A context in which nothing is requested upstream."""
    before = _is_near.set(True)
    try:
        yield
    finally:
        _is_near.reset(before)


class Host(NamedTuple):
    """What a store does for its backend.

    make_space: evicts for an entry of some bytes, and counts it, with the lock held
    warn: warns later, once of each kind
    """

    max_bytes: int | None
    make_space: Callable[[str, int], None]
    warn: Warn


class Mirrored:
    """Entries here and upstream: a `Backend`. Raises what the backend here raises."""

    is_private = False
    is_distant = True

    def __init__(self, local: Backend, upstream: Upstream, host: Host) -> None:
        self.local, self.upstream, self._host = local, upstream, host
        self.address, self.is_shared, self.is_local = local.address, local.is_shared, local.is_local
        self._held: dict[str, memoryview | None] = {}  # of upstream, until `release`
        self._hidden: set[str] = set()  # removed here: not to be read upstream

    def __repr__(self) -> str:
        return f"{self.local!r} with {self.upstream.name}"

    # What is read upstream

    def known(self, digests: Iterable[str]) -> set[str]:
        requested = set(digests) - {""}
        known = self.local.known(requested)
        for names in _batches(sorted(requested - known)):
            known |= self._ask(names, lambda at, names: at.known(names), set())
        return known

    def distant(self, digests: Iterable[str]) -> list[str]:
        names = list(digests)
        here = self.local.known(names)
        return [*(name for name in names if name not in here), *self.local.distant(here)]

    def fetch(self, digests: Iterable[str], is_whole: bool = False) -> None:
        names = list(dict.fromkeys(digests))
        local = self.local.known(names)
        self.local.fetch(local, is_whole)
        for batch in _batches(name for name in names if name not in local):
            new = [name for name in batch if name not in self._held]
            self._hold(new, self._heads(new, HEAD))
            held = {name: head for name in batch if (head := self._held.get(name))}
            for group in _groups(held) if is_whole else ():
                self._hold(list(group), self._whole(group))

    def _hold(self, names: list[str], found: dict[str, memoryview]) -> None:
        """Hold what was found upstream until `release`, and what is missing there."""
        kept = self.local.known(names)
        for name in names:
            self._held.pop(name, None)
            if name not in kept:
                self._held[name] = found.get(name)

    def release(self) -> None:
        self._held = {}
        self.local.release()

    def heads(self, digests: Iterable[str], length: int) -> Iterator[tuple[str, memoryview]]:
        for batch in _batches(digests):
            heads: dict[str, memoryview | None] = dict(self.local.heads(batch, length))
            missing = [name for name in batch if name not in heads]
            heads |= {name: self._held[name] for name in missing if self._is_held(name, length)}
            heads |= self._heads([name for name in missing if name not in heads], length)
            for name in batch:
                if (head := heads.get(name)) is not None:
                    yield name, head[:length]

    def _is_held(self, digest: str, length: int) -> bool:
        """Whether these first bytes were fetched, or found to be missing."""
        if (head := self._held.get(digest)) is None:
            return digest in self._held
        return length <= HEAD or _is_whole(head)

    def read(self, digest: str) -> tuple[memoryview, Stat] | None:
        if stored := self.local.read(digest):
            return stored
        if digest in self._held:
            head = self._held.pop(digest)
        else:
            head = self._heads([digest], HEAD).get(digest)
        if head is None:
            return None
        whole = head if _is_whole(head) else self._whole({digest: head}).get(digest)
        if whole is None:
            return None
        return self.local.read(digest) or (memoryview(bytearray(whole)), Stat(len(whole), 0.0))

    def _ask(self, names: list[str], action: Callable[..., T], default: T, size: int = 0) -> T:
        """What upstream gives for some names that were not removed here."""
        names = [name for name in names if name not in self._hidden]
        if not names or _is_near.get():
            return default
        warn = self._host.warn
        return self.upstream.ask(lambda at: action(at, names), default, warn, len(names), size)

    def _heads(self, names: list[str], length: int) -> dict[str, memoryview]:
        """The first bytes of entries upstream. Those that are complete are verified and kept."""
        length = max(length, HEAD)
        nothing: dict[str, memoryview] = {}
        heads = self._ask(names, lambda at, names: dict(at.heads(names, length)), nothing)
        return {
            name: head
            for name, head in heads.items()
            if not _is_whole(head) or self._keep(name, head)
        }

    def _whole(self, heads: dict[str, memoryview]) -> dict[str, memoryview]:
        """Entries upstream with all their bytes, verified and kept."""

        def read(at: Backend, names: list[str]) -> dict[str, memoryview]:
            at.fetch(names, True)
            stored = {name: at.read(name) for name in names}
            at.release()
            return {name: found[0] for name, found in stored.items() if found is not None}

        nothing: dict[str, memoryview] = {}
        entries = self._ask(list(heads), read, nothing, sum(map(whole_length, heads.values())))
        return {name: view for name, view in entries.items() if self._keep(name, view)}

    def _keep(self, digest: str, view: memoryview) -> bool:
        """Verify an entry of upstream, and keep it here. False if it is corrupt."""
        try:
            entry, _ = unpacked(view, digest)
        except CodecError as error:
            self._refuse(digest, error)
            return False
        host = self._host
        if host.max_bytes is None or len(view) <= host.max_bytes:
            try:
                with nearby():
                    make_space = partial(host.make_space, digest, len(view))
                    self.local.write(digest, [view], make_space, entry)
            except OSError as error:
                host.warn(
                    f"kept {type(error).__name__} {error.errno}",
                    f"{self.local!r} could not be written: {error.strerror or error}; results are "
                    f"loaded from {self.upstream.name} and not kept here",
                )
        return True

    def _refuse(self, digest: str, reason: CodecError) -> None:
        """Remove a corrupt entry upstream, unless another one has taken its place."""

        def remove(at: Backend) -> None:
            if stored := at.read(digest):
                try:
                    unpacked(stored[0], digest)
                except CodecError:
                    at.remove(digest)

        upstream, done = self.upstream, "is not loaded"
        if not upstream.is_readonly:
            upstream.ask(remove, None, self._host.warn)
            done = "is removed"
        self._hidden.add(digest)
        self._host.warn(
            f"corrupt {digest}", f"{upstream.name}: {digest} {done}, and computed again: {reason}"
        )

    # What is written upstream

    def write(
        self,
        digest: str,
        buffers: list[Any],
        prepare: Action = lambda: None,
        entry: Entry | None = None,
    ) -> None:
        with nearby():
            self.local.write(digest, buffers, prepare, entry)
        self._hidden.discard(digest)
        self._held.pop(digest, None)
        if not self.upstream.is_readonly and self.upstream.is_reachable:
            # A map of the file takes no memory, and stays when the entry is evicted.
            stored = self.local.read(digest)
            view = stored[0] if stored else memoryview(b"".join(pieces(buffers)))
            self.upstream.write(digest, view, self._host.warn)
            if _ends_without_notice():
                self.upstream.flush()

    def write_all(self, entries: Mapping[str, memoryview]) -> None:
        for digest, view in entries.items():
            self.write(digest, [view])

    def flush(self) -> None:
        self.local.flush()
        self.upstream.flush()

    # Notes

    def note(self, topic: str, *lines: str) -> None:
        self.local.note(topic, *lines)
        self._note_upstream(topic, *lines)

    def note_later(self, topic: str, line: str) -> None:
        self.local.note_later(topic, line)
        self._note_upstream(topic, line)

    def _note_upstream(self, topic: str, *lines: str) -> None:
        self._hidden.discard(topic)
        if topic.partition("-")[0] in _SHARED and not self.upstream.is_readonly:
            self.upstream.note(topic, lines, self._host.warn)

    def notes(self, topic: str) -> list[str]:
        lines, kind = self.local.notes(topic), topic.partition("-")[0]
        if kind == "function":
            nothing: list[str] = []
            theirs = self._ask([topic], lambda at, names: at.notes(*names), nothing)
            return [*(line for line in theirs if line not in set(lines)), *lines]
        if lines or kind not in _SHARED:
            return lines
        with self.upstream.sparing() as has_time:
            return self._noted([topic]).get(topic, []) if has_time else []

    def noted(self, topics: Iterable[str]) -> dict[str, list[str]]:
        found = self.local.noted(topics)
        for names in _batches(topic for topic in found if not found[topic]):
            found |= self._noted(names)
        return found

    def _noted(self, topics: list[str]) -> dict[str, list[str]]:
        return self._ask(topics, lambda at, names: at.noted(names), {})

    def forget(self, topic: str) -> None:
        self.local.forget(topic)
        self._hidden.add(topic)

    def topics(self) -> dict[str, float]:
        return self.local.topics()

    # What concerns this place alone

    def remove(self, digest: str) -> int | None:
        self._hidden.add(digest)
        self._held.pop(digest, None)
        return self.local.remove(digest)

    def evict(self, digest: str) -> int | None:
        return self.local.evict(digest)

    def digests(self) -> Iterator[str]:
        return self.local.digests()

    def keep_open(self, digest: str) -> OpenFile | None:
        return self.local.keep_open(digest)

    def stat(self, digest: str) -> Stat | None:
        return self.local.stat(digest)

    def stats(self) -> dict[str, Stat]:
        return self.local.stats()

    def touch(self, digest: str) -> None:
        self.local.touch(digest)

    def trial(self, digest: str, buffers: list[Any]) -> memoryview:
        return self.local.trial(digest, buffers)

    def sweep(self) -> int:
        return self.local.sweep()

    def lease(self, digest: str, waiting: Waiting = nullcontext, task: str = "") -> Lease | None:
        return self.local.lease(digest, waiting, task)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with nearby(), self.local.locked():  # others wait for the lock meanwhile
            yield

    def total(self) -> int:
        return self.local.total()

    def set_total(self, total: int) -> None:
        self.local.set_total(total)

    def count(self) -> int:
        return self.local.count()

    def usage(self) -> Usage:
        return self.local.usage()

    def least_useful(self, most: int) -> tuple[int, list[str]] | None:
        return self.local.least_useful(most)

    def newest(self, most: int | None, function: str | None) -> tuple[list[str], int] | None:
        return self.local.newest(most, function)


def _is_whole(head: memoryview) -> bool:
    """Whether these first bytes of an entry are all of it, or are those of something else."""
    with suppress(CodecError):
        return len(head) >= whole_length(head)
    return True


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    names = list(names)
    for start in range(0, len(names), _NAMES):
        yield names[start : start + _NAMES]


def _groups(heads: dict[str, memoryview]) -> Iterator[dict[str, memoryview]]:
    """Entries whose bytes are not all there, in groups that fit into memory."""
    group: dict[str, memoryview] = {}
    size = 0
    for name, head in heads.items():
        if not _is_whole(head):
            if group and size + whole_length(head) > BYTES:
                yield group
                group, size = {}, 0
            group[name] = head
            size += whole_length(head)
    if group:
        yield group


def _ends_without_notice() -> bool:
    """Whether this process is a worker of a pool, which may end before it has written."""
    if multiprocessing.parent_process() is None:
        return False
    workers = sys.modules.get("distributed.worker")
    return not (workers is not None and list(workers.Worker._instances))
