"""Entries as bytes: what is written is read, and what is hostile is refused."""

from __future__ import annotations

import platform
import struct
import time
from contextlib import suppress
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_128

from pipeline.store import CodecError, Entry, checksum, encoded, unpacked
from pipeline.store.entry import (
    MAGIC,
    VERSION,
    UnstorableError,
    header,
    noun,
    packed,
    prefixed,
)

DIGEST = 32 * "a"


def written(entry: Entry, payload: list[Any]) -> bytes:
    return b"".join(packed(entry, payload))


def crafted(
    payload: bytes = b"", magic: bytes = MAGIC, version: int = VERSION, length: int | None = None,
    size: int | None = None, text: bytes | None = None, **fields: Any,
) -> memoryview:  # fmt: skip
    """An entry with a right checksum, whatever it says."""
    facts = vars(Entry(DIGEST, bytes=len(payload), checksum=checksum([payload]))) | fields
    if not {"inputs", "target"} & fields.keys() and version == VERSION:
        version, facts = 1, {**facts, "inputs": ..., "target": ..., "meant": ...}
    facts = {name: value for name, value in facts.items() if value is not ...}
    text = msgpack.packb(facts, unicode_errors="surrogatepass") if text is None else text
    head = struct.pack(
        "<8sIIQ", magic, version, len(text) if length is None else length,
        len(payload) if size is None else size,
    )  # fmt: skip
    start = head + xxh3_128(head + text).digest() + text
    return memoryview(start + bytes(-len(start) % 64) + payload)


def test_what_is_written_is_read() -> None:
    entry = Entry(DIGEST, "f", "f('\udc80')", "c", [["1", "h"]], 0.5, 2, 0.1, created=7.0)
    payload = encoded({"x": np.arange(5)})
    back, view = unpacked(memoryview(written(entry, payload)), DIGEST)
    assert bytes(view) == b"".join(payload)
    assert back == Entry(**vars(entry) | {"bytes": len(view), "checksum": back.checksum})


def test_what_a_result_depends_on_and_where_it_is_are_read() -> None:
    inputs = [["file", "a\udc80.csv", "h", 12, 2**62], ["variable", "HOME", "", 0, 0]]
    entry = Entry(DIGEST, inputs=inputs, target=32 * "b", meant=b"sum")
    back, _ = unpacked(memoryview(written(entry, [])), DIGEST)
    assert (back.inputs, back.target, back.meant) == (inputs, 32 * "b", b"sum")


def test_the_payload_is_aligned_for_maps() -> None:
    for length in range(0, 200, 7):
        view = memoryview(written(Entry(DIGEST, call=length * "x"), [b"payload"]))
        assert prefixed(view) % 64 == 0
        assert bytes(view[prefixed(view) :]) == b"payload"


def test_a_crafted_entry_without_faults_is_read() -> None:
    assert bytes(unpacked(crafted(b"some"), DIGEST)[1]) == b"some"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"magic": b"\x89PNG\r\n\x1a\n"}, "it begins with"),
        ({"version": 3}, "version 3: this program reads 1 to 2"),
        ({"version": 0}, "version 0"),
        ({"length": 2**32 - 1}, "its header has 4294967295 bytes"),
        ({"length": 2**20}, "corrupt"),
        ({"length": 0}, "corrupt"),
        ({"size": 2**64 - 1}, "contradict"),
        ({"size": 5}, "contradict"),
        ({"bytes": 2**63, "size": 2**63}, "bytes instead of"),
        ({"bytes": -1}, "negative"),
        ({"bytes": True}, "its bytes is a bool"),
        ({"bytes": 1.0}, "its bytes is a float"),
        ({"seconds": float("nan")}, "negative, too large, or none"),
        ({"behind": float("inf")}, "negative, too large, or none"),
        ({"loading": "1"}, "its loading is a str"),
        ({"created": -1.0}, "negative"),
        ({"digest": 32 * "b"}, "of another task"),
        ({"digest": "../../etc/passwd"}, "its digest is malformed"),
        ({"digest": "\x1b[31m"}, "its digest is malformed"),
        ({"digest": 32 * "a" + "\n"}, "its digest is malformed"),
        ({"created": 1e300}, "too large"),
        ({"created": 2**33}, "too large"),
        ({"seconds": 1e300}, "too large"),
        ({"digest": None}, "its digest is a NoneType"),
        ({"function": b"f"}, "its function is a bytes"),
        ({"function": ["f"]}, "its function is a list"),
        ({"arguments": {}}, "its arguments is a dict"),
        ({"arguments": [["1"]]}, "its arguments are malformed"),
        ({"arguments": [[1, 2]]}, "its arguments are malformed"),
        ({"inputs": [["file", "a.csv", "h", 1]]}, "its inputs are malformed"),
        ({"inputs": [["file", "a.csv", "h", 1, 0.5]]}, "its inputs are malformed"),
        ({"target": "aa"}, "its digest is malformed"),
        ({"arguments": ["ab"]}, "its arguments are malformed"),
        ({"checksum": "x"}, "its checksum is a str"),
        ({"checksum": b""}, "its checksum is wrong"),
        ({"checksum": ...}, "other fields"),
        ({"more": 1}, "other fields"),
        ({"__class__": "os.system"}, "other fields"),
        ({"text": b""}, "not msgpack"),
        ({"text": b"\xc1"}, "not msgpack"),
        ({"text": b"\x80"}, "other fields"),
        ({"text": b"\xc0"}, "other fields"),
        ({"text": b"\xdf\xff\xff\xff\xff"}, "not msgpack"),
        ({"text": b"\xdd\xff\xff\xff\xff"}, "not msgpack"),
        ({"text": 100_000 * b"\x91" + b"\xc0"}, "not msgpack"),
        ({"text": b"\xa2\xff\xff"}, "not msgpack"),
        ({"text": b"\x81\xc4\x01a\xc0"}, "other fields"),
        ({"text": b"\xd6\xff\0\0\0\0"}, "other fields"),
        ({"text": b"\x80\x80"}, "not msgpack"),
    ],
    ids=str,
)
def test_hostile_entries_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(CodecError, match=why):
        unpacked(crafted(**wrong), DIGEST)


def test_bytes_between_header_and_payload_are_zero() -> None:
    data = bytearray(crafted(b"some"))
    data[-5] = 1
    with pytest.raises(CodecError, match="contradict"):
        header(memoryview(data), DIGEST)


def test_more_bytes_than_an_entry_has_are_refused() -> None:
    with pytest.raises(CodecError, match="5 bytes instead of 4"):
        unpacked(memoryview(bytes(crafted(b"some")) + b"\0"), DIGEST)


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_refused(data: bytes, is_begun: bool) -> None:
    view = memoryview(MAGIC + data if is_begun else data)
    for read in (prefixed, lambda view: header(view, DIGEST), lambda view: unpacked(view, DIGEST)):
        with suppress(CodecError):
            read(view)
            # Only this is left unread by `prefixed`: all else is behind a checksum.
            assert read is prefixed


@given(st.data())
def test_a_changed_header_is_refused(data: st.DataObject) -> None:
    whole = written(Entry(DIGEST, "f", arguments=[["1", "2"]]), [b"payload"])
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(1, 255))
    changed = bytearray(whole)
    changed[place] ^= byte
    with pytest.raises(CodecError):
        unpacked(memoryview(changed), DIGEST)


def test_an_entry_of_a_million_arguments_omits_them() -> None:
    entry = Entry(DIGEST, "sum", arguments=[["x", 32 * "1"]] * 10_000)
    view = memoryview(written(entry, [b"1"]))
    assert len(view) < 1000
    assert header(view, DIGEST).arguments == []


def test_a_header_too_large_to_be_read_is_not_written() -> None:
    with pytest.raises(ValueError, match="a header has 2,"):
        packed(Entry(DIGEST, call=2_000_000 * "x"), [])


def test_a_clock_that_was_set_back_makes_no_entry_that_is_refused() -> None:
    entry = Entry(DIGEST, seconds=-1.0, behind=float("-inf"), loading=float("inf"))
    back = header(memoryview(written(entry, [])), DIGEST)
    assert (back.seconds, back.behind, back.loading) == (0, 0, 0)
    entry = Entry(DIGEST, seconds=float("nan"), behind=1e300, created=1e300)
    back = header(memoryview(written(entry, [])), DIGEST)
    assert (back.seconds, back.behind, back.created) == (0, 0, 0)


def test_the_bytes_of_an_entry_do_not_change_from_year_to_year() -> None:
    facts = ("f", "f('\udc80')", "c", [["1", "h"]], 0.5, 2.0, 0.1)
    data = written(
        Entry(DIGEST, *facts, created=7.0, python="3.11.0"), [b"pay", memoryview(b"load")]
    )
    assert data[:24] == MAGIC + struct.pack("<IIQ", 1, 205, 7)
    assert data[-7:] == b"payload"
    assert xxh3_128(data).hexdigest() == "0672bd2436ca96ccba733fee9fd9a086"


def test_a_header_that_is_cut_is_corrupt() -> None:
    view = crafted(b"some")
    for length in (39, 40, 41, 100, prefixed(view) - 30):
        with pytest.raises(CodecError, match=r"not an entry: 39 bytes|corrupt"):
            header(view[:length], DIGEST)
    assert header(view[: prefixed(view)], DIGEST).digest == DIGEST


def test_headers_of_one_mebibyte_are_read_and_no_larger_ones() -> None:
    length = 2**20 - len(msgpack.packb(vars(Entry(DIGEST, bytes=0, checksum=checksum([]))))) - 4
    full = crafted(call=length * "x")
    while int.from_bytes(full[12:16], "little") < 2**20:
        length += 1
        full = crafted(call=length * "x")
    assert header(full, DIGEST).call == length * "x"
    with pytest.raises(CodecError, match="its header has 1048577 bytes"):
        header(crafted(call=(length + 1) * "x"), DIGEST)


def test_the_longest_header_with_arguments() -> None:
    def arguments(count: int) -> list[list[str]]:
        entry = Entry(DIGEST, call=count * "x", arguments=[["1", "h"]], created=7.0, python="3")
        return header(memoryview(written(entry, [])), DIGEST).arguments

    assert arguments(65_000) == [["1", "h"]]
    lengths = [count for count in range(65_200, 65_400) if arguments(count)]
    assert lengths
    assert header_length(lengths[-1]) == 2**16


def header_length(count: int) -> int:
    entry = Entry(DIGEST, call=count * "x", arguments=[["1", "h"]], created=7.0, python="3")
    return int.from_bytes(written(entry, [])[12:16], "little")


def test_a_verified_payload_is_not_verified_again() -> None:
    view = crafted(b"some", checksum=bytes(16))
    assert bytes(unpacked(view, DIGEST, is_verified=True)[1]) == b"some"
    with pytest.raises(CodecError, match="its checksum is wrong"):
        unpacked(view, DIGEST)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "a float"), ([], "a list"), (1, "an int"), (slice(1), "a slice"),
        (object(), "an object"),
        (Entry(DIGEST), "an Entry"), (OSError(), "an OSError"),
        ({}, "a dict"), (UnicodeError(), "a UnicodeError"), (range(1), "a range"),
        (np.uint8(1), "a uint8"),
    ],
)  # fmt: skip
def test_a_value_in_words(value: object, text: str) -> None:
    assert noun(value) == text


def test_errors_are_one_line_of_printable_characters() -> None:
    assert str(CodecError("a\nb\x1b\udc80é")) == "a\\nb\\x1b\\udc80é"
    assert len(str(CodecError("a" * 2000))) == 1000
    error = UnstorableError("a lock", "why")
    assert (error.what, str(error), error.args) == ("a lock", "a lock: why", ("a lock", "why"))


def test_an_entry_made_now_has_the_time_and_the_python() -> None:
    before = time.time()
    entry = Entry(DIGEST)
    assert before <= entry.created <= time.time()
    assert vars(entry) == {
        "digest": DIGEST, "function": "", "call": "", "code": "", "arguments": [], "seconds": 0.0,
        "behind": 0.0, "loading": 0.0, "bytes": 0, "created": entry.created,
        "python": platform.python_version(), "checksum": b"",
        "inputs": [], "target": "", "meant": b"",
    }  # fmt: skip


def test_a_header_longer_than_the_file_is_corrupt_whatever_its_checksum_says() -> None:
    views = (crafted(call=count * "x") for count in range(64))
    full = next(view for view in views if bytes(view[-1:]) != b"\0")
    text = bytes(full[40:])
    assert (40 + len(text)) % 64 == 0  # no zeros follow
    with pytest.raises(CodecError, match="corrupt"):
        header(crafted(text=text, length=len(text) + 1), DIGEST)
