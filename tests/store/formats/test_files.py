"""The format of a file: its content is in the bytes, and comes back where it was."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgpack
import pytest
from xxhash import xxh3_128_hexdigest

from pipeline import File, Store, register_format
from pipeline.store import (
    CodecError,
    StoreWarning,
    UnstorableError,
    checksum,
    encoded,
    pieces,
    size,
)
from pipeline.store.entry import UnreadableError
from pipeline.store.formats import decoded, decoded_with_files
from pipeline.store.formats.files import Copy
from tests.fuzz import packed

DIGEST = 32 * "a"
LARGE = os.urandom(1 << 20)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(content: bytes, name: str = "out") -> File:
    Path(name).write_bytes(content)
    return File(name)


def joined(value: Any) -> bytes:
    return b"".join(pieces(encoded(value)))


@pytest.mark.parametrize(
    "content", [b"", b"a", LARGE[: 1 << 18], LARGE[: (1 << 18) + 1], LARGE], ids=len
)
def test_a_value_has_the_content_of_its_files(content: bytes) -> None:
    payload = encoded([written(content), 1])
    assert size(payload) == len(joined([File("out"), 1]))
    Path("out").unlink()
    if len(content) <= 1 << 18:  # a small file is read once
        value, [copy] = decoded_with_files(b"".join(payload))
        assert value == [File("out"), 1]
        assert (copy.path, bytes(copy.data)) == ("out", content)
        assert not Path("out").exists()
        copy.put_back(None, is_flushed=True)
        assert Path("out").read_bytes() == content


def test_the_checksum_covers_path_content_and_mode() -> None:
    files = [written(b"a"), written(b"b", "other"), written(LARGE, "large")]
    sums = [checksum(encoded(file)) for file in files]
    written(b"c")
    os.chmod("other", 0o700)
    written(LARGE[:-1] + b"x", "large")
    sums += [checksum(encoded(file)) for file in files]
    assert len(set(sums)) == 6


def test_decoding_alone_writes_nothing() -> None:
    data = joined(written(b"a"))
    Path("out").unlink()
    assert decoded(data) == File("out")
    assert os.listdir() == []


def test_a_large_file_that_changes_is_not_read_to_its_end() -> None:
    payload = encoded(written(LARGE))
    first = checksum(payload)
    for content in (LARGE[:-1], LARGE[::-1], b""):
        Path("out").write_bytes(content)
        with pytest.raises(UnstorableError, match="it changed while it was stored"):
            checksum(payload)
    written(LARGE)
    assert checksum(payload) == first


HASH = xxh3_128_hexdigest(b"a")


@pytest.mark.parametrize(
    "parts",
    [
        (), ("out",), ("out", HASH), ("out", HASH, False, 1), ("out", HASH, 1), (1, HASH, False),
        ("", HASH, False), ("a\0b", HASH, False), (True, HASH, False), ("out", None, False),
        (b"out", HASH, False), (["out"], HASH, False),
    ],
)  # fmt: skip
def test_other_bytes_are_no_file(parts: tuple[Any, ...]) -> None:
    with pytest.raises(CodecError):
        decoded(packed([6, *parts], b"a"))


def test_a_content_of_another_hash_is_not_written() -> None:
    data = packed([6, "out", xxh3_128_hexdigest(b"b"), False], b"a")
    _, [copy] = decoded_with_files(data)
    with pytest.raises(CodecError, match="is not that of its hash"):
        copy.put_back(None, is_flushed=False)
    assert os.listdir() == []


@pytest.mark.parametrize("place", ["out", "inner/out", "inner/deep/out"])
def test_a_failure_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    copy = Copy(place, HASH, False, memoryview(b"a"))

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fails)
        with pytest.raises(UnreadableError, match="No space left on device"):
            copy.put_back(None, is_flushed=False)
    assert [path for path in Path().rglob("*") if path.is_file()] == []
    copy.put_back(None, is_flushed=False)
    assert Path(place).read_bytes() == b"a"


def test_a_file_that_threads_put_back_at_once_is_written_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that reads it after the first has put it back must not see it change."""
    written: list[str] = []
    replace = os.replace

    def slowly(source: str, target: str) -> None:
        time.sleep(0.05)  # meanwhile the other threads come here, too
        replace(source, target)
        written.append(target)

    monkeypatch.setattr(os, "replace", slowly)
    copy = Copy("out", HASH, False, memoryview(b"a"))
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(copy.put_back, None, False) for _ in range(3)]:
            done.result()
    assert [Path(path).name for path in written] == ["out"]


def test_large_files_of_a_set_are_in_order() -> None:
    files = [written(LARGE, "a"), written(LARGE[::-1], "b"), written(b"c", "c")]
    assert len({joined(set(order)) for order in (files, files[::-1], files[1:] + files[:1])}) == 1


class Holder:
    """A class with a registered format."""

    def __init__(self, file: Any) -> None:
        self.file = file


def test_a_file_in_another_object_is_not_stored() -> None:
    """Whether the task wrote it is known of files in containers alone."""
    register_format(Holder, lambda holder: [holder.file], lambda tree: Holder(*tree))
    file = written(b"a")
    for value in (Holder(file), [Holder(file)], {1: Holder([file])}):
        with pytest.raises(UnstorableError, match="return the File beside it"):
            encoded(value)
    assert len(encoded([file, Holder(file), file])) == len(encoded([file, file, file]))


def test_a_store_puts_back_what_get_returns() -> None:
    store = Store("cache")
    store.put(DIGEST, {"file": written(LARGE)})
    Path("out").unlink()
    assert store.get(DIGEST) == {"file": File("out")}
    assert Path("out").read_bytes() == LARGE
    Path("out").unlink()
    Path("out").mkdir()
    with pytest.raises(KeyError), pytest.warns(StoreWarning, match="out cannot be put back"):
        store.get(DIGEST)
    assert DIGEST in Store("cache")


def test_a_file_among_others_is_put_back_after_all_of_them_are_read() -> None:
    """Nothing is written for a value that is corrupt."""
    tree = [20, [6, "out", HASH, False], [99]]
    structure = msgpack.packb([tree, [1]])
    data = len(structure).to_bytes(4, "little") + structure
    data += bytes(-len(data) % 64) + b"a"
    with pytest.raises(CodecError):
        decoded_with_files(data)
    assert os.listdir() == []
