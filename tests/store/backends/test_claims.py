"""Which folder is a store, and who may use its files: two users of one group."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
from dask import delayed

import pipeline
import pipeline.cache  # users may not be able to read its files
from pipeline import Store, StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGESTS = [f"{number:032x}" for number in range(16)]
ADA, BOB, GROUP, EVE = 50_001, 50_002, 50_100, 50_003

two_users = pytest.mark.skipif(
    not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become two users"
)


@pytest.fixture
def lab() -> Iterator[Path]:
    """A folder of a group, whose files get their group from their users."""
    folder = Path(tempfile.mkdtemp())  # users cannot reach into that of pytest
    os.chown(folder, 0, GROUP)
    folder.chmod(0o770)
    yield folder
    shutil.rmtree(folder)


def as_user(user: int, action: Callable[[], Any], mask: int = 0o077, group: int = GROUP) -> Any:
    """What a user's process returns. Its first group is its own."""
    source, target = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(60)  # a child that waits for a thread of its parent ends, and the test fails
        try:
            os.setgroups([group])
            os.setgid(user)
            os.setuid(user)
            os.umask(mask)
            with dask.config.set(scheduler="sync"):  # the parent's threads are not here
                result: tuple[bool, Any] = True, action()
        except BaseException:
            result = False, traceback.format_exc()
        with os.fdopen(target, "wb") as pipe:
            pipe.write(pickle.dumps(result))
        os._exit(0)
    os.close(target)
    with os.fdopen(source, "rb") as pipe:
        is_fine, value = pickle.loads(pipe.read())  # noqa: S301 - it is our own
    os.waitpid(child, 0)
    assert is_fine, value
    return value


def shared(lab: Path, **options: Any) -> Store:
    return Store(lab / "cache", shared=True, durable=False, **options)


def put(lab: Path, *places: int) -> None:
    for place in places:
        shared(lab).put(DIGESTS[place], [place], function=f"f{place}", code="ab")


# The rights of files


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("is_new", [True, False])
def test_files_are_their_groups_whatever_the_umask(tmp_path: Path, mask: int, is_new: bool) -> None:
    place = tmp_path / "deep" / "store"
    if not is_new:
        place.mkdir(parents=True)
    before = os.umask(mask)
    try:
        store = Store(place, shared=True)
        store.put(DIGESTS[0], np.zeros(10), function="f")
        lease = store.lease(DIGESTS[1])
        store.log()
        Store(place).put(DIGESTS[2], 1)  # also without `shared`
    finally:
        os.umask(before)
    paths = list((tmp_path / ("deep" if is_new else "deep/store")).rglob("*"))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert {modes[path] for path in paths if path.is_file()} == {0o660}
    assert {modes[path] for path in paths if path.is_dir()} == {0o2770}
    assert lease is not None
    lease.end(True)


def test_a_store_of_its_owner_is_not_opened_for_a_group(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    Store(place).put(DIGESTS[0], 1)
    store = Store(place, shared=True)
    with pytest.raises(PermissionError, match="it was made without shared=True") as error:
        store.put(DIGESTS[1], 2)
    assert store.get(DIGESTS[0]) == 1
    for command in str(error.value.strerror).split("`")[1::2]:  # the remedy
        subprocess.run(command, shell=True, check=True)  # noqa: S602 - our own text
    store.put(DIGESTS[1], 2)
    assert stat.S_IMODE((place / "entries").stat().st_mode) == 0o2770
    assert stat.S_IMODE((place / "entries/00" / DIGESTS[0]).stat().st_mode) == 0o660


def test_shared_is_for_folders() -> None:
    with pytest.raises(StoreError, match="shared=True is for folders, and memory://a is none"):
        Store("memory://a", shared=True)
    assert pickle.loads(pickle.dumps(Store("a", shared=True))).shared  # noqa: S301 - it is our own


# Two users


@two_users
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_two_users_of_a_group_use_one_store(lab: Path, mask: int) -> None:
    def reads() -> Any:
        store = shared(lab)
        read = store.get(DIGESTS[1]), store.notes.history("f1"), store.stats().stored
        store.put(DIGESTS[1], "new", function="f1")
        store.notes.add("runs", {"other": 1})
        store.log()
        return read

    def removes() -> Any:
        store = shared(lab, max_bytes=2000)
        store.put(DIGESTS[3], np.zeros(150), function="f3")  # evicts
        lease = store.lease(DIGESTS[4])
        assert lease is not None
        lease.end(True)
        removed = store.gc(max_bytes=1)
        store.put(DIGESTS[5], 5)
        return removed[0] > 0, store.remove(DIGESTS[5]), len(store)

    def noted() -> Any:
        store = shared(lab)
        store.put(DIGESTS[1], [1], function="f1")
        store.put(DIGESTS[2], [2], function="f1")
        store.log()

    as_user(ADA, noted, mask)
    value, history, stored = as_user(BOB, reads, mask)
    assert (value, len(history), stored) == ([1], 2, 2)
    assert as_user(ADA, lambda: shared(lab).get(DIGESTS[1]), mask) == "new"
    assert as_user(ADA, lambda: len(shared(lab).notes.history("f1")), mask) == 3
    assert as_user(BOB, removes, mask) == (True, True, 0)
    as_user(ADA, lambda: put(lab, *range(16)), mask)
    assert as_user(BOB, lambda: len(shared(lab)), mask) == 16
    states = [path.stat() for path in (lab / "cache").rglob("*")]
    assert {state.st_gid for state in states} == {GROUP}
    modes = {stat.S_IMODE(state.st_mode) for state in states}
    assert modes == {0o660, 0o2770}


@two_users
def test_a_run_of_one_user_is_a_hit_of_the_other(lab: Path) -> None:
    def run() -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            store = shared(lab, keep=["sum"])
            pipeline.compute(delayed(sum)([1, 2]), store=store)
        return store.done.hits, store.done.stored, [str(warning.message) for warning in caught]

    assert as_user(ADA, run) == (0, 1, [])
    assert as_user(BOB, run) == (1, 0, [])


@pytest.mark.slow  # starts processes in rounds
@two_users
def test_users_who_start_at_the_same_time_make_one_store(lab: Path) -> None:
    program = """if True:
        import os, sys
        from pipeline import Store
        user, place, first = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
        os.setgroups([50100]); os.setgid(user); os.setuid(user); os.umask(0o077)
        store = Store(place, shared=True, durable=False)
        sys.stdin.readline()
        for number in range(first, 400, 4):
            store.put(f"{number:02x}"[::-1].zfill(2)[:2] + f"{number:030x}", number)
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(user), f"{lab}/cache", str(number)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number, user in enumerate((ADA, BOB, ADA, BOB))
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate()[1] == ""
    assert len(Store(lab / "cache")) == 400
    assert not list((lab / "cache").rglob("*.*"))


@two_users
def test_others_get_nothing_of_a_store_of_a_group(lab: Path) -> None:
    as_user(ADA, lambda: put(lab, 1))
    lab.chmod(0o777)

    def run() -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            [value] = pipeline.compute(delayed(sum)([1, 2]), store=shared(lab, keep=["sum"]))
        kinds = {warning.category for warning in caught}
        return value, kinds, len(caught)

    value, kinds, number = as_user(EVE, run, group=EVE)
    assert (value, kinds) == (3, {StoreWarning})
    assert number <= 2


@two_users
def test_a_store_of_a_group_follows_no_link(lab: Path) -> None:
    as_user(ADA, lambda: put(lab, 1))
    (lab / "precious").write_text("mine")
    (lab / "precious").chmod(0o666)
    (lab / "cache" / "size").unlink()
    (lab / "cache" / "size").symlink_to(lab / "precious")

    def use() -> str:
        try:
            put(lab, 2)
        except OSError as error:
            return str(error.strerror)
        return ""

    assert "symbolic links" in as_user(BOB, use)
    assert (lab / "precious").read_text() == "mine"


# What is left of a store that was removed while processes wrote to it


def store_with_all(place: Path) -> Store:
    """A store with a file in each folder, without its mark."""
    store = Store(place, durable=False)
    store.put(DIGESTS[0], [0], function="f", code="ab")
    store.notes.add(f"content-{DIGESTS[0]}", ["a"])
    store.notes.add(f"code-{DIGESTS[0]}", {"its own": {}})
    store.log()
    lease = store.lease(DIGESTS[1])
    assert lease is not None  # its file stays, as after a kill
    name = f"{DIGESTS[2]}.1.2.0123abcd"
    (place / "temporary" / name).write_bytes(b"some")
    (place / "dask-memo").unlink()
    return store


def is_refused(place: Path) -> bool:
    try:
        Store(place, durable=False).put(DIGESTS[3], 3)
    except FileExistsError as error:
        return "and is not a store: give another folder" in str(error)
    assert Store(place).get(DIGESTS[3]) == 3
    return False


def test_what_is_left_of_a_removed_store_is_a_store(tmp_path: Path) -> None:
    store = store_with_all(tmp_path)
    assert not is_refused(tmp_path)
    assert store.get(DIGESTS[0]) == [0]
    assert store.notes.history("f")


@pytest.mark.parametrize("kept", ["entries", "temporary", "leases", "notes", "size"])
def test_any_part_of_a_removed_store_is_a_store(tmp_path: Path, kept: str) -> None:
    store_with_all(tmp_path)
    for path in tmp_path.iterdir():
        if path.name != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not is_refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("entries", "a file, no folder"),
        ("entries/2026.txt", "of a diary"),
        ("entries/ab/thesis.txt", "mine"),
        (f"entries/ab/{DIGESTS[4]}", "no entry"),
        (f"entries/{DIGESTS[4]}", ""),
        ("notes/todo", "buy milk"),
        ("notes/runs", "5 km on Monday"),
        ("notes/function-0123456789abcdef", "of a function"),
        (f"leases/{DIGESTS[4]}", "of a flat"),
        ("leases/flat.pdf", ""),
        ("temporary/a", ""),
        (f"temporary/{DIGESTS[4]}", ""),
        ("size/a", ""),
        ("README.md", "mine"),
        ("data/a.csv", "mine"),
    ],
)
def test_a_folder_with_anything_of_others_is_refused(
    tmp_path: Path, name: str, content: str
) -> None:
    store_with_all(tmp_path)
    path = tmp_path / name
    if name in ("entries", "size/a"):
        place = tmp_path / name.partition("/")[0]
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert is_refused(tmp_path)
    assert before == {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", ["entries", "entries/ab", "notes", f"entries/ab/{DIGESTS[4]}"])
def test_a_folder_with_links_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "other" / "ab").mkdir(parents=True)
    place = tmp_path / "store" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "other")
    assert is_refused(tmp_path / "store")
    assert list((tmp_path / "other").iterdir()) == [tmp_path / "other" / "ab"]


REMOVED = """if True:
    import sys, time, warnings
    import pipeline
    from dask import delayed
    def work(n):
        return [n] * 50
    warnings.simplefilter("ignore", pipeline.StoreWarning)
    store = pipeline.Store(sys.argv[1], durable=False, keep=["work"], shared=True)
    end, n = time.time() + float(sys.argv[2]), 0
    while time.time() < end:
        n += 5
        calls = [delayed(work)(n + i) for i in range(5)]
        [values] = pipeline.compute(calls, store=store, scheduler="sync")
        assert values == [[n + i] * 50 for i in range(5)], values
        store.failures.emit_warnings()
"""


@pytest.mark.slow
def test_a_store_that_is_removed_while_processes_write_to_it_heals(tmp_path: Path) -> None:
    for number in range(4):
        place = tmp_path / str(number)
        command = [sys.executable, "-c", REMOVED, str(place), "1"]
        writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        while not (place / "entries").exists():
            time.sleep(0.001)
        for _ in range(20 * number + 5):
            subprocess.run(["rm", "-rf", place], stderr=subprocess.DEVNULL, check=False)  # noqa: S607
            time.sleep(0.003)
        for writer in writers:
            assert writer.communicate()[1] == ""
            assert writer.returncode == 0
        assert not is_refused(place)


def test_a_folder_that_another_thread_marks_meanwhile_is_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir
    others: list[Store] = []

    def after_another(path: str) -> list[str]:
        if not others:
            others.append(Store(tmp_path))
            others[0].put(DIGESTS[0], 1)
        return listed(path)

    monkeypatch.setattr(os, "listdir", after_another)
    assert not is_refused(tmp_path)
    assert others
