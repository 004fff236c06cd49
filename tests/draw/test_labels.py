"""Values as they are written in pictures and tables."""

from __future__ import annotations

import numpy as np

from pipeline.identity import format_value


def test_arrays_are_told_by_elements_or_shape() -> None:
    assert format_value(np.arange(3)) == "[0, 1, 2]"
    assert format_value(np.zeros((3, 4))) == "float64[3×4]"
