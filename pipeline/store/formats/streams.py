"""Streams of Arrow: a schema, dictionaries and batches, checked before and after Arrow reads them.

A stream may be compressed, name classes to make of it, or claim lengths without bytes. Such ones
are neither written nor read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.store.entry import CodecError, UnstorableError

_EXTENSION = b"ARROW:extension"  # metadata by which Arrow makes objects of registered classes
_HOLLOW, _PER_BYTE = 1024, 64  # elements without bytes, and those for each byte


def stream_of(schema: Any, batches: Iterable[Any]) -> memoryview:
    """Batches as a stream."""
    import pyarrow

    for kind in schema.types:
        if not _is_known(kind):
            raise UnstorableError(f"a column of {kind}", "cast it to a plain type of Arrow")
    if _EXTENSION in memoryview(schema.serialize()).tobytes():
        raise UnstorableError("a schema of extension types", "cast them to their storage types")
    batches = list(batches)
    sink = pyarrow.BufferOutputStream()
    options = pyarrow.ipc.IpcWriteOptions(unify_dictionaries=False, emit_dictionary_deltas=False)
    with pyarrow.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    view = memoryview(sink.getvalue()).cast("B")
    for batch in batches:
        if count := _excess(batch, len(view)):
            raise UnstorableError("a table", f"it has {count} elements in {len(view)} bytes")
    return view


def _excess(batch: Any, length: int) -> int:
    """The elements of a batch, if they are too many for so many bytes; else 0."""
    count = batch.num_rows + sum(many for column in batch.columns for many in _lengths(column))
    return count if count > _PER_BYTE * length + _HOLLOW else 0


def _size(batch: Any) -> int:
    """The bytes of a batch: a byte that two columns share counts twice."""
    if not any("view" in str(kind) for kind in batch.schema.types):
        return int(batch.nbytes)
    # Older versions do not know `nbytes` of views of texts.
    buffers = [buffer for column in batch.columns for buffer in column.buffers()]
    return sum(buffer.size for buffer in buffers if buffer is not None)


def read_batches(view: memoryview) -> tuple[Any, list[Any]]:
    """The schema and the batches of a stream, in its bytes."""
    import pyarrow

    for place, message in enumerate(pyarrow.ipc.MessageReader.open_stream(pyarrow.py_buffer(view))):
        _check_message(message, place)
    with pyarrow.ipc.open_stream(pyarrow.py_buffer(view)) as reader:
        if not all(map(_is_known, reader.schema.types)):
            raise CodecError("a stream of Arrow with columns of other types")
        batches = list(reader)
    for batch in batches:
        if count := _excess(batch, len(view)):
            raise CodecError(f"a stream of Arrow with {count} elements in {len(view)} bytes")
        batch.validate(full=True)
        if (size := _size(batch)) > len(view):
            raise CodecError(f"a stream of Arrow with {size} bytes in {len(view)}")
    return reader.schema, batches


def _check_message(message: Any, place: int) -> None:
    """Refuse, before Arrow unpacks it, what may fill all memory or name a class."""
    import pyarrow

    paths = {"record batch": (2, 3), "dictionary": (2, 1, 3)}  # of the field of the compression
    if (message.type == "schema") != (place == 0) or message.type not in {*paths, "schema"}:
        raise CodecError(f"a stream of Arrow with a {message.type} at place {place}")
    data = memoryview(message.metadata).cast("B")
    # Version 4 hides compression elsewhere.
    is_known = message.metadata_version == pyarrow.ipc.MetadataVersion.V5
    if not is_known or _has_field(data, paths.get(message.type, ())):
        raise CodecError("a stream of Arrow that is compressed, or of another version")
    if place == 0 and _EXTENSION in data.tobytes():
        raise CodecError("a stream of Arrow that names classes")


def _has_field(message: memoryview, path: tuple[int, ...]) -> bool:
    """Whether a field of a table in a table of a message is set; False for no path.

    A message is a flatbuffer, which PyArrow does not show: a table begins with the distance back
    to the offsets of its fields; an offset of 0 is a field that is not set.
    """
    (table,) = struct.unpack_from("<I", message)
    for number in path:
        fields = table - struct.unpack_from("<i", message, table)[0]
        if fields < 0:  # Python would count from the end
            raise CodecError("a message of Arrow with a table before it")
        (size,) = struct.unpack_from("<H", message, fields)
        if size <= 4 + 2 * number:
            return False
        (offset,) = struct.unpack_from("<H", message, fields + 4 + 2 * number)
        if not offset:
            return False
        table += offset + struct.unpack_from("<I", message, table + offset)[0]
    return bool(path)


def is_flat(kind: Any) -> bool:
    """Whether a type is that of numbers, times or texts."""
    import pyarrow

    texts = pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.large_binary()
    return pyarrow.types.is_primitive(kind) or pyarrow.types.is_decimal(kind) or kind in texts


def _is_known(kind: Any) -> bool:
    """Whether a stream keeps a type, and all its elements are counted."""
    import pyarrow

    types = pyarrow.types
    if types.is_dictionary(kind):
        return _is_known(kind.value_type)
    if types.is_nested(kind):
        are_counted = (
            types.is_struct(kind) or types.is_map(kind) or types.is_list(kind)
            or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        )  # fmt: skip
        return are_counted and all(
            _is_known(kind.field(place).type) for place in range(kind.num_fields)
        )
    is_view = types.is_string_view(kind) or types.is_binary_view(kind)
    return is_flat(kind) or is_view or types.is_null(kind) or types.is_fixed_size_binary(kind)


def _lengths(array: Any) -> Iterator[int]:
    """The lengths of an array and of the arrays in it."""
    import pyarrow

    yield len(array)
    kind = array.type
    inner: list[Any] = []
    if pyarrow.types.is_dictionary(kind):
        inner = [array.dictionary]
    elif pyarrow.types.is_struct(kind):
        inner = [array.field(place) for place in range(kind.num_fields)]
    elif pyarrow.types.is_map(kind):
        inner = [array.keys, array.items]
    elif pyarrow.types.is_nested(kind):
        inner = [array.values]
    for part in inner:
        yield from _lengths(part)
