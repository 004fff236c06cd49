"""How tasks are observed: alike, if their functions are and nothing else in them counts."""

from __future__ import annotations

import functools
import operator
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask import delayed
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from pipeline import File, Store, StoreWarning, compute, pure
from pipeline.cache.task_digests import TaskDigests
from pipeline.cache.tracking import Watched, Watcher
from tests.projects import edited


def reader(*_: Any, **__: Any) -> str | None:
    return os.environ.get("HOME")


@pure
def declared(*_: Any) -> str | None:
    return os.environ.get("SHELL")


def watched(*args: Any, function: Any = operator.add) -> Watched:
    """How the second of two tasks is observed, after one of the same function."""
    tasks = {
        "x": DataNode("x", np.arange(3)), "path": DataNode("path", "/etc/hosts"),
        "one": Task("one", function, 1, TaskRef("x")), "two": Task("two", function, *args),
    }  # fmt: skip
    digests = TaskDigests(tasks)
    digests.add(["one", "two"])
    watcher = Watcher(Store("memory://watching"), digests)
    watcher(tasks["one"])
    return watcher(tasks["two"])


@pytest.mark.parametrize(
    "args",
    [
        (1, 2.5), (TaskRef("x"), (slice(0, 2), None)), (Alias("a", "x"), "text"),
        (List(TaskRef("x"), 1), np.arange(2)), (Task(None, operator.mul, 2, TaskRef("x")), list),
    ],
    ids=range(5),
)  # fmt: skip
def test_numbers_texts_and_arrays_do_not_count(args: Any) -> None:
    assert watched(*args) == Watched(holds_files=False)


@pytest.mark.parametrize("args", [("/etc/hosts",), (TaskRef("path"),), (("/etc/hosts", 1),)])
def test_absolute_paths_count(args: Any) -> None:
    assert watched(*args, function=print).given == ("/etc/hosts",)


def test_files_count() -> None:
    [(file, digest)] = watched([File("/etc/hosts")], function=len).files
    assert file.path == "/etc/hosts"
    assert digest


def test_functions_count_wherever_they_are() -> None:
    functions = Task(None, reader, 1), partial(reader, 2), reader, (1, (reader,))
    for argument in functions:
        assert watched(argument).variables == {"HOME"}
    assert watched(1, function=partial(reader, np.dtype("f4"), axis=(0,))).variables == {"HOME"}
    assert watched(1, declared).is_pure
    assert not watched(1, declared, reader).is_pure


CACHES = {
    "attribute of an object": """
class Settings:
    def __init__(self): self.found = None
    def get(self):
        if self.found is None: self._load()
        return self.found
    def _load(self): self.found = read()
SETTINGS = Settings()
def rate(): return SETTINGS.get()
""",
    "attribute of a class": """
class Settings:
    found = None
    @classmethod
    def get(cls):
        if cls.found is None: cls.found = read()
        return cls.found
def rate(): return Settings().get()
""",
    "dict of a class": """
class Settings:
    found = {}
    def get(self):
        if 1 not in self.found: self.found[1] = read()
        return self.found[1]
def rate(): return Settings().get()
""",
    "single object": """
class Settings:
    only = None
    def __new__(cls):
        if cls.only is None:
            cls.only = super().__new__(cls)
            cls.only.found = read()
        return cls.only
def rate(): return Settings().found
""",
    "cached property": """
class Settings:
    @functools.cached_property
    def found(self): return read()
SETTINGS = Settings()
def rate(): return SETTINGS.found
""",
    "unknown attribute": """
class Settings:
    def __getattr__(self, name):
        self.__dict__["found"] = read()
        return self.found
SETTINGS = Settings()
def rate(): return SETTINGS.found
""",
    "list": """
FOUND = []
def rate():
    if not FOUND: FOUND.append(read())
    return FOUND[0]
""",
    "attribute of a function": """
def rate():
    if not hasattr(rate, "found"): rate.found = read()
    return rate.found
""",
    "default argument": """
def rate(found={}):
    if not found: found.update(rate=read())
    return found["rate"]
""",
    "argument": """
FOUND = {}
def fill(found):
    if "rate" not in found: found["rate"] = read()
def rate():
    fill(FOUND)
    return FOUND["rate"]
""",
    "argument, two calls away": """
FOUND = []
def add(value, into): into.append(value)
def fill(found, value=None):
    if not found: add(read(), into=found)
def rate():
    fill(FOUND)
    return FOUND[0]
""",
    "object as an argument": """
class Settings: found = None
SETTINGS = Settings()
def fill(settings):
    if settings.found is None: settings.found = read()
def rate():
    fill(SETTINGS)
    return SETTINGS.found
""",
    "variable of a closure as an argument": """
def fill(found):
    if not found: found.append(read())
def make():
    found = []
    def rate():
        fill(found)
        return found[0]
    return rate
rate = make()
""",
    "returned argument": """
FOUND = {}
def filled(found):
    if not found: found.update(rate=read())
    return found
def rate(): return filled(FOUND)["rate"]
""",
    "method of another object": """
FOUND = {}
class Filler:
    def fill(self, found):
        if not found: found["rate"] = read()
FILLER = Filler()
def rate():
    FILLER.fill(FOUND)
    return FOUND["rate"]
""",
    "alias": """
FOUND = {}
def fill(found):
    if not found: found["rate"] = read()
def rate():
    mine = FOUND
    fill(mine)
    return mine["rate"]
""",
    "cached method": """
class Settings:
    @classmethod
    @functools.cache
    def get(cls): return read()
def rate(): return Settings.get()
""",
}
READING = """
import functools
def read():
    with open("rate.txt") as file: return int(file.read())
"""


@pytest.mark.parametrize("name", CACHES)
def test_what_fills_a_cache_counts_for_all_tasks_that_may_use_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = f"{READING}{CACHES[name]}\ndef scaled(x): return x * rate()\n"
    for number, rate in enumerate((2, 3)):
        (tmp_path / "rate.txt").write_text(str(rate))
        sources = {"keeping": source}
        with edited(tmp_path / str(number), monkeypatch, sources, "", "", "keeping") as module:
            tasks = [delayed(module.scaled)(x) for x in (1, 2, 3)]
            found = compute(*tasks, store=tmp_path / "store", scheduler="sync")
        assert found == (rate, 2 * rate, 3 * rate)


@functools.cache
def rate() -> int:
    with open("rate.txt") as file:
        return int(file.read())


def scaled(x: int) -> int:
    return x * rate()


def test_what_a_cache_had_before_the_run_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rate.txt").write_text("2")
    rate.cache_clear()
    rate()
    store = Store(tmp_path / "store")
    with pytest.warns(StoreWarning, match="call rate.cache_clear"):
        assert compute(delayed(scaled)(3), store=store, scheduler="sync") == (6,)
    rate.cache_clear()
    assert compute(delayed(scaled)(3), store=store, scheduler="sync") == (6,)
    assert store.explain(delayed(scaled)(3)).totals == "1 hit"


def late(x: int) -> int:
    found = scaled(x)
    time.sleep(0.5)
    return found


def test_a_task_that_still_runs_may_have_filled_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rate.txt").write_text("2")
    rate.cache_clear()
    store = Store(tmp_path / "store")
    remembered = store.memoize(scaled)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.memoize(late), 5)
        while not rate.cache_info().currsize:
            time.sleep(0.001)
        assert remembered(3) == 6
        assert not first.done()
        assert first.result() == 10
    (tmp_path / "rate.txt").write_text("30")
    assert not remembered.is_stored(3)


class Variables:
    @functools.cached_property
    def lazy(self) -> str:
        return os.environ["SHELL"]

    @functools.lru_cache  # noqa: B019 - a user may
    def cached(self) -> str:
        return os.environ["SHELL"]

    def __getitem__(self, _: int) -> str:
        return os.environ["SHELL"]


VARIABLES = Variables()


@pytest.mark.parametrize(
    "function",
    [lambda: VARIABLES.lazy, lambda: VARIABLES.cached(), lambda: VARIABLES[0],
     lambda: Variables().lazy],
    ids=range(4),
)  # fmt: skip
def test_members_of_all_kinds_count(function: Any) -> None:
    assert watched(function=function).variables == {"SHELL"}


@pytest.mark.parametrize(
    "function", [lambda x: x.lazy, lambda x: x.cached(), lambda x: x[0], str], ids=range(4)
)
def test_methods_of_an_object_that_is_an_argument_count(function: Any) -> None:
    assert watched(Variables(), function=function).variables == {"SHELL"}


def test_a_method_that_is_not_named_does_not_count() -> None:
    class Named:
        def read(self) -> str:
            return os.environ["SHELL"]

    assert watched(Named(), function=lambda x: x).variables == frozenset()
