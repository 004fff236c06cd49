"""A program gives its types formats in two functions; they come back by these, or are refused."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreWarning, register_format, storable
from pipeline.store import CodecError, UnstorableError, encoded
from pipeline.store.entry import UnreadableError
from pipeline.store.formats import registered
from pipeline.store.formats.codec import decoded
from tests.command import process
from tests.fuzz import back, payload
from tests.names import shown


class Track:
    """A value with an array, a table, a list and other values."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Longer(Track):
    pass


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


def dump(track: Track) -> Any:
    return {"parts": track.parts}


def load(tree: Any) -> Track:
    return Track(*tree["parts"])


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formats of these tests, and of no others."""
    monkeypatch.setattr(registered, "_registered", {})
    register_format(Track, dump, load)


def test_a_value_comes_back_by_its_two_functions() -> None:
    table, inner = pd.DataFrame({"a": [1, 2]}), Track(1)
    made = back([Track(np.arange(3), table, b"raw", memoryview(b"ab"), (None, 1.5), inner)])[0]
    assert type(made) is Track
    assert made.parts[0].tolist() == [0, 1, 2]
    assert made.parts[1].equals(table)
    assert [bytes(made.parts[2]), bytes(made.parts[3]), made.parts[4]] == [
        b"raw",
        b"ab",
        (None, 1.5),
    ]
    assert made.parts[5].parts == (1,)


def test_objects_that_are_in_a_value_twice_come_back_as_one() -> None:
    array, names = np.arange(3), ["a"]
    track = Track(array, names)
    value = [track, array, {"names": names, "track": track}]
    made = back(value)
    assert made[0] is made[2]["track"]
    assert made[0].parts[0] is made[1]
    assert made[0].parts[1] is made[2]["names"]


def test_objects_that_a_dump_makes_are_not_mistaken_for_each_other() -> None:
    """Python gives the address of an object that is gone to the next one."""
    register_format(Celsius, lambda value: [[value.degrees]], lambda tree: Celsius(tree[0][0]))
    made = back([Celsius(degrees) for degrees in range(200)])
    assert [value.degrees for value in made] == [*range(200)]


def test_a_subclass_has_no_format_by_that_of_its_base() -> None:
    with pytest.raises(UnstorableError, match=r"call register_format\(Longer, dump, load\)"):
        encoded(Longer(1))
    register_format(Longer, dump, lambda tree: Longer(*tree["parts"]))
    assert type(back(Longer(1))) is Longer
    assert type(back(Track(1))) is Track


def test_the_newest_registration_counts() -> None:
    old = payload(Track(1))
    register_format(Track, lambda track: [*track.parts], lambda tree: Track(*tree, "new"))
    assert back(Track(1)).parts == (1, "new")
    register_format(Track, dump, lambda tree: Track(*tree["other"]))
    with pytest.raises(UnreadableError, match=r"the load of .*Track raised KeyError"):
        decoded(old)


def test_a_type_may_be_named_before_its_module_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    register_format("made_later:Outer.Inner", lambda value: value.x, lambda x: build(x))
    assert "made_later" not in sys.modules
    assert back(Track(1)).parts == (1,)
    module: Any = types.ModuleType("made_later")
    inner = type("Inner", (), {"__module__": "made_later.private"})
    module.Outer = type("Outer", (), {"Inner": inner})
    monkeypatch.setitem(sys.modules, "made_later", module)

    def build(x: Any) -> Any:
        made = inner()
        made.x = x
        return made

    made = back(build([1]))
    assert (type(made), made.x) == (inner, [1])


def test_a_format_of_the_program_counts_before_that_of_a_library() -> None:
    from collections import OrderedDict

    before = payload(OrderedDict(a=1))
    register_format(OrderedDict, lambda value: [*value], lambda keys: OrderedDict.fromkeys(keys, 0))
    assert back(OrderedDict(a=1)) == {"a": 0}
    assert decoded(before) == {"a": 1}  # by the format that wrote it


def test_a_format_counts_before_the_mark_of_a_storable_class() -> None:
    class Pair(tuple):  # type: ignore[type-arg]
        _fields = ("a",)
        __slots__ = ()

    storable(Pair)
    register_format(Pair, lambda pair: [*pair, "by functions"], lambda tree: Pair(tree))
    assert back(Pair([1])) == (1, "by functions")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((3, dump, load), "cannot register a format of 3: give a class"),
        (("Track", dump, load), "module:QualName"),
        ((Track, None, load), "two functions"),
        ((Track, dump, "load"), "two functions"),
        ((list, dump, load), "a format of builtins:list: it has one"),
        ((np.ndarray, dump, load), "it has one"),
        (("pandas:DataFrame", dump, load), "it has one"),
    ],
    ids=shown,
)
def test_what_cannot_be_registered_is_an_error(arguments: Any, why: str) -> None:
    with pytest.raises(UnstorableError, match=why):
        register_format(*arguments)


def fail(_: Any) -> Any:
    raise KeyError("of mine")


def test_an_error_of_a_dump_names_the_type_and_the_cause() -> None:
    register_format(Celsius, fail, Celsius)
    with pytest.raises(UnstorableError, match=r"a Celsius: the dump of .*Celsius raised KeyError"):
        encoded([Celsius(1)])
    register_format(Celsius, lambda value: [len], Celsius)
    with pytest.raises(UnstorableError, match="a builtin_function_or_method: no format"):
        encoded(Celsius(1))
    register_format(Celsius, lambda value: value, Celsius)
    with pytest.raises(UnstorableError, match="contains itself"):
        encoded(Celsius(1))


def test_a_dump_that_lacks_a_library_names_it() -> None:
    def dump(_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'skops'", name="skops")

    register_format(Celsius, dump, Celsius)
    with pytest.raises(UnstorableError, match="a Celsius: No module named 'skops'; pip install"):
        encoded(Celsius(1))


def test_an_error_of_a_load_names_the_type_and_the_cause() -> None:
    for wrong, why in ((fail, "raised KeyError: 'of mine'"), (lambda _: 3, "returned an int")):
        register_format(Celsius, lambda value: value.degrees, wrong)
        with pytest.raises(UnreadableError, match=f"the load of .*Celsius {why}"):
            back(Celsius(1))


def test_an_entry_of_a_type_without_a_format_here_names_the_remedy(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(32 * "a", Track(1))
    registered._registered.clear()
    why = r"import what calls register_format\(Track, dump, load\)"
    with pytest.warns(StoreWarning, match=why), pytest.raises(KeyError):
        store.get(32 * "a")
    register_format(Track, dump, load)
    assert Store(tmp_path).get(32 * "a").parts == (1,)


@pytest.mark.parametrize("tree", [[60], [60, 1, 2], [60, [20], 2], [60, "a:B", 1, 2], [60, "a:B"]])
def test_other_trees_are_refused(tree: Any) -> None:
    from tests.fuzz import packed

    with pytest.raises(CodecError):
        decoded(packed(tree))


def test_results_of_a_registered_type_are_stored(tmp_path: Path) -> None:
    def track(x: int) -> Track:
        return Track(x, np.arange(x))

    store = Store(tmp_path)
    for hits in (0, 1):
        (value,) = pipeline.compute(delayed(track)(3), store=store, scheduler="sync")
        assert (type(value), value.parts[0]) == (Track, 3)
        assert store.done.hits == hits


SCRIPT = """
import dask, sys, warnings
from pipeline import Store, compute, register_format

class Track:
    def __init__(self, x):
        self.x = x

register_format(Track, lambda track: [track.x], lambda tree: Track(*tree))

def make(x):
    return Track(x)

def read(track):
    return track.x

if __name__ == "__main__":
    dask.config.set(num_workers=1)
    warnings.simplefilter("error")
    store = Store(sys.argv[1])
    task = dask.delayed(read)(dask.delayed(make)(3))
    for _ in range(2):
        assert compute(task, store=store, scheduler="processes") == (3,)
    made = compute(dask.delayed(make)(3), store=store, scheduler="processes")
    assert type(made[0]) is Track and store.counts.hits + store.done.hits
"""


@pytest.mark.slow
def test_workers_know_the_formats_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = process(str(script), str(tmp_path / "store"))
    assert (done.returncode, done.stderr) == (0, "")
