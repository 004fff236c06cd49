"""Entries in a folder, its temporary files, and the files of a disk."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from pipeline.store.backends import disk, locks
from pipeline.store.backends.claims import open_file
from pipeline.store.backends.disk import Disk
from pipeline.store.backends.files import names_in
from tests.store.open_files import has_proc, open_files

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO, THREE = 32 * "a", "ab" + 30 * "c", 32 * "f"


@pytest.fixture
def folder(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "store", durable=False)


def file_of(folder: Disk, digest: str) -> str:
    return f"{folder.address}/entries/{digest[:2]}/{digest}"


def put(folder: Disk, digest: str, data: bytes = b"some") -> None:
    folder.write(digest, [data])


def test_a_missing_folder_has_no_entries(folder: Disk) -> None:
    assert folder.known([ONE, ""]) == set()
    assert folder.read(ONE) is None
    assert folder.stat(ONE) is None
    assert [*folder.digests(), *folder.heads([ONE], 5), *folder.notes("runs")] == []
    assert folder.remove(ONE) is None
    assert folder.count() == folder.sweep() == 0
    folder.touch(ONE)
    assert not os.path.exists(folder.address)


@pytest.mark.parametrize("is_for_group", [False, True])
def test_threads_make_one_store_at_once(tmp_path: Path, is_for_group: bool) -> None:
    def one_thread(folder: Disk, digest: str, barrier: Barrier) -> None:
        barrier.wait()
        put(folder, digest)

    interval, digests = sys.getswitchinterval(), [ONE, TWO, THREE]
    sys.setswitchinterval(1e-5)
    try:
        for number in range(100):
            folder = Disk(tmp_path / str(number), durable=False, is_for_group=is_for_group)
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(one_thread, 3 * [folder], digests, 3 * [Barrier(3)]))
            assert list(folder.digests()) == [ONE, TWO, THREE]
    finally:
        sys.setswitchinterval(interval)


def test_entries_are_found_by_their_digests(folder: Disk) -> None:
    for digest in (THREE, ONE, TWO):
        put(folder, digest, digest.encode())
    assert list(folder.digests()) == [ONE, TWO, THREE]
    assert folder.known([ONE, THREE, 32 * "0"]) == {ONE, THREE}
    assert [(digest, bytes(view)) for digest, view in folder.heads([TWO, 32 * "0"], 3)] == [
        (TWO, b"abc")
    ]
    stored = folder.read(TWO)
    assert stored is not None
    assert bytes(stored[0]) == TWO.encode()
    assert folder.count() == sum(entry.bytes for entry in folder.stats().values()) == 96
    assert folder.remove(ONE) == 32
    assert list(folder.stats()) == [TWO, THREE]


def test_a_second_put_takes_the_place_of_the_first_and_maps_stay(folder: Disk) -> None:
    put(folder, ONE, old := os.urandom(1 << 19))
    stored = folder.read(ONE)
    put(folder, ONE, b"new")
    assert stored is not None
    assert bytes(stored[0]) == old
    assert folder.count() == 3


def test_an_entry_in_a_wrong_folder_does_not_count(folder: Disk) -> None:
    put(folder, ONE)
    shutil.copy(file_of(folder, ONE), f"{folder.address}/entries/aa/{TWO}")
    os.mkdir(f"{folder.address}/entries/zz")
    shutil.copy(file_of(folder, ONE), f"{folder.address}/entries/zz/{TWO}")
    open(f"{folder.address}/entries/file", "w").close()
    assert list(folder.digests()) == [ONE]


def test_a_file_has_another_identity_after_any_change(folder: Disk) -> None:
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


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    (tmp_path / "b.txt").write_text("mine")
    folder = Disk(tmp_path)
    put(folder, ONE)
    folder.note("runs", "{}")
    folder.sweep()
    assert (tmp_path / "thesis" / "a.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {
        "thesis", "b.txt", "entries", "temporary", "notes", "size", "dask-memo",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["entries", "temporary", "leases", "notes", "size"])
def test_a_folder_with_our_names_that_is_no_store_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / ONE).write_text("mine")
    folder = Disk(tmp_path)
    for use in (lambda: put(folder, ONE), lambda: folder.lease(ONE), lambda: folder.note("a", "")):
        with pytest.raises(
            FileExistsError, match=f"it contains {name}, and is not a store: give ano"
        ):
            use()
    assert folder.sweep() == 0
    assert (tmp_path / name / ONE).read_text() == "mine"
    (tmp_path / "dask-memo").touch()
    if name != "size":
        put(Disk(tmp_path), TWO)


def test_a_store_of_a_later_version_is_left_alone(folder: Disk) -> None:
    put(folder, ONE)
    with open(f"{folder.address}/dask-memo", "w") as file:
        file.write("2\n")
    with pytest.raises(
        OSError, match="a store of version '2', and this program reads version 1: update"
    ):
        put(Disk(folder.address), TWO)
    assert folder.read(ONE) is not None


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_removed_folder_is_made_again(folder: Disk, is_replaced: bool) -> None:
    put(folder, ONE)
    folder.note("runs", "a")
    lease = folder.lease(ONE)
    shutil.rmtree(folder.address)
    if is_replaced:
        put(Disk(folder.address), THREE)
    lease.end(True)
    put(folder, TWO)
    folder.note("runs", "b")
    folder.lease(ONE).end(True)
    with folder.locked():
        folder.set_total(folder.count())
    assert TWO in list(folder.digests())
    assert folder.notes("runs") == ["b"]
    assert os.path.exists(f"{folder.address}/dask-memo")


def test_a_folder_that_is_removed_while_an_entry_is_written_is_an_error(folder: Disk) -> None:
    with pytest.raises(FileNotFoundError):
        folder.write(ONE, [b"some"], lambda: shutil.rmtree(folder.address))
    put(folder, ONE)
    assert folder.known([ONE]) == {ONE}


def test_a_folder_that_is_replaced_by_an_empty_one_is_marked_again(folder: Disk) -> None:
    put(folder, ONE)
    shutil.rmtree(f"{folder.address}/entries")
    os.unlink(f"{folder.address}/dask-memo")
    os.unlink(f"{folder.address}/size")
    shutil.rmtree(f"{folder.address}/temporary")
    put(folder, TWO)
    put(Disk(folder.address), THREE)
    assert list(folder.digests()) == [TWO, THREE]


def test_the_address_stays_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Disk("here")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    put(folder, ONE)
    assert (tmp_path / "here" / "entries" / "aa" / ONE).exists()


def test_only_leases_without_a_living_owner_are_swept(folder: Disk) -> None:
    lease = folder.lease(ONE)
    open(f"{folder.address}/leases/{TWO}", "w").close()
    open(f"{folder.address}/leases/notes.txt", "w").close()
    assert folder.sweep() == 0
    assert sorted(os.listdir(f"{folder.address}/leases")) == [ONE, "notes.txt"]
    lease.end(True)
    assert os.listdir(f"{folder.address}/leases") == ["notes.txt"]


@pytest.mark.parametrize("name", ["size", "dask-memo", "notes/runs", f"leases/{32 * 'a'}"])
def test_a_link_in_a_store_does_not_lead_out_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("mine")
    place = tmp_path / "store"
    (place / name).parent.mkdir(parents=True)
    if name != "dask-memo":
        (place / "dask-memo").write_text("1")
    (place / name).symlink_to(tmp_path / ("precious" if name != "dask-memo" else "none"))
    folder = Disk(place)

    def use() -> None:
        with folder.locked():
            folder.set_total(5)
        folder.note("runs", "{}")
        folder.lease(32 * "a").end(False)

    with pytest.raises(OSError, match="symbolic links"):
        use()
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "none").exists()


# Temporary files


def temporary(folder: Disk) -> list[str]:
    return names_in(f"{folder.address}/temporary")


def abandoned(folder: Disk, name: str = f"{ONE}.1.2.0123abcd") -> str:
    """A temporary file without a writer."""
    os.makedirs(f"{folder.address}/temporary", exist_ok=True)
    open(f"{folder.address}/dask-memo", "w").close()
    open(path := f"{folder.address}/temporary/{name}", "w").close()
    return path


def test_an_entry_is_there_when_it_is_published_and_not_before(folder: Disk) -> None:
    before: list[set[str]] = []
    folder.write(ONE, [b"some"], lambda: before.append(folder.known([ONE])))
    assert before == [set()]
    assert folder.known([ONE]) == {ONE}
    assert temporary(folder) == []


def test_a_file_that_is_not_published_is_removed(folder: Disk) -> None:
    def interrupt() -> None:
        assert len(temporary(folder)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write(ONE, [b"some"], interrupt)
    assert temporary(folder) == list(folder.digests()) == []


def test_a_trial_reads_what_it_writes_and_leaves_nothing(folder: Disk) -> None:
    assert bytes(folder.trial(ONE, [b"some"])) == b"some"
    assert temporary(folder) == list(folder.digests()) == []


def test_a_file_that_is_being_written_is_not_swept(folder: Disk) -> None:
    swept: list[int] = []
    folder.write(ONE, [b"some"], lambda: swept.append(folder.sweep()))
    assert swept == [0]
    abandoned(folder)
    assert folder.sweep() == 1
    assert Disk(f"{folder.address}-none").sweep() == 0


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    folder: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps: list[int] = []

    def late(file: int, *, is_patient: bool = True) -> bool | None:
        if is_patient and len(sweeps) < 2:
            sweeps.append(folder.sweep())
        return locks.lock(file, is_patient=is_patient)

    monkeypatch.setattr(disk, "lock", late)
    put(folder, ONE)
    assert sweeps == [1, 1]
    assert folder.known([ONE]) == {ONE}


def test_files_of_others_are_not_swept(folder: Disk) -> None:
    for name in ("thesis.txt", ONE, f"{ONE}.1.2.0123abcd.bak", ".hidden"):
        abandoned(folder, name)
    assert folder.sweep() == 0
    assert len(temporary(folder)) == 4


def test_without_locks_only_old_files_are_swept(
    folder: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "lock", lambda *_, **__: None)
    path = abandoned(folder)
    assert folder.sweep() == 0
    os.utime(path, (0, time.time() - 7200))
    assert folder.sweep() == 1


@has_proc
def test_a_file_that_cannot_be_flushed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    folder = Disk(tmp_path)
    put(folder, ONE)
    monkeypatch.setattr(os, "fsync", broken)
    before = open_files(tmp_path)
    with pytest.raises(OSError, match="Input/output"):
        put(folder, TWO)
    assert temporary(folder) == []
    assert open_files(tmp_path) == before


# Files


def test_nothing_is_made_before_something_is_written(tmp_path: Path) -> None:
    folder = Disk(f"{tmp_path}/a/b")
    assert folder.notes("runs") == []
    assert not list(tmp_path.iterdir())
    folder.note("runs", "x")
    assert sorted(os.listdir(f"{tmp_path}/a/b")) == ["dask-memo", "notes"]


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_new_folder_is_flushed_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_durable: bool
) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_ino))
    Disk(f"{tmp_path}/a/b", is_durable).note("runs", "x")
    parents = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert flushed == ([path.stat().st_ino for path in parents] if is_durable else [])


def test_no_link_is_followed_to_write(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "size").symlink_to(tmp_path / "precious")
    for flags in (os.O_RDWR | os.O_CREAT, os.O_WRONLY, os.O_RDWR):
        with pytest.raises(OSError, match="symbolic links"):
            open_file(f"{tmp_path}/size", flags)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        put(Disk(f"{tmp_path}/a"), ONE)


@has_proc
def test_a_folder_that_cannot_be_flushed_is_no_error_but_a_broken_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(number: int) -> None:
        original = os.fsync

        def fsync(file: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{file}"):
                raise OSError(number, "refused")
            original(file)

        monkeypatch.setattr(os, "fsync", fsync)

    put(folder := Disk(tmp_path), ONE)
    for number in (errno.EINVAL, errno.ENOTSUP):
        refusing(number)
        put(folder, ONE)
    refusing(errno.EIO)
    with pytest.raises(OSError, match="refused"):
        put(folder, ONE)
