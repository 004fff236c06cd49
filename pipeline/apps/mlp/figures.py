"""What a training came to, as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.draw import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.apps.mlp.training import Epoch

Array = np.ndarray[Any, Any]


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """How often each label (row) was taken for each other (column).

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    found = np.zeros((classes, classes), int)
    np.add.at(found, (labels, predicted), 1)
    return found


def plot_curves(history: Sequence[Epoch], path: Path) -> Path:
    """Loss and held-out accuracy against epochs."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    numbers = [epoch.number for epoch in history]
    for axes, name, text, hue in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("loss", "held-out accuracy"),
        ("#aa3377", "#4477aa"), strict=True,
    ):  # fmt: skip
        axes.plot(numbers, [getattr(epoch, name) for epoch in history], color=hue)
        axes.set(xlabel="epoch", ylabel=text)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        if name == "loss":
            axes.set_yscale("log")
    return _save(figure, path)


def plot_confusion(found: Array, path: Path) -> Path:
    """The confusion matrix, with its numbers."""
    size = 2.2 + 0.38 * len(found)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.sqrt(found), cmap="Blues")
    for row, column in np.argwhere(found):
        dark = found[row, column] > found.max() / 2
        axes.text(column, row, found[row, column], ha="center", va="center", fontsize=9,
                  color="white" if dark else "black")  # fmt: skip
    axes.set(xlabel="taken for", ylabel="label", xticks=range(len(found)), yticks=range(len(found)))
    return _save(figure, path)


def plot_mistaken(x: Array, labels: Array, predicted: Array, path: Path, most: int = 24) -> Path:
    """Square pictures that were mistaken, and what they were taken for."""
    side = round(x.shape[1] ** 0.5)
    wrong = np.flatnonzero(labels != predicted)[:most]
    rows = max(1, -(-len(wrong) // 8))
    figure = Figure(figsize=(9, 1.45 * rows), layout="constrained")
    for axes in figure.subplots(rows, 8, squeeze=False).flat:
        axes.set_axis_off()
    for axes, place in zip(figure.axes, wrong, strict=False):
        axes.imshow(x[place].reshape(side, side), cmap="Greys")
        axes.set_title(f"{labels[place]}, taken for {predicted[place]}", fontsize=8)
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    with (
        rc_context({"svg.hashsalt": "pipeline", "svg.fonttype": "none"}),
        atomic_write(path) as file,
    ):
        figure.savefig(file, format=path.suffix[1:], metadata={"Date": None})
    return path
