"""What every backend of a store does: one contract for a folder and for URLs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from pipeline.store.backends.disk import Disk
from pipeline.store.backends.remote import Remote

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.store.backends import Backend

A, B, C = "0a" * 16, "0b" * 16, "cc" * 16


@pytest.fixture(params=["disk", "memory", "dir"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "disk":
        return Disk(tmp_path / "store")
    url = f"dir::file://{tmp_path}/store" if request.param == "dir" else f"memory://{uuid4().hex}"
    return Remote(url, {})


def write(backend: Backend, digest: str, *buffers: bytes) -> None:
    backend.write(digest, list(buffers))


def test_a_new_backend_is_empty(backend: Backend) -> None:
    assert backend.known([A, "", B]) == set()
    assert backend.read(A) is None
    assert backend.stat(A) is None
    assert backend.remove(A) is None
    assert [*backend.digests(), *backend.stats(), *backend.heads([A], 9), *backend.notes("a")] == []
    assert backend.topics() == {}
    assert backend.sweep() == backend.count() == 0
    backend.touch(A)
    backend.forget("a")


def test_entries_are_read_listed_and_removed(backend: Backend) -> None:
    write(backend, C, b"the third")
    write(backend, A, b"the ", b"first")
    assert backend.known([A, B, C, ""]) == {A, C}
    assert list(backend.digests()) == list(backend.stats()) == [A, C]
    stored = backend.read(A)
    assert stored is not None
    assert bytes(stored[0]) == b"the first"
    stored[0][:3] = b"The"  # the bytes are the reader's own
    assert [(digest, bytes(head)) for digest, head in backend.heads([B, A], 3)] == [(A, b"the")]
    assert bytes(dict(backend.heads([A], 100))[A]) == b"the first"
    stat = backend.stat(A)
    assert stat is not None
    assert stat.bytes == 9
    assert abs(stat.used - time.time()) < 60
    assert backend.remove(A) == 9
    assert bytes(stored[0]) == b"The first"
    assert backend.known([A, C]) == {C}


def test_an_entry_is_seen_when_it_is_published_and_replaces_another(backend: Backend) -> None:
    write(backend, A, b"old")

    def refuse() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        backend.write(A, [b"discarded"], refuse)
    stored = backend.read(A)
    before: list[bytes] = []
    backend.write(A, [b"new"], lambda: before.append(bytes(dict(backend.heads([A], 9))[A])))
    assert before == [b"old"]
    assert bytes(dict(backend.heads([A], 9))[A]) == b"new"
    assert stored is not None
    assert bytes(stored[0]) == b"old"


def test_a_trial_leaves_nothing(backend: Backend) -> None:
    assert bytes(backend.trial(A, [b"so", b"me"])) == b"some"
    assert list(backend.digests()) == []
    assert backend.sweep() == 0


def test_the_total_is_counted_and_set(backend: Backend) -> None:
    write(backend, A, bytes(10))
    write(backend, B, bytes(20))
    with backend.locked():
        assert backend.total() == backend.count() == 30
        backend.set_total(25)
        assert backend.total() == 25
        assert backend.count() == 30


def test_notes_are_kept_by_topic_in_their_order(backend: Backend) -> None:
    lines = ["one", "zwö", "\u2028 of three"]
    for line in lines:
        backend.note("runs", line)
    backend.note("code-0a", "other")
    assert backend.notes("runs") == lines
    assert backend.topics().keys() == {"runs", "code-0a"}
    assert all(abs(written - time.time()) < 60 for written in backend.topics().values())
    for _ in range(2):
        backend.forget("runs")
    assert backend.notes("runs") == []
    assert backend.notes("code-0a") == ["other"]


@pytest.mark.parametrize("topic", ["", "..", "../x", "code-../x", "/etc/x", "code-G", "a\0", "a\n"])
def test_a_topic_is_no_path(backend: Backend, topic: str) -> None:
    for use in (lambda: backend.note(topic, "x"), lambda: backend.notes(topic)):
        with pytest.raises(ValueError, match="is not a topic"):
            use()
    with pytest.raises(ValueError, match="is not a topic"):
        backend.forget(topic)


def test_a_lease_is_held_by_one_or_not_known(backend: Backend) -> None:
    lease = backend.lease(A)
    assert (lease is not None) == backend.is_local
    if lease is not None:
        lease.end(True)
        again = backend.lease(A)
        assert again is not None
        again.end(False)
