"""Entries in a folder."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.store.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO, THREE = 32 * "a", "ab" + 30 * "c", 32 * "f"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "store", is_durable=False)


def put(folder: Folder, digest: str, data: bytes = b"some") -> None:
    with folder.aside(digest, [data]) as written:
        written.publish()


def test_an_empty_folder_that_is_not_there_has_nothing(folder: Folder) -> None:
    assert not folder.has(ONE)
    assert folder.known([ONE, ""]) == set()
    assert folder.read(ONE) is None
    assert folder.stat(ONE) is None
    assert [*folder.names(), *folder.heads([ONE], 5), *folder.notes("runs")] == []
    assert folder.count() == folder.remove(ONE) == folder.sweep() == 0
    folder.touch(ONE)
    assert not os.path.exists(folder.path)


def test_entries_are_found_by_their_digests(folder: Folder) -> None:
    for each in (THREE, ONE, TWO):
        put(folder, each, each.encode())
    assert list(folder.names()) == [ONE, TWO, THREE]
    assert folder.known([ONE, THREE, 32 * "0"]) == {ONE, THREE}
    assert [(each, bytes(view)) for each, view in folder.heads([TWO, 32 * "0"], 3)] == [
        (TWO, b"abc")
    ]
    found = folder.read(TWO)
    assert found is not None
    assert bytes(found[0]) == TWO.encode()
    assert folder.count() == sum(each.bytes for each in folder.stats().values()) == 96
    assert folder.remove(ONE) == 32
    assert list(folder.stats()) == [TWO, THREE]


def test_a_second_put_takes_the_place_of_the_first_and_maps_stay(folder: Folder) -> None:
    put(folder, ONE, old := os.urandom(1 << 19))
    found = folder.read(ONE)
    put(folder, ONE, b"new")
    assert found is not None
    assert bytes(found[0]) == old
    assert folder.count() == 3


def test_an_entry_in_the_folder_of_another_is_none(folder: Folder) -> None:
    put(folder, ONE)
    shutil.copy(folder._at(ONE), f"{folder.path}/entries/aa/{TWO}")
    os.mkdir(f"{folder.path}/entries/zz")
    shutil.copy(folder._at(ONE), f"{folder.path}/entries/zz/{TWO}")
    open(f"{folder.path}/entries/file", "w").close()
    assert list(folder.names()) == [ONE]


def test_a_file_has_another_identity_after_any_change(folder: Folder) -> None:
    put(folder, ONE)
    fresh = folder.stat(ONE)
    assert fresh is not None
    assert fresh.identity == ()  # a change now could have the same time
    time.sleep(0.12)
    before = folder.stat(ONE)
    folder.touch(ONE)
    time.sleep(0.12)
    after = folder.stat(ONE)
    assert before is not None
    assert after is not None
    assert () != before.identity != after.identity != ()
    assert after.used > before.used


def test_a_folder_that_holds_something_else_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    (tmp_path / "b.txt").write_text("mine")
    folder = Folder(tmp_path)
    put(folder, ONE)
    folder.note("runs", "{}")
    folder.sweep()
    assert (tmp_path / "thesis" / "a.txt").read_text() == "mine"
    assert {each.name for each in tmp_path.iterdir()} == {
        "thesis", "b.txt", "entries", "aside", "notes", "dask-memo",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["entries", "aside", "leases", "notes", "size"])
def test_what_has_our_names_and_is_no_store_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / ONE).write_text("mine")
    folder = Folder(tmp_path)
    for use in (lambda: put(folder, ONE), lambda: folder.lease(ONE), lambda: folder.note("a", "")):
        with pytest.raises(FileExistsError, match=f"{name} is in it, and it is no store: give ano"):
            use()
    assert (tmp_path / name / ONE).read_text() == "mine"
    (tmp_path / "dask-memo").touch()
    if name != "size":
        put(Folder(tmp_path), TWO)


def test_a_store_of_a_later_version_is_left_alone(folder: Folder) -> None:
    put(folder, ONE)
    with open(f"{folder.path}/dask-memo", "w") as file:
        file.write("2\n")
    with pytest.raises(OSError, match="a store of version '2', and this program knows 1: update"):
        put(Folder(folder.path), TWO)
    assert folder.read(ONE) is not None


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_folder_that_is_removed_under_it_is_made_again(folder: Folder, is_replaced: bool) -> None:
    put(folder, ONE)
    folder.note("runs", "a")
    lease = folder.lease(ONE)
    shutil.rmtree(folder.path)
    if is_replaced:
        put(Folder(folder.path), THREE)
    lease.end(True)
    put(folder, TWO)
    folder.note("runs", "b")
    folder.lease(ONE).end(True)
    with folder.locked():
        folder.set_total(folder.count())
    assert TWO in list(folder.names())
    assert folder.notes("runs") == ["b"]
    assert os.path.exists(f"{folder.path}/dask-memo")


def test_a_folder_that_is_removed_while_an_entry_is_written_is_an_error(folder: Folder) -> None:
    with folder.aside(ONE, [b"some"]) as written:
        shutil.rmtree(folder.path)
        with pytest.raises(FileNotFoundError):
            written.publish()
    put(folder, ONE)
    assert folder.has(ONE)


def test_a_folder_that_is_replaced_by_an_empty_one_is_marked_again(folder: Folder) -> None:
    put(folder, ONE)
    shutil.rmtree(f"{folder.path}/entries")
    os.unlink(f"{folder.path}/dask-memo")
    shutil.rmtree(f"{folder.path}/aside")
    put(folder, TWO)
    put(Folder(folder.path), THREE)
    assert list(folder.names()) == [TWO, THREE]


def test_it_stays_where_it_was_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder("here")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    put(folder, ONE)
    assert (tmp_path / "here" / "entries" / "aa" / ONE).exists()


def test_leases_of_the_dead_are_swept_and_those_of_the_living_are_not(folder: Folder) -> None:
    lease = folder.lease(ONE)
    open(f"{folder.path}/leases/{TWO}", "w").close()
    open(f"{folder.path}/leases/notes.txt", "w").close()
    assert folder.sweep() == 0
    assert sorted(os.listdir(f"{folder.path}/leases")) == [ONE, "notes.txt"]
    lease.end(True)
    assert os.listdir(f"{folder.path}/leases") == ["notes.txt"]


@pytest.mark.parametrize("name", ["size", "dask-memo", "notes/runs", f"leases/{32 * 'a'}"])
def test_a_link_in_a_store_does_not_lead_out_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("mine")
    place = tmp_path / "store"
    (place / name).parent.mkdir(parents=True)
    if name != "dask-memo":
        (place / "dask-memo").write_text("1")
    (place / name).symlink_to(tmp_path / ("precious" if name != "dask-memo" else "none"))
    folder = Folder(place)

    def use() -> None:
        with folder.locked():
            folder.set_total(5)
        folder.note("runs", "{}")
        folder.lease(32 * "a").end(False)

    with pytest.raises(OSError, match="symbolic links"):
        use()
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "none").exists()
