"""How a call is named: which of its arguments count, and where they stand.

`f(3)`, `f(n=3)` and `f(3, scale=1)`, where 1 is the default, are one call. What a graph has of a
memoized function is named in the same way, so that both find the same results.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from dask.task_spec import Task

from pipeline.identity import ATOMS, closure_values, display_name, held


class Arguments(NamedTuple):
    """The arguments of a call that count, by place as far as possible."""

    by_place: tuple[Any, ...]
    by_name: dict[str, Any]


class CallForm:
    """How calls of a function are named.

    ignore: names of parameters that do not count
    version: counts in place of the code of the function; None if the code counts
    required: how many arguments a call has that gives no others, by place; they all count. -1 for
        a function that may be called in no such way

    Raises `ValueError` for a name that is no parameter, and for a version without a name to count
    with.
    """

    def __init__(
        self, function: Callable[..., Any], ignore: Iterable[str] = (), version: str | None = None
    ) -> None:
        self.function = function
        self.ignore = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self.version = version
        if version is not None:
            self._require_name()
        self._read()

    def _read(self) -> None:
        """Read the signature: the function may have other code or other defaults later."""
        function = self.function
        self._made_of = _made_of(function)
        self._defaults = held(function, "__defaults__")  # which keep their ids
        try:
            # What wraps a function may pass it more than it is called with.
            self._signature = inspect.signature(function, follow_wrapped=self._follows_wrapped())
        except (TypeError, ValueError):  # a function of C
            both = (("args", _REST), ("named", inspect.Parameter.VAR_KEYWORD))
            self._signature = inspect.Signature([inspect.Parameter(*each) for each in both])
        parameters = self._signature.parameters.values()
        for name in self.ignore - self._signature.parameters.keys():
            raise ValueError(
                f"ignore={name!r}: {display_name(function)} has the parameters "
                f"{', '.join(self._signature.parameters) or 'none'}"
            )
        plain = [item.kind in _PLACED and item.default is item.empty for item in parameters]
        self.required = (plain.index(False) if False in plain else len(plain)) * (not self.ignore)
        if self.version is not None and False in plain:
            self.required = -1

    def _follows_wrapped(self) -> bool:
        if type(self.function) is not FunctionType:
            return True
        own = inspect.signature(self.function, follow_wrapped=False).parameters
        return not self.ignore <= own.keys()

    @property
    def name(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def _require_name(self) -> None:
        name = held(self.function, "__qualname__")
        if not isinstance(name, str) or name.endswith("<lambda>"):
            raise ValueError(
                f"version={self.version!r} counts with the name of the function, and "
                f"{display_name(self.function)} has none that others do not have; write it as a def"
            )

    @property
    def state(self) -> list[Any]:
        """The values that count besides a version: the object of a method, what a closure holds."""
        if self.version is None:
            return []
        values = [held(self.function, "__self__")]
        if isinstance(self.function, FunctionType):
            values += closure_values(self.function).values()
        return [value for value in values if value is not None and not isinstance(value, _CODE)]

    def arguments(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> Arguments:
        """The arguments of a call that count. Raises `TypeError` as the call would."""
        if _made_of(self.function) != self._made_of:
            self._read()
        if not named and len(args) == self.required:
            return Arguments(args, {})
        call = self._signature.bind(*args, **named)
        if self.version is not None:  # another default is another argument
            call.apply_defaults()
        bound = call.arguments
        has_rest = any(item.kind is _REST and bound.get(name)
                       for name, item in self._signature.parameters.items())  # fmt: skip
        by_place: list[Any] = []
        by_name: dict[str, Any] = {}
        is_gapless = True
        for name, parameter in self._signature.parameters.items():
            is_left_out = (
                name in bound and not has_rest and self._is_left_out(parameter, bound[name])
            )
            if name in self.ignore or name not in bound or is_left_out:
                is_gapless = is_gapless and parameter.kind not in _PLACED
            elif parameter.kind is _REST:
                by_place += bound[name]
            elif parameter.kind is parameter.VAR_KEYWORD:
                by_name |= bound[name]
            elif parameter.kind in _PLACED and is_gapless:
                by_place.append(bound[name])
            else:
                by_name[name] = bound[name]
        return Arguments(tuple(by_place), by_name)

    def _is_left_out(self, parameter: inspect.Parameter, value: Any) -> bool:
        is_counted = self.version is not None and type(value) in ATOMS
        return not is_counted and _is_default(parameter, value)

    def task(self, task: Task) -> Task:
        """A task that calls the function, with the arguments that count."""
        args, named = self.arguments(task.args, task.kwargs)
        return Task(task.key, task.func, *args, **named)


_CODE = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
_REST = inspect.Parameter.VAR_POSITIONAL
_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _made_of(function: Any) -> Any:
    """What the signature of a function is made of."""
    if type(function) is not FunctionType:
        return held(function, "__func__") and _made_of(function.__func__)
    named = function.__kwdefaults__
    return (
        function.__code__,
        id(function.__defaults__),
        named and {name: id(value) for name, value in named.items()},
    )


def _is_default(parameter: inspect.Parameter, value: Any) -> bool:
    default = parameter.default
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return False  # what follows it could not be given by name
    if value is default:
        return True
    kind = type(value)
    return kind is type(default) and kind in ATOMS and repr(value) == repr(default)


# Wrappers

_FORM = "__pipeline_form__"


def set_form(wrapper: FunctionType, form: CallForm) -> None:
    """Note how calls of a wrapper are named."""
    # With the code: `functools.wraps` copies attributes to other wrappers.
    setattr(wrapper, _FORM, (form, wrapper.__code__))


def form_of(function: Any) -> CallForm | None:
    """How calls of a function are named; None for a function that is not memoized."""
    if type(function) is not FunctionType:
        return None
    form, code = vars(function).get(_FORM, (None, None))
    return form if code == function.__code__ else None
