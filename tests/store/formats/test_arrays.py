"""Arrays are kept to the last bit, or refused; headers say what arrays are, and nothing else."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest

from pipeline.store import CodecError, UnstorableError
from pipeline.store.formats import arrays
from tests.names import shown

OVERLAPPING = np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]})
MANY = np.dtype([(f"field{place}", "f8") for place in range(600)])


def written(array: Any) -> bytes:
    return b"".join(arrays.array_parts(array)[0])


def headed(text: str, data: bytes = b"", version: bytes = b"\2\0") -> memoryview:
    start = b"\x93NUMPY" + version + struct.pack("<I", len(text))
    return memoryview(start + text.encode("latin-1") + data)


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3).T, np.zeros((0, 2)), np.array(1.5), np.array(["2020"], "M8[D]"),
     np.zeros(2, [("φ", "f4"), ("'\"\\\n", "i1")])],
    ids=str,
)  # fmt: skip
def test_numpy_reads_what_is_written(array: Any) -> None:
    back = np.load(io.BytesIO(written(array)), allow_pickle=False)
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())
    assert back.flags.f_contiguous == array.flags.f_contiguous


def test_elements_begin_at_a_multiple_of_64() -> None:
    for size in range(1, 40):
        header, _ = arrays.array_parts(np.zeros(2, [("x" * size, "f4")]))[0]
        assert len(header) % 64 == 0


def test_strided_elements_are_written_in_order() -> None:
    array = np.arange(24).reshape(2, 3, 4)[:, ::-1, ::2]
    assert arrays.build_array(memoryview(written(array))).tolist() == array.tolist()


@pytest.mark.parametrize(
    "dtype",
    [
        object, [("a", object)], OVERLAPPING, MANY, [(("title", "a"), "i4")],
        np.dtype("f8", metadata={"unit": "m"}), [("a", np.dtype("f8", metadata={"unit": "m"}))],
        np.dtype((np.record, [("a", "i8")])),
    ],
    ids=lambda dtype: str(dtype)[:30],
)  # fmt: skip
def test_dtypes_that_npy_does_not_keep_are_refused(dtype: Any) -> None:
    with pytest.raises(UnstorableError, match="an array"):
        arrays.array_parts(np.zeros(2, dtype))


VALID = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n"
KNOWS_A = np.lib.NumpyVersion(np.__version__) < "2.4.0"  # as another name of S


def test_a_header_may_be_as_another_program_writes_it() -> None:
    assert arrays.build_array(headed(VALID, bytes(8))).tolist() == [0.0]


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b""),
        memoryview(b"\x93NUMPY\2\0"),
        headed(VALID, bytes(8), b"\1\0"),
        headed(VALID, bytes(7)),
        headed(VALID, bytes(9)),
        headed(VALID.replace("(1,)", "(-1,)"), bytes(8)),
        headed(VALID.replace("(1,)", "(1, 2**3)"), bytes(64)),
        headed(VALID.replace("(1,)", "(4294967296, 4294967296)")),
        headed(VALID.replace("(1,)", "(True,)"), bytes(8)),
        headed(VALID.replace("(1,)", "(4611686018427387904,)").replace("<f8", "|V0")),
        headed(VALID.replace("False", "0"), bytes(8)),
        headed(VALID.replace("'<f8'", "'|O'"), bytes(8)),
        headed(VALID.replace("'<f8'", "'O'"), bytes(8)),
        *([] if KNOWS_A else [headed(VALID.replace("'<f8'", "'|a8'"), bytes(8))]),
        headed(VALID.replace("'<f8'", "'f4,O'"), bytes(12)),
        headed(VALID.replace("'<f8'", "[('a', '|O')]"), bytes(8)),
        headed(VALID.replace("'<f8'", "[('a', '<f8', (99999, 99999, 99999))]"), bytes(8)),
        headed(VALID.replace("'<f8'", "[(('t', 'a'), '<f8')]"), bytes(8)),
        headed(VALID.replace("'<f8'", "__import__('os')"), bytes(8)),
        headed(VALID.replace("'<f8'", "'\\d'"), bytes(8)),
        headed(VALID.replace("}", "'more': 1}"), bytes(8)),
        headed("(" * 9000 + "\n"),
        headed("[" * 9000 + "]" * 900 + "\n"),
        headed(" " * 20_000 + "\n"),
        headed("\n"),
        headed("é\n"),
    ],
    ids=lambda view: bytes(view[12:60]).decode("latin-1"),
)
def test_other_headers_are_refused(view: memoryview) -> None:
    with pytest.raises((CodecError, ValueError, TypeError)):
        arrays.build_array(view)


def test_a_header_nested_too_deep_is_a_codec_error() -> None:
    for depth in (90, 193, 197, 200, 4000):
        for ends in (("(", ")1"), ("[", "]1"), ("[", "")):
            begin, end = (text[:1] * depth + text[1:] for text in ends)
            with pytest.raises(CodecError):
                arrays.build_array(headed(f"{begin}{end}\n"))


def test_invalid_code_points_are_refused_at_any_depth() -> None:
    wrong = np.array([0x7FFFFFFF], np.uint32)
    for dtype in ("U1", [("a", [("b", "U1")])]):
        with pytest.raises(CodecError, match="0x7fffffff"):
            arrays.build_array(memoryview(written(wrong.view(dtype))))
    with pytest.raises(CodecError, match="0x7fffffff"):
        arrays.build_array(memoryview(written(wrong.astype(">u4").view(">U1"))))


def test_elements_without_bytes_are_few() -> None:
    assert arrays.build_array(memoryview(written(np.zeros(1000, [])))).shape == (1000,)
    with pytest.raises(UnstorableError, match="1001 elements without bytes"):
        arrays.array_parts(np.zeros(1001, []))
    many: list[Any] = [[("a", [], (10**9,))], [("a", "i1"), ("b", [("c", [], (10**9,))])]]
    for dtype in many:
        with pytest.raises(UnstorableError, match="1000000000 elements without bytes"):
            arrays.array_parts(np.zeros(1, dtype))
    for code in ("[]", "[('b', [], (3,))]"):
        text = VALID.replace("'<f8'", f"[('a', '|i1'), ('b', {code}, (999999999,))]")
        with pytest.raises(CodecError, match="an array"):
            arrays.build_array(headed(text, b"a"))
    mixed = np.zeros(5000, [("a", "i1"), ("b", "U0")])
    assert arrays.build_array(memoryview(written(mixed))).dtype == mixed.dtype


@pytest.mark.parametrize("code", [*"?bhilqpBHILQPefdgFDG"])
def test_a_number_keeps_its_type_even_if_another_has_its_size(code: str) -> None:
    value = np.dtype(code).type(1)
    back = arrays.build_scalar(*arrays.scalar_parts(value))
    assert (type(back), back.dtype, back) == (type(value), value.dtype, value)


@pytest.mark.parametrize(
    "code", ["O", "|O", "V8", "f8,f8", "<f8 ", "a", "<M8[x]", "(2,)f8", "object", ""]
)
def test_other_codes_are_refused(code: str) -> None:
    with pytest.raises((CodecError, TypeError, DeprecationWarning)):
        arrays.build_scalar(code, bytes(8))


@pytest.mark.parametrize(
    "array",
    [np.ma.array([1, 2]), np.ma.array([1, 2], mask=[False, True]), np.ma.array([1], hard_mask=True),
     np.ma.array([1.0], fill_value=3), np.ma.array("a", mask=True)],
    ids=repr,
)  # fmt: skip
def test_a_masked_array_keeps_mask_and_fill_value_or_their_absence(array: Any) -> None:
    back = arrays.build_masked(*arrays.mask_parts(array))
    assert (back.mask is np.ma.nomask) == (array.mask is np.ma.nomask)
    assert (back._fill_value is None) == (array._fill_value is None)
    assert back.hardmask == array.hardmask
    assert repr(back) == repr(array)


def test_a_masked_array_with_attributes_is_refused() -> None:
    named: Any = np.ma.array([1.0])
    named.unit = "m"
    with pytest.raises(UnstorableError, match="no format for its attributes unit"):
        arrays.mask_parts(named)


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CodecError, match="with a mask"):
        arrays.build_masked(np.arange(3), np.array([True]), None, False)
    with pytest.raises(CodecError, match="to be filled with"):
        arrays.build_masked(np.arange(3), None, np.array("a"), False)


def test_texts_of_any_length_keep_missing_values() -> None:
    kind = np.dtypes.StringDType(na_object=float("nan"))
    array = np.array([["a", float("nan")], ["c", "long" * 9]], kind).T
    back = arrays.build_texts(*arrays.text_parts(array))
    assert (back.dtype, back.shape, back.flags.f_contiguous) == (kind, (2, 2), True)
    assert repr(back.tolist()) == repr(array.tolist())


@pytest.mark.parametrize("missing", [[3], [object()], ["x"]], ids=shown)
def test_texts_with_other_marks_for_the_missing_are_refused(missing: list[Any]) -> None:
    with pytest.raises(CodecError):
        arrays.build_texts([1], False, True, missing, ["a"])
    with pytest.raises(UnstorableError, match="use nan or None"):
        arrays.text_parts(np.array(["a"], np.dtypes.StringDType(na_object=missing[0])))
