"""What all tests of the page have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _one_order() -> Iterator[None]:
    """Two runs on threads may differ in their order, which the page shows."""
    with dask.config.set(scheduler="sync"):
        yield
