"""Twenty programs have the same values plain, shared, through an empty and through a full store."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import dask
import pytest

from pipeline import Store, compute, share
from tests.judge.comparing import difference
from tests.programs.data import make
from tests.programs.measured import SCHEDULERS, collections
from tests.programs.twenty import PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("programs") / "data", 1)


QUICK = "custom_graph", "rechunk", "climatology"
"""Programs of each kind that take less than a second."""

_MARKED = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in PROGRAMS]


@pytest.mark.parametrize("name", _MARKED)
@pytest.mark.filterwarnings("default")  # results that are not stored; Dask's use of pandas
def test_a_program_has_the_same_value_plain_shared_cold_and_warm(
    name: str, data: Path, tmp_path: Path
) -> None:
    plain = dask.compute(*collections(name, data))
    shared = share(*collections(name, data))
    assert not difference(dask.compute(*shared if isinstance(shared, tuple) else [shared]), plain)
    for _ in ("cold", "warm"):
        values = compute(*collections(name, data), store=Store(tmp_path, durable=False))
        assert not difference(values, plain)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_second_process_loads_what_the_first_has_stored(
    name: str, scheduler: str, data: Path, tmp_path: Path
) -> None:
    lines: dict[str, Any] = {}
    for way in ("cold", "warm"):
        command = [sys.executable, "-W", "ignore", "-m", "tests.programs.measured",
                   way, name, str(data), str(tmp_path), scheduler]  # fmt: skip
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        lines[way] = json.loads(done.stdout.splitlines()[-1])
        assert lines[way]["differs"] == ""
    assert lines["warm"]["ran"] == []
