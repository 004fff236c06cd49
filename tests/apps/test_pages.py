"""Whole pages: Fibonacci, backpropagation, and both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pipeline import Store
from pipeline.apps.growth import FibonacciGrowth, GradientGrowth, measure_gradients
from pipeline.apps.mlp import network
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.page import Scene
from tests.page.test_pages import Read

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.page import Page

POINTS = [FibonacciGrowth(n, 2**n, n * 1e-4, n + 1, n * 1e-5) for n in range(2, 6)]


@pytest.fixture(scope="module")
def points() -> list[GradientGrowth]:
    return measure_gradients(2, 0.01)


def ids(page: Page) -> Counter[str]:
    return Counter(str(each["id"]) for _, each in Read(page).elements if "id" in each)


def test_fibonacci_has_its_evaluation_its_store_and_its_growth(tmp_path: Path) -> None:
    page = fibonacci_page(6, 1e7, POINTS)
    assert [section.name for section in page.sections] == ["fibonacci", "fibonacci-growth"]
    assert page.title == "fib(6)"
    assert sum(isinstance(part, Scene) for part in page.sections[0].parts) == 1
    assert set(ids(page).values()) == {1}
    page = fibonacci_page(5, 1e7, POINTS, store=Store(tmp_path))
    names = ["fibonacci", "store", "fibonacci-growth"]
    assert [section.name for section in page.sections] == names


@pytest.mark.slow
def test_a_network_has_a_lesson_growth_and_memory(
    points: list[GradientGrowth], tmp_path: Path
) -> None:
    page = mlp_page(network((2, 1)), points=points, store=Store(tmp_path))
    names = [section.name for section in page.sections]
    assert {*names[:3]} == {"chain", "forward", "memory"}
    assert names[3:] == [
        "backpropagation-store", "backpropagation-growth", "backpropagation-memory"
    ]  # fmt: skip
    assert page.title == "Backpropagation in 2-1"
    assert set(ids(page).values()) == {1}


@pytest.mark.slow
def test_a_tour_is_both(points: list[GradientGrowth]) -> None:
    first = fibonacci_page(6, 1e7, POINTS)
    second = mlp_page(network((2, 2, 1)), ["w2_11"], points)
    page = tour(first, second)
    assert page.sections[: len(first.sections)] == first.sections
    later = page.sections[-len(second.sections) :]
    assert later[0].name == "forward"  # in a tour, values come before derivatives
    assert sorted(each.name for each in later) == sorted(each.name for each in second.sections)
    assert set(ids(page).values()) == {1}
    assert len(page.render()) < 3_000_000
    assert page.render().index("<option>w2_11<") < page.render().index("<option>w1_11<")
