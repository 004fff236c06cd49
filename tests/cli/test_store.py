"""--store of the commands that compute: what one run stored, the next one loads."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.apps.growth import measure_fibonacci, measure_gradients
from tests.command import process, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("scheduler", ["processes", "distributed"])
def test_a_second_run_loads_what_the_first_stored(folder: Path, scheduler: str) -> None:
    options = ["--store", "cache", "--scheduler", scheduler]
    first = process("-m", "pipeline", "fib", "30", *options)
    second = process("-m", "pipeline", "fib", "30", *options)
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


@pytest.mark.slow
def test_the_whole_job_takes_a_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = sys.modules["pipeline.cli.run"]
    monkeypatch.setattr(command, "measure_fibonacci", partial(measure_fibonacci, up_to=6))
    monkeypatch.setattr(command, "measure_gradients", partial(measure_gradients, largest=2))
    for out in ("out", "again"):
        code, told, error = run("run", "--out", out, "--store", "cache")
        assert (code, error) == (0, "")
    loaded, computed = counted(told)
    assert (loaded > 0, computed) == (True, 0)
    assert Path("out/weights.npz").read_bytes() == Path("again/weights.npz").read_bytes()


def weights(path: Path) -> dict[str, bytes]:
    with np.load(path) as found:
        return {name: found[name].tobytes() for name in found}


def epochs(folder: Path) -> int:
    return len(list(folder.glob("cache/entries/*/*")))


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_whole_epoch(folder: Path) -> None:
    train = ["train", "--layers", "64-32-10", "--epochs"]
    assert run(*train, "100", "--out", "undisturbed")[0] == 0

    stored = ["100", "--out", "killed", "--store", "cache"]
    command = [sys.executable, "-m", "pipeline", *train, *stored]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as training:
        while epochs(folder) < 57 and training.poll() is None:
            time.sleep(0.002)
        training.send_signal(signal.SIGKILL)
    assert training.returncode == -signal.SIGKILL
    done = epochs(folder)
    assert 57 <= done < 100

    again = process("-m", "pipeline", *train, *stored)
    assert (again.returncode, again.stderr) == (0, "")
    loaded, computed = counted(again.stdout)
    assert loaded <= 2
    # The epochs that were left, the rows, and what else is quick to compute again.
    assert 100 - done <= computed <= 100 - done + 3
    assert weights(folder / "killed/weights.npz") == weights(folder / "undisturbed/weights.npz")

    longer = run(*train, "120", "--out", "longer", "--store", "cache")
    assert 20 <= counted(longer[1])[1] <= 22
    assert run(*train, "120", "--out", "whole")[0] == 0
    assert weights(folder / "longer/weights.npz") == weights(folder / "whole/weights.npz")


def counted(told: str) -> tuple[int, int]:
    """Tasks loaded and computed."""
    found = re.fullmatch(r"cache: (\d+) tasks? loaded, (\d+) computed, .* saved",
                         told.splitlines()[-1])  # fmt: skip
    assert found, told
    return int(found[1]), int(found[2])


def test_shards_of_a_batch_go_through_a_store(folder: Path) -> None:
    train = ["train", "--layers", "64-10", "--batch", "0", "--shards", "3", "--out", "out",
             "--store", "cache", "--epochs"]  # fmt: skip
    first, second = run(*train, "3"), run(*train, "3")
    assert (first[0], second[0]) == (0, 0)
    assert counted(first[1])[1] > 12
    assert counted(second[1]) == (1, 0)


def test_a_store_that_cannot_be_written_is_one_line(folder: Path) -> None:
    Path("file").write_text("no folder")
    code, told, error = run("mlp", "2-2-1", "--store", "file/cache")
    assert code == 0
    assert "w1_11" in told
    assert error.startswith("pipeline: file/cache could not be ")
    assert all(line.startswith("pipeline: ") for line in error.splitlines())
