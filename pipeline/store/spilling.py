"""Workers of Dask that are short of memory write no value to their disk that a store has.

Dask spills the values that were used least lately. Where one is stored in a folder, the worker
keeps the file of the entry open instead, and loads it when a task needs the value. So nobody can
remove it. All else is spilled by Dask: values of a store at a URL, small ones, and those without
weak references, such as lists.

This relies on what Dask does not promise: the `data` of a worker is a `SpillBuffer`, whose `slow`
is a cache around a `Slow`. Where they are something else, Dask spills all values.
`tests/store/test_spilling.py` fails where that changes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from dask.typing import Key

from pipeline.store.backends import HEAD, OpenFile
from pipeline.store.costs import estimated_bytes
from pipeline.store.entry import CodecError, Entry, header, prefixed, unpacked
from pipeline.store.errors import LostError

if TYPE_CHECKING:
    from pipeline.store.store import Store

_LARGE = 1 << 20  # bytes of a payload from which on its file is kept open: these are not many


class _Place(NamedTuple):
    """Where a value is stored."""

    store: Store
    digest: str
    checksum: bytes


_places: dict[int, tuple[ref[Any], _Place]] = {}
"""Of the values in this process, by their `id`."""

_replacing = Lock()  # a second `_Spilled` would not have the values of the first


def note_place(store: Store, entry: Entry, value: Any) -> None:
    """Note the entry of a value, for the worker that runs the current task."""
    if entry.bytes >= _LARGE and _is_spilled_here():
        _note(_Place(store, entry.digest, entry.checksum), value)


def _note(place: _Place, value: Any) -> None:
    number = id(value)
    with suppress(TypeError):  # it has no weak references
        _places[number] = ref(value, lambda _: _places.pop(number, None)), place


def _is_spilled_here() -> bool:
    """Whether values of the current worker are spilled by `_Spilled`."""
    try:
        data = sys.modules["distributed.worker"].get_worker().data
        spill = sys.modules["distributed.spill"]
        cache = data.slow
        kinds = spill.SpillBuffer, spill.zict.Cache, spill.Slow
        with _replacing:
            if (type(data), type(cache), type(cache.data)) == kinds:
                cache.data = _Spilled(cache.data)
        return type(cache.data) is _Spilled
    except (AttributeError, KeyError, ValueError):  # no worker, or none that spills so
        return False


class _Stored:
    """A spilled value that a store has.

    Raises `LostError` where its entry is another one, is missing, or cannot be kept open.
    """

    def __init__(self, place: _Place, size: int) -> None:
        self._place, self.size = place, size
        file = place.store.backend.keep_open(place.digest)
        if file is None or _header(file, place.digest).checksum != place.checksum:
            raise LostError(place.digest)
        self._file: OpenFile = file

    def load(self) -> Any:
        """The value. Raises `LostError` if the file is corrupt."""
        store, digest, _ = self._place
        try:
            value = store.value(*unpacked(self._file.read(), digest))
        except CodecError as error:
            store.open(digest)  # which removes a corrupt entry
            raise LostError(f"{store.url}: {digest} is corrupt: run it again: {error}") from error
        _note(self._place, value)
        return value


def _header(file: OpenFile, digest: str) -> Entry:
    """The header of an entry, without its payload: the worker is short of memory."""
    return header(file.read(prefixed(file.read(HEAD))), digest)


class _Spilled(MutableMapping[Key, Any]):
    """The spilled values of a worker: those of a store, and others, which Dask writes.

    others: Dask's `Slow`
    """

    def __init__(self, others: Any) -> None:
        self._others, self._stored = others, dict[Key, _Stored]()

    def __setitem__(self, key: Key, value: Any) -> None:
        seen, place = _places.get(id(value), (lambda: None, None))
        if place is not None and seen() is value:
            with suppress(LostError, CodecError, OSError):
                self._stored[key] = _Stored(place, estimated_bytes(value))
                return
        self._others[key] = value

    def __getitem__(self, key: Key) -> Any:
        stored = self._stored.get(key)
        return self._others[key] if stored is None else stored.load()

    def __delitem__(self, key: Key) -> None:
        if self._stored.pop(key, None) is None:
            del self._others[key]

    def __contains__(self, key: object) -> bool:
        return key in self._stored or key in self._others

    def __iter__(self) -> Iterator[Key]:
        yield from list(self._stored)
        yield from self._others

    def __len__(self) -> int:
        return len(self._stored) + len(self._others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)

    @property
    def total_weight(self) -> Any:
        """The bytes of all, in memory and on the worker's disk, as Dask's `SpilledSize`."""
        total = self._others.total_weight
        stored = sum(value.size for value in list(self._stored.values()))
        return total._replace(memory=total.memory + stored)
