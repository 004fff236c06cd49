"""Examples to learn from: the handwritten digits that come with the package, or a user's own."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]

HELD_OUT = 5
"""One example in so many is held out, and never trained on."""


class DataError(ValueError):
    """Examples that a network cannot learn from."""


@dataclass(frozen=True)
class Examples:
    """Inputs, a row an example, and labels from 0 on, in two parts.

    x, labels: to train on
    test_x, test_labels: held out
    source: where they are from
    """

    x: Array
    labels: Array
    test_x: Array
    test_labels: Array
    source: str


def digits(seed: int = 0) -> Examples:
    """The 1,797 digits: 64 pixels from 0 to 1, ten labels; a fifth is held out, by the seed.

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
    held = len(x) // HELD_OUT
    test, train = order[:held], order[held:]
    return Examples(x[train], labels[train], x[test], labels[test], source)


def load(path: Path, inputs: int, classes: int, seed: int = 0) -> Examples:
    """A user's examples: an .npz with arrays `x` and `y`, or a .csv with a column `label`.

    inputs, classes: nodes of the input and of the output layer
    Inputs are scaled to mean 0 and deviation 1, by those that are trained on.

    Raises `DataError` for what does not fit, with the place; `OSError` where there is no file.
    """
    kind = path.suffix.lower()
    if kind not in (".npz", ".csv"):
        raise DataError(f"cannot read {path}: data are in an .npz or .csv file")
    try:
        x, labels = _npz(path) if kind == ".npz" else _csv(path)
    except (BadZipFile, EOFError, KeyError, TypeError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} is no {kind} file that can be read: {error}") from error
    if x.ndim != 2 or labels.ndim != 1 or len(x) != len(labels) or len(x) < HELD_OUT:
        raise DataError(
            f"{path}: x is {_shape(x)}, the labels {_shape(labels)}: give a row for each label, at "
            f"least {HELD_OUT} rows"
        )
    if x.shape[1] != inputs:
        raise DataError(f"{path}: {x.shape[1]} columns for {inputs} nodes of the input layer")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"{path}: row {row + 1}, column {column + 1} is {x[row, column]}")
    wrong = [each for each in labels.tolist() if not each.is_integer() or not 0 <= each < classes]
    if wrong:
        raise DataError(
            f"{path}: the label {wrong[0]:g} does not fit {classes} nodes of the output layer: "
            f"labels are whole numbers from 0 to {classes - 1}"
        )
    found = split(x, labels.astype(int), seed, path.name)
    mean, deviation = found.x.mean(axis=0), found.x.std(axis=0)
    deviation[deviation == 0] = 1
    return Examples(
        (found.x - mean) / deviation, found.labels, (found.test_x - mean) / deviation,
        found.test_labels, found.source,
    )  # fmt: skip


def _shape(array: Array) -> str:
    return "×".join(map(str, array.shape)) or "one number"


def _npz(path: Path) -> tuple[Array, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            missing = [name for name in ("x", "y") if name not in found]
            if missing:
                raise DataError(f"{path}: no array {missing[0]!r}: it has {', '.join(found)}")
            return _numbers(path, "x", found["x"]), _numbers(path, "y", found["y"])
    except (OSError, DataError):
        raise
    except ValueError as error:
        raise DataError(f"{path} is no .npz file of numbers") from error


def _numbers(path: Path, name: str, array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: {name} is of type {array.dtype}: give numbers")
    return array.astype(float)


def _csv(path: Path) -> tuple[Array, Array]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows or "label" not in rows[0]:
        head = ", ".join(rows[0]) if rows else "nothing"
        raise DataError(f"{path}: no column 'label' in the first line: it has {head:.200}")
    place = rows[0].index("label")
    table = np.empty((len(rows) - 1, len(rows[0])))
    for number, row in enumerate(rows[1:]):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}: line {number + 2} has {len(row)} of {len(rows[0])} columns")
        for column, cell in enumerate(row):
            try:
                table[number, column] = float(cell)
            except ValueError:
                raise DataError(
                    f"{path}: line {number + 2}, column {rows[0][column]!r}: {cell!r} is no number"
                ) from None
    return np.delete(table, place, axis=1), table[:, place]
