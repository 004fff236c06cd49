"""What a store promises, each promise with a test that breaks it on purpose."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
from xxhash import xxh3_128

import pipeline
from pipeline import Store, StoreError, StoreWarning
from tests.store_workers import temporary_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGESTS = [f"{n:032x}" for n in range(20)]


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store_workers", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result_of(*arguments: object) -> Any:
    """What a process prints at its end."""
    process = started(*arguments)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return json.loads(out)


def file_of(store: Store, digest: str) -> Path:
    return Path(store.url, "entries", digest[:2], digest)


def large() -> Any:
    return np.arange(30e6 / 8)


def small(n: int) -> int:
    return n + 1


def computed(store: Store) -> list[str]:
    """Compute a large and three small results; returns the warnings."""
    big, little = dask.delayed(large)(), [dask.delayed(small)(n) for n in range(3)]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        value, *others = pipeline.compute(big, *little, store=store, scheduler="sync")
    assert (len(value), others) == (3_750_000, [1, 2, 3])
    assert {warning.category for warning in warned} <= {StoreWarning}
    return [str(warning.message) for warning in warned]


# 1. Nothing lost, nothing corrupt.


@pytest.mark.slow
def test_a_killed_writer_leaves_a_complete_entry_or_none(tmp_path: Path) -> None:
    result = result_of("kill_writers", tmp_path / "store", 30, 200_000_000)
    assert result["left"] > 10  # it was killed in the middle; all else is asserted there


@pytest.mark.slow
def test_the_next_run_continues_after_a_killed_one(tmp_path: Path) -> None:
    result = result_of("kill_chains", tmp_path / "store", tmp_path / "log", 10)
    assert result["kept"] >= 5
    assert result["ran"] <= 60 - result["kept"]
    assert result["temporary"] == result["leases"] == 0


def test_an_entry_is_written_flushed_renamed_and_its_folder_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store", durable=True)
    store.put(DIGESTS[0], "before: folders are made")
    steps: list[tuple[str, str]] = []

    def spy(name: str, path_of: Callable[..., str]) -> None:
        original = getattr(os, name)

        def wrapped(*args: Any, **options: Any) -> Any:
            steps.append((name, Path(path_of(*args)).parent.name or "/"))
            return original(*args, **options)

        monkeypatch.setattr(os, name, wrapped)

    def opened(file: int, *_: Any) -> str:
        path = os.readlink(f"/proc/self/fd/{file}")
        return f"{path}/-" if os.path.isdir(path) else path

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc that tells of which file is written")
    spy("write", opened)
    spy("fsync", opened)
    spy("replace", lambda _, target: target)
    store.put(DIGESTS[1], np.zeros(100_000))
    of_entry = [step for step in steps if step[1] in ("temporary", "00")]
    once = list(dict.fromkeys(of_entry))
    assert once == [
        ("write", "temporary"),
        ("fsync", "temporary"),
        ("replace", "00"),
        ("fsync", "00"),
    ]
    assert of_entry.index(("fsync", "temporary")) > max(
        number for number, step in enumerate(of_entry) if step == ("write", "temporary")
    )


def test_files_of_a_killed_writer_are_removed_at_the_next_put(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(DIGESTS[0], 0)
    left = tmp_path / "temporary" / f"{DIGESTS[1]}.1.1.abcdef01"
    left.write_bytes(b"corrupt")
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / DIGESTS[2]).touch()
    Store(tmp_path).put(DIGESTS[3], 3)
    assert not temporary_files(str(tmp_path))
    assert not list((tmp_path / "leases").iterdir())


# 2. Never a wrong value.


def gone(store: Store, digest: str) -> None:
    """A file that is no entry is removed, with one warning."""
    with pytest.warns(StoreWarning, match=digest) as warned, pytest.raises(KeyError):
        Store(store.url, durable=False).get(digest)
    assert len(warned) == 1
    assert digest not in store


@pytest.fixture(params=["alone", "with upstream", "shared"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    upstream = tmp_path / "upstream" if request.param == "with upstream" else None
    return Store(
        tmp_path / "store", durable=False, upstream=upstream, readonly=bool(upstream),
        shared=request.param == "shared",
    )  # fmt: skip


def test_a_truncated_entry_is_noticed_at_each_length(store: Store) -> None:
    store.put(DIGESTS[0], [1, "two", np.arange(3)])
    path = file_of(store, DIGESTS[0])
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        gone(store, DIGESTS[0])
    path.write_bytes(whole + b"\0")
    gone(store, DIGESTS[0])


def test_each_bit_counts_in_header_padding_and_payload(store: Store) -> None:
    store.put(DIGESTS[0], [1, "two"], function="f", call="f(1)")
    path = file_of(store, DIGESTS[0])
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        reader = Store(store.url, durable=False)
        assert reader.open(DIGESTS[0]) is None, place
        assert not path.exists()


def test_bits_of_a_mapped_array_count(store: Store) -> None:
    value = np.random.default_rng(0).random(100_000)
    for place in np.random.default_rng(1).integers(0, 800_000 * 8, 30):
        store.put(DIGESTS[0], value)
        with open(file_of(store, DIGESTS[0]), "r+b") as file:
            file.seek(place // 8)
            byte = file.read(1)[0]
            file.seek(place // 8)
            file.write(bytes([byte ^ 1 << place % 8]))
        gone(store, DIGESTS[0])


def test_swapped_entries_are_noticed(store: Store) -> None:
    one, other = (file_of(store, digest) for digest in DIGESTS[:2])
    for digest in DIGESTS[:2]:
        store.put(digest, digest)
    one.rename(f"{one}-")
    other.rename(one)
    Path(f"{one}-").rename(other)
    for digest in DIGESTS[:2]:
        gone(store, digest)


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"GIF89a", os.urandom(300_000)], ids=len)
def test_files_that_are_no_entries_are_noticed(store: Store, content: bytes) -> None:
    store.put(DIGESTS[0], 0)
    file_of(store, DIGESTS[0]).write_bytes(content)
    gone(store, DIGESTS[0])


def test_links_and_pipes_in_the_place_of_entries_are_removed_alone(store: Store) -> None:
    store.put(DIGESTS[0], 0)
    path, other = file_of(store, DIGESTS[0]), Path(store.url, "other")
    other.write_text("somebody's")
    path.unlink()
    path.symlink_to(other)
    gone(store, DIGESTS[0])
    assert other.read_text() == "somebody's"
    os.mkfifo(path)  # to open it would wait for a writer
    gone(store, DIGESTS[0])


def test_a_folder_in_the_place_of_an_entry_stays_with_a_warning(store: Store) -> None:
    store.put(DIGESTS[0], 0)
    path = file_of(store, DIGESTS[0])
    path.unlink()
    (path / "inner").mkdir(parents=True)
    with pytest.warns(StoreWarning, match="cannot be removed"), pytest.raises(KeyError):
        store.get(DIGESTS[0])
    with pytest.raises(OSError, match="directory"):
        store.put(DIGESTS[0], 1)
    assert (path / "inner").is_dir()


def test_a_corrupt_entry_is_computed_again_with_one_warning(store: Store) -> None:
    tasks = [dask.delayed(small)(n) for n in range(3)]
    assert pipeline.compute(*tasks, store=store) == (1, 2, 3)
    for digest in list(store.digests())[:2]:
        file_of(store, digest).write_bytes(b"corrupt")
    with pytest.warns(StoreWarning, match="computed again") as warned:
        assert pipeline.compute(*tasks, store=store) == (1, 2, 3)
    assert len(warned) == 2
    assert pipeline.compute(*tasks, store=Store(store.url)) == (1, 2, 3)


def test_a_map_is_verified_once_and_again_when_the_file_has_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, hashed = np.arange(100_000.0), []
    store.put(DIGESTS[0], value)
    time.sleep(0.15)  # the clock of files has moved on

    def spy(data: Any = b"") -> Any:
        hashed.append(len(data))
        return xxh3_128(data)

    monkeypatch.setattr("pipeline.store.entry.xxh3_128", spy)
    for _ in range(3):
        assert np.array_equal(store.get(DIGESTS[0]), value)
    assert sum(length > 800_000 for length in hashed) == 1
    with open(file_of(store, DIGESTS[0]), "r+b") as file:
        file.seek(500_000)
        file.write(b"!")
    gone(store, DIGESTS[0])


def test_a_change_in_the_same_tick_of_the_clock_is_noticed(store: Store) -> None:
    for _ in range(20):
        store.put(DIGESTS[0], np.zeros(100_000))
        assert store.open(DIGESTS[0]) is not None
        with open(file_of(store, DIGESTS[0]), "r+b") as file:
            file.seek(500_000)
            file.write(b"!")
        assert store.open(DIGESTS[0]) is None


# 3. Disk full, read-only, permission: the computation goes on.


def mounted(path: Path, options: str) -> Iterator[Path]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", os.fspath(path)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("to mount a file system takes root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", os.fspath(path)], check=True)  # noqa: S607


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "disk", "size=20m")


def test_a_full_disk_is_one_warning_and_small_results_are_stored(tmpfs: Path) -> None:
    store = Store(tmpfs / "store")
    [warning] = computed(store)
    assert "could not be written: No space left on device" in warning
    assert len(store) == 3
    assert not temporary_files(store.url)
    with pytest.raises(OSError, match="No space"):
        store.put(DIGESTS[0], large())
    assert store.put(DIGESTS[0], np.zeros(1_000_000)).bytes > 8_000_000


def test_a_read_only_disk_is_one_warning_and_its_entries_are_loaded(tmpfs: Path) -> None:
    path = tmpfs / "store"
    value = dask.delayed(small)(6)
    assert pipeline.compute(value, store=Store(path)) == (7,)
    subprocess.run(["mount", "-o", "remount,ro", os.fspath(tmpfs)], check=True)  # noqa: S607
    [warning] = computed(Store(path))
    assert "could not be written: Read-only file system" in warning
    assert pipeline.compute(value, store=Store(path)) == (7,)


def failing(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int, *names: str) -> None:
    """Have functions of the system fail for whatever is in a folder."""
    for name in names:
        original = getattr(os, name)

        def wrapped(path: Any, *args: Any, original: Any = original, **options: Any) -> Any:
            place = os.readlink(f"/proc/self/fd/{path}") if type(path) is int else os.fspath(path)
            is_read = original.__name__ == "open" and args[0] & os.O_ACCMODE == os.O_RDONLY
            is_small = original.__name__ == "write" and len(args[0]) < 10_000_000
            if str(place).startswith(os.fspath(folder)) and not is_read and not is_small:
                raise OSError(number, os.strerror(number), place)
            return original(path, *args, **options)

        monkeypatch.setattr(os, name, wrapped)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EMFILE])
def test_any_failure_to_write_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failing(monkeypatch, tmp_path, number, "open", "mkdir", "replace", "unlink", "utime")
    [warning] = computed(Store(tmp_path / "store"))
    assert f"could not be written: {os.strerror(number)}" in warning
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it needs the names of open files")
def test_a_disk_that_becomes_full_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, tmp_path, errno.ENOSPC, "write")
    store = Store(tmp_path / "store", durable=False)
    [warning] = computed(store)
    assert "No space left on device" in warning
    assert len(store) == 3
    assert not temporary_files(store.url)


def test_an_entry_that_cannot_be_read_is_computed_with_one_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [dask.delayed(small)(n) for n in range(3)]
    pipeline.compute(*tasks, store=store)
    original = os.open

    def refused(path: Any, *args: Any, **options: Any) -> int:
        if "/entries/" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return original(path, *args, **options)

    monkeypatch.setattr(os, "open", refused)
    with pytest.warns(StoreWarning, match="could not be read: Permission denied") as warned:
        assert pipeline.compute(*tasks, store=store) == (1, 2, 3)
    assert len(warned) == 1


@pytest.mark.skipif(not os.geteuid(), reason="permissions do not bind root")
def test_a_folder_without_permission_is_one_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        [warning] = computed(Store(tmp_path / "store"))
    finally:
        tmp_path.chmod(0o700)
    assert "could not be written: Permission denied" in warning


def test_a_file_in_the_place_of_the_folder_is_one_warning_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    [warning] = computed(Store(path))
    assert "could not be written: Not a directory" in warning
    assert path.read_text() == "mine"


# 4. Many processes at once.


@pytest.mark.slow
def test_four_processes_with_the_same_tasks_run_each_once(tmp_path: Path) -> None:
    path, log = tmp_path / "store", tmp_path / "log"
    processes = [started("run_twenty", path, log) for _ in range(4)]
    for process in processes:
        out, _ = process.communicate(timeout=100)
        assert (process.returncode, json.loads(out)) == (0, [n * n for n in range(20)])
    assert sorted(map(int, log.read_text().split())) == list(range(20))
    store = Store(path)
    assert all(store.open(digest) is not None for digest in store.digests())
    assert len(store) == 20
    assert not temporary_files(store.url)
    assert not list((path / "leases").iterdir())


def test_an_owner_that_is_killed_loses_its_lease_at_once(tmp_path: Path) -> None:
    owner = started("hold", tmp_path, DIGESTS[0])
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    times: list[float] = []

    def wait() -> None:
        lease = Store(tmp_path).lease(DIGESTS[0])
        times.append(time.monotonic())
        assert lease is not None
        lease.end(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    assert not times
    owner.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    waiting.join(10)
    owner.communicate()
    assert times[0] - killed < 2


def test_an_owner_that_is_killed_loses_its_lease_though_a_child_of_its_lives(
    tmp_path: Path,
) -> None:
    owner = started("hold_and_fork", tmp_path)
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    try:
        [path] = (tmp_path / "leases").iterdir()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        process = subprocess.run(
            [sys.executable, "-c", f"from pipeline import Store; "
             f"Store({str(tmp_path)!r}).lease({path.name!r}).end(True)"],
            timeout=20, check=False, capture_output=True,
        )  # fmt: skip
        assert (process.returncode, process.stderr) == (0, b"")
        os.kill(child, 0)  # it lives
    finally:
        os.kill(child, signal.SIGKILL)
        owner.stdout.close()


# 5. Names of entries are digests, and files are their owner's.


@pytest.mark.parametrize(
    "name",
    ["", "a", "../" + 29 * "a", "/etc/passwd", 32 * "A", 31 * "a" + "\n", 33 * "a", 32 * "٣", None,
     b"a" * 32, 32 * "a" + "\0"],
)  # fmt: skip
def test_only_a_digest_becomes_the_name_of_a_file(store: Store, name: Any) -> None:
    for use in (store.get, store.entry, store.remove, lambda digest: store.put(digest, 1)):
        with pytest.raises(StoreError, match="is not a digest: a digest has 32 of the digits"):
            use(name)
    assert not os.path.exists(f"{store.url}/entries")


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_files_are_their_owners_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        store = Store(tmp_path / "deep" / "store")
        store.put(DIGESTS[0], np.zeros(10), function="f")
        lease = store.lease(DIGESTS[1])
        store.log()
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "deep").rglob("*")}
    assert {modes[path] for path in modes if path.is_file()} == {0o600}
    assert {modes[path] for path in modes if path.is_dir()} == {0o700}
    assert lease is not None
    lease.end(True)


# 6. Bounded.


@pytest.mark.parametrize("upstream", [None, "upstream"])
def test_the_bound_holds_after_every_put(tmp_path: Path, upstream: str | None) -> None:
    above = upstream and tmp_path / upstream
    store = Store(tmp_path / "store", max_bytes=100_000, durable=False, upstream=above)
    for n in range(100):
        store.put(f"{n:032x}", bytes(n * 100))
        assert sum(store.sizes().values()) <= 100_000
    assert len(store) > 5


@pytest.mark.slow  # starts four processes
def test_the_bound_holds_for_four_writers_at_once(tmp_path: Path) -> None:
    processes = [started("put_many", tmp_path, seed, 300_000) for seed in range(4)]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, sum(Store(tmp_path).sizes().values()))
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    # What goes while the names are read is counted, and so is what comes in its place.
    assert 200_000 < most <= 300_000 + 2 * 50_300
    store = Store(tmp_path)
    assert sum(store.sizes().values()) <= 300_000
    with store.backend.locked():
        assert store.backend.total() == store.backend.count()


@pytest.mark.slow
def test_sixteen_processes_evict_beside_gc_rm_and_verify(tmp_path: Path) -> None:
    kinds = [*["put"] * 16, "gc", "rm", "verify"]
    processes = [started("evict_all_the_time", tmp_path, seed, kind)
                 for seed, kind in enumerate(kinds)]  # fmt: skip
    store = Store(tmp_path)
    while any(process.poll() is None for process in processes):
        with store.backend.locked():  # what a reader sees at one time
            assert store.backend.count() <= 3_000_000
        time.sleep(0.02)
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert json.loads(out)["wrong"] == 0
    sizes = store.sizes()
    assert store.usage() == (len(sizes), sum(sizes.values()))
    assert not temporary_files(store.url)


def test_an_entry_in_use_stays_readable_when_it_goes(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=2_000_000, durable=False)
    store.put(DIGESTS[0], np.arange(100_000.0))
    held = store.get(DIGESTS[0])
    for n in range(1, 4):
        store.put(DIGESTS[n], np.zeros(100_000), behind=60.0)
    assert DIGESTS[0] not in store
    assert np.array_equal(held, np.arange(100_000.0))


# 8. What cannot be stored.


def test_an_unstorable_result_is_returned_with_one_warning(store: Store) -> None:
    locks = [dask.delayed(threading.Lock)() for _ in range(2)]
    with pytest.warns(StoreWarning, match="is not stored: a lock") as warned:
        values = pipeline.compute(*locks, dask.delayed(small)(1), store=store, scheduler="sync")
    assert len(warned) == 1
    assert values[2] == 2
    assert all(hasattr(lock, "acquire") for lock in values[:2])
    assert len(store) == 1


# 7. A wait for another process ends with Ctrl-C.

WAITING = """
import sys
import time

import dask
from dask import delayed

import pipeline
from pipeline.store.backends import locks

locks._PATIENCE = 0.1  # seconds


def slow(n):
    time.sleep(600)


def quick(n):
    return n


def compute(function):
    calls = [delayed(function)(n) for n in range(4 if sys.argv[2] == "threads" else 1)]
    store = pipeline.Store(sys.argv[1], keep=["slow"], durable=False)
    return pipeline.compute(calls, store=store, scheduler=sys.argv[2])


with dask.config.set(num_workers=4):
    try:
        compute(slow)
    except KeyboardInterrupt:
        if sys.argv[3] == "leave":
            raise
        print(compute(quick))  # by the same threads
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stay", "leave"])
@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_a_wait_for_another_process_ends_with_an_interrupt(
    tmp_path: Path, scheduler: str, end: str
) -> None:
    (tmp_path / "main.py").write_text(WAITING)
    leases, here = tmp_path / "cache" / "leases", str(Path(__file__).parents[2])

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "main.py", "cache", scheduler, end],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": here},
        )  # fmt: skip

    owner = start()
    try:
        expected = 4 if scheduler == "threads" else 1
        while not leases.exists() or len(list(leases.iterdir())) < expected:
            time.sleep(0.01)
        waiter = start()
        assert waiter.stderr is not None
        message = waiter.stderr.readline()
        assert re.match(rf"slow\(\d\) waits for process {owner.pid} on \S+ since 20", message)
        waiter.send_signal(signal.SIGINT)
        out, errors = waiter.communicate(timeout=100)
        assert owner.poll() is None  # it has its leases still
        assert (
            (out == f"({list(range(expected))},)\n") is (waiter.returncode == 0) is (end == "stay")
        )
        assert ("KeyboardInterrupt" in errors) is (end == "leave")
    finally:
        owner.kill()
        owner.communicate()
