"""Archives that are torn, foreign or hostile: nothing of them but whole entries gets in."""

from __future__ import annotations

import json
import os
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Store
from pipeline.archive import ArchiveError, export, take

if TYPE_CHECKING:
    from collections.abc import Callable
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


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def resized(block: bytes, size: int) -> bytes:
    """A header that claims another size."""
    info = tarfile.TarInfo.frombuf(block[:512], "utf-8", "strict")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


ENTRY = "7" * 32
CASES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "foreign": (lambda data: member("readme.txt", data), "its name is not 32 of"),
    "absolute": (lambda data: member(f"/{NAMES[1]}", data), "its name is not 32 of"),
    "above": (lambda data: member(f"../../{NAMES[1]}", data), "its name is not 32 of"),
    "folder": (lambda _: member(NAMES[1], kind=tarfile.DIRTYPE), "no plain file"),
    "link": (lambda _: member(NAMES[1], kind=tarfile.SYMTYPE, link="/etc/passwd"), "no plain file"),
    "hard": (lambda _: member(NAMES[1], kind=tarfile.LNKTYPE, link="/etc/passwd"), "no plain file"),
    "fifo": (lambda _: member(NAMES[1], kind=tarfile.FIFOTYPE), "no plain file"),
    "device": (lambda _: member(NAMES[1], kind=tarfile.CHRTYPE), "no plain file"),
    "extension": (lambda _: member("x", b"20 size=99999999999\n", b"x"), "no plain file"),
    "long name": (lambda _: member("././@LongLink", b"../../x\0", b"L"), "no plain file"),
    "other name": (lambda data: member(ENTRY, data), "an entry of another task"),
    "capitals": (lambda data: member("A" * 32, data), "its name is not 32 of"),
    "newline": (lambda data: member(f"{NAMES[1]}\n", data), "its name is not 32 of"),
    "empty": (lambda _: member(NAMES[1]), "no entry: 0 bytes"),
    "no entry": (lambda _: member(NAMES[1], b"x" * 1000), "no entry: it begins otherwise"),
    "torn": (lambda data: member(NAMES[1], data[:-8]), "a torn entry"),
    "longer": (lambda data: member(NAMES[1], data + b"x"), "a torn entry"),
    "flipped": (lambda data: member(NAMES[1], data[:-1] + b"\1"), "its checksum is another"),
    "code": (lambda _: member(f"code-{ENTRY}", b"{"), "it is no JSON"),
    "bad text": (lambda _: member(f"code-{ENTRY}", b"\xff"), "it is no JSON"),
    "deep code": (lambda _: member(f"code-{ENTRY}", b"[" * 100_000), "it is no JSON"),
    "list": (lambda _: member(f"code-{ENTRY}", b"[]"), "it is no dict of dicts"),
    "numbers": (lambda _: member(f"code-{ENTRY}", b'{"a": {"b": 1}}'), "it is no dict of dicts"),
    "large code": (lambda _: member(f"code-{ENTRY}", b" " * (1 << 21)), "are over 1,048,576"),
    "notes": (lambda _: member("runs", b"{}"), "its name is not 32 of"),
    "code path": (lambda _: member("code-../../x", b"{}"), "its name is not 32 of"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_entry_is_refused_and_the_rest_is_taken(
    case: str, tar: Path, other: Store, tmp_path: Path
) -> None:
    make, why = CASES[case]
    hostile = tmp_path / "hostile.tar"
    hostile.write_bytes(make(entry_of(tar)) + tar.read_bytes())
    before = {path for path in tmp_path.rglob("*") if "other" not in path.parts}
    moved = take(other, hostile)
    [(_, reason)] = moved.refused
    assert why in reason
    assert moved.entries == 5
    assert {path for path in tmp_path.rglob("*") if "other" not in path.parts} == before
    files = {path.name for path in (tmp_path / "other/entries").rglob("*") if path.is_file()}
    assert files == set(NAMES)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: b"", "is empty: give a tar file of `cache export`"),
        (lambda _: b"no tar file", "ends too early, after 11 bytes: export it again"),
        (lambda _: b"\x1f\x8b" + bytes(1000), "is no tar file: bad checksum at byte 0"),
        (lambda data: data[:-1024], "ends too early, after "),
        (lambda data: data[:600], "is torn or damaged: a member of "),
        (lambda data: resized(data, 1 << 60) + data[512:], "a member of 1,152,921,504,606,846,976"),
        (lambda data: resized(data, -5) + data[512:], "is torn or damaged: a member of -5 bytes"),
        (lambda data: data[:512] + b"x" + data[512:], "is torn or damaged: bad checksum at byte"),
    ],
)
def test_a_file_that_is_no_whole_tar_is_refused(
    make: Callable[[bytes], bytes], why: str, tar: Path, other: Store
) -> None:
    bad = tar.with_name("bad.tar")
    bad.write_bytes(make(tar.read_bytes()))
    with pytest.raises(ArchiveError) as refused:
        take(other, bad)
    assert why in str(refused.value)
    assert other.verify().is_sound


def test_the_entries_before_a_tear_are_kept(tar: Path, other: Store) -> None:
    torn = tar.with_name("torn.tar")
    torn.write_bytes(tar.read_bytes()[:-1500])
    with pytest.raises(ArchiveError, match="export it again"):
        take(other, torn)
    assert len(other) == 4


@settings(max_examples=150)
@given(st.data())
def test_changed_bytes_never_make_a_wrong_entry(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    store = Store("memory://fuzzed")
    value = [1, "two", 3.0]
    store.put(NAMES[0], value, function="f")
    export(store, folder / "x.tar")
    content = bytearray((folder / "x.tar").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(1, len(content)))
    (folder / "x.tar").write_bytes(content[:length])
    other = Store(f"memory://{folder.name}")
    with suppress(ArchiveError):
        take(other, folder / "x.tar")
    for entry in other.entries():
        assert (entry.digest, other.get(entry.digest)) == (NAMES[0], value)


def test_descriptions_of_code_are_kept_once(tmp_path: Path, other: Store) -> None:
    told = {"its own": {"code": "a"}}
    (tmp_path / "code.tar").write_bytes(
        2 * member(f"code-{ENTRY}", json.dumps(told).encode()) + bytes(1024)
    )
    assert take(other, tmp_path / "code.tar").refused == []
    assert other.noted(f"code-{ENTRY}") == [told]


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, other: Store) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ArchiveError, match="is no file: give a tar file"):
            take(other, path)


def test_what_is_refused_is_told_without_escapes(tmp_path: Path, other: Store) -> None:
    (tmp_path / "x.tar").write_bytes(member("\x1b[31m", b"x") + bytes(1024))
    [(name, _)] = take(other, tmp_path / "x.tar").refused
    assert name == "·[31m"
