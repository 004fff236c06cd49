"""Digests: no two values have one, and each value has one, everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import digest
from pipeline.units import brief
from tests.digest_values import DIFFER, agree

ROOT = Path(__file__).parent.parent


def title(pair: tuple[Any, Any]) -> str:
    return " | ".join(brief(each, 20) for each in pair)


@pytest.mark.parametrize("pair", DIFFER, ids=title)
def test_different_values_have_different_digests(pair: tuple[Any, Any]) -> None:
    assert digest(pair[0]) != digest(pair[1])


@pytest.mark.parametrize("pair", agree(), ids=title)
def test_equal_values_have_one_digest(pair: tuple[Any, Any]) -> None:
    assert digest(pair[0]) == digest(pair[1])


def test_the_table_is_as_long_as_promised() -> None:
    assert len(DIFFER) >= 60
    assert len(agree()) >= 30


@pytest.mark.parametrize("seed", ["1", "2"])
def test_other_processes_find_the_same_digests(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, str(ROOT / "tests/digest_values.py")],
        capture_output=True, text=True, check=True, env=environment, cwd="/",
    ).stdout  # fmt: skip
    lines = told.splitlines()
    for pair, line in zip((*DIFFER, *agree()), lines, strict=True):
        assert [digest(each) for each in pair] == line.split(), title(pair)
