"""A callable whose calls are lazy: what recurrences and tasks have in common."""

from __future__ import annotations

import inspect
import itertools
import sys
from abc import ABC, abstractmethod
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, cast

from pipeline.graph import bind_arguments, call_key
from pipeline.identity import ATOMS, UnkeyableError, encode, short_repr
from pipeline.trace.calls import Call
from pipeline.trace.session import Prefix, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    from pipeline.trace.calls import Function


class LazyArgumentError(TypeError):
    """A lazy call as an argument of a recurrence."""


class LazyFunction(ABC):
    """A callable whose calls are lazy."""

    __name__: str
    __qualname__: str
    body: Callable[..., Any]

    arity: int | None
    """How many arguments need no binding: all are positional, and none is left to a default."""

    cheap = True
    """Whether a call is not worth a scheduler's time, and may be run with others as one task."""

    prefix = Prefix()
    fixed: str | None

    def __init__(self, function: Callable[..., Any]) -> None:
        if isinstance(function, LazyFunction):
            raise TypeError(f"{function!r} is decorated already")
        if isinstance(function, (staticmethod, classmethod)):
            name = type(function).__name__
            raise TypeError(f"write @{name} above the decorator of {function.__name__}, not below")
        if not callable(function):
            raise TypeError(f"{function!r} is not callable: decorate a function")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function!r} yields or awaits: decorate a function that returns")
        update_wrapper(cast("Callable[..., Any]", self), function)
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        # Those that are written in C have defaults that cannot be passed.
        python = isinstance(function, (FunctionType, MethodType))
        self.signature = inspect.signature(function, follow_wrapped=False) if python else None
        parameters = self.signature.parameters.values() if self.signature else ()
        plain = all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)
        self.arity = len(parameters) if plain and self.signature else None
        self.defaults = {each.name: each.default for each in parameters}
        register(self)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(cast("Callable[..., Any]", self), instance)

    def __reduce__(self) -> Any:
        # By name, as functions are, where the name leads here; else by value.
        found: Any = sys.modules.get(self.__module__)
        for name in self.__qualname__.split("."):
            found = getattr(found, name, None)
        if found is self and self.__module__ != "__main__":
            return self.__qualname__
        return type(self), self._arguments()

    def _arguments(self) -> tuple[Any, ...]:
        return (self.__wrapped__,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.__qualname__}>"

    def _make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        if kwargs or len(args) != self.arity:
            args, kwargs = bind_arguments(self.__wrapped__, self.signature, args, kwargs)
        try:
            names = itertools.chain(self.defaults, itertools.repeat(""))
            taken = [self._taken(name, value) for name, value in zip(names, args, strict=False)]
            named = {name: self._taken(name, value) for name, value in kwargs.items()}
        except RecursionError:
            raise UnkeyableError(f"{self.__name__}(): an argument is nested too deeply") from None
        except (LazyArgumentError, UnkeyableError) as error:
            shown = [short_repr(value) for value in args]
            shown += [f"{name}={short_repr(value)}" for name, value in kwargs.items()]
            raise type(error)(f"{self.__name__}({', '.join(shown)}): {error}") from error
        call = Call()
        call.function = cast("Function", self)
        call.args = tuple(value for value, _ in taken)
        call.kwargs = {name: value for name, (value, _) in named.items()}
        call.key = call_key(
            self.prefix,
            tuple(encoded for _, encoded in taken),
            {name: encoded for name, (_, encoded) in named.items()},
        )
        return call

    def _taken(self, name: str, value: Any) -> tuple[Any, Key]:
        if type(value) in ATOMS:
            return value, encode(value)
        try:
            return self._argument(value)
        except UnkeyableError:
            if value is self.defaults.get(name, self):
                return value, "default"
            raise

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.__wrapped__)

    @abstractmethod
    def _argument(self, value: Any) -> tuple[Any, Key]:
        """An argument as it is now, and encoded."""
