"""Before a run: what would happen to each task, and why."""

from __future__ import annotations

import itertools
import pickle
import random
import sys
import threading
import time
from collections import Counter
from types import FunctionType
from typing import TYPE_CHECKING, Any, get_args

import dask
import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, measure
from pipeline.apps.fibonacci import fib
from pipeline.cache import Explanation
from pipeline.identity import Versions
from tests.programs.through import Outcome, through
from tests.projects import edited, installed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAIN = """
from dask import delayed

from features import scale

RATE = 0.5


class Model:
    slope = 3


def load(name, rows=2):
    return [float(len(name))] * rows


def make(offset):
    def clean(rows):
        return [scale(each) * RATE + Model.slope + offset for each in rows]
    return clean


clean = make(1)


def fit(rows, rate):
    return sum(rows) * rate


def build(name="abc", rate=0.1):
    return delayed(fit)(delayed(clean)(delayed(load)(name)), rate)
"""
FEATURES = "def scale(x):\n    return 2 * x\n"


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, dict[str, str]]]:
    """A collection of a project, edited, and why each of its functions is a miss."""
    places = itertools.count()
    sources = {"features": FEATURES, "main": MAIN}

    def built(store: Store, old: str = "", new: str = "", **options: Any) -> Any:
        with edited(tmp_path / str(next(places)), monkeypatch, sources, old, new) as main:
            collection = main.build(**options)
            explanation = store.explain(collection)
        why = {line.function: line.why for line in explanation.lines if line.status == "miss"}
        return collection, why

    return built


KEEP = ["load", "clean", "fit"]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"old": "2 * x", "new": "3 * x"}, {"clean": "helper `scale` in features.py changed"}),
        ({"old": "RATE = 0.5", "new": "RATE = 0.25"},
         {"clean": "global `RATE` was 0.5, is 0.25"}),
        ({"old": "make(1)", "new": "make(2)"}, {"clean": "closure value `offset` was 1, is 2"}),
        ({"old": "slope = 3", "new": "slope = 4"},
         {"clean": "`slope` of class `Model` in main.py was 3, is 4"}),
        ({"old": "class Model:", "new": "class Model(dict):"},
         {"clean": "the bases of class `Model` in main.py changed"}),
        ({"old": "sum(rows) * rate", "new": "sum(rows) / rate"}, {"fit": "its code changed"}),
        ({"old": "rows=2", "new": "rows=3"}, {"load": "its defaults changed"}),
        ({"rate": 0.2}, {"fit": "argument 2 was 0.1, is 0.2"}),
        ({"name": "abcd"}, {"load": "argument 1 was 'abc', is 'abcd'"}),
    ],
)  # fmt: skip
def test_a_miss_is_explained_by_the_nearest_result(
    project: Any, tmp_path: Path, edit: dict[str, Any], expected: dict[str, str]
) -> None:
    store = Store(tmp_path / "cache", keep=KEEP, durable=False)
    collection, why = project(store)
    assert why == dict.fromkeys(KEEP, "never computed")
    pipeline.compute(collection, store=store, scheduler="sync")
    assert project(store)[1] == {}
    why = project(store, **edit)[1]
    later = KEEP[KEEP.index(next(iter(expected))) + 1 :]
    assert why == {**expected, **{name: why[name] for name in later}}
    assert all(why[name].startswith("its input ") or "argument 1" in why[name] for name in later)


def explained(store: Store, *collections: Any) -> dict[str, tuple[str, str]]:
    return {line.call: (line.status, line.why) for line in store.explain(*collections).lines}


def slow(x: int) -> int:
    return x + 1


def locked() -> Any:
    return threading.Lock()


def test_each_status_has_its_reason(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[slow], skip=["skipped"])

    def skipped(x: int) -> int:
        return x

    lock = delayed(locked)()
    parts = [delayed(slow)(1), delayed(skipped)(1), delayed(random.random)(), delayed(time.time)()]
    reasons = explained(store, lock, *parts)
    assert reasons["slow(1)"] == ("miss", "never computed")
    assert reasons["skipped(1)"] == ("skipped", "it is one of skip=")
    remedy = "declare the function @pure to reuse its result"
    assert reasons["random"] == ("skipped", f"impure: random.Random.random: it is random; {remedy}")
    assert reasons["time"] == ("skipped", f"impure: time.time: it reads the time of day; {remedy}")
    with pytest.warns(pipeline.StoreWarning, match="lock"):
        pipeline.compute(lock, store=store, scheduler="sync")
    assert explained(store, lock)["locked"] == ("miss", "not storable: a lock")
    with pytest.warns(
        pipeline.StoreWarning, match=r"not stored: random: .*; time: .*the time of day"
    ):
        pipeline.compute(*parts, store=store, scheduler="sync")
    assert explained(store, *parts)["slow(1)"][0] == "hit"
    [digest] = [entry.digest for entry in store.entries() if entry.function == "slow"]
    store.remove(digest)
    assert explained(store, *parts)["slow(1)"] == ("miss", "evicted")


def test_explaining_computes_nothing_and_inputs_of_hits_are_culled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with measure() as measured:
        first = store.explain(fib(20))
    assert measured.tasks == 0
    assert (first.count("miss"), first.count("skipped")) == (1, 20)
    fib(20)
    pipeline.compute(fib(20), store=store, scheduler="sync")
    second = store.explain(fib(20))
    assert (second.count("hit"), second.count("culled")) == (1, 20)
    assert set(second.statuses) == set(fib(20).graph().tasks)
    assert sorted(second.statuses.values()) == ["culled"] * 20 + ["hit"]


def test_tasks_of_one_status_share_a_row(tmp_path: Path) -> None:
    parts = delayed(sum)([delayed(slow)(x) for x in range(5)])
    store = Store(tmp_path, keep=[slow])
    assert str(store.explain(parts)).splitlines() == [
        "miss  5 of slow  never computed",
        "miss  sum(…)     never computed",
        "6 miss",
    ]
    pipeline.compute(parts, store=store, scheduler="sync")
    [hit, culled, total] = str(store.explain(parts)).splitlines()
    assert culled == "culled  5 of slow  no consumer runs"
    assert hit.startswith("hit     sum(…)")
    assert "bytes, took" in hit
    assert total == "1 hit, 5 culled"


def test_without_collections_there_are_no_tasks(tmp_path: Path) -> None:
    assert str(Store(tmp_path).explain(3)) == "no tasks"
    assert Store(tmp_path).explain() == Explanation([])


# Versions of libraries


def norm_of(n: int) -> float:
    return float(np.linalg.norm(np.arange(n)))


def new_function() -> Callable[[int], float]:
    """As another process defines it: what is read of a function is kept."""
    return FunctionType(norm_of.__code__, globals())


@pytest.mark.parametrize(
    ("versions", "patch_reason", "minor_reason"),
    [
        ("minor", "", "library numpy was 2.4, is 2.5"),
        ("exact", "library numpy was 2.4.0, is 2.4.1", "library numpy was 2.4.0, is 2.5.0"),
        ("ignore", "", ""),
    ],
)
def test_versions_of_libraries_count_as_chosen(
    versions: Versions, patch_reason: str, minor_reason: str, tmp_path: Path
) -> None:
    def outcome(version: str, number: int) -> Outcome:
        with installed(version):
            return through(tmp_path, delayed(new_function())(number), versions=versions)

    def reason(version: str) -> str:
        with installed(version):
            [line] = Store(tmp_path, versions=versions).explain(delayed(new_function())(4)).lines
        return "" if line.status == "hit" else line.why.rpartition("; ")[2]

    assert outcome("2.4.0", 4).tasks == 1
    assert [reason(version) for version in ("2.4.0", "2.4.1", "2.5.0")] == [
        "", patch_reason, minor_reason,
    ]  # fmt: skip
    assert outcome("2.4.1", 4).tasks == (1 if patch_reason else 0)
    assert outcome("2.5.0", 4).tasks == (1 if minor_reason else 0)


def test_stores_with_other_choices_of_versions_work_in_one_process(tmp_path: Path) -> None:
    call = delayed(norm_of)(5)
    for expected in (1, 0):
        for versions in get_args(Versions):
            with installed("2.4.0"):
                assert through(tmp_path, call, versions=versions).tasks == expected


def test_a_choice_of_versions_reaches_the_workers(tmp_path: Path, pool: Any) -> None:
    call, wrapped = delayed(norm_of)(6), delayed(abs)(delayed(norm_of)(6))
    options: dict[str, Any] = {"versions": "exact", "keep": ["norm_of", "abs"]}
    with dask.config.set(pool=pool):
        assert through(tmp_path, wrapped, scheduler="processes", **options).tasks == 2
        assert through(tmp_path, call, scheduler="processes", **options).tasks == 0
    assert through(tmp_path, wrapped, **options).tasks == 0
    assert pickle.loads(pickle.dumps(Store(tmp_path, versions="exact"))).versions == "exact"  # noqa: S301 - it is our own


# The nearest of several results

VERSIONS = """
from dask import delayed

RATE = 1


def load(n):
    return [n] * 3


def scale(rows, factor):
    return [row * factor * RATE for row in rows]


def build(factor=1):
    return delayed(scale)(delayed(load)(3), factor)
"""


@pytest.mark.parametrize(
    ("later", "edit", "expected"),
    [
        (("row * factor", "row / factor"), ("RATE = 1", "RATE = 2"), "global `RATE` was 1, is 2"),
        (("row * factor", "row / factor"), {"factor": 2}, "argument 2 was 1, is 2"),
        (("RATE = 1", "RATE = 5"), ("row * factor", "row / factor"), "its code changed"),
        (("[n] * 3", "[n] * 4"), {"factor": 2}, "argument 2 was 1, is 2"),
    ],
)
def test_a_miss_is_compared_with_the_nearest_of_several_results(
    later: tuple[str, str], edit: Any, expected: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = Store(tmp_path / "cache", keep=["load", "scale"], durable=False)
    places = itertools.count()

    def explained_after(
        old: str = "", new: str = "", *, runs: bool = True, **options: Any
    ) -> dict[str, str]:
        folder = tmp_path / str(next(places))
        with edited(folder, monkeypatch, {"main": VERSIONS}, old, new) as main:
            lines = store.explain(main.build(**options)).lines
            if runs:
                pipeline.compute(main.build(**options), store=store, scheduler="sync")
        return {line.function: line.why for line in lines if line.status == "miss"}

    explained_after()
    explained_after(*later)
    if isinstance(edit, dict):
        assert explained_after(runs=False, **edit) == {"scale": expected}
    else:
        assert explained_after(*edit, runs=False) == {"scale": expected}


def test_a_result_that_differs_in_one_argument_is_found_among_many(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[power], durable=False)
    calls = [(base, exponent, 0) for base in range(6) for exponent in range(6)]
    pipeline.compute([delayed(power)(*call) for call in calls], store=store, scheduler="sync")
    for base, exponent in ((0, 0), (3, 2), (5, 5)):
        [line] = store.explain(delayed(power)(base, exponent, 1)).lines
        assert line.why == "argument 3 was 0, is 1"
    [line] = store.explain(delayed(power)(2, 7, 1)).lines
    assert line.why.count("argument") == 2


def power(base: int, exponent: int, offset: int) -> Any:
    return base**exponent + offset


def test_explaining_compares_a_miss_with_few_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparisons of one miss are as many in a long history as in a short one."""
    module, compared = sys.modules["pipeline.cache.explaining.past"], Counter[int]()
    distance: Any = vars(module)["_distance"]

    def counted(*arguments: Any) -> Any:
        compared[number] += 1
        return distance(*arguments)

    monkeypatch.setattr(module, "_distance", counted)
    for number in (10, 100):
        store = Store(tmp_path / str(number), keep=[power], durable=False)
        calls = [delayed(power)(base, 1, 0) for base in range(number)]
        pipeline.compute(calls, store=store, scheduler="sync")
        assert store.explain(delayed(power)(3, 1, 1)).count("miss") == 1
    assert 0 < compared[100] <= compared[10] + 2


def test_an_explanation_fits_80_columns(tmp_path: Path) -> None:
    store, path = Store(tmp_path), "/data/" + "folder" * 20 + "/file.csv"
    names: dict[str, Any] = {}
    exec(f"def reads(x):\n    return open({path!r}, 'w').write(x)", names)  # noqa: S102
    text = str(store.explain(delayed(names["reads"])(path)))
    assert max(map(len, text.splitlines())) <= 80
