"""Names of tests that are the same in every process, so that processes can divide the tests."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """A value as text, without addresses."""
    return re.sub(r" at 0[xX][0-9a-fA-F]*", "", str(value))
