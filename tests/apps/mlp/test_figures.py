"""What a training came to, as figures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pipeline.apps.mlp.figures import confusion, plot_confusion, plot_curves, plot_mistaken
from pipeline.apps.mlp.training import Epoch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_confusion_matrix_counts_every_example() -> None:
    labels, guessed = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 2])
    assert confusion(labels, guessed, 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 2]]


def test_figures_say_what_they_show_and_are_the_same_twice(tmp_path: Path) -> None:
    history = [Epoch(n, 1 / n, 0.9) for n in (1, 2, 3)]
    labels, guessed = np.array([3, 1]), np.array([3, 7])
    x = np.zeros((2, 64))
    found = confusion(labels, guessed, 8)
    figures: list[tuple[Callable[[Path], Path], str]] = [
        (partial(plot_curves, history), "held-out accuracy"),
        (partial(plot_confusion, found), "taken for"),
        (partial(plot_mistaken, x, labels, guessed), "1, taken for 7"),
        (partial(plot_mistaken, x, labels, labels), "svg"),
    ]
    for draw, words in figures:
        first, second = (draw(tmp_path / f"{n}.svg").read_bytes() for n in (1, 2))
        assert first == second
        assert words in first.decode()
