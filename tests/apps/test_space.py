"""Space against time of the applications, as parts of a page."""

from __future__ import annotations

import json
from functools import cache

import pytest

from pipeline.apps.space import fibonacci_space, mlp_space
from pipeline.page import Chart, Drawn, Filling, Rows


@cache
def deep() -> list[Drawn]:
    return mlp_space(hidden=9, width=4, examples=64)


def chart(part: Drawn) -> Chart:
    assert isinstance(part, Chart)
    return part


def rows(part: Drawn) -> Rows:
    assert isinstance(part, Rows)
    return part


def test_fibonacci_holds_three_values_and_a_table_holds_all() -> None:
    curve, over = fibonacci_space(49)
    peak, _, table = chart(curve).series
    assert peak.points[0][0] == table.points[0][0] == 0
    assert peak.points[0][1] < table.points[0][1] / 10
    # Forgetting makes the table smaller, and the graph, which forgets by itself, no smaller.
    sizes = [y for _, y in table.points]
    assert sizes == sorted(sizes, reverse=True)
    assert all(y >= peak.points[0][1] for _, y in peak.points)
    assert "k = 7" in peak.names
    assert [each.name for each in chart(over).series] == ["everything kept", "every 7th pair kept"]
    assert (
        "With nothing kept it was not run: the tree of fib(49) has 25,172,538,049 tasks."
        in curve.note
    )


def test_a_small_tree_is_run() -> None:
    curve, _ = fibonacci_space(16)
    peak = chart(curve).series[0]
    assert peak.names[-1] == "none"
    assert peak.points[-1][0] == 3193 - 17
    assert "not run" not in curve.note


def test_the_gradient_trades_memory_for_work() -> None:
    _, curve, _ = deep()
    peak, dask, table = chart(curve).series
    assert peak.names == ["all", "k = 2", "k = 3", "k = 4", "k = 5", "k = 6", "k = 8", "none"]
    recomputed = [x for x, _ in peak.points]
    assert recomputed[0] == 0
    assert recomputed == sorted(recomputed)
    sizes = [y for _, y in peak.points]
    assert sizes[-1] < sizes[2] < sizes[1] < sizes[0]
    assert sizes[2] < 0.6 * sizes[0]
    pairs = zip(peak.points, table.points, strict=True)
    assert all(there <= most for (_, there), (_, most) in pairs)
    # What the note says of Dask's order: it gains nothing. If it does some day, say so there.
    assert min(y for _, y in dask.points) >= 0.9 * dask.points[0][1]


def test_rows_of_memory_fill_and_empty() -> None:
    part = rows(deep()[0])
    everything, some, nothing = part.runs
    assert part.columns == 10

    def forward(run: Filling, step: int) -> set[int]:
        return {
            each.column for each in run.cells if each.row == 0 and each.first <= step <= each.last
        }

    # At the end of the forward pass all hidden layers are there; of every third one, three.
    assert forward(everything, part.start) >= set(range(9))
    assert any(forward(some, step) == {2, 5, 8} for step in range(len(some.notes)))
    assert not any(each.again for each in everything.cells)
    assert len(forward(nothing, part.start)) <= 3
    for run in part.runs:
        assert all(0 <= each.first <= each.last < len(run.notes) for each in run.cells)
        assert {each.row for each in run.cells} == {0, 1}
    assert len(everything.notes) < len(some.notes) < len(nothing.notes)


def test_lines_over_the_run_share_their_places() -> None:
    over = chart(deep()[2])
    assert [each.kind for each in over.series] == ["dag", "other", "tree"]
    longest = {x for x, _ in over.series[-1].points}
    assert all(x in longest for each in over.series for x, _ in each.points)


@pytest.mark.parametrize("parts", [fibonacci_space(16), deep()], ids=["fibonacci", "mlp"])
def test_all_numbers_are_finite(parts: list[Drawn]) -> None:
    for part in parts:
        json.dumps(part.data, allow_nan=False)


def test_too_little_to_choose_from_is_told() -> None:
    with pytest.raises(ValueError, match="n=8: give one of 9 or more"):
        fibonacci_space(8)
    with pytest.raises(ValueError, match="hidden=3: give 4 or more"):
        mlp_space(3)
    assert fibonacci_space(9)
    assert mlp_space(4, width=2, examples=2)
