"""What every backend of a store does: one contract for folders, URLs, and those with upstream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from pipeline.store.backends.disk import Disk
from pipeline.store.backends.remote import Remote
from pipeline.store.backends.upstream import Host, Mirrored, Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.store.backends import Backend

A, B, C = "0a" * 16, "0b" * 16, "cc" * 16


def made(kind: str, path: Path) -> Backend:
    if kind in ("disk", "shared disk"):
        return Disk(path, is_for_group=kind != "disk")
    return Remote(f"dir::file://{path}" if kind == "dir" else f"memory://{uuid4().hex}", {})


KINDS = ["disk", "memory", "dir"]


@pytest.fixture(
    params=[*KINDS, "shared disk", *(f"disk with {kind}" for kind in KINDS), "memory with disk"]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    kind, _, above = request.param.partition(" with ")
    backend, failures = made(kind, tmp_path / "store"), []
    if above:
        upstream = Upstream(above, made(above, tmp_path / "upstream"), False)
        host = Host(None, lambda *_: None, lambda *failure: failures.append(failure))
        backend = Mirrored(backend, upstream, host)
    yield backend
    backend.flush()
    assert failures == []


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


def test_entries_are_fetched_together_and_released(backend: Backend) -> None:
    large = bytes(range(256)) * 100
    write(backend, A, b"small")
    write(backend, B, large)
    assert set(backend.distant([A, B, C])) in (set(), {C}, {A, B, C})
    for is_whole in (False, True):
        backend.fetch([A, B, C], is_whole)
        heads = {name: bytes(head) for name, head in backend.heads([A, B, C], 20_000)}
        assert heads == {A: b"small", B: large[:20_000]}
        for digest, content in ((A, b"small"), (B, large)):
            stored = backend.read(digest)
            assert stored is not None
            assert bytes(stored[0]) == content
            stored[0][:1] = b"-"
        assert backend.read(C) is None
        backend.release()
    backend.fetch([A, C])
    backend.write(C, [b"new"])
    backend.remove(A)
    assert backend.read(A) is None
    stored = backend.read(C)
    assert stored is not None
    assert bytes(stored[0]) == b"new"


def test_many_entries_are_written_together(backend: Backend) -> None:
    backend.write_all({A: memoryview(b"one"), B: memoryview(b"other")})
    assert backend.known([A, B, C]) == {A, B}


def test_an_entry_is_evicted(backend: Backend) -> None:
    write(backend, A, b"the first")
    backend.flush()
    assert backend.evict(A) == 9
    assert backend.evict(A) is None
    assert list(backend.digests()) == []


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


def test_several_notes_are_added_at_once(backend: Backend) -> None:
    backend.note("function-0a", "one", "two")
    backend.note("function-0a", "three")
    assert backend.notes("function-0a") == ["one", "two", "three"]


def test_the_last_note_on_code_and_content_is_found_by_name(backend: Backend) -> None:
    backend.note("content-0a", "one")
    backend.note("content-0a", "two")
    backend.note("code-0b", "three")
    found = backend.noted(["content-0a", "code-0b", "content-0c"])
    assert {topic: lines[-1:] for topic, lines in found.items()} == {
        "content-0a": ["two"],
        "code-0b": ["three"],
        "content-0c": [],
    }


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
