"""Values of all kinds, corrupt payloads, and what a codec may do with them."""

from __future__ import annotations

import datetime
import struct
import warnings
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgpack
import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.identity import encode
from pipeline.store import CodecError, encoded
from pipeline.store.formats.codec import decoded

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

PARIS = ZoneInfo("Europe/Paris")
NAN = float(np.array([0x7FF8_0000_0000_0003], np.uint64).view(np.float64)[0])
PADDED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
NESTED = np.dtype([("φ", "<f4"), ("p", [("x", "i2", (2, 3)), ("t", "M8[ms]")]), ("s", "U3")])
SPREAD = np.dtype({"names": ["a", "b"], "formats": ["i2", "i4"], "offsets": [4, 12],
                   "itemsize": 24})  # fmt: skip
DAY = pd.Timestamp("2020-02-03 04:05:06.789")
FRAME = pd.DataFrame({
    "whole": [1, 2, 3],
    "real": [1.5, np.nan, -0.0],
    "text": ["x", None, "z"],
    "day": pd.date_range("2020", periods=3, tz=PARIS),
    "kind": pd.Categorical(["a", "b", "a"]),
    "maybe": pd.array([1, None, 3], dtype="Int64"),
    "any": pd.Series([(1, 2), "x", None], dtype=object),
})  # fmt: skip


def _without_unit() -> list[Any]:
    """Times of no unit, which NumPy 2.5 warns of, and will refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return [np.datetime64("NaT"), np.array([1], "m8")]
        except DeprecationWarning:
            return []


VALUES: list[Any] = [
    *_without_unit(),
    None, True, False, 0, -1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000,
    -(10**5000), 0.0, -0.0, 1.5, float("inf"), float("nan"), NAN, 1 + 2j, complex(-0.0, NAN), "",
    "héllo", "\ud800", "\0", "x" * 70_000, "\ud800" * 70_000, b"", b"\0\xff", b"x" * 70_000,
    bytearray(b"ab"), ..., range(3), range(2**70, 0, -3), slice(1, None, (2,)),
    [], (), {}, set(), frozenset(), [1, "a", None], (1, (2.0, [True])), [[]], [2**64, 1],
    {"b": 1, "a": [2]}, {1: {2: {3: ()}}}, {(1, 2): {"x"}}, {1, 2.5, "a", None, (1, "b" * 70_000)},
    frozenset({frozenset({1}), frozenset()}), list(range(1000)), ["a"] * 100, [[0] * 3] * 3,
    Decimal("1.00"), Decimal("-0"), Decimal("NaN12"), Decimal("1e-999"), Fraction(-3, 7),
    datetime.date(2020, 1, 2), datetime.time(1, 2, 3, 4, fold=1), datetime.timedelta(-1, 2, 3),
    datetime.datetime(2020, 10, 25, 2, 30, tzinfo=PARIS, fold=1), datetime.datetime.max,
    datetime.UTC, datetime.timezone(datetime.timedelta(hours=-3), "east"), PARIS,
    datetime.time(1, tzinfo=datetime.UTC),
    np.float64(NAN), np.float32(-0.0), np.int8(-5), np.uint64(2**64 - 1), np.bool(True),
    np.longlong(3), np.complex64(1j), np.longdouble(1) / 3, np.float16(1.5), np.str_("a\0"),
    np.bytes_(b"a\0"), np.str_(""), np.datetime64("2020-01-02", "D"), np.datetime64("NaT", "s"),
    np.timedelta64(3, ("s", 25)), np.void(b"abc"), np.zeros(2, NESTED)[0],
    np.arange(6), np.arange(6.0).reshape(2, 3).T, np.arange(24).reshape(2, 3, 4)[:, ::2],
    np.arange(6)[::-1], np.array(3), np.array([]), np.zeros((0, 3), "f4"), np.zeros((3, 0), "U0"),
    np.array([NAN, -0.0]), np.arange(3, dtype=">i4"), np.array([1j]), np.array([True, False]),
    np.array(["a", "bcd", "φ"]), np.array([b"a", b""]), np.array(["2020", "NaT"], "M8[D]"),
    np.array([1], "m8[3us]"), np.array([1], "m8[h]"), np.ones(3, "g") / 3, np.ones(3, "G"),
    np.array([b"ab"], "V2"), np.zeros(3, PADDED), np.ones(2, NESTED), np.zeros(2, SPREAD),
    np.broadcast_to(np.arange(3), (4, 3)), np.zeros((1, 5, 1), order="F"), np.zeros(2, "g"),
    np.array(["a", "long" * 20], np.dtypes.StringDType()),
    np.array([["a", None]], np.dtypes.StringDType(na_object=None, coerce=False)).T,
    np.ma.array([1, 2], mask=[True, False]), np.ma.array([1.5, 2], fill_value=9.0),
    np.ma.array([[1, 2]], mask=np.ma.nomask, hard_mask=True), np.ma.masked,
    np.ma.array(np.zeros(2, PADDED), mask=[(True, False), (False, True)]),
    np.ma.array(3, mask=True),
    {"weights": [np.arange(3.0), (np.eye(2), "b" * 70_000)], "n": 3},
    FRAME, FRAME.set_index("text"), FRAME[:0], FRAME[[]], pd.DataFrame(), FRAME["maybe"],
    FRAME["text"].rename(("a", 1)), FRAME.set_index(["kind", "whole"]), FRAME.day,
    pd.Series([1j, 2]), pd.Series([], dtype="f4"), pd.Series([True, None], dtype="boolean"),
    pd.Series(["a", None], dtype="string[python]"), pd.Series([b"x", None], dtype=object),
    pd.Series([1.5, None], dtype="Float32"), pd.Series([1, None], dtype="int8[pyarrow]"),
    pd.Series(pd.to_timedelta([1, None], unit="s")), pd.DataFrame([[1, 2]], columns=["a", "a"]),
    pd.RangeIndex(2, 9, 3, name="r"), pd.Index([1.5, np.nan]), pd.Index(["a", "b"], name="n"),
    pd.Index([1, "a"]), pd.date_range("2020", periods=3, freq="ME"), pd.DatetimeIndex(["2020"]),
    pd.bdate_range("2020", periods=4, tz="UTC"), pd.timedelta_range("1h", periods=3),
    pd.period_range("2020", periods=3, freq="Q-FEB"), pd.interval_range(0, 3, closed="left"),
    pd.interval_range(DAY, periods=2), pd.CategoricalIndex(["a", "b"], ["b", "a"], ordered=True),
    pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", None]), pd.NA, pd.NaT,
    DAY, DAY.tz_localize(PARIS), pd.Timedelta("3h"), [FRAME, {"s": FRAME.real}],
    range(10**15), pd.RangeIndex(10**15), pd.DataFrame(index=pd.RangeIndex(10**15)),
    pd.MultiIndex.from_arrays([pd.RangeIndex(3), [*"abc"]]).set_levels(pd.RangeIndex(5), level=0),
    pd.Series(pd.Categorical.from_codes([0, 2], pd.RangeIndex(4))),
    OrderedDict(b=1, a=[2]), np.array([[1, "a"], [None, (2,)]], object), np.array(None, object),
    np.array([], object).reshape(0, 2), np.dtype("f4"), np.dtype(object), memoryview(b"ab"),
    pd.Series(pd.arrays.SparseArray([0, 1])), pd.Period("2020", "M"), pd.Interval(0, 1),
    pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8()))), pd.array([1, None]),
]  # fmt: skip


def packed(tree: Any, *buffers: bytes, lengths: Any = None) -> bytes:
    """The payload of a tree and buffers, valid or not."""
    lengths = list(map(len, buffers)) if lengths is None else lengths
    structure: bytes = msgpack.packb([tree, lengths], unicode_errors="surrogatepass")
    data = struct.pack("<I", len(structure)) + structure
    for buffer in buffers:
        data += bytes(-len(data) % 64) + buffer
    return data


def unpacked(payload: bytes) -> tuple[Any, list[bytes]]:
    """The tree of a payload, and its buffers."""
    end = 4 + struct.unpack_from("<I", payload)[0]
    tree, lengths = msgpack.unpackb(payload[4:end], unicode_errors="surrogatepass")
    buffers = []
    for length in lengths:
        begin = end + -end % 64
        end = begin + length
        buffers.append(payload[begin:end])
    return tree, buffers


def payload(value: Any, pickle: bool | tuple[Any, ...] = False) -> bytes:
    """The bytes of a value."""
    return b"".join(encoded(value, pickle))


def back(value: Any) -> Any:
    """A value as it is loaded."""
    return decoded(payload(value))


PAYLOADS = [payload(value) for value in VALUES]


def mutated(payload: bytes, random: random.Random) -> bytes:
    """A corrupt payload: cut, lengthened, changed, or mixed with another."""
    data = bytearray(payload)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        place = random.randrange(len(data) + 1)
        many = random.choice((1, 1, 2, 4, 8, 64))
        match random.randrange(8):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + many]
            case 2:
                data[place:place] = random.randbytes(many)
            case 3:
                data[place : place + many] = random.randbytes(many)
            case 4 if data:
                data[place % len(data)] ^= 1 << random.randrange(8)
            case 5:  # numbers at the ends of their ranges are lengths that are false
                number = random.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1))
                data[place : place + 8] = struct.pack(random.choice("<>") + "Q", number)
            case 6:
                other = random.choice(PAYLOADS)
                begin = random.randrange(len(other))
                data[place : place + many] = other[begin : begin + many]
            case 7 if data:  # near the beginning, where the structure is
                data[place % min(len(data), 128)] = random.randrange(256)
    return bytes(data)


_ENDLESS: tuple[Any, ...] = (
    10**15, [31, 0, 10**15, 1], ([2, [21, "RangeIndex", None, 0, 10**15, 1]], b""),
)  # fmt: skip
"""Trees of lengths that no memory has room for; what takes a buffer is a pair with it."""


def swollen(payload: bytes, random: random.Random) -> bytes:
    """A payload with one part replaced by a length without bytes."""
    tree, buffers = unpacked(payload)
    places: list[Any] = []
    root = [_joined(tree, iter(buffers), places)]
    parts, place = random.choice([*places, (root, 0)])
    parts[place] = random.choice(_ENDLESS)
    buffers = []
    return packed(_parted(root[0], buffers), *buffers)


def _joined(tree: Any, buffers: Iterator[bytes], places: list[Any]) -> Any:
    if type(tree) is not list:
        return tree
    made = [tree[0], *[_joined(part, buffers, places) for part in tree[1:]]]
    places += [(made, place) for place in range(1, len(made))]
    return (made, next(buffers)) if made[0] in range(1, 6) else made


def _parted(tree: Any, buffers: list[bytes]) -> Any:
    if type(tree) is tuple:
        made = _parted(tree[0], buffers)
        buffers.append(tree[1])
        return made
    return [_parted(part, buffers) for part in tree] if type(tree) is list else tree


def grown(random: random.Random, depth: int = 0) -> Any:
    """A tree of random tags and parts."""
    if depth > 4 or random.random() < 0.4:
        return random.choice((None, True, 0, -1, 2**63, 1.5, "", "UTC", "<f8", b"", b"\0" * 8))
    tag = random.choice((*range(6), *range(10, 14), *range(20, 25), *range(30, 61)))
    return [tag, *(grown(random, depth + 1) for _ in range(random.randrange(5)))]


def survives(payload: bytes) -> bool:
    """Whether a payload is a value. Raises all errors but CodecError, and MemoryError."""
    try:
        decoded(payload)
    except CodecError as error:
        if isinstance(error.__cause__, MemoryError):
            raise
        return False
    return True


_PARTS: dict[type, Any] = {
    list: list,
    tuple: list,
    dict: lambda value: [*value, *value.values()],
    range: lambda value: [value.start, value.stop, value.step],
    slice: lambda value: [value.start, value.stop, value.step],
    complex: lambda value: [value.real, value.imag],
    OrderedDict: lambda value: [*value, *value.values()],
    memoryview: lambda value: [value.tobytes(), value.format, value.readonly, *value.shape],
    np.ma.MaskedArray: lambda value: [value.data, value.mask, value._fill_value, value.hardmask],
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last bit, of equal types and order at every depth."""
    kind = type(one)
    if kind is not type(other) or one is np.ma.masked:
        return one is other
    if kind in _PARTS:
        mine, others = _PARTS[kind](one), _PARTS[kind](other)
        return len(mine) == len(others) and all(map(same, mine, others))
    if kind in (set, frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if isinstance(one, np.ndarray | np.generic):
        return _described(one) == _described(other)
    if kind.__module__.startswith("pandas"):
        return bool(encode(one) == encode(other))
    if kind is float:
        return struct.pack("d", one) == struct.pack("d", other)
    if kind in (int, str, bytes):
        return bool(one == other)
    return repr(one) == repr(other)  # with all digits, and the fold of a time


def _described(array: Any) -> tuple[Any, ...]:
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    if isinstance(array.dtype, np.dtypes.StringDType) or array.dtype == object:
        content = array.tolist()
    elif array.dtype.names:  # what fills the space between fields is no content
        content = encode(np.asarray(array))
    else:
        content = array.tobytes()
    return repr(array.dtype), array.dtype.type, array.shape, is_fortran, content
