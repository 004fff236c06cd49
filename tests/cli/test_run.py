"""`pipeline run`: the whole job, into a folder."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.apps.growth import measure_fibonacci, measure_gradients
from tests.command import loaded_and_computed, pipeline_process, run


@pytest.mark.slow
def test_the_whole_job(tmp_path: Path) -> None:
    out = tmp_path / "new" / "outputs"
    done = pipeline_process("run", "--out", str(out), "--scheduler", "sync")
    assert (done.returncode, done.stderr) == (0, "")
    names = {"summary.json"} | {f"fib-{name}.svg" for name in ("5", "6", "blocks", "growth")} | {
        f"mlp-{name}.svg" for name in ("w3_11", "w1_11", "all", "paths", "growth")
    } | {"weights.npz", "training.svg", "confusion.svg", "mistaken.svg", "share-5.svg",
         "race.svg", "report.html"
    }  # fmt: skip
    assert {path.name for path in out.iterdir()} == names
    summary = json.loads((out / "summary.json").read_text())
    fibonacci = summary["fibonacci"]
    assert {row["n"]: row["tree"] for row in fibonacci["rows"]}[38] == 126491971
    assert fibonacci["fitted_bases"]["tasks"] == pytest.approx(1.618, abs=0.02)
    points = fibonacci["growth"]
    assert {point["n"]: (point["tree_tasks"], point["dag_tasks"]) for point in points}[12] == (
        465,
        13,
    )
    assert set(summary["files"]) == names - {"summary.json"}
    assert {point["naive"] for point in summary["mlp"]["growth"]} >= {28, 136, 496}


@pytest.mark.slow
def test_the_whole_job_takes_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = import_module("pipeline.cli.run")
    monkeypatch.setattr(command, "measure_fibonacci", partial(measure_fibonacci, up_to=6))
    monkeypatch.setattr(command, "measure_gradients", partial(measure_gradients, largest=2))
    for out in ("out", "again"):
        code, text, error = run("run", "--out", out, "--store", "cache")
        assert (code, error) == (0, "")
    loaded, computed = loaded_and_computed(text)
    assert (loaded > 0, computed) == (True, 0)
    assert Path("out/weights.npz").read_bytes() == Path("again/weights.npz").read_bytes()
