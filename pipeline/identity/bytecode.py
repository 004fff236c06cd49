"""The content of compiled code, without what formatting leaves in it.

Line numbers decide where Python's compiler keeps a `NOP`, copies a short block, threads a jump or
makes two instructions one. What counts here is which instruction may run after which, as a graph
in which states that cannot be told apart are one: a deterministic automaton, minimized.
"""

from __future__ import annotations

import dis
import opcode
from functools import lru_cache
from hashlib import blake2b
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEADS_ON = {"NOP", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}
_ENDS = {"RETURN_VALUE", "RAISE_VARARGS", "RERAISE"}
_JUMPS = {opcode.opname[each] for each in (*dis.hasjrel, *dis.hasjabs)}
_OPPOSITE = {"POP_JUMP_IF_TRUE": "POP_JUMP_IF_FALSE", "POP_JUMP_IF_NOT_NONE": "POP_JUMP_IF_NONE"}
SUPERINSTRUCTIONS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST_BORROW", "LOAD_FAST_BORROW"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
# What a class is given as it is made, and says nothing of what it does.
_NOISE = {"__doc__", "__firstlineno__", "__static_attributes__", "__module__", "__qualname__"}
_CALLED = 0x3AC
"""Flags of how code is called: *args, **kwargs, as a generator, as a coroutine."""


class Step(NamedTuple):
    """One instruction of the interpreter."""

    offset: int
    name: str
    argument: Any


class _State(NamedTuple):
    """What is done, and the states that may follow: the next, a jump's target, a handler."""

    does: str
    after: tuple[int, ...]


@lru_cache(4096)
def code_content(code: CodeType) -> str:
    """24 hexadecimal digits of what the code does, inner functions and constants included.

    Equal for the same program in other lines, with other comments or docstrings.

    >>> def f(x): return x + 1
    >>> def g(x):
    ...     '''One more.'''
    ...     return (
    ...         x + 1
    ...     )
    >>> code_content(f.__code__) == code_content(g.__code__)
    True
    """
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    starred = bool(code.co_flags & 0x4) + bool(code.co_flags & 0x8)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
    text = repr((counts, code.co_flags & _CALLED, names, _minimal(_Flow(code).states())))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def steps(code: CodeType) -> list[Step]:
    """The instructions, one by one, and without what only documents."""
    found: list[Step] = []
    for each in dis.get_instructions(code):
        if each.opname in SUPERINSTRUCTIONS:
            names = zip(SUPERINSTRUCTIONS[each.opname], each.argval, strict=True)
            found += [Step(each.offset, *pair) for pair in names]
        elif each.opname == "RETURN_CONST":
            found.append(Step(each.offset, "LOAD_CONST", each.argval))
            found.append(Step(each.offset, "RETURN_VALUE", None))
        elif each.opname == "KW_NAMES":  # whose argument is only a place in older Pythons
            found.append(Step(each.offset, each.opname, code.co_consts[each.arg or 0]))
        elif each.opname == "STORE_NAME" and each.argval in _NOISE:
            found[-1] = Step(found[-1].offset, "NOP", None)
            found.append(Step(each.offset, "NOP", None))
        else:
            name = each.opname.replace("_FORWARD_", "_").replace("JUMP_BACKWARD_IF", "JUMP_IF")
            found.append(Step(each.offset, name, each.argval))
    return found


class _Flow:
    """Which instruction may run after which."""

    def __init__(self, code: CodeType) -> None:
        self.steps = steps(code)
        listing: Any = dis.Bytecode(code)
        self.entries = listing.exception_entries  # which typeshed does not know
        self.at: dict[int, int] = {}
        for place, step in enumerate(self.steps):
            self.at.setdefault(step.offset, place)

    def states(self) -> list[_State]:
        """The state at each instruction, and at the end the one that leads to the first."""
        return [*map(self.state, range(len(self.steps))), _State("start", (self.led(0),))]

    def state(self, place: int) -> _State:
        step = self.steps[place]
        if step.name in _LEADS_ON:
            return _State("", ())  # nothing leads here
        does, after = step.name, [] if step.name in _ENDS else [self.led(place + 1)]
        if does in _JUMPS or "JUMP_IF" in does:
            does, target = self.jump(place)
            after.append(target)
            if does in _OPPOSITE:
                does = _OPPOSITE[does]
                after.reverse()
        else:
            does = f"{does} {_argument(step.argument)}"
        for entry in self.entries:
            if entry.start <= step.offset < entry.end:
                does += f" else {entry.depth}{entry.lasti}"
                after.append(self.target(entry.target))
        return _State(does, tuple(after))

    def target(self, offset: int) -> int:
        return self.led(self.at[offset])

    def led(self, place: int) -> int:
        """The next instruction that does something."""
        for _ in self.steps:  # no longer: a loop may do nothing for ever
            step = self.steps[place]
            if step.name not in _LEADS_ON:
                break
            place = place + 1 if step.name == "NOP" else self.at[step.argument]
        return place

    def jump(self, place: int) -> tuple[str, int]:
        """The name and target of a jump, past further jumps whose outcome is known."""
        name, target = self.steps[place].name, self.target(self.steps[place].argument)
        while name.endswith("_OR_POP"):
            step = self.steps[target]
            if step.name == name:
                target = self.target(step.argument)
            elif "_IF_FALSE" not in step.name and "_IF_TRUE" not in step.name:
                break
            else:
                known = name.removeprefix("JUMP_IF_").removesuffix("_OR_POP")
                jumps = f"_IF_{known}" in step.name
                name = f"POP_JUMP_IF_{known}"
                target = self.target(step.argument) if jumps else self.led(target + 1)
        return name, target


def _argument(value: Any) -> str:
    if isinstance(value, CodeType):
        return f"code {code_content(value)}"
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(_argument, value))}"
    if isinstance(value, tuple):
        return f"({','.join(map(_argument, value))})"
    return f"{type(value).__name__} {hex(value) if isinstance(value, int) else repr(value)}"


def _minimal(states: list[_State]) -> list[tuple[Any, ...]]:
    """The smallest graph that does the same, listed from its start."""
    kinds: dict[Any, int] = {}
    kind: dict[int, int] = {}
    for circle in _circles(states, len(states) - 1):  # what follows a circle has its kinds already
        inner = dict.fromkeys(circle, 0)
        found = 0
        while len(set(inner.values())) > found:  # split, until what is alike leads to alike states
            found = len(set(inner.values()))
            table: dict[Any, int] = {}
            ways = {each: [(to in inner, inner.get(to, kind.get(to)))
                           for to in states[each].after] for each in circle}  # fmt: skip
            inner = {
                each: table.setdefault((inner[each], states[each].does, *ways[each]), len(table))
                for each in circle
            }
        own = circle[0] if len(circle) > 1 or circle[0] in states[circle[0]].after else None
        for each in circle:
            after = [inner[each]] if own is not None else [kind[to] for to in states[each].after]
            kind[each] = kinds.setdefault((own, states[each].does, *after), len(kinds))
    return _listed(states, kind)


def _listed(states: list[_State], kind: dict[int, int]) -> list[tuple[Any, ...]]:
    one_of = {number: states[each] for each, number in kind.items()}
    places = {kind[len(states) - 1]: 0}
    listed = []
    for each in (order := list(places)):  # grows as it is walked
        for to in one_of[each].after:
            if kind[to] not in places:
                places[kind[to]] = len(places)
                order.append(kind[to])
        listed.append((one_of[each].does, *(places[kind[to]] for to in one_of[each].after)))
    return listed


def _circles(states: list[_State], start: int) -> Iterator[list[int]]:
    """The states that lead to each other, together; each such circle after all that it leads to.

    Tarjan's algorithm (Depth-first search and linear graph algorithms, 1972), without recursion.
    """
    first: dict[int, int] = {start: 0}
    low: dict[int, int] = {start: 0}
    open_states = [start]
    is_open = {start}
    stack = [(start, iter(states[start].after))]
    while stack:
        each, after = stack[-1]
        for to in after:
            if to not in first:
                first[to] = low[to] = len(first)
                open_states.append(to)
                is_open.add(to)
                stack.append((to, iter(states[to].after)))
                break
            if to in is_open:
                low[each] = min(low[each], first[to])
        else:
            stack.pop()
            if stack:
                low[stack[-1][0]] = min(low[stack[-1][0]], low[each])
            if low[each] == first[each]:
                circle = [open_states.pop()]
                while circle[-1] != each:
                    circle.append(open_states.pop())
                is_open.difference_update(circle)
                yield circle
