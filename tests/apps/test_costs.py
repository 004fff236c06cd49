"""How the applications grow, as parts of a page."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from pipeline.apps import fibonacci
from pipeline.apps.costs import fibonacci_growth, mlp_growth
from pipeline.apps.mlp import growth
from pipeline.apps.mlp.counts import backpropagation, call_tree
from pipeline.page import Chart, Drawn, Slider

FIBONACCI = [
    fibonacci.Growth(n, 2 * number - 1, number / 1000, n + 1, n / 10_000)
    for n, number in ((2, 2), (3, 3), (4, 5), (5, 8), (6, 13))
]
DEEP = [
    growth.Growth("depth", n, 10**n, 10 * n, 0.5**n if n < 3 else None, n / 100)
    for n in (1, 2, 3, 4)
]
WIDE = [growth.Growth("width", n, n**4, n * n, n / 10, n / 100) for n in (1, 2, 3)]


def sliders(parts: list[Drawn]) -> list[Slider]:
    return [part for part in parts if isinstance(part, Slider)]


def charts(parts: list[Drawn]) -> list[Chart]:
    return [part for part in parts if isinstance(part, Chart)]


def test_the_slider_states_exact_counts_and_predicted_times() -> None:
    (slider,) = sliders(fibonacci_growth(FIBONACCI, rate=1e6))
    assert len(slider.rows) == 201
    assert slider.rows[slider.start][0] == "40"
    assert slider.rows[0][:3] == ("0", "1", "1")
    assert slider.rows[6][:4] == ("6", "25", "7", "3.6")
    assert slider.rows[100][1] == "1,146,295,688,027,634,168,201"
    assert slider.rows[200][1:3] == (
        "907,947,388,330,615,906,394,593,939,394,821,238,467,651", "201"
    )  # fmt: skip
    # 2 F(31) - 1 = 2,692,537 calls, a million of them a second; 0.6 ms for 7 tasks.
    assert slider.rows[30][4] == "~2.7 s"
    assert slider.rows[6][5] == "~600 µs"


def test_the_lines_are_what_was_measured() -> None:
    tasks, seconds = charts(fibonacci_growth(FIBONACCI, rate=1e6))
    assert [each.kind for each in tasks.series] == ["tree", "dag", "other"]
    assert tasks.series[0].points == [(2, 3), (3, 5), (4, 9), (5, 15), (6, 25)]
    assert tasks.series[1].points == [(n, n + 1) for n in range(2, 7)]
    assert seconds.data["series"][0]["texts"] == ["2.0 ms", "3.0 ms", "5.0 ms", "8.0 ms", "13 ms"]


def test_gradients_along_depth_and_width() -> None:
    parts = mlp_growth([*DEEP, *WIDE])
    assert [type(part) for part in parts] == [Slider, Chart, Chart] * 2
    deep, wide = sliders(parts)
    assert deep.rows[1][2:4] == (
        f"{call_tree((3, 3, 3, 1)).total:,}", f"{backpropagation((3, 3, 3, 1)).total:,}"
    )  # fmt: skip
    assert wide.rows[1][2] == f"{call_tree((2, 2, 2, 2, 1)).total:,}"
    assert deep.rows[19][1] == f"{3**19:,}"
    # The last tree that was measured did 100 in a quarter of a second.
    assert "400 of them a second, measured" in deep.note
    expected = Fraction(call_tree((3, 3, 3, 1)).total, 400)
    assert deep.rows[1][5] == f"~{float(expected):.2g} s".replace("0.", "").replace(" s", "0 ms")


def test_what_was_not_run_has_no_point() -> None:
    _, work, seconds, *_ = mlp_growth([*DEEP, *WIDE])
    assert isinstance(work, Chart)
    assert isinstance(seconds, Chart)
    assert [len(each.points) for each in work.series] == [4, 4]
    assert [len(each.points) for each in seconds.series] == [2, 4]


def test_without_a_measured_tree_no_time_is_predicted() -> None:
    point = growth.Growth("depth", 1, 10, 5, None, 0.1)
    slider, *_ = sliders(mlp_growth([point, *WIDE]))
    assert {row[5] for row in slider.rows} == {"–"}
    assert "nothing measured" in slider.note


@pytest.mark.parametrize("parts", [fibonacci_growth(FIBONACCI, 1e6), mlp_growth([*DEEP, *WIDE])])
def test_all_numbers_are_finite(parts: list[Drawn]) -> None:
    for part in parts:
        json.dumps(part.data, allow_nan=False)
