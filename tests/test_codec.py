"""Every value comes back as it was; all other bytes are a CodecError, and nothing else."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import pickle
import random
import struct
import subprocess
import sys
import threading
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.codec import CodecError, UnstorableError, decoded, encoded
from tests import fuzz
from tests.fuzz import FRAME, PAYLOADS, VALUES, grown, mutated, packed, same, survives

BIG = 2**32 - 1


def payload(value: Any, pickle: bool = False) -> bytes:
    return b"".join(encoded(value, pickle))


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    a: int
    b: int


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert same(decoded(payload(value)), value)


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


@given(NESTED)
def test_decoding_what_was_encoded_gives_an_equal_value_of_equal_types(value: Any) -> None:
    assert same(decoded(payload(value)), value)


def test_the_comparison_of_these_tests_tells_values_apart() -> None:
    for place, one in enumerate(VALUES):
        for other in VALUES[place + 1 :]:
            assert not same(one, other), (one, other)


def test_a_set_has_the_same_bytes_in_every_process() -> None:
    code = (
        "import sys; from pipeline.codec import encoded\n"
        "long = {(each * 70_000, each) for each in 'abc'}\n"
        "value = [set('abcdef'), frozenset({('a', 1), ('b', None), 2**70}), long]\n"
        "sys.stdout.buffer.write(b''.join(encoded(value)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in "123"
    }  # fmt: skip
    assert len(found) == 1
    assert found != {b""}


def test_a_large_array_is_not_copied() -> None:
    array = np.arange(100_000)
    assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in encoded([array]))
    data = payload([array])
    (back,) = decoded(data)
    assert np.shares_memory(np.frombuffer(data, np.uint8), back)
    assert not back.flags.writeable


def test_buffers_begin_at_multiples_of_64() -> None:
    data = payload([np.arange(3), "x" * 70_000, np.arange(4)])
    assert [data.index(b"\x93NUMPY") % 64, data.index(b"xxx") % 64] == [0, 0]


@pytest.mark.parametrize(
    ("value", "what", "why"),
    [
        (threading.Lock(), "a lock", "no format for _thread.lock; return numbers, text"),
        ([threading.Lock()], "a lock", "Store.pickle=True."),
        (object(), "an object", "no format for object"),
        (len, "a builtin_function_or_method", "no format"),
        (Colour.RED, "a Colour", "test_codec.Colour would come back as a plain int"),
        (collections.OrderedDict(a=1), "an OrderedDict", "as a plain dict"),
        (np.eye(2).view(np.matrix), "a matrix", "as a plain ndarray"),
        (np.rec.array([(1,)], dtype=[("a", "i8")]), "a recarray", "as a plain ndarray"),
        (Pair(1, 2), "a Pair", "as a plain tuple; mark the class with @pipeline.storable"),
        (Point(1), "a Point", "mark the class with @pipeline.storable"),
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
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_200_levels_are_stored_and_more_are_refused() -> None:
    assert same(decoded(payload(nested(200))), nested(200))
    with pytest.raises(UnstorableError, match="nested over 200 deep"):
        encoded(nested(201))
    with pytest.raises(UnstorableError, match="nested over 200 deep"):
        encoded(nested(100_000))


@pytest.mark.parametrize("pickle", [False, True])
def test_what_contains_itself_is_refused(pickle: bool) -> None:
    loop: list[Any] = []
    loop.append({"again": loop})
    with pytest.raises(UnstorableError, match="contains itself"):
        encoded(loop, pickle)


def test_other_values_are_pickled_where_that_is_wanted() -> None:
    value = [1, Colour.RED, {"f": lambda x: x + 1}, np.array([None, 1], object)]
    data = payload(value, pickle=True)
    one, red, made, array = decoded(data, pickle=True)
    assert (one, red, made["f"](1), array.tolist()) == (1, Colour.RED, 2, [None, 1])
    with pytest.raises(CodecError, match="a pickle, which may run any code"):
        decoded(data)
    with pytest.raises(UnstorableError, match="pickle has no format for it either"):
        encoded(threading.Lock(), pickle=True)


def test_what_has_a_format_is_not_pickled() -> None:
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
    "a pickle": packed([3], b"cos\nsystem\n(S'true'\ntR."),
    "a table of nothing": packed([2, [20]], b""),
    "a table of no kind": packed([2, [20, "System"]], b""),
    "lists in lists": packed(nested(400)),
    "lists in lists in a million": struct.pack("<I", 10**6) + b"\x91" * 10**6,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_bytes_that_are_no_value_are_a_codec_error(name: str) -> None:
    assert not survives(ODD[name])


def test_lengths_that_are_false_take_no_memory() -> None:
    data = struct.pack("<I", 4_000_000) + (b"\xdd" + struct.pack(">I", 3_900_000)) * 800_000
    code = (
        "import resource, sys; from pipeline.codec import decoded, CodecError\n"
        "import pandas, pyarrow\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)\n"
        "try: decoded(sys.stdin.buffer.read())\n"
        "except CodecError as error: sys.exit('Memory' in str(error))"
    )
    subprocess.run([sys.executable, "-c", code], input=data, check=True)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
def test_a_payload_that_is_cut_is_no_value(value: Any) -> None:
    data = payload(value)
    for length in {*range(0, len(data), max(1, len(data) // 20)), len(data) - 1}:
        assert not survives(data[:length])


@given(st.binary())
def test_random_bytes_are_no_value_or_one(data: bytes) -> None:
    survives(data)
    survives(struct.pack("<I", len(data)) + data)


@given(st.integers(), st.sampled_from(range(len(PAYLOADS))))
def test_broken_payloads_end_with_no_other_error(seed: int, place: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(30):
        survives(mutated(PAYLOADS[place], chance))


@given(st.integers())
def test_trees_of_any_tags_end_with_no_other_error(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(30):
        buffers = [chance.choice(PAYLOADS)[64:] for _ in range(chance.randrange(3))]
        survives(packed(grown(chance), *buffers))


def test_what_a_broken_payload_gives_can_be_shown() -> None:
    chance = random.Random(1)  # noqa: S311 - repeatable
    for _ in range(300):
        data = mutated(payload(FRAME), chance)
        try:
            repr(decoded(data))
        except CodecError:
            continue
    assert fuzz.survives(payload(pd.DataFrame()))
