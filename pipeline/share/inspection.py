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
    codes = _reached(
        function,
        lambda value: (
            isinstance(value, FunctionType | functools.partial) or hasattr(value, "__wrapped__")
        ),
    )
    return frozenset(name for code in codes for name in names_in_code(code).others)


def names_paths(function: Any) -> bool:
    """Whether the code of a function, or of one that it calls, names an existing file or a URL."""
    texts = (
        text
        for code in _reached(function, lambda _: True)
        for text in _constants(code)
        if isinstance(text, str)
    )
    return any("://" in text or (text.strip("./") and os.path.exists(text)) for text in texts)


def _constants(code: CodeType) -> Iterator[Any]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        elif constant is not code.co_consts[0] or not isinstance(constant, str):  # a docstring
            yield constant


# What is changed

_SETS = {
    "STORE_ATTR": 0,
    "DELETE_ATTR": 0,
    "STORE_SUBSCR": 1,
    "DELETE_SUBSCR": 1,
    "STORE_SLICE": 2,
}
"""Instructions that set something, and how many values are on the stack above its owner."""

_LOADS = ("LOAD_FAST", "LOAD_DEREF")
_GLOBAL = "global "
_CREATES = ("CALL", "BUILD_", "LIST_", "DICT_", "SET_")
_FIRST_IN_PLACE = 13
"""The first of the in-place operators among the arguments of `BINARY_OP`."""

_MAX_DEPTH = 4
"""How many functions that call each other are read."""


def changed_arguments(function: Any, depth: int = _MAX_DEPTH) -> frozenset[int | str]:
    """The places and names of the arguments that a function changes."""
    inner = getattr(function, "__func__", function)
    if not isinstance(inner, FunctionType) or is_library(inner.__module__ or ""):
        return frozenset()
    code = inner.__code__
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    changed = set(_changed_variables(code)) & set(arguments)
    if (
        depth
        and not changed
        and any(
            isinstance(reference.value, FunctionType)
            and changed_arguments(reference.value, depth - 1)
            for reference in references_of(inner)
        )
    ):
        changed = set(arguments)  # any of them may be passed on
    own = arguments[isinstance(function, MethodType) :]
    places = (place for place, name in enumerate(own[: code.co_argcount]) if name in changed)
    return frozenset([*places, *(name for name in own if name in changed)])


def changes_its_object(method: Any) -> bool:
    """Whether a method sets attributes of its object, or calls a method that changes it."""
    code = getattr(getattr(method, "__func__", None), "__code__", None)
    if code is None or not code.co_argcount or is_library(method.__func__.__module__ or ""):
        return False
    return code.co_varnames[0] in _changed_variables(code)


@functools.lru_cache(4096)
def changed_outside(code: CodeType) -> str:
    """A variable outside of a function that its code changes in place; empty if none.

    A cache that it fills does not count: `cache[x] = y` does not read the older value.
    """
    steps = list(_steps(code))
    sources: dict[str, str] = {}
    for place, step in enumerate(steps):
        if step.name == "STORE_FAST":
            sources[step.value] = _source(steps, place)
        elif step.name == "BINARY_OP" and step.number >= _FIRST_IN_PLACE:
            root = _root(steps, place, 1)
            root = sources.get(root) or root
            if root.startswith(_GLOBAL) or root in code.co_freevars:
                return root.removeprefix(_GLOBAL)
    return ""


@functools.lru_cache(4096)
def _changed_variables(code: CodeType) -> frozenset[str]:
    """The variables whose values the code changes, and the variables that these come from."""
    steps = list(_steps(code))
    changed: set[str] = set()
    sources: dict[str, str] = {}
    created: set[str] = set()
    for place, step in enumerate(steps):
        if step.name in ("LOAD_ATTR", "LOAD_METHOD") and step.value in CHANGES:
            changed.add(_root(steps, place, 0))
        elif step.name in _SETS:
            changed.add(_root(steps, place, _SETS[step.name]))
        elif step.name == "BINARY_OP" and step.number >= _FIRST_IN_PLACE:
            changed.add(_root(steps, place, 1))
        elif step.name in ("STORE_FAST", "STORE_DEREF"):
            if source := _source(steps, place):
                sources[step.value] = source
            elif _is_created(steps, place):
                created.add(step.value)
    names = names_in_code(code)
    if {"inplace", "out"} & set(names.keywords) or "shuffle" in names.others:
        changed.update(code.co_varnames[: code.co_argcount])
    for _ in sources:  # a variable may come from another that comes from an argument
        changed.update(sources[name] for name in changed & sources.keys())
    return frozenset(changed - created - {""})


class _Step(NamedTuple):
    """An instruction, its argument as a value and as a number, and how the stack grows."""

    name: str
    value: Any
    number: int
    growth: int


def _steps(code: CodeType) -> Iterator[_Step]:
    for step in dis.get_instructions(code):
        if step.opname in SUPERINSTRUCTIONS:
            for name, value in zip(SUPERINSTRUCTIONS[step.opname], step.argval, strict=True):
                yield _Step(name, value, 0, 1 if name.startswith("LOAD") else -1)
        else:
            number = step.arg if step.opcode >= dis.HAVE_ARGUMENT else None
            growth = dis.stack_effect(step.opcode, number, jump=False)
            yield _Step(step.opname, step.argval, step.arg or 0, growth)


def _start(steps: Sequence[_Step], place: int) -> int:
    """Where the code of the value begins that is on top of the stack before an instruction."""
    height = 0
    while place > 0:
        place -= 1
        height += steps[place].growth
        if height >= 1:
            break
    return place


def _root(steps: Sequence[_Step], place: int, above: int) -> str:
    """The variable at the start of the expression that is changed; empty if it is none."""
    for _ in range(above):
        place = _start(steps, place)
    place = _start(steps, place)
    copies = 0
    while steps[place + copies].name == "COPY":
        copies += 1
    for _ in range(copies):  # `x.a += 1` copies x, `x[0] += 1` copies x and 0
        place = _start(steps, place)
    return _variable(steps[place])


def _variable(step: _Step) -> str:
    if step.name == "LOAD_GLOBAL":
        return f"{_GLOBAL}{step.value}"
    return str(step.value) if step.name.startswith(_LOADS) else ""


def _source(steps: Sequence[_Step], place: int) -> str:
    """The variable whose value, or part of it, is stored; for a loop, what it iterates over."""
    if place and steps[place - 1].name == "FOR_ITER":
        place -= 1
        while place and steps[place].name != "GET_ITER":
            place -= 1
    start = _start(steps, place)
    return "" if _is_created(steps, place) else _variable(steps[start])


def _is_created(steps: Sequence[_Step], place: int) -> bool:
    """Whether a call creates the value that is stored."""
    names = (step.name for step in steps[_start(steps, place) : place])
    return any(name.startswith(_CREATES) and name != "BUILD_SLICE" for name in names)
