"""Stores at URLs of fsspec that need no server: in memory, through a folder, on what fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import fsspec
import numpy as np
import pytest
from dask import delayed
from fsspec.implementations.memory import MemoryFileSystem

import pipeline
from pipeline import Store, StoreError, StoreWarning, measure
from pipeline.store.backends import remote
from pipeline.store.backends.remote import Bucket, Remote
from tests import store_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
A, B, C = ("0a" * 16, "0b" * 16, "cc" * 16)


class Growing(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """A server on which a file can be seen while it is written, and that may fail or hang up."""

    protocol = "growing"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    requests: ClassVar[list[str]] = []
    fails: ClassVar[set[str]] = set()
    meanwhile: ClassVar[list[Callable[[], Any]]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("growing://", "memory://")))

    def _does(self, what: str) -> None:
        self.requests.append(what)
        if what in self.fails:
            raise RuntimeError(f"{what}: the line is dead")

    def pipe_file(self, path: str, value: bytes, *args: Any, **kwargs: Any) -> None:
        self.requests.append("write")
        super().pipe_file(path, value[: len(value) // 2])
        for action in self.meanwhile:
            action()
        self._does("whole")
        super().pipe_file(path, value)

    def cat_file(self, *args: Any, **kwargs: Any) -> Any:
        self._does("read")
        return super().cat_file(*args, **kwargs)

    def find(self, *args: Any, **kwargs: Any) -> Any:
        self._does("list")
        return super().find(*args, **kwargs)


fsspec.register_implementation("growing", Growing, clobber=True)


@pytest.fixture
def growing() -> Iterator[str]:
    for state in (Growing.store, Growing.requests, Growing.fails, Growing.meanwhile):
        state.clear()
    yield f"growing://{uuid4().hex}"
    Growing.store.clear()


@pytest.fixture(params=["memory", "growing", "dir"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    if request.param == "growing":
        return str(request.getfixturevalue("growing"))
    return f"dir::file://{tmp_path}/store"


@contextmanager
def failing(*what: str) -> Iterator[None]:
    Growing.fails.update(what)
    try:
        yield
    finally:
        Growing.fails.difference_update(what)


def place(store: Store, digest: str) -> str:
    assert isinstance(store.backend, Remote)
    return f"{store.backend.bucket.path}/entries/{digest[:2]}/{digest}"


def files(store: Store) -> list[str]:
    assert isinstance(store.backend, Remote)
    fs = store.backend.bucket.fs
    return [path for path in fs.find(store.backend.bucket.path) if "/notes/" not in path]


# What any store does


def test_a_remote_store_does_what_a_folder_does(url: str) -> None:
    store = Store(url)
    assert A not in store
    with pytest.raises(KeyError):
        store.get(A)
    array = np.arange(100_000.0).reshape(100, 1000)
    store.put(A, array)
    entry = store.put(B, {"a": (None, [1.5])}, function="f", seconds=2.0)
    assert (store.get(A) == array).all()
    assert store.get(A).flags.writeable  # a copy of the reader's own
    assert store.get(B) == {"a": (None, [1.5])}
    assert store.known([A, B, C]) == {A, B}
    assert [entry.digest for entry in store.entries()] == [A, B]
    assert len(store) == 2
    stored = store.entry(B)
    assert stored is not None
    assert (stored.function, stored.seconds, stored.bytes) == ("f", 2.0, entry.bytes)
    stat = store.backend.stat(B)
    assert stat is not None
    assert abs(stat.used - time.time()) < 60
    assert store.remove(B)
    assert not store.remove(B)
    assert store.known([A, B]) == {A}
    assert len(files(store)) == 1


def test_changes_by_another_store_are_seen_at_once(url: str) -> None:
    one, other = Store(url), Store(url)
    many = [f"{number:032x}" for number in range(200)]
    assert one.known(many) == set()
    for digest in (*many[:2], A):
        other.put(digest, 1)
        assert digest in one
        assert one.known([*many, A]) == other.known([*many, A])
        assert len(one) == len(other)
    other.remove(A)
    assert A not in one
    assert len(one) == 2


def test_a_corrupt_entry_is_removed_with_a_warning_and_computed_again(url: str) -> None:
    for harm in ("emptied", "cut", "flipped", "swapped"):
        store = Store(url)
        x, y = delayed(max)([1, 2]), delayed(min)([1, 2])
        pipeline.compute(x, y, store=store, scheduler="sync")
        one, other = [place(store, digest) for digest in store.digests()]
        assert isinstance(store.backend, Remote)
        fs = store.backend.bucket.fs
        data = bytearray(fs.cat_file(one))
        data[-1] ^= 1
        harmed = {"emptied": b"", "cut": bytes(data[:-5]), "flipped": bytes(data),
                  "swapped": fs.cat_file(other)}[harm]  # fmt: skip
        MemoryFileSystem.pipe_file(fs, one, harmed) if "dir" not in url else fs.pipe_file(
            one, harmed
        )
        with pytest.warns(StoreWarning, match="is removed, and computed again") as warned:
            assert pipeline.compute(x, y, store=store, scheduler="sync") == (2, 1)
        assert len(warned) == 1
        with measure() as measured:
            assert pipeline.compute(x, y, store=store, scheduler="sync") == (2, 1)
        assert measured.tasks == 0


def test_the_second_run_loads_the_outputs_and_runs_nothing(url: str, scheduler: str) -> None:
    """In memory, with other processes, outputs are stored from here; on the toy server, too."""
    if url.startswith("growing") and scheduler in ("processes", "distributed"):
        pytest.skip("no other process knows the toy server")
    for count in (True, False):
        with measure() as measured:
            values = pipeline.compute(*store_program.collections(), store=url)
        assert store_program.plain(values) == store_program.expected()
        assert (measured.tasks > 0) == count


def test_inner_results_in_memory_are_right_wherever_tasks_run(scheduler: str) -> None:
    store = Store(f"memory://{uuid4().hex}", keep=["load"])
    part = delayed(store_program.load)("abc")
    pipeline.compute(part, store=store)
    assert pipeline.compute(delayed(sum)(part), store=store) == (3.0,)


def test_another_process_loads_what_this_one_stored(tmp_path: Path) -> None:
    url = f"dir::file://{tmp_path}/store"
    pipeline.compute(*store_program.collections(), store=url, scheduler="sync")
    command = [sys.executable, "-m", "tests.store_program", f"sync={url}"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert process.stdout.startswith('{"sync": [0, ')


def test_a_bound_holds_after_each_entry_whoever_stores(url: str) -> None:
    one, other = Store(url, max_bytes=4_000), Store(url, max_bytes=4_000)
    for number in range(30):
        store = one if number % 3 else other
        store.put(f"{number:032x}", bytes(500))
    assert isinstance(one.backend, Remote)
    one.backend._valid_until = 0.0  # so that what the other has stored is seen
    one.put(A, bytes(500))
    assert one.backend.count() <= 4_000
    assert A in one
    one.gc(max_bytes=1_000)
    assert 0 < one.backend.count() <= 1_000
    assert one.gc(unused=1e6) == (0, 0)
    assert one.gc(unused=-1)[0] == 1


# Writing


def test_an_entry_is_not_seen_before_it_is_complete(growing: str) -> None:
    store, seen = Store(growing), []
    Growing.meanwhile.append(lambda: seen.append((A in store, len(store))))
    store.put(A, 1)
    assert seen == [(False, 0)]
    assert A in store


def test_a_write_that_fails_leaves_nothing(growing: str) -> None:
    store = Store(growing)
    with failing("whole"), pytest.raises(OSError, match="the line is dead"):
        store.put(A, 1)
    assert files(store) == []
    store.put(A, 1)
    assert len(files(store)) == 1


def test_files_of_killed_writers_are_removed_after_an_hour(growing: str) -> None:
    store = Store(growing)
    assert isinstance(store.backend, Remote)
    path = store.backend.bucket.path
    hour = 3600 * 10**9
    for age in (0, hour // 2, 2 * hour):
        store.backend.bucket.fs.pipe_file(
            f"{path}/temporary/{time.time_ns() - age:020}-ab", b"half"
        )
    assert store.backend.sweep() == 1
    assert len(files(store)) == 2


# Failures


def test_a_failing_server_is_one_warning_and_tasks_continue(growing: str) -> None:
    parts = [delayed(abs)(-number) for number in range(5)]
    for what in ("read", "whole"):
        store = Store(growing)
        with failing(what), pytest.warns(StoreWarning, match="the line is dead") as warned:
            assert pipeline.compute(*parts, store=store, scheduler="sync") == (0, 1, 2, 3, 4)
        assert len(warned) == 1
    store = Store(growing)
    pipeline.compute(*parts, store=store, scheduler="sync")
    assert len(store) == 5


def test_a_server_that_failed_is_left_alone_for_a_while(
    growing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = Store(growing), time.monotonic
    with failing("read"):
        assert store.known([A]) == set()
        Growing.requests.clear()
        for _ in range(10):
            assert store.known([A]) == set()
        assert Growing.requests == []
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 31)
    store.put(A, 1)
    assert store.known([A]) == {A}


def test_a_missing_library_says_what_to_install() -> None:
    for url, library in (("gs://bucket/x", "gcsfs"), ("abfs://bucket/x", "adlfs")):
        if not _is_installed(library):
            with pytest.raises(ImportError, match=f"{url}: .*[Ii]nstall.* {library}"):
                Store(url)


def _is_installed(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None


def test_a_url_that_names_no_place_is_refused() -> None:
    with pytest.raises(StoreError, match="nonsense://x: Protocol not known: nonsense"):
        Store("nonsense://x")
    with pytest.raises(StoreError, match="it names no bucket: give s3://bucket/cache"):
        Store("s3://")


def test_a_server_that_is_down_is_a_warning_when_it_is_used() -> None:
    store = Store("ftp://ann:secret@127.0.0.1:1/x")
    value = delayed(abs)(-3)
    with pytest.warns(StoreWarning) as warned:
        assert pipeline.compute(value, store=store) == (3,)
    assert pipeline.compute(value, store=store) == (3,)  # with no further warning
    [message] = [str(warning.message) for warning in warned]
    assert message.startswith("ftp://ann:***@127.0.0.1:1/x could not be reached: ")
    assert "refused" in message


# What it costs


def test_many_digests_take_one_listing(growing: str) -> None:
    store = Store(growing)
    store.put(A, 1)
    Growing.requests.clear()
    assert store.known([A, *(f"{number:032x}" for number in range(2000))]) == {A}
    assert Growing.requests == ["list"]
    Growing.requests.clear()
    assert store.known([A, B]) == {A}
    assert Growing.requests == ["read", "read"]


def test_a_hit_reads_once(growing: str) -> None:
    store = Store(growing)
    store.put(A, 1)
    Growing.requests.clear()
    store.get(A)
    assert Growing.requests == ["read"]


def test_large_entries_are_read_in_parts(growing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PART", 1000)
    store = Store(growing)
    for size in (900, 1000 - 40, 5000, 12_345):
        store.put(A, np.arange(size, dtype="u1"))
        assert (store.get(A) == np.arange(size, dtype="u1")).all()


# Notes


def test_many_notes_are_merged_and_none_is_lost(url: str) -> None:
    at = Remote(url, {})
    lines = [f'"note {number}: \u2028 \udc80"' for number in range(130)]
    for line in lines:
        at.note("topic", line)
    shown = [line.replace("\udc80", "\ufffd\ufffd\ufffd") for line in lines]
    assert at.notes("topic") == shown
    assert len(at.bucket.listing("notes/topic")) == 1
    at.note("topic", "another")
    assert at.notes("topic") == [*shown, "another"]
    assert at.notes("other") == []


def test_two_may_merge_notes_at_the_same_time(growing: str) -> None:
    one, other = Remote(growing, {}), Remote(growing, {})
    lines = [str(number) for number in range(120)]
    for line in lines:
        one.note("topic", line)
    once: list[Any] = [lambda: other.notes("topic")]
    Growing.meanwhile.append(lambda: once and once.pop()())
    assert one.notes("topic") == other.notes("topic") == lines
    for number in range(150):
        other.note("topic", f"more {number}")
    assert one.notes("topic") == [*lines, *(f"more {number}" for number in range(150))]


def test_of_very_many_notes_the_newest_stay(growing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.backends.remote.MAX_NOTE_BYTES", 2000)
    at = Remote(growing, {})
    for number in range(120):
        at.note("topic", f"{number:03} {20 * '-'}")
    assert len(at.notes("topic")) == 120
    kept = at.notes("topic")
    assert 20 < len(kept) < 60
    assert kept[-1].startswith("119")


def test_notes_of_a_read_only_place_are_read(growing: str) -> None:
    at = Remote(growing, {})
    for number in range(120):
        at.note("topic", str(number))
    with failing("whole"):
        assert len(at.notes("topic")) == 120
    assert len(at.bucket.listing("notes/topic")) == 120


# Processes and threads


def test_a_synchronous_connection_belongs_to_one_thread(growing: str) -> None:
    at = Bucket(growing, {"skip_instance_cache": True})
    systems = [at.fs, at.fs]
    other = threading.Thread(target=lambda: systems.append(at.fs))
    other.start()
    other.join()
    assert systems[0] is systems[1] is not systems[2]


def test_an_entry_of_unknown_age_counts_as_new() -> None:
    from pipeline.store.backends.remote import _stat

    assert abs(_stat({"size": 3}).used - time.time()) < 5
    assert abs(_stat({"size": 3, "mtime": "yesterday"}).used - time.time()) < 5
    assert _stat({"size": 3, "mtime": 12.5}) == (3, 12.5, ())
