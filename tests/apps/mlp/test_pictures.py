"""Pictures of the chain rule, and of the results of a training."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pipeline.apps.mlp import NetworkError, network
from pipeline.apps.mlp.epochs import Epoch
from pipeline.apps.mlp.pictures import (
    HUES,
    adjoints,
    confusion,
    diagram,
    plot_confusion,
    plot_curves,
    plot_mistaken,
)
from pipeline.cli.screen import save_figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

NET = network((2, 2, 2, 1))


def test_nodes_are_adjoints_and_edges_local_derivatives() -> None:
    dot = adjoints(NET, "w1_11").dot
    assert "<∂L/∂O2_1<br/>" in dot
    assert " ∂O2_1/∂O1_1 " in dot
    assert dot.count("2 of 2") == 1  # ∂L/∂ŷ, again
    assert "tree: 6 tasks" in dot
    assert "DAG: 5 tasks" in dot


def test_one_path_has_no_repeats() -> None:
    dot = adjoints(NET, "w3_11").dot
    assert 'dashed"' not in dot
    assert "sharing factor: 2 ÷ 2 = 1" in dot


def test_numbers_are_shown_where_they_are_asked_for() -> None:
    dot = adjoints(NET, "w1_11", numbers=True).dot
    assert re.search(r"∂ŷ/∂O2_1 = 0\.123", dot)
    assert dot.count("= ") > adjoints(NET, "w1_11").dot.count("= ")


def test_one_colour_is_one_layer() -> None:
    dot = adjoints(NET).dot
    colours: dict[int, set[str]] = {}
    for line in dot.splitlines():
        name = re.search(r"label=<∂L/∂(\S+?)<br/>", line)
        hue = re.search(r' color="(#\w+)"', line)
        if name and hue and "dashed" not in line:
            colours.setdefault(NET[name.group(1)].layer, set()).add(hue.group(1))
    assert sorted(colours) == [1, 2, 3]
    assert [len(each) for each in colours.values()] == [1, 1, 1]
    assert len(set.union(*colours.values())) == 3
    assert "one colour, one layer (1 blue, 2 yellow, 3 grey)" in dot
    assert "rankdir=LR" in dot


def test_what_later_layers_need_is_there_when_earlier_ones_need_it() -> None:
    tree = adjoints(NET).dot.partition("id=dag")[0]
    solid = [line for line in tree.splitlines() if "<∂L/∂ŷ<" in line and ">1 of 21" in line]
    assert len(solid) == 1
    first = next(line for line in tree.splitlines() if "<∂L/∂" in line and "tree-" in line)
    assert "<∂L/∂w3_11<" in first


def test_only_weights_have_a_diagram_and_only_of_networks_that_can_be_seen() -> None:
    with pytest.raises(NetworkError, match="O1_1 is no weight"):
        diagram(NET, "O1_1")
    with pytest.raises(NetworkError, match="6,016 edges: a picture shows 2,000"):
        diagram(network((20, 64, 64, 10)), "w1_1,1")


def test_the_same_network_gives_the_same_bytes() -> None:
    assert adjoints(NET).render("svg") == adjoints(network((2, 2, 2, 1))).render("svg")


def test_each_path_has_a_colour() -> None:
    dot = diagram(NET, "w1_11").dot
    assert "2 paths from w1_11 to the loss" in dot
    assert f'color="{HUES[0]}:{HUES[1]}"' in dot  # both paths take the first edge
    assert dot.count(HUES[0]) == 4  # x1 → O1_1 → O2_1 → ŷ → L
    assert "1 path from b3_1 to the loss" in diagram(NET, "b3_1").dot
    assert "0.335" in diagram(NET, "w1_11", numbers=True).dot


def test_of_many_paths_some_are_drawn_and_all_are_counted() -> None:
    dot = diagram(network((2, 6, 6, 6, 2)), "w1_11").dot
    assert f"72 paths from w1_11 to the loss, {len(HUES)} of them drawn" in dot


def test_the_confusion_matrix_counts_every_example() -> None:
    labels, guessed = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 2])
    assert confusion(labels, guessed, 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 2]]


def test_numbers_are_read_on_each_colour_of_the_confusion_matrix() -> None:
    matrix = np.arange(100).reshape(10, 10)
    figure = plot_confusion(matrix)
    [axes] = figure.axes
    for text in axes.texts:
        column, row = map(int, text.get_position())
        colours = to_rgb(text.get_color()), axes.images[0].to_rgba(matrix[row, column] ** 0.5)
        lights = [np.dot(linear(colour), (0.2126, 0.7152, 0.0722)) for colour in colours]
        assert (max(lights) + 0.05) / (min(lights) + 0.05) > 4.5


def linear(colour: Any) -> list[float]:
    """Red, green and blue as amounts of light (WCAG 2.2)."""
    return [
        part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]
    ]


@pytest.mark.slow
def test_figures_show_their_labels_and_are_the_same_twice(tmp_path: Path) -> None:
    history = [Epoch(n, 1 / n, 0.9) for n in (1, 2, 3)]
    labels, predicted = np.array([3, 1]), np.array([3, 7])
    x = np.zeros((2, 64))
    figures: list[tuple[Callable[[], Figure], str]] = [
        (partial(plot_curves, history), "held-out accuracy"),
        (partial(plot_confusion, confusion(labels, predicted, 8)), "taken for"),
        (partial(plot_mistaken, x, labels, predicted), "1, taken for 7"),
        (partial(plot_mistaken, x, labels, labels), "svg"),
    ]
    for draw, words in figures:
        first, second = (save_figure(draw(), tmp_path / f"{n}.svg").read_bytes() for n in (1, 2))
        assert first == second
        assert words in first.decode()
