"""What the code of a function says: what it may call, and what it counts up outside of it."""

from __future__ import annotations

import dis
import enum
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from pipeline.identity import (
    SUPERINSTRUCTIONS,
    UnimportedModule,
    attribute_of,
    closure_values,
    held,
    items_of,
    library_name,
    member_of,
    names_in_code,
    namespace,
    plain_state,
    references_of,
    type_part,
)
from pipeline.share.copying import IMMUTABLE

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
    elif isinstance(value, UnimportedModule):
        yield from _named_callees(value)
        inner = []
    elif isinstance(value, type):
        members = type_part(value, "__dict__")
        named = [(name, _function_in(member)) for name, member in members.items()]
        inner = [member for name, member in named if member and (name[:2] != "__" or name in _RUN)]
        inner += type_part(value, "__bases__")
    elif isinstance(value, list | tuple | set | frozenset | dict):
        inner = items_of(value)
    elif isinstance(value, MethodType):
        inner = [value.__func__, *_own_methods(value)]
    elif (wrapped := held(value, "__wrapped__")) is not None:
        inner = [wrapped]
    elif isinstance(value, BuiltinFunctionType | ModuleType):
        inner = []
    else:
        call = member_of(type(value), "__call__")
        inner = [MethodType(call, value)] if isinstance(call, FunctionType) else []
        inner += filter(callable, namespace(value).values())
    yield from map(Callee, inner)


def _named_callees(function: FunctionType | UnimportedModule) -> Iterator[Callee]:
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
    yield from map(Callee, _methods(function.__code__, heads))


def _own_methods(method: MethodType) -> Iterator[Any]:
    """What a method may call of its object, and of what the object holds."""
    code = held(method.__func__, "__code__")
    if code is not None and code.co_argcount:
        yield from _methods(code, {code.co_varnames[0]: method.__self__})


def _methods(code: CodeType, heads: Mapping[str, Any]) -> Iterator[Any]:
    """The methods that code names in chains of attributes, and the functions that objects hold.

    heads: the values of variables, with which the chains begin
    """
    for (head, *attributes), *_ in names_in_code(code).chains:
        owner = heads.get(head)
        for attribute in attributes:
            if (method := method_of(owner, attribute)) is not None:
                yield method
            is_object = not isinstance(owner, ModuleType | type | FunctionType)
            owner = namespace(owner).get(attribute)
            if is_object and callable(owner):
                yield owner


def method_of(owner: Any, name: str) -> MethodType | None:
    """A method of an object, or of a class; no code of the object runs."""
    if owner is None or isinstance(owner, ModuleType | FunctionType):
        return None
    kind = owner if isinstance(owner, type) else type(owner)
    function = _function_in(member_of(kind, name))
    return MethodType(function, owner) if function else None


def _function_in(member: Any) -> FunctionType | None:
    """The function of a method, static method, class method or property."""
    inner = held(member, "fget") or held(member, "__func__", member)
    return inner if isinstance(inner, FunctionType) else None


def _reached(function: Any, is_read: Callable[[Any], bool] = lambda _: True) -> Iterator[CodeType]:
    """The code of a function, and of the project's functions that it may call."""
    seen: dict[int, Any] = {}  # with the values, which keep their ids
    stack = [function]
    while stack:
        value = stack.pop()
        value = held(value, "__func__", value)
        if id(value) in seen or library_name(value) is not None or not is_read(value):
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType | UnimportedModule):
            yield value.__code__
        stack += [callee.value for callee in callees(value)]


def attributes_of(function: Any) -> frozenset[str]:
    """The attributes that a function names, or one of the project's functions that it calls."""

    def is_function(value: Any) -> bool:
        kinds = (FunctionType, UnimportedModule, functools.partial)
        return isinstance(value, kinds) or held(value, "__wrapped__") is not None

    codes = _reached(function, is_function)
    return frozenset(name for code in codes for name in names_in_code(code).others)


def names_paths(function: Any) -> bool:
    """Whether the code of a function, or of one that it calls, names an existing file or a URL."""
    texts = (text for code in _reached(function) for text in _texts(code))
    return any("://" in text or (text.strip("./") and os.path.exists(text)) for text in texts)


def _texts(code: CodeType) -> Iterator[str]:
    for place, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from _texts(constant)
        elif isinstance(constant, str) and place:  # the first may be a docstring
            yield constant


# What is changed


def may_change(function: Any, owner: Any) -> bool:
    """Whether a call may change an object of the project's that it has.

    It may not if all parts of the object are immutable, and no code that may run sets an attribute.
    """
    if isinstance(owner, enum.Enum | tuple) or IMMUTABLE.issuperset(map(type, _parts(owner))):
        classes = (type_part(kind, "__dict__") for kind in type_part(type(owner), "__mro__"))
        members = (_function_in(member) for held_by_class in classes
                   for name, member in held_by_class.items() if name not in _BEGINNING)  # fmt: skip
        codes = [code for member in (function, *filter(None, members)) for code in _reached(member)]
        return any(map(_sets_attributes, codes))
    return True


def _parts(owner: Any) -> Iterable[Any]:
    """The values of an object's attributes and slots; the object itself, if it is more."""
    state = plain_state(owner)
    if state is None or state[3:] != (None, None):
        return [owner]
    attributes, slots = state[2] if isinstance(state[2], tuple) else (state[2], None)
    return [*(attributes or {}).values(), *(slots or {}).values()]


_BEGINNING = ("__init__", "__new__", "__post_init__", "__setattr__", "__delattr__", "__setstate__")


@functools.lru_cache(4096)
def _sets_attributes(code: CodeType) -> bool:
    names = {*code.co_names, *code.co_varnames}
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return (
        not names.isdisjoint({"setattr", "delattr", "__dict__", "vars", "__setattr__"})
        or any(step.opname in ("STORE_ATTR", "DELETE_ATTR") for step in dis.get_instructions(code))
        or any(map(_sets_attributes, inner))
    )


# What is changed outside


def inner_codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a module and of all functions and classes in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from inner_codes(constant)


_FIRST_IN_PLACE = 13
"""The first of the in-place operators among the arguments of `BINARY_OP`."""

_JUMPS = {*dis.hasjrel, *dis.hasjabs}
_ENDS = {
    "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RAISE_VARARGS", "RERAISE",
    "RETURN_CONST", "RETURN_VALUE",
}  # fmt: skip
"""Instructions after which the next does not run."""

_CREATED = "()"
_GLOBAL = "global "
_PADDING = 32
"""Unknown values below the stack: a handler of errors pops more than was pushed."""


@functools.lru_cache(4096)
def changed_outside(code: CodeType) -> str:
    """A variable outside of code that it changes by `+=` and the like. Empty if none is known.

    A cache does not count: `cache[x] = y` does not read the older value.
    """
    latest: dict[str, str] = {}  # for a variable, the one whose part it is
    for name, value, number, stack in _steps(code):
        if name == "BINARY_OP" and number >= _FIRST_IN_PLACE:
            owner = latest.get(stack[-2]) or stack[-2]
            if owner.startswith(_GLOBAL) or owner in code.co_freevars:
                return owner.removeprefix(_GLOBAL)
        elif name in ("STORE_FAST", "STORE_DEREF"):
            latest[value] = latest.get(stack[-1], stack[-1]) if stack[-1] != _CREATED else ""
    return ""


def _steps(code: CodeType) -> Iterator[tuple[str, Any, int, list[str]]]:
    """The name of each instruction, its argument as a value and as a number, the stack before it.

    For each value on the stack there is the variable that it is, or is a part of; `_CREATED` for
    the result of a call.
    """
    stack = [""] * _PADDING
    stacks: dict[int, list[str]] = {}  # by offset, where a jump leads
    is_end = False
    for step in dis.get_instructions(code):
        if is_end:  # only a jump leads here
            stack = stacks.get(step.offset, stack)
        if step.opcode in _JUMPS:
            growth = dis.stack_effect(step.opcode, step.arg, jump=True)
            stacks[step.argval] = [*stack[: len(stack) + min(growth, 0)], *[""] * growth]
        is_end = step.opname in _ENDS
        names = SUPERINSTRUCTIONS.get(step.opname)
        parts = zip(names, step.argval, strict=True) if names else [(step.opname, step.argval)]
        for name, value in parts:
            yield name, value, step.arg or 0, stack
            _move(stack, name, value, step.arg)


def _move(stack: list[str], name: str, value: Any, number: int | None) -> None:
    """Do to the stack what an instruction does."""
    if name == "SWAP" and number:
        stack[-1], stack[-number] = stack[-number], stack[-1]
        return
    is_created = name.startswith(("CALL", "BUILD_", "FORMAT_", "UNARY_", "COMPARE_"))
    is_created |= name == "BINARY_OP" and (number or 0) < _FIRST_IN_PLACE
    pushed = ""
    if name.startswith(("LOAD_FAST", "LOAD_DEREF")):
        pushed = value
    elif name == "LOAD_GLOBAL":
        pushed = f"{_GLOBAL}{value}"
    elif name == "COPY" and number:
        pushed = stack[-number]
    elif name in ("LOAD_ATTR", "LOAD_METHOD", "FOR_ITER"):
        pushed = stack[-1]
    growth = dis.stack_effect(dis.opmap[name], number, jump=False)
    del stack[len(stack) + min(growth, 0) :]
    stack += [pushed] * growth
    stack[:0] = [""] * (_PADDING - len(stack))
    if is_created:
        stack[-1] = _CREATED
    elif name.startswith("UNPACK_"):
        stack[-max(growth, 0) - 1] = ""
