"""Values as bytes and back, exactly; loading runs no code of what it reads.

The bytes are, in this order:

    u32, little endian    length of the structure
    structure             one msgpack document: [tree, [length of each buffer]]
    buffers               each begins at the next multiple of 64, after bytes of zero

The last byte is that of the last buffer. In the tree, None, truth values, integers of 64 bits,
floats, texts and bytes are themselves. An array of msgpack is a tag and the parts of a value of
the tag's format, which are trees; there are no maps and no extensions:

    tree = nil | bool | int | float | str | bin | [tag, tree, …] | [14, number]

An object that others may write into is stored once: where it is again, there is its number among
such objects, in the order in which they are complete. So `[row, row]` comes back with one row.
Some formats have a buffer beside their parts: each takes the next one, so what is loaded is as
large as the bytes. Types are exact: a subclass may hold more than its base, and has no format.
Dataclasses, named tuples and enums of the program have one: see `objects`. All formats in two
functions, of the program or of `libraries`, have one tag; the name of the format is the first part.
"""

from __future__ import annotations

import dataclasses
import pickle
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from traceback import format_exception_only
from types import EllipsisType, NoneType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgpack
import numpy as np

from pipeline.identity import ATOMS, File, objects_in
from pipeline.store.entry import CodecError, FileBytes, UnreadableError, UnstorableError, noun
from pipeline.store.formats import arrays, files, objects, pickles, registered, tables
from pipeline.store.formats.pickles import Allowed
from pipeline.store.formats.registered import path_of

_ALIGNMENT = 64
_MAX_DEPTH = 200
_SMALL_STRUCTURE = 1 << 12  # length up to which false lengths in it cost nothing
_LONG_TEXT = 1 << 16  # length from which texts and bytes have a buffer
_PICKLE = 3
_LAST_BUFFERED = 9  # formats with tags up to this have a buffer, the first of their parts
_SAME = 14
_MUTABLE = frozenset({1, 2, 12, 13, 20, 22, 23, 33, 52, 53, 60})
_REBUILT = frozenset({13, 60})
_HOLDING = _REBUILT | {20, 21, 22}  # formats whose parts are objects that others may know

_PLAIN = frozenset({NoneType, bool, float, int, str, bytes})
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1

# Errors of the reader, not of the bytes.
_OWN_ERRORS = (MemoryError, RecursionError, ImportError, ZoneInfoNotFoundError)

_Seen = dict[int, tuple[int, Any]]
"""The numbers of mutable objects, by id; each with its object, so that no other gets its id."""

_packed = partial(msgpack.packb, unicode_errors="surrogatepass")
_unpacked = partial(msgpack.unpackb, strict_map_key=False, unicode_errors="surrogatepass")


class _Format(NamedTuple):
    """How values of a type become parts, which are values, and are built from them again.

    Whatever builds a value checks the parts: they may come from a file that anyone wrote. It makes
    nothing that is larger than they are.
    """

    tag: int
    kind: type
    parts: Callable[[Any], Sequence[Any]]
    build: Callable[..., Any]
    types: set[type] | None  # that parts may have; None for all


def encoded(value: Any, pickle: Allowed = False) -> list[Any]:
    """A value as buffers, to be written one after the other; large arrays are not copied.

    With `pickle`, a value that has a part without a format is pickled as a whole; with classes, if
    all its parts without a format are objects of these. Raises `UnstorableError` for other values
    without a format.

    >>> decoded(b"".join(encoded({"n": [1, 2.5, None]})))
    {'n': [1, 2.5, None]}
    """
    if type(value) in _PLAIN and _are_plain((value,)):
        return _laid_out(value, [])
    buffers: list[list[Any]] = []
    found: list[File] = []
    token = files.encountered.set(found)
    try:
        tree = _tree(value, buffers, {})
        if found:
            _check_files(value, found)
        return _laid_out(tree, buffers)
    except (UnstorableError, RecursionError, struct.error, ValueError) as error:
        # As a whole: an object that is in two parts would come back as two objects.
        if pickle is True:
            return _laid_out([_PICKLE], [[pickles.pickled(value)]])
        if pickle and (tree := _named_pickle(value, pickle, buffers := [])):
            return _laid_out(tree, buffers)
        if isinstance(error, UnstorableError):
            raise
        raise UnstorableError(noun(value), f"{error}; store its parts one by one") from error
    finally:
        files.encountered.reset(token)


def _check_files(value: Any, found: list[File]) -> None:
    """Raise `UnstorableError` for files that `files_in` does not find: nobody looked at them."""
    known = set(map(id, files_in(value)))
    for file in found:
        if id(file) not in known:
            why = f"it holds {file!r}; return the File beside it, in a list, tuple or dict"
            raise UnstorableError(noun(value), why)


def _laid_out(tree: Any, buffers: list[list[Any]]) -> list[Any]:
    lengths = [sum(map(len, parts)) for parts in buffers]
    structure = _packed([tree, lengths])
    output = [struct.pack("<I", len(structure)) + structure]
    end = len(output[0])
    for parts, length in zip(buffers, lengths, strict=True):
        output += [bytes(-end % _ALIGNMENT), *parts]
        end += -end % _ALIGNMENT + length
    return [part for part in output if len(part)]


def _tree(value: Any, buffers: list[list[Any]], seen: _Seen | None, depth: int = 0) -> Any:
    """The tree of a value; appends its buffers to `buffers`.

    seen: the numbers of mutable objects, by id; None where no object is known from elsewhere
    """
    if type(value) in _PLAIN and _are_plain((value,)):
        return value
    if depth == _MAX_DEPTH:
        raise UnstorableError(
            noun(value), f"it is nested over {_MAX_DEPTH} deep, or contains itself; return it flat"
        )
    form = _format_of(value)
    if seen is not None and form.tag in _MUTABLE and id(value) in seen:
        return [_SAME, seen[id(value)][0]]
    tree = [form.tag, *_trees_of_parts(value, form, buffers, seen, depth)]
    if seen is not None and form.tag in _MUTABLE:
        seen[id(value)] = len(seen), value
    return tree


def _trees_of_parts(
    value: Any, form: _Format, buffers: list[list[Any]], seen: _Seen | None, depth: int
) -> Iterable[Any]:
    parts = form.parts(value)
    if form.kind in (set, frozenset):
        return _in_order(parts, buffers, depth)
    own: Sequence[Any] = ()
    if form.tag <= _LAST_BUFFERED:
        own, parts = parts[:1], parts[1:]
    inner = seen if form.tag in _HOLDING else None
    # No map: a StopIteration raised inside would end it early.
    trees = (
        parts if _are_plain(parts) else [_tree(part, buffers, inner, depth + 1) for part in parts]
    )
    if form is _TABLE:
        tables.check_table(value, *own, *parts)
    buffers += own
    return trees


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether all values are their own trees; for a million it takes some 20 ms."""
    kinds = set(map(type, values))
    if not kinds <= _PLAIN:
        return False
    if int in kinds:
        integers = values if len(kinds) == 1 else [item for item in values if type(item) is int]
        if not _MIN_INT <= min(integers) <= max(integers) <= _MAX_INT:
            return False
    if kinds == {str} or kinds == {bytes}:
        return max(map(len, values)) < _LONG_TEXT
    if str in kinds or bytes in kinds:
        return all(len(item) < _LONG_TEXT for item in values if type(item) in (str, bytes))
    return True


def _in_order(elements: Any, buffers: list[list[Any]], depth: int) -> Iterator[Any]:
    """The trees of a set's elements, by their bytes: the set's own order differs by process."""
    if _are_plain(elements):
        yield from sorted(elements, key=_packed)
        return
    items = []
    for element in elements:
        own: list[list[Any]] = []
        tree = _tree(element, own, None, depth + 1)
        # The tree of a file has the hash of its content.
        parts = (part for part in chain.from_iterable(own) if type(part) is not FileBytes)
        items.append((b"".join([_packed(tree), *parts]), tree, own))
    for _, tree, own in sorted(items, key=itemgetter(0)):
        buffers += own
        yield tree


def _named_pickle(value: Any, classes: tuple[type, ...], buffers: list[list[Any]]) -> Any:
    """The tree of a pickle of named classes; None if the value has no object of theirs."""
    if (made := pickles.pickled_by_name(value, classes, _split)) is None:
        return None
    trees = [_tree(part, buffers, None, 2) for part in (made.paths, made.others)]
    buffers.append([made.data])
    return [_PICKLE, *trees]


def _split(value: Any) -> tuple[Any, ...] | None:
    """The tag and the parts of a value whose parts others may know; None for any other value."""
    form = _format_of(value)
    return (form.tag, *form.parts(value)) if form.tag in _REBUILT else None


def _rebuilt(tag: Any, *parts: Any) -> Any:
    if tag not in _REBUILT:
        raise CodecError(f"a pickle with parts of {tag!r:.100}")
    return _BY_TAG[tag].build(*parts)


def decoded(view: memoryview | bytes, pickle: Allowed = False) -> Any:
    """The value of these bytes; its arrays lie in them, and are writable if they are.

    Raises `CodecError`, and nothing else, for bytes that are not a value, and its subclass
    `UnreadableError` where they may be one elsewhere. Pickles are read only with `pickle`, since
    loading one may run any code, and those of named classes if these are among its classes.
    """
    try:
        return _read(memoryview(view).cast("B"), pickle)
    except CodecError:
        raise
    except _OWN_ERRORS as error:
        raise UnreadableError(f"not read: {_text(error)}") from error
    except Exception as error:  # every library raises its own errors for what it cannot read
        raise CodecError(f"not a value: {_text(error)}") from error


def decoded_with_files(
    view: memoryview | bytes, pickle: Allowed = False
) -> tuple[Any, list[files.Copy]]:
    """The value of these bytes, and its files, which are where they were or not; as `decoded`."""
    copies: list[files.Copy] = []
    token = files.collected.set(copies)
    try:
        return decoded(view, pickle), copies
    finally:
        files.collected.reset(token)


def files_in(value: Any) -> list[File]:
    """The files in a value: those that its format stores."""
    found: list[File] = []
    seen: dict[int, Any] = {}
    parts = [value]
    while parts:
        known = list(objects_in(parts, ATOMS, seen))
        found += (held for held in known if type(held) is File)
        parts = [
            getattr(held, name, None)
            for held in known
            if objects.is_object(type(held))
            for name in objects.field_names(type(held))
        ]
    return found


def _text(error: Exception) -> str:
    return format_exception_only(error)[-1].strip()  # also of an error that str() cannot show


def _read(view: memoryview, pickle: Allowed) -> Any:
    (length,) = struct.unpack_from("<I", view)
    end = 4 + length
    structure = view[4:end]
    if length > _SMALL_STRUCTURE:
        # msgpack makes room for as many elements as are claimed; to skip them makes nothing.
        unpacker = msgpack.Unpacker(max_buffer_size=length)
        unpacker.feed(structure)
        unpacker.skip()
    tree, lengths = _unpacked(structure)
    buffers = []
    for size in lengths:
        begin = end + -end % _ALIGNMENT
        if type(size) is not int or size < 0 or begin + size > len(view) or any(view[end:begin]):
            raise CodecError(f"no length of a buffer after {end} of {len(view)} bytes")
        end = begin + size
        buffers.append(view[begin:end])
    if end != len(view):
        raise CodecError(f"{len(view) - end} bytes after the last buffer")
    unread = iter(buffers)
    value = _value(tree, unread, [], pickle)
    if more := len(list(unread)):
        raise CodecError(f"{more} buffers that are no part of the value")
    return value


def _value(
    tree: Any,
    buffers: Iterator[memoryview],
    made: list[Any] | None,
    pickle: Allowed,
    depth: int = 0,
) -> Any:
    """The value of a tree; takes its buffers from `buffers`, in order.

    made: the mutable objects so far; None as in `_tree`
    """
    kind = type(tree)
    if kind in _PLAIN:
        return tree
    if kind is not list or not tree or type(tree[0]) is not int or depth == _MAX_DEPTH:
        raise CodecError(f"no tree: a {kind.__name__}, or one nested over {_MAX_DEPTH} deep")
    tag, *parts = tree
    if tag == _SAME:
        return _same(made, *parts)
    if (form := _BY_TAG.get(tag)) is None:
        raise UnreadableError(f"no value has the tag {tag}: a newer release may know it")
    if not _PLAIN.issuperset(map(type, parts)):
        inner = made if tag in _HOLDING else None
        # No map, as above.
        parts = [_value(part, buffers, inner, pickle, depth + 1) for part in parts]
    if form.types is not None and not form.types >= set(map(type, parts)):
        raise CodecError(f"parts of the wrong types for a {form.kind.__name__}")
    if tag <= _LAST_BUFFERED:
        parts = [next(buffers), *parts]  # StopIteration if none is left
    if tag == _PICKLE:
        return pickles.unpickled(parts[0], pickle, _rebuilt, parts[1:])
    value = form.build(*parts)
    if made is not None and tag in _MUTABLE:
        made.append(value)
    return value


def _same(made: list[Any] | None, number: Any) -> Any:
    """An object that is in the value already."""
    if made is None or type(number) is not int or not 0 <= number < len(made):
        raise CodecError(f"no object has the number {noun(number)}")
    return made[number]


def _build_set(*parts: Any) -> set[Any]:
    if len(made := set(parts)) != len(parts):
        raise CodecError("a set that has an element twice")
    return made


def _build_dict(*parts: Any) -> dict[Any, Any]:
    made = dict(zip(parts[::2], parts[1::2], strict=True))
    if 2 * len(made) != len(parts):
        raise CodecError("a dict that has a key twice")
    return made


def _zone_parts(zone: ZoneInfo) -> tuple[str]:
    try:
        zone.__reduce__()
    except pickle.PicklingError as error:  # it was read from a file, whatever its name
        raise UnstorableError(
            "a time zone from a file", "its name may mean another; use ZoneInfo(name)"
        ) from error
    return (zone.key,)


_DAY, _CLOCK = (
    ("year", "month", "day"),
    ("hour", "minute", "second", "microsecond", "tzinfo", "fold"),
)
_TABLE = _Format(2, object, tables.table_parts, tables.build_table, {tuple})
_SCALAR = _Format(11, np.generic, arrays.scalar_parts, arrays.build_scalar, {str, bytes})
_TEXTS = _Format(12, np.dtypes.StringDType, arrays.text_parts, arrays.build_texts, {list, bool})
_OBJECT = _Format(13, object, objects.object_parts, objects.build_object, None)
_REGISTERED = _Format(60, object, registered.dumped, registered.loaded, None)
_FORMATS = (
    _Format(1, np.ndarray, arrays.array_parts, arrays.build_array, {bool}),
    _Format(_PICKLE, object, list, list, {list}),
    _Format(4, str, lambda value: [[value.encode("utf-8", "surrogatepass")]],
            lambda view: str(view, "utf-8", "surrogatepass"), set()),
    _Format(5, bytes, lambda value: [[value]], bytes, set()),
    _Format(6, File, files.file_parts, files.build_file, {str, bool}),
    _Format(10, int,
            lambda value: (value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True),),
            lambda data: int.from_bytes(data, "little", signed=True), {bytes}),
    _Format(20, list, list, lambda *parts: list(parts), None),
    _Format(21, tuple, list, lambda *parts: parts, None),
    _Format(22, dict, lambda value: [*chain.from_iterable(value.items())], _build_dict, None),
    _Format(23, set, list, _build_set, None),
    _Format(24, frozenset, list, lambda *parts: frozenset(_build_set(*parts)), None),
    _Format(30, complex, attrgetter("real", "imag"), complex, {float}),
    _Format(31, range, attrgetter("start", "stop", "step"), range, {int, bool}),
    _Format(32, slice, attrgetter("start", "stop", "step"), slice, None),
    _Format(33, bytearray, lambda value: (bytes(value),), bytearray, {bytes}),
    _Format(34, EllipsisType, lambda _: (), lambda: ..., set()),
    _Format(35, Decimal, lambda value: (str(value),), Decimal, {str}),
    _Format(36, Fraction, lambda value: value.as_integer_ratio(), Fraction, {int}),
    _Format(40, date, attrgetter(*_DAY), date, {int}),
    _Format(41, time, attrgetter(*_CLOCK), lambda *parts: time(*parts[:-1], fold=parts[-1]),
            None),
    _Format(42, datetime, attrgetter(*_DAY, *_CLOCK),
            lambda *parts: datetime(*parts[:-1], fold=parts[-1]), None),
    _Format(43, timedelta, attrgetter("days", "seconds", "microseconds"), timedelta, {int}),
    _Format(44, timezone, lambda value: value.__getinitargs__(), timezone, {timedelta, str}),
    _Format(45, ZoneInfo, _zone_parts, ZoneInfo, {str}),
    # NumPy's own conversion would drop the zeros at their ends.
    _Format(50, np.str_, lambda value: (str.__str__(value),), np.str_, {str}),
    _Format(51, np.bytes_, lambda value: (bytes(memoryview(value)),), np.bytes_, {bytes}),
    _Format(52, np.void, lambda value: (np.asarray(value),), lambda array: array.copy()[()],
            {np.ndarray}),
    _Format(53, np.ma.MaskedArray, arrays.mask_parts, arrays.build_masked,
            {np.ndarray, NoneType, bool}),
    _Format(54, type(np.ma.masked), lambda _: (), lambda: np.ma.masked, set()),
)  # fmt: skip
_BY_TAG = {form.tag: form for form in (*_FORMATS, _TABLE, _SCALAR, _TEXTS, _OBJECT, _REGISTERED)}
_BY_TYPE = {form.kind: form for form in _FORMATS if form.tag != _PICKLE}


def _format_of(value: Any) -> _Format:
    """The format of a value. Raises `UnstorableError` if it has none."""
    kind = type(value)
    if form := _BY_TYPE.get(kind):
        if kind is np.ndarray:
            if isinstance(value.dtype, np.dtypes.StringDType):
                return _TEXTS
            if value.dtype.hasobject and value.dtype.char == "O":
                return _REGISTERED
        return form
    if issubclass(kind, np.generic):
        return _SCALAR
    if registered.is_registered(kind):
        return _REGISTERED
    if objects.is_object(kind):
        return _OBJECT
    if tables.is_table(kind):
        return _TABLE
    if registered.is_of_library(kind):
        return _REGISTERED
    raise UnstorableError(noun(value), _why_none(kind))


def _why_none(kind: type) -> str:
    """Why a type has no format, and the lines that give it one."""
    base = next((base for base in (*_BY_TYPE, float) if issubclass(kind, base)), None)
    path, name = path_of(kind, ".").removeprefix("builtins."), kind.__qualname__
    why = f"{path} would come back as a plain {base.__name__}" if base else f"no format for {path}"
    if remedy := registered.remedy_of(kind):
        return f"{why}; {remedy}"
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        remedy = "mark the class with @pipeline.storable"
    elif base is not None:
        remedy = f"return a plain {base.__name__}"
    else:
        remedy = "return numbers, text, containers, arrays or tables"
    return (
        f"{why}; {remedy}, call register_format({name}, dump, load), or use Store(pickle=[{name}])"
    )
