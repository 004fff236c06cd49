"""Entries: what a store keeps of one task, as the bytes of one file.

An entry is laid out as follows; numbers are little-endian, checksums are XXH3 of 128 bits:

    8 bytes    89 'M' 'E' 'M' 'O' 0D 0A 1A
    u32        version of this layout, 1
    u32        length H of the header
    u64        length P of the payload
    16 bytes   checksum of the 24 bytes before, and of the header
    H bytes    header: a msgpack map
    zeros      up to the next multiple of 64
    P bytes    payload: see `pipeline.codec`

The header tells the digest, which is also the name of the file, what the task was, what it took,
and the checksum of the payload. So a file that was torn, changed, or put under another name is
known from itself.
"""

from __future__ import annotations

import platform
import re
import time
from dataclasses import dataclass, field, fields
from functools import partial
from struct import Struct
from typing import Any

import msgpack
from xxhash import xxh3_128

from pipeline.store.codec import CodecError

DIGEST = re.compile(r"[0-9a-f]{32}")
"""What an entry may be called; nothing else becomes a name of a file."""

MAGIC = b"\x89MEMO\r\n\x1a"
VERSION = 1
ALIGNED = 64

_HEAD = Struct("<8sIIQ")
_PREFIX = _HEAD.size + 16
_LONGEST = 1 << 20
"""Bytes of a header, at the most."""

_TOLD = 1 << 16
"""Bytes of a header over which it does not tell the arguments: a sum may have a million."""


Checksum = bytes


@dataclass(frozen=True)
class Entry:
    """What is known of a stored result.

    function, call: name of the function, and the call as a person writes it
    code: hash of the function and of all that it reaches
    arguments: of each argument a text and a hash, of an input a text and its digest
    seconds: that the task took
    behind: seconds from nothing to this result, on the clock
    loading: seconds that loading it was expected to take
    bytes: of the payload
    created: seconds since 1970
    """

    digest: str
    function: str = ""
    call: str = ""
    code: str = ""
    arguments: list[list[str]] = field(default_factory=list)
    seconds: float = 0.0
    behind: float = 0.0
    loading: float = 0.0
    bytes: int = 0
    created: float = field(default_factory=time.time)
    python: str = field(default_factory=platform.python_version)
    checksum: Checksum = b""


_TYPES: dict[str, tuple[type, ...]] = {
    each.name: {"str": (str,), "float": (float, int), "int": (int,), "Checksum": (bytes,)}.get(
        str(each.type), (list,)
    )
    for each in fields(Entry)
}

_TIMES = [each.name for each in fields(Entry) if str(each.type) == "float"]

_LATEST = 2.0**33
"""Seconds, below which all times are: three hundred years, and no more than a calendar knows."""


def packed(entry: Entry, payload: list[Any]) -> list[Any]:
    """An entry as buffers to be written one after the other; the payload is not copied."""
    taken = size(payload)
    header = {**vars(entry), "bytes": taken, "checksum": checksum(payload)}
    for name in _TIMES:  # a clock may have been set back meanwhile
        header[name] = header[name] if 0 <= header[name] < _LATEST else 0
    text = _packed(header)
    if len(text) > _TOLD:
        text = _packed({**header, "arguments": []})
    if len(text) > _LONGEST:
        raise ValueError(f"a header of {len(text):,} bytes: {_LONGEST:,} are the most")
    head = _HEAD.pack(MAGIC, VERSION, len(text), taken)
    gap = -(_PREFIX + len(text)) % ALIGNED
    return [head + xxh3_128(head + text).digest() + text + bytes(gap), *payload]


_packed = partial(msgpack.packb, unicode_errors="surrogatepass")


def size(buffers: list[Any]) -> int:
    """Bytes in some buffers."""
    return sum(each.nbytes if type(each) is memoryview else len(each) for each in buffers)


def checksum(buffers: list[Any]) -> bytes:
    """The checksum of some buffers, one after the other."""
    found = xxh3_128()
    for each in buffers:
        found.update(each)
    return found.digest()


def prefixed(view: memoryview) -> int:
    """How many bytes an entry takes before its payload. Raises `CodecError`."""
    if len(view) < _PREFIX:
        raise CodecError(f"no entry: {len(view)} bytes, and {_PREFIX} are the least")
    magic, version, length, _ = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise CodecError("no entry: it begins otherwise")
    if version != VERSION:
        raise CodecError(f"an entry of version {version}: this program reads {VERSION}")
    if length > _LONGEST:
        raise CodecError(f"no entry: a header of {length} bytes")
    return int(-(-(_PREFIX + length) // ALIGNED) * ALIGNED)


def header(view: memoryview) -> Entry:
    """The header of an entry, whose beginning is enough for it. Raises `CodecError`."""
    start = prefixed(view)
    length, payload = _HEAD.unpack_from(view)[2:]
    text = bytes(view[_PREFIX : _PREFIX + length])
    found = bytes(view[_HEAD.size : _PREFIX])
    if len(text) < length or xxh3_128(bytes(view[: _HEAD.size]) + text).digest() != found:
        raise CodecError("a torn entry: the checksum of its header is another")
    try:
        told = msgpack.unpackb(text, unicode_errors="surrogatepass")
    except Exception as error:
        raise CodecError(f"no entry: a header that is no msgpack, {error}") from None
    entry = _entry(told)
    if entry.bytes != payload or bytes(view[_PREFIX + length : start]).strip(b"\0"):
        raise CodecError("no entry: its lengths contradict each other")
    return entry


def _entry(told: Any) -> Entry:
    if not isinstance(told, dict) or told.keys() != _TYPES.keys():
        raise CodecError("no entry: a header with other fields")
    for name, kinds in _TYPES.items():
        if type(told[name]) not in kinds:
            raise CodecError(f"no entry: its {name} is a {type(told[name]).__name__}")
    if not DIGEST.fullmatch(told["digest"]):  # nor is it shown, whatever it holds
        raise CodecError("no entry: its digest is none")
    if not all(0 <= told[name] < _LATEST for name in _TIMES) or told["bytes"] < 0:
        raise CodecError("no entry: a number in it is negative, too large, or none")
    if not all(
        isinstance(each, list) and len(each) == 2 and all(type(part) is str for part in each)
        for each in told["arguments"]
    ):
        raise CodecError("no entry: its arguments are no pairs of texts")
    return Entry(**told)


def unpacked(view: memoryview, digest: str, is_verified: bool = False) -> tuple[Entry, memoryview]:
    """An entry, and the bytes of its payload, verified. Raises `CodecError`."""
    entry = header(view)
    payload = view[prefixed(view) :]
    if entry.digest != digest:
        raise CodecError(f"an entry of another task: it says {entry.digest}")
    if len(payload) != entry.bytes:
        raise CodecError(f"a torn entry: {len(payload):,} bytes in place of {entry.bytes:,}")
    if not is_verified and xxh3_128(payload).digest() != entry.checksum:
        raise CodecError("a torn entry: its checksum is another")
    return entry, payload
