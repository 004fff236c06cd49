"""The command line, as a person uses it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.cli import main
from tests import command

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "422469633339230487"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where nothing may be left on stderr by a warning."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments], capture_output=True, text=True
    )


def test_the_table_of_the_lecture() -> None:
    done = run("fib", "38", "40", "100", "2000")
    assert done.returncode == 0
    assert done.stderr == ""
    head, *rows, note = done.stdout.splitlines()
    assert head.split() == [
        "n", "value", "tree", "tasks", "DAG", "sharing", "DAG", "time", "naive", "time",
    ]  # fmt: skip
    cells = [row.split() for row in rows]
    assert [row[0] for row in cells] == ["38", "40", "100", "2000"]
    assert [row[1] for row in cells][:3] == ["39088169", "102334155", "35422484…15075"]
    assert cells[3][1] == "42246963…17125"
    assert [row[2] for row in cells][:3] == ["126491971", "331160281", "11462956…68201"]
    assert [row[3] for row in cells] == ["39", "41", "101", "2001"]
    assert all("~" in row for row in rows)
    assert re.search(r"~\d\.\de40\d years$", rows[3])
    assert note.startswith("~ predicted from ")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_full_integers() -> None:
    done = run("fib", "2000", "--full")
    value = done.stdout.splitlines()[1].split()[1]
    assert len(value) == 418
    assert value.startswith(HEAD)
    assert value.endswith("17125")


def test_small_numbers_are_measured_not_predicted() -> None:
    done = run("fib", "10", "0", "1")
    assert "~" not in done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["55", "0", "1"]


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes", "distributed"])
def test_every_scheduler_leaves_a_clean_screen(scheduler: str) -> None:
    done = run("fib", "30", "--scheduler", scheduler)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split()[:4] == ["30", "832040", "2692537", "31"]


def test_pictures_are_saved(tmp_path: Path) -> None:
    for suffix, start in [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"di")]:
        path = tmp_path / f"fib.{suffix}"
        done = run("fib", "5", "6", "--save", str(path))
        assert done.stdout.splitlines()[-1] == f"saved {path}"
        assert path.read_bytes().startswith(start)


def test_the_whole_job(tmp_path: Path) -> None:
    out = tmp_path / "new" / "outputs"
    done = run("run", "--out", str(out), "--scheduler", "sync")
    assert (done.returncode, done.stderr) == (0, "")
    names = {"summary.json"} | {f"fib-{each}.svg" for each in ("5", "6", "blocks", "growth")} | {
        f"mlp-{each}.svg" for each in ("w3_11", "w1_11", "all", "paths", "growth")
    } | {"weights.npz", "training.svg", "confusion.svg", "mistaken.svg", "share-5.svg",
         "report.html"
    }  # fmt: skip
    assert {path.name for path in out.iterdir()} == names
    everything = json.loads((out / "summary.json").read_text())
    summary = everything["fibonacci"]
    assert {row["n"]: row["tree"] for row in summary["rows"]}[38] == 126491971
    assert summary["fitted_bases"]["tasks"] == pytest.approx(1.618, abs=0.02)
    points = summary["growth"]
    assert {point["n"]: (point["tree_tasks"], point["dag_tasks"]) for point in points}[12] == (
        465,
        13,
    )
    assert set(everything["files"]) == names - {"summary.json"}
    assert {point["naive"] for point in everything["mlp"]["growth"]} >= {28, 136, 496}


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["fib", "-1"], "fib(-1): n must be a whole number from 0 on, like 6", 2),
        (["fib", "2.5"], "fib(2.5): n must be a whole number from 0 on, like 6", 2),
        (["fib", "six"], "fib(six): n must be a whole number from 0 on, like 6", 2),
        (["fib", "6", "--nope"], "no such option: --nope; see pipeline fib --help", 2),
        (["fib"], "Missing argument 'N [N ...]'", 2),
        (["fib", "6", "--scheduler", "fast"], "unknown scheduler 'fast': it is one of sync,", 2),
        (["fib", "6", "--save", "fib.bmp"], "cannot write 'fib.bmp': the file name ends in", 2),
        (["fib", "6", "--save", "/none/a.svg"], "cannot save /none/a.svg: there is no folder", 2),
        (["fib", "6", "--save", "/proc/a.svg"], "/proc/a.svg", 1),
        (["fib", "3000000"], "fib(3000000) has over 1,000,000 subproblems", 2),
        (["run", "--out", "/proc/none"], "/proc/none: No such file", 1),
        (["nothing"], "No such command 'nothing'", 2),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    arguments: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    told = capsys.readouterr().err
    assert stopped.value.code == code
    assert told.startswith("pipeline: ")
    assert message in told
    assert told.count("\n") == 1


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([], prog_name="pipeline")
    assert not stopped.value.code
    assert capsys.readouterr().out.startswith("Usage: pipeline")


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.apps.fibonacci.naive_rate", interrupt)
    with pytest.raises(SystemExit) as stopped:
        main(["fib", "5"])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "pipeline: interrupted\n"


def test_mlp_prints_gradients_counts_and_formulas() -> None:
    done = run("mlp", "2-2-2-1", "--all", "--formula", "--scheduler", "sync")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[1][:3] == ["w1_11", "0.0233399", "2"]
    assert rows[16] == ["all", "51", "+", "6", "45", "+", "6", "21", "+", "2"]
    assert "∂L/∂w1_11 = ∂L/∂ŷ · ∂ŷ/∂O2_1 · ∂O2_1/∂O1_1 · ∂O1_1/∂w1_11 + " in done.stdout
    naive = run("mlp", "2-2-2-1", "--all", "--no-memoize", "--scheduler", "sync")
    assert naive.stdout == "\n".join(done.stdout.splitlines()[:17]) + "\n"
    assert r"\frac{\partial L}" in run("mlp", "2-2-1", "--latex").stdout


def test_mlp_draws(tmp_path: Path) -> None:
    paths = [tmp_path / "a.svg", tmp_path / "b.dot"]
    done = run("mlp", "2-2-1", "--weight", "b1_2", "--save", str(paths[0]), "--network",
               str(paths[1]), "--numbers")  # fmt: skip
    assert done.returncode == 0
    assert "∂L/∂b1_2" in paths[0].read_text()
    assert "1 path from b1_2" in paths[1].read_text()


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["2-2-x"], 2, "pipeline: '2-2-x' is no network: give the nodes of each layer, like 2-2-2-1"),
    (["2"], 2, "pipeline: sizes (2,): give the nodes of each layer"),
    (["2-2-1", "--weight", "w1_19"], 2, "pipeline: no variable 'w1_19' in 2-2-1: give one like"),
    (["2-2-1", "--activation", "relo"], 2, "pipeline: unknown activation 'relo': it is one of"),
    (["2-2-1", "--loss", "mae"], 2, "pipeline: unknown loss 'mae': it is one of mse"),
    (["2-2-1", "--save", "x.gif"], 2, "pipeline: cannot write 'x.gif': the file name ends in"),
    (["64-32-16-10", "--all", "--no-memoize"], 1, "too many to be run: leave out --no-memoize"),
])  # fmt: skip
def test_mlp_tells_what_is_wrong_in_one_line(arguments: list[str], code: int, message: str) -> None:
    found, told, error = command.run("mlp", *arguments)
    assert (found, told) == (code, "")
    assert message in error
    assert error.count("\n") == 1


def test_train_writes_weights_and_figures(tmp_path: Path) -> None:
    options = ["train", "--epochs", "3", "--layers", "64-12-10", "--activation", "tanh"]
    done = run(*options, "--out", str(tmp_path / "a"))
    assert done.returncode == 0
    assert re.search(r"digits: 8\d\.\d% of 359 held-out examples after 3 epochs", done.stdout)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"weights.npz", "training.svg", "confusion.svg", "mistaken.svg"}
    again = run(*options, "--out", str(tmp_path / "b"), "--scheduler", "distributed")
    assert again.returncode == 0
    with np.load(tmp_path / "a/weights.npz") as one, np.load(tmp_path / "b/weights.npz") as other:
        assert sorted(one) == ["b1", "b2", "w1", "w2"]
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_train_on_a_users_data(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b,label\n" + "".join(f"{n},{-n},{int(n > 20)}\n" for n in range(40)))
    done = run("train", "--data", str(path), "--layers", "2-8-2", "--out", str(tmp_path),
               "--epochs", "60", "--rate", "0.05")  # fmt: skip
    assert done.returncode == 0
    assert "data.csv: 100.0% of 8 held-out examples after 60 epochs" in done.stdout
    assert not (tmp_path / "mistaken.svg").exists()


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--layers", "64-5"], 2, "digits has 64 inputs and 10 labels: they do not fit the layers"),
    (["--layers", "64"], 2, "sizes (64,): give the nodes of each layer"),
    (["--activation", "relo"], 2, "unknown activation 'relo'"),
    (["--optimizer", "adagrad"], 2, "optimizer='adagrad': it is one of sgd, momentum"),
    (["--epochs", "0"], 2, "--epochs 0: train for 1 to 10,000"),
    (["--data", "none.csv"], 1, "none.csv: No such file or directory"),
    (["--data", "none.xlsx"], 2, "cannot read none.xlsx: data are in an .npz or .csv file"),
    (["--layers", "64-9999999-10"], 2, "has 739,999,926 weights"), (["--seed", "-1"], 2, "seed=-1"),
    (["--shards", "2"], 2, "shards are parts of a batch of all examples"),
    (["--activation", "identity", "--loss", "mse", "--optimizer", "sgd", "--rate", "3"], 1,
     "stopped, and kept the weights before it"),
])  # fmt: skip
def test_train_tells_what_is_wrong_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    found, _, error = command.run("train", *arguments, "--out", str(tmp_path / "out"))
    assert found == code
    assert message in error
    assert error.count("\n") == 1


SCRIPT = """
import random, sys
from dask import delayed
sys.argv[1:] == [] or sys.exit("arguments are not for the script")

@delayed
def leaf(n):
    return n

@delayed
def add(a, b):
    return a + b

def naive(n):
    return leaf(n) if n < 2 else add(naive(n - 1), naive(n - 2))

tree = naive(6)
several = [tree, naive(7), delayed(random.random)()]
number = 3

def made():
    return {"a": naive(5)}

def broken():
    raise ValueError("no data")

if __name__ == "__main__":
    raise SystemExit("this must not run")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(SCRIPT)
    return str(path)


def test_share_tells_what_a_script_computes_twice(script: str, tmp_path: Path) -> None:
    done = run("share", f"{script}:tree", "--save", str(tmp_path / "tree.svg"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "25 tasks before, 7 after: sharing factor 3.57"
    assert [line.split() for line in lines[2:6]] == [
        ["tasks", "now", "merged"], ["10", "3", "add"], ["8", "1", "leaf(1)"],
        ["5", "1", "leaf(0)"],
    ]  # fmt: skip
    assert "tree: 25 tasks" in (tmp_path / "tree.svg").read_text()
    assert max(map(len, lines[:-1])) <= 80


def test_share_takes_lists_and_functions(script: str) -> None:
    several = run("share", f"{script}:several").stdout
    assert several.startswith("67 tasks before, 9 after")
    assert "not merged: impure" in several
    assert "random.Random.random: it is random" in several
    assert run("share", f"{script}:made").stdout.startswith("15 tasks before, 6 after")


@pytest.mark.parametrize(
    ("place", "message", "code"),
    [
        ("{}:nothing", "has no 'nothing'; its collections: add, leaf, several, tree", 2),
        ("{}:number", "is 3, which has no tasks: name a Dask collection", 2),
        ("{}:broken", "broken() in", 1),
        ("{}", "names no collection: give a script and a name in it", 2),
        ("missing.py:x", "there is no script missing.py", 2),
    ],
)
def test_share_tells_mistakes_in_one_line(script: str, place: str, message: str, code: int) -> None:
    found, _, error = command.run("share", place.format(script))
    assert found == code
    assert message in error
    assert len(error.splitlines()) == 1
