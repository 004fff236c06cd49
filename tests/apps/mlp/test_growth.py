"""How the work grows, counted and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask

from pipeline.apps.mlp import counts
from pipeline.apps.mlp.growth import growth, plot_growth

if TYPE_CHECKING:
    from pathlib import Path


def test_points_are_counted_exactly_and_measured_while_it_fits(tmp_path: Path) -> None:
    with dask.config.set(scheduler="sync"):
        points = growth(4, seconds=0.2)
    assert [(point.along, point.at) for point in points] == [
        (along, at) for along in ("depth", "width") for at in (1, 2, 3, 4)
    ]
    third = points[2]
    assert third.naive == counts.call_tree((3, 3, 3, 3, 1)).total
    assert third.memoized == counts.backpropagation((3, 3, 3, 3, 1)).total
    assert third.naive_seconds is None or third.naive_seconds > 0
    svg = plot_growth(points, tmp_path / "growth.svg").read_text()
    assert "chain rule without memory, memoize=False" in svg


def test_a_graph_is_not_run_when_the_one_before_took_too_long() -> None:
    with dask.config.set(scheduler="sync"):
        points = growth(3, seconds=1e-9)
    assert points[0].naive_seconds is not None
    assert points[0].naive_seconds > 0
    assert [point.naive_seconds for point in points[1:3]] == [None, None]
