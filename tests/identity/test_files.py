"""Files by what is in them."""

from __future__ import annotations

import os
import pickle
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import dask
import numpy as np
import pandas as pd
import pytest

from pipeline import File, digest


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


def test_the_content_of_a_file_is_its_suffix_and_its_hash(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.csv").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    a, b = sha256(b"a").hexdigest(), sha256(b"b").hexdigest()
    assert File(tmp_path / "deep" / "b.csv").__dask_tokenize__() == ("File", ".csv", b)
    assert File(tmp_path / "a").__dask_tokenize__() == ("File", "", a)
    assert File(tmp_path).__dask_tokenize__() == ("File", "/", f"a {a}", f"deep/b.csv {b}")


STAT = {"st_ino": 1, "st_dev": 2, "st_size": 3, "st_mtime_ns": 10**9, "st_ctime_ns": 10**9}


@pytest.fixture
def stat(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the system reports of every file."""
    reported = {**STAT}

    def fstat(_: int) -> SimpleNamespace:
        times = {name: reported[f"{name}_ns"] / 1e9 for name in ("st_mtime", "st_ctime")}
        return SimpleNamespace(**reported, **times)

    monkeypatch.setattr("pipeline.identity.files.os.fstat", fstat)
    return reported


@pytest.mark.parametrize("field", STAT)
def test_a_file_is_read_again_if_the_system_reports_a_change(
    tmp_path: Path, stat: dict[str, int], field: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    before = digest(File(path))
    path.write_text("two")
    assert digest(File(path)) == before  # nothing that is reported changed
    stat[field] += 1
    assert digest(File(path)) != before


@pytest.mark.parametrize("field", ["st_mtime_ns", "st_ctime_ns"])
@pytest.mark.parametrize(("age", "is_read_again"), [(-1, True), (1, True), (2, True), (3, False)])
def test_a_file_that_changed_just_now_is_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stat: dict[str, int], field: str, age: int,
    is_read_again: bool,
) -> None:  # fmt: skip
    path = tmp_path / "a.txt"
    monkeypatch.setattr("pipeline.identity.files.time.time", lambda: 100.0)
    stat[field] = (100 - age) * 10**9
    path.write_text("one")
    before = digest(File(path))
    path.write_text("two")
    assert (digest(File(path)) != before) is is_read_again


def test_files_of_one_name_in_two_folders_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stat: dict[str, int]
) -> None:
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("a.txt").write_text(name)
        digests.add(digest(File("a.txt")))
    assert len(digests) == 2


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
    assert File("a") != "a"
