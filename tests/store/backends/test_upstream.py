"""A store with an upstream: hits are read through, results go to both, failures are warnings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreError, StoreWarning, measure
from pipeline.store.backends.upstream import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B, C = ("0a" * 16, "0b" * 16, "cc" * 16)


@pytest.fixture(params=["folder", "memory", "dir"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The place that a team shares."""
    if request.param == "folder":
        return f"{tmp_path}/shared"
    return f"memory://{uuid4().hex}" if request.param == "memory" else f"dir::file://{tmp_path}/dir"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"{tmp_path}/shared"


@contextmanager
def caught() -> Iterator[list[str]]:
    """The store's warnings meanwhile."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield messages
    messages += [str(item.message) for item in found if item.category is StoreWarning]


def files(folder: str) -> list[Path]:
    return [path for path in Path(folder).rglob("entries/*/*") if path.is_file()]


def tasks_of(store: Store, *collections: Any, scheduler: str = "sync") -> int:
    """How many tasks a run has computed."""
    with measure() as measured:
        pipeline.compute(*collections, store=store, scheduler=scheduler)
    return measured.tasks


# Entries


def test_a_result_goes_to_both_and_a_hit_is_kept_here(shared: str, tmp_path: Path) -> None:
    ann = Store(tmp_path / "ann", upstream=shared)
    value: dict[str, Any] = {"a": [1, None, 2.5], "b": np.arange(100_000)}
    ann.put(A, value, function="f")
    ann.put(B, 3)
    ann.flush()
    assert set(Store(shared).digests()) == {A, B}
    bob = Store(tmp_path / "bob", upstream=shared)
    assert len(bob) == 0
    assert bob.known([A, B, C]) == {A, B}
    loaded = bob.get(A)
    assert loaded["a"] == value["a"]
    assert np.array_equal(loaded["b"], value["b"])
    loaded["b"][:] = 0  # it is the reader's own
    assert bob.get(B) == 3
    assert list(bob.digests()) == [A, B]
    assert np.array_equal(Store(tmp_path / "bob").get(A)["b"], value["b"])
    with pytest.raises(KeyError):
        bob.get(C)


def test_a_readonly_upstream_is_read_and_not_written(shared: str, tmp_path: Path) -> None:
    Store(shared).put(A, 1)
    bob = Store(tmp_path / "bob", upstream=shared, readonly=True)
    bob.put(B, 2, function="f")
    assert bob.get(A) == 1
    bob.flush()
    assert set(Store(shared).digests()) == {A}
    assert "function" not in str(Store(shared).backend.topics())
    assert set(bob.digests()) == {A, B}


def test_removing_and_evicting_concern_this_store_alone(shared: str, tmp_path: Path) -> None:
    bob = Store(tmp_path / "bob", upstream=shared, max_bytes=3_000)
    for digest in (A, B, C):
        bob.put(digest, bytes(1_500))
    bob.flush()
    assert len(bob) == 1
    assert len(Store(shared)) == 3
    assert bob.get(A) == bytes(1_500)  # which was evicted here
    assert sum(bob.sizes().values()) <= 3_000
    assert bob.remove(A)
    assert A not in bob  # until it is stored again, in this process
    assert len(Store(shared)) == 3
    bob.put(A, 2)
    assert bob.get(A) == 2


def test_an_entry_above_the_bound_is_loaded_and_not_kept(folder: str, tmp_path: Path) -> None:
    Store(folder).put(A, value := np.arange(50_000))
    bob = Store(tmp_path / "bob", upstream=folder, max_bytes=100_000)
    for _ in range(2):
        loaded = bob.get(A)
        assert np.array_equal(loaded, value)
        loaded[:] = 0
    assert len(bob) == 0


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("harm", ["emptied", "cut", "flipped", "swapped"])
def test_a_corrupt_entry_is_never_kept(
    folder: str, tmp_path: Path, harm: str, readonly: bool, is_large: bool
) -> None:
    add = 100_000 if is_large else 1
    x, y = delayed(np.arange)(add + 1), delayed(np.arange)(add + 2)
    pipeline.compute(x, y, store=folder, scheduler="sync")
    one, other = files(folder)
    data = bytearray(one.read_bytes())
    data[-1] ^= 1
    one.write_bytes({"emptied": b"", "cut": bytes(data[:-5]), "flipped": bytes(data),
                     "swapped": other.read_bytes()}[harm])  # fmt: skip
    bob = Store(tmp_path / "bob", upstream=folder, readonly=readonly)
    with caught() as messages:
        values = pipeline.compute(x, y, store=bob, scheduler="sync")
    assert [len(value) for value in values] == [add + 1, add + 2]
    [message] = messages
    done = "is not loaded, and computed again" if readonly else "is removed, and computed again"
    assert f"{one.name} {done}" in message
    assert all(bob.check(digest) for digest in bob.digests())
    if readonly:
        assert one.exists()
    else:  # it is what was computed
        assert Store(folder).check(one.name)


# Failures


def silent_server() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"ftp://127.0.0.1:{silent.getsockname()[1]}/x"


silent = pytest.fixture(silent_server)


def test_a_silent_upstream_costs_its_time_once(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_PATIENCE", 0.3)
    parts = [delayed(abs)(-number) for number in range(20)]
    start = time.monotonic()
    with caught() as messages:
        for name in ("one", "other"):
            store = Store(tmp_path / name, upstream=silent)
            assert pipeline.compute(*parts, store=store, scheduler="sync") == tuple(range(20))
            assert len(store) == 20
    [message] = messages
    assert f"{silent} could not be reached: no answer in 1 s" in message
    assert time.monotonic() - start < 10  # and not a time-out for each of 40 tasks


def test_an_absent_upstream_is_one_warning(tmp_path: Path) -> None:
    store = Store(tmp_path / "one", upstream="ftp://ann:secret@127.0.0.1:1/x")
    with caught() as messages:
        assert pipeline.compute(delayed(abs)(-3), store=store, scheduler="sync") == (3,)
        assert pipeline.compute(delayed(abs)(-4), store=store, scheduler="sync") == (4,)
    [message] = messages
    assert "ftp://ann:***@127.0.0.1:1/x could not be reached: " in message
    assert len(store) == 2


def test_a_failure_to_write_upstream_is_one_warning(folder: str, tmp_path: Path) -> None:
    Path(folder).write_text("mine")
    store = Store(tmp_path / "one", upstream=folder)
    with caught() as messages:
        assert pipeline.compute(delayed(abs)(-3), store=store, scheduler="sync") == (3,)
    assert len(messages) == 1
    assert Path(folder).read_text() == "mine"
    assert len(store) == 1


def test_results_are_upstream_when_a_process_ends(folder: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pipeline import Store; "
        "store = Store(sys.argv[1], upstream=sys.argv[2]); "
        "[store.put(f'{n:032x}', bytes(1000), function='f') for n in range(50)]"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "one", folder], check=True)
    assert len(Store(folder)) == 50
    assert len(Store(folder).notes.history("f")) == 50


def test_a_fork_writes_upstream(folder: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "one", upstream=folder)
    store.put(A, 1)
    store.flush()
    child = os.fork()
    if not child:  # pragma: no cover - what a child does is not seen
        try:
            store.put(B, store.get(A) + 1)
            store.flush()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert Store(folder).get(B) == 2


# Settings


def test_without_a_thread_to_write_upstream_nobody_waits_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    backend = Store(f"memory://{uuid4().hex}").backend
    upstream = requests.Upstream("upstream", backend, is_readonly=False)
    with monkeypatch.context() as patch:
        patch.setattr(requests.Threads, "run", fail)
        with pytest.raises(RuntimeError, match="thread"):
            upstream.note("runs", ["{}"], lambda *_: None)
    flushing = threading.Thread(target=upstream.flush, daemon=True)
    flushing.start()
    flushing.join(5)
    assert not flushing.is_alive()
    upstream.note("runs", ["{}"], lambda *_: None)
    upstream.flush()
    assert backend.notes("runs") == ["{}", "{}"]


def test_a_store_can_be_an_upstream_with_its_own(folder: str, tmp_path: Path) -> None:
    lab = Store(tmp_path / "lab", upstream=folder)
    ann = Store(tmp_path / "ann", upstream=lab)
    ann.put(A, 1)
    ann.flush()
    assert Store(folder).get(A) == 1
    bob = Store(tmp_path / "bob", upstream=Store(tmp_path / "lab2", upstream=folder))
    assert bob.get(A) == 1
    assert len(Store(tmp_path / "lab2")) == 1


def test_options_go_to_the_upstream_of_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path, upstream=f"memory://{uuid4().hex}", options={"a": 1})
    assert store.upstream is not None
    assert store.upstream.options == {"a": 1}
    other = Store(f"memory://{uuid4().hex}", upstream=tmp_path / "x", options={"a": 1})
    assert other.upstream is not None
    assert other.upstream.options == {}


def test_a_store_is_not_its_own_upstream(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is the store itself: give another place"):
        Store(tmp_path, upstream=tmp_path)


# Readonly


def test_a_readonly_store_is_never_written(folder: str) -> None:
    x, y = delayed(abs)(-1), delayed(abs)(-2)
    pipeline.compute(x, store=folder)
    before = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}
    store = Store(folder, readonly=True)
    with caught() as messages:
        assert tasks_of(store, x) == 0
        assert tasks_of(store, y) == 1
        assert store.explain(x, y).count("hit") == 1
    assert messages == []
    for write in (lambda: store.put(A, 1), lambda: store.remove(A), store.gc):
        with pytest.raises(StoreError, match="is readonly: open it without readonly=True"):
            write()
    assert {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")} == before


def test_a_readonly_store_leaves_a_corrupt_entry(folder: str) -> None:
    x = delayed(abs)(-1)
    pipeline.compute(x, store=folder)
    [path] = files(folder)
    path.write_bytes(b"corrupt")
    with pytest.warns(StoreWarning, match="is not loaded, and computed again") as warned:
        assert pipeline.compute(x, store=Store(folder, readonly=True)) == (1,)
    assert len(warned) == 1
    assert path.read_bytes() == b"corrupt"
