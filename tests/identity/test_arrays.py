"""Arrays that nobody can change, and hashes of their content."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.identity import freeze_array
from pipeline.identity.arrays import content

MATRIX = np.arange(6.0).reshape(2, 3)


def test_a_frozen_array_is_equal_and_cannot_be_made_writable() -> None:
    frozen = freeze_array(MATRIX)
    np.testing.assert_array_equal(frozen, MATRIX)
    assert frozen.dtype == MATRIX.dtype
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        frozen.flags.writeable = True


def test_freezing_a_frozen_array_or_a_part_of_one_copies_nothing() -> None:
    frozen = freeze_array(MATRIX)
    assert freeze_array(frozen) is frozen
    part = frozen[1:, ::2]
    assert freeze_array(part) is part


@pytest.mark.parametrize(
    "array",
    [
        MATRIX.T,
        MATRIX[:, ::2],
        np.array(3.5),
        np.array([], "i4"),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array(["ab", "c"]),
        MATRIX.astype(">f4"),
    ],
    ids=str,
)
def test_any_kind_of_array_is_frozen_as_it_is(array: np.ndarray) -> None:
    frozen = freeze_array(array)
    assert frozen is not array
    assert (frozen.dtype, frozen.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(frozen, array)
    assert content(frozen) == content(array)


def test_content_is_of_the_elements_not_of_the_memory() -> None:
    assert content(MATRIX) == content(np.asfortranarray(MATRIX))
    assert content(MATRIX) != content(MATRIX + 1)
    changed = MATRIX.copy()
    before = content(changed)
    changed[0, 0] = 9
    assert content(changed) != before
