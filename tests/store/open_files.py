"""The files of a folder that this process has open."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

has_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted")


def open_files(folder: Path) -> int:
    """How many files of a folder this process has open; a cluster of other tests opens its own."""
    count = 0
    for file in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            path = os.readlink(f"/proc/self/fd/{file}")
            # A flush, a second after a change, opens the folder itself.
            count += path.startswith(str(folder)) and not os.path.isdir(path)
    return count
