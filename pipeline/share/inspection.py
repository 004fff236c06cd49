"""What the code of a function says: what it may call, and which of its arguments it changes.

A task that changes its input needs a value that no other task uses. The code is read as the
interpreter runs it, on a stack: `x[0] = 1`, `x.a = 1` and `x.append(1)` lead back to a variable,
and the variable to an argument.
"""

from __future__ import annotations

import dis
import functools
import inspect
import os
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.identity import (
    SUPERINSTRUCTIONS,
    attribute_of,
    closure_values,
    is_library,
    library_name,
    names_in_code,
    references_of,
)
from pipeline.share.impurities import CHANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# What is called

_RUN = ("__init__", "__new__", "__post_init__", "__call__", "__enter__", "__iter__", "__next__")
"""Methods that run without being named."""


class Callee(NamedTuple):
    """A value that a function may call.

    name: under which the code names it
    is_seedless: whether the code calls it without arguments, or with None
    keywords: the names by which the code passes arguments, to any function
    """

    value: Any
    name: str = ""
    is_seedless: bool = False
    keywords: tuple[str, ...] | None = None


def callees(value: Any) -> Iterator[Callee]:
    """What a function, an object or a class may call when it is called."""
    if isinstance(value, functools.partial):
        yield Callee(value.func, "", not value.args and not value.keywords)
        inner = [*value.args, *value.keywords.values()]
    elif isinstance(value, FunctionType):
        yield from _named_callees(value)
        inner = [*closure_values(value).values(), *(value.__defaults__ or ())]
        inner += (value.__kwdefaults__ or {}).values()
    elif isinstance(value, type):
        inner = [*_members(value), *value.__bases__]
    elif isinstance(value, list | tuple | set | frozenset | dict):
        inner = list(value.values() if isinstance(value, dict) else value)
    elif isinstance(value, MethodType):
        inner = [value.__func__, *_own_methods(value)]
    elif hasattr(value, "__wrapped__"):
        inner = [value.__wrapped__]
    elif isinstance(value, BuiltinFunctionType | ModuleType):
        inner = []
    else:
        call = vars(type(value)).get("__call__")
        inner = [MethodType(call, value)] if isinstance(call, FunctionType) else []
        inner += filter(callable, getattr(value, "__dict__", {}).values())
    yield from map(Callee, inner)


def _named_callees(function: FunctionType) -> Iterator[Callee]:
    names = names_in_code(function.__code__)
    heads: dict[str, Any] = {}
    for reference in references_of(function):
        value, name = reference.value, reference.name
        yield Callee(value, name, reference.is_seedless, names.keywords)
        if reference.owner is None:
            heads[name] = value
        if reference.is_last and isinstance(value, ModuleType | type):
            # Under another variable, the code may use any attribute that it names.
            for attribute in names.others:
                yield Callee(attribute_of(value, attribute), f"{name}.{attribute}")
    for (head, *attributes), *_ in names.chains:
        owner = heads.get(head)
        for attribute in attributes:
            if (method := method_of(owner, attribute)) is not None:
                yield Callee(method)
            owner = getattr(owner, "__dict__", {}).get(attribute)


def _members(kind: type) -> Iterator[FunctionType]:
    """The methods that run when a class is called, and those without underscores."""
    for name, member in vars(kind).items():
        inner = getattr(member, "fget", getattr(member, "__func__", member))
        if isinstance(inner, FunctionType) and (name[:2] != "__" or name in _RUN):
            yield inner


def _own_methods(method: MethodType) -> Iterator[MethodType]:
    """The methods of its object that a method may call."""
    code = getattr(method.__func__, "__code__", None)
    if code is None or not code.co_argcount:
        return
    for (head, *attributes), is_global, _ in names_in_code(code).chains:
        if attributes and head == code.co_varnames[0] and not is_global:
            own = method_of(method.__self__, attributes[0])
            if own is not None:
                yield own


def method_of(owner: Any, name: str) -> MethodType | None:
    """A method of an object, or of a class; no code of the object runs."""
    if owner is None or isinstance(owner, ModuleType | FunctionType):
        return None
    kind = owner if isinstance(owner, type) else type(owner)
    member = inspect.getattr_static(kind, name, None)
    member = getattr(member, "fget", getattr(member, "__func__", member))
    return MethodType(member, owner) if isinstance(member, FunctionType) else None


def _reached(function: Any, is_read: Callable[[Any], bool]) -> Iterator[CodeType]:
    """The code of a function, and of the project's functions that it may call."""
    seen: dict[int, Any] = {}
    stack = [function]
    while stack:
        value = stack.pop()
        value = getattr(value, "__func__", value)
        if id(value) in seen or library_name(value) is not None or not is_read(value):
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType):
            yield value.__code__
        stack += [callee.value for callee in callees(value)]


def attributes_of(function: Any) -> frozenset[str]:
    """The attributes that a function names, or one of the project's functions that it calls."""

    def is_function(value: Any) -> bool:
        is_known = isinstance(value, (FunctionType, functools.partial))
        return is_known or hasattr(value, "__wrapped__")

    codes = _reached(function, is_function)
    return frozenset(name for code in codes for name in names_in_code(code).others)


def names_paths(function: Any) -> bool:
    """Whether the code of a function, or of one that it calls, names an existing file or a URL."""
    codes = _reached(function, lambda _: True)
    texts = (text for code in codes for text in _constants(code) if isinstance(text, str))
    return any("://" in text or (text.strip("./") and os.path.exists(text)) for text in texts)


def _constants(code: CodeType) -> Iterator[Any]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        elif constant is not code.co_consts[0] or not isinstance(constant, str):  # a docstring
            yield constant


# What is changed

_OWNERS = {
    "STORE_ATTR": 1, "DELETE_ATTR": 1, "STORE_SUBSCR": 2, "DELETE_SUBSCR": 2, "STORE_SLICE": 3,
}  # fmt: skip
"""Instructions that set something, and the place of its owner on the stack, from the top."""

_FIRST_IN_PLACE = 13
"""The first of the in-place operators among the arguments of `BINARY_OP`."""

_CREATED = "()"
_GLOBAL = "global "
_PADDING = 32
"""Unknown values below the stack: after a jump, instructions may pop more than was pushed."""

_MAX_DEPTH = 4
"""How many functions that call each other are read."""


def changed_arguments(function: Any, depth: int = _MAX_DEPTH) -> frozenset[int | str]:
    """The places and names of the arguments that a function changes."""
    inner = getattr(function, "__func__", function)
    if not isinstance(inner, FunctionType) or is_library(inner.__module__ or ""):
        return frozenset()
    code = inner.__code__
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    changed = changes(code).variables & set(arguments)
    if depth and not changed:
        values = (reference.value for reference in references_of(inner))
        helpers = (value for value in values if isinstance(value, FunctionType))
        if any(changed_arguments(helper, depth - 1) for helper in helpers):
            changed = frozenset(arguments)  # any of them may be passed on
    own = arguments[isinstance(function, MethodType) :]
    places = (place for place, name in enumerate(own[: code.co_argcount]) if name in changed)
    return frozenset([*places, *(name for name in own if name in changed)])


def changes_its_object(method: Any) -> bool:
    """Whether a method sets attributes of its object, or calls a method that changes it."""
    code = getattr(getattr(method, "__func__", None), "__code__", None)
    if code is None or not code.co_argcount or is_library(method.__func__.__module__ or ""):
        return False
    return code.co_varnames[0] in changes(code).variables


class Changes(NamedTuple):
    """The variables whose values code changes; a variable outside of it that it changes in place.

    A cache outside does not count: `cache[x] = y` does not read the older value.
    """

    variables: frozenset[str]
    outside: str


@functools.lru_cache(4096)
def changes(code: CodeType) -> Changes:
    """What code changes.

    The instructions are followed one after the other. For each value on the stack there is the
    variable that it is, or is a part of; `_CREATED` for the result of a call.
    """
    stack: list[str] = [""] * _PADDING
    changed: set[str] = set()
    created: set[str] = set()
    sources: dict[str, str] = {}  # for a variable, the one whose part it is, or was
    latest: dict[str, str] = {}  # the same, but now
    outside = ""
    for name, value, number, growth in _steps(code):
        if name in _OWNERS:
            changed.add(stack[-_OWNERS[name]])
        elif name in ("LOAD_ATTR", "LOAD_METHOD") and value in CHANGES:
            changed.add(stack[-1])
        elif name == "BINARY_OP" and number >= _FIRST_IN_PLACE:
            changed.add(owner := stack[-2])
            owner = latest.get(owner) or owner
            if owner.startswith(_GLOBAL) or owner in code.co_freevars:
                outside = outside or owner.removeprefix(_GLOBAL)
        elif name in ("STORE_FAST", "STORE_DEREF"):
            latest[value] = source = stack[-1] if stack[-1] != _CREATED else ""
            if source:
                sources[value] = source
            elif stack[-1]:
                created.add(value)
        _move(stack, name, value, number, growth)
    changed.update(_passed_to_change(code))
    for _ in sources:  # a variable may come from another that comes from an argument
        changed.update(sources[variable] for variable in changed & sources.keys())
    return Changes(frozenset(changed - created), outside)


def _passed_to_change(code: CodeType) -> Sequence[str]:
    """The arguments, if the code calls what changes one of its arguments, whichever that is."""
    names = names_in_code(code)
    is_changing = {"inplace", "out"} & set(names.keywords) or "shuffle" in names.others
    return code.co_varnames[: code.co_argcount] if is_changing else ()


def _move(stack: list[str], name: str, value: Any, number: int, growth: int) -> None:
    """Do to the stack what an instruction does."""
    if name == "SWAP":
        stack[-1], stack[-number] = stack[-number], stack[-1]
        return
    is_part = name.startswith("BINARY_") and _CREATED in stack[-2:]
    pushed = ""
    if name.startswith(("LOAD_FAST", "LOAD_DEREF")):
        pushed = value
    elif name == "LOAD_GLOBAL":
        pushed = f"{_GLOBAL}{value}"
    elif name == "COPY":
        pushed = stack[-number]
    elif name in ("LOAD_ATTR", "LOAD_METHOD", "FOR_ITER"):
        pushed = stack[-1]
    if growth < 0:
        del stack[growth:]
    stack += [pushed] * growth
    stack[:0] = [""] * (_PADDING - len(stack))
    is_call = name.startswith(("CALL", "BUILD_")) and name != "BUILD_SLICE"
    if is_part or is_call:
        stack[-1] = _CREATED
    elif name.startswith("UNPACK_"):
        stack[-max(growth, 0) - 1] = ""


def _steps(code: CodeType) -> Iterator[tuple[str, Any, int, int]]:
    """The name of each instruction, its argument as a value and as a number, and what it pushes."""
    for step in dis.get_instructions(code):
        if step.opname in SUPERINSTRUCTIONS:
            for name, value in zip(SUPERINSTRUCTIONS[step.opname], step.argval, strict=True):
                yield name, value, 0, 1 if name.startswith("LOAD") else -1
        else:
            number = step.arg if step.opcode >= dis.HAVE_ARGUMENT else None
            growth = dis.stack_effect(step.opcode, number, jump=False)
            yield step.opname, step.argval, step.arg or 0, growth
