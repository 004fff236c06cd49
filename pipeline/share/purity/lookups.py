"""What the table says of a value, and of a call by its arguments.

Names mean what is imported under them: the table is looked up again when more modules are imported.
"""

from __future__ import annotations

import functools
import inspect
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from pipeline.identity import (
    CallSite,
    Library,
    Term,
    display_name,
    held,
    is_library_class,
    is_process_state,
    library_name,
    member_of,
    type_part,
)
from pipeline.share.purity.impurities import (
    CLOCK,
    EFFECT,
    MAYBE_RANDOM,
    METHODS,
    NAMED,
    RANDOM,
    READERS,
    SEED_UNUSED,
    SEEDS,
    SOURCES,
    TABLE,
    UNSEEDED,
    WRITES,
    Impurity,
)


def in_table(value: Any, name: str = "") -> Impurity | None:
    """What the table says of a value, whatever its arguments are.

    name: under which code calls it, or draws a number from it
    """
    if isinstance(value, Library):
        path = f"{value.module}.{value.attribute or ''}."
        return next((known for known in _table() if path.startswith(f"{known.name}.")), None)
    owner = held(value, "__self__")
    if isinstance(value, SOURCES):
        return Impurity(name or type(value).__qualname__, RANDOM)
    if isinstance(owner, SOURCES):
        return Impurity(f"{type(owner).__module__}.{value.__qualname__}", RANDOM)
    if held(value, "__objclass__") in SOURCES:
        return Impurity(value.__qualname__, RANDOM)
    impurity: Impurity | None = _imported_table(len(sys.modules)).find(value)
    return impurity


class _Imported:
    """A table, as far as its packages are imported: objects by handle, prefixes of modules."""

    def __init__(self, entries: Iterable[tuple[str, Any]]) -> None:
        self.objects: dict[Any, Any] = {}
        self.modules: list[tuple[str, Any]] = []
        self._by_module: dict[Any, Any] = {}  # what the prefixes say
        for name, entry in entries:
            value = _imported_value(name)
            if isinstance(value, ModuleType):
                # Also the part of it that is written in C.
                self.modules += [(f"{prefix}{name}.", entry) for prefix in ("", "_")]
            elif value is not None:
                self.objects[_handle(value)] = entry

    def find(self, value: Any) -> Any:
        """What the table says of a value. None if it says nothing."""
        inner, owner = held(value, "__func__", value), held(value, "__self__")
        for candidate in (value, inner, type(value), owner):
            if (entry := self.objects.get(_handle(candidate))) is not None:
                return entry
        module_of = type_part if issubclass(type(value), type) else held
        module = module_of(value, "__module__")
        if type(module) is not str:
            return None
        if module not in self._by_module:
            prefixes = (entry for name, entry in self.modules if f"{module}.".startswith(name))
            self._by_module[module] = next(prefixes, None)
        return self._by_module[module]


@functools.lru_cache(1)
def _imported_table(_: int) -> _Imported:
    return _Imported((impurity.name, impurity) for impurity in _table())


def _table() -> Iterator[Impurity]:
    for reason, names in TABLE.items():
        yield from (Impurity(name, reason) for name in names.split())


def _imported_value(name: str) -> Any:
    """The value with a dotted name, if it is imported."""
    head, *rest = name.split(".") if "." in name or name in sys.modules else ("builtins", name)
    value = sys.modules.get(head)
    for part in rest:
        value = getattr(value, part, None)
    return value


def _handle(value: Any) -> Any:
    # A method is another object on each access, but equal.
    return value if isinstance(value, NAMED) else id(value)


# Readers

_registered: set[str] = set()


def register_reader(name: str) -> None:
    """Register a function that reads files without Python's `open`, by its dotted name.

    The files and folders among the arguments of its calls count by content.

    >>> register_reader("my_package.read_scans")
    """
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f'{name!r} is no dotted name of a function, such as "my_package.read"')
    _registered.add(name)
    _imported_readers.cache_clear()


def reader_name(value: Any) -> str:
    """The name of a function that reads files without Python's `open`; empty for any other."""
    if isinstance(value, Library):
        path = f"{value.module}.{value.attribute or ''}."
        names = (name for name in _readers() if path.startswith(f"{name}."))
        return path.strip(".") if next(names, None) else ""
    entry = _imported_readers(len(sys.modules)).find(value)
    return str(entry or "")


def number_of_readers() -> int:
    """How many readers are registered."""
    return len(_registered)


def _readers() -> list[str]:
    return [*READERS.split(), *sorted(_registered)]


@functools.lru_cache(1)
def _imported_readers(_: int) -> _Imported:
    return _Imported((name, name) for name in _readers())


# What the arguments of a call decide


class Finding(NamedTuple):
    """Why a call may be impure.

    source: of the random numbers, if code can seed it: "numpy", "random", "torch"
    seed: the argument that would make the call pure, if the code passes one
    """

    impurity: Impurity
    source: str = ""
    seed: Term | None = None


_TIMES = {
    "time.localtime": 0, "time.gmtime": 0, "time.ctime": 0, "time.asctime": 0, "time.strftime": 1
}  # fmt: skip
"""Functions that read the time of day if that argument is missing."""
_PARSERS = (
    "pandas.Timestamp pandas.Period pandas.to_datetime pandas.DatetimeIndex pandas.date_range "
    "numpy.datetime64"
)
"""Functions that read the time of day if an argument says so."""
_NOW = {"now", "today"}
_SEEDED = (
    "random.Random numpy.random.default_rng numpy.random.RandomState numpy.random.SeedSequence "
    "numpy.random.PCG64 numpy.random.MT19937 numpy.random.Philox numpy.random.SFC64 "
    "numpy.random.PCG64DXSM sklearn.utils.check_random_state"
)
"""Functions whose first argument is a seed."""
_SEEDERS = {"numpy.random.seed": "numpy", "random.seed": "random", "torch.manual_seed": "torch"}
"""Functions that seed a source of random numbers, by their first argument."""
_OPENERS = "open io.open pathlib.Path.open gzip.open bz2.open lzma.open codecs.open"
_MAKERS = "os.makedirs pathlib.Path.mkdir"


class _Rule(NamedTuple):
    """By which argument a function is judged; `place` is its place among the arguments."""

    kind: str
    place: int = 0


@functools.lru_cache(1)
def _imported_rules(_: int) -> _Imported:
    rules = {name: _Rule("time", place) for name, place in _TIMES.items()}
    rules |= dict.fromkeys(_PARSERS.split(), _Rule("now"))
    rules |= dict.fromkeys(_SEEDED.split(), _Rule("seed"))
    rules |= dict.fromkeys(_OPENERS.split(), _Rule("mode", 1))
    rules |= dict.fromkeys(_MAKERS.split(), _Rule("exist_ok", 2))
    return _Imported(rules.items())


def is_decided_by_arguments(value: Any) -> bool:
    """Whether the arguments of a call of a library's function decide if it is pure."""
    return _rule(value) is not None or seed_parameter(value) is not None


def returns_state(value: Any) -> bool:
    """Whether a function returns what changes as it is used: random numbers, an open file."""
    rule = _rule(value)
    return rule is not None and rule.kind in ("seed", "mode")


def _rule(value: Any) -> _Rule | None:
    if isinstance(value, Library):
        return None
    objects = _imported_rules(len(sys.modules)).objects
    candidates = (value, held(value, "__func__", value))
    rules = (objects.get(_handle(candidate)) for candidate in candidates)
    rule: _Rule | None = next(filter(None, rules), None)
    return rule


def findings(value: Any, name: str, call: CallSite) -> Iterator[Finding]:
    """Why a call of a library's function, or of an object of the table, may be impure."""
    rule = _rule(value)
    if rule is not None and (finding := _by_rule(rule, value, call)) is not None:
        yield finding
    elif (seed := seed_parameter(value)) is not None and not (rule and rule.kind == "seed"):
        argument = seed_argument(call, seed[0], (seed[1],))
        if argument is None or _may_be_none(argument):
            source = "numpy" if seed[1] == "random_state" else ""
            yield Finding(
                Impurity(f"{display_name(value)}({seed[1]}=None)", UNSEEDED), source, argument
            )
    listed = None if seeded_source(value, call) else in_table(value, name)
    if listed is not None and not (rule is not None and rule.kind == "exist_ok"):
        yield Finding(listed, source_of(value, listed))


def _by_rule(rule: _Rule, value: Any, call: CallSite) -> Finding | None:
    name = display_name(value)
    match rule.kind:
        case "seed":
            argument = seed_argument(call, 0, (*SEEDS, "x", "entropy"))
            argument = Term(constant=(None,)) if argument is None and not call.is_open else argument
            is_unseeded = argument is not None and _may_be_none(argument)
            return Finding(Impurity(f"{name}(seed=None)", UNSEEDED), "", argument) if (
                is_unseeded) else None  # fmt: skip
        case "time":
            argument = argument_of(call, rule.place, ())
            is_now = argument is None or argument.is_none
            return Finding(Impurity(f"time.{name}", CLOCK)) if is_now and not call.is_open else None
        case "now":
            terms = [*call.arguments, *(term for _, term in call.named)]
            texts = [text for term in terms for text in term.constant if type(text) is str]
            now = next((text for text in texts if text.lower() in _NOW), None)
            return Finding(Impurity(f"{name}({now!r})", CLOCK)) if now is not None else None
        case "mode":
            place = 0 if isinstance(value, MethodType) else rule.place
            return Finding(Impurity(name, WRITES)) if _is_writing(call, place) else None
    argument = argument_of(call, rule.place, ("exist_ok",))
    is_needed = argument is None or (bool(argument.constant) and argument.constant[0] is False)
    return Finding(Impurity(f"{name}(exist_ok=False)", WRITES)) if is_needed else None


def _may_be_none(seed: Term) -> bool:
    return bool(seed.path) or seed.is_none


def _is_writing(call: CallSite, place: int) -> bool:
    """Whether a call opens a file in a mode in which it is written."""
    mode = argument_of(call, place, ("mode",))
    return mode is not None and bool({*"wax+"}.intersection(*map(str, mode.constant or ("",))))


def seed_argument(call: CallSite, place: int, names: Sequence[str]) -> Term | None:
    """The same of a seed, which may be in a dict that is passed by `**`."""
    argument = argument_of(call, place, names)
    if argument is None and call.spread:
        [*head, last] = call.spread[0].path
        return Term((*head, f"{last}[{names[0]}]"))
    return argument


def argument_of(call: CallSite, place: int, names: Iterable[str]) -> Term | None:
    """The argument at a place, or with one of some names. None if it is not passed."""
    named = (term for name, term in call.named if name in names)
    by_place = call.arguments[place] if place < len(call.arguments) else None
    return next(named, by_place)


def _has_arguments(call: CallSite) -> bool:
    return bool(call.arguments or call.named or call.spread or call.is_open)


def seeded_source(value: Any, call: CallSite) -> tuple[str, Term] | None:
    """The source of random numbers that a call seeds, and the seed."""
    names = _imported_seeders(len(sys.modules)).objects
    source = names.get(_handle(value))
    argument = argument_of(call, 0, ("seed", "a"))
    if source is None or argument is None or argument.is_none:
        return None
    return source, argument


@functools.lru_cache(1)
def _imported_seeders(_: int) -> _Imported:
    return _Imported(_SEEDERS.items())


def source_of(value: Any, impurity: Impurity) -> str:
    """The source from which a function draws, if code can seed it."""
    owner = held(value, "__self__")
    if is_process_state(owner):
        return "random" if owner is held(random, "_inst") else "numpy"
    return "torch" if impurity.name.startswith("torch.") else ""


def seed_parameter(function: Any) -> tuple[int, str] | None:
    """The place and the name of a parameter that is a seed, and None by default."""
    inner = held(function, "__func__", function)
    if not isinstance(inner, NAMED) or library_name(inner) in SEED_UNUSED:
        return None
    return _seed_parameter(inner, inner is not function)


@functools.lru_cache(4096)
def _seed_parameter(function: Any, is_bound: bool) -> tuple[int, str] | None:
    if isinstance(function, type) and not is_library_class(function):
        # Its `__signature__`, or its metaclass, may run any code.
        members = (member_of(function, name) for name in ("__init__", "__new__"))
        function = next((inner for inner in members if isinstance(inner, FunctionType)), None)
        is_bound = True
    try:
        parameters = list(inspect.signature(function).parameters.items())[is_bound:]
    except (ValueError, TypeError):
        return None
    for place, (name, parameter) in enumerate(parameters):
        if name in SEEDS and parameter.default is None:
            return (10**9 if parameter.kind is parameter.KEYWORD_ONLY else place), name
    return None


# Methods of unknown objects


def method_finding(name: str, call: CallSite | None) -> Finding | None:
    """What the name of a method says of its call, where its object is unknown."""
    reason = next((reason for reason, names in METHODS.items() if name in names.split()), None)
    if reason is None:
        return None
    if reason == EFFECT and call is not None and not _has_arguments(call):
        return None  # it returns what it would write
    if call is not None and name == "open" and _is_writing(call, 0):
        return Finding(Impurity(name, WRITES))
    if reason != MAYBE_RANDOM or call is None:
        return Finding(Impurity(name, reason))
    seed = seed_argument(call, 10**9, SEEDS)
    is_unseeded = seed is None or _may_be_none(seed)
    return Finding(Impurity(name, reason), "numpy", seed) if is_unseeded else None
