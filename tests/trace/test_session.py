"""What holds while graphs are traced."""

from __future__ import annotations

import gc
from typing import Any

from pipeline import recurrence
from pipeline.identity import is_remembering
from pipeline.trace.session import session


def test_a_session_rests_the_collector_and_nests() -> None:
    assert gc.isenabled()
    with session():
        with session():
            assert not gc.isenabled()
        assert not gc.isenabled()
        assert is_remembering()
    assert gc.isenabled()
    assert not is_remembering()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with session():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_prefix_is_fixed_within_a_session_alone() -> None:
    values = [1]

    @recurrence
    def f(n: int) -> Any:
        return values

    with session():
        before = f.prefix
        values.append(2)
        assert f.prefix == before
    assert f.prefix != before
