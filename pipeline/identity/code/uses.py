"""What compiled code does with what it names: which names it calls, with what, and what it keeps.

A machine runs the instructions once, on terms in place of values.
"""

from __future__ import annotations

import dis
import sys
from collections import Counter
from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from pipeline.identity.code.bytecode import (
    ATTRIBUTES,
    GLOBALS,
    NAMES,
    STORES,
    instructions,
    parts,
)


class Term(NamedTuple):
    """A value that code handles, as far as the code says which.

    path: a variable and the attributes that follow it; "" for an unknown object
    constant: its value in a tuple, if it is a constant
    items: those of a dict that the code writes, by their names
    owner: the variable that it is, or is a part of
    made_from: variables of whose items it is made
    """

    path: tuple[str, ...] = ()
    is_global: bool = False
    constant: tuple[Any, ...] = ()
    items: tuple[tuple[str, Term], ...] = ()
    owner: str = ""
    made_from: frozenset[str] = frozenset()

    @property
    def is_none(self) -> bool:
        return bool(self.constant) and self.constant[0] is None


class CallSite(NamedTuple):
    """A call, as far as the code says what it passes.

    path: what it calls, as in `Term`
    spread: passed by **
    is_open: whether more is passed by *, or later
    place: of the instruction; that of an inner function where it is defined
    is_certain: whether the code always comes to the call
    """

    path: tuple[str, ...]
    arguments: tuple[Term, ...] = ()
    named: tuple[tuple[str, Term], ...] = ()
    spread: tuple[Term, ...] = ()
    is_open: bool = False
    place: int = 0
    is_certain: bool = False


class Item(NamedTuple):
    """A use of an item: `a.b["c"]`, `"c" in a.b`."""

    path: tuple[str, ...]
    key: Term


class Uses(NamedTuple):
    """What code does with what it names, inner functions included.

    calls, items: in the order of the code
    passed: what it uses in other ways, too: passes, returns, iterates
    caches: variables outside of the code that it fills by item assignment, after a look
    changed: a variable outside that its own code changes by `+=` and the like; "" for none
    touched: what it sets attributes or items of, or calls a method of that may change it: paths
        that begin with a parameter or a variable of an enclosing function; empty for a global
    """

    calls: tuple[CallSite, ...]
    items: tuple[Item, ...]
    passed: frozenset[tuple[str, ...]]
    caches: frozenset[str]
    changed: str
    touched: frozenset[tuple[str, ...]]


_FIRST_IN_PLACE, _LAST_IN_PLACE = 13, 25
"""The in-place operators among the arguments of `BINARY_OP`; what follows reads an item."""

_CREATED = "()"
_GLOBAL = "global "
_PADDING = 32
"""Unknown values below the stack: a handler of errors pops more than was pushed."""
_NULL = Term(owner="null")
_MADE = ("CALL", "BUILD_", "FORMAT_", "UNARY_", "COMPARE_", "IS_", "BINARY_")
_CLASS_TESTS = {("isinstance",), ("issubclass",)}
_JUMP_CODES = {*dis.hasjrel, *dis.hasjabs}
_LOOKS = {"get", "setdefault", "__contains__"}
"""Methods of a dict that a cache may have called."""
_CHANGES = {
    "add", "append", "appendleft", "clear", "extend", "insert", "pop", "popitem", "remove",
    "setdefault", "update", "__setattr__", "__setitem__",
}  # fmt: skip
"""Methods that change what they are called on."""
_STOPS = {
    "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RAISE_VARARGS", "RERAISE",
    "RETURN_CONST", "RETURN_VALUE",
}  # fmt: skip
"""Instructions after which the next does not run."""


@lru_cache(4096)
def uses_in_code(code: CodeType) -> Uses:
    """What code does with what it names.

    >>> def f(x): return np.random.default_rng(seed=x)
    >>> [call] = uses_in_code(f.__code__).calls
    >>> call.path, call.named[0][0], call.named[0][1].path
    (('np', 'random', 'default_rng'), 'seed', ('x',))
    """
    machine = _Machine(code)
    machine.run()
    inner = [(place, uses_in_code(constant)) for place, constant in machine.inner]
    outside = {*code.co_names, *code.co_freevars}
    caches = machine.caches()
    calls, items, passed = list(machine.calls), list(machine.items), machine.passed()
    for (place, uses), (_, constant) in zip(inner, machine.inner, strict=True):
        calls += (call._replace(place=place, is_certain=False) for call in uses.calls)
        items += uses.items
        passed |= uses.passed
        caches |= uses.caches & outside
        kept = {*code.co_freevars, *machine.parameters}.intersection(constant.co_freevars)
        machine.touched |= {path for path in uses.touched if not path or path[0] in kept}
    calls.sort(key=lambda call: call.place)
    caches -= {path[0] for path in passed}
    return Uses(
        tuple(calls), tuple(items), frozenset(passed), frozenset(caches), machine.changed,
        frozenset(machine.touched),
    )  # fmt: skip


class _Instruction(NamedTuple):
    name: str
    value: Any  # of its argument
    number: int | None  # its argument
    offset: int

    def growth(self) -> int:
        return dis.stack_effect(dis.opmap[self.name], self.number, jump=False)


class _Machine:
    """Runs code with terms in place of values, each instruction once, in their order.

    Of a variable that code sets twice, or that has an unknown value, only the name is known.
    """

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.stack = [Term()] * _PADDING
        self.calls: list[CallSite] = []
        self.items: list[Item] = []
        self.inner: list[tuple[int, CodeType]] = []
        self.changed = ""
        self.counts: Counter[tuple[str, ...]] = Counter()  # uses of each path that are not known
        self.stored: dict[str, bool] = {}  # variables with new items; whether they may be caches
        self.touched: set[tuple[str, ...]] = set()
        self.looked: set[str] = set()  # variables in which the code looks for an item
        self.latest: dict[str, str] = {}  # for a variable, the one whose part it is
        self.made_from: dict[str, frozenset[str]] = {}
        self.values: dict[str, Term] = {}  # of variables that are set once
        self.names: tuple[str, ...] = ()  # by which the next call passes arguments
        self.target = 0  # the furthest of the jumps before
        self.steps = instructions(code)
        stores = Counter(
            value for step in self.steps for name, value in parts(step, code) if name in STORES
        )
        self.parameters = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
        self.once = {name for name, count in stores.items() if count == 1} - self.parameters

    def run(self) -> None:
        stacks: dict[int, list[Term]] = {}  # by offset, where a jump leads
        is_end = False
        for step in self.steps:
            if step.offset in stacks:
                other = stacks[step.offset]
                self.stack = other if is_end else _merged(self.stack, other)
            if step.opcode in _JUMP_CODES:
                growth = dis.stack_effect(step.opcode, step.arg, jump=True)
                kept = self.stack[: len(self.stack) + min(growth, 0)]
                kept += [Term()] * growth
                stacks[step.argval] = _merged(kept, stacks.get(step.argval, kept))
                self.target = max(self.target, step.argval)
            is_end = step.opname in _STOPS
            for name, value in parts(step, self.code):
                do = next((do for names, do in _DO.items() if name in names), _Machine.other)
                do(self, _Instruction(name, value, step.arg, step.offset))
                self.stack[:0] = [Term()] * (_PADDING - len(self.stack))

    def load(self, step: _Instruction) -> None:
        term = self.values.get(step.value)
        if term is None:
            is_global = step.name in GLOBALS
            made_from = self.made_from.get(step.value, frozenset())
            owner = f"{_GLOBAL * is_global}{step.value}"
            term = Term((step.value,), is_global, owner=owner, made_from=made_from)
        self.count(term)
        if step.name.startswith("LOAD_FROM_DICT"):
            self.stack.pop()
        self.stack += [term] * max(step.growth(), 1)

    def load_constant(self, step: _Instruction) -> None:
        is_code = isinstance(step.value, CodeType)
        if is_code:
            self.inner.append((step.offset, step.value))
        self.stack.append(Term() if is_code else Term(constant=(step.value,)))

    def load_null(self, _: _Instruction) -> None:
        self.stack.append(_NULL)

    def load_cell(self, _: _Instruction) -> None:
        self.stack.append(Term())

    def load_attribute(self, step: _Instruction) -> None:
        term = self.stack.pop()
        self.count(term, -1)
        after = term._replace(path=(*(term.path or ("",)), step.value), constant=(), items=())
        self.count(after)
        self.stack += [after] * (1 + step.growth())

    def load_super_attribute(self, step: _Instruction) -> None:
        """`super().name`, from Python 3.12 on one instruction."""
        del self.stack[-3:]
        after = Term(("", step.value))
        self.count(after)
        self.stack += [after] * (3 + step.growth())

    def swap(self, step: _Instruction) -> None:
        stack, number = self.stack, step.number or 1
        stack[-1], stack[-number] = stack[-number], stack[-1]

    def copy(self, step: _Instruction) -> None:
        self.stack.append(self.stack[-(step.number or 1)])
        self.count(self.stack[-1])

    def store(self, step: _Instruction) -> None:
        name, term = step.value, self.stack.pop()
        if name in self.once and (term.path or term.constant or term.items):
            self.values[name] = term
            self.count(term, -1)  # what the variable is used for counts
        is_created = term.owner == _CREATED
        self.latest[name] = "" if is_created else self.latest.get(term.owner, term.owner)
        self.made_from[name] = self.made_from.get(name, frozenset()) | term.made_from

    def name_arguments(self, step: _Instruction) -> None:
        is_index = not isinstance(step.value, tuple)
        self.names = self.code.co_consts[step.number or 0] if is_index else step.value

    def call(self, step: _Instruction) -> None:
        """A call with a known number of arguments, the last of them by name."""
        stack, number = self.stack, step.number or 0
        if step.name == "CALL_KW":
            self.names = (stack.pop().constant or ((),))[0]
        names, self.names = self.names, ()
        arguments = stack[len(stack) - number :]
        function = stack[-number - 1] if stack[-number - 1] is not _NULL else stack[-number - 2]
        del stack[-number - 2 :]
        positional = tuple(arguments[: number - len(names)])
        named = tuple(zip(names, arguments[number - len(names) :], strict=True))
        self.note(CallSite(function.path, positional, named, place=step.offset), function)
        is_look = function.path[-1:] and function.path[-1] in _LOOKS
        looked = function._replace(made_from=frozenset(function.path[:1] if is_look else ()))
        made = _made([function, looked, *arguments])
        if function.path in (("type",), ("vars",)) and len(arguments) == 1:
            is_class = function.path == ("type",)
            made = made._replace(owner=f"{_GLOBAL}type" if is_class else arguments[0].owner)
        stack.append(made)

    def call_spread(self, step: _Instruction) -> None:
        """A call with `*` or `**`."""
        stack = self.stack
        has_options = (step.number or 0) & 1 or sys.version_info >= (3, 14)
        options = stack.pop() if has_options else Term()
        stack.pop()
        function = stack.pop()
        function = stack.pop() if function is _NULL else function
        if stack[-1] is _NULL:
            stack.pop()
        spread = (options,) if options.path else ()
        call = CallSite(function.path, (), options.items, spread, True, step.offset)
        self.note(call, function)
        stack.append(_made([function, options]))

    def count(self, term: Term, change: int = 1) -> None:
        if term.path:
            self.counts[term.path] += change

    def loaded(self, name: str, value: str) -> Term:
        if value in self.values:
            return self.values[value]
        is_global = name in GLOBALS
        made_from = self.made_from.get(value, frozenset())
        return Term((value,), is_global, (), (), f"{_GLOBAL * is_global}{value}", made_from)

    def note(self, call: CallSite, function: Term) -> None:
        """Note a call of a variable or an attribute."""
        if not call.path:
            return
        self.count(function, -1)
        self.calls.append(call._replace(is_certain=self.target <= call.place))
        first = call.arguments[:1]
        if call.path[-1] in _CHANGES and len(call.path) > 1:
            self.touch(function._replace(path=call.path[:-1]))
        elif call.path in (("setattr",), ("delattr",)) and first:
            self.touch(first[0])
        if call.path in _CLASS_TESTS:
            for term in call.arguments:
                self.count(term, -1)
        elif call.path[-1] == "partial" and first and first[0].path:
            self.count(first[0], -1)
            inner = call._replace(path=first[0].path, arguments=call.arguments[1:], is_open=True)
            self.calls.append(inner)
        elif call.path[-1] in _LOOKS and len(call.path) == 2:
            self.looked.add(call.path[0])
            if call.path[1] == "setdefault":
                self.fill(call.path[0], call.arguments[1:])

    def other(self, step: _Instruction) -> None:
        """An instruction that makes a value of others, or only pops."""
        stack, growth = self.stack, step.growth()
        before = stack[:]
        del stack[len(stack) + min(growth, 0) :]
        stack += [Term()] * growth
        if step.name.startswith("UNPACK_"):
            stack[-max(growth, 0) - 1] = Term()
        elif step.name in ("MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE"):
            stack[-1] = Term()
        elif step.name.startswith(_MADE):
            stack[-1] = _made(before[len(stack) - 1 :])

    def operate(self, step: _Instruction) -> None:
        number = step.number or 0
        if number > _LAST_IN_PLACE:
            self.read_item(step)
            return
        right, left = self.stack.pop(), self.stack.pop()
        made = _made([left, right])
        if number >= _FIRST_IN_PLACE:
            self.change(left)
            made = made._replace(owner=left.owner)
        self.stack.append(made)

    def iterate(self, step: _Instruction) -> None:
        """An iterator has parts of what it iterates over, and so does its next value."""
        top = self.stack[-1] if step.name == "FOR_ITER" else self.stack.pop()
        self.stack.append(Term(owner=top.owner, made_from=top.made_from))

    def read_item(self, step: _Instruction) -> None:
        key, container = self.stack.pop(), self.stack.pop()
        if step.name == "CONTAINS_OP":
            key, container = container, key
            self.looked.update(container.path[:1])
        if container.path:
            self.count(container, -1)
            self.items.append(Item(container.path, key))
            if "KeyError" in self.code.co_names:
                self.looked.add(container.path[0])
        made_from = container.made_from.union(container.path[:1])
        is_part = step.name != "CONTAINS_OP"
        self.stack.append(Term(owner=container.owner, made_from=made_from) if is_part else Term())

    def use_slice(self, step: _Instruction) -> None:
        """A slice as the key of an item, from Python 3.12 on part of the instruction."""
        self.stack[-2:] = [Term()]
        (self.read_item if step.name == "BINARY_SLICE" else self.store_item)(step)

    def store_item(self, _: _Instruction) -> None:
        value, container, _key = self.stack[-3:]
        del self.stack[-3:]
        self.touch(container)
        if len(container.path) == 1:
            self.count(container, -1)
            self.fill(container.path[0], (value,))

    def store_attribute(self, _: _Instruction) -> None:
        self.touch(self.stack.pop())
        self.stack.pop()

    def touch(self, term: Term) -> None:
        """Note a change of what may outlive the call. A new object does not: nobody has it yet."""
        owner = self.latest.get(term.owner) or term.owner
        if owner.startswith(_GLOBAL):
            self.touched.add(())
        elif owner in self.parameters or owner in self.code.co_freevars:
            is_known = term.path[:1] == (owner,)
            self.touched.add(term.path if is_known else (owner, ""))

    def fill(self, name: str, values: Sequence[Term]) -> None:
        """Note an item assignment: in a cache, a new item is not made from others."""
        is_cache = not any(name in value.made_from for value in values)
        self.stored[name] = is_cache and self.stored.get(name, True)

    def build_dict(self, step: _Instruction) -> None:
        number, stack = step.number or 0, self.stack
        if step.name == "BUILD_MAP":
            terms = stack[len(stack) - 2 * number :]
            names, values = [term.constant[:1] for term in terms[::2]], terms[1::2]
        else:
            terms = stack[-number - 1 :]
            names, values = [(name,) for name in (terms[-1].constant or ((),))[0]], terms[:-1]
        del stack[len(stack) - len(terms) :]
        items = tuple((name[0], value) for name, value in zip(names, values, strict=False) if name)
        stack.append(_made(terms)._replace(items=items))

    def merge_dict(self, step: _Instruction) -> None:
        number = step.number or 1
        added, merged = self.stack.pop(), self.stack[-number]
        items = (*merged.items, *added.items)
        self.stack[-number] = merged._replace(items=items, path=merged.path or added.path)

    def change(self, term: Term) -> None:
        """Note a change in place."""
        owner = self.latest.get(term.owner) or term.owner
        is_outside = owner.startswith(_GLOBAL) or owner in self.code.co_freevars
        if is_outside and not self.changed:
            self.changed = owner.removeprefix(_GLOBAL)

    def passed(self) -> set[tuple[str, ...]]:
        return {path for path, count in self.counts.items() if count > 0}

    def caches(self) -> set[str]:
        """The variables outside that the code fills, and only where it has looked before."""
        outside = {*self.code.co_names, *self.code.co_freevars}
        called = (call.path for call in self.calls if len(call.path) > 1)
        others = {path[0] for path in called if path[1] not in _LOOKS}
        filled = {name for name, is_cache in self.stored.items() if is_cache}
        return (filled & outside & self.looked) - others - {self.changed}


_DO: dict[Container[str], Callable[[_Machine, _Instruction], None]] = {
    frozenset(NAMES): _Machine.load,
    ("LOAD_CONST", "LOAD_SMALL_INT"): _Machine.load_constant,
    ("PUSH_NULL",): _Machine.load_null,
    ("LOAD_CLOSURE",): _Machine.load_cell,
    frozenset(ATTRIBUTES): _Machine.load_attribute,
    ("SWAP",): _Machine.swap,
    ("COPY",): _Machine.copy,
    frozenset(STORES): _Machine.store,
    ("KW_NAMES",): _Machine.name_arguments,
    ("PRECALL",): lambda *_: None,
    ("CALL", "CALL_KW"): _Machine.call,
    ("CALL_FUNCTION_EX",): _Machine.call_spread,
    ("BINARY_OP",): _Machine.operate,
    ("BINARY_SUBSCR", "CONTAINS_OP"): _Machine.read_item,
    ("STORE_SUBSCR",): _Machine.store_item,
    ("STORE_ATTR",): _Machine.store_attribute,
    ("BINARY_SLICE", "STORE_SLICE"): _Machine.use_slice,
    ("LOAD_SUPER_ATTR",): _Machine.load_super_attribute,
    ("FOR_ITER", "GET_ITER"): _Machine.iterate,
    ("BUILD_MAP", "BUILD_CONST_KEY_MAP"): _Machine.build_dict,
    ("DICT_MERGE", "DICT_UPDATE"): _Machine.merge_dict,
}
"""What a machine does for which instructions."""


def _merged(stack: list[Term], other: list[Term]) -> list[Term]:
    """The stack where two ways meet: what differs is not known."""
    pairs = zip(stack[::-1], other[::-1], strict=False)
    return [
        term if term == same else term._replace(path=(), constant=(), items=())
        for term, same in pairs
    ][::-1]


def _made(terms: Sequence[Term]) -> Term:
    """A new value, made of others."""
    made_from = frozenset[str]().union(*(term.made_from for term in terms))
    return Term(owner=_CREATED, made_from=made_from)
