"""The benchmark of the cache measures what it says."""

from __future__ import annotations

from importlib import util

import pytest

from tests.benchmarks import caching


def test_the_benchmark_of_the_cache_measures_each_peer_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name: None if name == "diskcache" else find_spec(name)
    )
    caching.main(caching.Sizes(calls=5, rounds=1, arrays=(("80 kB", 80_000),), argument=80_000))
    printed = capsys.readouterr().out
    rows = {line.split(", µs")[0]: line for line in printed.splitlines() if ", µs" in line}
    cells = rows["hit of an int, from the disk"].split(", µs")[1].split()
    names = caching.NAMES
    assert "diskcache: not installed" in printed
    assert cells[names.index("diskcache")] == "–"
    assert float(cells[names.index("pipeline")]) > 0
    assert (
        rows["hit of an int, from memory"].split(", µs")[1].split()[names.index("functools")] != "–"
    )
    assert "a hit in a graph of one task" in printed
