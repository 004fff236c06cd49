"""Tasks of a run with a store: those that store their results, and those that load them."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from dask.sizeof import sizeof

from pipeline.cache.causes import described
from pipeline.graph import CallTask
from pipeline.store import LostError, StoreError, UnstorableError, is_storable, of_the_script, topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.store import Entry, Store


class SaveTask(CallTask):
    """A task whose result is stored."""

    __slots__ = ()


class Load:
    """The value of an entry, which was verified when the run was planned, or is now.

    held: the entry, open: it stays readable when it is removed
    otherwise: what computes the value where it cannot be loaded; without it that is a `LostError`,
        for whoever planned the run to plan it again
    """

    def __init__(
        self,
        store: Store,
        digest: str,
        held: tuple[Entry, memoryview] | None = None,
        otherwise: Callable[[], Any] | None = None,
    ) -> None:
        self.store, self.digest, self.held, self.otherwise = store, digest, held, otherwise

    def __call__(self) -> Any:
        try:
            found = self.held or self.store.open(self.digest)
            if found is not None:
                return self.store.value(*found)
        except LostError:
            if self.otherwise is None:
                raise
        if self.otherwise is not None:
            return self.otherwise()
        raise LostError(
            f"{self.digest} was in {self.store.url} when the run began, and cannot be loaded here: "
            "run it again; on a cluster every worker must reach the store"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.store, self.digest, self.otherwise, of_the_script())


def _load(
    store: Store, digest: str, otherwise: Callable[[], Any] | None, kinds: tuple[type, ...]
) -> Load:
    """In another process, which must know the classes of what it loads."""
    for each in kinds:
        is_storable(each)
    return Load(store, digest, otherwise=otherwise)


class Save:
    """A function whose result is stored, when that is worth it.

    One process or thread computes at a time; those who waited for it load what it has stored.

    told: fields of the entry: what the task was
    source: what the entry's code is the digest of
    is_always: whether to store results that are quicker to compute than to load
    begun: when the run did, in seconds since 1970
    behind: seconds that what this run loaded had once taken
    """

    def __init__(
        self, store: Store, digest: str, function: Callable[..., Any], told: dict[str, Any],
        source: Any, is_always: bool, begun: float, behind: float,
    ) -> None:  # fmt: skip
        self.store, self.digest, self.function, self.told = store, digest, function, told
        self.source, self.is_always, self.begun, self.behind = source, is_always, begun, behind

    def __call__(self, *values: Any) -> Any:
        store, lease = self.store, None
        if self.is_always or self.told["function"] not in store.quick:
            with store.tolerating("written") as reach:
                lease = store.lease(self.digest, _waiting) if reach else None
        is_stored = False
        try:
            if lease is not None and (found := store.open(self.digest)) is not None:
                is_stored = True
                try:
                    return store.value(*found)
                except LostError:
                    is_stored = False
            start = time.perf_counter()
            value = self.function(*values)
            seconds = time.perf_counter() - start
            is_stored = self._stored(value, seconds)
            return value
        finally:
            if lease is not None:
                lease.end(is_stored)

    def _stored(self, value: Any, seconds: float) -> bool:
        """Store a value, if that is worth it and can be done."""
        store, told = self.store, self.told
        if not self.is_always:
            is_quick = seconds < _LEAST or seconds < store.cost(_size(value))
            (store.quick.add if is_quick else store.quick.discard)(told["function"])
            if is_quick:
                return False
        behind = self.behind + max(time.time() - self.begun, seconds)
        is_stored = stored(
            store, self.digest, value, {**told, "seconds": seconds, "behind": behind}
        )
        if is_stored and told["code"]:
            store.note_once(f"code-{told['code']}", partial(described, self.source))
        return is_stored


def stored(store: Store, digest: str, value: Any, told: dict[str, Any]) -> bool:
    """Store a value, and tell it if that cannot be done.

    told: fields of the entry
    """
    loading = store.cost(_size(value))
    with store.tolerating("written") as reach:
        if not reach:
            return False
        try:
            store.put(digest, value, loading=loading, **told)
        except (UnstorableError, StoreError) as error:
            what = getattr(error, "what", "a result that is too large")
            store.warn_later(f"not stored {told['function']} {what}",
                       f"{told['call']} is not stored: {error}")  # fmt: skip
            line = [digest, told["code"], told["arguments"], f"not storable: {what}"]
            store.note(topic(told["function"]), line)
            return False
        return True
    return False


@contextmanager
def _waiting() -> Iterator[None]:
    """Meanwhile a worker of a cluster runs other tasks: what is waited for may need one of them."""
    distributed = sys.modules.get("distributed")
    try:
        if distributed is None:
            raise ValueError("no cluster")
        distributed.secede()
    except Exception:  # this is no thread of a worker
        yield
        return
    try:
        yield
    finally:
        distributed.rejoin()


def _size(value: Any) -> int:
    try:
        return int(sizeof(value))
    except Exception:  # of the value's own: its result is worth more than its size
        return 0


_LEAST = 1e-3
"""Seconds under which no inner task is stored: to write a file takes as long."""
