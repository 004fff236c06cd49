"""Entries of a store as one tar file, for another machine, or for later.

A member is an entry, byte for byte, under its digest; or, as `code-` and a hash, a description in
JSON of the code behind some entries, by which `Store.explain` tells what has changed. A file that
is read may come from anywhere: nothing of it names a file here, and an entry is stored only when
it is whole and says itself that it is of its name.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import stat
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.codec import CodecError
from pipeline.entry import DIGEST, unpacked
from pipeline.locks import OWNER_ONLY
from pipeline.room import StoreError
from pipeline.units import printable
from pipeline.whole import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipeline.store import Store

_Member = tuple[tarfile.TarInfo, memoryview]

_CODE = re.compile(r"code-[0-9a-f]{32}")

_LARGEST = 1 << 20
"""Bytes of a description of code, at the most."""

_EMPTY = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
)  # fmt: skip
"""Types of members that no bytes follow, whatever size they claim."""


class ArchiveError(ValueError):
    """A file that is no tar of entries, or not a whole one."""


@dataclass
class Moved:
    """What was written to an archive, or taken from it.

    entries, bytes: that were moved, and codes: descriptions of code
    known: entries that the store had already
    refused: names of members, or digests of entries, that were not moved, and why
    """

    entries: int = 0
    bytes: int = 0
    codes: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def export(
    store: Store,
    path: str | os.PathLike[str],
    digests: Iterable[str] | None = None,
    along: Callable[[list[str]], Iterable[str]] = iter,
) -> Moved:
    """Write the entries of a store, or some of them, to a tar file: all of it, or nothing.

    along: gives the digests one by one, and so learns how far the writing is

    What is torn is left out, and told. Raises `OSError`, and what a remote store raises.
    """
    with written(path, OWNER_ONLY) as file:
        names = sorted(store.at.names() if digests is None else digests)
        return _packed(store, file, along(names))


def _packed(store: Store, file: BinaryIO, digests: Iterable[str]) -> Moved:
    moved, codes = Moved(), set()
    for name in digests:
        found = store.at.read(name)
        if found is None:
            continue  # it has gone meanwhile
        try:
            entry, _ = unpacked(found[0], name)
        except CodecError as error:
            moved.refused.append((name, printable(str(error))))
            continue
        _add(file, name, found[0], int(entry.created))
        moved.entries += 1
        moved.bytes += len(found[0])
        codes.add(f"code-{entry.code}")
    for topic in sorted(filter(_CODE.fullmatch, codes)):
        told = next(filter(_is_description, store.noted(topic)), None)
        if told is not None:
            _add(file, topic, memoryview(json.dumps(told).encode()), 0)
            moved.codes += 1
    file.write(bytes(2 * tarfile.BLOCKSIZE))
    return moved


def _add(file: BinaryIO, name: str, data: memoryview, made: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), OWNER_ONLY, made
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    file.write(data)
    file.write(bytes(-len(data) % tarfile.BLOCKSIZE))


def take(
    store: Store,
    path: str | os.PathLike[str],
    along: Callable[[Iterator[_Member]], Iterable[_Member]] = iter,
) -> Moved:
    """Store the entries of a tar file. What is no whole entry is refused, and told.

    along: gives the members one by one, and so learns how far the reading is

    Raises `ArchiveError` where the file ends before its end, or is no tar; the entries before that
    place are stored then. Raises `OSError`, and what a remote store raises. No code is run, and
    none of the file's; yet who stores with `pickle=True` must trust whoever made the file.
    """
    moved = Moved()
    if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for who writes to it
        raise ArchiveError(f"{os.fspath(path)} is no file: give a tar file of `cache export`")
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ArchiveError(f"{os.fspath(path)} is empty: give a tar file of `cache export`")
        # Not closed: the members are views of it.
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    for info, data in along(_members(view, os.fspath(path))):
        try:
            _take(store, info, data, moved)
        except (CodecError, StoreError) as error:
            moved.refused.append((printable(info.name), printable(str(error))))
    store.speak()
    return moved


def _members(view: memoryview, path: str) -> Iterator[_Member]:
    """The members of a tar file, and their bytes.

    Not by Python's reader: it reads what a header claims into memory, and follows extensions that
    rename and resize a member.
    """
    at = 0
    while True:
        block = bytes(view[at : at + tarfile.BLOCKSIZE])
        if len(block) < tarfile.BLOCKSIZE:
            raise ArchiveError(f"{path} ends too early, after {len(view):,} bytes: export it again")
        if not block.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError as error:
            what = "is no tar file" if not at else "is torn or damaged"
            raise ArchiveError(f"{path} {what}: {error} at byte {at:,}; export it again") from None
        at += tarfile.BLOCKSIZE
        length = 0 if info.type in _EMPTY else info.size
        if not 0 <= length <= len(view) - at:
            raise ArchiveError(
                f"{path} is torn or damaged: a member of {length:,} bytes with "
                f"{len(view) - at:,} left; export it again"
            )
        yield info, view[at : at + length]
        at += length + -length % tarfile.BLOCKSIZE


def _take(store: Store, info: tarfile.TarInfo, data: memoryview, moved: Moved) -> None:
    """Store one member. Raises `CodecError` and `StoreError` for what is refused."""
    if not info.isreg():
        raise CodecError("no plain file: a link, a folder or an extension of a header")
    if _CODE.fullmatch(info.name):
        _take_code(store, info.name, data)
        moved.codes += 1
        return
    if not DIGEST.fullmatch(info.name):
        raise CodecError("no entry: its name is not 32 of the digits 0-9 and a-f")
    entry, _ = unpacked(data, info.name)
    if store.open(info.name) is not None:
        moved.known += 1
        return
    store.put_packed(entry, [data])
    moved.entries += 1
    moved.bytes += len(data)


def _take_code(store: Store, topic: str, data: memoryview) -> None:
    if len(data) > _LARGEST:
        raise CodecError(f"no description of code: {len(data):,} bytes are over {_LARGEST:,}")
    try:
        told = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise CodecError(f"no description of code: it is no JSON, {error}") from None
    if not _is_description(told):
        raise CodecError("no description of code: it is no dict of dicts of texts")
    if not any(map(_is_description, store.noted(topic))):
        store.at.note(topic, json.dumps(told))


def _is_description(told: Any) -> bool:
    return isinstance(told, dict) and all(
        isinstance(part, dict) and all(isinstance(each, str) for each in part.values())
        for part in told.values()
    )
