"""Values that were used lately, kept in this process.

Nobody shares them: who loads a value gets a copy, and the value of who stored it is his own.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, NamedTuple

from dask.sizeof import sizeof
from dask.utils import format_bytes, parse_bytes

from pipeline.identity import ATOMS, short_repr
from pipeline.store.errors import StoreError

MISSING = object()
"""In place of a value that is not kept."""


class _Kept(NamedTuple):
    """A value, and the checksum of its bytes in the store."""

    value: Any
    checksum: bytes
    bytes: int


class Memory:
    """Values by digest; the least recently used is dropped first.

    max_bytes: of all values, as `dask.sizeof` estimates them: a number, or text as "200MB"

    Raises `StoreError` for another size.
    """

    def __init__(self, max_bytes: int | str) -> None:
        try:
            self.max_bytes = parse_bytes(max_bytes)
        except (ValueError, AttributeError, TypeError):
            self.max_bytes = 0
        if self.max_bytes < 1:
            raise StoreError(f'memory={short_repr(max_bytes)}: give a size, such as "200MB"')
        self.bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"{format_bytes(self.bytes)} of {format_bytes(self.max_bytes)}"

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, digest: str, checksum: bytes) -> Any:
        """A copy of a value. `MISSING` if it is not kept, or another one is."""
        kept = self._kept.get(digest)
        if kept is None or kept.checksum != checksum:
            return MISSING
        with self._lock:
            if digest in self._kept:
                self._kept.move_to_end(digest)
        return kept.value if type(kept.value) in ATOMS else _copy(kept.value)

    def put(self, digest: str, checksum: bytes, value: Any) -> None:
        """Keep a copy of a value, if it can be copied and is not too large."""
        size = _size(value)
        if size > self.max_bytes or (own := _copy(value)) is MISSING:
            return
        with self._lock:
            self._drop(digest)
            self._kept[digest] = _Kept(own, checksum, size)
            self.bytes += size
            while self.bytes > self.max_bytes:
                self._drop(next(iter(self._kept)))

    def drop(self, digest: str) -> None:
        """Forget a value."""
        with self._lock:
            self._drop(digest)

    def _drop(self, digest: str) -> None:
        if (kept := self._kept.pop(digest, None)) is not None:
            self.bytes -= kept.bytes


def _copy(value: Any) -> Any:
    # Late: what makes copies is used by stores with a memory alone.
    from pipeline.share import copied

    try:
        return copied(value)
    except Exception:  # a class may raise anything
        return MISSING


def _size(value: Any) -> int:
    try:
        return int(sizeof(value))
    except Exception:  # a value's own `__sizeof__` may raise anything
        return 1 << 62
