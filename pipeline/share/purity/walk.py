"""What a function reaches: one walk over its call graph, which serves all verdicts.

`facts_of` reads one function, object or class: why it is impure itself, what it may call, what it
needs. A `Walk` keeps that, and follows the calls from any function. It is valid as long as nobody
changes the code or the variables that it read: for the plan of one run.
"""

from __future__ import annotations

import dis
import enum
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from pipeline.identity import (
    CallSite,
    Term,
    UnimportedModule,
    display_name,
    held,
    library_name,
    member_of,
    names_in_code,
    plain_state,
    type_part,
)
from pipeline.share.copying import IMMUTABLE
from pipeline.share.purity import impurities
from pipeline.share.purity.facts import (
    MORE,
    NOTHING,
    Callee,
    Facts,
    Needs,
    Reason,
    facts_of,
    mark_of,
    parameters_of,
)
from pipeline.share.purity.impurities import Impurity
from pipeline.share.purity.members import BEGINNING, functions_in

# What is reached


class Reached(NamedTuple):
    """What a function reaches.

    has_declared: whether it reaches a function that is declared pure
    """

    reasons: tuple[Impurity, ...]
    needs: Needs
    has_declared: bool


class _Node(NamedTuple):
    """A value with what is known of it: its facts, and its callees with their identities.

    Of each callee, which parameters are None wherever it is called.
    """

    value: Any  # which keeps its id
    facts: Facts
    callees: tuple[tuple[Callee, _Identity, frozenset[str]], ...]


@dataclass(slots=True, eq=False)
class _State:
    """A value, called with some parameters that are None, after some sources were seeded.

    own: why it is impure itself
    reasons, needs, has_declared: of itself, and of all that it reaches
    """

    node: _Node
    nones: frozenset[str]
    seeded: frozenset[str]
    own: tuple[Impurity, ...]
    reasons: set[Impurity]
    needs: Needs
    has_declared: bool
    callees: list[_State] = field(default_factory=list)
    callers: list[_State] = field(default_factory=list)

    def add(self, other: _State) -> bool:
        """Add what a callee reaches. Whether that is more than before."""
        before = len(self.reasons), self.needs, self.has_declared
        self.reasons |= other.reasons
        if other.needs is not NOTHING and other.needs != self.needs:
            self.needs |= other.needs
        self.has_declared |= other.has_declared
        return before != (len(self.reasons), self.needs, self.has_declared)


class Walk:
    """What values do, each read once, and what functions reach.

    Each state is entered once. What it reaches goes to its callers as soon as it is known.
    """

    def __init__(self) -> None:
        self._nodes: dict[_Identity, _Node] = {}
        self._states: dict[tuple[_Identity, frozenset[str], frozenset[str]], _State] = {}
        self._attributes: dict[_Identity, frozenset[str]] = {}

    def facts(self, value: Any) -> Facts:
        return self._node(value, _identity(value)).facts

    def _node(self, value: Any, identity: _Identity) -> _Node:
        if (node := self._nodes.get(identity)) is None:
            facts = facts_of(value)
            callees = tuple(
                (callee, _identity(callee.value), _always_none(callee)) for callee in facts.callees
            )
            node = self._nodes[identity] = _Node(value, facts, callees)
        return node

    def reached(self, function: Any, nones: frozenset[str] = frozenset()) -> Reached:
        """What a function reaches.

        nones: its parameters that are None, as far as that is known
        """
        start = self._state(function, _identity(function), nones, frozenset())
        alone = [reason.impurity for reason in start.node.facts.reasons
                 if reason.impurity.name in impurities.IMPURE_ALONE]  # fmt: skip
        reasons = dict.fromkeys(alone)
        queue, seen = [start], {id(start)}
        for state in queue if start.reasons else ():  # which grows meanwhile: the nearest first
            reasons |= dict.fromkeys(state.own)
            if start.reasons.issubset(reasons):
                break
            new = [callee for callee in state.callees if callee.reasons and id(callee) not in seen]
            seen.update(map(id, new))
            queue += new
        return Reached(tuple(reasons), start.needs, start.has_declared)

    def _state(
        self, value: Any, identity: _Identity, nones: frozenset[str], seeded: frozenset[str]
    ) -> _State:
        """A state, with all that it reaches."""
        if (known := self._states.get((identity, nones, seeded))) is not None:
            return known
        first = self._enter(value, identity, nones, seeded)
        stack, grown = [first], list[_State]()
        while stack:
            state = stack.pop()
            begun = self._begun(state.node, state.nones)
            for callee, identity, always in state.node.callees:
                inner = seeded_before(callee.place, begun, state.seeded)
                nones = _passed_nones(callee, always, state)
                reached = self._states.get((identity, nones, inner))
                if reached is None:
                    reached = self._enter(callee.value, identity, nones, inner)
                    stack.append(reached)
                state.callees.append(reached)
                reached.callers.append(state)
                if reached.reasons or reached.needs is not NOTHING or reached.has_declared:
                    grown.append(reached)
        while grown:
            state = grown.pop()
            grown += [caller for caller in state.callers if caller.add(state)]
        return first

    def _enter(
        self, value: Any, identity: _Identity, nones: frozenset[str], seeded: frozenset[str]
    ) -> _State:
        node = self._node(value, identity)
        begun = self._begun(node, nones)
        own = tuple(
            reason.impurity
            for reason in (*node.facts.reasons, *_unseeded(value, nones))
            if reason.impurity.name not in impurities.IMPURE_ALONE
            and (not reason.parameter or reason.parameter in nones)
            and reason.source not in seeded_before(reason.place, begun, seeded)
        )
        is_declared = mark_of(value) is True
        state = _State(node, nones, seeded, own, {*own}, node.facts.needs, is_declared)
        self._states[identity, nones, seeded] = state
        return state

    def _begun(self, node: _Node, nones: frozenset[str]) -> dict[str, int]:
        """The first place at which each source is seeded, by the code or by what it calls there."""
        begun = node.facts.begun(nones)
        for callee, identity, always in node.callees:
            places = [call.place for call in callee.calls or () if call.is_certain]
            facts = self._node(callee.value, identity).facts if places else Facts()
            for source in facts.begun(always) if facts.seeded else ():
                begun[source] = min(begun.get(source, places[0]), *places)
        return begun

    def is_decided_by_arguments(self, function: Any) -> bool:
        """Whether a parameter that is None makes a function impure."""
        inner = held(function, "__func__", function)
        if isinstance(inner, type):
            inner = member_of(inner, "__init__")
        code = held(inner, "__code__")
        if not isinstance(code, CodeType):
            return False
        names = parameters_of(code)
        nones = {*names, *(f"{name}[{seed}]" for name in names for seed in impurities.SEEDS)}
        return bool(self.reached(function, frozenset(nones)).reasons)

    def attributes(self, function: Any) -> frozenset[str]:
        """The attributes that a function names, or one of the project's that it calls."""
        identity = _identity(function)
        if identity not in self._attributes:
            codes = self.codes(function, _is_function)
            names = (name for code in codes for name in names_in_code(code).others)
            self._attributes[identity] = frozenset(names)
        return self._attributes[identity]

    def codes(
        self, function: Any, is_read: Callable[[Any], bool] = lambda _: True
    ) -> Iterator[CodeType]:
        """The code of a function, and of the project's functions that it may call."""
        seen: dict[int, Any] = {}  # with the values, which keep their ids
        stack = [function]
        while stack:
            value = held(inner := stack.pop(), "__func__", inner)
            if id(value) in seen or library_name(value) is not None or not is_read(value):
                continue
            seen[id(value)] = value
            if isinstance(value, FunctionType | UnimportedModule):
                yield value.__code__
            stack += [callee.value for callee in self.facts(value).callees]


_Identity = tuple[int, int]


def _identity(value: Any) -> _Identity:
    if type(value) is FunctionType:
        return id(value), 0
    return id(held(value, "__func__", value)), id(held(value, "__self__"))


def _unseeded(value: Any, nones: frozenset[str]) -> Iterator[Reason]:
    """That a class of the project is called without its seed, which its objects may draw from."""
    if isinstance(value, type):
        for seed in nones.intersection(impurities.SEEDS):
            yield Reason(Impurity(f"{display_name(value)}({seed}=None)", impurities.UNSEEDED))


def _is_function(value: Any) -> bool:
    kinds = (FunctionType, UnimportedModule, functools.partial)
    return isinstance(value, kinds) or held(value, "__wrapped__") is not None


def seeded_before(place: int, begun: Mapping[str, int], seeded: frozenset[str]) -> frozenset[str]:
    """The sources of random numbers that are seeded when code comes to a place."""
    if not begun:
        return seeded
    return seeded.union(source for source, start in begun.items() if place > start)


def _always_none(callee: Callee) -> frozenset[str]:
    if isinstance(callee.value, functools.partial):
        return frozenset({MORE})
    nones = (none_parameters(callee.value, call) for call in callee.calls or ())
    return frozenset[str]().union(*nones)


def _passed_nones(callee: Callee, always: frozenset[str], state: _State) -> frozenset[str]:
    """Which parameters of a called function are None."""
    if callee.calls is None:
        return state.nones
    if not state.nones or not callee.calls:
        return always
    # A parameter that is None may be passed on.
    passed = (_with_nones(call, state.nones) for call in callee.calls)
    return always.union(*(none_parameters(callee.value, call) for call in passed))


def _with_nones(call: CallSite, nones: frozenset[str]) -> CallSite:
    none = Term(constant=(None,))

    def known(term: Term) -> Term:
        return none if len(term.path) == 1 and term.path[0] in nones else term

    return call._replace(
        arguments=tuple(map(known, call.arguments)),
        named=tuple((name, known(term)) for name, term in call.named),
    )


def none_parameters(function: Any, call: CallSite) -> frozenset[str]:
    """The parameters of a function of the project that a call leaves at None, or passes None for.

    With `name[key]` for a dict as an argument `name` that has no `key` for a seed.
    """
    is_bound = isinstance(function, MethodType)
    if isinstance(function, type):
        member = member_of(function, "__init__")
        function, is_bound = member, True
    function = held(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return frozenset()
    code = function.__code__
    places = code.co_varnames[is_bound : code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    values = dict(zip(places, call.arguments, strict=False)) | dict(call.named)
    defaults = function.__defaults__ or ()
    pairs = [*zip(places[::-1], defaults[::-1], strict=False)]
    pairs += (function.__kwdefaults__ or {}).items()
    has_more = call.is_open and bool(call.spread)
    nones = {name for name, default in pairs
             if default is None and name not in values and not has_more}  # fmt: skip
    for name in (*places, *keyword_only):
        term = values.get(name, Term())
        nones |= {name} if term.is_none else set()
        if term.constant and type(term.constant[0]) is dict:
            options = term.constant[0]
            nones |= {f"{name}[{seed}]" for seed in impurities.SEEDS if options.get(seed) is None}
    if code.co_flags & 8:
        options_name = code.co_varnames[
            code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4)
        ]
        nones |= {f"{options_name}[{seed}]" for seed in impurities.SEEDS
                  if seed not in values and not call.spread}  # fmt: skip
    return frozenset(nones)


def names_paths(function: Any, walk: Walk) -> bool:
    """Whether the code of a function, or of one that it calls, names an existing file or a URL."""
    texts = (text for code in walk.codes(function) for text in _texts(code))
    return any("://" in text or (text.strip("./") and os.path.exists(text)) for text in texts)


def _texts(code: CodeType) -> Iterator[str]:
    for place, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from _texts(constant)
        elif isinstance(constant, str) and place:  # the first may be a docstring
            yield constant


# What is changed


def may_change(function: Any, owner: Any, walk: Walk) -> bool:
    """Whether a call may change an object of the project's that it has.

    It may not if all parts of the object are immutable, and no code that may run sets an attribute.
    """
    if isinstance(owner, enum.Enum | tuple) or IMMUTABLE.issuperset(map(type, _parts(owner))):
        classes = (type_part(kind, "__dict__") for kind in type_part(type(owner), "__mro__"))
        members = (inner for held_by_class in classes for name, member in held_by_class.items()
                   if name not in BEGINNING for inner in functions_in(member))  # fmt: skip
        reached = (walk.codes(member) for member in (function, *members))
        return any(_sets_attributes(code) for codes in reached for code in codes)
    return True


def _parts(owner: Any) -> Iterable[Any]:
    """The values of an object's attributes and slots; the object itself, if it is more."""
    state = plain_state(owner)
    if state is None or state[3:] != (None, None):
        return [owner]
    attributes, slots = state[2] if isinstance(state[2], tuple) else (state[2], None)
    return [*(attributes or {}).values(), *(slots or {}).values()]


@functools.lru_cache(4096)
def _sets_attributes(code: CodeType) -> bool:
    names = {*code.co_names, *code.co_varnames}
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return (
        not names.isdisjoint({"setattr", "delattr", "__dict__", "vars", "__setattr__"})
        or any(step.opname in ("STORE_ATTR", "DELETE_ATTR") for step in dis.get_instructions(code))
        or any(map(_sets_attributes, inner))
    )
