"""After an edit exactly the tasks that depend on it run; undone, none do."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask.task_spec import Alias, DataNode, Task, TaskRef

import pipeline
from pipeline import GraphError, Store, measure, recurrence, task
from pipeline.cache.plan import make_plan
from pipeline.cache.replacing import tasks_to_run
from tests.projects import edited

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEATURES = '''
"""Features."""
import math

RATE = 2.0
LIMITS = {"low": [0, 1]}


def scale(x):
    """Scale it."""
    return inner(x) * RATE


def inner(x):
    return x + 1


def twice(function):
    def wrapped(*args):
        return 2 * function(*args)
    return wrapped


class Model:
    slope = 3

    def predict(self, x):
        return self.slope * x


def unrelated(x):
    return x
'''
MAIN = """
from dask import delayed
from pipeline import File

import features
from features import LIMITS, Model, scale, twice


def load(path):
    with open(path) as lines:
        return [float(each) for each in lines]


def clean(rows):
    return [scale(each) for each in rows if each > LIMITS["low"][0]]


def make(offset):
    def fit(rows, rate):
        return sum(rows) * rate + offset
    return fit


fit = make(5)


def summary(rows, power=2, *, digits=3):
    return round(sum(rows) ** power, digits)


@twice
def doubled(x):
    return x + 1


def predict(x, weights=(1, 2)):
    return Model().predict(x) + sum(weights)


def report(*parts):
    return list(parts)


def build(path):
    rows = delayed(load)(File(path))
    fitted = delayed(fit)(delayed(clean)(rows), 0.1)
    return delayed(report)(
        delayed(predict)(fitted), delayed(summary)(rows), delayed(doubled)(4)
    )
"""
ALL = {"load", "clean", "fit", "predict", "summary", "wrapped", "report"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, set[str]]]:
    """Runs a project, edited, with a store, and gives its result and the names of what ran."""
    store = Store(tmp_path / "cache", keep=ALL, durable=False)
    places = itertools.count()
    sources = {"features": FEATURES, "main": MAIN}

    def ran(old: str = "", new: str = "", rows: str = "1\n2\n3\n", path: str = "rows.txt") -> Any:
        folder = tmp_path / str(next(places))
        with edited(folder, monkeypatch, sources, old, new) as main, measure() as measured:
            (folder / path).write_text(rows)
            built = main.build(str(folder / path))
            (value,) = pipeline.compute(built, store=store, scheduler="sync")
        return value, set(measured.functions)

    return ran


DOWN = {"clean", "fit", "predict", "report"}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"old": "if each >", "new": "if each >="}, DOWN),
        ({"old": "inner(x) * RATE", "new": "inner(x) / RATE"}, DOWN),
        ({"old": "return x + 1\n\n\ndef twice", "new": "return x + 2\n\n\ndef twice"}, DOWN),
        ({"old": "RATE = 2.0", "new": "RATE = 2.5"}, DOWN),
        ({"old": '"low": [0, 1]', "new": '"low": [1, 1]'}, DOWN),
        ({"old": "make(5)", "new": "make(6)"}, {"fit", "predict", "report"}),
        ({"old": "* rate + offset", "new": "* rate - offset"}, {"fit", "predict", "report"}),
        ({"old": "(rows), 0.1)", "new": "(rows), 0.2)"}, {"fit", "predict", "report"}),
        ({"old": "slope = 3", "new": "slope = 4"}, {"predict", "report"}),
        ({"old": "self.slope * x", "new": "self.slope + x"}, {"predict", "report"}),
        ({"old": "weights=(1, 2)", "new": "weights=(2, 2)"}, {"predict", "report"}),
        ({"old": "power=2", "new": "power=3"}, {"summary", "report"}),
        ({"old": "digits=3", "new": "digits=2"}, {"summary", "report"}),
        ({"old": "2 * function", "new": "3 * function"}, {"wrapped", "report"}),
        ({"old": "return x + 1\n\n\ndef predict", "new": "return x\n\n\ndef predict"},
         {"wrapped", "report"}),
        ({"old": 'delayed(doubled)(4)', "new": 'delayed(doubled)(5)'}, {"wrapped", "report"}),
        ({"old": "return list(parts)", "new": "return list(parts)[::-1]"}, {"report"}),
        ({"rows": "1\n2\n4\n"}, {*DOWN, "load", "summary"}),
        ({"path": "moved.txt"}, set()),
        ({"old": '"""Scale it."""', "new": '"""Scale it, in other words."""'}, set()),
        ({"old": "def unrelated(x):\n    return x", "new": "def unrelated(x):\n    return -x"},
         set()),
        ({"old": "import math\n", "new": "import math  # for later\n\n\n"}, set()),
        ({"old": "def report(*parts):\n", "new": "def report(\n    *parts\n):\n"}, set()),
    ],
)  # fmt: skip
def test_an_edit_runs_what_depends_on_it(
    project: Callable[..., tuple[Any, set[str]]], edit: dict[str, str], expected: set[str]
) -> None:
    before, ran = project()
    assert ran == ALL
    assert project(**edit)[1] == expected
    assert project() == (before, set())  # undone: the old results are there
    assert project(**edit)[1] == set()


RATE = 1.5


@task
def step(before: float, rate: float) -> float:
    return before * rate + 1


@recurrence
def state(t: int) -> Any:
    return 0.0 if t == 0 else step(state(t - 1), RATE)


def stepped(store: Store, t: int) -> tuple[float, int]:
    with measure() as measured:
        (value,) = pipeline.compute(state(t), store=store, scheduler="sync")
    return value, sum(run.key[0].startswith("step") for run in measured.runs)


def test_a_longer_run_continues_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, keep=[step])
    assert stepped(store, 5)[1] == 5
    assert stepped(store, 8)[1] == 3
    assert stepped(store, 8) == (state(8).compute(), 0)
    monkeypatch.setitem(globals(), "RATE", 1.25)
    assert stepped(store, 5)[1] == 5


def plan(store: Store, tasks: dict[Any, Any], *outputs: Any, **options: Any) -> Any:
    return make_plan(store, tasks, outputs, **options).status


CHAIN = {
    "a": Task("a", abs, -1),
    "b": Task("b", divmod, TaskRef("a"), 3),
    "c": Task("c", sum, TaskRef("b")),
}


def test_a_plan_says_what_happens_to_each_task(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make_plan(store, CHAIN, ["c"])
    assert made.status == dict.fromkeys("abc", "miss")
    store.put(made.digests.digest("b") or "", (0, 1))
    assert plan(store, CHAIN, "c") == {"a": "culled", "b": "hit", "c": "miss"}
    assert plan(store, CHAIN, "c", is_loading=False) == dict.fromkeys("abc", "miss")
    assert list(make_plan(store, CHAIN, ["c"]).found) == ["b"]


def test_a_corrupt_entry_is_a_miss(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = make_plan(store, CHAIN, ["c"]).digests.digest("c") or ""
    store.put(digest, 1)
    [path] = tmp_path.glob("entries/*/*")
    path.write_bytes(path.read_bytes()[:-1])
    assert plan(store, CHAIN, "c")["c"] == "miss"
    with pytest.warns(pipeline.StoreWarning, match="corrupt"):
        store.failures.emit_warnings()
    assert digest not in store


def test_constants_and_aliases_have_no_status(tmp_path: Path) -> None:
    tasks = {"d": DataNode("d", 3), "x": Task("x", abs, TaskRef("d")), "y": Alias("y", "x")}
    store = Store(tmp_path)
    made = make_plan(store, tasks, ["y"])
    assert made.status == {"x": "miss"}
    store.put(made.digests.digest("x") or "", 3)
    assert plan(store, tasks, "y") == {"x": "hit"}


def test_skipped_tasks_have_reasons(tmp_path: Path) -> None:
    import random

    tasks = {
        "r": Task("r", random.random),
        "x": Task("x", abs, TaskRef("r")),
        "s": Task("s", abs, -1),
        "o": Task("o", max, TaskRef("x"), TaskRef("s"), TaskRef("held")),
    }
    made = make_plan(Store(tmp_path, skip=["abs"]), tasks, ["o"])
    assert made.status == dict.fromkeys("rxso", "skipped")
    assert made.reasons == {
        "r": "impure: random.Random.random: it is random; "
        "declare the function @pure to reuse its result",
        "x": "it depends on r, which is not stored",
        "s": "it is one of skip=",
        "o": "it depends on x, which is not stored",
    }


def test_a_cycle_is_an_error(tmp_path: Path) -> None:
    tasks = {"a": Task("a", abs, TaskRef("b")), "b": Task("b", abs, TaskRef("a"))}
    with pytest.raises(GraphError, match="cycle"):
        make_plan(Store(tmp_path), tasks, ["a"])


def test_a_trivial_task_costs_no_file_and_a_long_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.store.costs.Costs.of", lambda *_: 0.005
    )  # on a busy machine it may be any

    @pipeline.pure
    def long(x: float) -> float:
        time.sleep(0.1)
        return x

    parts = [delayed(long)(x) for x in (1.0, 2.0)] + [delayed(abs)(-x) for x in range(20)]
    store = Store(tmp_path)
    pipeline.compute(delayed(sum)(parts), store=store, scheduler="sync")
    assert sorted(entry.function for entry in store.entries()) == ["long", "long", "sum"]
    [total] = [entry for entry in store.entries() if entry.function == "sum"]
    [long_, _] = [entry for entry in store.entries() if entry.function == "long"]
    assert long_.seconds > 0.1 > long_.loading > 0
    assert total.behind > 0.2 > total.seconds


def test_keep_and_skip_overrule_the_cost(tmp_path: Path) -> None:
    def quick(x: int) -> int:
        return x

    graph = delayed(sum)([delayed(quick)(1), delayed(quick)(2)])
    for options, expected in (
        ({"keep": [quick]}, ["quick", "quick", "sum"]),
        ({"keep": "quick"}, ["quick", "quick", "sum"]),
        ({"keep": quick, "skip": sum}, ["quick", "quick"]),
        ({}, ["sum"]),
    ):
        store = Store(tmp_path / str(options), **options)
        pipeline.compute(graph, store=store, scheduler="sync")
        assert sorted(entry.function for entry in store.entries()) == expected


def test_only_the_remaining_tasks_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make_plan(store, CHAIN, ["c"])
    store.put(made.digests.digest("b") or "", (0, 1))
    assert list(tasks_to_run(make_plan(store, CHAIN, ["c"]), ["c"])) == ["b", "c"]


def test_each_task_of_an_array_has_its_own_result(tmp_path: Path) -> None:
    """Dask would fuse the two into one, and an edit of the second would run the first."""

    def first(block: Any) -> Any:
        return block + 1

    def second(block: Any) -> Any:
        return block * 2

    def other(block: Any) -> Any:
        return block * 3

    def ran(last: Any) -> list[str]:
        x = da.from_array(np.arange(8), chunks=4)
        x = x.map_blocks(first, dtype=x.dtype).map_blocks(last, dtype=x.dtype)
        with measure() as measured:
            pipeline.compute(x, store=store, scheduler="sync", fuse=False)
        return sorted(measured.functions)

    store = Store(tmp_path, keep=[first, second, other])
    assert {"first", "second"} <= set(ran(second))
    assert "first" not in ran(other)
