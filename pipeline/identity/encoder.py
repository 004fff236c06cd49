"""The content of a value, as a part of a key.

An encoded value consists of strings, integers and tuples, as Dask's keys do. An integer encodes as
itself. Every other value encodes with its type, so 1, 1.0, True and "1" remain four arguments.
Functions and classes are encoded by their code and all that it reaches, objects by class and state.
"""

from __future__ import annotations

import copyreg
import functools
import gc
import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from dask.typing import Key

from pipeline import PipelineError
from pipeline.identity.arrays import TABLE_MODULES, array_content, table_content
from pipeline.identity.attributes import (
    MISSING,
    held,
    member_of,
    plain_state,
    type_part,
)
from pipeline.identity.bytecode import code_content
from pipeline.identity.files import file_handle
from pipeline.identity.modules import (
    Library,
    UnimportedModule,
    UnknownModule,
    is_library_module,
    module_name,
    namespace,
)
from pipeline.identity.references import definition_parts, is_held, library_name
from pipeline.identity.text import all_digits, short_repr

Memory = dict[int, tuple[Any, Key]]

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
_Definition = FunctionType | type | ModuleType | UnimportedModule
"""Values that are encoded with all that they reach."""


class UnkeyableError(PipelineError, TypeError):
    """A value has no content that a key could contain."""


class UnknownError(UnkeyableError):
    """A value holds a call, or another Dask collection, whose value is not known yet."""


class Unknown:
    """Base of values that are not known yet, such as calls: they have no content."""

    __slots__ = ()


def encode(value: Any) -> Key:
    """The content of a value: different for different values, equal in every process.

    Raises `UnkeyableError` for a value without content: a lock, a generator, an open file.

    >>> encode(1), encode(1.0), encode(True), encode("1"), encode((1, None))
    (1, '1.0', 'True', "'1'", (1, 'None'))
    """
    return atom(value) if type(value) in ATOMS else Encoder(current_session().encoded).encode(value)


def short_hash(encoded: Key) -> str:
    """24 hexadecimal digits of an encoded value.

    >>> short_hash(("fib-0123456789ab", 5))
    '9680defef6b1412819355b21'
    """
    return blake2b(repr(encoded).encode(), digest_size=12).hexdigest()


@dataclass(slots=True, eq=False)
class Session:
    """What stays fixed while a graph is traced.

    prefixes: of the keys of each function. A body may change what a prefix covers, such as a list
        that it logs to, and the keys of one graph must not change with it.
    encoded: objects and functions by id, each with its encoding; None while no body runs
    """

    prefixes: dict[Any, str]
    encoded: Memory | None

    def verify(self) -> None:
        """Raise `UnkeyableError` if an object changed after it was encoded."""
        for value, encoded in list((self.encoded or {}).values()):
            if isinstance(value, _Definition) or held(value, "__wrapped__") is not None:
                continue  # what a function reaches may change while it runs
            if Encoder(self.encoded).content(value) != encoded:
                raise UnkeyableError(
                    f"{short_repr(value)} changed while its calls were traced: a recurrence must "
                    "leave its arguments, and the object whose method it is, as they are; fill "
                    "caches and cached properties before"
                )


NO_SESSION = Session({}, None)
_session = ContextVar("_session", default=NO_SESSION)
current_session = _session.get


@contextmanager
def session() -> Iterator[Session]:
    """Encode each object and function once meanwhile, and verify at the end that none changed.

    Sessions may nest and overlap in threads; a nested one keeps the prefixes of the outer one.
    None of the many objects of a trace is garbage, and collections would take half of its time: the
    garbage collector pauses.
    """
    outer = current_session()
    inner = Session({} if outer is NO_SESSION else outer.prefixes, {})
    before, is_collecting = _session.set(inner), gc.isenabled()
    gc.disable()
    try:
        yield inner
        inner.verify()
    finally:
        _session.reset(before)
        if is_collecting:
            gc.enable()


def is_tracing() -> bool:
    """Whether the body of a recurrence runs, here, in this thread."""
    return current_session().encoded is not None


def run_untraced(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that is no body, such as a predicate, while a graph is traced."""
    before = _session.set(Session(current_session().prefixes, None))
    try:
        return function(*args)
    finally:
        _session.reset(before)


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


class Encoder:
    """One walk over a value.

    The content of a function or class covers all that it reaches. The walk numbers these
    definitions as it meets them, encodes each once, and refers to it by its number afterwards.

    memory: encoded objects by their ids, from earlier walks
    """

    dict_order_counts = False

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory
        self.depth = 0
        self.numbers: dict[int, int] = {}  # of the definitions of this walk, by id
        self.definitions: list[Any] = []
        self.done: Memory = {}

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

    def array(self, value: np.ndarray[Any, Any]) -> str:
        has_objects = value.dtype.hasobject
        elements = short_hash(self.encode(value.tolist())) if has_objects else array_content(value)
        shape = "×".join(map(str, value.shape))
        return f"{value.dtype}[{shape}]#{short_hash((repr(value.dtype), shape, elements))}"

    def container(self, value: Any) -> Key:
        """A built-in container."""
        kind = type(value)
        encoded: tuple[Key, ...]
        if kind is tuple:
            encoded = tuple(self.elements(value))
        elif kind is list:
            encoded = ("list", *self.elements(value))
        elif kind is set or kind is frozenset:
            encoded = (kind.__name__, *sorted(self.elements(value), key=repr))
        elif self.dict_order_counts and kind is dict:
            encoded = ("ordered dict", *self.pairs(value))
        else:
            encoded = ("dict", *sorted(self.pairs(value), key=repr))
        return _cut(encoded)

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
        if memory is None or self.definitions or _is_plain(value):
            memory = self.done
        if id(value) not in memory:
            memory[id(value)] = value, self.content(value)
        return memory[id(value)][1]

    def content(self, value: Any) -> Key:
        if isinstance(value, _Definition):
            return self.definition(value)
        try:
            state = state_of(value, bool(self.definitions))
        except UnkeyableError as error:
            if self.definitions:
                return self.opaque(value, error)
            raise
        kind = type(value)
        name = type_part(kind, "__name__")
        return f"{name}#{short_hash((self.encode(kind), self.encode(state)))}"

    def definition(self, value: Any) -> Key:
        is_first = not self.definitions
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.numbers)
            self.definitions.append(value)
        if not is_first:
            return f"definition {self.numbers[id(value)]}"
        before, self.done = self.done, {}  # numbers hold within this walk alone
        encoded = tuple(
            (name_of(definition), *map(self.part, definition_parts(definition)))
            for definition in self.definitions  # which grow meanwhile
        )
        self.numbers, self.definitions, self.done = {}, [], before
        return f"{name_of(value)}#{short_hash(encoded)}"

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


def state_of(value: Any, is_reached: bool = False) -> Any:
    """The content of an object: what pickle would store, or what the object itself reports.

    is_reached: by a function, so that it is no argument, whose files are tracked when a task runs

    Raises `UnkeyableError`, and `UnknownError` for a call or another Dask collection.
    """
    kind = type(value)
    if kind is UnknownModule:
        raise UnkeyableError(str(value))
    # `is_dask_collection` asks for the graph, and a call would trace it.
    if isinstance(value, Unknown) or (
        member_of(kind, "__dask_graph__") is not MISSING and is_dask_collection(value)
    ):
        raise UnknownError(f"no key for {short_repr(value)}: its value is not known yet")
    try:
        if kind is object:
            raise TypeError("it has no state")
        if (handle := file_handle(value)) is not None:
            if handle.paths and is_reached:
                raise TypeError(f"it reads {handle.paths[0]}; pass it to the function")
            return handle.state
        if callable(tokenize := member_of(kind, "__dask_tokenize__")):
            return tokenize(value)
        is_table = f"{type_part(kind, '__module__')}.".startswith(TABLE_MODULES)
        return _built_in_state(value) or (is_table and table_content(value)) or _pickled(value)
    except OSError as error:
        raise UnkeyableError(f"no key for {short_repr(value)}: {error.strerror}") from error
    except Exception as error:
        raise UnkeyableError(
            f"no key for a {kind.__qualname__}: {error}; pass what it is made from, or give its "
            "class a __dask_tokenize__"
        ) from error


def _built_in_state(value: Any) -> tuple[Any, ...] | None:
    """The state of an object whose pickle depends on more than its value; None for others."""
    attributes = namespace(value)
    match value:
        case MethodType():
            return (value.__func__, value.__self__)
        case functools.partial():  # asking for its attributes creates them
            return (value.func, value.args, value.keywords, attributes or None)
        case np.ma.MaskedArray():  # printing it changes its pickle
            mask = np.ma.getmaskarray(value)
            return (np.asarray(value.data), mask, value.fill_value, value.hardmask)
        case np.ndarray():
            return (np.asarray(value), attributes)
        case set() | frozenset():
            return (set(value) if isinstance(value, set) else frozenset(value), attributes)
    return None


def _pickled(value: Any) -> Any:
    """What pickle would store, without the values of cached properties."""
    reduce = copyreg.dispatch_table.get(type(value))
    state = reduce(value) if reduce else plain_state(value) or value.__reduce_ex__(4)
    if isinstance(state, str):
        return _global(value, state)
    # A callable, its arguments, the state, and iterators over list and dict items.
    parts = [list(part) if isinstance(part, Iterator) else part for part in state]
    if len(parts) > 2 and type(parts[2]) is dict:
        parts[2] = {name: item for name, item in parts[2].items() if not _is_cached(value, name)}
    while parts and not parts[-1]:  # an empty state says no more than none
        parts.pop()
    return parts


def _is_cached(value: Any, name: str) -> bool:
    return isinstance(member_of(type(value), name), functools.cached_property)


def _global(value: Any, name: str) -> Any:
    """A value that pickle stores by name: a wrapped function, or a value that its module holds."""
    if (wrapped := held(value, "__wrapped__", MISSING)) is not MISSING:
        return (name, wrapped)
    module = held(value, "__module__") or type_part(type(value), "__module__")
    if is_held(value, module, name):
        return name
    if isinstance(value, np.ufunc):  # which has no `__module__`
        module = pickle.whichmodule(value, name)  # type: ignore[attr-defined] # not in typeshed
        if module != "__main__":
            return (name, Library(module))
    raise TypeError(f"no module holds it under its name, {name}")
