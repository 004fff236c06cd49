"""A value as bytes and back, exactly; loading runs no code of what it reads.

The bytes are, in this order:

    u32, little endian    length of the structure
    structure             one msgpack document: [tree, [length of each buffer]]
    buffers               each begun at the next multiple of 64, after bytes of zero

The last byte is that of the last buffer. In the tree, None, truth values, integers of 64 bits,
floats, texts and bytes stand for themselves. An array of msgpack is a tag and the parts of the
value that the tag stands for, which are trees; there are no maps and no extensions:

    tree = nil | bool | int | float | str | bin | [tag, tree, …]

Some tags take the next buffer, which no other tag takes again: what is loaded is of the size of
the bytes. Types are exact. A subclass, which may hold more than its base, is no value here.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import msgpack

from pipeline.store.storables import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.trees import Reader, Writer, packed, pickled

__all__ = ["CodecError", "UnreadableError", "UnstorableError", "decoded", "encoded"]

_ALIGNMENT = 64
_SMALL = 1 << 12
"""Length of a structure up to which false lengths in it cost nothing."""

_OWN = (MemoryError, RecursionError, ImportError, ZoneInfoNotFoundError)
"""Errors that are the reader's, and not those of the bytes."""

_unpacked = partial(msgpack.unpackb, strict_map_key=False, unicode_errors="surrogatepass")


def encoded(value: Any, pickle: bool = False) -> list[Any]:
    """A value as buffers, to be written one after the other; large arrays are not copied.

    With `pickle`, what has a part without a format here is pickled, as one. Raises
    `UnstorableError` for the rest.

    >>> decoded(b"".join(encoded({"n": [1, 2.5, None]})))
    {'n': [1, 2.5, None]}
    """
    writer = Writer()
    try:
        return _laid_out(writer.tree(value), writer.buffers)
    except UnstorableError:
        if not pickle:
            raise
    except (RecursionError, struct.error, ValueError) as error:
        if not pickle:
            raise UnstorableError(noun(value), f"{error}; store its parts one by one") from error
    # Not the part alone: objects that are in two parts would come back as two.
    return _laid_out(*pickled(value))


def _laid_out(tree: Any, buffers: list[tuple[Any, ...]]) -> list[Any]:
    lengths = [sum(map(len, parts)) for parts in buffers]
    structure = packed([tree, lengths])
    found = [struct.pack("<I", len(structure)) + structure]
    end = len(found[0])
    for parts, length in zip(buffers, lengths, strict=True):
        if fill := -end % _ALIGNMENT:
            found.append(bytes(fill))
        found += parts
        end += fill + length
    return found


def decoded(view: memoryview | bytes, pickle: bool = False) -> Any:
    """The value of these bytes; its arrays lie in them, and can be changed if they can.

    Raises `CodecError`, and nothing else, for all that is no value, and of these `UnreadableError`
    for what may be one elsewhere. What was pickled is one only with `pickle`, since to load it may
    run any code.
    """
    try:
        return _read(memoryview(view).cast("B"), pickle)
    except CodecError:
        raise
    except _OWN as error:
        raise UnreadableError(f"not read: {_said(error)}") from error
    except Exception as error:  # each library has errors of its own for what it cannot read
        raise CodecError(f"no value: {_said(error)}") from error


def _said(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # of a number with too many digits to be shown, say
        return type(error).__name__


def _read(view: memoryview, pickle: bool) -> Any:
    (length,) = struct.unpack_from("<I", view)
    end = 4 + length
    if end > len(view):
        raise CodecError(f"a structure of {length} bytes in {len(view)}")
    structure = view[4:end]
    if length > _SMALL:
        _check_lengths(structure)
    tree, lengths = _unpacked(structure)
    buffers = []
    for each in lengths:
        begin = end + -end % _ALIGNMENT
        if type(each) is not int or each < 0 or begin + each > len(view) or any(view[end:begin]):
            raise CodecError(f"no length of a buffer after {end} of {len(view)} bytes")
        end = begin + each
        buffers.append(view[begin:end])
    if end != len(view):
        raise CodecError(f"{len(view) - end} bytes after the last buffer")
    reader = Reader(buffers, pickle)
    value = reader.value(tree)
    if reader.taken != len(buffers):
        raise CodecError(f"{len(buffers) - reader.taken} buffers that are no part of the value")
    return value


def _check_lengths(structure: memoryview) -> None:
    """Refuse arrays longer than the bytes: msgpack makes room for as many elements as are claimed.

    Nested, these would take a thousand times the bytes; to skip a document makes nothing.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(structure))
    unpacker.feed(structure)
    unpacker.skip()
