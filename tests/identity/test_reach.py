"""A function is read again if anything that it reaches has changed, and only then."""

from __future__ import annotations

import math
import random
import sys
import types
from contextlib import suppress
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from pipeline.identity import Digester, Known, Reach, UnkeyableError

SCALE = 2
TABLE = {"a": [1, 2]}
ARRAY = np.arange(5)
MODULE = types.ModuleType("tests.made_by_this_test")
vars(MODULE).update(__file__=__file__, factor=3)


class Root:
    pass


class Plain(Root):
    limit = 5
    names = ["a"]  # noqa: RUF012 - that it may change is what is tested

    def method(self) -> int:
        return SCALE


class Colour(Enum):
    RED = 1


HELD = Plain()


def helper(x: Any) -> Any:
    return x * SCALE


vars(helper)["note"] = 0


def by_default(x: Any, limit: Any = (1, [2])) -> Any:
    return x, limit


def user(x: Any) -> Any:
    return helper(x) + TABLE["a"][0] + ARRAY[0] + MODULE.factor + math.floor(2.5)


def of_classes(x: Any) -> Any:
    return Plain.limit, Plain().method(), Colour.RED, HELD, helper.note  # type: ignore[attr-defined]


def by_import(x: Any) -> Any:
    import json

    return json.dumps(x), by_default(x)


def closing(value: Any) -> Any:
    def inner(x: Any) -> Any:
        return x + value

    return inner


CLOSED = closing(1)
ALL = (user, of_classes, by_import, CLOSED)


def reach_of(function: Any) -> tuple[str, Reach]:
    encoder = Digester(known=(known := Known()))
    return str(encoder.encode(function)), Reach(function, known, Digester)


def other(x: Any) -> Any:
    return x


CODE = helper.__code__
METHOD = Plain.method


class Base(Root):
    shared = 1


class Other:
    pass


class Meta(type):
    pass


class OtherMeta(type):
    pass


class WithTwoBases(Root, Other, metaclass=Meta):
    secret = 1
    __options__ = {"a": 1}  # noqa: RUF012 - that it may change is what is tested

    @cached_property
    def kept(self) -> int:
        return SCALE


def of_two_bases(x: Any) -> Any:
    return WithTwoBases().kept, x


KEPT = vars(WithTwoBases)["kept"]
KEPT_FUNCTION = KEPT.func


CHANGES = [
    ("user", "SCALE = 3", "SCALE = 2"),
    ("user", "HELPER = helper; helper = other", "helper = HELPER"),
    ("user", "helper.__code__ = other.__code__", "helper.__code__ = CODE"),
    ("user", "TABLE['a'] = [1, 3]", "TABLE['a'] = [1, 2]"),
    ("user", "TABLE['a'][1] = 7", "TABLE['a'][1] = 2"),
    ("user", "ARRAY[1] = 7", "ARRAY[1] = 1"),
    ("user", "MODULE.factor = 4", "MODULE.factor = 3"),
    ("user", "del MODULE.factor", "MODULE.factor = 3"),
    ("user", "MATH = math; math = MODULE", "math = MATH"),
    ("of_classes", "Plain.limit = 6", "Plain.limit = 5"),
    ("of_classes", "Plain.names[0] = 'b'", "Plain.names[0] = 'a'"),
    ("of_classes", "Plain.method = other", "Plain.method = METHOD"),
    ("of_classes", "Plain.more = 1", "del Plain.more"),
    ("of_classes", "HELD.state = 1", "del HELD.state"),
    ("of_classes", "helper.note = 1", "helper.note = 0"),
    ("of_classes", "Plain.__bases__ = (Base,)", "Plain.__bases__ = (Root,)"),
    ("by_import", "by_default.__defaults__[0][1][0] = 3", "by_default.__defaults__[0][1][0] = 2"),
    ("by_import", "by_default.__defaults__ = (1,)", "by_default.__defaults__ = ((1, [2]),)"),
    ("of_two_bases", "WithTwoBases.secret = 2", "WithTwoBases.secret = 1"),
    (
        "of_two_bases",
        "WithTwoBases.__options__['a'] = 2",
        "WithTwoBases.__options__['a'] = 1",
    ),
    ("of_two_bases", "KEPT.func = other", "KEPT.func = KEPT_FUNCTION"),
    ("of_two_bases", "WithTwoBases.__class__ = OtherMeta", "WithTwoBases.__class__ = Meta"),
    (
        "of_two_bases",
        "WithTwoBases.__qualname__ = 'A'",
        "WithTwoBases.__qualname__ = 'WithTwoBases'",
    ),
    ("user", "helper.__qualname__ = 'a'", "helper.__qualname__ = 'helper'"),
    (
        "CLOSED",
        "CLOSED.__closure__[0].cell_contents = 2",
        "CLOSED.__closure__[0].cell_contents = 1",
    ),
]


@pytest.mark.parametrize(("name", "change", "undo"), CHANGES)
def test_a_change_of_what_is_reached_is_seen(name: str, change: str, undo: str) -> None:
    before, reach = reach_of(globals()[name])
    assert reach.is_same()
    try:
        exec(change, globals())  # noqa: S102 - statements of this file
        assert not reach.is_same()
        assert reach_of(globals()[name])[0] != before
    finally:
        exec(undo, globals())  # noqa: S102
    assert reach_of(globals()[name])[0] == before


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_what_it_does_not_reach_is_no_change(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reach = reach_of(function)
    monkeypatch.setitem(globals(), "other", user)
    monkeypatch.setitem(globals(), "unused", 1)
    assert reach.is_same()


def test_a_value_without_content_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    _, reach = reach_of(user)
    monkeypatch.setitem(TABLE, "a", iter([1]))
    assert not reach.is_same()


# Programs at random

PART = """
factor = 3
def func(x): return x * factor
class Klass:
    attr = [1]
"""
WORLD = """
import dataclasses, enum, functools, math, sys, types
import reached_part
import numpy as np
SCALE, TABLE, NAMES, PAIR, ARRAY = 2, {"a": [1, 2]}, ["a"], (1, [2]), np.arange(3)
CACHE = {}
def plain(x): return x
def plus(x): return x + 1
def helper(x): return plain(x) * SCALE
def dflt(x, a=(1, [2]), *, b=[3]): return x
def closing(value):
    def inner(x): return x, value
    return inner
def wrapping(function):
    @functools.wraps(function)
    def inner(x): return function(x)
    return inner
def cached(x):
    if x not in CACHE: CACHE[x] = helper(x)
    return CACHE[x]
closed, closed_list, wrapped = closing(1), closing([1]), wrapping(wrapping(helper))
lru, part = functools.lru_cache(helper), functools.partial(dflt, a=[1])
class Meta(type):
    level = 1
class Base:
    shared = 1
    def run(self): return SCALE
class Mixin: pass
class Plain(Base, Mixin, metaclass=Meta):
    limit, names, function = 5, ["a"], staticmethod(plain)
    @property
    def prop(self): return plain(SCALE)
@dataclasses.dataclass
class Data:
    a: int = 1
    b: list = dataclasses.field(default_factory=list)
class Colour(enum.Enum):
    RED, BLUE = 1, [1]
held, data, objects = Plain(), Data(), [Plain(), plain]
space = types.SimpleNamespace(a=1, f=plain)
"""
EXPRESSIONS = (
    """
SCALE; TABLE["a"][0]; NAMES; PAIR[1]; ARRAY.sum(); helper(x); dflt(x); helper.note; closed(x)
closed_list(x); wrapped(x); cached(x); lru(x); part(); list(map(plain, [x])); Plain.limit
Plain.names; Plain.function(x); Plain().prop; Plain.shared; Plain.level; Data(2)
Colour.BLUE.value; held.run(); data.a; objects; space.f(x)
math.floor(x); reached_part.factor; reached_part.func(x)
reached_part.Klass.attr; reached_part.missing; vars(reached_part); maybe; len(NAMES)
sys.modules["reached_part"]; (lambda y: y + SCALE)(x); [Plain().limit for _ in range(x)]
__import__("reached_part").factor
""".replace("\n", ";")
    .strip(";")
    .split(";")
)
STEPS = """
SCALE = N
TABLE["a"] = [N]
TABLE["a"] = (i for i in ())
NAMES.append(N)
PAIR[1][0] = N
ARRAY[1] = N
plain, plus = plus, plain
plain.__code__ = plus.__code__
helper.note = N
helper.__defaults__ = (N,)
helper.__kwdefaults__ = {"x": N}
helper.__qualname__ = f"f{N}"
dflt.__defaults__ = (N, [N])
dflt.__kwdefaults__["b"].append(N)
closed.__closure__[0].cell_contents = N
closed_list.__closure__[0].cell_contents = [N]
wrapped.__closure__[0].cell_contents = plus
wrapped.__wrapped__ = plus
cached(N)
CACHE = {}
lru = functools.lru_cache(plus)
part.keywords["a"].append(N)
Plain.limit = N
Plain.names.append(N)
Plain.function = staticmethod(plus)
Plain.prop = property(plus)
Plain.shared = N
Plain.extra = N
Plain.__bases__ = (Base,)
Meta.level = N
Base.shared = N
Base.run = plus
class Plain(Base): limit = N
Data.__init__ = plus
data.a = N
held.limit = N
held.__class__ = Base
Colour.BLUE.value.append(N)
objects.append(N)
objects[0].limit = N
space.f = plus
reached_part.factor = N
reached_part.func = plain
reached_part.func.__code__ = plus.__code__
reached_part.Klass.attr.append(N)
reached_part.missing = N
reached_part.__getattr__ = plain
del reached_part.factor
exec(PART, vars(reached_part))
sys.modules["reached_part"] = types.ModuleType("reached_part")
reached_part = space
math = reached_part
maybe = N
len = plain
del len
""".strip().split("\n")


def made_module(name: str, source: str) -> types.ModuleType:
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(__file__=__file__, PART=PART)
    exec(source, vars(module))  # noqa: S102 - statements of this file
    return module


def fresh_digest(function: Any) -> str:
    """Empty if it has none."""
    try:
        return reach_of(function)[0]
    except UnkeyableError:
        return ""


@pytest.mark.parametrize("seed", range(8))
def test_of_a_random_program_nothing_stale_is_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)  # noqa: S311 - no secret
    monkeypatch.setitem(sys.modules, "reached_part", None)
    monkeypatch.setitem(sys.modules, "reached_world", None)
    made_module("reached_part", PART)
    bodies = [", ".join(draw.sample(EXPRESSIONS, 3)) for _ in range(4)]
    roots = "\n".join(f"def root{place}(x): return {body}" for place, body in enumerate(bodies))
    world = vars(made_module("reached_world", f"{WORLD}\n{roots}"))
    functions = [world[f"root{place}"] for place in range(4)]
    known = [reach_of(function) for function in functions]
    for statement in draw.sample(STEPS, 6):
        world["N"] = draw.randrange(99)
        with suppress(AttributeError, NameError, TypeError):  # what another statement has changed
            exec(statement, world)  # noqa: S102 - statements of this file
        for place, (digest, reach) in enumerate(known):
            if reach.is_same():
                assert fresh_digest(functions[place]) == digest, (statement, bodies[place])
            elif fresh_digest(functions[place]):
                known[place] = reach_of(functions[place])
