"""Examples to learn from: the handwritten digits that come with the package, or a user's own."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pipeline import PipelineError

Array = np.ndarray[Any, Any]

HELD_OUT = 5
"""One example in so many is held out: no training uses it."""


class DataError(PipelineError, ValueError):
    """Examples that a network cannot learn from."""


@dataclass(frozen=True)
class Examples:
    """Inputs, a row for each example, and labels from 0 on.

    x, labels: to train on; test_x, test_labels: held out
    source: the name of the data
    """

    x: Array
    labels: Array
    test_x: Array
    test_labels: Array
    source: str


def digits(seed: int = 0) -> Examples:
    """The 1,797 digits: 64 pixels from 0 to 1, ten labels. The seed draws the held-out fifth.

    From E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository (1998), CC BY 4.0.

    >>> examples = digits()
    >>> examples.x.shape, examples.test_x.shape
    ((1438, 64), (359, 64))
    """
    packed = files("pipeline.apps.mlp.data").joinpath("digits.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", dtype=int)
    return split(table[:, :-1] / 16.0, table[:, -1], seed, "digits")


def split(x: Array, labels: Array, seed: int, source: str) -> Examples:
    """Hold out a fifth of some examples, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [len(x) // HELD_OUT])
    return Examples(x[train], labels[train], x[test], labels[test], source)


def load(path: Path, inputs: int, classes: int, seed: int = 0) -> Examples:
    """A user's examples: an .npz with arrays `x` and `y`, or a .csv with a column `label`.

    inputs, classes: nodes of the input and of the output layer
    Inputs are scaled to mean 0 and deviation 1 over the examples to train on.

    Raises `DataError` for data that do not fit, with the place; `OSError` for a missing file.
    """
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv"):
        raise DataError(f"cannot read {path}: give an .npz or .csv file")
    try:
        x, labels = _npz(path) if kind == ".npz" else _csv(path)
    except DataError:
        raise
    except (BadZipFile, EOFError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read {path} as a {kind} file of numbers: {error}") from error
    if x.ndim != 2 or labels.ndim != 1 or len(x) != len(labels) or len(x) < HELD_OUT:
        raise DataError(
            f"{path}: x has the shape {x.shape}, the labels {labels.shape}: give a row for each "
            f"label, at least {HELD_OUT} rows"
        )
    if x.shape[1] != inputs:
        raise DataError(f"{path}: {x.shape[1]} columns for {inputs} nodes of the input layer")
    for row, column in np.argwhere(~np.isfinite(x)):
        raise DataError(f"{path}: row {row + 1}, column {column + 1} is {x[row, column]}")
    for label in labels[(labels != np.floor(labels)) | (labels < 0) | (labels >= classes)]:
        raise DataError(
            f"{path}: the label {label:g} does not fit {classes} nodes of the output layer: "
            f"labels are whole numbers from 0 to {classes - 1}"
        )
    examples = split(x, labels.astype(int), seed, path.name)
    mean, deviation = examples.x.mean(axis=0), examples.x.std(axis=0)
    deviation[deviation == 0] = 1
    x, test_x = ((part - mean) / deviation for part in (examples.x, examples.test_x))
    return replace(examples, x=x, test_x=test_x)


def _npz(path: Path) -> tuple[Array, Array]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        for name in ("x", "y"):
            if name not in arrays:
                raise DataError(f"{path}: no array {name!r}: it has {', '.join(arrays)}")
            if (dtype := np.asarray(arrays[name]).dtype).kind not in "biuf":
                raise DataError(f"{path}: {name} is of type {dtype}: give numbers")
        return arrays["x"].astype(float), arrays["y"].astype(float)


def _csv(path: Path) -> tuple[Array, Array]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = next(csv.reader(file), [])
        if "label" not in head:
            names = ", ".join(head) or "nothing"
            raise DataError(f"{path}: no column 'label' in the first line: it has {names:.200}")
        lines = [line for line in file if line.strip()]
    if not lines:
        raise DataError(f"{path}: no rows: give at least {HELD_OUT}")
    table = np.loadtxt(lines, delimiter=",", quotechar='"', comments=None, ndmin=2)
    if table.shape[1] != len(head):
        raise DataError(f"{path}: {table.shape[1]} columns under {len(head)} names")
    place = head.index("label")
    return np.delete(table, place, axis=1), table[:, place]
