"""`Store(pickle=[Thing])` pickles objects of named classes, and loads no code but theirs."""

from __future__ import annotations

import dataclasses
import enum
import functools
import io
import pickle
import random
import threading
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from pipeline import File, Store, StoreError, StoreWarning, storable
from pipeline.store import CodecError, UnstorableError, encoded
from pipeline.store.entry import UnreadableError
from pipeline.store.formats.codec import decoded
from tests.fuzz import mutated, packed, payload, unpacked
from tests.names import shown


class Node:
    """An object that refers to itself, to arrays, and to others."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts
        self.me = self


class Derived(Node):
    pass


class Kind(enum.Enum):
    ONE = 1


class Bag(list[Any]):
    """A list with an attribute."""

    name = ""


@storable
@dataclasses.dataclass
class Box:
    content: Any


def restored(value: float) -> Any:
    return Calling(value)


class Calling:
    """Its pickle calls a function."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return restored, (self.value,)


def back(value: Any, *classes: Any) -> Any:
    return decoded(payload(value, pickle=classes), classes)


def test_objects_of_named_classes_come_back_with_all_that_they_share() -> None:
    array, names, table = np.arange(3), ["a"], pd.DataFrame({"a": [1]})
    node = Node(array, names, table, Kind.ONE, pd.Timestamp("2020"))
    value = [node, array, {"n": names}, Box(names), (node,), table, {1, 2}, b"x" * 70_000]
    made = back(value, Node, Kind)
    first = made[0]
    assert first.me is first is made[4][0]
    assert first.parts[0] is made[1]
    assert first.parts[1] is made[2]["n"] is made[3].content
    assert first.parts[2] is made[5]
    assert first.parts[3:] == (Kind.ONE, pd.Timestamp("2020"))
    assert made[6:] == value[6:]
    assert made[5].equals(table)


def test_an_object_with_items_keeps_its_attributes() -> None:
    bag = Bag([1, [2]])
    bag.name = "mine"
    made = back([bag, bag], Bag)
    assert made[0] is made[1]
    assert (type(made[0]), made[0], made[0].name) == (Bag, [1, [2]], "mine")


def test_a_value_with_a_format_is_not_pickled() -> None:
    value = [1, {"a": np.arange(3)}, Box([2])]
    assert payload(value, pickle=(Node,)) == payload(value)


def test_the_arrays_of_an_object_are_not_in_its_pickle() -> None:
    tree, buffers = unpacked(payload(Node(np.zeros(10_000)), pickle=(Node,)))
    assert tree[0] == 3
    assert sorted(map(len, buffers))[0] < 300


@pytest.mark.parametrize(
    ("value", "classes", "why"),
    [
        (Derived(1), [Node], r"a Derived: no format .*Store\(pickle=\[Derived\]\)"),
        ([Node(1), threading.Lock()], [Node], "a lock: no format"),
        (Node(len), [Node], r"needs builtins:len; name it, too: Store\(pickle=\[len, …\]\)"),
        (Node(Derived), [Node], "needs .*test_pickles:Derived; name it"),
        (Node(lambda: 1), [Node], "needs .*<lambda>"),
        (Calling(1), [Calling], "needs .*test_pickles:restored"),
        (Node(functools.partial(len)), [Node], "a partial: no format"),
        (threading.Lock(), [Node], "a lock: no format"),
        (Node(pickle), [Node], "a module: no format"),
        ([lambda: 1], [Node], "a function: no format"),
    ],
    ids=shown,
)  # fmt: skip
def test_other_objects_are_refused_by_name(value: Any, classes: list[Any], why: str) -> None:
    with pytest.raises(UnstorableError, match=why):
        encoded(value, tuple(classes))


def test_a_function_that_a_pickle_needs_may_be_named_too() -> None:
    made = back([Calling(2.5), Node(Derived)], Calling, restored, Node, Derived)
    assert (type(made[0]), made[0].value) == (Calling, 2.5)
    assert made[1].parts == (Derived,)


def test_an_entry_is_read_by_stores_that_allow_its_classes(tmp_path: Path) -> None:
    digest = 32 * "a"
    Store(tmp_path, pickle=[Node, Kind]).put(digest, [Node(1), Kind.ONE])
    readers: list[Any] = [[Kind, Derived, Node], True]
    for allowed in readers:
        assert Store(tmp_path, pickle=allowed).get(digest)[1] is Kind.ONE
    others: list[Any] = [(False, "Kind"), ([Node], "Kind"), ([Kind], "Node")]
    for allowed, missing in others:
        store = Store(tmp_path, pickle=allowed)
        with (
            pytest.warns(StoreWarning, match=rf"to allow it, Store\(pickle=\[{missing}\]\)"),
            pytest.raises(KeyError),
        ):
            store.get(digest)
    assert digest in Store(tmp_path)


def test_a_pickle_of_anything_is_not_read_by_a_store_of_named_classes() -> None:
    data = payload(Node(1), pickle=True)
    with pytest.raises(UnreadableError, match="may run any code"):
        decoded(data, (Node,))


def test_a_single_class_may_be_given_and_what_is_no_class_is_an_error(tmp_path: Path) -> None:
    single: Any = Node
    assert Store(tmp_path, pickle=single).pickle == (Node,)
    assert Store(tmp_path).pickle is False
    for wrong in ("Node", [3], 3, [Node(1)]):
        with pytest.raises(StoreError, match="give True, False, or classes"):
            Store(tmp_path, pickle=wrong)  # type: ignore[arg-type]


def test_a_store_in_a_worker_allows_the_same_classes(tmp_path: Path) -> None:
    for allowed in ([Node, Kind], True, False):
        store = Store(tmp_path, pickle=allowed)
        made = cloudpickle.loads(cloudpickle.dumps(store))
        assert made.pickle == store.pickle
        assert cloudpickle.loads(cloudpickle.dumps(store)) is made


class Evil:
    def __reduce__(self) -> Any:
        return print, ("evil",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()), pickle.dumps(Node(1)), pickle.dumps(len), b"cos\nsystem\n(S'x'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.", b"cbuiltins\ngetattr\n.", b"ccopyreg\n_reconstructor\n.",
        b"P5\n.", b"I9\nQ.", b"I-2\nQ.", b"\x8c\x01aQ.", b"(I-1\nQ(I13\nNtR.", b"", b"N",
    ],
    ids=lambda data: repr(data)[:30],
)  # fmt: skip
def test_other_pickles_run_nothing(data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = [20, "tests.store.formats.test_pickles:Node"]
    with pytest.raises(CodecError):
        decoded(packed([3, path, [20]], data), (Node,))
    assert capsys.readouterr().out == ""


def test_a_pickle_builds_no_values_but_those_that_it_was_made_of() -> None:
    """The function that builds values of their parts makes no range of any length."""
    file = io.BytesIO()

    class Numbered(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return -1 if value is print else None

    class Ranged:
        def __reduce__(self) -> Any:
            return print, (31, 0, 10**15, 1)

    Numbered(file, protocol=5).dump(Ranged())
    path = [20, "tests.store.formats.test_pickles:Node"]
    with pytest.raises(CodecError, match="parts of 31"):
        decoded(packed([3, path, [20]], file.getvalue()), (Node,))


def test_corrupt_pickles_raise_nothing_but_codec_errors() -> None:
    data = payload([Node(np.arange(3)), Box(Kind.ONE)], pickle=(Node, Kind))
    chance = random.Random(1)  # noqa: S311 - repeatable
    for _ in range(1000):
        try:
            decoded(mutated(data, chance), (Node, Kind))
        except CodecError:
            continue


def test_a_file_in_a_pickled_value_is_stored_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("kept")
    store = Store(tmp_path / "store", pickle=[Node])
    store.put(32 * "a", [Node(1), File(str(path))])
    path.unlink()
    store.get(32 * "a")
    assert path.read_text() == "kept"
