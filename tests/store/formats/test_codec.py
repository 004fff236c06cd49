"""Every value comes back as it was; all other bytes are a CodecError, and nothing else."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import enum
import io
import pickle
import random
import struct
import subprocess
import sys
import threading
import tracemalloc
import zoneinfo
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.store import CodecError, UnstorableError, encoded
from pipeline.store.entry import UnreadableError
from pipeline.store.formats.codec import decoded
from tests.fuzz import (
    FRAME,
    PAYLOADS,
    VALUES,
    back,
    grown,
    mutated,
    packed,
    payload,
    same,
    survives,
    swollen,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

BIG = 2**32 - 1


class Colour(enum.IntEnum):
    RED = 1


def local_member() -> Any:
    """A member of an enum that no module holds."""

    class Gone(enum.Enum):
        RED = 1

    return Gone.RED


def local_pair(value: int) -> Any:
    """An object of a class that no module holds."""

    class Pair(NamedTuple):
        a: int

    return Pair(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert same(back(value), value)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers()
    | st.text(st.characters(codec=None, exclude_categories=())) | st.binary() | st.decimals()
    | st.fractions() | st.dates() | st.times() | st.timedeltas() | st.timezones()
    | st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=False)
)  # fmt: skip
HASHABLE = st.none() | st.integers() | st.text() | st.binary() | st.tuples(st.integers())
STRUCTURES = arrays.nested_dtypes().filter(lambda dtype: "((" not in str(dtype))  # without titles
ARRAYS = arrays.arrays(
    arrays.scalar_dtypes() | STRUCTURES, arrays.array_shapes(min_dims=0, min_side=0)
)
NESTED = st.recursive(
    LEAVES | ARRAYS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE) | st.frozensets(HASHABLE)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=50)
@given(NESTED)
def test_decoding_what_was_encoded_gives_an_equal_value_of_equal_types(value: Any) -> None:
    assert same(back(value), value)


def test_no_two_values_of_these_tests_are_the_same() -> None:
    for place, one in enumerate(VALUES):
        for other in VALUES[place + 1 :]:
            assert not same(one, other), (one, other)


def test_a_set_has_the_same_bytes_in_every_process() -> None:
    code = (
        "import sys; from pipeline.store.formats.codec import encoded\n"
        "long = {(letter * 70_000, letter) for letter in 'abc'}\n"
        "value = [set('abcdef'), frozenset({('a', 1), ('b', None), 2**70}), long]\n"
        "sys.stdout.buffer.write(b''.join(encoded(value)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in "12"
    }  # fmt: skip
    assert len(outputs) == 1
    assert outputs != {b""}


def test_a_large_array_is_not_copied() -> None:
    array = np.arange(100_000)
    assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in encoded([array]))
    data = payload([array])
    (loaded,) = decoded(data)
    assert np.shares_memory(np.frombuffer(data, np.uint8), loaded)
    assert not loaded.flags.writeable


def test_buffers_begin_at_multiples_of_64() -> None:
    data = payload([np.arange(3), "x" * 70_000, np.arange(4)])
    assert [data.index(b"\x93NUMPY") % 64, data.index(b"xxx") % 64] == [0, 0]


@pytest.mark.parametrize(
    ("value", "what", "why"),
    [
        (threading.Lock(), "a lock", "no format for _thread.lock; return numbers, text"),
        ([threading.Lock()], "a lock", r"call register_format\(lock, dump, load\)"),
        ([threading.Lock()], "a lock", r"use Store\(pickle=\[lock\]\)"),
        (object(), "an object", "no format for object"),
        (len, "a builtin_function_or_method", "no format"),
        (collections.UserDict(a=1), "a UserDict", "no format for collections.UserDict"),
        (type("Own", (dict,), {})(), "an Own", "as a plain dict; return a plain dict"),
        (local_pair(1), "a Pair", "as a plain tuple; mark the class with @pipeline.storable"),
        (dataclasses.make_dataclass("Local", "x")(1), "a Local", "with @pipeline.storable"),
        (local_member(), "a Gone", "no format"),
        (type("Zone", (datetime.tzinfo,), {})(), "a Zone", "no format"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_values_are_refused_by_name_and_with_a_remedy(
    value: Any, what: str, why: str
) -> None:
    with pytest.raises(UnstorableError, match=why) as caught:
        encoded(value)
    assert caught.value.what == what
    assert str(caught.value).startswith(f"{what}: ")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_200_levels_are_stored_and_more_are_refused() -> None:
    assert same(back(nested(200)), nested(200))
    with pytest.raises(UnstorableError, match="nested over 200 deep"):
        encoded(nested(201))
    with pytest.raises(UnstorableError, match="nested over 200 deep"):
        encoded(nested(100_000))


def test_a_value_that_contains_itself_is_refused_or_pickled() -> None:
    loop: list[Any] = []
    loop.append({"again": loop})
    with pytest.raises(UnstorableError, match="contains itself"):
        encoded(loop)
    loaded = decoded(payload(loop, pickle=True), pickle=True)
    assert loaded[0]["again"] is loaded
    with pytest.raises(UnstorableError, match="pickle has no format for it either"):
        encoded(nested(100_000), pickle=True)


class Linked:
    """An object without a format, with a reference to another."""

    def __init__(self, following: Linked | None = None) -> None:
        self.following = following
        self.parts = [1]


@pytest.mark.parametrize(
    "part",
    [[1, 2], {"a": 1}, {1}, bytearray(b"a"), np.ones(2), pd.DataFrame({"a": [1]})],
    ids=lambda part: type(part).__name__,
)
def test_an_object_that_is_in_a_value_twice_comes_back_as_one(part: Any) -> None:
    """Who writes into one place sees it in the other, as without a store."""
    first, [second], (third,), other = back([part, [part], (part,), copy.deepcopy(part)])
    assert first is second is third
    assert other is not first


def test_frames_that_share_memory_until_one_is_changed_come_back_apart() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    one, other = back([frame, frame.copy(deep=False)])
    one.iloc[0] = 9
    assert other.equals(frame)


def test_shared_lists_take_no_more_bytes_than_one() -> None:
    value: Any = [1]
    for _ in range(100):
        value = [value, value]
    assert len(payload(value)) < 2_000


def test_objects_that_are_pickled_stay_the_same_objects() -> None:
    last = Linked()
    first = Linked(last)
    value = {"both": [first, last], "parts": last.parts, "array": np.arange(3)}
    loaded = decoded(payload(value, pickle=True), pickle=True)
    assert loaded["both"][0].following is loaded["both"][1]
    assert loaded["parts"] is loaded["both"][1].parts
    assert loaded["array"].tolist() == [0, 1, 2]


def test_other_values_are_pickled_if_pickle_is_allowed() -> None:
    value = [1, Colour.RED, {"f": lambda x: x + 1}, np.array([None, 1], object)]
    data = payload(value, pickle=True)
    one, red, made, array = decoded(data, pickle=True)
    assert (one, red, made["f"](1), array.tolist()) == (1, Colour.RED, 2, [None, 1])
    with pytest.raises(CodecError, match="a pickle, which may run any code"):
        decoded(data)
    with pytest.raises(UnstorableError, match="pickle has no format for it either"):
        encoded(threading.Lock(), pickle=True)


def test_values_with_a_format_are_never_pickled() -> None:
    assert payload(VALUES[:60], pickle=True) == payload(VALUES[:60])


ODD: dict[str, bytes] = {
    "nothing": b"",
    "three bytes": b"\1\0\0",
    "a length beyond the end": struct.pack("<I", BIG) + b"\0",
    "no pair": struct.pack("<I", 1) + b"\x05",
    "bytes after the end": payload(1) + b"\0",
    "a map": packed({}),
    "a map in a list": packed([20, {}]),
    "an extension": packed(msgpack.ExtType(1, b"a")),
    "a time of msgpack": packed(msgpack.Timestamp(1)),
    "no tag": packed([]),
    "a text for a tag": packed(["list"]),
    "True for a tag": packed([True]),
    "a list for a tag": packed([[20]]),
    "an unknown tag": packed([99]),
    "a buffer that is missing": packed([1]),
    "one that is missing inside of a list": packed([20, [1]]),
    "a buffer too many": packed(1, b"a"),
    "a buffer of a negative length": packed([5], lengths=[-1]),
    "one of a length that is a text": packed([5], lengths=["a"]),
    "one that is too long": packed([5], b"a", lengths=[2**64 - 1]),
    "lengths that are a number": packed([5], lengths=3),
    "no zeros before a buffer": packed([5], b"a").replace(b"\0a", b"\1a"),
    "a text that is not UTF-8": struct.pack("<I", 4) + b"\x92\xa1\xff\x90",
    "a long text that is not UTF-8": packed([4], b"\xff"),
    "a dict of one part": packed([22, 1]),
    "a dict with a key twice": packed([22, 1, 2, 1.0, 3]),
    "a dict with a list for a key": packed([22, [20], 2]),
    "a set with an element twice": packed([23, 1, True]),
    "a number of bytes for a bytearray": packed([33, 2**40]),
    "a range without a step": packed([31, 1, 2, 0]),
    "no such day": packed([40, 2020, 2, 30]),
    "a time zone that is a path": packed([45, "../../../etc/passwd"]),
    "an unknown time zone": packed([45, "Nowhere/Else"]),
    "a folder of time zones": packed([45, "Europe"]),
    "a fraction by zero": packed([36, 1, 0]),
    "no number": packed([35, "x"]),
    "a scalar of objects": packed([11, "|O", b"\0" * 8]),
    "a scalar of another length": packed([11, "<f8", b"\0" * 4]),
    "an unknown class": packed([13, "os:system", "a", 1]),
    "a mask of another shape": packed([53, [1], None, None, False], b""),
    "an object that does not come before": packed([20, [14, 0]]),
    "an object before the first": packed([20, [20], [14, -1]]),
    "True for the number of an object": packed([20, [20], [20], [14, True]]),
    "an object in a set": packed([20, [20], [23, [14, 0]]]),
    "an object without a number": packed([14]),
    "a pickle": packed([3], b"cos\nsystem\n(S'true'\ntR."),
    "a table of nothing": packed([2, [20]], b""),
    "a table of no kind": packed([2, [20, "System"]], b""),
    "lists in lists": packed(nested(400)),
    "lists in lists in a million": struct.pack("<I", 10**6) + b"\x91" * 10**6,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_bytes_that_are_not_a_value_are_a_codec_error(name: str) -> None:
    assert not survives(ODD[name])


ENDLESS: Any = [2, [21, "RangeIndex", None, 0, 10**8, 1]]
SHORT: Any = [2, [21, "RangeIndex", None, 0, 2, 1]]
RANGE: Any = [31, 0, 10**8, 1]
CODES: Any = [20, [1]]
ARRAY = payload(np.zeros(2, "i8"))[64:]
ROWS = bytes(unpacked(payload(pd.Series([0, 1])))[1][-1])


READER = """
import os, pathlib, resource, sys
import pandas, pyarrow
from pipeline.identity import encode
from pipeline.store import CodecError
from pipeline.store.formats.codec import decoded

def status(data):
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)
    try:
        encode(decoded(data))
    except CodecError as error:
        return "Memory" in str(error)
    except BaseException:
        return 1
    return 0

while size := sys.stdin.buffer.readline():
    data = sys.stdin.buffer.read(int(size))
    child = os.fork()
    if not child:
        os._exit(status(data))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def reader() -> Iterator[subprocess.Popen[bytes]]:
    """A process that reads payloads, each in a child with little memory left."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", READER], stdin=pipe, stdout=pipe) as process:
        yield process


def is_read(reader: subprocess.Popen[bytes], data: bytes) -> bool:
    """Whether little memory suffices to read a payload, or to refuse it."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(b"%d\n" % len(data) + data)
    reader.stdin.flush()
    return reader.stdout.readline() == b"0\n"


@pytest.mark.parametrize(
    ("head", "buffers"),
    [
        (
            ["Index", "IntervalIndex", None, None, [21, "intervals", "right", ENDLESS, ENDLESS]],
            "  ",
        ),
        (["MultiIndex", [20, None], [20, ENDLESS], [20, ENDLESS], None], "  "),
        (["MultiIndex", [20, None], [20, ENDLESS], [20, RANGE], None], " "),
        (["MultiIndex", [20, None], [20, SHORT], [20, ENDLESS], None], "  "),
        (["MultiIndex", [20, None], [20, SHORT], [20, RANGE], None], " "),
        (["MultiIndex", [20, None], [20, ENDLESS], RANGE, None], " "),
        (["MultiIndex", [20, None], RANGE, CODES, None], "a"),
        (["MultiIndex", RANGE, [20, ENDLESS], CODES, None], " a"),
        (["MultiIndex", [20, None], [20, ENDLESS], CODES, None], " a"),
        (["Index", "CategoricalIndex", None, None, [21, "categories", ENDLESS, False]], " r"),
        (["Series", ENDLESS, [22], True, None, [21, "objects", [20]]], " "),
        (["Series", ENDLESS, [22], True, None, [21, "objects", RANGE]], " "),
        (["DataFrame", ENDLESS, [22], True, ENDLESS, [20]], "  "),
        (["DataFrame", ENDLESS, [22], True, ENDLESS, RANGE], "  "),
        (["DataFrame", ENDLESS, [22], False, [2, [21, "RangeIndex", None, 0, 0, 1]], [20]], "  "),
        (None, ""),
    ],
    ids=str,
)  # fmt: skip
def test_lengths_without_bytes_take_no_memory(
    reader: subprocess.Popen[bytes], head: Any, buffers: str
) -> None:
    tree = RANGE if head is None else [21, *head]
    kinds = {" ": b"", "a": ARRAY, "r": ROWS}
    data = [kinds[letter] for letter in buffers] + ([] if "r" in buffers else [b""])
    assert is_read(reader, packed([2, tree], *data))


@given(st.integers(), st.sampled_from(range(len(PAYLOADS))))
def test_lengths_without_bytes_anywhere_in_a_value_take_no_memory(seed: int, place: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(30):
        survives(swollen(PAYLOADS[place], chance))


def test_lists_shorter_than_their_length_take_no_memory() -> None:
    structure = (b"\xdd" + struct.pack(">I", 39_000)) * 1000 + bytes(35_000)
    tracemalloc.start()
    try:
        assert not survives(struct.pack("<I", len(structure)) + structure)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


class Longwinded(Exception):  # noqa: N818 - named for what it does
    """An error whose text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("too long")


def fail(error: Exception) -> Any:
    raise error


class Failing:
    """A value whose pickle raises an error where it is loaded."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return fail, (self.error,)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RecursionError(), ModuleNotFoundError("no pyarrow"), ImportError(),
     zoneinfo.ZoneInfoNotFoundError("Europe/Paris")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_of_the_reader_are_not_those_of_the_bytes(error: Exception) -> None:
    with pytest.raises(UnreadableError, match=type(error).__name__):
        decoded(payload(Failing(error), pickle=True), pickle=True)


def test_an_error_without_a_text_is_reported_by_its_type() -> None:
    with pytest.raises(CodecError, match=r"not a value: .*Longwinded") as caught:
        decoded(payload(Failing(Longwinded()), pickle=True), pickle=True)
    assert type(caught.value) is CodecError


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packed([99]), "no value has the tag 99"), (packed([9], b""), "a newer release"),
        (packed([2, [21, "Cube"]], b""), "no table has the head .'Cube'"),
        (packed([3], b"N."), "pickle=True"), (packed([13, "a:B", "x", 1]), "'a:B' is not known"),
        (packed([45, "Nowhere/Else"]), "ZoneInfoNotFoundError"),
    ],
    ids=lambda value: str(value)[-20:],
)  # fmt: skip
def test_bytes_that_may_be_a_value_elsewhere_are_unreadable(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        decoded(data)


@pytest.mark.parametrize(
    "data", [b"cnowhere\nx\n.", b"ctests.store.formats.test_codec\nGone\n."], ids=repr
)
def test_a_pickle_of_a_missing_name_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"nowhere|Gone"):
        decoded(packed([3], data), pickle=True)
    with pytest.raises(CodecError) as caught:
        decoded(packed([3], data[:-1]), pickle=True)
    assert issubclass(UnreadableError, CodecError)
    assert caught.value is not None


@pytest.mark.parametrize(
    "data",
    [
        packed([13, "\x1b[2J\r\u202e:B", "x", 1]), packed([2, [21, "\x1b[2J"]], b""),
        packed([45, "\x1b[2J"]), packed([35, "\x1b[2J"]), packed([11, "\x1b[2J", b""]),
        packed([2, [21, "Timestamp", 1, "\x1b[2J\n", None]], b""),
        packed([13, "\ud800" * 10**5, "x", 1]), packed([2, [21, [10, b"\1" * 9999]]], b""),
        packed([2, [21, "Timedelta", [10, b"\1" * 9999], "s"]], b""),
    ],
    ids=lambda data: f"{len(data)}",
)  # fmt: skip
def test_messages_about_bytes_are_printable_and_short(data: bytes) -> None:
    with pytest.raises(CodecError) as caught:
        decoded(data)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 10_000


def test_a_time_zone_from_a_file_is_refused_whatever_its_name() -> None:
    # One offset, 9 hours, with the name JST: RFC 9636.
    file = b"TZif" + bytes(16) + struct.pack(">6llbb4s", 0, 0, 0, 0, 1, 4, 9 * 3600, 0, 0, b"JST")
    zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(file), key="Europe/Berlin")
    for value in (zone, datetime.datetime(2020, 1, 1, tzinfo=zone), pd.Timestamp(0, tz=zone)):
        with pytest.raises(UnstorableError, match="a time zone from a file"):
            encoded(value)
    assert decoded(payload(zoneinfo.ZoneInfo.no_cache("Asia/Tokyo"))).key == "Asia/Tokyo"


def test_false_lengths_take_no_memory(reader: subprocess.Popen[bytes]) -> None:
    data = struct.pack("<I", 4_000_000) + (b"\xdd" + struct.pack(">I", 3_900_000)) * 800_000
    assert is_read(reader, data)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_a_truncated_payload_is_not_a_value(value: Any) -> None:
    data = payload(value)
    for length in {*range(0, len(data), max(1, len(data) // 20)), len(data) - 1}:
        assert not survives(data[:length])


@given(st.binary())
def test_random_bytes_raise_nothing_but_codec_errors(data: bytes) -> None:
    survives(data)
    survives(struct.pack("<I", len(data)) + data)


@given(st.integers(), st.sampled_from(range(len(PAYLOADS))))
def test_mutated_payloads_raise_nothing_but_codec_errors(seed: int, place: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(30):
        survives(mutated(PAYLOADS[place], chance))


@given(st.integers())
def test_random_trees_raise_nothing_but_codec_errors(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(30):
        buffers = [chance.choice(PAYLOADS)[64:] for _ in range(chance.randrange(3))]
        survives(packed(grown(chance), *buffers))


def test_values_of_mutated_payloads_have_a_repr() -> None:
    chance = random.Random(1)  # noqa: S311 - repeatable
    whole = payload(FRAME)
    for _ in range(100):
        data = mutated(whole, chance)
        try:
            repr(decoded(data))
        except CodecError:
            continue
    assert survives(payload(pd.DataFrame()))
