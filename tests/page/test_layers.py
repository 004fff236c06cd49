"""A large collection, layer by layer; and what is said of collections, counted."""

from __future__ import annotations

import random
import re
from typing import Any

import dask.array as da
import pytest
from dask import delayed

from pipeline import report, share_report
from pipeline.page import Table, scene
from pipeline.page.layers import LAYERED, layers_of


def large(size: int = 20) -> Any:
    x = da.ones((10 * size, 10 * size), chunks=10)
    return (x + x.T).sum()


def text_of(collection: Any) -> str:
    html = report(collection).render()
    return re.sub(r"<[^>]+>", " ", html[html.index("<main") : html.index("<footer")])


def test_layers_have_all_tasks_and_inputs_come_first() -> None:
    shared = share_report(large())
    found = layers_of(shared, {}, {})
    assert sum(layer.before for layer in found) == shared.before > LAYERED
    assert sum(layer.after for layer in found) == shared.after
    seen: set[str] = set()
    for layer in found:
        assert seen >= set(layer.inputs)
        seen.add(layer.name)
    assert {"ones_like", "transpose", "add", "sum", "sum-aggregate"} <= seen
    [add] = [layer for layer in found if layer.name == "add"]
    assert (add.before, add.after, {*add.inputs}) == (400, 1, {"ones_like", "transpose"})


def test_layers_that_take_each_others_values_are_one() -> None:
    def inc(x: int) -> int:
        return x + 1

    def dec(x: int) -> int:
        return x - 1

    tasks: dict[Any, Any] = {
        ("a", 0): (inc, 1),
        ("b", 0): (dec, ("a", 0)),
        ("a", 1): (inc, ("b", 0)),
    }
    [layer] = layers_of(share_report(tasks), {}, {})
    assert (layer.before, layer.after, layer.inputs) == (3, 3, [])


@pytest.mark.slow
def test_a_large_collection_has_layers_and_seconds_but_no_steps() -> None:
    page = report(large())
    parts = page.sections[0].parts
    [table] = [part for part in parts if isinstance(part, Table)]
    assert ["ones_like", 400, 1] in [list(row[:3]) for row in table.rows]
    assert "data-scene" not in page.render().split("<script>")[0]
    assert "Dask would run 1,739 tasks" in text_of(large())


def test_facts_are_counted() -> None:
    equal = delayed(sum)([delayed(abs)(-1) for _ in range(4)])
    facts = " ".join(scene(equal).facts)
    assert facts.startswith("Dask would run 5 tasks. Of these, 3 tasks would compute again")
    assert "4 of abs(-1) → 1." in facts
    assert re.search(r"5 tasks take [\d.]+ \S+ \(measured\), and 2 tasks take", facts)


def test_what_is_not_merged_has_its_reason() -> None:
    calls = delayed(max)([delayed(random.random)() for _ in range(3)])
    [first, second] = scene(calls).facts
    assert first == (
        "Dask would run 4 tasks. No two of them are known to be equal: nothing is computed twice."
    )
    assert second.startswith("Not merged: 3 of ")
    assert "it is random" in second


def test_a_collection_without_equal_tasks_has_one_graph() -> None:
    shown = scene(delayed(sum)([delayed(abs)(number) for number in range(4)]))
    assert [side.heading.title for side in shown.sides] == ["graph: 5 tasks"]
    [fact] = shown.facts
    assert fact == "Dask would run 5 tasks. No two of them are equal: nothing is computed twice."


@pytest.mark.parametrize("name", ["nested", "array", "bag", "frame"])
def test_no_page_shows_the_insides_of_dask(name: str) -> None:
    import dask
    import dask.bag as db
    import pandas as pd
    from dask import dataframe as dd

    frame = dd.from_pandas(pd.DataFrame({"a": range(9)}), npartitions=3)
    bags: Any = db
    collections: dict[str, Any] = {
        "nested": delayed(str)([delayed(abs)(-1), {"a": delayed(abs)(-1)}, [delayed(abs)(2)]]),
        "array": dask.optimize((da.ones(20, chunks=10) + 1).sum())[0],
        "bag": bags.from_sequence(range(6), npartitions=3).map(str).frequencies(),
        "frame": frame.a.sum(),
    }
    with dask.config.set(scheduler="sync"):
        text = text_of(collections[name])
    for hidden in ("<Task", "&lt;Task", "_identity_cast", "TaskRef", "Alias("):
        assert hidden not in text
