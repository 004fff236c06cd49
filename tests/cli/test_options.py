"""Options that commands share: --store loads what an earlier run stored; amounts have units."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pipeline.cli.options import AGE, SHARE, SIZE, Amount
from pipeline.draw import FORMATS
from tests.command import pipeline_process, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["processes", "distributed"])
def test_a_second_run_loads_what_the_first_stored(folder: Path, scheduler: str) -> None:
    options = ["--store", "cache", "--scheduler", scheduler]
    first = pipeline_process("fib", "30", *options)
    second = pipeline_process("fib", "30", *options)
    for done in (first, second):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[1].split()[:4] == ["30", "832040", "2692537", "31"]
    assert first.stdout.splitlines()[-1].startswith("cache: 0 tasks loaded, ")
    assert re.match(r"cache: 1 task loaded, 0 computed, .* saved", second.stdout.splitlines()[-1])


def test_mlp_takes_a_store_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_STORE", "cache")
    first, second = (run("mlp", "2-2-1", "--weight", "w1_11")[1].splitlines() for _ in range(2))
    assert first[:-1] == second[:-1]
    assert re.match(r"cache: 1 task loaded, 0 computed, \d.* saved", second[-1])


def test_a_store_that_cannot_be_written_is_one_line(folder: Path) -> None:
    Path("file").write_text("no folder")
    code, text, error = run("mlp", "2-2-1", "--store", "file/cache")
    assert code == 0
    assert "w1_11" in text
    assert error.startswith("pipeline: file/cache could not be ")
    assert all(line.startswith("pipeline: ") for line in error.splitlines())


def test_save_takes_every_format_of_pictures() -> None:
    assert f"PATH.{'|'.join(FORMATS)}" in " ".join(run("fib", "--help")[1].split())


@pytest.mark.parametrize(("kind", "text", "amount"), [
    (SIZE, "2GB", 2e9), (SIZE, "500 MB", 5e8), (SIZE, "1kiB", 1024), (SIZE, "7", 7),
    (AGE, "30d", 2_592_000), (AGE, "1.5h", 5400), (AGE, "90m", 5400), (AGE, "0s", 0),
    (SHARE, "5%", 0.05), (SHARE, "0.5", 0.5), (SHARE, "100%", 1),
])  # fmt: skip
def test_an_amount_has_a_unit(kind: Amount, text: str, amount: float) -> None:
    assert kind.convert(text, None, None) == pytest.approx(amount)


@pytest.mark.parametrize(("kind", "text"), [
    (SIZE, ""), (SIZE, "2 foos"), (SIZE, "-1GB"), (SIZE, "1e999GB"), (SIZE, "nan"),
    (AGE, ""), (AGE, "30"), (AGE, "30 years"), (AGE, "-1d"), (AGE, "d d"),
    (SHARE, ""), (SHARE, "0%"), (SHARE, "101%"), (SHARE, "few"), (SHARE, "nan%"),
])  # fmt: skip
def test_an_amount_without_meaning_is_an_error_with_an_example(kind: Amount, text: str) -> None:
    with pytest.raises(click.BadParameter, match=f"give one like {kind.example}"):
        kind.convert(text, None, None)
