"""Examples to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.apps.mlp.data import DataError, digits, load

if TYPE_CHECKING:
    from pathlib import Path


def test_the_digits_are_those_of_uci() -> None:
    examples = digits()
    labels = np.concatenate([examples.labels, examples.test_labels])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    x = np.concatenate([examples.x, examples.test_x])
    assert x.shape == (1797, 64)
    assert (x.min(), x.max()) == (0, 1)
    assert x.sum() * 16 == 561718


def test_the_seed_draws_what_is_held_out() -> None:
    assert np.array_equal(digits(3).test_x, digits(3).test_x)
    assert not np.array_equal(digits(3).test_labels, digits(4).test_labels)
    examples = digits()
    rows = {row.tobytes() for row in examples.x}
    assert sum(row.tobytes() in rows for row in examples.test_x) < 5  # a few are drawn alike


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "data.csv"
    path.write_text(text)
    return path


GOOD = "a,label,b\n" + "".join(f"{n},{n % 2},{n * n}\n" for n in range(10))


def test_csv_and_npz(tmp_path: Path) -> None:
    from_csv = load(csv_file(tmp_path, GOOD), 2, 2)
    n = np.arange(10.0)
    np.savez(tmp_path / "data.npz", x=np.column_stack([n, n * n]), y=n % 2)
    from_npz = load(tmp_path / "data.npz", 2, 2)
    np.testing.assert_array_equal(from_csv.x, from_npz.x)
    np.testing.assert_array_equal(from_csv.test_labels, from_npz.test_labels)
    assert from_csv.x.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert (len(from_csv.x), len(from_csv.test_x), from_csv.source) == (8, 2, "data.csv")


@pytest.mark.parametrize(("text", "message"), [
    (GOOD.replace("label", "class"), "no column 'label' in the first line: it has a, class, b"),
    ("", "no column 'label' in the first line: it has nothing"),
    (GOOD.replace("4,0,16", "4,0,nan"), "row 5, column 2 is nan"),
    (GOOD.replace("4,0,16", "4,0,x"), "could not convert string 'x' to float64 at row 4, column 3"),
    (GOOD.replace("4,0,16", "4,0"), "columns changed from 3 to 2 at row 5"),
    (GOOD.replace("4,0,16", "4,2,16"), "the label 2 does not fit 2 nodes of the output layer"),
    (GOOD.replace("4,0,16", "4,0.5,16"), "the label 0.5 does not fit"),
    (GOOD.replace("4,0,16", "4,inf,16"), "the label inf does not fit"),
    (GOOD.replace("4,0,16", "4,nan,16"), "the label nan does not fit"),
    ("a,label\n1,0\n2,1\n3,0\n4,1\n5,0\n", "1 columns for 2 nodes of the input layer"),
    ("a,label,b\n1,0,1\n", "at least 5 rows"),
    ("a,label,b\n\n", "no rows"),
    ("a,label\n" + "1,0,1\n" * 5, "3 columns under 2 names"),
])  # fmt: skip
def test_what_does_not_fit_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(csv_file(tmp_path, text), 2, 2)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"give an \.npz or \.csv file"):
        load(tmp_path / "data.xlsx", 2, 2)
    with pytest.raises(OSError, match="No such file"):
        load(tmp_path / "none.csv", 2, 2)
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), z=np.ones(9))
    with pytest.raises(DataError, match="no array 'y': it has x, z"):
        load(tmp_path / "data.npz", 2, 2)
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), y=np.array([{}] * 9))
    with pytest.raises(DataError, match=r"as a \.npz file of numbers"):
        load(tmp_path / "data.npz", 2, 2)
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), y=np.array(["a"] * 9))
    with pytest.raises(DataError, match="y is of type <U1: give numbers"):
        load(tmp_path / "data.npz", 2, 2)
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), y=np.float64(1))
    with pytest.raises(DataError, match=r"the labels \(\)"):
        load(tmp_path / "data.npz", 2, 2)
    for junk in (b"", b"PK\x03\x04 and no more", b"no zip at all"):
        (tmp_path / "data.npz").write_bytes(junk)
        with pytest.raises(DataError, match=r"cannot read .*data\.npz as a \.npz file"):
            load(tmp_path / "data.npz", 2, 2)
    (tmp_path / "data.csv").write_bytes("é,label,b\n1,0,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot read .*data\.csv as a \.csv file"):
        load(tmp_path / "data.csv", 2, 2)


def test_blank_lines_and_byte_order_marks_are_no_matter(tmp_path: Path) -> None:
    plain = load(csv_file(tmp_path, GOOD), 2, 2)
    (tmp_path / "data.CSV").write_text("\ufeff" + GOOD + "\n\n", encoding="utf-8")
    np.testing.assert_array_equal(load(tmp_path / "data.CSV", 2, 2).x, plain.x)
