"""Entries move as one tar file; what is no whole entry stays out, and nothing is extracted."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreWarning, measure
from pipeline.archive import export, take
from pipeline.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"{number:032x}" for number in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "cache", durable=False)
    for number, name in enumerate(NAMES):
        found.put(name, np.arange(100 * number), function="f", call=f"f({number})", seconds=1.5)
    return found


@pytest.fixture
def tar(store: Store, tmp_path: Path) -> Path:
    export(store, tmp_path / "all.tar")
    return tmp_path / "all.tar"


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other", durable=False)


def entry_of(tar: Path, name: str = NAMES[1]) -> bytes:
    with tarfile.open(tar) as file:
        found = file.extractfile(name)
        assert found is not None
        return found.read()


def test_entries_come_through_as_they_were(store: Store, tar: Path, other: Store) -> None:
    moved = take(other, tar)
    assert (moved.entries, moved.known, moved.refused) == (5, 0, [])
    assert list(other.entries()) == list(store.entries())
    for number, name in enumerate(NAMES):
        assert np.array_equal(other.get(name), np.arange(100 * number))
    again = take(other, tar)
    assert (again.entries, again.known) == (0, 5)


@pytest.mark.parametrize("url", ["memory://archive", "file://{}/third"])
def test_stores_of_any_kind_give_and_take(url: str, tar: Path, tmp_path: Path) -> None:
    third = Store(url.format(tmp_path))
    assert take(third, tar).entries == 5
    export(third, tmp_path / "third.tar")
    assert (tmp_path / "third.tar").read_bytes() == tar.read_bytes()


def test_an_archive_is_the_same_each_time_and_any_tar_reads_it(store: Store, tar: Path) -> None:
    second = tar.with_name("second.tar")
    export(store, second)
    assert second.read_bytes() == tar.read_bytes()
    assert second.stat().st_mode & 0o777 == 0o600
    with tarfile.open(tar) as file:
        assert file.getnames() == NAMES
        assert all(each.isreg() and not each.uid for each in file)


def test_some_entries_are_exported(store: Store, tmp_path: Path, other: Store) -> None:
    moved = export(store, tmp_path / "some.tar", [NAMES[3], NAMES[0]])
    assert moved.entries == 2
    assert take(other, tmp_path / "some.tar").entries == 2
    assert sorted(each.digest for each in other.entries()) == [NAMES[0], NAMES[3]]


def test_the_other_store_loads_and_explains(tmp_path: Path, other: Store) -> None:
    def fit(rate: float) -> float:
        return rate * 2

    store = Store(tmp_path / "cache")
    pipeline.compute(delayed(fit)(0.1), store=store)
    moved = export(store, tmp_path / "fit.tar")
    assert (moved.entries, moved.codes) == (1, 1)
    assert take(other, tmp_path / "fit.tar").codes == 1
    with measure() as measured:
        assert pipeline.compute(delayed(fit)(0.1), store=other) == (0.2,)
    assert measured.tasks == 0
    assert [each.why for each in other.explain(delayed(fit)(0.3)).lines] == [
        "argument 1 was 0.1, is 0.3"
    ]

    def edited(rate: float) -> float:
        return rate * 3

    edited.__name__ = edited.__qualname__ = "fit"
    edited.__qualname__ = fit.__qualname__
    assert [each.why for each in other.explain(delayed(edited)(0.1)).lines] == ["its code changed"]


def test_torn_entries_are_left_out_and_told(store: Store, tmp_path: Path) -> None:
    [path] = (tmp_path / "cache").glob(f"entries/*/{NAMES[2]}")
    os.truncate(path, path.stat().st_size - 1)
    moved = export(store, tmp_path / "all.tar")
    assert moved.entries == 4
    [(name, why)] = moved.refused
    assert name == NAMES[2]
    assert why.startswith("a torn entry")


def test_a_failed_export_leaves_what_was_there(
    store: Store, tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = tar.read_bytes(), Folder.read

    def broken(self: Folder, digest: str, most: int | None = None) -> Any:
        if digest == NAMES[3]:
            raise OSError(5, "the disk is broken")
        return read(self, digest, most)

    monkeypatch.setattr(Folder, "read", broken)
    with pytest.raises(OSError, match="the disk is broken"):
        export(store, tar)
    assert tar.read_bytes() == before
    assert not list(tar.parent.glob("*.part"))


def test_entries_are_streamed(tmp_path: Path, other: Store) -> None:
    store = Store(tmp_path / "cache", durable=False)
    for name in NAMES[:3]:
        store.put(name, np.zeros(2_000_000))
    tracemalloc.start()
    try:
        export(store, tmp_path / "large.tar")
        take(other, tmp_path / "large.tar")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    assert (tmp_path / "large.tar").stat().st_size > 48_000_000
    assert len(other) == 3


def test_a_torn_entry_is_mended_by_an_import(tar: Path, other: Store, tmp_path: Path) -> None:
    take(other, tar)
    [path] = (tmp_path / "other").glob(f"entries/*/{NAMES[2]}")
    os.truncate(path, 70)
    with pytest.warns(StoreWarning, match=f"{NAMES[2]} is removed"):
        moved = take(other, tar)
    assert (moved.entries, moved.known) == (1, 4)
    assert len(other.get(NAMES[2])) == 200


def test_what_is_larger_than_the_store_is_refused(tar: Path, tmp_path: Path) -> None:
    small = Store(tmp_path / "small", max_bytes=1500)
    moved = take(small, tar)
    assert [name for name, _ in moved.refused] == NAMES[2:]
    assert "over max_bytes=1,500" in moved.refused[0][1]


def test_an_empty_store_is_an_empty_archive(tmp_path: Path, other: Store) -> None:
    export(Store(tmp_path / "none"), tmp_path / "none.tar")
    assert take(other, tmp_path / "none.tar").entries == 0
    assert not (tmp_path / "other").exists()


def test_tar_files_of_other_programs_are_read(tar: Path, other: Store, tmp_path: Path) -> None:
    for kind in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "again.tar", "w", format=kind) as file:
            for name in NAMES:
                info = tarfile.TarInfo(name)
                info.size = len(data := entry_of(tar, name))
                file.addfile(info, io.BytesIO(data))
        assert take(other, tmp_path / "again.tar").refused == []
    assert len(other) == 5
