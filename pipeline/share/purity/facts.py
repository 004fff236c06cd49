"""What one value does when it is called: why it is impure by itself, what it calls and needs."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from itertools import chain
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from pipeline.identity import (
    ATOMS,
    MISSING,
    CallSite,
    Library,
    Reference,
    Term,
    UnimportedModule,
    Uses,
    attribute_of,
    closure_values,
    display_name,
    held,
    items_of,
    library_name,
    member_of,
    module_name,
    names_in_code,
    namespace,
    references_of,
    type_part,
    uses_in_code,
)
from pipeline.share.purity import impurities, lookups
from pipeline.share.purity.impurities import Impurity
from pipeline.share.purity.lookups import Finding
from pipeline.share.purity.members import (
    CachedFunction,
    class_functions,
    is_run_unnamed,
    keeper,
    keeps,
    keeps_in_owner,
    methods_of,
    unnamed_methods,
)

# Marks

_MARK = "__pipeline_pure__"
_marks: dict[Any, bool] = {}  # of builtins, which take no attributes
_marked = [0]  # how often


def set_mark(function: Any, is_pure: bool) -> None:
    """Declare a function pure or impure."""
    _marked[0] += 1
    try:
        # With its id: `functools.wraps` copies attributes.
        setattr(function, _MARK, (is_pure, id(function)))
    except (AttributeError, TypeError):
        _marks[function] = is_pure


def number_of_declarations() -> tuple[int, int]:
    """How many marks were set, and readers registered: each may change what a function is."""
    return _marked[0], lookups.number_of_readers()


def mark_of(value: Any) -> bool | None:
    """Whether a function is declared pure, or impure. None if it is neither."""
    value = held(value, "__func__", value)
    # Not inherited: the mark of a class is not one of its subclasses.
    is_pure, owner = namespace(value).get(_MARK, (None, 0))
    if owner == id(value):
        return bool(is_pure)
    return _marks.get(value) if _marks and isinstance(value, impurities.NAMED) else None


# What is needed


class Context(NamedTuple):
    """A ContextVar that a function reads, and its name: "module:qualname"."""

    name: str
    variable: ContextVar[Any]


ZONE = "TZ"
"""The variable by which the local time zone counts, also if it is not set."""


class Needs(NamedTuple):
    """What a function reads besides its arguments, and Python does not report.

    variables: names of environment variables, which its code has as constants; `ZONE`
    contexts: variables of the context, sorted by name
    readers: functions that read files without Python's `open`
    seeded: sources of random numbers that it seeds before it draws: "numpy", "random"
    keepers: functions that keep results in this process: what they read, later calls use
    """

    variables: frozenset[str] = frozenset()
    contexts: tuple[Context, ...] = ()
    readers: frozenset[str] = frozenset()
    seeded: frozenset[str] = frozenset()
    keepers: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        contexts = {context.name: context for context in (*self.contexts, *other.contexts)}
        return Needs(
            self.variables | other.variables,
            tuple(contexts[name] for name in sorted(contexts)),
            self.readers | other.readers,
            self.seeded | other.seeded,
            self.keepers | other.keepers,
        )


NOTHING = Needs()

# What one value does


class Callee(NamedTuple):
    """A value that a function may call.

    calls: where the code calls it; None if it is called just as its owner is
    place: of the first of them; 0 if it is not known
    """

    value: Any
    calls: tuple[CallSite, ...] | None = ()
    place: int = 0


class Reason(NamedTuple):
    """Why a function is impure by itself, at a place of its code.

    parameter: only if this parameter is None; empty if it always is
    """

    impurity: Impurity
    place: int = 0
    source: str = ""
    parameter: str = ""


class Facts(NamedTuple):
    """What is known of one value, without what it calls.

    seeded: sources of random numbers, from which place on they are seeded, and by which parameter
    """

    reasons: tuple[Reason, ...] = ()
    callees: tuple[Callee, ...] = ()
    needs: Needs = NOTHING
    seeded: tuple[tuple[str, int, str], ...] = ()

    def begun(self, nones: frozenset[str]) -> dict[str, int]:
        """The first place at which each source is seeded."""
        return {
            source: place
            for source, place, parameter in reversed(self.seeded)
            if parameter not in nones
        }


# What is called

_MAKING = ("__init__", "__new__", "__post_init__")


def facts_of(value: Any) -> Facts:
    """What is known of a value that is called, or is held by what is called."""
    mark = mark_of(value)
    if mark is not None:
        reason = Reason(Impurity(display_name(value), impurities.MARKED))
        return Facts() if mark else Facts((reason,))
    reader = lookups.reader_name(value)
    needs = Needs(readers=frozenset({reader})) if reader else NOTHING
    if isinstance(value, FunctionType | UnimportedModule) and library_name(value) is None:
        facts = _CodeFacts(value).facts()
        return facts._replace(needs=facts.needs | needs) if reader else facts
    impurity = lookups.in_table(value)
    reasons = [] if impurity is None else [Reason(impurity)]
    inner = () if is_library(value) else tuple(callees(value))
    if is_library(value) and held(value, "__name__") in impurities.LOCAL_TIMES:
        needs |= Needs(frozenset({ZONE}))
    if isinstance(value, CachedFunction) or (
        isinstance(value, MethodType) and keeps_in_owner(value)
    ):
        needs |= Needs(keepers=frozenset({keeper(value)}))
    for callee in inner if isinstance(value, functools.partial) else ():
        for call in (callee.calls or ()) if is_library(callee.value) else ():
            found = lookups.findings(callee.value, "", call)
            reasons += (Reason(finding.impurity, parameter=MORE) for finding in found)
    return Facts(tuple(reasons), inner, needs)


MORE = "*"
"""In place of a parameter: unless the call passes more than a `functools.partial` does."""


def is_library(value: Any) -> bool:
    """Whether a value is not followed: the table alone says what it does."""
    if isinstance(value, (Library, BuiltinFunctionType, *impurities.SOURCES)):
        return True
    return library_name(held(value, "__func__", value)) is not None


def callees(value: Any) -> Iterator[Callee]:
    """What an object or a class may call when it is called."""
    inner: Iterable[Any] = ()
    if isinstance(value, functools.partial):
        terms = tuple(Term(constant=(argument,)) for argument in value.args)
        named = tuple((name, Term(constant=(item,))) for name, item in value.keywords.items())
        yield Callee(value.func, (CallSite((), terms, named, (), True),))
        inner = [*value.args, *value.keywords.values()]
    elif isinstance(value, type):
        yield from _class_callees(value)
    elif isinstance(value, list | tuple | set | frozenset | dict):
        inner = items_of(value)
    elif isinstance(value, MethodType):
        yield Callee(value.__func__, None)
        inner = _own_methods(value)
    elif (wrapped := held(value, "__wrapped__")) is not None:
        yield Callee(wrapped, None)
    elif not isinstance(value, BuiltinFunctionType | ModuleType):
        inner = [*unnamed_methods(value), *filter(callable, namespace(value).values())]
    yield from map(Callee, inner)


def _class_callees(kind: type) -> Iterator[Callee]:
    for name, function in class_functions(kind):
        if name[:2] != "__" or name in _MAKING or is_run_unnamed(name):
            yield Callee(function, None if name in ("__init__", "__new__") else ())
    yield from (Callee(base, None) for base in type_part(kind, "__bases__"))


class _CodeFacts:
    """The facts of a function of the project, or of one of its modules that is not imported."""

    def __init__(self, function: FunctionType | UnimportedModule) -> None:
        self.function = function
        self.code = function.__code__
        self.uses: Uses = uses_in_code(self.code)
        self.references = list(references_of(function))
        self.values = {reference.name: reference.value for reference in self.references}
        self.calls: dict[str, list[CallSite]] = {}
        for call in self.uses.calls:
            self.calls.setdefault(".".join(call.path), []).append(self._resolved(call))
        self.reasons: list[Reason] = []
        self.callees: list[Callee] = []
        self.seeded: list[tuple[str, int, str]] = []
        self.variables: set[str] = set()
        self.readers: set[str] = set()
        self.contexts: dict[str, Context] = {}

    def facts(self) -> Facts:
        names = names_in_code(self.code)
        codes = inner_codes(self.code) if isinstance(self.function, UnimportedModule) else ()
        changed = next(filter(None, [self.uses.changed, *(uses_in_code(code).changed
                                                          for code in codes)]), None)  # fmt: skip
        for name in [*names.changed[:1], *filter(None, [changed])]:
            self.reasons.append(Reason(Impurity(name, impurities.OUTSIDE)))
        for name in sorted(impurities.IN_SOURCE.intersection(names.others)):
            self.reasons.append(Reason(Impurity(name, impurities.WORLD)))
        heads = {}
        for reference in self.references:
            self.reference(reference)
            if reference.owner is None:
                heads[reference.name] = reference.value
            is_passed = tuple(reference.name.split(".")) in self.uses.passed
            if is_passed and isinstance(reference.value, ModuleType | type):
                # Under another variable, the code may use any attribute that it names.
                for attribute in names.others:
                    inner = attribute_of(reference.value, attribute)
                    self.value(inner, f"{reference.name}.{attribute}", is_certain=False)
        self.renamed()
        for name, method in _methods(self.code, heads):
            self.value(method, name, is_certain=False)
        self.unknown_methods()
        self.environment()
        self.local_time()
        if isinstance(self.function, FunctionType):
            held_values = [*closure_values(self.function).values()]
            held_values += self.function.__defaults__ or ()
            held_values += (self.function.__kwdefaults__ or {}).values()
            self.callees += map(Callee, held_values)
        seeded = frozenset(source for source, *_ in self.seeded)
        contexts = tuple(self.contexts.values())
        is_keeper = keeps(self.function, chain.from_iterable(self.calls.values()), self.values)
        keepers = frozenset({keeper(self.function)} if is_keeper else ())
        needs = Needs(frozenset(self.variables), contexts, frozenset(self.readers), seeded, keepers)
        needs = NOTHING if needs == NOTHING else needs
        return Facts(tuple(self.reasons), tuple(self.callees), needs, tuple(self.seeded))

    def _resolved(self, call: CallSite) -> CallSite:
        """A call, with the values of the global variables that it passes."""
        arguments = tuple(map(self._known, call.arguments))
        named = [(name, self._known(term)) for name, term in call.named]
        spread = []
        for term in call.spread:
            options = self.values.get(".".join(term.path))
            if type(options) is dict:
                named += [(name, Term(constant=(value,))) for name, value in options.items()]
            else:
                spread.append(term)
        return call._replace(arguments=arguments, named=tuple(named), spread=tuple(spread))

    def _known(self, term: Term) -> Term:
        value = self.values.get(".".join(term.path), MISSING) if term.path else MISSING
        return Term(constant=(value,)) if type(value) in ATOMS else term

    def reference(self, reference: Reference) -> None:
        value, name = reference.value, reference.name
        if isinstance(value, ContextVar):
            self.context(value, reference)
        elif value is not os.environ and value is not os.getenv:
            self.value(value, name)

    def renamed(self) -> None:
        """Attributes of modules and classes that the code names by another variable."""
        for path in (*(call.path for call in self.uses.calls),
                     *(item.path for item in self.uses.items)):  # fmt: skip
            value = self.values.get(path[0], MISSING)
            for place in range(1, len(path)):
                name = ".".join(path[: place + 1])
                value = self.values.get(name, MISSING) if name in self.values else (
                    attribute_of(value, path[place])
                    if isinstance(value, ModuleType | type | Library) else MISSING
                )  # fmt: skip
                if value is MISSING:
                    break
                if name not in self.values:
                    self.values[name] = value
                    self.reference(Reference(name, value, None))

    def value(self, value: Any, name: str, is_certain: bool = True) -> None:
        """Note what a value that the code names does, and where it is called.

        is_certain: whether the code names it, rather than one of its attributes
        """
        calls = self.calls.get(name, [])
        is_passed = tuple(name.split(".")) in self.uses.passed
        place = min((call.place for call in calls), default=0) if not is_passed else 0
        if mark_of(value) is not None:
            self.callees.append(Callee(value))
            return
        if not is_library(value):
            if (impurity := lookups.in_table(value, name)) is not None:
                self.note(Finding(impurity), place)
            sites = [*calls, CallSite((), is_open=True)] if is_passed else calls
            self.callees.append(Callee(value, tuple(sites), place))
            return
        if reader := lookups.reader_name(value):
            self.readers.add(reader)
        for call in calls:
            self.seeds(value, call)
            for finding in lookups.findings(value, name, call):
                self.note(finding, call.place)
        if not calls and (is_passed or not is_certain):
            self.passed(value, name)
        elif not calls and (impurity := lookups.in_table(value, name)) is not None:
            self.note(Finding(impurity), place)

    def passed(self, value: Any, name: str) -> None:
        """A library's function that the code passes on: it may be called with anything."""
        if (impurity := lookups.in_table(value, name)) is not None:
            self.note(Finding(impurity, lookups.source_of(value, impurity)), 0)
        elif lookups.seed_parameter(value) is not None and name in self.values:
            for finding in lookups.findings(value, name, CallSite((), is_open=True)):
                self.note(finding, 0)

    def note(self, finding: Finding, place: int) -> None:
        """Note a reason, which may depend on a parameter that is passed as a seed."""
        if finding.impurity.name in impurities.IMPURE_ALONE:
            return
        parameter = ""
        if finding.seed is not None and finding.seed.path:
            [name, *rest] = finding.seed.path
            is_parameter = name.partition("[")[0] in parameters_of(self.code) and not rest
            if not is_parameter and "[" not in finding.seed.path[-1]:
                return  # a variable with a value that is not known, rarely None
            parameter = name if is_parameter else ""
        self.reasons.append(Reason(finding.impurity, place, finding.source, parameter))

    def seeds(self, value: Any, call: CallSite) -> None:
        seeded = lookups.seeded_source(value, call) if call.is_certain else None
        if seeded is not None:
            source, seed = seeded
            is_parameter = len(seed.path) == 1 and seed.path[0] in parameters_of(self.code)
            self.seeded.append((source, call.place, seed.path[0] if is_parameter else ""))

    def context(self, variable: ContextVar[Any], reference: Reference) -> None:
        owner, _, attribute = reference.name.rpartition(".")
        module = self.values.get(owner)
        if isinstance(module, ModuleType):
            name = f"{module_name(module)}:{attribute}"
        else:
            function = self.function
            is_module = isinstance(function, UnimportedModule)
            module = held(function, "name" if is_module else "__module__")
            name = f"{module}:{reference.name}"
        self.contexts[name] = Context(name, variable)

    def unknown_methods(self) -> None:
        """Methods of objects whose class is unknown."""
        for name, calls in self.calls.items():
            head, *attributes = calls[0].path
            if not attributes:
                continue
            owner = self.values.get(name.rpartition(".")[0], MISSING)
            if owner is MISSING and name not in self.values and head not in self.values:
                for call in calls:
                    if (finding := lookups.method_finding(attributes[-1], call)) is not None:
                        self.note(finding, call.place)
            elif owner is not MISSING and not isinstance(owner, type | ModuleType | FunctionType):
                member = member_of(type(owner), attributes[-1])
                if library_name(member) is not None:
                    self.value(member, name, is_certain=False)

    def environment(self) -> None:
        """Which environment variables the code reads."""
        names = {".".join(name.split(".")) for name, value in self.values.items()
                 if value is os.environ}  # fmt: skip
        keys = [item.key for item in self.uses.items if ".".join(item.path) in names]
        getters = [f"{name}.{look}" for name in names for look in ("get", "__contains__")]
        getters += [name for name, value in self.values.items() if value is os.getenv]
        for getter in getters:
            for call in self.calls.get(getter, ()):
                keys += call.arguments[:1] or [term for name, term in call.named if name == "key"]
        is_other = any(
            ".".join(path) in (*names, *getters) or ".".join(path[:-1]) in names
            for path in (*self.uses.passed, *(call.path for call in self.uses.calls))
            if ".".join(path) not in getters or path in self.uses.passed
        )
        for key in map(self._known, keys):
            if key.constant and type(key.constant[0]) is str:
                self.variables.add(key.constant[0])
                impurity = Impurity(key.constant[0], impurities.VARIABLE)
                self.reasons.append(Reason(impurity))
            else:
                is_other = True
        if is_other:
            self.reasons.append(Reason(Impurity("os.environ", impurities.ENVIRONMENT)))

    def local_time(self) -> None:
        """Whether the code may depend on the local time zone."""
        names = names_in_code(self.code)
        paths = {chain.path for chain in names.chains}
        if not impurities.LOCAL_TIMES.isdisjoint(names.others) or ("time", "timezone") in paths:
            self.variables.add(ZONE)
            self.reasons.append(Reason(Impurity(ZONE, impurities.VARIABLE)))


def parameters_of(code: CodeType) -> tuple[str, ...]:
    flags = (code.co_flags & 0xC).bit_count()  # *args, **kwargs
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + flags]


def _own_methods(method: MethodType) -> Iterator[Any]:
    """What a method may call of its object, and of what the object holds."""
    code = held(method.__func__, "__code__")
    if code is not None and code.co_argcount:
        yield from (inner for _, inner in _methods(code, {code.co_varnames[0]: method.__self__}))


def _methods(code: CodeType, heads: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The methods that code names in chains of attributes, and the functions that objects hold.

    Each with its name in the code.

    heads: the values of variables, with which the chains begin
    """
    for (head, *attributes), *_ in names_in_code(code).chains:
        owner, name = heads.get(head), head
        for attribute in attributes:
            name = f"{name}.{attribute}"
            for method in methods_of(owner, attribute):
                yield name, method
            is_object = not isinstance(owner, ModuleType | type | FunctionType)
            owner = namespace(owner).get(attribute)
            if is_object and callable(owner):
                yield name, owner


def inner_codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a module and of all functions and classes in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from inner_codes(constant)
