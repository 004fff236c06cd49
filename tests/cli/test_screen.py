"""What all commands have in common: help, JSON, colours, completion, files that are whole."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from dask import delayed
from matplotlib.figure import Figure

import pipeline
from pipeline import Store
from pipeline.apps.fibonacci import fib
from pipeline.cli import main
from pipeline.identity import all_digits
from tests.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (Path(__file__).parent.parent.parent / "README.md").read_text()

SCRIPT = """
from dask import delayed
result = delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)])
"""


def walked(command: click.Command, path: str = "pipeline") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from walked(each, f"{path} {name}")


COMMANDS = dict(walked(main))
LEAVES = [path for path, each in COMMANDS.items() if not isinstance(each, click.Group)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script, and a store of its result."""
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(SCRIPT)
    store = Store("cache", durable=False)
    pipeline.compute(delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)]), store=store)
    return tmp_path


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_an_example(path: str) -> None:
    code, told, _ = run(*path.split()[1:], "--help")
    lines = told.splitlines()
    assert code == 0
    assert any(line.startswith(f"  {path}") for line in lines)
    assert max(map(len, lines)) <= 80
    assert COMMANDS[path].get_short_help_str(100)
    for each in COMMANDS[path].params:
        assert isinstance(each, click.Argument) or each.help, each.name


def test_the_first_help_fits_a_screen_and_lists_all_commands_and_exit_codes() -> None:
    told = run("--help")[1]
    lines = told.splitlines()
    assert len(lines) <= 22
    for name in main.commands:
        assert any(re.match(rf"  pipeline {name}\b.*  \w", line) for line in lines), name
    assert "0 done, 1 could not be done, 2 asked wrongly, 130 interrupted" in told
    assert "..." not in told.split("Commands:")[1]


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_json_and_has_a_place_in_the_readme(path: str) -> None:
    assert "--json" in [name for each in COMMANDS[path].params for name in each.opts]
    group, name = path.rsplit(" ", 1)
    assert re.search(rf"`{group}[^`]* ?\b{name}\b|`{group} [^|]*\b{name} ", README), path


def test_the_version_is_told_with_those_that_results_hang_on() -> None:
    assert re.fullmatch(
        r"pipeline, version [\d.]+ \(Python [\d.]+\S*, Dask [\d.]+\)\n", run("--version")[1]
    )


def json_of(*arguments: str, code: int = 0) -> Any:
    found, told, error = run(*arguments, "--json")
    assert (found, error) == (code, "")
    return json.loads(told)


def test_long_integers_are_whole_in_json(folder: Path) -> None:
    code, told, _ = run("fib", "25000", "10", "--save", "fib.dot", "--store", "other", "--json")
    assert code == 0
    value = all_digits(fib(25000).compute(scheduler="sync"))
    assert len(value) > 5000
    assert f'"value": {value},' in told
    found = json.loads(told, parse_int=str)
    assert [row["n"] for row in found["rows"]] == ["25000", "10"]
    assert found["rows"][0]["value"] == value
    assert found["rows"][1]["tree"] == "177"
    assert (found["files"], found["store"]["url"]) == (["fib.dot"], "other")


def test_gradients_as_json(folder: Path) -> None:
    found = json_of("mlp", "2-2-2-1", "--all", "--formula", "--network", "net.dot")
    assert found["sizes"] == [2, 2, 2, 1]
    assert len(found["weights"]) == 15
    first = found["weights"][0]
    assert (first["weight"], first["paths"]) == ("w1_11", 2)
    assert first["gradient"] == pytest.approx(0.0233399, abs=1e-7)
    assert first["path_sum"] == {"multiplications": 6, "additions": 1}
    assert found["all"]["memoized"] == {"multiplications": 21, "additions": 2}
    assert found["formulas"]["w1_11"]["expanded"].startswith("∂L/∂w1_11 = ")
    assert found["files"] == ["net.dot"]


def test_training_as_json(folder: Path) -> None:
    train = ("train", "--layers", "64-10", "--out", "out")
    found = json_of(*train, "--epochs", "2")
    assert (found["data"], found["epochs"], found["stopped"]) == ("digits", 2, None)
    assert found["accuracy"] > 0.5
    assert all(Path(each).is_file() for each in found["files"])
    options = ("--activation", "identity", "--loss", "mse", "--optimizer", "sgd", "--rate", "1e5")
    code, told, error = run(*train, *options, "--json")
    assert (code, error.count("\n")) == (1, 1)
    assert json.loads(told)["stopped"] is not None


def test_what_commands_about_programs_and_stores_tell_as_json(folder: Path) -> None:
    shared = json_of("share", "model.py:result")
    assert (shared["before"], shared["after"], shared["factor"]) == (3, 2, 1.5)
    assert shared["merged"] == [{"what": "abs(-1)", "tasks": 2, "now": 1}]
    assert {each["status"] for each in json_of("cache", "explain", "model.py:result")} >= {"hit"}
    found = json_of("cache", "verify")
    assert (found["sound"], found["corrupt"]) == (True, [])
    assert json_of("cache", "verify", "model.py:result")["reruns"][0]["outcome"] == "same"
    held = found["entries"]
    assert json_of("cache", "gc") == {"removed": 0, "bytes": 0, "left": held}
    assert json_of("cache", "rm", "--all", "--yes")["removed"] == held
    assert json_of("cache", "stats")["entries"] == 0


def coloured(*arguments: str) -> tuple[str, str]:
    """What a terminal is told."""
    done = CliRunner().invoke(main, arguments, color=True, prog_name="pipeline")
    return done.stdout, done.stderr


def test_colours_are_for_terminals(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    table, _ = coloured("cache", "explain", "model.py:result")
    assert re.search(r"^\x1b\[32mhit\x1b\[0m {2,}sum", table, re.MULTILINE)
    plain = run("cache", "explain", "model.py:result")[1]
    assert re.sub(r"\x1b\[\d+m", "", table) == plain
    assert coloured("fib", "x")[1].startswith("\x1b[31mpipeline:\x1b[0m Invalid")
    assert "\x1b" not in coloured("cache", "stats", "--json")[0]
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("cache", "explain", "model.py:result")[0] == plain


def completed(words: str, number: int) -> list[str]:
    environment = {
        "_PIPELINE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number),
    }  # fmt: skip
    done = CliRunner().invoke(main, env=environment, prog_name="pipeline")
    assert done.exit_code == 0
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_shells_complete_commands_options_and_values() -> None:
    script = CliRunner().invoke(main, env={"_PIPELINE_COMPLETE": "zsh_source"},
                                prog_name="pipeline")  # fmt: skip
    assert "#compdef pipeline" in script.stdout
    assert completed("pipeline tr", 1) == ["train"]
    assert completed("pipeline fib --sch", 2) == ["--scheduler"]
    assert completed("pipeline fib 6 --scheduler ", 4) == list(pipeline.SCHEDULERS)
    assert completed("pipeline train --activation s", 3) == ["sigmoid"]
    assert completed("pipeline train --optimizer ad", 3) == ["adam"]
    assert completed("pipeline mlp 2-2 --loss m", 4) == ["mse"]
    assert "explain" in completed("pipeline cache ", 2)


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["trian"], 2, "No such command 'trian'. Did you mean 'train'? See pipeline --help"),
    (["train", "--epoch", "3"], 2, "Did you mean '--epochs'? See pipeline train --help"),
    (["train", "--epochs", "x"], 2, "'x' is not a valid integer; see pipeline train --help"),
    (["mlp", "2-2", "3"], 2, "unexpected extra argument (3); see pipeline mlp --help"),
    (["mlp", "2-2", "--save"], 2, "requires an argument; see pipeline mlp --help"),
    (["cache", "foo"], 2, "No such command 'foo'; see pipeline cache --help"),
    (["train", "--data", "none.npz"], 1, "none.npz: No such file or directory; check the path"),
])  # fmt: skip
def test_an_expected_error_is_one_line_with_a_remedy(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    found, told, error = run(*arguments)
    assert (found, told, error.count("\n")) == (code, "", 1)
    assert error.startswith("pipeline: ")
    assert message in error


def test_cache_alone_prints_its_help() -> None:
    code, told, error = run("cache")
    assert (code, error) == (0, "")
    assert told == run("cache", "--help")[1]


def test_streams_that_are_closed_or_full_are_no_traceback(folder: Path) -> None:
    full = "pipeline: No space left on device; make room, or choose another place"
    for streams, buffered, code, error in (
        (">&- 2>&-", "", 0, ""), (">/dev/full", "", 1, full), (">/dev/full", "1", 1, full),
    ):  # fmt: skip
        done = subprocess.run(  # noqa: S602 - streams of the shell
            f"{sys.executable} -m pipeline fib 5 {streams}",
            shell=True,
            capture_output=True, text=True, env={**os.environ, "PYTHONUNBUFFERED": buffered},
        )  # fmt: skip
        assert (done.returncode, done.stderr.strip()) == (code, error)


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
    code, told, error = run("train", "--layers", "64-10", "--epochs", "1", "--out", "out")
    assert (code, told, error) == (130, "", "pipeline: interrupted\n")
    assert (out / "training.svg").read_text() == "as it was"
    assert sorted(os.listdir(out)) == ["training.svg", "weights.npz"]


def test_a_signal_ends_a_process_with_one_line(folder: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "train", "--layers", "64-10", "--epochs", "10000",
               "--store", "epochs", "--out", "out"]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as training:
        while training.poll() is None and not list(folder.glob("epochs/entries/*/*")):
            time.sleep(0.01)
        training.send_signal(signal.SIGINT)
        told, error = training.communicate(timeout=30)
    assert (training.returncode, told, error) == (130, "", "pipeline: interrupted\n")
    assert os.listdir(folder / "out") == []


def test_a_reader_that_has_read_enough_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m pipeline gallery | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)  # noqa: S607 - whichever bash
    assert (done.returncode, done.stderr) == (141, "")
