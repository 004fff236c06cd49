"""Whole pages: Fibonacci, backpropagation, and both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pipeline import Store
from pipeline.apps.fibonacci import Growth as Fibonacci
from pipeline.apps.mlp import network
from pipeline.apps.mlp.growth import Growth, growth
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.page.scenes import Scene
from tests.page.test_pages import Read

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Page

POINTS = [Fibonacci(n, 2**n, n * 1e-4, n + 1, n * 1e-5) for n in range(2, 6)]


@pytest.fixture(scope="module")
def points() -> list[Growth]:
    return growth(2, 0.01)


def ids(page: Page) -> Counter[str]:
    return Counter(str(each["id"]) for _, each in Read(page).elements if "id" in each)


def test_fibonacci_is_shown_and_its_growth_and_its_space(tmp_path: Path) -> None:
    page = fibonacci_page(6, 1e7, POINTS)
    names = ["fibonacci", "fibonacci-growth", "fibonacci-space"]
    assert [section.name for section in page.sections] == names
    assert page.title == "fib(6)"
    assert sum(isinstance(part, Scene) for part in page.sections[0].parts) == 1
    assert set(ids(page).values()) == {1}
    page = fibonacci_page(5, 1e7, POINTS, store=Store(tmp_path), quiz=True)
    names[1:1] = ["store", "quiz"]
    assert [section.name for section in page.sections] == names
    assert page.quiz


def test_a_network_has_a_lesson_growth_and_space(points: list[Growth], tmp_path: Path) -> None:
    page = mlp_page(network((2, 1)), points=points, store=Store(tmp_path), quiz=True)
    names = [section.name for section in page.sections]
    assert {*names[:3]} == {"chain", "forward", "memory"}
    assert names[3:5] == ["backpropagation-quiz", "backpropagation-store"]
    assert names[5:] == ["backpropagation-growth", "backpropagation-space"]
    assert page.title == "Backpropagation in 2-1"
    assert set(ids(page).values()) == {1}


def test_a_tour_is_both(points: list[Growth]) -> None:
    first = fibonacci_page(6, 1e7, POINTS)
    second = mlp_page(network((2, 2, 1)), ["w2_11"], points)
    page = tour(first, second)
    assert page.sections[: len(first.sections)] == first.sections
    assert page.sections[-len(second.sections) :] == second.sections
    assert set(ids(page).values()) == {1}
    assert not page.quiz
    assert len(page.render()) < 3_000_000
    assert tour(fibonacci_page(2, 1e7, POINTS, quiz=True), second).quiz
    assert page.render().index("<option>w2_11<") < page.render().index("<option>w1_11<")
