"""How the work grows: measured, drawn, and on sliders."""

from __future__ import annotations

from fractions import Fraction

import dask
import numpy as np
import pytest

from pipeline import page
from pipeline.apps.fibonacci import naive
from pipeline.apps.growth import (
    GOLDEN,
    FibonacciGrowth,
    GradientGrowth,
    fibonacci_parts,
    fitted_base,
    gradient_parts,
    measure_fibonacci,
    measure_gradients,
    plot_fibonacci,
    plot_gradients,
)
from pipeline.apps.mlp.counts import backpropagation, call_tree

FIBONACCI = [
    FibonacciGrowth(n, 2 * number - 1, number / 1000, n + 1, n / 10_000)
    for n, number in ((2, 2), (3, 3), (4, 5), (5, 8), (6, 13))
]
DEEP = [
    GradientGrowth("depth", n, 10**n, 10 * n, 0.5**n if n < 3 else None, n / 100)
    for n in (1, 2, 3, 4)
]
WIDE = [GradientGrowth("width", n, n**4, n * n, n / 10, n / 100) for n in (1, 2, 3)]


def sliders(parts: list[page.Part]) -> list[page.Slider]:
    return [part for part in parts if isinstance(part, page.Slider)]


def plots(parts: list[page.Part]) -> list[page.Plot]:
    return [part for part in parts if isinstance(part, page.Plot)]


def test_fibonacci_is_counted_by_the_scheduler() -> None:
    points = measure_fibonacci(up_to=12)
    assert [point.n for point in points] == list(range(2, 13))
    for point in points:
        assert (point.tree_tasks, point.dag_tasks) == (2 * naive(point.n + 1) - 1, point.n + 1)
    base = fitted_base([(point.n, point.tree_tasks) for point in points])
    assert base == pytest.approx(GOLDEN, abs=0.02)


def test_gradients_are_counted_exactly_and_measured_while_it_fits() -> None:
    with dask.config.set(scheduler="sync"):
        points = measure_gradients(4, seconds=0.2)
    assert [(point.along, point.at) for point in points] == [
        (along, at) for along in ("depth", "width") for at in (1, 2, 3, 4)
    ]
    third = points[2]
    assert third.naive == call_tree((3, 3, 3, 3, 1)).total
    assert third.memoized == backpropagation((3, 3, 3, 3, 1)).total
    assert third.naive_seconds is None or third.naive_seconds > 0


def test_a_graph_does_not_run_if_the_one_before_took_too_long() -> None:
    with dask.config.set(scheduler="sync"):
        points = measure_gradients(3, seconds=1e-9)
    assert points[0].naive_seconds is not None
    assert points[0].naive_seconds > 0
    assert [point.naive_seconds for point in points[1:3]] == [None, None]


def test_figures_have_a_line_for_each_side() -> None:
    for axes in plot_fibonacci(FIBONACCI).axes:
        assert [str(line.get_label())[:4] for line in axes.get_lines()] == [
            "tree",
            "DAG",
            "φⁿ, ",
            "2ⁿ",
        ]
    figure = plot_gradients([*DEEP, *WIDE])
    labels = [[str(line.get_label()) for line in axes.get_lines()] for axes in figure.axes]
    assert (
        labels
        == [["chain rule without memory, memoize=False", "backpropagation, memoize=True"]] * 4
    )


def test_the_slider_has_exact_counts_and_predicted_times() -> None:
    (slider,) = sliders(fibonacci_parts(FIBONACCI, rate=1e6))
    rows = slider.data["rows"]
    assert len(rows) == 201
    assert rows[slider.start][0] == "40"
    assert rows[0][:3] == ["0", "1", "1"]
    assert rows[6][:4] == ["6", "25", "7", "3.6"]
    assert rows[100][1] == "1,146,295,688,027,634,168,201"
    assert rows[200][1:3] == [
        "907,947,388,330,615,906,394,593,939,394,821,238,467,651", "201"
    ]  # fmt: skip
    # 2 F(31) - 1 = 2,692,537 calls, a million of them a second; 0.6 ms for 7 tasks.
    assert rows[30][4] == "~2.7 s"
    assert rows[6][5] == "~600 µs"


def test_the_plots_show_what_was_measured_and_so_do_their_tables() -> None:
    tasks, seconds = plots(fibonacci_parts(FIBONACCI, rate=1e6))
    (axes,) = tasks.figure.axes
    assert [np.asarray(line.get_xydata()).tolist() for line in axes.get_lines()[:2]] == [
        [[2, 3], [3, 5], [4, 9], [5, 15], [6, 25]], [[n, n + 1] for n in range(2, 7)]
    ]  # fmt: skip
    assert tasks.table.head[2] == "DAG"
    assert [row[:3] for row in tasks.table.rows] == [
        [2, 3, 3], [3, 5, 4], [4, 9, 5], [5, 15, 6], [6, 25, 7]
    ]  # fmt: skip
    column = [row[1] for row in seconds.table.rows]
    assert column == ["2.0 ms", "3.0 ms", "5.0 ms", "8.0 ms", "13 ms"]


def test_gradients_along_depth_and_width() -> None:
    parts = gradient_parts([*DEEP, *WIDE])
    assert [type(part) for part in parts] == [page.Slider, page.Plot, page.Plot] * 2
    deep, wide = sliders(parts)
    assert deep.rows[1][2:4] == [
        call_tree((3, 3, 3, 1)).total, backpropagation((3, 3, 3, 1)).total
    ]  # fmt: skip
    assert wide.rows[1][2] == call_tree((2, 2, 2, 2, 1)).total
    assert deep.rows[19][1] == 3**19
    # The last tree that was measured did 100 in a quarter of a second.
    assert "400 of them a second, measured" in deep.note
    expected = Fraction(call_tree((3, 3, 3, 1)).total, 400)
    assert deep.rows[1][5] == f"~{page.format_duration(expected)}"


def test_a_graph_that_did_not_run_has_no_point() -> None:
    work, seconds, *_ = plots(gradient_parts([*DEEP, *WIDE]))
    lines = [[np.size(line.get_xdata()) for line in plot.figure.axes[0].get_lines()]
             for plot in (work, seconds)]  # fmt: skip
    assert lines == [[4, 4], [2, 4]]
    assert [row[1] for row in seconds.table.rows] == ["500 ms", "250 ms", "–", "–"]


def test_without_a_measured_tree_no_time_is_predicted() -> None:
    point = GradientGrowth("depth", 1, 10, 5, None, 0.1)
    slider, *_ = sliders(gradient_parts([point, *WIDE]))
    assert {row[5] for row in slider.rows} == {"–"}
    assert "nothing measured" in slider.note
