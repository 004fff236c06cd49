"""Attributes and state of values, read without running code of the project."""

from __future__ import annotations

import abc
import datetime
import enum
import functools
import operator
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import MethodType, ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identity import ATOMS, MISSING, attribute_of, held, is_data, items_of, objects_in
from pipeline.identity.attributes import plain_state
from tests.names import shown

T = TypeVar("T")


class Plain:
    """Attributes alone."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Slotted:
    """Slots alone, one of them private."""

    __slots__ = ("__hidden", "a", "b")

    def __init__(self) -> None:
        self.b, self.__hidden = 2, 1


class Both(Slotted):
    """Slots and attributes."""


class One(Plain):
    """A slot by its name alone."""

    __slots__ = "single"


class Many(list[Any]):
    """A list with attributes."""


class Table(dict[str, Any]):
    """A dict with a slot."""

    __slots__ = ("title",)


class Of(Generic[T], abc.ABC):
    """A class with bases that hold nothing."""

    def __init__(self) -> None:
        self.x = 3


def with_attributes(value: Any, **attributes: Any) -> Any:
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


PLAIN = [
    Plain(), Plain(a=1, b=[2]), Slotted(), Both(), with_attributes(Both(), c=3, a=4), One(),
    with_attributes(One(x=1), single=5), Many(), Many([1, 2]), with_attributes(Many([1]), a=2),
    Table(), Table(a=1), with_attributes(Table(b=2), title="t"), Of[int](),
]  # fmt: skip


def reduced(value: Any) -> list[Any]:
    parts = value.__reduce_ex__(4)
    return [*parts[:3], *(None if part is None else list(part) for part in parts[3:])]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_the_state_of_a_plain_object_is_what_pickle_finds(value: Any) -> None:
    state = plain_state(value)
    assert state is not None
    assert list(state) == reduced(value)
    assert state[2] is None or list(state[2]) == list(reduced(value)[2])  # in its order


class Reduced(Plain):
    """What pickle stores is what it says."""

    def __reduce__(self) -> Any:
        return Reduced, ()


class Stated(Plain):
    """Its state is what it says."""

    def __getstate__(self) -> Any:
        return 3


class Local(threading.local):
    """Its state is in C."""


class Number(int):
    """Its value is in C."""


class Color(enum.Enum):
    """Members that pickle finds by their values."""

    RED = 1


class Pair(NamedTuple):
    """A tuple, whose items are arguments of its class."""

    a: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that says what its state is."""

    a: int = 1


@pytest.mark.parametrize(
    "value",
    [
        Reduced(), Stated(), Local(), Number(3), Color.RED, Pair(1), Frozen(), ValueError(1),
        Counter("a"), OrderedDict(a=1), defaultdict(int), deque([1]), Fraction(1, 2), {1}, (1,),
        np.arange(3), datetime.date(2000, 1, 1), functools.partial(max), threading.Lock(),
        operator.itemgetter(1), iter([1]), map(abs, [1]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_only_its_class_knows_the_state_of_another_object(value: Any) -> None:
    assert plain_state(value) is None


class Meta(type):
    """A metaclass with a method, a property and `__getattr__`."""

    def __getattr__(cls, name: str) -> Any:
        raise AttributeError(name)

    def made(cls) -> None: ...

    @property
    def stated(cls) -> Any:
        raise AssertionError("it ran")


class Descriptor:
    """An attribute that is computed."""

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        raise AssertionError("it ran")


class Rich(datetime.datetime, metaclass=Meta):
    """A class with members of each kind."""

    described = Descriptor()
    rate = 3

    @staticmethod
    def static() -> None: ...

    @classmethod
    def of(cls) -> None: ...

    @property
    def area(self) -> Any:
        raise AssertionError("it ran")

    def method(self) -> None: ...


def test_attributes_of_a_class_are_found_and_not_computed() -> None:
    assert attribute_of(Rich, "rate") == 3
    assert attribute_of(Rich, "static") is Rich.static
    assert attribute_of(Rich, "method") is Rich.method
    assert attribute_of(Rich, "of") == Rich.of
    assert attribute_of(Rich, "area") is vars(Rich)["area"]
    assert attribute_of(Rich, "now") == datetime.datetime.now
    assert attribute_of(Rich, "made") == MethodType(vars(Meta)["made"], Rich)


def test_in_place_of_a_computed_attribute_stands_what_computes_it() -> None:
    assert attribute_of(Rich, "described") == MethodType(
        vars(Descriptor)["__get__"], vars(Rich)["described"]
    )
    assert attribute_of(Rich, "stated") == MethodType(vars(Meta)["stated"].fget, Rich)
    assert attribute_of(Rich, "missing") == MethodType(vars(Meta)["__getattr__"], Rich)
    lazy: Any = ModuleType("lazy")
    assert attribute_of(lazy, "missing") is MISSING
    lazy.__getattr__, lazy.here = Meta.__getattr__, 3
    assert attribute_of(lazy, "here") == 3
    assert attribute_of(lazy, "missing") is Meta.__getattr__
    assert attribute_of(lazy, "__dict__") is vars(lazy)


def test_attributes_of_other_objects_are_not_known() -> None:
    assert attribute_of(Plain(a=1), "a") is MISSING
    assert attribute_of(Plain, "a") is MISSING


class Wrapper:
    """A function in a slot."""

    __slots__ = ("__wrapped__",)

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_what_an_object_holds_is_found_in_its_attributes_and_slots() -> None:
    assert held(Plain(__wrapped__=abs), "__wrapped__") is abs
    assert held(Wrapper(abs), "__wrapped__") is abs
    assert held(Wrapper(abs), "__func__") is None
    assert held([].append, "__self__") == []
    assert held(Rich, "__func__", "none") == "none"


class Reversed(list[int]):
    """A list that shows its items in another order."""

    def __iter__(self) -> Any:
        raise AssertionError("it ran")


def test_the_items_of_a_container_are_those_that_python_holds() -> None:
    assert items_of(Reversed([1, 2])) == [1, 2]
    assert items_of({"a": 1}) == [1]
    assert items_of((1, 2)) == [1, 2]
    assert sorted(items_of(frozenset({1, 2}))) == [1, 2]
    assert items_of("ab") == []


class Loose:
    """Slots beside attributes and weak references."""

    __slots__ = ("__dict__", "__weakref__", "a")


class Dunder:
    """A slot whose name no class makes its own."""

    __slots__ = ("__a__",)


class _Hidden:
    """A private slot of a class whose name begins with an underscore."""

    __slots__ = ("__a",)

    def __init__(self) -> None:
        self.__a = 1


@pytest.mark.parametrize(
    "value",
    [
        with_attributes(Loose(), a=1, b=2), with_attributes(Dunder(), __a__=1), _Hidden(),
        Table(b=[1]), Many([[1]]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_slots_are_found_by_their_names(value: Any) -> None:
    state = plain_state(value)
    assert state is not None
    assert list(state) == reduced(value)


@pytest.mark.parametrize(
    "name", ["__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"]
)
def test_a_class_that_says_what_pickle_stores_is_not_plain(name: str) -> None:
    kind = type("Says", (Plain,), {name: lambda self: ()})
    assert plain_state(kind()) is None
    assert plain_state(type("Inherits", (kind,), {})()) is None


def test_what_a_module_holds_is_found_without_its_getattr() -> None:
    module: Any = ModuleType("lazy")
    module.__getattr__ = lambda name: pytest.fail(name)
    module.here = 3
    assert held(module, "here") == 3
    assert held(module, "__wrapped__") is None
    assert held(module, "__wrapped__", 7) == 7


def test_objects_within_containers_are_found_once_in_any_depth() -> None:
    one, two = object(), object()
    inner: list[Any] = [one, 1, {"a": two, (one,): {2}}]
    inner.append(inner)
    found = list(objects_in([inner, (inner, "text"), one], ATOMS, {}))
    assert sorted(map(id, found)) == sorted(map(id, (one, two)))


def test_objects_that_were_seen_are_left_out() -> None:
    one, two = object(), object()
    seen: dict[int, Any] = {}
    assert list(objects_in([one], ATOMS, seen)) == [one]
    assert list(objects_in([[two], one], ATOMS, seen)) == [two]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.arange(3), True), ({"n": np.arange(3)}, True), (np.array([None]), False),
        ({1: np.arange(3)}, False), ({"n": {"n": np.arange(3)}}, False), ({"n": "text"}, False),
        (np.ma.array([1]), False), ([np.arange(3)], False), ("text", False),
    ],
    ids=shown,
)  # fmt: skip
def test_data_is_arrays_without_objects(value: Any, expected: bool) -> None:
    assert is_data(value) is expected


NESTED = st.recursive(
    st.integers() | st.text() | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


def walked(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from walked(item)
    elif not isinstance(value, int | str):
        yield value


@given(NESTED)
def test_objects_are_those_of_a_plain_walk(value: Any) -> None:
    expected = {id(found) for found in walked(value)}
    assert {id(found) for found in objects_in([value], ATOMS, {})} == expected
