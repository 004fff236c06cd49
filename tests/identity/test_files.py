"""Files by what is in them."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import dask
import numpy as np
import pandas as pd
import pytest

from pipeline import File, digest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_counts_by_its_content_not_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    one, other = tmp_path / "a.txt", tmp_path / "inner" / "b.txt"
    one.write_text("same")
    other.write_text("same")
    assert digest(File(one)) == digest(File(other)) == digest(File(os.fspath(one)))
    assert digest(File(one)) != digest(one)


def test_a_change_is_noticed_whenever_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    digests = set()
    for text in ("one", "two", "six"):  # of one length, within one tick of the clock
        path.write_text(text)
        digests.add(digest(File(path)))
    assert len(digests) == 3
    os.utime(path, (1, 1))
    assert digest(File(path)) in digests


def test_the_suffix_counts_for_readers_go_by_it(tmp_path: Path) -> None:
    for name in ("a.csv", "a.csv.gz"):
        (tmp_path / name).write_bytes(b"same")
    assert digest(File(tmp_path / "a.csv")) != digest(File(tmp_path / "a.csv.gz"))


def test_a_folder_counts_by_all_files_in_it(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "x").write_text("x")
    assert digest(File(tmp_path / "one")) == digest(File(tmp_path / "two"))
    (tmp_path / "two" / "deep" / "y").write_text("x")
    assert digest(File(tmp_path / "one")) != digest(File(tmp_path / "two"))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="No such file"):
        digest(File(tmp_path / "none"))


def test_readers_take_it_for_a_path(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_csv(tmp_path / "f.csv", index=False)
    np.save(tmp_path / "f.npy", np.arange(3))
    assert pd.read_csv(File(tmp_path / "f.csv")).equals(frame)
    assert np.load(File(tmp_path / "f.npy")).tolist() == [0, 1, 2]
    with open(File(tmp_path / "f.csv")) as file:
        assert file.readline() == "a\n"
    [read] = dask.compute(dask.delayed(pd.read_csv)(File(tmp_path / "f.csv")))
    assert read.equals(frame)


def test_it_is_a_value() -> None:
    assert File("a") == File("a") != File("b")
    assert len({File("a"), File("a")}) == 1
    assert pickle.loads(pickle.dumps(File("a"))) == File("a")  # noqa: S301 - its own
    assert repr(File("a")) == "File('a')"
