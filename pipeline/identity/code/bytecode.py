"""Compiled code: what it does, without its formatting, and what it names.

Line numbers decide where Python's compiler keeps a `NOP`, copies a short block, threads a jump or
joins two instructions. So the content of code is a graph of which instruction may run after which,
in which equivalent states are one: a deterministic automaton, minimized.
"""

from __future__ import annotations

import dis
import opcode
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import takewhile
from types import CodeType
from typing import Any, NamedTuple

_SUPERINSTRUCTIONS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
"""Instructions of the interpreter that are two in one."""
_PLAIN = {"LOAD_FAST_BORROW": "LOAD_FAST", "NOT_TAKEN": "NOP"}
"""Instructions that do the same as others: the layout decides which of them is there."""

_PASSES = {"NOP", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}
_ENDS = {"RETURN_VALUE", "RAISE_VARARGS", "RERAISE"}
_JUMPS = {opcode.opname[code] for code in (*dis.hasjrel, *dis.hasjabs)}
_OPPOSITE = {"POP_JUMP_IF_TRUE": "POP_JUMP_IF_FALSE", "POP_JUMP_IF_NOT_NONE": "POP_JUMP_IF_NONE"}
_DOCUMENTATION = {
    "__doc__", "__firstlineno__", "__static_attributes__", "__module__", "__qualname__"
}  # fmt: skip
"""Names that the body of a class sets, without effect on what the class does."""
_CALL_FLAGS = 0x3AC
"""Flags of how code is called: *args, **kwargs, as a generator, as a coroutine."""


class Step(NamedTuple):
    """One instruction of the interpreter."""

    offset: int
    name: str
    argument: Any


class _State(NamedTuple):
    """What an instruction does, and its successors: the next, a jump's target, a handler."""

    does: str
    after: tuple[int, ...]


@lru_cache(4096)
def code_content(code: CodeType) -> str:
    """24 hexadecimal digits of what the code does, inner functions and constants included.

    Equal for the same program in other lines, with other comments or docstrings.
    """
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    starred = (code.co_flags & 0xC).bit_count()  # *args, **kwargs
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
    flow = _Flow(code)
    states = [*map(flow.state, range(len(flow.steps))), _State("start", (flow.landing(0),))]
    text = repr((counts, code.co_flags & _CALL_FLAGS, names, _minimal(states)))
    return blake2b(text.encode(), digest_size=12).hexdigest()


@lru_cache(512)
def instructions(code: CodeType) -> tuple[dis.Instruction, ...]:
    """The instructions of code, listed once: that takes longer than to read them."""
    return tuple(dis.get_instructions(code))


def parts(instruction: dis.Instruction, code: CodeType) -> list[tuple[str, Any]]:
    """The names and arguments of the simple instructions that an instruction consists of.

    The cell of a variable, for an inner function, is no value of it: from Python 3.13 on, the
    same instruction loads both.
    """
    name, argument = instruction.opname, instruction.argval
    names = _SUPERINSTRUCTIONS.get(name)
    pairs = zip(names, argument, strict=True) if names else [(_PLAIN.get(name, name), argument)]
    cells = {*code.co_cellvars, *code.co_freevars}
    return [
        ("LOAD_CLOSURE" if name == "LOAD_FAST" and argument in cells else name, argument)
        for name, argument in pairs
    ]


@lru_cache(512)  # for both that read steps
def _steps(code: CodeType) -> list[Step]:
    """The instructions, one by one, without those that only document."""
    steps: list[Step] = []
    for instruction in instructions(code):
        name, argument = instruction.opname, instruction.argval
        if name == "RETURN_CONST":
            pairs = [("LOAD_CONST", argument), ("RETURN_VALUE", None)]
        elif name == "KW_NAMES":  # in older Pythons its argument is only an index
            pairs = [(name, code.co_consts[instruction.arg or 0])]
        elif name == "STORE_NAME" and argument in _DOCUMENTATION:
            steps[-1] = steps[-1]._replace(name="NOP", argument=None)
            pairs = [("NOP", None)]
        else:
            pairs = [
                (part.replace("_FORWARD_", "_").replace("JUMP_BACKWARD_IF", "JUMP_IF"), value)
                for part, value in parts(instruction, code)
            ]
        steps += [Step(instruction.offset, *pair) for pair in pairs]
    return steps


class _Flow:
    """Which instruction may run after which."""

    def __init__(self, code: CodeType) -> None:
        self.steps = _steps(code)
        listing: Any = dis.Bytecode(code)
        self.handlers = listing.exception_entries  # not in typeshed
        places = reversed(list(enumerate(self.steps)))
        self.places = {step.offset: place for place, step in places}  # the first at each offset

    def state(self, place: int) -> _State:
        step = self.steps[place]
        if step.name in _PASSES:
            return _State("", ())  # nothing leads here
        does, after = step.name, [] if step.name in _ENDS else [self.landing(place + 1)]
        if does in _JUMPS or "JUMP_IF" in does:
            does, target = self.jump(place)
            after.append(target)
            if does in _OPPOSITE:
                does = _OPPOSITE[does]
                after.reverse()
        else:
            does = f"{does} {_argument(step.argument)}"
        for handler in self.handlers:
            if handler.start <= step.offset < handler.end:
                does += f" else {handler.depth}{handler.lasti}"
                after.append(self.target(handler.target))
        return _State(does, tuple(after))

    def target(self, offset: int) -> int:
        return self.landing(self.places[offset])

    def landing(self, place: int) -> int:
        """The next instruction that does something."""
        for _ in self.steps:  # no longer: an empty loop never ends
            step = self.steps[place]
            if step.name not in _PASSES:
                break
            place = place + 1 if step.name == "NOP" else self.places[step.argument]
        return place

    def jump(self, place: int) -> tuple[str, int]:
        """The name and target of a jump, past further jumps whose outcome is certain."""
        name, target = self.steps[place].name, self.target(self.steps[place].argument)
        while name.endswith("_OR_POP"):
            step = self.steps[target]
            if step.name == name:
                target = self.target(step.argument)
            elif "_IF_FALSE" not in step.name and "_IF_TRUE" not in step.name:
                break
            else:
                outcome = name.removeprefix("JUMP_IF_").removesuffix("_OR_POP")
                jumps = f"_IF_{outcome}" in step.name
                name = f"POP_JUMP_IF_{outcome}"
                target = self.target(step.argument) if jumps else self.landing(target + 1)
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
    """The smallest automaton that does the same: each state and its successors, from the last.

    States of separate loops are never one.
    """
    classes = _classes(states)
    members = dict(zip(classes, states, strict=True))
    order = {classes[-1]: 0}
    minimal = []
    for number in (queue := [classes[-1]]):  # which grows meanwhile
        after = [classes[to] for to in members[number].after]
        for to in after:
            if to not in order:
                order[to] = len(order)
                queue.append(to)
        minimal.append((members[number].does, *(order[to] for to in after)))
    return minimal


def _classes(states: list[_State]) -> list[int]:
    """A number for each state, equal for equivalent ones: they lead to equivalent states."""
    reached, before = [0] * len(states), list[int]()  # the states that may follow, as bits
    while reached != before:
        before = list(reached)
        for place in reversed(range(len(states))):
            bits = reached[place]
            for to in states[place].after:
                bits |= reached[to] | 1 << to
            reached[place] = bits
    # States of one loop lead to the same states, themselves among them.
    groups: dict[tuple[int, bool, int], list[int]] = {}
    for place, bits in enumerate(reached):
        is_alone = not bits >> place & 1
        groups.setdefault((bits.bit_count(), is_alone, bits), []).append(place)
    classes, table = [-1] * len(states), dict[Any, int]()
    for (_, is_alone, loop), places in sorted(groups.items()):  # what they lead to comes before
        own, size, split = 0 if is_alone else loop, 0, 1
        while size != split:  # split classes, until no further one splits
            numbers = [
                table.setdefault((own, does, *[classes[to] for to in after]), len(table))
                for does, after in map(states.__getitem__, places)
            ]
            for place, number in zip(places, numbers, strict=True):
                classes[place] = number
            size, split = split, len({*numbers})
    return classes


class Chain(NamedTuple):
    """A name and the attributes that follow it at once: `np.random.rand`."""

    path: tuple[str, ...]
    is_global: bool


class Import(NamedTuple):
    """An import in a body, and the name that it binds."""

    name: str
    module: str
    level: int  # dots before the module
    attribute: str | None  # of the module; `*` for all


class CodeNames(NamedTuple):
    """What a function's code names, inner functions included."""

    chains: tuple[Chain, ...]
    imports: tuple[Import, ...]
    others: tuple[str, ...]  # all attributes
    changed: tuple[str, ...]  # globals and variables of enclosing functions that it sets


GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
NAMES = GLOBALS | {
    "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF", "LOAD_FAST", "LOAD_FAST_CHECK"
}  # fmt: skip
STORES = {"STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"}
ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_SILENT = {"PUSH_NULL", "PRECALL", "NOP", "KW_NAMES", "EXTENDED_ARG"}
_MAX_CHAIN = 16
"""Instructions that are searched for a chain."""


@lru_cache(4096)
def names_in_code(code: CodeType) -> CodeNames:
    """What a function's code names, sorted.

    >>> def f(x): return np.sin(x), random.Random()
    >>> [".".join(chain.path) for chain in names_in_code(f.__code__).chains]
    ['np.sin', 'random.Random', 'x']
    """
    chains: set[Chain] = set()
    imports: set[Import] = set()
    others, changed = set(code.co_names), set[str]()
    steps = [step for step in _steps(code) if step.name not in _SILENT]
    for place, step in enumerate(steps):
        if step.name in NAMES:
            chains.add(_chain(steps[place : place + _MAX_CHAIN]))
        elif step.name == "STORE_GLOBAL" or (
            step.name == "STORE_DEREF" and step.argument in code.co_freevars
        ):
            changed.add(step.argument)
        elif step.name == "IMPORT_NAME":
            level, attributes = steps[place - 2].argument, steps[place - 1].argument
            imports.update(_bound(steps[place + 1 :], step.argument, level, attributes))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = names_in_code(constant)
            chains.update(inner.chains)
            imports.update(inner.imports)
            others.update(inner.others)
            changed.update(set(inner.changed) - set(code.co_cellvars))
    lists = (tuple(sorted(names)) for names in (others, changed))
    return CodeNames(tuple(sorted(chains)), tuple(sorted(imports, key=repr)), *lists)


def _chain(steps: Sequence[Step]) -> Chain:
    """The chain that begins with the first of some instructions."""
    attributes = tuple(takewhile(lambda step: step.name in ATTRIBUTES, steps[1:]))
    path = tuple(step.argument for step in (steps[0], *attributes))
    return Chain(path, steps[0].name in GLOBALS)


def _bound(
    after: Sequence[Step], module: str, level: int, attributes: tuple[str, ...] | None
) -> Iterator[Import]:
    """The names that an import binds, from the instructions after it."""
    if attributes == ("*",):
        yield Import("*", module, level, "*")
    elif attributes:
        attribute = None
        for step in after[: 2 * len(attributes)]:
            if step.name == "IMPORT_FROM":
                attribute = step.argument
            elif step.name in STORES:
                yield Import(step.argument, module, level, attribute)
    else:
        yield from _bound_module(after, module, level)


def _bound_module(after: Sequence[Step], module: str, level: int) -> Iterator[Import]:
    for place, step in enumerate(after):  # `import a.b` binds a, `import a.b as x` goes down to b
        if step.name in STORES:
            if place == 0 and "." in module:  # the code finds it as an attribute of its package
                yield Import(f"import {module}", module, level, None)
            bound = module if place else module.partition(".")[0]
            yield Import(step.argument, bound, level, None)
            return
