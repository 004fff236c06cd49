"""The benchmark of the cache measures what it says."""

from __future__ import annotations

from importlib import util

import pytest

from tests.benchmarks import caching


@pytest.mark.slow
def test_the_benchmark_of_the_cache_measures_each_peer_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name: None if name == "diskcache" else find_spec(name)
    )
    caching.main(caching.Sizes(calls=5, rounds=1, arrays=(("80 kB", 80_000),), argument=80_000))
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    names, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    times = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    assert "diskcache: not installed" in printed
    assert times["hit of an int, from the disk, µs"]["diskcache"] == "–"
    assert float(times["hit of an int, from the disk, µs"]["pipeline"]) > 0
    assert float(times["hit of an int, from memory, µs"]["functools"]) > 0
    assert "a hit in a graph of one task" in printed
    (helper,) = (line for line in printed.splitlines() if line.startswith("a helper"))
    assert helper.removeprefix("a helper that it calls").split()[0] == "right"
