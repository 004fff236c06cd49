"""Explanations of dataframes, whose tasks are Dask's and hold the program's functions."""

from __future__ import annotations

import itertools
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import pandas as pd
import pytest
from dask import delayed

import pipeline
from pipeline import Store
from tests.projects import edited

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.cache import Explanation

FEATURES = """
def scale(x):
    return x * 2


def add(df):
    return df.assign(z=scale(df.x))
"""
MAIN = """
from functools import partial

import dask.dataframe as dd
from dask import delayed

import features


def frame():
    return dd.read_parquet("data").map_partitions(features.add)


def both():
    return [frame().groupby("k").z.sum(), frame().z.mean()]


def apply(functions, x):
    for function in functions["all"]:
        x = function(x)
    return x


def with_partial():
    return [delayed(apply)({"all": [partial(features.scale)]}, delayed(abs)(-3))]
"""
SOURCES = {"features": FEATURES, "main": MAIN}
EDIT = ("x * 2", "x * 3")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for number in range(3):
        write(number)
    return tmp_path


@pytest.fixture
def store() -> Store:
    return Store("cache", durable=False)


def write(number: int, kind: str = "parquet", size: int = 4) -> None:
    frame = pd.DataFrame({"k": [1, 2] * size, "x": range(number, number + 2 * size)})
    write_to: dict[str, Callable[[str], Any]] = {
        "parquet": frame.to_parquet, "csv": partial(frame.to_csv, index=False),
    }  # fmt: skip
    write_to[kind](f"data/{number}.{kind}")


def compute(store: Store, collections: Any) -> None:
    pipeline.compute(collections, store=store, scheduler="sync")


@pytest.fixture
def rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Explanation]:
    """Explains what a function of the project builds, after an edit; and computes it, or not."""
    places = itertools.count()

    def explained(store: Store, name: str, *edit: str, runs: bool = False) -> Explanation:
        place = tmp_path / f"project{next(places)}"
        with edited(place, monkeypatch, SOURCES, *(edit or ("", ""))) as main:
            collections = vars(main)[name]()
            explanation = store.explain(*collections)
            if runs:
                compute(store, collections)
        return explanation

    return explained


def is_plain(explanation: Explanation) -> bool:
    """Whether a text fits its columns, and shows nothing that only Dask knows."""
    text = str(explanation)
    hidden = ("<Task", "_identity_cast", "Alias(", "TaskRef", "_meta", "argument _", "('")
    return max(map(len, text.splitlines())) <= 80 and not any(part in text for part in hidden)


def test_the_summary_names_a_helper_inside_an_argument(store: Store, rebuilt: Any) -> None:
    rebuilt(store, "both", runs=True)
    explanation = rebuilt(store, "both", *EDIT)
    [summary] = explanation.summary()
    assert summary == "helper `scale` in features.py changed → 22 tasks recomputed"
    assert str(explanation).startswith(f"{summary}\n\n")
    assert is_plain(explanation)
    reasons = {line.function: line.kind for line in explanation.lines if line.status == "miss"}
    assert reasons["add"] == "helper `scale` in features.py changed"
    assert reasons["sum-tree"] == "its inputs of `chunk` changed"
    assert "is" not in " ".join(reasons.values()).split()  # nothing "was x, is y"


def test_tasks_of_one_name_are_told_apart(store: Store, rebuilt: Any) -> None:
    rebuilt(store, "both", runs=True)
    tasks = [task for _, task, _ in rebuilt(store, "both", *EDIT).table()]
    assert len(set(tasks)) == len(tasks)
    assert sum(task.startswith("3 of chunk-") for task in tasks) == 3
    assert "3 of add" in tasks


def test_functions_in_containers_and_partials_are_named(store: Store, rebuilt: Any) -> None:
    rebuilt(store, "with_partial", runs=True)
    lines = rebuilt(store, "with_partial", *EDIT).lines
    reasons = {line.function: line.why for line in lines if line.status == "miss"}
    assert reasons["apply"] == "helper `scale` in features.py changed"


def test_a_warm_run_is_explained_in_few_rows(store: Store, rebuilt: Any) -> None:
    rebuilt(store, "both", runs=True)
    explanation = rebuilt(store, "both")
    assert [row[0] for row in explanation.table()] == ["hit", "hit", "culled"]
    assert explanation.table()[-1][1:] == ("23 tasks", "no consumer runs")
    assert len(explanation.rows()) > 8
    assert explanation.summary() == []


def test_a_function_of_a_library_is_not_compared_with_another_one(store: Store) -> None:
    frame = dd.read_parquet("data").map_partitions(pd.DataFrame.abs)
    compute(store, frame.groupby("k").x.sum())
    lines = store.explain(frame.x.mean(), frame.x.max()).lines
    assert {line.why for line in lines if line.status == "miss"} <= {
        "never computed", "never stored: new, or quick to compute",
    }  # fmt: skip


READERS: dict[str, Callable[[], Any]] = {
    "parquet": lambda: dd.read_parquet("data/*.parquet"),
    "csv": lambda: dd.read_csv("data/*.csv"),
}


@pytest.mark.parametrize("kind", READERS)
def test_files_that_are_new_changed_or_gone_are_named(store: Store, kind: str) -> None:
    def summed() -> Any:
        return READERS[kind]().groupby("k").x.sum()

    def causes() -> list[str]:
        explanation = store.explain(summed())
        assert is_plain(explanation)
        return list(explanation.causes)

    for number in range(3):
        write(number, kind)
    compute(store, summed())
    assert causes() == []
    write(1, kind, size=5)
    assert causes() == [f"data/1.{kind} changed"]
    write(3, kind)
    assert causes() == [f"data/1.{kind} changed", f"data/3.{kind} is new"]
    os.remove(f"data/3.{kind}")
    write(1, kind)
    os.remove(f"data/2.{kind}")
    assert causes() == ["sum-tree: it has 2 inputs, had 3"]


def test_a_block_is_compared_with_the_block_at_its_place(store: Store, rebuilt: Any) -> None:
    rebuilt(store, "both", runs=True)
    for line in rebuilt(store, "both", *EDIT).lines:
        if line.status == "miss" and line.why.startswith("its input ") and "(" in line.call:
            assert line.why.partition("(")[2][:2] == line.call.partition("(")[2][:2]


def test_what_a_reader_of_a_library_is_set_to_is_named(store: Store) -> None:
    for columns, causes in (
        (["k", "x"], []),
        (["x"], ["read_parquet: its `columns` was ['k', 'x'], is ['x']"]),
    ):
        frame = dd.read_parquet("data", columns=columns)
        assert list(store.explain(frame).causes) == causes
        compute(store, frame)


def test_a_long_path_is_shown_by_its_end(tmp_path: Path, store: Store) -> None:
    place = tmp_path.parent / f"{tmp_path.name}-{'data' * 12}" / ("folder" * 8)
    place.mkdir(parents=True)

    def length(name: str) -> int:
        with open(place / name) as file:
            return len(file.read())

    (place / "x.csv").write_text("a")
    compute(store, delayed(length)("x.csv"))
    (place / "x.csv").write_text("ab")
    text = str(store.explain(delayed(length)("x.csv")))
    line = text.splitlines()[0]
    assert line.startswith("miss  length('x.csv')  …")
    assert line.endswith("folder/x.csv changed")
    assert len(line) <= 80


def test_an_input_that_is_not_stored_is_named(store: Store) -> None:
    def fit(rows: list[int]) -> int:
        with open("log.txt", "w") as file:
            file.write(str(rows))
        return sum(rows)

    def score(model: int) -> int:
        return model + 1

    result = delayed(score)(delayed(fit)([1, 2]))
    with pytest.warns(pipeline.StoreWarning, match="fit: it wrote"):
        compute(store, result)
    explanation = store.explain(result)
    reasons = {line.function: line.why for line in explanation.lines}
    assert reasons["score"] == "its input fit([1, 2]) is not stored"
    assert explanation.causes == {"`fit` is not stored": 2}


def test_another_number_of_arguments_is_named(store: Store) -> None:
    def count(*rows: int) -> int:
        return len(rows)

    compute(store, delayed(count)(1, 2))
    [line] = store.explain(delayed(count)(1, 2, 3)).lines
    assert line.why == "it took 2 arguments, takes 3"


@pytest.mark.parametrize("kind", ["bag", "array"])
def test_helpers_of_bags_and_arrays_are_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    sources = {"features": FEATURES, "main": COLLECTIONS}
    with edited(tmp_path / "before", monkeypatch, sources, "", "") as main:
        compute(store, vars(main)[kind]())
    with edited(tmp_path / "after", monkeypatch, sources, *EDIT) as main:
        explanation = store.explain(vars(main)[kind]())
    reason = {
        "bag": "helper `scale` in features.py changed", "array": "scale: its code changed",
    }[kind]  # fmt: skip
    assert list(explanation.causes) == [reason]


COLLECTIONS = """
import dask.array as da
import dask.bag as db
import features


def odd(x):
    return x % 2


def bag():
    return db.from_sequence(range(9), npartitions=3).map(features.scale).filter(odd).sum()


def array():
    return da.ones((8, 8), chunks=4).map_blocks(features.scale).sum()
"""
