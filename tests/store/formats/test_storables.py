"""Marked classes are stored by their fields, and loaded without any of their code."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections import namedtuple
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pytest

from pipeline.store import CodecError, UnstorableError, encoded, storable
from pipeline.store.entry import UnreadableError
from pipeline.store.formats.codec import decoded
from tests.fuzz import back, packed, payload, unpacked

T = TypeVar("T")


@storable
@dataclasses.dataclass
class Fit:
    slope: Any
    error: float = 0.0
    made: list[int] = dataclasses.field(init=False)
    kind: ClassVar[str] = "linear"
    seed: dataclasses.InitVar[int] = 0

    def __post_init__(self, seed: int) -> None:
        self.made = [seed]

    @functools.cached_property
    def double(self) -> Any:
        return self.slope * 2


@storable
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    y: Any = None


@storable
@dataclasses.dataclass(frozen=True)
class Deeper(Frozen):
    z: Any = 3


@storable
@dataclasses.dataclass(unsafe_hash=True)
class Careful:
    """Raises if any of its code runs."""

    x: int

    def __new__(cls, *args: Any) -> Any:
        return fail() if not args else object.__new__(cls)

    def __post_init__(self) -> None:
        if self.x < 0:
            fail()

    def __setstate__(self, state: Any) -> None:
        fail()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "x" and value < 0:
            fail()
        object.__setattr__(self, name, value)


@storable
@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@storable
class Step(NamedTuple):
    place: int
    loss: Any = None


@storable
class Named(NamedTuple, Generic[T]):
    content: T


Couple = namedtuple("Couple", "a b")
storable(Couple)


def fail() -> Any:
    raise AssertionError("code of the class has run")


@pytest.mark.parametrize(
    "value",
    [Fit(1.5), Fit([1, Fit(2)], seed=7), Frozen(1), Frozen((1, 2), {"a": None}), Deeper(1, 2, 3),
     Box[int](3), Box(Box("a")), Step(1), Step(2, {"a": Step(3)}), Couple(1, [Couple(2, 3)]),
     Named("a"),
     {Frozen(1): {Step(1), Step(2)}}, [Frozen(None)] * 3],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_object_comes_back_equal_and_of_its_class(value: Any) -> None:
    assert back(value) == value
    assert type(back(value)) is type(value)


def test_fields_may_be_arrays() -> None:
    fit = back(Fit(np.arange(3.0)))
    assert (type(fit), fit.slope.tolist(), fit.made) == (Fit, [0.0, 1.0, 2.0], [0])


def test_loading_runs_no_code_of_the_class() -> None:
    value = Careful(1)
    object.__setattr__(value, "x", -1)
    assert vars(back(value)) == {"x": -1}


def test_cached_properties_are_stored_as_they_were() -> None:
    value = Fit(2)
    assert value.double == 4
    assert vars(back(value))["double"] == 4
    value.slope = 7  # nobody computes a cached property again
    assert back(value).double == 4


def test_attributes_that_are_no_fields_and_fields_that_are_not_set_are_refused() -> None:
    value = Fit(2)
    value.extra = 3  # type: ignore[attr-defined]
    with pytest.raises(UnstorableError, match="a Fit: its attribute extra is no field"):
        encoded(value)
    value = Fit(2)
    del value.made
    with pytest.raises(UnstorableError, match="a Fit: its field made is not set"):
        encoded(value)


class Plain:
    pass


class Cached:
    __slots__ = ("cache",)


@dataclasses.dataclass(slots=True)
class Kept(Cached):
    """A dataclass whose base has a slot that is no field."""

    x: int = 0


class Longer(Step):
    """A class derived from a NamedTuple, whose objects may have other attributes."""


@dataclasses.dataclass
class Listed(list[int]):
    x: int = 0


@dataclasses.dataclass
class Failure(Exception):  # noqa: N818
    x: int = 0


@dataclasses.dataclass
class Watched:
    x: int = 0


Watched.x = property(lambda self: 1, lambda self, value: fail())  # type: ignore[assignment]


@pytest.mark.parametrize(
    "kind", [Plain, Longer, Kept, Listed, Failure, Watched, enum.Enum, int, Fit(1)]
)
def test_other_classes_are_refused_with_a_remedy(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"no dataclass .* put @dataclass below @storable"):
        storable(kind)


def test_a_class_derived_from_a_marked_one_is_not_marked() -> None:
    @dataclasses.dataclass
    class Derived(Box[int]):
        pass

    with pytest.raises(UnstorableError, match=r"a Derived: no format .* @pipeline.storable"):
        encoded(Derived(1))


class Colour(enum.Enum):
    RED = "red"
    FIRST = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = 3


class Bits(enum.IntFlag):
    ONE = 1


class Pair(NamedTuple):
    a: int
    b: Any = None


class Ranked(namedtuple("Ranked", "a")):
    rank: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    kind: Colour = Colour.RED


@dataclasses.dataclass
class Closing:
    """A dataclass with code that runs after it is loaded."""

    x: int = 0

    def __del__(self) -> None:
        pass


@pytest.mark.parametrize(
    "value",
    [Colour.RED, Access.WRITE, Pair(1, [2]), Point(1), {Colour.FIRST: [Point(2)]}],
    ids=str,
)
def test_classes_of_the_project_need_no_mark(value: Any) -> None:
    assert back(value) == value
    assert type(back(value)) is type(value)


def test_a_member_of_an_enum_comes_back_as_the_same_object() -> None:
    assert back([Colour.RED, Colour.FIRST]) == [Colour.RED, Colour.FIRST]
    assert back(Colour.RED) is Colour.RED


@pytest.mark.parametrize(
    "value", [Access.READ | Access.WRITE, Access(0), Access.ALL, Access.READ], ids=repr
)
def test_flags_that_are_several_members_come_back_as_the_same_object(value: Any) -> None:
    assert back(value) is value


class Shifted:
    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        return found + 1 if name == "x" else found


@dataclasses.dataclass
class Seen(Shifted):
    x: int


def test_fields_are_stored_as_they_are_and_not_as_the_class_shows_them() -> None:
    assert Seen(1).x == 2
    assert back(Seen(1)).x == 2


def test_attributes_of_a_named_tuple_are_stored() -> None:
    value = Ranked(1)
    value.rank = [3]
    assert back(value) == value
    assert back(value).rank == [3]


def test_a_member_with_another_value_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = payload(Colour.FIRST)
    monkeypatch.setattr(f"{__name__}.Colour", enum.Enum("Colour", {"FIRST": 2}, module=__name__))
    with pytest.raises(CodecError, match="Colour has no such member now"):
        decoded(data)


@pytest.mark.parametrize(
    ("value", "why"),
    [(Closing(), "mark the class"), (Bits(8), "is no member by name")],
    ids=repr,
)  # fmt: skip
def test_objects_that_are_more_than_their_fields_are_refused(value: Any, why: str) -> None:
    with pytest.raises(UnstorableError, match=why):
        encoded(value)


def test_a_class_is_found_only_where_its_module_is_imported() -> None:
    data = crafted("colorsys_of_mine:Pair", "a b", 1, 2)
    with pytest.raises(UnreadableError, match="import 'colorsys_of_mine'"):
        decoded(data)
    assert decoded(crafted(f"{__name__}:Pair", "a b", 1, 2)) == Pair(1, 2)


def crafted(*parts: Any) -> bytes:
    """The payload of an object with these parts: path of its class, names of fields, values."""
    tree, buffers = unpacked(payload(parts))
    return packed([13, *tree[1:]], *buffers)


def test_objects_of_unknown_classes_say_what_to_import() -> None:
    assert decoded(crafted(f"{__name__}:Step", "place loss", 1, 2)) == Step(1, 2)
    with pytest.raises(UnreadableError, match=rf"Gone' is not known here: import '{__name__}'"):
        decoded(crafted(f"{__name__}:Gone", "x", 1))


@pytest.mark.parametrize(
    "parts",
    [
        ("x", 1),
        ("y x", 1, 2),
        ("x y", 1),
        ("x y", 1, 2, 3),
        (b"x y", 1, 2),
        (None, 1, 2),
        (pd.RangeIndex(10**15), 1, 2),
    ],
    ids=str,
)
def test_objects_of_other_fields_are_no_values(parts: Any) -> None:
    with pytest.raises(CodecError, match="has the fields x, y now"):
        decoded(crafted(f"{__name__}:Frozen", *parts))


@pytest.mark.parametrize("path", ["os:system", "builtins:object", "", None, 3])
def test_classes_that_are_not_marked_are_not_looked_up(path: Any) -> None:
    with pytest.raises(CodecError, match=r"is not known here|whose class is"):
        decoded(crafted(path, "x", 1))


def test_a_class_that_was_defined_again_is_another() -> None:
    def made() -> Any:
        return storable(
            dataclasses.make_dataclass("Again", ["x"], namespace={"__module__": __name__})
        )

    first, second = made(), made()
    assert back(second(1)) == second(1)
    with pytest.raises(UnstorableError, match="an Again"):
        encoded(first(1))
