"""The content of a value, as a part of a key.

An encoded value consists of strings, integers and tuples, as Dask's keys do. An integer encodes as
itself. Every other value encodes with its type, so 1, 1.0, True and "1" remain four arguments.
Functions and classes are encoded by their code and all that it reaches, objects by class and state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from dask.typing import Key

from pipeline.identity.arrays import array_content
from pipeline.identity.attributes import type_part
from pipeline.identity.code.bytecode import code_content
from pipeline.identity.code.modules import (
    Library,
    UnimportedModule,
    is_library_module,
    module_name,
)
from pipeline.identity.code.references import definition_parts, library_name
from pipeline.identity.states import UnkeyableError, state_of
from pipeline.identity.text import all_digits

Memory = dict[int, tuple[Any, Key]]

Versions = Literal["minor", "exact", "ignore"]
"""How far the versions of Python and of libraries count in digests: see `library_version`."""

KEY_WIDTH = 48
"""Characters of an argument that a key shows whole; a longer one is shortened and hashed."""

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
"""Integers in this range encode as themselves; a cluster's messages can hold no others."""

ATOMS = {int, bool, float, complex, str, bytes, range, *map(type, (None, ..., NotImplemented))}
"""Types without parts, whose values are encoded by their `repr`."""

_CONTAINERS = {tuple, list, set, frozenset, dict, MappingProxyType}
_MAX_DEPTH = 200
"""A value nested deeper than this counts as one that contains itself."""
_LONG_TEXT = 10_000
"""Characters from which on printing a text takes longer than hashing it."""
_NUMBERS = {np.dtype(code).type for code in "?bBhHiIlLqQefdFD"}
"""NumPy's numbers that Python has numbers for."""
Definition = FunctionType | type | ModuleType | UnimportedModule
"""Values that are encoded with all that they reach."""


def short_hash(encoded: Key) -> str:
    """24 hexadecimal digits of an encoded value.

    >>> short_hash(("fib-0123456789ab", 5))
    '9680defef6b1412819355b21'
    """
    return _hash(repr(encoded))


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()


def atom(value: Any) -> Key:
    """A value of one of the `ATOMS`, encoded."""
    if type(value) is int:
        return value if MIN_INT <= value <= MAX_INT else _shortened(all_digits(value))
    if type(value) in (float, complex) and value != value:
        return f"nan {np.asarray(value).tobytes().hex()}"  # many bit patterns are no number
    if type(value) in (str, bytes) and len(value) > _LONG_TEXT:
        data = value.encode(errors="surrogatepass") if type(value) is str else value
        hashed = array_content(np.frombuffer(data, np.uint8))
        return f"{value[: KEY_WIDTH // 2]!r}…#{hashed} of {len(value)}"
    return _shortened(repr(value))


def _atoms(values: Collection[Any]) -> Collection[Key] | None:
    """Values of the `ATOMS`, encoded as `atom` does; None if others are among them."""
    kinds = set(map(type, values))
    if kinds == {int} and min(values) >= MIN_INT and max(values) <= MAX_INT:
        return values
    if kinds == {float} and "nan" not in (texts := list(map(repr, values))):
        return texts
    return list(map(atom, values)) if kinds <= ATOMS else None


def _cut(encoded: tuple[Key, ...]) -> Key:
    """An encoded container, in short where it would make a long key."""
    text = repr(encoded)
    return encoded if len(text) <= 2 * KEY_WIDTH else _shortened(text)


def _shortened(text: str) -> str:
    """A text, cut off and with its hash where it is too long for a key."""
    return text if len(text) <= KEY_WIDTH else f"{text[: KEY_WIDTH // 2]}…#{short_hash(text)}"


def _scalar(value: Any) -> str | None:
    """A number of NumPy's; None for any other value, and for one with many bit patterns."""
    kind = type(value)
    if kind in _NUMBERS and value == value:  # not NaN
        return f"{kind.__name__}({value.item()!r})"
    if isinstance(value, np.longdouble):  # padded with bytes that mean nothing
        return f"longdouble({np.format_float_scientific(value)})"
    return None


def _rank(value: Any) -> str:
    """A sort key for elements of a set, equal in every process."""
    if type(value) in ATOMS:
        return repr(atom(value))
    if isinstance(value, FunctionType):
        return f"function {value.__qualname__} {code_content(value.__code__)}"
    return f"{type(value).__qualname__} {value.__qualname__ if isinstance(value, type) else ''}"


class _Reference(NamedTuple):
    """In place of a definition that another one reaches: each walk gives it a number."""

    id: int


class _Later(NamedTuple):
    """An encoded value that holds references, and is put together when they have numbers.

    finish: makes it of details and the encoded parts
    """

    finish: Callable[..., Key]
    details: Any
    parts: tuple[Any, ...]


_REFERRING = {_Reference, _Later}


def _joined(finish: Callable[..., Key], details: Any, parts: Collection[Any]) -> Key:
    """An encoded value of some parts: now, or later if one of them holds a reference."""
    if _REFERRING.isdisjoint(map(type, parts)):
        return finish(details, parts)
    return cast("Key", _Later(finish, details, tuple(parts)))


def _container(head: tuple[Key, ...], parts: Collection[Key]) -> Key:
    return _cut((*head, *parts))


def _unordered(head: tuple[Key, ...], parts: Collection[Key]) -> Key:
    return _cut((*head, *sorted(parts, key=repr)))


def _object(name: str, parts: Collection[Key]) -> Key:
    return f"{name}#{short_hash(tuple(parts))}"


def _array(details: tuple[np.dtype[Any], str], parts: Collection[Key]) -> Key:
    kind, shape = details
    return f"{kind}[{shape}]#{short_hash((repr(kind), shape, *map(short_hash, parts)))}"


def _noted(_: int, parts: Collection[Key]) -> Key:
    [encoded] = parts
    return encoded


class ReachedError(UnkeyableError):
    """A definition reaches a value without content; the name of who needs it comes before."""


class Reading(NamedTuple):
    """A definition, as the text of its encoded parts.

    text: with `%s` in place of the numbers and texts of `later`
    later: definitions, by their ids, and encoded values that hold references
    error: why it has no content
    """

    text: str = ""
    later: Sequence[int | _Later] = ()
    error: UnkeyableError | None = None


_NUMBER = 9
"""The digits that a number of a definition has at most, with a margin."""


def _reading(part: Any) -> Reading:
    """The text of an encoded value; inside of a container, as far as that is not cut off."""
    if type(part) is _Reference:
        return Reading("'definition %s'", [part.id])
    if type(part) is not _Later:
        return Reading(repr(part).replace("%", "%%"))
    if part.finish is _container:
        inner = _tuple_reading((*part.details, *part.parts))
        width = len(inner.text) + _NUMBER * len(inner.later)
        if width <= 2 * KEY_WIDTH and all(type(later) is int for later in inner.later):
            return inner
    return Reading("%s", [part])


def _tuple_reading(parts: Sequence[Any]) -> Reading:
    readings = list(map(_reading, parts))
    text = ", ".join(reading.text for reading in readings)
    return Reading(
        f"({text}{',' * (len(parts) == 1)})",
        [later for reading in readings for later in reading.later],
    )


class Known:
    """What was read of definitions and of all that they reach, valid while none of that changes.

    Each is read once, however many definitions reach it. All are known by their ids.

    versions: how far versions of libraries count in what was read
    values: definitions, which keep their ids
    readings: of definitions
    walks: from definitions: what they are encoded as, what was noted on the way, and all that
        they reach
    objects: that definitions reach, encoded
    noted: values that an encoder takes note of
    """

    def __init__(self, versions: Versions = "minor") -> None:
        self.versions = versions
        self.values: dict[int, Any] = {}
        self.readings: dict[int, Reading] = {}
        self.walks: dict[int, tuple[Key, list[Any], list[int]]] = {}
        self.objects: Memory = {}
        self.noted: dict[int, Any] = {}

    def reached(self, definition: Any) -> list[int]:
        """A definition that was walked from, and all that it reaches, by their ids."""
        return self.walks[id(definition)][2]


class Encoder:
    """One walk over a value.

    The content of a function or class covers all that it reaches. The walk numbers these
    definitions as it meets them, encodes each once, and refers to it by its number afterwards.

    memory: encoded objects by their ids, from earlier walks
    known: definitions that earlier walks have read
    """

    dict_order_counts = False

    def __init__(self, memory: Memory | None = None, known: Known | None = None) -> None:
        self.memory = memory
        self.known = Known() if known is None else known
        self.depth = 0
        self.is_inside = False  # a definition, whose parts are encoded
        self.done: Memory = {}
        self.noted: list[Any] = []  # in definitions

    def encode(self, value: Any) -> Key:
        kind = type(value)  # exactly: an instance of a subclass may have more state
        if kind in ATOMS:
            return atom(value)
        if kind is np.ndarray or (isinstance(value, np.generic) and kind.__module__ == "numpy"):
            return _scalar(value) or self.array(np.asarray(value))
        if kind is Library or (isinstance(value, ModuleType) and is_library_module(value)):
            module = value.module if kind is Library else module_name(value)
            return self.library(f"module {module}", module)
        if (name := library_name(value)) is not None:
            return self.library(name, value.__module__)
        if self.depth == _MAX_DEPTH:
            raise UnkeyableError(
                f"no key for a value nested over {_MAX_DEPTH} deep, or one that contains itself"
            )
        self.depth += 1
        try:
            return self.container(value) if kind in _CONTAINERS else self.once(value)
        except RecursionError:
            if self.depth > 1:
                raise
            raise UnkeyableError(f"no key for a {kind.__qualname__}: it is too deep") from None
        finally:
            self.depth -= 1

    def array(self, value: np.ndarray[Any, Any]) -> Key:
        shape = "×".join(map(str, value.shape))
        if value.dtype.hasobject:
            return _joined(_array, (value.dtype, shape), [self.encode(value.tolist())])
        # What zarr reads has an explicit order of bytes, which is that of the machine.
        is_explicit = value.dtype.byteorder == "<" and value.dtype.isnative
        dtype = value.dtype.newbyteorder("=") if is_explicit else value.dtype
        hashed = short_hash((repr(dtype), shape, array_content(value)))
        return f"{value.dtype}[{shape}]#{hashed}"

    def container(self, value: Any) -> Key:
        """A built-in container."""
        kind = type(value)
        if kind is tuple:
            return _joined(_container, (), self.elements(value))
        if kind is list:
            return _joined(_container, ("list",), self.elements(value))
        if kind is set or kind is frozenset:
            return _joined(_unordered, (kind.__name__,), self.elements(value))
        if self.dict_order_counts and kind is dict:
            return _joined(_container, ("ordered dict",), self.pairs(value))
        return _joined(_unordered, ("dict",), self.pairs(value))

    def elements(self, values: Collection[Any]) -> Collection[Key]:
        """The elements of a container, encoded: those of a set sorted, for definitions are numbered
        as the walk meets them.
        """
        if (atoms := _atoms(values)) is not None:
            return atoms
        ordered = sorted(values, key=_rank) if isinstance(values, set | frozenset) else values
        return list(map(self.encode, ordered))

    def pairs(self, values: Mapping[Any, Any]) -> list[Key]:
        """The items of a dict, encoded; sorted by their keys, unless their order counts."""
        keys, members = _atoms(values), _atoms(values.values())
        if keys is not None and members is not None:
            return list(map(_cut, zip(keys, members, strict=True)))
        items: Iterable[Any] = values.items()
        if not (self.dict_order_counts and type(values) is dict):
            items = sorted(items, key=lambda item: _rank(item[0]))
        return list(map(self.encode, items))

    def library(self, name: str, module: str) -> str:  # noqa: ARG002 - for subclasses
        """A library's module, function or class, by its name."""
        return name

    def opaque(self, value: Any, error: UnkeyableError) -> str:  # noqa: ARG002 - for subclasses
        """A value without content that a function names: a lock, a logger, a file."""
        return f"opaque {type(value).__qualname__}"

    def once(self, value: Any) -> Key:
        """An object, function or class: by its content, unless that is known."""
        memory = self.memory
        if self.is_inside:
            memory = self.known.objects
        elif memory is None or _is_plain(value):
            memory = self.done
        if id(value) not in memory:
            memory[id(value)] = value, self.content(value)
        return memory[id(value)][1]

    def content(self, value: Any) -> Key:
        if isinstance(value, Definition):
            return self.definition(value)
        try:
            state = state_of(value, self.is_inside)
        except UnkeyableError as error:
            if self.is_inside:
                return self.opaque(value, error)
            raise
        kind = type(value)
        return _joined(
            _object, type_part(kind, "__name__"), [self.encode(kind), self.encode(state)]
        )

    def note(self, value: Any, encoded: Key) -> Key:
        """Take note of a value inside of a definition, in each walk that reaches it."""
        self.known.noted[id(value)] = value
        return cast("Key", _Later(_noted, id(value), (encoded,)))

    # Definitions

    def definition(self, value: Any) -> Key:
        known = self.known
        known.values[id(value)] = value
        if self.is_inside:
            return cast("Key", _Reference(id(value)))
        if id(value) not in known.walks:
            before, self.noted = self.noted, []
            text, order = self.walk(value)
            known.walks[id(value)] = f"{name_of(value)}#{_hash(text)}", self.noted, order
            self.noted = before
        encoded, noted, _ = known.walks[id(value)]
        self.noted += noted
        return encoded

    def walk(self, root: Any) -> tuple[str, list[int]]:
        """The text of a definition and of all that it reaches, and the ids of these."""
        readings, numbers, texts = self.known.readings, {id(root): 0}, []
        for reached in (order := [id(root)]):  # which grows meanwhile
            if reached not in readings:
                readings[reached] = self.read(self.known.values[reached])
            text, later, error = readings[reached]
            if isinstance(error, ReachedError):
                raise UnkeyableError(f"{name_of(root)} reaches {error}") from error
            if error is not None:
                raise error.with_traceback(None)  # which would grow on each raise
            filling: list[Any] = []
            for value in later:
                if type(value) is not int:
                    filling.append(repr(self.finished(value, numbers, order)))
                    continue
                if value not in numbers:
                    numbers[value] = len(numbers)
                    order.append(value)
                filling.append(numbers[value])
            texts.append(text % tuple(filling))
        return f"({', '.join(texts)}{',' * (len(texts) == 1)})", order

    def finished(self, value: Any, numbers: dict[int, int], order: list[int]) -> Key:
        """An encoded value with the numbers of the definitions in it, in the order of the walk."""
        if type(value) is _Reference:
            if value.id not in numbers:
                numbers[value.id] = len(numbers)
                order.append(value.id)
            return f"definition {numbers[value.id]}"
        if type(value) is not _Later:
            encoded: Key = value
            return encoded
        if value.finish is _noted:
            self.noted.append(self.known.noted[value.details])
        parts = [self.finished(part, numbers, order) for part in value.parts]
        return value.finish(value.details, parts)

    def read(self, definition: Any) -> Reading:
        """Encode the parts of a definition, as the text of a tuple."""
        before, self.depth, self.is_inside = self.depth, 1, True
        try:
            parts = [name_of(definition), *map(self.part, definition_parts(definition))]
        except UnkeyableError as error:
            return Reading(error=error.with_traceback(None))
        finally:
            self.depth, self.is_inside = before, False
        return _tuple_reading(parts)

    def part_of_definition(self, value: object) -> Key:
        """A part of a definition, encoded as `read` does."""
        before, self.depth, self.is_inside = self.depth, 1, True
        try:
            return self.part(value)
        finally:
            self.depth, self.is_inside = before, False

    def part(self, value: object) -> Key:
        """A part of a definition."""
        try:
            return self.encode(value)
        except UnkeyableError as error:
            return self.opaque(value, error)


def _is_plain(value: Any) -> bool:
    """Whether a value is of a library's type, without attributes that could change."""
    return library_name(type(value)) is not None and not hasattr(value, "__dict__")


def name_of(definition: Any) -> str:
    if isinstance(definition, type):
        return str(type_part(definition, "__qualname__"))
    return definition.__qualname__ if isinstance(definition, FunctionType) else "module"
