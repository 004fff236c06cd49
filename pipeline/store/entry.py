"""Entries: one result and the facts about its task, as the bytes of one file; their errors.

Numbers are little-endian; checksums are XXH3 of 128 bits:

    8 bytes    89 'M' 'E' 'M' 'O' 0D 0A 1A
    u32        version of this layout: 2 with `inputs`, `target` and `meant`, 1 without
    u32        length H of the header
    u64        length P of the payload
    16 bytes   checksum of the 24 bytes before, and of the header
    H bytes    header: a msgpack map, the fields of `Entry`
    zeros      up to the next multiple of 64
    P bytes    payload: see `pipeline.store.formats.codec`

The header holds the digest, which is also the name of the file, and the checksum of the payload.
So an entry that was truncated, altered or renamed is recognized from its own bytes.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from struct import Struct
from typing import Any

import msgpack
from xxhash import xxh3_128

from pipeline import PipelineError

DIGEST = re.compile(r"[0-9a-f]{32}")  # the only names that files of entries may have
MAGIC = b"\x89MEMO\r\n\x1a"
VERSION = 2

_ALIGNMENT = 64
_HEAD = Struct("<8sIIQ")
_PREFIX = _HEAD.size + 16
_MAX_HEADER = 1 << 20
_PIECE = 1 << 18  # bytes of a file that are in memory at a time
_LARGEST = 1 << 40  # bytes of a payload that may be true
_FULL_HEADER = 1 << 16  # bytes from which it omits the arguments, of which a sum may have a million
_SHORT_HEADER = 1 << 12  # bytes up to which the facts of a header are kept
_MAX_TIME = 2.0**33  # seconds: some 270 years, which every calendar can show

_PYTHON = platform.python_version()

Checksum = bytes


class CodecError(PipelineError, ValueError):
    """Bytes that are not a value: corrupt or hostile.

    Its text may cite them: it is one line of printable characters, at most 1,000 of them.

    >>> print(CodecError("no class \x1b[2J"))
    no class \\x1b[2J
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:1000]))


class UnreadableError(CodecError):
    """Bytes that may be a value, but not here: a library, a class, memory or leave is missing."""


class UnstorableError(PipelineError, TypeError):
    """A value that cannot be stored.

    `what` names it in a few words: "a lock".

    >>> print(UnstorableError("a lock", "no format for _thread.lock; return numbers"))
    a lock: no format for _thread.lock; return numbers
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what

    def __str__(self) -> str:
        return ": ".join(self.args)


def noun(value: object) -> str:
    """A value in words, by its type.

    >>> noun(1.5), noun([])
    ('a float', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name[:1] in set('aeioAEIO') else 'a'} {name}"


@dataclass(frozen=True)
class Entry:
    """The facts about a stored result.

    function, call: name of the function, and the call as a person writes it
    code: hash of the function and of all that it reaches
    arguments: text and hash of every argument, text and digest of every input
    seconds: duration of the task
    behind: seconds from nothing to this result, on the clock
    loading: expected seconds to load it
    bytes: length of the payload
    created: seconds since 1970
    inputs: what else the result depends on, such as files: kind, name, hash, size, time
    target: the digest of the entry with the result, if it is not this one
    meant: the checksum of that result; another one may have taken its place
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
    python: str = _PYTHON
    checksum: Checksum = b""
    inputs: list[list[Any]] = field(default_factory=list)
    target: str = ""
    meant: Checksum = b""


_KINDS = {"str": (str,), "float": (float, int), "int": (int,), "Checksum": (bytes,)}
_TYPES = {item.name: _KINDS.get(str(item.type), (list,)) for item in fields(Entry)}
_TIMES = [item.name for item in fields(Entry) if item.type == "float"]
_LISTS = {"arguments": [str, str], "inputs": [str, str, str, int, int]}
_NEW: dict[str, Any] = {"inputs": [], "target": "", "meant": b""}
"""Fields that entries of version 1 do not have."""

_packb = partial(msgpack.packb, unicode_errors="surrogatepass")


def packed(entry: Entry, payload: list[Any]) -> list[Any]:
    """An entry as buffers, to be written one after the other; the payload is not copied."""
    length = size(payload)
    facts = {**vars(entry), "bytes": length, "checksum": entry.checksum or checksum(payload)}
    for name in _TIMES:  # a clock that was set back must not make an entry that is refused
        if not 0 <= facts[name] < _MAX_TIME:
            facts[name] = 0
    version = VERSION if entry.inputs or entry.target else 1
    for name in _NEW if version == 1 else ():
        del facts[name]
    text = _packb(facts)
    if len(text) > _FULL_HEADER:
        text = _packb({**facts, "arguments": []})
    if len(text) > _MAX_HEADER:
        raise ValueError(f"a header has {len(text):,} bytes; at most {_MAX_HEADER:,} fit")
    head = _HEAD.pack(MAGIC, version, len(text), length)
    gap = -(_PREFIX + len(text)) % _ALIGNMENT
    return [head + xxh3_128(head + text).digest() + text + bytes(gap), *payload]


class FileBytes:
    """The bytes of a file as a buffer: read anew whenever they are hashed or written.

    path: absolute
    content: their hash. Raises `UnstorableError` after the last piece if it is another now
    """

    def __init__(self, path: str, length: int, content: str) -> None:
        self.path, self.length, self.content = path, length, content

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        hasher, left = xxh3_128(), self.length
        with open(self.path, "rb", buffering=0) as file:
            while left and (piece := file.read(min(left, _PIECE))):
                left -= len(piece)
                hasher.update(piece)
                yield piece
        if left or hasher.hexdigest() != self.content:
            raise UnstorableError(f"File({self.path!r})", "it changed while it was stored")


def pieces(buffers: Iterable[Any]) -> Iterator[Any]:
    """Some buffers as bytes in memory, of a file a piece at a time."""
    for buffer in buffers:
        if type(buffer) is FileBytes:
            yield from buffer
        else:
            yield buffer


def size(buffers: list[Any]) -> int:
    """Bytes in some buffers."""
    total = 0
    for item in buffers:  # not a generator: a small result is measured several times
        total += item.nbytes if type(item) is memoryview else len(item)
    return total


def checksum(buffers: list[Any]) -> bytes:
    """The checksum of some buffers, one after the other."""
    checksum = xxh3_128()
    for piece in pieces(buffers):
        checksum.update(piece)
    return checksum.digest()


def prefixed(view: memoryview) -> int:
    """How many bytes precede the payload of an entry. Raises `CodecError`."""
    if len(view) < _PREFIX:
        raise CodecError(f"not an entry: {len(view)} bytes; the shortest has {_PREFIX}")
    magic, version, length, _ = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise CodecError(f"not an entry: it begins with {magic!r}")
    if not 1 <= version <= VERSION:
        raise CodecError(f"an entry of version {version}: this program reads 1 to {VERSION}")
    if length > _MAX_HEADER:
        raise CodecError(f"not an entry: its header has {length} bytes")
    return int(-(-(_PREFIX + length) // _ALIGNMENT) * _ALIGNMENT)


def whole_length(view: memoryview) -> int:
    """How many bytes an entry has, as its first bytes say. Raises `CodecError`."""
    return prefixed(view) + min(int(_HEAD.unpack_from(view)[3]), _LARGEST)


def header(view: memoryview, digest: str) -> Entry:
    """The facts in an entry; its first bytes are enough. Raises `CodecError`."""
    start = prefixed(view)
    head = bytes(view[:start])
    entry = _entry(head) if start <= _SHORT_HEADER else _entry.__wrapped__(head)
    if entry.digest != digest:
        raise CodecError(f"an entry of another task: its digest is {entry.digest}")
    return entry


@lru_cache(1 << 12)  # reading the facts again takes half of the time of a hit
def _entry(data: bytes) -> Entry:
    """The facts in the bytes before a payload. Raises `CodecError`."""
    _, version, length, payload = _HEAD.unpack_from(data)
    text, gap = data[_PREFIX : _PREFIX + length], data[_PREFIX + length :]
    expected = data[_HEAD.size : _PREFIX]
    if len(text) < length or xxh3_128(data[: _HEAD.size] + text).digest() != expected:
        raise CodecError("a corrupt entry: the checksum of its header is wrong")
    try:
        facts = msgpack.unpackb(text, unicode_errors="surrogatepass")
    except Exception as error:
        raise CodecError(f"not an entry: its header is not msgpack, {error}") from None
    if version == 1 and isinstance(facts, dict):
        facts = {**_NEW, **facts}
    if fault := _fault(facts):
        raise CodecError(f"not an entry: {fault}")
    if facts["bytes"] != payload or gap.strip(b"\0"):
        raise CodecError("not an entry: its lengths contradict each other")
    return Entry(**facts)


def _fault(facts: Any) -> str:
    """The first reason why a header is not that of an entry."""
    if not isinstance(facts, dict) or facts.keys() != _TYPES.keys():
        return "its header has other fields"
    for name, kinds in _TYPES.items():
        if type(facts[name]) not in kinds:
            return f"its {name} is a {type(facts[name]).__name__}"
    target = facts["target"] or facts["digest"]
    if not DIGEST.fullmatch(facts["digest"]) or not DIGEST.fullmatch(target):
        return "its digest is malformed"  # not shown: it may hold anything
    if not all(0 <= facts[name] < _MAX_TIME for name in _TIMES) or facts["bytes"] < 0:
        return "a number in it is negative, too large, or none"
    for name, types in _LISTS.items():
        if any(type(item) is not list or list(map(type, item)) != types for item in facts[name]):
            return f"its {name} are malformed"
    return ""


def unpacked(view: memoryview, digest: str, is_verified: bool = False) -> tuple[Entry, memoryview]:
    """An entry and its payload, which is verified here or was before. Raises `CodecError`."""
    entry = header(view, digest)
    payload = view[prefixed(view) :]
    if len(payload) != entry.bytes:
        raise CodecError(f"a corrupt entry: {len(payload):,} bytes instead of {entry.bytes:,}")
    if not is_verified and xxh3_128(payload).digest() != entry.checksum:
        raise CodecError("a corrupt entry: its checksum is wrong")
    return entry, payload
