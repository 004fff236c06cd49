"""The content of arguments: different values differ, equal values agree."""

from __future__ import annotations

import copyreg
import datetime
import enum
import functools
import gc
import inspect
import itertools
import re
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from operator import itemgetter
from types import MappingProxyType, ModuleType
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from pipeline import File
from pipeline.graph import freeze
from pipeline.identity import (
    NO_SESSION,
    UnkeyableError,
    UnknownError,
    arrays,
    current_session,
    encode,
    is_tracing,
    run_untraced,
    session,
    short_hash,
)
from pipeline.identity.states import state_of
from tests.functions import fib
from tests.names import shown


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class IntSubclass(int):
    pass


Pair = namedtuple("Pair", "a b")


class Tags(set[int]):
    def __init__(self, tags: set[int], owner: str = "") -> None:
        super().__init__(tags)
        self.owner = owner


class FrozenTags(frozenset[int]):
    pass


class Node:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


@dataclass
class Point:
    x: Any
    y: Any


def local_class(value: int) -> Any:
    """Classes of one name that differ in a method."""

    class Local:
        def method(self) -> int:
            return value

    return Local


SQUARE = np.arange(4.0).reshape(2, 2)
NAN = np.array([np.nan])
OTHER_NAN = np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f")

DIFFERENT: list[Any] = [
    1, 1.0, True, "1", b"1", np.int64(1), np.int32(1), np.float64(1), IntSubclass(1), 1 + 0j,
    Decimal(1), Fraction(1), 0, 0.0, -0.0, False, None, ..., "None", "", b"", (), [], {}, set(),
    frozenset(), (1,), [1], {1}, frozenset({1}), {1: 1}, ((1,),), (1, 1), range(1), range(2),
    Colour.RED, Colour.BLUE, Pair(1, 2), (1, 2), Point(1, 2), Point(1, 2.0), "a" * 100, "a" * 101,
    "é" * 20_000, "é" * 20_001, "\ud800" * 20_000, b"a" * 20_000, b"a" * 20_001, Tags({1}),
    Tags({1}, "x"), FrozenTags({1}), slice(1, 2, 3), {len, max}, {len, min}, {Colour, Pair},
    datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), 10**5000, 10**5000 + 1,
    -(10**5000), 2**63, 2**63 - 1, str(2**63), float(2**63),
    SQUARE, SQUARE.T, SQUARE.ravel(), SQUARE.astype("f4"), SQUARE.astype(">f8"), NAN, OTHER_NAN,
    np.array(["a-b", "c"], object), np.array(["a", "b-c"], object), np.array(1), np.array([]),
    np.zeros((0, 2)), np.zeros((2, 0)), np.array([(1, 2)], [("a", "i8"), ("b", "i8")]),
    np.array([(1, 2)], [("a", "i8"), ("c", "i8")]), np.ma.array([1, 2], mask=[False, True]),
    np.ma.array([1, 2], mask=[True, False]), len, max, np.sin, np.cos, int, float, itertools, enum,
    lambda: 1, lambda: 2, slice(1), slice(2),
    'a'.upper, 'b'.upper, 'a'.lower, [1].count, [2].count, Point(1, 2).__eq__, Point(2, 1).__eq__,
    partial(max, 1), partial(max, 2), partial(min, 1), itemgetter(1), itemgetter(2),
    local_class(1), local_class(2), local_class(1)(), local_class(2)(),
]  # fmt: skip


def test_different_values_differ() -> None:
    encoded = [repr(encode(value)) for value in DIFFERENT]
    assert not {text for text in encoded if encoded.count(text) > 1}
    assert len({short_hash(encode(value)) for value in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({1: 2, 3: 4}, {3: 4, 1: 2}),
        ({"a", "b", "c"}, {"c", "b", "a"}),
        (SQUARE, SQUARE.copy()),
        (SQUARE.T, np.ascontiguousarray(SQUARE.T)),
        (SQUARE, np.asfortranarray(SQUARE)),
        (Point(1, [2]), Point(1, [2])),
        (Pair(1, 2), Pair(1, 2)),
        (np.array(["a", "b"], object), np.array(["a", "b"], object)),
        (range(3), range(3)),
        (local_class(1), local_class(1)),
        (local_class(1)(), local_class(1)()),
    ],
)
def test_equal_values_agree(left: Any, right: Any) -> None:
    assert encode(left) == encode(right)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (7, 7), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"), (10**47, f"1{'0' * 47}"),
        (10**48, "100000000000000000000000…#df63805f1e5ec435979d5d5c"),
        (1.5, "1.5"), (True, "True"), (None, "None"), (..., "Ellipsis"),
        (NotImplemented, "NotImplemented"), (complex(0, -0.0), "-0j"), (range(3), "range(0, 3)"),
        (float("nan"), "nan 000000000000f87f"), ("a", "'a'"), (b"a", "b'a'"),
        ("a" * 46, repr("a" * 46)),
        ("a" * 47, "'aaaaaaaaaaaaaaaaaaaaaaa…#8e3945042183ebdda1d26198"),
        ("a" * 10_000, "'aaaaaaaaaaaaaaaaaaaaaaa…#c3b5db5d6ab4d176c97252f7"),
        ("a" * 10_001, "'aaaaaaaaaaaaaaaaaaaaaaaa'…#191e120069949fcf222f288b of 10001"),
        (b"a" * 10_001, "b'aaaaaaaaaaaaaaaaaaaaaaaa'…#191e120069949fcf222f288b of 10001"),
        ("\ud800", repr("\ud800")),
        ("\ud800" * 50, "'\\ud800\\ud800\\ud800\\ud80…#11e5abc848376f716dfc23a8"),
        ((1, (2,)), (1, (2,))), ([1, "a"], ("list", 1, "'a'")), ([], ("list",)),
        ({"b": 1, "a": 2}, ("dict", ("'a'", 2), ("'b'", 1))),
        (MappingProxyType({"a": 1}), ("dict", ("'a'", 1))), ({2, "a"}, ("set", "'a'", 2)),
        (frozenset({2, "a"}), ("frozenset", "'a'", 2)),
        (("a" * 42, "b" * 42), (repr("a" * 42), repr("b" * 42))),
        (("a" * 42, "b" * 43), "(\"'aaaaaaaaaaaaaaaaaaaaa…#b15c4cfc0fcd77194b2fc7d1"),
        (["a" * 40, "b" * 40], "('list', \"'aaaaaaaaaaaaa…#59ee43d7b4deebc9fba9cd9f"),
        (np.int64(7), "int64(7)"), (np.float32(0.5), "float32(0.5)"),
        (np.bool_(True), "bool(True)"),
        (np.longdouble(1.5), "longdouble(1.5e+00)"),
        (np.float64("nan"), "float64[]#9a89fde61f0da65ab251d8e5"),
        (np.datetime64("2020"), "datetime64[Y][]#6417c9e1058eaba78b5bd566"),
        (np.array(3, "i2"), "int16[]#acddd2f7d884d98c0bee053d"),
        (SQUARE, "float64[2×2]#fe2288e7463b246ff4ad4749"),
        (SQUARE.astype(">f8"), ">f8[2×2]#978cb16d340a8542a0f2e0eb"),
        (np.zeros((0, 2), "f4"), "float32[0×2]#5a95b8b8300681c9a06e8664"),
        (np.array(["a", None], object), "object[2]#dbd1f8913e361c47f258cca4"),
        (np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
         "[('a', '<i4'), ('b', '<f8')][1]#97aefe5577b7b485b1a261fa"),
        (np.array([1, 2], "g") / 2, "float128[2]#47e2fca466bbc0024d83db9f"),
        (np.array([1, 2j], "G") / 2, "complex256[2]#c2f52b6c796123ba23e3c4ac"),
        (np, "module numpy"), (len, "builtins.len"), (int, "builtins.int"),
        # In NumPy 2.0 it has no module.
        *([(np.sin, "numpy.sin")] if hasattr(np.sin, "__module__") else []),
        (partial(max, 1, key=abs), "partial#b59f8f29977115a15690a51a"),
        (itemgetter(1), "itemgetter#3f9148c7b2663a988cc29788"),
        ("a".upper, "builtin_function_or_method#363f979aca5c775bcab9db75"),
        (Fraction(1, 3), "Fraction#3d848e9b8a320ba3d805e966"),
    ],
)  # fmt: skip
def test_what_is_encoded_today_is_found_next_year(value: Any, encoded: Any) -> None:
    assert encode(value) == encoded


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), (c for c in "a"), object(), (1, object()), {"a": threading.Lock()}],
    ids=shown,
)
def test_values_without_content_are_refused(value: Any) -> None:
    with pytest.raises(UnkeyableError):
        encode(value)


def test_an_open_file_is_refused() -> None:
    with open(__file__) as file, pytest.raises(UnkeyableError):
        encode(file)


def test_a_list_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnkeyableError, match="contains itself"):
        encode(loop)


def test_the_order_of_a_set_does_not_count() -> None:
    members = [lambda: 1, lambda: 2, Colour, Pair, Pair(1, 2), "a", 3]
    assert encode(frozenset(members[::-1])) == encode(frozenset(members))


def test_objects_nested_too_deeply_are_refused() -> None:
    chain = Node(None)
    for _ in range(1000):
        chain = Node(chain)
    with pytest.raises(UnkeyableError, match="deep"):
        encode(chain)


def test_dasks_own_token_is_used_where_an_object_has_one() -> None:
    class Tokened:
        def __init__(self, token: int) -> None:
            self.token, self.lock = token, threading.Lock()

        def __dask_tokenize__(self) -> int:
            return self.token

    assert encode(Tokened(1)) == encode(Tokened(1))
    assert encode(Tokened(1)) != encode(Tokened(2))


def test_freezing_copies_an_array_once() -> None:
    array = np.arange(3)
    frozen = freeze(array)
    array[0] = 9
    assert frozen.tolist() == [0, 1, 2]
    assert freeze(frozen) is frozen
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 1


def test_a_frozen_array_is_forgotten_with_its_last_reference() -> None:
    frozen = freeze(np.arange(5))
    encode(frozen)
    hashed = arrays._hashed
    assert id(frozen) in hashed
    identity = id(frozen)
    del frozen
    assert identity not in hashed


@pytest.mark.parametrize("value", [[1], {1}, {1: 2}, bytearray(b"1"), (1, [2])], ids=repr)
def test_mutable_arguments_are_refused_with_a_remedy(value: Any) -> None:
    with pytest.raises(UnkeyableError, match="it can change after the call; pass"):
        freeze(value)


@pytest.mark.parametrize("value", [Decimal("1.5"), Fraction(1, 3), re.compile("a"), slice(1, 2)])
def test_the_state_of_equal_objects_is_equal(value: Any) -> None:
    assert state_of(value) == state_of(value)


def test_an_objects_own_token_comes_first() -> None:
    class Tokened:
        lock = threading.Lock()

        def __dask_tokenize__(self) -> tuple[str, int]:
            return ("token", 1)

    assert state_of(Tokened()) == ("token", 1)


def test_the_state_of_a_list_holds_its_items() -> None:
    class Many(list[int]):
        pass

    assert [1, 2] in state_of(Many([1, 2]))


@pytest.mark.parametrize("value", [threading.Lock(), object(), (c for c in "a")], ids=shown)
def test_objects_without_state_are_refused_with_a_remedy(value: Any) -> None:
    with pytest.raises(UnkeyableError, match=r"no key for a .*; pass what it is made from"):
        state_of(value)


def test_a_call_has_no_state_yet() -> None:
    with pytest.raises(UnknownError, match=r"fib\(3\): its value is not known yet"):
        state_of(fib(3))


def function(source: str, **names: Any) -> Any:
    """The function or class `f` of a program, and what it names."""
    names["__name__"] = "__main__"
    exec(source, names)  # noqa: S102 - each is a program
    return names["f"]


ONE_LOCK, OTHER_LOCK, DEEP_LOCK = threading.Lock(), threading.RLock(), {"a": threading.Lock()}
CALLS = "def f(): return a(), b()\ndef a(): return 1\ndef b(): return 2"


class Cached:
    """An object with a property that is computed once."""

    def __init__(self, size: int) -> None:
        self.size = size

    @functools.cached_property
    def area(self) -> int:
        return self.size**2


FILLED = Cached(1)
assert FILLED.area == 1


class Reduced:
    """An object whose state pickle learns from a table."""

    def __init__(self, number: int) -> None:
        self.number, self.lock = number, threading.Lock()


copyreg.pickle(Reduced, lambda value: (Reduced, (value.number,)))
lru_cache = functools.lru_cache


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (function(CALLS), function(CALLS.replace("a(), b()", "b(), a()"))),
        (function(CALLS), function(CALLS.replace("a(), b()", "a(), a()"))),
        (function(CALLS), function(CALLS.replace("return 1", "return b()"))),
        (function(CALLS), function(CALLS.replace("return 1", "return f()"))),
        (function("def f(x=1): pass"), function("def f(x=2): pass")),
        (function("def f(*, x=1): pass"), function("def f(*, x=2): pass")),
        (function("def f(*, x=1): pass"), function("def f(*, x): pass")),
        (function("def f(x=None): pass"), function("def f(x): pass")),
        (function("class f: pass"), function("class f: a = 1")),
        (function("class f: pass"), function("class f(int): pass")),
        (function("class M(type): pass\nclass f(metaclass=M): pass"), function("class f: pass")),
        (function("class f:\n def g(s): return f"), function("class f:\n def g(s): return h")),
        (function("def f(): return x", x=1), function("def f(): return x", x=2)),
        (function("def f(): return x", x=ONE_LOCK), function("def f(): return x", x=OTHER_LOCK)),
        (function("def f(): return x", x=DEEP_LOCK), function("def f(): return x", x={})),
        (function("def f(): return x.a", x=Node(0)), function("def f(): return x.a", x=Node(1))),
        (Node(Node(1)), Node(1)), (Node(1), Point(1, 2)), ({lambda: 1, lambda: 2}, {lambda: 1}),
        (Node(np), Node(itertools)), (Node(len), Node("builtins.len")), (Cached(1), Cached(2)),
        (lru_cache(function("def f(): return 1")), function("def f(): return 1")),
        (lru_cache(function("def f(): return 1")), lru_cache(function("def f(): return 2"))),
        (deque([1]), deque([2])), (deque([1]), deque([1], 3)), (OrderedDict(a=1), {"a": 1}),
        (OrderedDict(a=1), OrderedDict(a=2)), (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
        (defaultdict(int), defaultdict(list)), (Counter("a"), Counter("b")),
        (Reduced(1), Reduced(2)), (Tags({1}), {1}), (FrozenTags({1}), FrozenTags({2})),
    ],
    ids=shown,
)  # fmt: skip
def test_they_differ(one: Any, other: Any) -> None:
    assert encode(one) != encode(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (function(CALLS), function(CALLS)),
        (function("def f(n): return n and f(n - 1)"), function("def f(n): return n and f(n - 1)")),
        (function("class f: a = 1; b = 2"), function("class f: b = 2; a = 1")),
        (function("class f: pass"), function("class f: 'A.'")),
        (function("def f(): return x", x=ONE_LOCK),
         function("def f(): return x", x=threading.Lock())),
        (FILLED, Cached(1)), (Node(None), Node(None)), (Reduced(1), Reduced(1)),
        (lru_cache(function("def f(): return 1")), lru_cache(function("def f(): return 1"))),
        ({lambda: 1, lambda: 2}, {lambda: 2, lambda: 1}), (deque([1]), deque([1])),
        ({len: 1, max: 2, 1: 3, "a": 4}, {"a": 4, 1: 3, max: 2, len: 1}), (str.upper, str.upper),
    ],
    ids=shown,
)  # fmt: skip
def test_they_agree(one: Any, other: Any) -> None:
    assert encode(one) == encode(other)


def test_a_function_names_a_set_of_definitions_in_one_order() -> None:
    sources = [f"def f(): return {number}" for number in range(8)]
    sets = [frozenset(map(function, order)) for order in (sources, sources[::-1])]
    one, other = (function("def f(): return x", x=held) for held in sets)
    assert encode(one) == encode(other)


def test_a_function_names_a_set_of_classes_in_one_order() -> None:
    names = [f"Class{number}" for number in range(8)]
    sets = []
    for order in (names, names[::-1]):
        classes = {name: type(name, (), {"x": name}) for name in order}
        sets.append(frozenset(classes[name] for name in sorted(order)))
    one, other = (function("def f(): return x", x=held) for held in sets)
    assert encode(one) == encode(other)


def module_of(**values: Any) -> Any:
    module = ModuleType("a_module_of_the_project")
    vars(module).update(values)
    return module


class OfThree:
    """An object of which pickle stores three parts."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return OfThree, (0,), self.__dict__

    @functools.cached_property
    def twice(self) -> int:
        return 2 * self.number


def test_a_module_of_the_project_counts_by_what_it_holds() -> None:
    assert encode(module_of(x=1)) == encode(module_of(x=1)) != encode(module_of(x=2))
    assert encode([module_of(x=1)]) != encode([module_of(y=1)])
    assert encode(module_of(__doc__="A.")) == encode(module_of())


def test_what_a_cached_property_holds_does_not_count() -> None:
    one, other, filled = OfThree(1), OfThree(2), OfThree(1)
    assert filled.twice == 2
    assert encode(one) == encode(filled) != encode(other)


def test_a_value_may_be_nested_200_deep() -> None:
    value: list[Any] = []
    for _ in range(199):
        value = [value]
    encode(value)
    with pytest.raises(UnkeyableError, match="over 200 deep"):
        encode([value])


def test_a_value_whose_state_is_too_deep_for_pickle_is_refused() -> None:
    class Deep:
        def __dask_tokenize__(self) -> Any:
            return self

    for value in (Deep(), [Deep()]):
        with pytest.raises(UnkeyableError, match="deep"):
            encode(value)


def test_calls_and_collections_are_not_known_yet() -> None:
    for value in (fib(3), dask.delayed(1), [dask.delayed(1)], Node(dask.delayed(1))):
        with pytest.raises(UnknownError, match="its value is not known yet"):
            encode(value)


def test_a_missing_file_is_refused_with_the_systems_reason() -> None:
    with pytest.raises(UnkeyableError, match=r"^no key for File\('/no/file'\): No such file or d"):
        encode(File("/no/file"))


def test_a_ufunc_of_no_module_is_refused() -> None:
    with pytest.raises(UnkeyableError, match="no key for a ufunc: no module holds it"):
        encode(np.frompyfunc(lambda x: x, 1, 1))


def test_the_ufuncs_of_a_library_differ_by_name_and_by_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one(x: Any) -> Any:
        return x

    def other(x: Any) -> Any:
        return x

    encodings = set()
    for module in ("a_library", "another_library"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        for function in (one, other):
            ufunc = np.frompyfunc(function, 1, 1)
            setattr(sys.modules[module], ufunc.__name__, ufunc)
            encodings.add(encode(ufunc))
            assert encode([ufunc]) == ("list", encode(ufunc))
    assert len(encodings) == 4


class Counted:
    """It counts how often its content was computed."""

    def __init__(self) -> None:
        self.times = 0

    def __dask_tokenize__(self) -> str:
        self.times += 1
        return "counted"


def test_a_session_encodes_an_object_once_and_verifies_it_once() -> None:
    counted, same = Counted(), Counted()
    with session():
        assert encode(counted) == encode(counted) == encode([counted])[1]
        assert encode(same) == encode(counted)
        assert counted.times == same.times == 1
    assert counted.times == same.times == 2
    encode([counted, counted])
    assert counted.times == 3
    encode(counted)
    assert counted.times == 4


@pytest.mark.parametrize("value", [Node(1), {"a": Node(1)}, (1, [Node(1)])], ids=shown)
def test_an_object_that_changes_within_a_session_is_an_error(value: Any) -> None:
    node = value
    while not isinstance(node, Node):
        node = node["a"] if isinstance(node, dict) else node[-1]
    node.inner = 1

    def change() -> None:
        with session():
            encode(value)
            node.inner += 1

    with pytest.raises(UnkeyableError, match=r"<.*Node .*> changed while its calls were traced"):
        change()
    assert not is_tracing()


def test_what_a_function_reaches_may_change_within_a_session() -> None:
    names = Node([])
    wrapped = lru_cache(function("def f(): return x", x=names))
    with session():
        encode(function("def f(): return x", x=names))
        encode(wrapped)
        names.inner.append(1)


def test_containers_are_encoded_anew_within_a_session() -> None:
    items, queue = [1], deque([1])
    with session():
        before = encode(items), encode(queue)
        items.append(2)
        queue.append(2)
        assert before[0] != encode(items)
        assert before[1] != encode(queue)


def test_sessions_nest() -> None:
    assert current_session() is NO_SESSION
    with session() as outer:
        assert current_session() is outer
        outer.prefixes[0] = "fib"
        with session() as inner:
            assert current_session() is inner is not outer
            assert inner.prefixes is outer.prefixes
            assert inner.encoded is not outer.encoded
        assert current_session() is outer
    assert current_session() is NO_SESSION
    with session() as later:
        assert not later.prefixes
        assert later.prefixes is not NO_SESSION.prefixes


def test_a_session_traces_but_not_what_runs_untraced() -> None:
    assert not is_tracing()
    with session() as outer:
        assert is_tracing()
        assert run_untraced(lambda x: (x, is_tracing()), 3) == (3, False)
        assert run_untraced(current_session).prefixes is outer.prefixes
        with pytest.raises(ZeroDivisionError):
            run_untraced(lambda: 1 / 0)
        assert is_tracing()
    assert not is_tracing()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_garbage_collector_pauses_within_a_session(is_enabled: bool) -> None:
    (gc.enable if is_enabled else gc.disable)()
    try:
        with session():
            assert not gc.isenabled()
            with session():
                pass
            assert not gc.isenabled()
        assert gc.isenabled() is is_enabled
        with pytest.raises(ZeroDivisionError), session():
            raise ZeroDivisionError
        assert gc.isenabled() is is_enabled
        assert not is_tracing()
    finally:
        gc.enable()


def test_a_value_too_deep_for_the_stack_that_is_left_is_refused() -> None:
    value: list[Any] = []
    for _ in range(150):
        value = [value]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 120)
    try:
        with pytest.raises(UnkeyableError, match="no key for a list: it is too deep"):
            encode(value)
    finally:
        sys.setrecursionlimit(limit)


ATOMS_IN_CONTAINERS = [
    [1, 2, 3], [2**63, 1], [-(2**63), 2**63 - 1], [0.5, -0.0], [0.5, float("nan")], [float("inf")],
    [True, 1, 1.0, "1", b"1", None, ...], ["a'b", 'c"d', "\ud800", "x" * 60], [1j, 2], [], [1],
    list(range(100)), ["x" * 10_001],
]  # fmt: skip


@pytest.mark.parametrize("values", ATOMS_IN_CONTAINERS, ids=repr)
def test_a_container_of_plain_values_is_encoded_as_value_by_value(values: list[Any]) -> None:
    each = [encode(value) for value in values]

    def cut(encoded: Any) -> Any:
        text = repr(encoded)
        return encoded if len(text) <= 96 else f"{text[:24]}…#{short_hash(text)}"

    assert encode(values) == cut(("list", *each))
    assert encode(tuple(values)) == cut(tuple(each))
    unique = set(values)
    assert encode(unique) == cut(("set", *sorted(map(encode, unique), key=repr)))
    pairs = [cut((encode(value), encode(value))) for value in unique]
    assert encode({value: value for value in unique}) == cut(("dict", *sorted(pairs, key=repr)))


def test_what_dask_wraps_a_function_with_counts_by_the_function() -> None:
    """Its own token has the name of the function alone."""

    def wrapped(body: str) -> Any:
        made = function(f"def f(a, b): return {body}")
        made.__module__ = __name__  # under which Dask finds the first for both
        return da.frompyfunc(made, 2, 1)._ufunc

    assert encode(wrapped("a + b")) == encode(wrapped("a + b"))
    assert encode(wrapped("a + b")) != encode(wrapped("a - b"))
