"""The content of a value, as a part of a key.

An encoded value is made of strings, integers and tuples, as Dask's keys are. An integer stands for
itself; everything else is encoded with its type, so that 1, 1.0, True and "1", equal or alike in
Python, stay four arguments. Functions are encoded by their code and by the project's functions and
values that they name; objects by their class and state. Never by `hash`, `id` or chance.
"""

from __future__ import annotations

import dis
import functools
from hashlib import blake2b
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    ModuleType,
    NoneType,
)
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from pipeline.units import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dask.typing import Key

LONG = 48
"""Characters of an argument that a key shows whole; a longer one is shortened and hashed."""

LEAST, MOST = -(2**63), 2**63 - 1
"""Integers between these stand for themselves; a cluster's messages can hold no others."""

_NESTED = 100
"""Depth at which an argument is taken to contain itself."""


class UnkeyableError(TypeError):
    """An argument has no content that a key could be made of."""


def digest(encoded: Key) -> str:
    """24 hexadecimal digits that stand for an encoded value.

    >>> digest(("fib-0123456789ab", 5))
    '9680defef6b1412819355b21'
    """
    return blake2b(repr(encoded).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def encode(value: object) -> Key:
    """The content of a value: different for different values, equal in every process.

    Raises `UnkeyableError` for what has no content: a lock, a generator, an open file.

    >>> encode(1), encode(1.0), encode(True), encode("1"), encode((1, None))
    (1, '1.0', 'True', "'1'", (1, 'None'))
    """
    return _Encoder().encode(value)


def freeze(value: Any) -> Any:
    """The argument as it is now: arrays become read-only copies, once; all else stays itself.

    A lazy call reads its arguments after the caller has gone on, so an array that could still
    change is copied, and a list is refused. The copy is passed down a recursion as it is, and
    hashed only once. Raises `UnkeyableError` for lists, dicts, sets and bytearrays.
    """
    kind = type(value)
    if kind is tuple:
        return tuple(map(freeze, value))
    if kind in _MUTABLE:
        raise UnkeyableError(
            f"no key for a {kind.__name__}: it can change after the call; pass {_MUTABLE[kind]}"
        )
    if kind is np.ndarray and value.flags.writeable:
        value = value.copy(order="K")
        value.flags.writeable = False
    return value


_MUTABLE: Mapping[type, str] = {
    list: "a tuple",
    set: "a frozenset",
    dict: "a tuple of its items",
    bytearray: "bytes",
}

_PLAIN = frozenset({bool, float, complex, NoneType, EllipsisType, str, bytes, range})


class _Encoder:
    """One walk over a value: it remembers the functions it has met, and how deep it is."""

    def __init__(self) -> None:
        self.functions: dict[int, int] = {}
        self.depth = 0

    def encode(self, value: Any) -> Key:
        # By exact type: a subclass may carry state of its own, and goes by that.
        kind = type(value)
        if kind is int:
            return value if LEAST <= value <= MOST else _shortened(whole(value))
        if kind in _PLAIN or issubclass(kind, (np.number, np.bool_)):
            return _shortened(repr(value))
        if kind is np.ndarray:
            return _array(value)
        if isinstance(value, (type, BuiltinFunctionType, np.ufunc, ModuleType)):
            return _qualified(value)
        if self.depth == _NESTED:
            raise UnkeyableError(
                f"no key for what is nested over {_NESTED} deep, or contains itself"
            )
        self.depth += 1
        try:
            if kind in _CONTAINERS:
                return _CONTAINERS[kind](value, self.encode)
            if isinstance(unwrapped := getattr(value, "__wrapped__", value), FunctionType):
                return self.function(unwrapped)
            return f"{kind.__name__}#{digest((_qualified(kind), self.encode(_state(value))))}"
        finally:
            self.depth -= 1

    def function(self, function: FunctionType) -> Key:
        if id(function) in self.functions:  # recursion, direct or mutual
            return f"function {self.functions[id(function)]}"
        self.functions[id(function)] = len(self.functions)
        parts = [self.code(function.__code__)]
        for value in _reached(function):
            try:
                parts.append(self.encode(value))
            except UnkeyableError:
                # What a function merely names need not be content: a lock, a logger, a file.
                parts.append(f"opaque {type(value).__qualname__}")
        return f"{function.__qualname__}#{digest(tuple(parts))}"

    def code(self, code: CodeType) -> Key:
        constants = [
            self.code(each) if isinstance(each, CodeType) else self.encode(each)
            for each in code.co_consts
        ]
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return (code.co_code.hex(), repr(names), counts, tuple(constants))


def _in_order(tag: str) -> Callable[[Any, Callable[[Any], Key]], Key]:
    return lambda value, inner: (tag, *map(inner, value))


def _sorted(tag: str) -> Callable[[Any, Callable[[Any], Key]], Key]:
    # The order of a set differs between processes, that of a dict is no part of its value.
    return lambda value, inner: (tag, *sorted(map(inner, value), key=repr))


_CONTAINERS: Mapping[type, Callable[[Any, Callable[[Any], Key]], Key]] = {
    tuple: lambda value, inner: tuple(map(inner, value)),
    list: _in_order("list"),
    set: _sorted("set"),
    frozenset: _sorted("frozenset"),
    dict: lambda value, inner: _sorted("dict")(value.items(), inner),
}


def _shortened(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG // 2]}…#{digest(text)}"


def _qualified(value: Any) -> str:
    title = next(filter(None, (getattr(value, each, "") for each in ("__qualname__", "__name__"))))
    return f"{getattr(value, '__module__', None) or 'builtins'}.{title}"


_hashed: dict[int, tuple[ref[np.ndarray[Any, Any]], str]] = {}


def _array(value: np.ndarray[Any, Any]) -> str:
    if (known := _hashed.get(id(value))) is not None and known[0]() is value:
        return known[1]
    if value.dtype.hasobject:
        content = digest(encode(value.tolist()))
    else:
        flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        content = blake2b(flat.data, digest_size=12).hexdigest()
    shape = "×".join(map(str, value.shape))
    text = f"{value.dtype}[{shape}]#{digest((repr(value.dtype), content))}"
    if not value.flags.writeable and value.flags.owndata:
        identity = id(value)
        _hashed[identity] = (ref(value, lambda _: _hashed.pop(identity, None)), text)
    return text


def _state(value: Any) -> Any:
    """What pickle, or the object itself, holds to be its content."""
    kind = type(value)
    try:
        if kind is object:
            raise TypeError("it has no state")
        if callable(tokenize := getattr(kind, "__dask_tokenize__", None)):
            return tokenize(value)
        state = value.__reduce_ex__(4)
    except Exception as error:
        raise UnkeyableError(
            f"no key for a {_qualified(kind)}: {error}; pass what it is made from, or give its "
            "class a __dask_tokenize__"
        ) from error
    if isinstance(state, str):
        return state
    # A callable, its arguments, the state, and iterators over list and dict items.
    return [list(part) if hasattr(part, "__next__") else part for part in state]


@functools.cache
def _global_names(code: CodeType) -> tuple[str, ...]:
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for each in code.co_consts:
        if isinstance(each, CodeType):
            names.update(_global_names(each))
    return tuple(sorted(names))


def _reached(function: FunctionType) -> Iterator[object]:
    """The values that a function's result may hang on: defaults, closure and globals.

    Functions and objects of other projects count by their name alone.
    """
    yield function.__defaults__
    yield function.__kwdefaults__
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            yield "empty cell"
    project = function.__module__.partition(".")[0]
    for name in _global_names(function.__code__):
        value = function.__globals__.get(name)
        module = getattr(value, "__module__", None) or ""
        foreign = hasattr(value, "__qualname__") and module.partition(".")[0] != project
        yield (name, _qualified(value) if foreign else value)
