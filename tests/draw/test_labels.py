"""Labels: short, different for different tasks, with what is common in the title."""

from __future__ import annotations

from typing import Any

import dask.array as da
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import contrast, recurrence
from pipeline.apps.fibonacci import delayed_naive
from pipeline.apps.gallery import GALLERY
from pipeline.draw import PLAIN, compare
from pipeline.draw.labels import label_tasks
from tests.functions import fib

HEAD = "f-0123456789ab"


def texts(*arguments: Any, names: tuple[str, ...] = ()) -> list[str]:
    keys = [(HEAD, *row) for row in arguments]
    return list(label_tasks(keys, {HEAD: names}).texts.values())


@pytest.mark.parametrize("name", GALLERY)
def test_different_calls_never_look_alike(name: str) -> None:
    pair = compare(GALLERY[name].call(), PLAIN, 100)
    shown = [pair.labels.texts[key] for key in pair.shown]
    assert len(set(shown)) == len(shown) > 3
    assert not any("…" in text for text in shown)


@given(st.lists(st.text("ab", max_size=40), min_size=1, max_size=6, unique=True))
def test_no_two_words_have_one_label(words: list[str]) -> None:
    rows = [(f"'{word}'", 1) for word in words]
    for names in ((), ("word", "n")):
        assert len(set(texts(*rows, names=names))) == len(words)


def test_parts_of_a_long_sequence_are_slices_of_it() -> None:
    pair = compare(GALLERY["knapsack"].call(), PLAIN, 100)
    assert pair.labels.common == ["items = ((2, 12), (1, 10), (3, 20), (2, 15))"]
    assert {"knapsack(5, items)", "knapsack(5, items[:3])", "knapsack(0, ())"} <= {
        *pair.labels.texts.values()
    }
    assert "where items = ((2, 12)" in contrast(GALLERY["knapsack"].call()).dot


def test_an_argument_that_is_the_same_in_all_calls_is_told_once() -> None:
    @recurrence
    def steps(n: int, sizes: tuple[int, ...]) -> Any:
        return int(n == 0) if n < 1 else sum(steps(n - size, sizes) for size in sizes)

    pair = compare(steps(4, (1, 2)), PLAIN, 100)
    assert pair.labels.common == ["sizes = (1, 2)"]
    assert {"steps(4)", "steps(3)"} <= {*pair.labels.texts.values()}


def test_a_single_argument_and_an_only_call_are_shown() -> None:
    assert [*compare(fib(3), PLAIN, 100).labels.texts.values()][-1] == "fib(3)"
    assert texts((1, 2), names=("a", "b")) == ["f(1, 2)"]


def test_arguments_whose_names_are_unknown_stay_and_are_cut_where_they_differ() -> None:
    assert texts(("'abcdefghijklmnopq'", 1)) == ["f('abcdefghijkl…, 1)"]
    assert texts(("'abcdefghijklmnopq'",), ("'abcdefghijklmnopz'",)) == [
        "f('abcdefghijklmnopq')",
        "f('abcdefghijklmnopz')",
    ]


def test_tasks_that_differ_in_their_inputs_alone_have_numbers() -> None:
    pair = compare(delayed_naive(5), PLAIN, 100)
    assert [*pair.labels.texts.values()] == [
        "leaf(1)", "leaf(0)", "add #1", "add #2", "add #3", "add #4",
    ]  # fmt: skip


def test_a_collection_has_a_label_for_each_task() -> None:
    x = da.ones((20, 20), chunks=10)
    pair = compare((x + x.T).sum(), PLAIN, 100)
    assert len(set(pair.labels.texts.values())) == pair.after
