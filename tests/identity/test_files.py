"""Files by what is in them."""

from __future__ import annotations

import io
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import fsspec
import h5py  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
import zarr
from dask.dataframe.dask_expr.io.parquet import FragmentWrapper
from dask.utils import SerializableLock
from xarray.backends.file_manager import CachingFileManager

from pipeline import File, digest
from pipeline.identity import file_content, files, signature_of


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


@pytest.mark.parametrize("way", ["argument", "input"])
def test_a_change_while_a_file_is_read_for_long_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    signature = signature_of(os.fspath(path))
    assert signature is not None

    def content() -> str:
        if way == "argument":
            return File(path).__dask_tokenize__()[-1]
        return file_content(os.fspath(path), signature)

    def slow(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*args: Any) -> Any:
            clock.time_ns = lambda: changed + 60 * 10**9
            return read(*args)

        return reading

    changed = signature.ctime
    clock = SimpleNamespace(time_ns=lambda: changed)
    monkeypatch.setattr(files, "time", clock)
    for name in ("file_digest", "xxh3_128"):
        monkeypatch.setattr(files, name, slow(getattr(files, name)))
    monkeypatch.setattr(files, "_signature", lambda _: signature)  # one tick of the clock
    before = content()
    path.write_text("two")
    assert content() != before


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


STAT = {
    "st_mode": 0o100600,
    "st_ino": 1,
    "st_dev": 2,
    "st_size": 3,
    "st_mtime_ns": 10**9,
    "st_ctime_ns": 10**9,
}


@pytest.fixture
def stat(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the system reports of every file."""
    reported = {**STAT}

    def fstat(_: int) -> SimpleNamespace:
        return SimpleNamespace(**reported)

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
    monkeypatch.setattr("pipeline.identity.files.time.time_ns", lambda: 100 * 10**9)
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


# Handles


def test_a_file_of_fsspec_counts_by_its_path_and_how_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    before = digest(fsspec.open(path))
    path.write_text("changed")
    in_thread = ThreadPoolExecutor(1).submit(lambda: digest(fsspec.open(path))).result()
    assert digest(fsspec.open(path)) == in_thread == before
    others = [
        fsspec.open(path, "rt"),
        fsspec.open(path, "rt", encoding="latin1"),
        fsspec.open(path, compression="gzip"),
        fsspec.open(tmp_path / "b.txt"),
    ]
    assert len({before, *map(digest, others)}) == 5


def test_a_file_that_is_not_local_has_no_content() -> None:
    with pytest.raises(TypeError, match="not local, so their content is not tracked"):
        digest(fsspec.open("memory://a.txt"))


def test_a_file_that_is_opened_for_writing_has_no_content(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="only mode 'r' has a content"):
        digest(fsspec.open(tmp_path / "a.txt", "wb"))


def test_a_fragment_of_arrow_counts_by_its_path_its_rows_and_its_partition(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": range(10), "y": [0, 1] * 5})
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=5)
    frame.to_parquet(tmp_path / "hive", partition_cols=["y"])

    def fragments(name: str) -> Any:
        dataset = pyarrow.dataset.dataset(str(tmp_path / name), partitioning="hive")
        return list(dataset.get_fragments())

    [fragment] = fragments("a.parquet")
    before = digest(fragment)
    assert fragment.metadata.num_row_groups == 2  # it is read, and known from now on
    assert digest(fragment) == before == digest(fragments("a.parquet")[0])
    assert digest(pickle.loads(pickle.dumps(fragment))) == before  # noqa: S301 - it is our own
    parts = [fragment.subset(row_group_ids=[place]) for place in range(2)]
    assert len({before, *map(digest, parts), *map(digest, fragments("hive"))}) == 5
    wrapped = FragmentWrapper(fragment, fragment.filesystem)
    before = digest(wrapped)
    wrapped.pack()
    assert digest(wrapped) == before != digest(FragmentWrapper(parts[0], fragment.filesystem))


def test_a_fragment_in_memory_counts_by_its_bytes(tmp_path: Path) -> None:
    digests = set()
    for count in (1, 2):
        pd.DataFrame({"x": range(count)}).to_parquet(tmp_path / "a.parquet")
        data = pyarrow.py_buffer((tmp_path / "a.parquet").read_bytes())
        digests.add(digest(pyarrow.dataset.ParquetFileFormat().make_fragment(data)))
    assert len(digests) == 2


def test_a_lock_that_dask_can_send_counts_by_its_kind() -> None:
    locks = [SerializableLock(), SerializableLock("named")]
    assert len({digest(lock) for lock in locks}) == 1
    with pytest.raises(TypeError):
        digest(threading.Lock())


def test_a_manager_of_xarray_counts_by_what_it_opens_and_not_by_its_name(tmp_path: Path) -> None:
    def manager(*args: Any, mode: str = "r", **options: Any) -> Any:
        return CachingFileManager(open, *args, mode=mode, kwargs=options)

    path = str(tmp_path / "a")
    same = {digest(manager(path)) for _ in range(2)}
    assert len({*same, digest(manager(path, encoding="latin1")), digest(manager(path + "b"))}) == 3
    with pytest.raises(TypeError, match="only mode 'r'"):
        digest(manager(path, mode="a"))
    with pytest.raises(TypeError, match="not from a path"):
        digest(manager(io.BytesIO()))
    with pytest.raises(TypeError, match="not a local file"):
        digest(manager("http://a.b/c"))


def test_data_of_h5py_counts_by_its_file_and_name(tmp_path: Path) -> None:
    path = tmp_path / "h"
    with h5py.File(path, "w") as file:
        file["a"] = file["b"] = np.arange(5)
        layout = h5py.VirtualLayout((5,), int)
        layout[:] = h5py.VirtualSource(tmp_path / "other", "a", (5,))
        file.create_virtual_dataset("virtual", layout)
    with h5py.File(path, "r") as file:
        assert len({digest(file["a"]), digest(file["b"]), digest(file), digest(file["a"])}) == 3
        with pytest.raises(TypeError, match="other files"):
            digest(file["virtual"])
    with h5py.File(path, "a") as file, pytest.raises(TypeError, match="only mode 'r'"):
        digest(file["a"])
    with h5py.File(io.BytesIO(path.read_bytes()), "r") as file, pytest.raises(TypeError):
        digest(file["a"])


def test_a_memory_map_counts_by_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    np.arange(4096.0).tofile(path)
    whole = np.memmap(path, mode="r")
    for offset in (0, 8, 8192):
        view = np.memmap(path, mode="r", offset=offset)
        assert digest(view) == digest(whole[offset:])
        assert digest(view[80:90]) == digest(whole[offset + 80 : offset + 90])
    views = [whole[:8], whole[8:16], whole[:16:2], whole[:8].view("i8"), whole[:8][::-1]]
    assert len(set(map(digest, views))) == 5
    before = digest(views[1])
    np.arange(1, 4097.0).tofile(path)
    assert digest(whole[8:16]) == before


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_a_memory_map_that_can_be_written_counts_by_its_values(tmp_path: Path, mode: Any) -> None:
    np.arange(4.0).tofile(tmp_path / "m")
    view: Any = np.memmap(tmp_path / "m", mode=mode)
    before = digest(view)
    view[0] = 5
    assert digest(view) != before


def test_a_store_of_zarr_counts_by_its_folder(tmp_path: Path) -> None:
    one, other = (
        zarr.create_array(str(tmp_path / name), shape=(4,), chunks=(2,), dtype=float)
        for name in ("a.zarr", "b.zarr")
    )
    before = digest(one)
    one[:] = 1.0
    assert (
        digest(one) == before == digest(zarr.open_array(str(tmp_path / "a.zarr"))) != digest(other)
    )
    first, second = (zarr.create_array({}, shape=(1,), dtype=float) for _ in range(2))
    first[:], second[:] = 1.0, 2.0
    assert digest(first) != digest(second)


OPENED: Any = None


def reaches_opened() -> Any:
    return OPENED[:]


def test_a_handle_that_a_function_reaches_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.arange(4.0).tofile(tmp_path / "m")
    monkeypatch.setitem(globals(), "OPENED", np.memmap(tmp_path / "m", mode="r"))
    with pytest.raises(TypeError, match="pass it to the function"):
        digest(reaches_opened)
