"""Which of its arguments a function changes in place, as far as its code says.

A consumer that changes its input needs one of its own. The code is read as it runs on a stack:
what is set, `x[0]`, `x.a`, `x.loc[0, "a"]`, leads back to a variable, and that to an argument.
"""

from __future__ import annotations

import dis
from functools import lru_cache
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.identity import SUPERINSTRUCTIONS, is_library, names_in_code, references
from pipeline.share.impurities import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TAKES = {"STORE_ATTR": 0, "DELETE_ATTR": 0, "STORE_SUBSCR": 1, "DELETE_SUBSCR": 1,
          "STORE_SLICE": 2}  # fmt: skip
"""Instructions that set something, and how many values stand on the stack above its owner."""

_LOADS = ("LOAD_FAST", "LOAD_DEREF")
_FRESH = ("CALL", "BUILD_", "LIST_", "DICT_", "SET_")
_IN_PLACE = 13
"""The first of the in-place operators among the arguments of `BINARY_OP`."""

_DEPTH = 4
"""Functions that call each other, of which the last is still looked into."""


def changed_arguments(function: Any, depth: int = _DEPTH) -> frozenset[int | str]:
    """The places and names of the arguments that a function changes."""
    inner = getattr(function, "__func__", function)
    if not isinstance(inner, FunctionType) or is_library(inner.__module__ or ""):
        return frozenset()
    code = inner.__code__
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    changed = set(_changed(code)) & set(arguments)
    if depth and not changed and any(
        isinstance(each.value, FunctionType) and changed_arguments(each.value, depth - 1)
        for each in references(inner)
    ):  # fmt: skip
        changed = set(arguments)  # which of them it passes on is not told
    own = arguments[isinstance(function, MethodType) :]
    places = (place for place, name in enumerate(own[: code.co_argcount]) if name in changed)
    return frozenset([*places, *(name for name in own if name in changed)])


def changes_its_object(method: Any) -> bool:
    """Whether a method sets attributes of its object, or calls what changes it."""
    code = getattr(getattr(method, "__func__", None), "__code__", None)
    if code is None or not code.co_argcount or is_library(method.__func__.__module__ or ""):
        return False
    return code.co_varnames[0] in _changed(code)


@lru_cache(4096)
def counted_outside(code: CodeType) -> str:
    """A global, or a variable of a function around it, that the code counts up in place.

    A cache that it fills is none: `cache[x] = y` does not look at what was there.
    """
    steps = list(_steps(code))
    taken: dict[str, str] = {}
    for place, step in enumerate(steps):
        if step.name == "STORE_FAST":
            taken[step.value] = _source(steps, place)
        elif step.name == "BINARY_OP" and step.number >= _IN_PLACE:
            root = _root(steps, place, 1)
            root = taken.get(root) or root
            if root.startswith(_GLOBAL) or root in code.co_freevars:
                return root.removeprefix(_GLOBAL)
    return ""


_GLOBAL = "global "


@lru_cache(4096)
def _changed(code: CodeType) -> frozenset[str]:
    """The variables whose values the code changes, and what they are taken from."""
    steps = list(_steps(code))
    found: set[str] = set()
    taken: dict[str, str] = {}
    fresh: set[str] = set()
    for place, step in enumerate(steps):
        if step.name in ("LOAD_ATTR", "LOAD_METHOD") and step.value in CHANGES:
            found.add(_root(steps, place, 0))
        elif step.name in _TAKES:
            found.add(_root(steps, place, _TAKES[step.name]))
        elif step.name == "BINARY_OP" and step.number >= _IN_PLACE:
            found.add(_root(steps, place, 1))
        elif step.name in ("STORE_FAST", "STORE_DEREF"):
            source = _source(steps, place)
            if source:
                taken[step.value] = source
            elif _is_fresh(steps, place):
                fresh.add(step.value)
    if {"inplace", "out"} & set(names_in_code(code).keywords) or "shuffle" in names_in_code(
        code
    ).others:
        found.update(code.co_varnames[: code.co_argcount])
    for _ in taken:  # a variable may be taken from another that is taken from an argument
        found.update(taken[each] for each in found & taken.keys())
    return frozenset(found - fresh - {""})


class _Step(NamedTuple):
    name: str
    value: Any
    number: int  # the argument as it is encoded
    effect: int  # on the height of the stack


def _steps(code: CodeType) -> Iterator[_Step]:
    for each in dis.get_instructions(code):
        if each.opname in SUPERINSTRUCTIONS:
            for name, value in zip(SUPERINSTRUCTIONS[each.opname], each.argval, strict=True):
                yield _Step(name, value, 0, 1 if name.startswith("LOAD") else -1)
        else:
            number = each.arg if each.opcode >= dis.HAVE_ARGUMENT else None
            effect = dis.stack_effect(each.opcode, number, jump=False)
            yield _Step(each.opname, each.argval, each.arg or 0, effect)


def _start(steps: Sequence[_Step], place: int) -> int:
    """Where the value begins that is on top of the stack before an instruction."""
    height = 0
    while place > 0:
        place -= 1
        height += steps[place].effect
        if height >= 1:
            break
    return place


def _root(steps: Sequence[_Step], place: int, above: int) -> str:
    """The variable that the owner of what is set begins with; nothing, if it is none."""
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
    """The variable of which a part, or all, is given another name; of a loop, what it goes over."""
    if place and steps[place - 1].name == "FOR_ITER":
        place -= 1
        while place and steps[place].name != "GET_ITER":
            place -= 1
    start = _start(steps, place)
    return "" if _is_fresh(steps, place) else _variable(steps[start])


def _is_fresh(steps: Sequence[_Step], place: int) -> bool:
    """Whether the value that is stored was made by a call."""
    made = steps[_start(steps, place) : place]
    return any(each.name.startswith(_FRESH) and each.name != "BUILD_SLICE" for each in made)
