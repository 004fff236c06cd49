"""`compute()`: values of any collections, in their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask
import dask.array as da
import dask.bag as db
import pytest

from pipeline import Store, compute, share_report, trace
from tests.functions import fail, failing, fib

if TYPE_CHECKING:
    from pathlib import Path


def test_an_error_names_the_call_and_keeps_its_type(scheduler: str) -> None:
    with pytest.raises(ZeroDivisionError, match="no 3") as caught:
        (fail(3) + 1).compute()
    assert "while computing fail(3)" in caught.value.__notes__
    with pytest.raises(ZeroDivisionError) as caught:
        failing(4).compute()
    assert "while computing fail(0)" in caught.value.__notes__


def test_values_keep_their_places_among_other_collections(scheduler: str) -> None:
    def add(x: int, y: int) -> int:
        return x + y

    x = da.arange(10, chunks=5)
    y = dask.delayed(add)
    mixed = (fib(6), y(1, 2), x.sum(), [fib(7).graph()], y(3, 4), {"a": trace([fib(5)])})
    assert compute(*mixed) == (8, 3, 45, [[13]][0], 7, {"a": [5]})
    # Dask itself keeps calls and graphs in their places, too.
    assert dask.compute(fib(6), y(1, 2), fib(7), x.sum(), [fib(8).graph()], fib(5)) == (
        8, 3, 13, 45, [21], 5,
    )  # fmt: skip


def test_any_mixture_of_collections_keeps_its_order() -> None:
    """Dask 2026.8 gives `dask.compute(one, three, two)` as 1, 2, 3: see `optimizer_of`."""
    one, two = (dask.delayed(int)(n) for n in (1, 2))
    three = da.ones(3).sum()
    assert compute(one, three, two) == (1, 3, 2)
    pair = dask.delayed((4, 5))
    bag = db.from_sequence([-1, 2])
    mixed = one, fib(6), two, three, pair[0], bag.sum(), fib(5), bag.map(abs), three + 1, pair
    assert compute(*mixed, scheduler="sync") == (1, 8, 2, 3, 4, 1, 5, [1, 2], 4, (4, 5))


def test_collections_with_other_default_schedulers() -> None:
    assert compute(db.from_sequence([1, 2]).sum(), fib(6), scheduler="sync") == (3, 8)


def test_without_collections_nothing_runs() -> None:
    assert compute(1, [2], scheduler="never looked at") == (1, [2])


class Counted:
    """A value that counts how often its content is read."""

    reads = 0

    def __dask_tokenize__(self) -> str:
        Counted.reads += 1
        return "counted"


def test_share_and_the_store_read_a_constant_once(tmp_path: Path) -> None:
    counts = []
    for options in ({"share": True}, {"share": True, "store": Store(tmp_path)}):
        Counted.reads = 0
        compute(dask.delayed(repr)(Counted()), scheduler="sync", **options)
        counts.append(Counted.reads)
    assert counts[0] == counts[1] > 0


def total(numbers: list[int]) -> int:
    return sum(numbers)


@pytest.mark.parametrize("options", [{}, {"share": True}])
def test_what_a_task_changes_is_read_again(tmp_path: Path, options: dict[str, bool]) -> None:
    """Also by a task of a run that a task starts."""
    numbers, store = [1], Store(tmp_path)

    def grow() -> int:
        numbers.append(2)
        return share_report(dask.delayed(total)(numbers), dask.delayed(total)([1, 2])).after

    def run() -> int:
        tasks = dask.delayed(total)(numbers), dask.delayed(grow)()
        return int(compute(*tasks, scheduler="sync", store=store, **options)[1])

    outer = dask.delayed(total)(numbers), dask.delayed(run)()
    assert compute(*outer, scheduler="sync", store=store, share=True)[1] == 1
