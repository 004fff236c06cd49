"""Memory against time of a gradient, as parts of a page."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from pipeline import page
from pipeline.apps.memory import DeepGradient, binomial_steps, budget_plot, gradient_memory


@cache
def parts() -> list[page.Part]:
    return gradient_memory(hidden=9, width=4, examples=64)


def strip() -> page.MemoryStrip:
    part = parts()[0]
    assert isinstance(part, page.MemoryStrip)
    return part


def plot(place: int) -> page.Plot:
    part = parts()[place]
    assert isinstance(part, page.Plot)
    return part


@pytest.mark.slow
def test_the_gradient_trades_memory_for_work() -> None:
    curve = plot(2)
    names = ["all", "k = 2", "k = 3", "k = 4", "k = 5", "k = 6", "k = 8", "none"]
    assert [row[0] for row in curve.table.rows] == names
    axes = curve.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == names
    peak, dask, table = (np.asarray(line.get_xydata()).tolist() for line in axes.get_lines())
    recomputed = [x for x, _ in peak]
    assert [row[1] for row in curve.table.rows] == recomputed
    assert recomputed[0] == 0
    assert recomputed == sorted(recomputed)
    sizes = [y for _, y in peak]
    assert sizes[-1] < sizes[2] < sizes[1] < sizes[0]
    assert sizes[2] < 0.6 * sizes[0]
    assert all(held <= most for (_, held), (_, most) in zip(peak, table, strict=True))
    # The note says that Dask's order gains nothing. If it does some day, change the note.
    assert min(y for _, y in dask) >= 0.9 * dask[0][1]


def test_budgets_of_memory_lie_on_the_curve_of_binomial_checkpoints() -> None:
    curve = budget_plot(hidden=16, width=16, examples=512)
    assert curve.svg.count("stroke-width: 7") == len(curve.table.rows)
    names, megabytes, shares, again, least, _ = zip(*curve.table.rows, strict=True)
    assert names[0] == "everything kept"
    assert names[-2:] == ("as little as possible", "√n by hand")
    assert {"50 %", "30 %"} < {*names}
    assert all(less <= 1.05 * more for more, less in pairwise(megabytes[:-1]))
    assert shares[0] == "100 %"
    assert int(shares[1].split()[0]) <= 53
    assert again[0] == least[0] == 0
    for runs, possible in zip(again[:3], least, strict=False):
        assert possible <= runs <= 1.4 * possible
    assert again[-1] == 16
    assert megabytes[-1] < 0.7 * megabytes[0]
    theory, *points = curve.figure.axes[0].get_lines()
    assert len(points) == len(names)
    assert np.asarray(theory.get_xydata()).shape == (16, 2)


def test_checkpoints_by_hand_give_the_gradients_of_the_graph() -> None:
    network = DeepGradient(hidden=7, width=3, examples=5)
    expected = network.graph.compile(network.inputs)(*network.arguments)
    for gradient, other in zip(network.by_hand(), expected, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-12)


@cache
def fewest(layers: int, checkpoints: int) -> int:
    """Steps forward that reverse a chain, by dynamic programming over the next checkpoint."""
    if layers == 1 or checkpoints == 1:
        return layers * (layers - 1) // 2
    return min(
        first + fewest(layers - first, checkpoints - 1) + fewest(first, checkpoints)
        for first in range(1, layers)
    )


def test_no_other_checkpoints_take_fewer_steps_than_binomial_ones() -> None:
    for layers in range(1, 25):
        for checkpoints in range(1, layers + 2):
            again = fewest(layers, checkpoints) - (layers - 1)
            assert binomial_steps(layers, checkpoints) == again


def test_the_strip_fills_and_empties() -> None:
    part = strip()
    everything, some, nothing = part.runs
    assert part.columns == 10

    def forward(run: page.MemoryRun, step: int) -> set[int]:
        return {
            column
            for row, column, first, last, _ in run.cells
            if row == 0 and first <= step <= last
        }

    # At the end of the forward pass all hidden layers are held; of every third one, three.
    assert forward(everything, part.start) >= set(range(9))
    assert any(forward(some, step) == {2, 5, 8} for step in range(len(some.notes)))
    assert not any(again for *_, again in everything.cells)
    assert len(forward(nothing, part.start)) <= 3
    for run in part.runs:
        assert all(0 <= first <= last < len(run.notes) for _, _, first, last, _ in run.cells)
        assert {row for row, *_ in run.cells} == {0, 1}
    assert len(everything.notes) < len(some.notes) < len(nothing.notes)


def test_lines_over_the_run_share_their_places_and_the_table_has_them() -> None:
    over = plot(3)
    lines = [np.asarray(line.get_xydata()).tolist() for line in over.figure.axes[0].get_lines()]
    places = [row[0] for row in over.table.rows]
    assert all({x for x, _ in line} <= set(places) for line in lines)
    assert places == [x for x, _ in lines[-1]]
    assert len(places) <= 100
    peaks = [max(y for _, y in line) for line in lines]
    assert peaks[0] > peaks[1] > peaks[2]


def test_too_few_layers_are_an_error() -> None:
    with pytest.raises(ValueError, match="hidden=3: give 4 or more"):
        gradient_memory(3)
    assert gradient_memory(4, width=2, examples=2)
