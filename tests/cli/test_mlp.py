"""`pipeline mlp` and `pipeline train`, as a person uses them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.command import json_of, loaded_and_computed, pipeline_process, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_mlp_prints_gradients_counts_and_formulas() -> None:
    code, text, error = run("mlp", "2-2-2-1", "--all", "--formula", "--scheduler", "sync")
    assert (code, error) == (0, "")
    rows = [line.split() for line in text.splitlines()]
    assert rows[1][:3] == ["w1_11", "0.0233399", "2"]
    assert rows[16] == ["all", "51", "+", "6", "45", "+", "6", "21", "+", "2"]
    assert "∂L/∂w1_11 = ∂L/∂ŷ · ∂ŷ/∂O2_1 · ∂O2_1/∂O1_1 · ∂O1_1/∂w1_11 + " in text
    naive = run("mlp", "2-2-2-1", "--all", "--no-memoize", "--scheduler", "sync")[1]
    assert naive == "\n".join(text.splitlines()[:17]) + "\n"
    assert r"\frac{\partial L}" in run("mlp", "2-2-1", "--latex")[1]


def test_mlp_draws(tmp_path: Path) -> None:
    paths = [tmp_path / "a.svg", tmp_path / "b.dot"]
    files = ("--save", str(paths[0]), "--network", str(paths[1]))
    assert run("mlp", "2-2-1", "--weight", "b1_2", "--numbers", *files)[0] == 0
    assert "∂L/∂b1_2" in paths[0].read_text()
    assert "1 path from b1_2" in paths[1].read_text()


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["2-2-x"], 2, "'2-2-x' is not a network: give the nodes of each layer, like 2-2-2-1"),
    (["2"], 2, "pipeline: sizes (2,): give the nodes of each layer"),
    (["2-2-1", "--weight", "w1_19"], 2, "pipeline: no variable 'w1_19' in 2-2-1: give one like"),
    (["2-2-1", "--activation", "relo"], 2, "'relo' is not one of 'sigmoid', 'tanh',"),
    (["2-2-1", "--loss", "mae"], 2, "'mae' is not one of 'mse', 'cross-entropy'"),
    (["2-2-1", "--save", "x.gif"], 2, "cannot write 'x.gif': the file name ends in"),
    (["64-32-16-10", "--all", "--no-memoize"], 1, "leave out --no-memoize"),
])  # fmt: skip
def test_a_mistake_in_mlp_is_one_line(arguments: list[str], code: int, message: str) -> None:
    status, text, error = run("mlp", *arguments)
    assert (status, text) == (code, "")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_train_writes_weights_and_figures(tmp_path: Path) -> None:
    options = ["train", "--epochs", "3", "--layers", "64-12-10", "--activation", "tanh"]
    done = pipeline_process(*options, "--out", str(tmp_path / "a"))
    assert done.returncode == 0
    assert re.search(r"digits: 8\d\.\d% of 359 held-out examples after 3 epochs", done.stdout)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"weights.npz", "training.svg", "confusion.svg", "mistaken.svg"}
    again = pipeline_process(*options, "--out", str(tmp_path / "b"), "--scheduler", "distributed")
    assert again.returncode == 0
    with np.load(tmp_path / "a/weights.npz") as one, np.load(tmp_path / "b/weights.npz") as other:
        assert sorted(one) == ["b1", "b2", "w1", "w2"]
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_train_on_a_users_data(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b,label\n" + "".join(f"{n},{-n},{int(n > 20)}\n" for n in range(40)))
    options = ("--layers", "2-8-2", "--epochs", "60", "--rate", "0.05", "--out", str(tmp_path))
    code, text, _ = run("train", "--data", str(path), *options)
    assert code == 0
    assert "data.csv: 100.0% of 8 held-out examples after 60 epochs" in text
    assert not (tmp_path / "mistaken.svg").exists()


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--layers", "64-5"], 2, "digits has 64 inputs and 10 labels: they do not fit the layers"),
    (["--layers", "64"], 2, "sizes (64,): give the nodes of each layer"),
    (["--activation", "relo"], 2, "'relo' is not one of 'sigmoid'"),
    (["--optimizer", "adagrad"], 2, "'adagrad' is not one of 'sgd', 'momentum'"),
    (["--backend", "cupy"], 2, "'cupy' is not one of 'numpy', 'jax', 'torch'"),
    (["--epochs", "0"], 2, "0 is not in the range 1<=x<=10000"),
    (["--data", "none.csv"], 1, "none.csv: No such file or directory"),
    (["--data", "none.xlsx"], 2, "cannot read none.xlsx: give an .npz or .csv file"),
    (["--layers", "64-9999999-10"], 2, "has 739,999,926 weights"), (["--seed", "-1"], 2, "seed=-1"),
    (["--shards", "2"], 2, "shards are parts of a batch of all examples"),
    (["--activation", "identity", "--loss", "mse", "--optimizer", "sgd", "--rate", "3"], 1,
     "stopped, and kept the weights before it"),
])  # fmt: skip
def test_a_mistake_in_train_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    status, _, error = run("train", *arguments, "--out", str(tmp_path / "out"))
    assert status == code
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_training_on_another_backend_agrees(folder: Path) -> None:
    pytest.importorskip("jax", reason="an extra: pip install 'dask-memo[jax]'")
    train = ("train", "--layers", "64-10", "--epochs", "2", "--store", "cache")
    weights = []
    for name in ("numpy", "jax"):
        result = json_of(*train, "--backend", name, "--out", name)
        assert result["store"]["computed"] >= 2
        weights.append(np.load(f"{name}/weights.npz"))
    for name, array in weights[0].items():
        assert weights[1][name].dtype == array.dtype == "float64"
        np.testing.assert_allclose(weights[1][name], array, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_that_is_not_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    for module in (backend, f"{backend}.numpy"):
        monkeypatch.setitem(sys.modules, module, None)
    status, text, error = run("train", "--layers", "64-11-10", "--backend", backend)
    assert (status, text) == (2, "")
    assert f"pip install 'dask-memo[{backend}]'" in error
    assert error.count("\n") == 1


def test_gradients_as_json(folder: Path) -> None:
    result = json_of("mlp", "2-2-2-1", "--all", "--formula", "--network", "net.dot")
    assert result["sizes"] == [2, 2, 2, 1]
    assert len(result["weights"]) == 15
    first = result["weights"][0]
    assert (first["weight"], first["paths"]) == ("w1_11", 2)
    assert first["gradient"] == pytest.approx(0.0233399, abs=1e-7)
    assert first["path_sum"] == {"multiplications": 6, "additions": 1}
    assert result["all"]["memoized"] == {"multiplications": 21, "additions": 2}
    assert result["formulas"]["w1_11"]["expanded"].startswith("∂L/∂w1_11 = ")
    assert result["files"] == ["net.dot"]


@pytest.mark.slow
def test_training_as_json(folder: Path) -> None:
    train = ("train", "--layers", "64-10", "--out", "out")
    result = json_of(*train, "--epochs", "2")
    assert (result["data"], result["epochs"], result["stopped"]) == ("digits", 2, None)
    assert result["accuracy"] > 0.5
    assert all(Path(name).is_file() for name in result["files"])
    options = ("--activation", "identity", "--loss", "mse", "--optimizer", "sgd", "--rate", "1e5")
    code, text, error = run(*train, *options, "--json")
    assert (code, error.count("\n")) == (1, 1)
    assert json.loads(text)["stopped"] is not None


def test_an_interrupt_leaves_files_as_they_were(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Figure, file: Any, **__: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    out = folder / "out"
    out.mkdir()
    (out / "training.svg").write_text("as it was")
    monkeypatch.setattr(Figure, "savefig", interrupted)
    code, text, error = run("train", "--layers", "64-10", "--epochs", "1", "--out", "out")
    assert (code, text, error) == (130, "", "pipeline: interrupted\n")
    assert (out / "training.svg").read_text() == "as it was"
    assert sorted(os.listdir(out)) == ["training.svg", "weights.npz"]


def weights(path: Path) -> dict[str, bytes]:
    with np.load(path) as arrays:
        return {name: arrays[name].tobytes() for name in arrays}


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

    again = pipeline_process(*train, *stored)
    assert (again.returncode, again.stderr) == (0, "")
    loaded, computed = loaded_and_computed(again.stdout)
    assert loaded <= 2
    # The remaining epochs, the rows, and other quick tasks.
    assert 100 - done <= computed <= 100 - done + 3
    assert weights(folder / "killed/weights.npz") == weights(folder / "undisturbed/weights.npz")

    longer = run(*train, "120", "--out", "longer", "--store", "cache")
    assert 20 <= loaded_and_computed(longer[1])[1] <= 22
    assert run(*train, "120", "--out", "whole")[0] == 0
    assert weights(folder / "longer/weights.npz") == weights(folder / "whole/weights.npz")


@pytest.mark.slow
def test_shards_of_a_batch_go_through_a_store(folder: Path) -> None:
    train = ["train", "--layers", "64-10", "--batch", "0", "--shards", "3", "--out", "out",
             "--store", "cache", "--epochs"]  # fmt: skip
    first, second = run(*train, "3"), run(*train, "3")
    assert (first[0], second[0]) == (0, 0)
    assert loaded_and_computed(first[1])[1] > 12
    assert loaded_and_computed(second[1]) == (1, 0)
